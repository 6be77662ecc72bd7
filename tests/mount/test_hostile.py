"""Checkpoints made to do harm: no crash, no loop, nothing read from elsewhere."""
import os
import random
import shutil
import struct

import pytest

import fixtures
import sstable
import tree
from writing import pread

DT = sstable.DT
VALUE = bytes(range(96))


def entry(**fields):
    made = dict(dtype=DT["float32"], shape=[6, 4], offset=0, size=96,
                crc=sstable.mask(sstable.crc(VALUE)))
    made.update(fields)
    return sstable.Entry(**made)


LIES = {
    "negative offset": entry(offset=-8),
    "offset past the end": entry(offset=1 << 62),
    "offset plus size overflows": entry(offset=(1 << 63) - 8),
    "size too large": entry(size=1 << 40),
    "negative size": entry(size=-96),
    "size that is not the shape's": entry(size=95),
    "dtype 0": entry(dtype=0),
    "dtype 20": entry(dtype=20),
    "dtype 101": entry(dtype=101),
    "dtype negative": entry(dtype=-1),
    "dtype unheard of": entry(dtype=77),
    "negative dimension": entry(shape=[-6, -4]),
    "elements overflow": entry(shape=[1 << 62, 1 << 62]),
    "elements overflow beside a zero": entry(shape=[1 << 62, 1 << 62, 0], size=0),
    "bytes overflow": entry(shape=[1 << 62]),
    "300 dimensions": entry(shape=[1] * 300, size=4),
    "shard that is not there": entry(shard=7),
    "negative shard": entry(shard=-1),
    "huge shard": entry(shard=2**31 - 1),
    "slices of nothing": entry(slices=[[(0, 3), (0, 4)], [(3, 3), (0, 4)]], size=0),
    "overlapping slices": entry(slices=[[(0, 6), (0, 4)], [(0, 6), (0, 4)]], size=0),
    "garbage": b"\xff" * 40,
    "cut short": entry().encode()[:-3],
    "strings without lengths": entry(dtype=DT["string"], shape=[1 << 40]),
    "a string of a huge length": entry(dtype=DT["string"], shape=[1]),
    "unknown rank": sstable.f_varint(1, 1) + sstable.f_bytes(2, sstable.f_varint(3, 1), True),
    "no shape": sstable.f_varint(1, 1) + sstable.f_varint(5, 4),
}
# An index with one of these makes TensorFlow abort: it must never be written again.
DEADLY = {"dtype 0", "dtype 20", "dtype 101", "dtype negative", "dtype unheard of",
          "negative dimension", "elements overflow", "elements overflow beside a zero",
          "300 dimensions", "overlapping slices", "garbage", "cut short"}
HEADERS = {
    "from the future": sstable.header_proto(1, 0, 1, 2),
    "no shards": sstable.header_proto(0),
    "a million shards": sstable.header_proto(1000000),
    "negative shards": sstable.f_varint(1, -5),
    "odd byte order": sstable.header_proto(1, 7),
    "garbage": b"\xff\xff\xff\xff",
}


def put(directory, prefix, index):
    directory.mkdir(exist_ok=True)
    (directory / (prefix + ".index")).write_bytes(index)
    (directory / (prefix + ".data-00000-of-00001")).write_bytes(VALUE)
    os.utime(directory / (prefix + ".index"), (1e9, 1e9))


def read_all(top):
    """Reads every file and attribute below, whatever the answers."""
    for root, _, files in os.walk(os.fsencode(top)):
        for name in files:
            path = os.path.join(root, name)
            tree.error_of(os.lstat, path)
            if tree.error_of(os.lstat, path) is None and os.lstat(path).st_size < 1 << 30:
                tree.error_of(tree.read, path)
            else:
                tree.error_of(pread, path, 4096, 0)
            tree.error_of(os.getxattr, path, "user.weightfs.key")


def good_one_reads(mount):
    assert tree.read(mount / "good/w") == VALUE
    assert mount.alive()


@pytest.mark.sanitized
def test_entries_that_lie(shop):
    """Each lie in a checkpoint of its own beside an honest entry, all in one mount."""
    source = shop.directory / "source"
    put(source, "good", sstable.make_index({b"w": entry()}))
    for i, lie in enumerate(LIES.values()):
        put(source, "bad-%d" % i, sstable.make_index({b"lie": lie, b"w": entry()}))
    mount = shop.mount(source)
    for i, what in enumerate(LIES):
        top = mount / ("bad-%d" % i)
        read_all(top)
        assert tree.error_of(tree.read, top / "lie") is not None, what
        assert tree.error_of(tree.read, top / "w") in (None, "EIO", "ENOENT"), what
        good_one_reads(mount)


@pytest.mark.sanitized
def test_a_checkpoint_that_is_not_understood_is_not_written(shop):
    """With a lie in its index that TensorFlow aborts on, no value of it can be replaced."""
    source = shop.directory / "source"
    for i, lie in enumerate(LIES.values()):
        put(source, "bad-%d" % i, sstable.make_index({b"lie": lie, b"w": entry()}))
    indexes = {p: p.read_bytes() for p in source.glob("*.index")}
    mount = shop.mount(source)
    for i, what in enumerate(LIES):
        error = tree.error_of(tree.write, mount / ("bad-%d" % i) / "w", bytes(96))
        assert what not in DEADLY or error is not None, what
    mount.unmount()
    for i, what in enumerate(LIES):
        if what in DEADLY:
            path = source / ("bad-%d.index" % i)
            assert path.read_bytes() == indexes[path], what


@pytest.mark.sanitized
def test_headers_that_lie(shop):
    """Of versions, shard counts and byte orders."""
    source = shop.directory / "source"
    put(source, "good", sstable.make_index({b"w": entry()}))
    for i, header in enumerate(HEADERS.values()):
        put(source, "bad-%d" % i, sstable.make_index({b"w": entry()}, header=header))
    mount = shop.mount(source)
    for i, what in enumerate(HEADERS):
        read_all(mount / ("bad-%d" % i))
        if what in ("from the future", "garbage"):
            assert tree.error_of(tree.read, mount / ("bad-%d" % i) / "w") is not None, what
        good_one_reads(mount)


def graph(*nodes):
    """A serialized graph: each node is ([(child, name)], key or None)."""
    out = b""
    for edges, key in nodes:
        body = b"".join(sstable.f_bytes(1, sstable.f_varint(1, c) + sstable.f_bytes(2, n), True)
                        for c, n in edges)
        if key is not None:
            body += sstable.f_bytes(2, sstable.f_bytes(1, b"VARIABLE_VALUE") +
                                    sstable.f_bytes(3, key), True)
        out += sstable.f_bytes(1, body, True)
    return out


GRAPHS = {
    "a loop": graph(([(0, b"self"), (1, b"a")], None), ([(0, b"up"), (1, b"me")], None)),
    "a node that is not there": graph(([(99, b"x")], None)),
    "a negative node": graph(([(-1, b"x")], None)),
    "no node": b"",
    "garbage": b"\xff" * 33,
    "a key that is not there": graph(([(1, b"x")], None), ([], b"nothing")),
    "the graph's own key": graph(([(1, b"x")], None), ([], fixtures.GRAPH_KEY)),
    "names of all kinds": graph(([(1, b""), (1, b"."), (1, b".."), (1, b"/"), (1, b"\0"),
                                  (1, b"x.shape"), (1, b"\n" * 300), (1, b"x"), (1, b"x")], None),
                                ([], b"w")),
    "a long chain": graph(*[([(i + 1, b"n")], None) for i in range(3000)], ([], b"w")),
    "a wide mesh": graph(*[([(j, b"e%d" % j) for j in range(60)], None) for i in range(60)]),
}


@pytest.mark.sanitized
def test_graphs_that_lie(shop):
    """Loops, wild references, deep chains: listed in bounded time, and the keys are there."""
    source = shop.directory / "source"
    put(source, "good", sstable.make_index({b"w": entry()}))
    for i, body in enumerate(GRAPHS.values()):
        raw, crc = sstable.encode_strings([body])
        entries = {b"w": entry(), fixtures.GRAPH_KEY: sstable.Entry(
            DT["string"], [], 0, 96, len(raw), sstable.mask(crc))}
        put(source, "bad-%d" % i, sstable.make_index(entries))
        with open(source / ("bad-%d.data-00000-of-00001" % i), "ab") as f:
            f.write(raw)
    mount = shop.mount(source)
    for i, what in enumerate(GRAPHS):
        read_all(mount / ("bad-%d" % i))
        good_one_reads(mount)
        assert what


@pytest.mark.sanitized
@pytest.mark.parametrize("body", [
    graph(([], b"w")),
    graph(([(1, b"a")], None), ([], None), ([], b"w")),
    graph(*[([(i + 1, b"n")], None) for i in range(300)], ([], b"w"))],
    ids=["of the root", "not reached", "too deep"])
def test_values_that_no_name_leads_to_stay_under_their_keys(shop, body):
    """They cannot be moved, as no edge would move; they can be removed."""
    source = shop.directory / "source"
    raw, crc = sstable.encode_strings([body])
    graph_entry = sstable.Entry(DT["string"], [], 0, 96, len(raw), sstable.mask(crc))
    put(source, "bad", sstable.make_index({b"w": entry(), fixtures.GRAPH_KEY: graph_entry}))
    with open(source / "bad.data-00000-of-00001", "ab") as f:
        f.write(raw)
    mount = shop.mount(source)
    top = mount / "bad"
    os.mkdir(top / "made")
    for to in ("v", "made/v", "v~"):
        assert tree.error_of(os.rename, top / "w", top / to) == "EPERM"
    assert tree.read(top / "w") == VALUE
    os.unlink(top / "w")
    mount.unmount()
    assert b"w" not in sstable.Bundle(str(source / "bad")).entries


@pytest.mark.sanitized
@pytest.mark.parametrize("change", [shutil.rmtree, lambda path: os.rename(path, path + "2")],
                         ids=["removed", "renamed"])
def test_a_graph_has_no_slices(shop, change):
    """An object that has the key of a slice for its own takes it nowhere."""
    source = shop.directory / "source"
    build = sstable.BundleBuilder()
    build.add(b"o/x/.ATTRIBUTES/VARIABLE_VALUE", DT["uint8"], [1], b"x")
    build.add_slice(b"p", DT["uint8"], [4], [(0, 2)], b"12")
    build.add_slice(b"p", DT["uint8"], [4], [(2, 2)], b"34")
    build.add(fixtures.GRAPH_KEY, DT["string"], [], [graph(
        ([(1, b"o"), (4, b"p")], None), ([(2, b"x"), (3, b"s")], None),
        ([], b"o/x/.ATTRIBUTES/VARIABLE_VALUE"), ([], sstable.slice_key(b"p", [(0, 2)])),
        ([], b"p"))])
    put(source, "bad", build.index())
    (source / "bad.data-00000-of-00001").write_bytes(build.data)
    mount = shop.mount(source)
    change(str(mount / "bad/o"))
    mount.unmount()
    assert tree.read(shop.mount(source, "ro") / "bad/p") == b"1234"


@pytest.mark.sanitized
def test_indexes_with_random_damage(shop, dice, long):
    """Hundreds of damaged copies of real indexes, all read in one mount."""
    source = shop.directory / "source"
    put(source, "good", sstable.make_index({b"w": entry()}))
    originals = [(fixtures.FIXTURE_DIR / (fixtures.manifest()[n]["prefix"] + ".index")).read_bytes()
                 for n in ("v2_tf1_adam-3", "v2_hand_snappy", "v2_tf2_keras3", "v2_slices_grid")]
    for i in range(1000 if long else 150):
        put(source, "bad-%d" % i, damage(bytearray(dice.choice(originals)), dice))
    mount = shop.mount(source, limit=240)
    for name in sorted(os.listdir(mount.point)):
        read_all(mount / name)
    good_one_reads(mount)


def damage(index, dice: random.Random):
    """Flips, cuts, or swaps bytes; checksums of blocks are put right half of the time."""
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(index))
        kind = dice.randrange(4)
        if kind == 0:
            index[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            index[at] = dice.choice((0, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del index[at:at + dice.randrange(1, 9)]
        else:
            index[at:at] = bytes(dice.randrange(1, 9))
        if len(index) < 60:
            break
    return with_right_checksums(index) if dice.random() < 0.7 else bytes(index)


def with_right_checksums(index):
    """Recomputes the checksum of each block that the footer and the index block name."""
    try:
        foot = bytes(index[-sstable.FOOTER:])
        p, handles = 0, []
        for _ in range(2):
            o, p = sstable.read_uvarint(foot, p)
            n, p = sstable.read_uvarint(foot, p)
            handles.append((o, n))
        fix(index, *handles[1])
        block, _ = sstable.block_at(bytes(index), *handles[1])
        for _, value in sstable.block_entries(block):
            o, q = sstable.read_uvarint(value, 0)
            n, q = sstable.read_uvarint(value, q)
            fix(index, o, n)
    except (ValueError, IndexError, struct.error, sstable.TableError, OverflowError, MemoryError):
        pass
    return bytes(index)


def fix(index, offset, size):
    if offset + size + 5 <= len(index):
        crc = sstable.mask(sstable.crc(bytes(index[offset:offset + size + 1])))
        index[offset + size + 1:offset + size + 5] = crc.to_bytes(4, "little")


def expanding_index(prefix, count):
    """An index whose keys share `prefix` bytes: they stand for `count` times as many."""
    value = entry(shape=[0], size=0, crc=0).encode()
    block = sstable._Block(1 << 30)
    block.add(b"", sstable.header_proto(1))
    first = b"k" * prefix
    block.add(first, value)
    for i in range(count):
        suffix = i.to_bytes(3, "big")
        block.buf += sstable.uvarint(prefix) + b"\3" + sstable.uvarint(len(value)) + suffix + value
    writer = sstable.TableWriter()
    handle = writer._emit(block.finish())
    meta = writer._emit(sstable._Block(16).finish())
    writer.index.add(b"l", handle)
    foot = meta + writer._emit(writer.index.finish())
    return bytes(writer.out) + foot + bytes(40 - len(foot)) + struct.pack("<Q", sstable.MAGIC)


def peak_memory(pid):
    """The most resident memory that a process ever had, in bytes."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return next(int(x.split()[1]) * 1024 for x in f if x.startswith("VmHWM"))


def test_keys_that_expand_take_no_memory(shop):
    """A small index that stands for gigabytes of keys: under 200 MB, and the others go on."""
    source = shop.directory / "source"
    put(source, "good", sstable.make_index({b"w": entry()}))
    put(source, "bad", expanding_index(100000, 12000))
    assert os.stat(source / "bad.index").st_size < 400000
    mount = shop.mount(source)
    tree.error_of(os.listdir, mount / "bad")
    tree.error_of(os.lstat, mount / "bad/w")
    good_one_reads(mount)
    assert peak_memory(mount.process.pid) < 200e6
    tree.write(mount / "good/w", bytes(96))
    assert tree.read(mount / "good/w") == bytes(96)
