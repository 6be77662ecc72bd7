"""Every fixture edited through a mount: TensorFlow reads what was meant, and nothing else changed."""
import os
import random

import pytest

import disk
import fixtures
import jobs
import sstable
import tensors
import tree
from mounts import wait_until
from objects import Expected
from tensors import Tensor
from test_every_fixture import places

# Of several checkpoints that one program saved in turn, the last
EVERY = list({fixtures.directory_of(n): n for n in fixtures.manifest()}.values())
V1 = fixtures.names("V1")
SAVED_MODELS = [n for n in EVERY if n.startswith("savedmodel")]
TAIL = b"/.ATTRIBUTES/VARIABLE_VALUE"
V1_LACKS = [d for d in sstable.DT if d not in [*sstable.V1_FIELD, "resource", "variant"]]
# What TensorFlow can put together from slices (FORMAT 4.6)
ASSEMBLES = {"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64",
             "complex128", "bfloat16", "int4", "uint4", "qint8", "quint8", "qint32"}
# Bits that a dtype uses of each byte
BITS = {"bool": 1, "int2": 1, "uint2": 3, "int4": 7, "uint4": 15, "float4_e2m1fn": 7}
OTHER = {"float32": "int32", "int32": "float32", "float64": "int64", "int64": "float64",
         "float16": "int16", "int16": "uint16", "uint16": "int16", "uint8": "int8", "int8": "uint8",
         "bool": "uint8", "complex64": "int64", "bfloat16": "float16", "qint8": "int8"}


def other_value(tensor, seed):
    """Another value of the same dtype and shape."""
    dice = random.Random(seed)
    if tensor.dtype == "string":
        return [b"%d\n\\" % i + dice.randbytes(dice.randint(0, 40)) for i in range(len(tensor.value))]
    if tensor.dtype == "variant":
        return tensor.value[::-1]
    mask = BITS.get(tensor.dtype, 255)
    return bytes(b & mask for b in dice.randbytes(len(tensor.value)))


def beside(key, name, tail=b""):
    """The key of a file `name` in the directory of the variable `key`."""
    if tail:
        key = key[:-len(tail)]
    return b"/".join([*key.split(b"/")[:-1], name]) + tail


class Bench:
    """A copy of a fixture, mounted, and what must be in it at the end."""

    def __init__(self, shop, fixture_copy, name, to=None):
        self.shop, self.name = shop, name
        self.source = fixture_copy(fixtures.directory_of(name), to)
        for path in self.source.rglob("*"):
            os.utime(path, (1e9, 1e9))  # data younger than its index would be waited for
        self.prefix = self.source / fixtures.prefix_of(name)
        self.before = tensors.read(self.prefix)
        self.digest = disk.digest(self.source)
        self.tensors = dict(self.before.tensors)
        self.objects = fixtures.GRAPH_KEY in self.tensors
        self.changed, self.renamed = set(), {}
        self.mount = shop.mount(self.source)
        self.paths = {}
        for variable, path in places(self.mount / tensors.shown_prefix(name), name):
            if variable.key not in self.paths or path.endswith(b"/" + variable.key.removesuffix(TAIL)):
                self.paths[variable.key] = path  # of several that by which the key goes

    # ------------------------------------------------------------------ edits
    def write(self, key, seed):
        """Other bytes, as cp writes them."""
        old = self.tensors[key]
        new = Tensor(old.dtype, old.shape, other_value(old, seed), old.slices)
        tree.write(self.paths[key], new.content())
        self._is(key, new)

    def reshape(self, key):
        old = self.tensors[key]
        count = len(old.elements())
        shape = [count] if old.shape != [count] else [count, 1]
        tree.write(self.paths[key] + b".shape", tree.shape_text(shape))
        self._is(key, Tensor(old.dtype, shape, old.value))

    def retype(self, key):
        old = self.tensors[key]
        dtype = OTHER[old.dtype]
        tree.write(self.paths[key] + b".dtype", dtype.encode() + b"\n")
        self._is(key, Tensor(dtype, old.shape, old.value))

    def copy(self, key):
        """cp to a new name beside it; of an empty value cp would copy nothing, not even its type."""
        new = self._new(key, b"copied_h")
        assert jobs.cp("--", self.paths[key], self.paths[new]) == (0, "")
        old = self.tensors[key]
        self._is(new, Tensor(old.dtype, old.shape, old.value))

    def rename(self, key):
        new = self._new(key, b"moved_h")
        os.rename(self.paths[key], self.paths[new])
        self.renamed[new] = key
        self._is(new, self.tensors.pop(key))
        assert tree.error_of(os.lstat, self.paths.pop(key)) == "ENOENT"

    def remove(self, key):
        os.unlink(self.paths[key])
        del self.tensors[key]
        assert tree.error_of(os.lstat, self.paths.pop(key)) == "ENOENT"

    def _new(self, key, name):
        new = beside(key, name, TAIL if self.objects else b"")
        self.paths[new] = os.path.dirname(self.paths[key]) + b"/" + name
        return new

    def _is(self, key, tensor):
        """The mount shows it at once."""
        self.tensors[key] = tensor
        self.changed.add(key)
        tree.check_variable(fixtures.Variable(key, tensor.dtype, tensor.shape, tensor.content(), None),
                            self.paths[key])

    def movable(self, alone=True):
        """Variables whose key follows their path; `alone`: that is the only one, and it has no slots.

        Not the counter, which tf.train.Checkpoint asks for.
        """
        if not self.objects:
            return sorted(k for k, t in self.tensors.items() if t.dtype != "variant")
        expected = Expected(self.tensors[fixtures.GRAPH_KEY].value[0], self.tensors)
        found = []
        for path, key in expected.files.items():
            plain = path != (b"save_counter",) and key == b"/".join(path) + TAIL
            slots = path[:-1] + (path[-1] + b".d",) in expected.directories
            paths = list(expected.files.values()).count(key)
            if plain and not (alone and (slots or paths > 1)) and not set(b"%") & set(b"".join(path)):
                found.append(key)
        return sorted(found)

    # ---------------------------------------------------------------- verdict
    def finish(self, judge):
        """Unmounts; then sstable.py and TensorFlow read what was meant, and the rest is as it was."""
        self.mount.unmount()
        after = tensors.read(self.prefix)
        told, meant = dict(after.tensors), dict(self.tensors)
        if self.objects and told.keys() != self.before.tensors.keys():
            self.changed.add(fixtures.GRAPH_KEY)
            meant[fixtures.GRAPH_KEY] = told[fixtures.GRAPH_KEY]
        assert told.keys() == meant.keys()
        for key in meant:
            assert told[key] == meant[key], (key, told[key], meant[key])
        for key in meant.keys() - self.changed:
            assert after.raw[key] == self.before.raw[key], key
        for new, old in self.renamed.items():
            if self.name not in V1:
                assert after.raw[new] == self.before.raw[old], new
        assert after.header == self.before.header
        self._files()
        self._tensorflow(judge, meant)
        if self.objects and self.name not in [*SAVED_MODELS, "v2_tf2_write"]:
            self._program(judge, meant)

    def _files(self):
        """No file came or went, and those of others are as they were."""
        there = disk.digest(self.source)
        assert there.keys() == self.digest.keys()
        mine = tensors.GLOB.sub("", fixtures.prefix_of(self.name))
        for path, digest in there.items():
            if not path.startswith(mine) or path.endswith(".meta"):
                assert digest == self.digest[path], path

    def _tensorflow(self, judge, meant):
        wanted, values = [], []
        for key, t in meant.items():
            if t.dtype == "variant":
                continue
            if not t.slices or t.dtype in ASSEMBLES:
                wanted.append((key, "", t.dtype))
                values.append(t.value)
            for extents, spec in zip(t.slices, t.specs()):
                wanted.append((key, spec, t.dtype))
                values.append(t.part(extents))
        for ask in [judge.restore_slices, *([judge.restore_slice] if self.name in V1 else [])]:
            for asked, got, value in zip(wanted, ask(self.prefix, wanted), values):
                assert got == value, (ask, asked)
        if all(is_text(k) for k in meant):
            told = judge.names(self.prefix)
            assert told == {k: (t.dtype, t.shape) for k, t in meant.items()}
        if len(meant) < 12 and self.name in V1:
            known = {k.decode(): (t.dtype, t.shape) for k, t in meant.items()}
            got = judge.saver_restore(self.prefix, known)
            assert got == {k: (t.dtype, t.shape, t.value) for k, t in meant.items()}


    def _program(self, judge, meant):
        """A program with these objects restores every variable that edges lead to."""
        got = judge.checkpoint_restore(self.prefix)
        for key, (dtype, shape, value) in got.items():
            assert (dtype, shape, value) == (meant[key].dtype, meant[key].shape, meant[key].value), key
        assert {k for k in self.changed if k.endswith((b"copied_h" + TAIL, b"moved_h" + TAIL))} <= got.keys()


def is_text(key):
    try:
        return bool(key.decode())
    except UnicodeDecodeError:
        return False


def chosen(bench):
    """First, middle and last variable, one of each dtype, and all that have slices."""
    keys = sorted(k for k in bench.tensors if k != fixtures.GRAPH_KEY)
    kinds = {t.dtype: k for k, t in sorted(bench.tensors.items(), reverse=True) if t.value and t.shape}
    kinds = {d: k for d, k in kinds.items() if k != fixtures.GRAPH_KEY}
    sliced = [k for k in keys if bench.tensors[k].slices]
    return dict.fromkeys([keys[0], keys[len(keys) // 2], keys[-1], *kinds.values(), *sliced])


@pytest.mark.sanitized
@pytest.mark.parametrize("name", EVERY)
def test_values_are_written(shop, fixture_copy, judge, name):
    """Other bytes into one of each dtype, the first, the middle and the last, and all with slices."""
    bench = Bench(shop, fixture_copy, name)
    for seed, key in enumerate(chosen(bench)):
        bench.write(key, seed)
    bench.finish(judge)


def structure(bench, turn):
    """Reshape one, retype one, copy one, rename one, remove one: each another variable if it can."""
    keys, alone = (in_turn(bench, bench.movable(x), turn) for x in (False, True))
    plain = [k for k in keys if bench.tensors[k].dtype in OTHER and bench.tensors[k].value]
    steps = [(bench.rename, alone), (bench.reshape, plain), (bench.retype, plain),
             (bench.copy, [k for k in keys if bench.tensors[k].value]), (bench.remove, alone)]
    used = set()
    for step, able in steps:
        able = [k for k in able if k in bench.tensors]
        free = [k for k in able if k not in used] or able[-1:]
        if free and (step != bench.remove or len(bench.tensors) > 1 + bench.objects):
            used.add(free[0])
            step(free[0])


def in_turn(bench, keys, turn):
    """Those with slices first, and each time another one."""
    keys = sorted(keys, key=lambda k: (not bench.tensors[k].slices, k))
    turn %= len(keys) or 1
    return keys[turn:] + keys[:turn]


@pytest.mark.sanitized
@pytest.mark.parametrize("name", [n for n in EVERY if n not in SAVED_MODELS])
def test_names_and_types_are_changed(shop, fixture_copy, judge, name):
    """A reshape, a retype, a copy, a renaming and a removal in one go; partitioned ones in turn."""
    sliced = sum(bool(t.slices) for t in tensors.wanted(name).values())
    for turn in range(min(sliced, 3) or 1):
        bench = Bench(shop, fixture_copy, name, "turn%d" % turn)
        structure(bench, turn)
        bench.finish(judge)


@pytest.mark.parametrize("name", [n for n in EVERY if n not in SAVED_MODELS and "5000" not in n])
def test_values_are_written_after_their_names_changed(shop, fixture_copy, judge, name):
    """Both in one mount, on the same variables: the last word counts."""
    bench = Bench(shop, fixture_copy, name)
    structure(bench, 1)
    keys = [k for k in [*bench.renamed, *bench.changed] if k in bench.tensors]
    for seed, key in enumerate(dict.fromkeys(keys)):
        bench.write(key, seed)
    bench.renamed.clear()
    bench.finish(judge)


@pytest.mark.parametrize("name", [n for n in V1 if "snappy" not in n])
def test_v1_there_and_back_is_the_same_file(shop, fixture_copy, name):
    """Other values, committed; the old ones again: byte for byte what TensorFlow wrote."""
    bench = Bench(shop, fixture_copy, name)
    keys = list(chosen(bench))
    for seed, key in enumerate(keys):
        bench.write(key, seed)
    bench.mount.unmount()
    assert disk.digest(bench.source) != bench.digest
    mount = shop.mount(bench.source)
    for variable, path in places(mount / tensors.shown_prefix(name), name):
        if variable.key in keys:
            tree.write(path, variable.content)
    mount.unmount()
    assert disk.digest(bench.source) == bench.digest


# ------------------------------------------------------------------- refusals
def refused(bench, path, content, error):
    """A write fails with `error`, says why, and the variable is as before."""
    key = next(k for k, p in bench.paths.items() if path.startswith(p) and len(path) - len(p) in (0, 6))
    t = bench.tensors[key]
    bench.mount.mark()
    assert tree.error_of(tree.write, path, content) == error, (path, content)
    assert bench.mount.news(1, expect=1), (path, content)
    kept = fixtures.Variable(key, t.dtype, t.shape, t.content(), None)
    # What was refused goes at RELEASE, which close() does not wait for.
    assert wait_until(lambda: tree.read(bench.paths[key]) == kept.content, 5)
    tree.check_variable(kept, bench.paths[key])


@pytest.mark.sanitized
def test_v1_refuses_dtypes_that_it_cannot_hold(shop, fixture_copy, judge):
    """EOPNOTSUPP for the declaration, a log line, and the variable is what it was."""
    bench = Bench(shop, fixture_copy, "v1_all_dtypes")
    of_size = {sstable.ITEM[t.dtype]: k for k, t in bench.tensors.items()
               if t.dtype != "string" and t.value}
    for dtype in V1_LACKS:
        path = bench.paths[of_size[sstable.ITEM[dtype]]]
        refused(bench, path + b".dtype", dtype.encode() + b"\n", "EOPNOTSUPP")
        refused(bench, path + b".dtype", dtype.encode(), "EOPNOTSUPP")
        assert tree.error_of(os.setxattr, path, "user.weightfs.dtype", dtype.encode()) == "EOPNOTSUPP"
    bench.finish(judge)


def test_v1_refuses_them_of_new_variables_too(shop, fixture_copy, judge):
    """`cp -r` of a layer with such a variable prints an error for it, and copies the others."""
    bench = Bench(shop, fixture_copy, "v1_all_dtypes")
    other = shop.directory / "other"
    other.mkdir()
    judge.save_slices(other / "ckpt", "V2", [("new/good", "", ("float32", [2], b"12345678")),
                                             ("new/bad", "", ("bfloat16", [2], b"1234"))])
    second = shop.mount(other, "ro")
    top = bench.mount / "ckpt.v1"
    status, said = jobs.cp("-r", second / "ckpt/new", top)
    assert status and "bad" in said and "good" not in said
    bench.tensors[b"new/good"] = Tensor("float32", [2], b"12345678")
    bench.changed.add(b"new/good")
    bench.mount.unmount()
    told = tensors.read(bench.prefix).tensors
    told.pop(b"new/bad", None)  # its bytes may have come in as what they are without a type
    assert told == bench.tensors
    assert judge.names(bench.prefix)[b"new/good"] == ("float32", [2])


@pytest.mark.sanitized
def test_big_endian_refuses_what_tensorflow_cannot_read_there(shop, fixture_copy, judge):
    """float8, the 4 and 2 bit types and variant: EOPNOTSUPP or EINVAL, as the dtype asks."""
    bench = Bench(shop, fixture_copy, "v2_hand_big_endian")
    path = bench.paths[b"be/uint8"] + b".dtype"
    for dtype in sstable.DT:
        if dtype.startswith(("float8", "float4", "int4", "uint4", "int2", "uint2")):
            refused(bench, path, dtype.encode() + b"\n", "EOPNOTSUPP")
    for dtype in ("variant", "resource"):
        assert tree.error_of(tree.write, path, dtype.encode() + b"\n") in ("EINVAL", "EOPNOTSUPP")
    bench.finish(judge)


def test_big_endian_bytes_are_what_is_seen(shop, fixture_copy, judge):
    """Retyped between sizes of number, the bytes that the mount shows stay, not those on disk."""
    bench = Bench(shop, fixture_copy, "v2_hand_big_endian")
    for key, dtype, shape in ((b"be/float32", "uint8", [12]), (b"be/complex64", "uint16", [2, 2]),
                              (b"be/int16", "int8", [2, 3]), (b"be/float64", "complex64", [3])):
        for facet, text in ((b".shape", tree.shape_text(shape)), (b".dtype", dtype.encode() + b"\n")):
            tree.write(bench.paths[key] + facet, text)
        bench._is(key, Tensor(dtype, shape, bench.tensors[key].value))
    part = bench.paths[b"be/int64"]
    with open(part, "r+b", buffering=0) as f:
        f.seek(5)
        f.write(b"abcdef")
    old = bench.tensors[b"be/int64"].value
    bench._is(b"be/int64", Tensor("int64", [3], old[:5] + b"abcdef" + old[11:]))
    bench.finish(judge)


@pytest.mark.sanitized
@pytest.mark.parametrize("content", [b"garbage", b"\x05ab", b"\xff" * 12])
def test_a_variant_takes_only_what_parses(shop, fixture_copy, judge, content):
    """EINVAL, and the old one stands."""
    bench = Bench(shop, fixture_copy, "v2_variant")
    refused(bench, bench.paths[b"vec"], content, "EINVAL")
    whole = bench.tensors[b"vec"].content()
    refused(bench, bench.paths[b"vec"], whole[:-1], "EINVAL")
    refused(bench, bench.paths[b"vec"], whole + whole, "EINVAL")
    bench.finish(judge)


def test_variants_are_what_tensorflow_saves_again(shop, fixture_copy, judge):
    """Written in another order, copied with cp -r: TensorFlow decodes them."""
    bench = Bench(shop, fixture_copy, "v2_variant")
    bench.write(b"vec", 1)
    top = bench.mount / "ckpt"
    jobs.run(top, "mkdir sub", "cp list* vec* sub")
    for key in (b"list", b"vec"):
        t = bench.tensors[key]
        bench.paths[b"sub/" + key] = os.fsencode(top / "sub") + b"/" + key
        bench._is(b"sub/" + key, Tensor(t.dtype, t.shape, t.value))
    bench.finish(judge)
    keys = ["list", "vec", "zero", "sub/list", "sub/vec"]
    judge.resave(bench.prefix, keys, "variant", shop.directory / "again")
    again = tensors.read(shop.directory / "again").tensors
    assert again == {k.encode(): bench.tensors[k.encode()] for k in keys}


@pytest.mark.parametrize("name", SAVED_MODELS)
def test_a_saved_model_refuses_all_but_values(shop, fixture_copy, judge, name):
    """EPERM for names and types, and the model is what it was."""
    bench = Bench(shop, fixture_copy, name)
    for key, path in bench.paths.items():
        if key == fixtures.GRAPH_KEY:
            continue
        for call in ((os.unlink, path), (os.rename, path, path + b"2"),
                     (os.mkdir, path + b"2"), (os.mknod, path + b"2"),
                     (tree.write, path + b".shape", b"[1, -1, 1]\n"),
                     (tree.write, path + b".dtype", b"int32\n")):
            assert tree.error_of(*call) == "EPERM", call
    bench.finish(judge)
    assert disk.digest(bench.source) == bench.digest


@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_partitioned_strings_are_split_again(shop, judge, kind):
    """A new text goes to the same slices; with another shape to one plain entry."""
    source = shop.directory / "source"
    source.mkdir()
    judge.save_slices(source / "ckpt", kind,
                      [(k, "2 3 0,2:1,2", [[b"b", b"c"], [b"", b"f"]]) for k in "st"] +
                      [(k, "2 3 0,2:0,1", [[b"a"], [b"d"]]) for k in "st"])
    mount = shop.mount(source)
    words = [b"one", b"", b"t\nhree", b"4" * 400, b"\\", b"6"]
    tree.write(mount / "ckpt/s", fixtures.string_content(words, [2, 3]))
    tree.write(mount / "ckpt/t.shape", b"[6]\n")
    mount.unmount()
    after = tensors.read(source / "ckpt").tensors
    assert after[b"s"] == Tensor("string", [2, 3], words, [[(0, 2), (1, 2)], [(0, 2), (0, 1)]])
    assert after[b"t"] == Tensor("string", [6], [b"a", b"b", b"c", b"d", b"", b"f"])
    got = judge.restore_slices(source / "ckpt", [("s", "2 3 0,2:1,2", "string"), ("t", "", "string")])
    assert got == [[words[i] for i in (1, 2, 4, 5)], after[b"t"].value]


@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_a_value_with_a_hole_can_be_written_whole(shop, judge, kind):
    """Then it has no hole any more: TensorFlow reads all of it. What is refused changes nothing."""
    source = shop.directory / "source"
    source.mkdir()
    judge.save_slices(source / "ckpt", kind, [("v", "4 2 0,1:-", [[1., 2.]]), ("v", "4 2 2,2:-", [[5., 6.], [7., 8.]])])
    mount = shop.mount(source)
    before, value = tensors.read(source / "ckpt").tensors, bytes(range(32))
    error = tree.error_of(tree.write, mount / "ckpt/v", value)
    mount.unmount()
    after = tensors.read(source / "ckpt").tensors
    if error:
        assert error in ("EIO", "EOPNOTSUPP", "EINVAL") and after == before
        return
    assert (after[b"v"].value, after[b"v"].holes) == (value, [])
    assert judge.restore_slices(source / "ckpt", [("v", "", "float32")]) == [value]
