"""V1, slices, big-endian and variants in the jobs of the others: parts, scopes, clones."""
import os

import numpy as np
import pytest

import disk
import fixtures
import jobs
import sstable
import tensors
import tree
from tensors import Tensor
from test_edit_every_fixture import Bench
from test_every_fixture import places

SPECIAL = [n for n in fixtures.manifest() if n in fixtures.names("V1") or tensors.is_big_endian(n)
           or any(t.slices for t in tensors.wanted(n).values())]
WITH_SCOPE = [n for n in SPECIAL if any(k.startswith(b"emb/") for k in tensors.wanted(n))]
CLONED = ["v1_all_dtypes", "v1_slices", "v1_tf1_sharded", "v1_big_blocks", "v2_hand_big_endian", "v2_slices_grid",
          "v2_merged_ops", "v2_tf1_partitioned", "v2_variant", "v2_hand_extra_shard", "v2_all_dtypes"]


def patch(path, at, content):
    with open(path, "r+b", buffering=0) as f:
        assert os.pwrite(f.fileno(), content, at) == len(content)


@pytest.mark.sanitized
@pytest.mark.parametrize("name", SPECIAL)
def test_a_part_is_written_in_place(shop, fixture_copy, judge, name):
    """pwrite over the middle of the smallest, a middle and the largest variable of numbers."""
    bench = Bench(shop, fixture_copy, name)
    able = [k for k, t in bench.tensors.items() if len(t.value) >= 8 and isinstance(t.value, bytes)
            and t.dtype != "bool"]
    able.sort(key=lambda k: len(bench.tensors[k].value))
    for key in {able[0], able[len(able) // 2], able[-1]}:
        t = bench.tensors[key]
        at, new = len(t.value) // 2 - 3, b"\1\2\3\4\5"
        patch(bench.paths[key], at, new)
        bench._is(key, Tensor(t.dtype, t.shape, t.value[:at] + new + t.value[at + 5:], t.slices))
    bench.finish(judge)


@pytest.mark.parametrize("name", SPECIAL)
def test_a_wrong_size_changes_nothing(shop, fixture_copy, name):
    """EINVAL at close, for more and for less; the source is as it was to the bit."""
    bench = Bench(shop, fixture_copy, name)
    for key, t in list(bench.tensors.items())[:12]:
        if t.dtype == "string" or key == fixtures.GRAPH_KEY:
            continue
        if t.value:
            assert tree.error_of(os.truncate, bench.paths[key], len(t.value) - 1) == "EINVAL", key
        assert tree.error_of(tree.write, bench.paths[key], t.value + b"x") == "EINVAL", key
    bench.mount.unmount()
    assert disk.digest(bench.source) == bench.digest


@pytest.mark.sanitized
@pytest.mark.parametrize("name", WITH_SCOPE)
def test_a_scope_is_moved_with_its_slices(shop, fixture_copy, judge, name):
    """One rename: every key below goes along, no key of a slice stays."""
    bench = Bench(shop, fixture_copy, name)
    top = bench.mount / tensors.shown_prefix(name)
    os.rename(top / "emb", top / "moved")
    for key in [k for k in bench.tensors if k.startswith(b"emb/")]:
        new = b"moved/" + key[4:]
        bench.paths[new] = bench.paths.pop(key).replace(b"/emb", b"/moved")
        bench.renamed[new] = key
        bench._is(new, bench.tensors.pop(key))
    bench.finish(judge)


@pytest.mark.parametrize("name", [n for n in SPECIAL if "tf2" not in n])
def test_two_variables_are_exchanged(shop, fixture_copy, judge, name):
    """RENAME_EXCHANGE of the first and the last: types, slices and all."""
    bench = Bench(shop, fixture_copy, name)
    keys = sorted(bench.tensors, key=lambda k: (not bench.tensors[k].slices, k))
    one, two = keys[0], keys[-1]
    jobs.exchange(bench.paths[one], bench.paths[two])
    first, second = bench.tensors[one], bench.tensors[two]
    bench._is(one, second)
    bench._is(two, first)
    bench.finish(judge)


@pytest.mark.parametrize("name", [n for n in WITH_SCOPE if "hand" not in n])
def test_everything_below_a_scope_is_removed(shop, fixture_copy, judge, name):
    """rm -r prints nothing, and leaves no key of a slice."""
    bench = Bench(shop, fixture_copy, name)
    jobs.run(bench.mount / tensors.shown_prefix(name), "rm -r emb*")
    for key in [k for k in bench.tensors if k.startswith(b"emb/")]:
        del bench.tensors[key], bench.paths[key]
    bench.finish(judge)


@pytest.mark.parametrize("name", CLONED)
def test_a_clone_is_a_plain_checkpoint(shop, fixture_copy, judge, name):
    """cp -r of a checkpoint of any kind: V2, little-endian, whole variables; the old one stays."""
    bench = Bench(shop, fixture_copy, name)
    shown = tensors.shown_prefix(name)
    jobs.run(bench.mount.point, "cp -r '%s' best" % shown)
    clone = bench.mount / "best"
    variables = [v for v in tensors.variables(name) if v.key]
    for variable, path in tree.find(variables, clone):
        tree.check_variable(variable, path)
    bench.mount.unmount()
    there = disk.digest(bench.source)
    assert {k: v for k, v in there.items() if not k.startswith("best")} == bench.digest
    made = tensors.read(bench.source / "best")
    assert made.header["endian"] == 0
    assert made.tensors == {k: Tensor(t.dtype, t.shape, t.value) for k, t in bench.tensors.items() if k}
    wanted = [(k, "", t.dtype) for k, t in made.tensors.items() if t.dtype != "variant"]
    assert judge.restore_slices(bench.source / "best", wanted) == [
        made.tensors[k].value for k, _, _ in wanted]


@pytest.mark.parametrize("name", ["v1_tf1_adam-2", "v1_slices", "v1_tf1_sharded", "v2_hand_big_endian",
                                  "v2_slices_grid"])
def test_a_layer_is_copied_into_every_kind(shop, fixture_copy, judge, name):
    """From a plain V2 checkpoint, new there and then once more over itself with other bytes."""
    bench = Bench(shop, fixture_copy, name)
    other = shop.mount(fixture_copy("v2_tf1_adam", "other"), "ro")
    top = bench.mount / tensors.shown_prefix(name)
    for step in (3, 4):
        jobs.run(top, "cp -r %s/model.ckpt-%d/dense* ." % (other.point, step))
        for key, t in tensors.wanted("v2_tf1_adam-%d" % step).items():
            if key.startswith(b"dense/"):
                bench.tensors[key] = t
                bench.changed.add(key)
    bench.finish(judge)


def test_only_the_file_of_a_variable_is_written(shop, fixture_copy, judge):
    """V1 in two files: the other one stays as it is; a new variable goes to the last."""
    bench = Bench(shop, fixture_copy, "v1_tf1_sharded")
    files = ["model.ckpt-%05d-of-00002" % i for i in range(2)]
    homes = {}
    for i, name in enumerate(files):
        for key, (_, _, slices) in sstable.V1File(str(bench.source / name)).tensors.items():
            homes.setdefault(key, set()).add(i)
    key = next(k for k, h in homes.items() if h == {0})
    bench.write(key, 1)
    jobs.fsync(bench.paths[key])
    now = disk.digest(bench.source)
    assert [now[n] != bench.digest[n] for n in files] == [True, False]
    bench.copy(key)
    bench.finish(judge)
    last = disk.digest(bench.source)
    assert [last[n] != now[n] for n in files] == [False, True]


def test_slices_of_big_endian_shards(shop, judge):
    """Both at once: read, written, and renamed."""
    source = shop.directory / "source"
    source.mkdir()
    whole = Tensor("int32", [4, 6], np.arange(24, dtype="i4").tobytes(),
                   [[(0, 4), (0, 2)], [(0, 1), (2, 4)], [(1, 3), (2, 4)]])
    made = sstable.BundleBuilder()
    for extents in whole.slices:
        made.add_slice(b"v", 3, whole.shape, extents, tensors.swapped("int32", whole.part(extents)))
    (source / "ckpt.data-00000-of-00001").write_bytes(made.data)
    (source / "ckpt.index").write_bytes(made.index(header=sstable.header_proto(endian=1)))
    assert tensors.read(source / "ckpt").tensors == {b"v": whole}
    mount = shop.mount(source)
    assert tree.read(mount / "ckpt/v") == whole.value
    whole.value = np.arange(100, 124, dtype="i4").tobytes()
    tree.write(mount / "ckpt/v", whole.value)
    os.rename(mount / "ckpt/v", mount / "ckpt/w")
    mount.unmount()
    assert tensors.read(source / "ckpt").tensors == {b"w": whole}
    wanted = [("w", "", "int32"), *(("w", s, "int32") for s in whole.specs())]
    assert judge.restore_slices(source / "ckpt", wanted) == [whole.value, *map(whole.part, whole.slices)]


def test_every_dtype_of_a_big_endian_bundle(shop):
    """What TensorFlow can read there is shown little-endian; the rest too, or it is refused."""
    source = shop.directory / "source"
    source.mkdir()
    made, values = sstable.BundleBuilder(), {}
    for dtype, size in sstable.ITEM.items():
        values[dtype] = bytes(range(1, 3 * size + 1)) if dtype != "bool" else b"\1\0\1"
        made.add(dtype.encode(), sstable.DT[dtype], [3], tensors.swapped(dtype, values[dtype]))
    (source / "ckpt.data-00000-of-00001").write_bytes(made.data)
    (source / "ckpt.index").write_bytes(made.index(header=sstable.header_proto(endian=1)))
    mount = shop.mount(source, "ro")
    for dtype, value in values.items():
        if dtype.startswith(("float8", "float4", "int4", "uint4", "int2", "uint2")):
            if tree.error_of(tree.read, mount / "ckpt" / dtype) == "EOPNOTSUPP":
                continue
        assert tree.read(mount / "ckpt" / dtype) == value, dtype


@pytest.mark.parametrize("name", SPECIAL)
def test_a_damaged_file_costs_its_own_variables(shop, fixture_copy, name):
    """One byte of the data changed: at most what it belongs to is EIO, all else is right."""
    source = fixture_copy(fixtures.directory_of(name))
    prefix = source / fixtures.prefix_of(name)
    paths = sorted(source.rglob("*.data-*")) or sorted(prefix.parent.glob(tensors.GLOB.sub("-*", prefix.name)))
    body = bytearray(paths[0].read_bytes())
    body[len(body) // 3] ^= 0x10
    paths[0].write_bytes(body)
    mount = shop.mount(source, "ro")
    top = mount / tensors.shown_prefix(name)
    if name in fixtures.names("V1") and (tree.error_of(os.listdir, top) or not os.listdir(top)):
        return  # the block that lists the tensors is damaged
    bad = []
    for variable, path in places(top, name):
        error = tree.error_of(tree.read, path)
        if error:
            assert error == "EIO", variable
            bad.append(variable)
        else:
            assert tree.read(path) == variable.content, variable
    assert name in fixtures.names("V1") or len(bad) <= 1, bad
