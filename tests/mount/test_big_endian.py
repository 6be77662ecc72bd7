"""A checkpoint of a big-endian machine: shown little-endian, written back as it was."""
import os
import random
import subprocess

import numpy as np
import pytest

import disk
import fixtures
import sstable
import tree
import writing

FIXTURE = "v2_hand_big_endian"
BIG = sstable.header_proto(1, 1)
REFUSED = sorted(n for n in sstable.ITEM if n.startswith("float8") or n in (
    "int4", "uint4", "int2", "uint2", "float4_e2m1fn"))
JUDGED = sorted(set(sstable.ITEM) - set(REFUSED))


def built(source, items):
    """A big-endian checkpoint, {key: (dtype, shape, slices, value)}: bytes little-endian."""
    made = sstable.BundleBuilder()
    for key, (dtype, shape, slices, value) in items.items():
        for extents in slices or [None]:
            part, size = value, shape
            if extents:
                start, length = extents[0]
                row = len(value) // shape[0]
                part = value[start * row:(start + length) * row]
                size = [length] + list(shape[1:])
            if dtype == "string":
                raw, crc = sstable.encode_strings(part, ">")
            else:
                raw = sstable.turned(dtype, part)
                crc = sstable.crc(raw)
            code = sstable.DT[dtype]
            name = sstable.slice_key(key, extents) if extents else key
            made.entries[name] = sstable.Entry(code, size, 0, len(made.data), len(raw),
                                               sstable.mask(crc))
            made.data += raw
        if slices:
            made.entries[key] = sstable.Entry(code, shape, slices=slices)
    (source / "ckpt.index").write_bytes(made.index(header=BIG))
    (source / "ckpt.data-00000-of-00001").write_bytes(made.data)


@pytest.fixture(name="source")
def make_source(shop):
    where = shop.directory / "source"
    where.mkdir()
    return where


def everything():
    """A variable of every dtype."""
    rng = random.Random(5)
    items = {n.encode(): (n, [3, 5], [], rng.randbytes(15 * sstable.ITEM[n]))
             for n in sstable.ITEM}
    items[b"string"] = ("string", [4], [], [b"a", b"", b"long" * 1000, b"x\ny"])
    return items


def content(item):
    return fixtures.string_content(item[3], item[1]) if item[0] == "string" else item[3]


@pytest.mark.sanitized
def test_every_dtype_reads_little_endian(shop, source):
    """Complex numbers by halves; any range, be it within a number."""
    items = everything()
    built(source, items)
    rng = random.Random(1)
    mount = shop.mount(source, "ro")
    for key, item in items.items():
        want = content(item)
        path = mount / "ckpt" / key.decode()
        for _ in range(10):
            at, size = rng.randrange(len(want)), rng.randrange(len(want))
            assert writing.pread(path, size, at) == want[at:at + size], key
        assert path.read_bytes() == want, key


def test_a_damaged_value_is_found(shop, source):
    """The checksum is that of the bytes on disk: the read that completes them is EIO."""
    built(source, {b"a": ("float64", [100], [], os.urandom(800)),
                   b"b": ("int16", [4], [], b"12345678"),
                   b"s": ("string", [2], [], [b"abc", b"def"])})
    data = source / "ckpt.data-00000-of-00001"
    raw = bytearray(data.read_bytes())
    raw[77] ^= 4
    raw[-1] ^= 1
    data.write_bytes(raw)
    mount = shop.mount(source, "ro")
    assert tree.error_of(tree.read, mount / "ckpt/a") == "EIO"
    assert tree.error_of(tree.read, mount / "ckpt/s") == "EIO"
    assert (mount / "ckpt/b").read_bytes() == b"12345678"


@pytest.mark.parametrize("key", [v.key for v in fixtures.variables(FIXTURE)])
def test_a_written_value_is_big_endian_on_disk(shop, fixture_copy, judge, key):
    """Each variable of the fixture, strings among them; TensorFlow reads all of them."""
    source = fixture_copy(fixtures.directory_of(FIXTURE))
    prefix = source / fixtures.prefix_of(FIXTURE)
    before = disk.Snapshot(prefix)
    variable = next(v for v in fixtures.variables(FIXTURE) if v.key == key)
    if variable.dtype == "string":
        count = int(np.prod(variable.shape))
        stored = [b"new %d" % i for i in range(count)]
        new = fixtures.string_content(stored, variable.shape)
    else:
        stored = new = bytes(b ^ 1 for b in variable.content)
    with shop.mount(source) as mount:
        tree.write(mount.path(fixtures.prefix_of(FIXTURE), key), new)
        assert tree.read(mount.path(fixtures.prefix_of(FIXTURE), key)) == new
    after = disk.Snapshot(prefix)
    assert after.header == before.header
    disk.assert_only_changed(before, after, {key: stored})
    if variable.dtype not in REFUSED:
        told = judge.restore_v2(prefix, {key.decode(): variable.dtype})[key.decode()]
        assert told[2] == stored


@pytest.mark.parametrize("how", ["dd", "memmap", "truncate"])
def test_a_part_of_it_can_be_written(shop, source, judge, how):
    """dd conv=notrunc, np.memmap r+, truncate: what users see is little-endian."""
    old = np.arange(1000, dtype="<f4")
    built(source, {b"v": ("float32", [1000], [], old.tobytes()), b"w": ("int32", [1], [], b"abcd")})
    new = old.copy()
    new[100:110] = -1
    with shop.mount(source) as mount:
        path = mount / "ckpt/v"
        if how == "dd":
            subprocess.run(["dd", "of=%s" % path, "bs=4", "seek=100", "conv=notrunc"],
                           input=new[100:110].tobytes(), check=True, stderr=subprocess.DEVNULL)
        elif how == "memmap":
            data = np.memmap(path, "<f4", "r+")
            data[100:110] = -1
            data.flush()
            del data
        else:
            with open(path, "r+b") as f:
                f.truncate(401)
                f.seek(400)
                f.write(new[100:].tobytes())
    assert judge.load(source / "ckpt") == {
        b"v": ("float32", [1000], new.tobytes()), b"w": ("int32", [1], b"abcd")}


def test_new_variables_of_every_dtype(shop, source, judge):
    """With sidecars, as cp -r makes them; TensorFlow restores all of them."""
    built(source, {b"old": ("uint8", [3], [], b"abc")})
    rng = random.Random(3)
    want = {}
    with shop.mount(source) as mount:
        for name in JUDGED:
            want[name] = b"\1" * 6 if name == "bool" else rng.randbytes(6 * sstable.ITEM[name])
            (mount / ("ckpt/%s.dtype" % name)).write_text(name)
            (mount / ("ckpt/%s.shape" % name)).write_text("[2, 3]")
            (mount / "ckpt" / name).write_bytes(want[name])
        (mount / "ckpt/s.dtype").write_text("string")
        (mount / "ckpt/s.shape").write_text("[2]")
        (mount / "ckpt/s").write_bytes(b"one\ntwo\n")
    told = judge.restore_v2(source / "ckpt", {n: n for n in want} | {"s": "string", "old": "uint8"})
    assert {k: v[2] for k, v in told.items()} == {**want, "s": [b"one", b"two"], "old": b"abc"}


@pytest.mark.parametrize("dtype", REFUSED + ["variant"])
def test_what_tensorflow_cannot_read_there_is_refused(shop, source, dtype):
    """EOPNOTSUPP and a log line, from the sidecar or from the close of a copy; no trace on disk."""
    little = source / "little"
    little.mkdir()
    made = sstable.BundleBuilder()
    made.add(b"v", sstable.DT[dtype], [2], [b"x", b""] if dtype == "variant" else b"\1\2")
    (little / "ckpt.index").write_bytes(made.index())
    (little / "ckpt.data-00000-of-00001").write_bytes(made.data)
    built(source, {b"old": ("uint8", [2], [], b"ab")})
    mount = shop.mount(source)

    def declare(name):
        (mount / "ckpt" / name).write_text(dtype + "\n")
    mount.mark()
    assert tree.error_of(declare, "old.dtype") == "EOPNOTSUPP"
    assert "big-endian" in "".join(mount.news(1, expect=1))
    assert tree.error_of(declare, "made.dtype") == "EOPNOTSUPP"
    status, said = writing.sh("cp little/ckpt/v ckpt/new", mount.point)
    assert status == 1 and "not supported" in said
    mount.unmount()
    assert disk.Snapshot(source / "ckpt").entries.keys() == {b"old"}


@pytest.mark.parametrize("text, shape", [("float64\n", [6]), ("int16\n", [24]), ("int32\n", [12])])
def test_a_retype_keeps_the_bytes_that_are_seen(shop, source, judge, text, shape):
    """Numbers of another width lie otherwise on disk, and are the same in the file."""
    value = bytes(range(48))
    built(source, {b"v": ("float32", [12], [], value)})
    with shop.mount(source) as mount:
        (mount / "ckpt/v.shape").write_text(str(shape))
        (mount / "ckpt/v.dtype").write_text(text)
        assert (mount / "ckpt/v").read_bytes() == value
    assert judge.load(source / "ckpt") == {b"v": (text.strip(), shape, value)}


def test_partitioned(shop, source, judge):
    """Both at once: in slices, and big-endian."""
    old, new = (np.random.RandomState(i).bytes(96) for i in range(2))
    built(source, {b"v": ("complex64", [6, 2], [[[0, 2], None], [[2, 4], None]], old),
                   b"w": ("int32", [1], [], b"abcd")})
    with shop.mount(source) as mount:
        assert (mount / "ckpt/v").read_bytes() == old
        tree.write(mount / "ckpt/v", new)
        assert (mount / "ckpt/v").read_bytes() == new
    after = disk.Snapshot(source / "ckpt")
    assert len(after.entries[b"v"].slices) == 2 and after.whole(b"v") == new
    assert judge.load(source / "ckpt")[b"v"] == ("complex64", [6, 2], new)


@pytest.mark.parametrize("direction", ["big to little", "little to big"])
def test_cp_between_both_kinds(shop, source, judge, direction):
    """cp -r within one mount takes no checksum over, and the values arrive."""
    items = {n.encode(): ("string" if n == "string" else n, *x[1:]) for n, x in (
        (k.decode(), v) for k, v in everything().items()) if n in JUDGED + ["string"]}
    items[b"bool"] = ("bool", [2], [], b"\0\1")
    items[b"large"] = ("float32", [70, 1000], [], np.random.RandomState(1).bytes(280000))
    big = source / "big"
    big.mkdir()
    built(big, items if direction == "big to little" else {b"x": ("uint8", [1], [], b"x")})
    little = source / "little"
    little.mkdir()
    made = sstable.BundleBuilder()
    for key, (dtype, shape, _, value) in items.items():
        if direction == "little to big":
            made.add(key, sstable.DT[dtype], shape, value)
    made.add(b"y", sstable.DT["uint8"], [1], b"y")
    (little / "ckpt.index").write_bytes(made.index())
    (little / "ckpt.data-00000-of-00001").write_bytes(made.data)
    one, other = ("big", "little") if direction == "big to little" else ("little", "big")
    with shop.mount(source) as mount:
        assert writing.sh("cp -r %s/ckpt %s/ckpt/scope" % (one, other), mount.point) == (0, "")
    told = judge.load(source / other / "ckpt")
    for key, (dtype, shape, _, value) in items.items():
        assert told[b"scope/" + key] == (dtype, shape, value), key


def test_it_can_be_renamed_and_removed(shop, source, judge):
    """Names are the index's: no byte of a value is touched."""
    built(source, {b"a": ("int32", [2], [], b"abcdefgh"), b"b": ("int16", [1], [], b"xy"),
                   b"c": ("int16", [1], [], b"zz")})
    with shop.mount(source) as mount:
        os.rename(mount / "ckpt/a", mount / "ckpt/d")
        os.unlink(mount / "ckpt/b")
    assert judge.load(source / "ckpt") == {
        b"d": ("int32", [2], b"abcdefgh"), b"c": ("int16", [1], b"zz")}


def test_thousands_of_strings_take_few_descriptors(shop, source):
    """Each is made anew in a file of its own, which does not stay."""
    built(source, {b"s/%d" % i: ("string", [2], [], [b"a%d" % i, b"b"]) for i in range(2000)})
    mount = shop.mount(source, "ro")
    for i in range(2000):
        assert (mount / ("ckpt/s/%d" % i)).read_bytes() == b"a%d\nb\n" % i
    assert all(len(os.listdir("/proc/%d/fd" % p)) < 200 for p in mount.pids())
