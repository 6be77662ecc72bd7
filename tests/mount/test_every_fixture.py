"""All 41 fixtures through a real mount: every variable is what TensorFlow read."""
import os

import numpy as np
import pytest

import disk
import fixtures
import objects
import sstable
import tensors
import tree

EVERY = list(fixtures.manifest())
V1 = fixtures.names("V1")
PARTITIONED = [n for n in EVERY if any(t.slices for t in tensors.wanted(n).values())]


def places(top, name):
    """(variable, path) of every variable of a mounted fixture."""
    variables = tensors.variables(name)
    if not tensors.is_object_based(name):
        yield from tree.find(variables, top)
        return
    by_key = {v.key: v for v in variables}
    expected = objects.Expected(by_key[fixtures.GRAPH_KEY].content, by_key)
    seen = objects.Seen(top)
    for path in seen.files:
        key = expected.files.get(path) or objects.literal_key(path)
        yield by_key[key], seen.full(path)


def mount_of(shop, name, *options):
    mount = shop.mount(fixtures.FIXTURE_DIR / fixtures.directory_of(name), *(options or ["ro"]))
    return mount, mount / tensors.shown_prefix(name)


@pytest.mark.sanitized
@pytest.mark.parametrize("name", EVERY)
def test_every_variable_is_what_tensorflow_read(shop, name):
    """Bytes, sidecars, xattrs and sizes; in order, from the end, and in pieces that fit nothing."""
    _, top = mount_of(shop, name)
    met = set()
    for number, (variable, path) in enumerate(places(top, name)):
        met.add(variable.key)
        if number % 10 and "5000" in name:
            assert tree.read(path) == variable.content, variable
            continue
        tree.check_variable(variable, path)
        info, size = os.lstat(path), len(variable.content)
        assert info.st_blocks == -(-size // 512), variable
        with open(path, "rb", buffering=0) as f:
            for at in (size - 1, size // 2, 1):
                assert os.pread(f.fileno(), 13, max(at, 0)) == variable.content[max(at, 0):][:13]
            assert os.pread(f.fileno(), 5, size) == b""
        if 0 < size:
            assert np.memmap(path, "u1", "r").tobytes() == variable.content, variable
    assert met == tensors.wanted(name).keys()


@pytest.mark.parametrize("name", EVERY)
def test_the_manifest_has_every_variable(shop, name):
    """Key, dtype, shape and, where a number is told, the bytes of the value; sorted by key."""
    mount, _ = mount_of(shop, name)
    file = mount / ".weightfs/manifest" / (tensors.shown_prefix(name) + ".tsv")
    header, *lines = tree.read(file).rstrip(b"\n").split(b"\n")
    assert header.split(b"\t") == b"key dtype shape bytes shard offset crc32c".split()
    told = [line.split(b"\t") for line in lines]
    wanted = sorted(tensors.wanted(name).items())
    assert len(told) == len(wanted)
    for fields, (key, tensor) in zip(told, wanted):
        assert len(fields) == 7, fields
        if all(32 <= c < 127 and c != 92 for c in key):
            assert fields[0] == key
        assert fields[1:3] == [tensor.dtype.encode(), tree.shape_text(tensor.shape).strip()]
        if tensor.dtype not in ("string", "variant"):
            assert fields[3] == b"%d" % len(tensor.value), fields
        if name in V1 or tensor.slices:
            assert fields[6] == b"-"


@pytest.mark.parametrize("name", PARTITIONED)
def test_the_slices_are_an_xattr(shop, name):
    """user.weightfs.slices: of a partitioned variable, a slice a line as TensorFlow has it."""
    _, top = mount_of(shop, name)
    for variable, path in places(top, name):
        tensor = tensors.wanted(name)[variable.key]
        if not tensor.slices:
            assert tree.error_of(os.getxattr, path, "user.weightfs.slices") == "ENODATA"
            continue
        lines = tree.attribute(path, "slices").decode().split("\n")
        shape = [str(d) for d in tensor.shape]
        assert sorted(" ".join([*shape, s]) for s in lines) == sorted(tensor.specs())
        assert b"slices" not in b"".join(os.fsencode(x) for x in os.listxattr(path))


@pytest.mark.sanitized
@pytest.mark.parametrize("name", [n for n in PARTITIONED if "max_shard" not in n])
def test_no_key_of_a_slice_is_shown(shop, name):
    """What is listed are variables, their sidecars and scopes: tree.find() sees nothing else."""
    _, top = mount_of(shop, name)
    assert len(list(places(top, name))) == len(tensors.wanted(name))
    for root, dirs, files in os.walk(os.fsencode(top)):
        assert not [n for n in dirs + files if n.startswith(b"%00") and b"%00%01" in n], root


@pytest.mark.parametrize("name", {fixtures.directory_of(n): n for n in EVERY}.values())
def test_reading_leaves_no_trace(shop, fixture_copy, name):
    """A writable mount that only reads changes no byte of the source, nor its files."""
    source = fixture_copy(fixtures.directory_of(name))
    before = disk.digest(source)
    mount = shop.mount(source)
    for _, path in list(places(mount / tensors.shown_prefix(name), name))[:20]:
        tree.read(path)
    mount.unmount()
    assert disk.digest(source) == before


# ------------------------------------------------ what no fixture has, made here
def holed(judge, directory, kind):
    """[40, 1000] float32 in slices of ten rows, of which the second is not there."""
    value = np.arange(40000, dtype="f4").reshape(40, 1000)
    starts = (0, 20, 30)
    judge.save_slices(directory / "ckpt", kind,
                      [("v", "40 1000 %d,10:-" % s, value[s:s + 10]) for s in starts]
                      + [("w", "", np.arange(3, dtype="i4"))])
    return value


@pytest.mark.sanitized
@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_a_hole_is_an_error_for_its_range(shop, judge, kind):
    """Reads that touch what no slice covers are EIO, with one line; others are right."""
    source = shop.directory / "source"
    source.mkdir()
    value = holed(judge, source, kind)
    mount = shop.mount(source, "ro")
    path = mount / "ckpt/v"
    assert tree.read(str(path) + ".shape") == b"[40, 1000]\n"
    assert os.lstat(path).st_size == 160000
    whole = value.tobytes()
    with open(path, "rb", buffering=0) as f:
        for at, size in ((0, 4096), (20480, 8192), (90112, 4096), (81920, 100), (159000, 1000)):
            assert os.pread(f.fileno(), size, at) == whole[at:at + size], (at, size)
        for at, size in ((40960, 4096), (61440, 12), (77824, 100)):
            assert tree.error_of(os.pread, f.fileno(), size, at) == "EIO", (at, size)
        assert os.pread(f.fileno(), 4096, 118784) == whole[118784:122880]
    assert tree.error_of(tree.read, path) == "EIO"
    assert tree.read(mount / "ckpt/w") == np.arange(3, dtype="i4").tobytes()
    lines = [x for x in mount.news(1, expect=1) if "v" in x]
    assert 1 <= len(lines) <= 3, lines


@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_partitioned_strings_are_one_text(shop, judge, kind):
    """Elements in their places, though TensorFlow cannot assemble them itself."""
    source = shop.directory / "source"
    source.mkdir()
    words = np.array([[b"a", b"", b"b\nc"], [b"\\", b"x" * 300, b"z"]], object)
    judge.save_slices(source / "ckpt", kind,
                      [("s", "2 3 0,2:1,2", words[:, 1:].tolist()), ("s", "2 3 0,2:0,1", words[:, :1].tolist())])
    mount = shop.mount(source, "ro")
    expected = fixtures.string_content(words.ravel().tolist(), [2, 3])
    assert tree.read(mount / "ckpt/s") == expected
    assert os.lstat(mount / "ckpt/s").st_size == len(expected)


@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_every_dtype_is_assembled(shop, judge, kind):
    """Two axes, three by two slices, also of the dtypes that TensorFlow cannot put together."""
    source = shop.directory / "source"
    source.mkdir()
    known = sstable.V1_FIELD if kind == "V1" else sstable.ITEM
    dtypes = [d for d in known if d != "string"]
    parts, wanted = [], {}
    for seed, dtype in enumerate(dtypes):
        value = np.random.RandomState(seed).bytes(7 * 5 * sstable.ITEM[dtype])
        value = bytes(b & 1 for b in value) if dtype == "bool" else value
        if dtype in ("int4", "uint4", "int2", "uint2", "float4_e2m1fn"):
            value = bytes(b & (15 if "4" in dtype else 3) for b in value)
        whole = tensors.Tensor(dtype, [7, 5], value)
        for a, n in ((4, 3), (0, 1), (1, 3)):
            for b, m in ((0, 2), (2, 3)):
                extents = [(a, n), (b, m)]
                parts.append((dtype, tensors.spec([7, 5], extents), (dtype, [n, m], whole.part(extents))))
        wanted[dtype] = value
    judge.save_slices(source / "ckpt", kind, parts)
    mount = shop.mount(source, "ro")
    for dtype, value in wanted.items():
        assert tree.read(mount / "ckpt" / dtype) == value, dtype


@pytest.mark.sanitized
def test_a_missing_shard_is_an_error_of_its_variables(shop, fixture_copy):
    """They are listed, and EIO to read; those of other shards are right."""
    source = fixture_copy("v2_merged_ops")
    os.unlink(source / "ckpt.data-00001-of-00003")
    bundle = sstable.Bundle(str(fixtures.FIXTURE_DIR / "v2_merged_ops/ckpt"))
    mount = shop.mount(source, "ro")
    errors = {}
    for variable, path in tree.find(tensors.variables("v2_merged_ops"), mount / "ckpt"):
        slices = tensors.wanted("v2_merged_ops")[variable.key].slices
        keys = [sstable.slice_key(variable.key, s) for s in slices] or [variable.key]
        gone = any(bundle.entries[k].shard == 1 for k in keys)
        errors[variable.key] = gone
        assert os.lstat(path).st_size == len(variable.content) or gone
        if gone:
            assert tree.error_of(tree.read, path) == "EIO", variable
        else:
            assert tree.read(path) == variable.content
    assert set(errors.values()) == {True, False}


def test_v2_wins_over_v1_of_the_same_prefix(shop, fixture_copy):
    """The checkpoint is the bundle; the file beside it is shown as what it is."""
    source = fixture_copy("v2_tf1_adam")
    v1 = (fixtures.FIXTURE_DIR / "v1_tf1_adam/model.ckpt-2").read_bytes()
    (source / "model.ckpt-4").write_bytes(v1)
    mount = shop.mount(source, "ro")
    names = os.listdir(mount.point)
    directory = [n for n in names if n.startswith("model.ckpt-4") and (mount / n).is_dir()]
    assert directory == ["model.ckpt-4.d"]
    assert (mount / "model.ckpt-4").read_bytes() == v1
    for variable, path in tree.find(tensors.variables("v2_tf1_adam-4"), mount / "model.ckpt-4.d"):
        tree.check_variable(variable, path)


def v1_without(name, **changes):
    """A V1 fixture's table as other writers could have made it."""
    file = sstable.V1File(str(fixtures.FIXTURE_DIR / fixtures.manifest()[name]["prefix"]))
    table = dict(file.kv)
    if "versions" in changes:
        fields = [(n, v) for n, _, v in sstable.proto_fields(table[b""]) if n == 1]
        meta = b"".join(sstable.f_bytes(1, x, True) for n, _, x in sstable.proto_fields(fields[0][1]) if n == 1)
        table[b""] = sstable.f_bytes(1, meta, True)
    for key in changes.get("dropped", ()):
        del table[key]
    table.update(changes.get("added", {}))
    writer = sstable.TableWriter(**changes.get("layout", {}))
    for key in sorted(table):
        writer.add(key, table[key])
    return writer.finish()


@pytest.mark.sanitized
@pytest.mark.parametrize("how", ["without versions", "with a record more", "in tiny blocks"])
def test_v1_tables_as_others_wrote_them(shop, how):
    """All that TensorFlow takes is shown the same."""
    source = shop.directory / "source"
    source.mkdir()
    stray = sstable.slice_key(b"stray", [None])
    made = {"without versions": dict(versions=None),
            "with a record more": dict(added={stray: b"\x12\0", b"zzz": b"junk"}),
            "in tiny blocks": dict(layout=dict(block_size=64, interval=2))}[how]
    (source / "ckpt.v1").write_bytes(v1_without("v1_all_dtypes", **made))
    mount = shop.mount(source, "ro")
    for variable, path in tree.find(tensors.variables("v1_all_dtypes"), mount / "ckpt.v1"):
        tree.check_variable(variable, path)


def test_a_v1_record_that_is_not_there_is_an_error_of_one_variable(shop):
    """It is listed and EIO; all the others are right."""
    source = shop.directory / "source"
    source.mkdir()
    gone = sstable.slice_key(b"vec/int32", [None])
    (source / "ckpt.v1").write_bytes(v1_without("v1_all_dtypes", dropped=[gone]))
    mount = shop.mount(source, "ro")
    for variable, path in tree.find(tensors.variables("v1_all_dtypes"), mount / "ckpt.v1"):
        if variable.key == b"vec/int32":
            assert tree.error_of(tree.read, path) == "EIO"
        else:
            assert tree.read(path) == variable.content
