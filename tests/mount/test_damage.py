"""DESIGN 8: damage stays where it is, and says EIO."""
import os
import stat
import time

import numpy as np
import pytest

import disk
import jobs
import mounts
import sstable
import tensors
import tree
from mounts import wait_until
from writing import save, sh

STEP = "model.ckpt-4"
SHARD = STEP + ".data-00000-of-00001"


def everything(top):
    """{path: error or None} of reading each value below `top`."""
    found = {}
    for root, _, files in os.walk(os.fsencode(top)):
        for name in files:
            if not name.endswith((b".shape", b".dtype")):
                path = os.path.join(root, name)
                found[os.path.relpath(path, os.fsencode(top))] = tree.error_of(tree.read, path)
    return found


def age(path):
    """Makes a file look as if nobody were writing it any more."""
    os.utime(path, (1e9, 1e9))


@pytest.fixture
def source(fixture_copy):
    return fixture_copy("v2_tf1_adam")


def others_are_fine(mount):
    """The neighbouring steps read in full, and the daemon lives."""
    for name in ("model.ckpt-3", "model.ckpt-5"):
        assert set(everything(mount / name).values()) == {None}
    assert mount.alive()


@pytest.mark.sanitized
def test_a_truncated_shard(shop, source):
    """Values past its end give EIO, those before it are read, all are listed."""
    entries = disk.Snapshot(source / STEP).entries
    size = os.stat(source / SHARD).st_size // 2
    os.truncate(source / SHARD, size)
    mount = shop.mount(source)
    for key, entry in entries.items():
        path = mount.path(STEP, tree.path_of(key, entries.keys()))
        assert os.lstat(path).st_size == entry.size
        want = None if entry.offset + entry.size <= size else "EIO"
        mount.mark()
        assert tree.error_of(tree.read, path) == want, key
        assert want is None or mount.news(1, expect=1)
    others_are_fine(mount)


@pytest.mark.sanitized
def test_a_shard_truncated_while_mounted(shop, source):
    """EIO, and no SIGBUS in the daemon."""
    mount = shop.mount(source)
    assert len(tree.read(mount / STEP / "dense/bias")) == 16
    os.truncate(source / SHARD, 0)
    assert tree.error_of(tree.read, mount / STEP / "dense/kernel") in ("EIO", "ENOENT", None)
    others_are_fine(mount)


@pytest.mark.sanitized
def test_a_flipped_byte_in_a_value(shop, source):
    """The read that completes the value is EIO, twice over; the other values are fine."""
    before = disk.Snapshot(source / STEP)
    entry = before.entries[b"dense/kernel"]
    flip(source / SHARD, entry.offset + 50)
    mount = shop.mount(source)
    mount.mark()
    for _ in range(2):
        assert tree.error_of(tree.read, mount / STEP / "dense/kernel") == "EIO"
    assert any("kernel" in line for line in mount.news(1, expect=1))
    bad = {p for p, e in everything(mount / STEP).items() if e}
    assert bad == {b"dense/kernel"}
    others_are_fine(mount)


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x40]))


def test_a_flipped_byte_is_found_by_reads_in_any_order(shop, judge):
    """A value of 1 MiB read in blocks from back to front: the last read is EIO."""
    import numpy as np
    source = shop.directory / "big"
    source.mkdir()
    judge.save(source / "ckpt", {"w": np.arange(1 << 18, dtype="i4")})
    flip(source / "ckpt.data-00000-of-00001", 777777)
    mount = shop.mount(source, "ro")
    fd = os.open(mount / "ckpt/w", os.O_RDONLY)
    errors = [tree.error_of(os.pread, fd, 131072, offset)
              for offset in range((1 << 20) - 131072, -1, -131072)]
    os.close(fd)
    assert "EIO" in errors, errors


def test_noverify_reads_a_flipped_byte(shop, source):
    """-o noverify: the bytes as they are."""
    entry = disk.Snapshot(source / STEP).entries[b"dense/kernel"]
    flip(source / SHARD, entry.offset + 50)
    mount = shop.mount(source, "ro", "noverify")
    assert len(tree.read(mount / STEP / "dense/kernel")) == 96


def test_a_damaged_value_can_be_replaced(shop, source, judge):
    """Writing all of it anew makes the checkpoint whole."""
    entry = disk.Snapshot(source / STEP).entries[b"dense/kernel"]
    flip(source / SHARD, entry.offset + 50)
    mount = shop.mount(source)
    assert tree.error_of(tree.read, mount / STEP / "dense/kernel") == "EIO"
    tree.write(mount / STEP / "dense/kernel", b"\7" * 96)
    assert tree.read(mount / STEP / "dense/kernel") == b"\7" * 96
    mount.unmount()
    assert judge.load(source / STEP)[b"dense/kernel"][2] == b"\7" * 96


@pytest.mark.sanitized
def test_a_missing_shard(shop, source):
    """Everything is listed with its size; values give EIO; a size-0 value does not matter."""
    entries = disk.Snapshot(source / STEP).entries
    os.unlink(source / SHARD)
    mount = shop.mount(source)
    found = everything(mount / STEP)
    assert len(found) == len(entries) and set(found.values()) == {"EIO"}
    assert tree.read(mount / STEP / "dense/kernel.shape") == b"[6, 4]\n"
    others_are_fine(mount)


@pytest.mark.parametrize("options", [["ro"], []])
def test_nothing_is_missing_of_a_value_without_elements(shop, fixture_copy, options):
    source = fixture_copy("v2_shapes")
    os.unlink(source / "ckpt.data-00000-of-00001")
    mount = shop.mount(source, *options)
    found = everything(mount / "ckpt")
    assert set(found.values()) == {None, "EIO"}
    for path, error in found.items():
        assert (error is None) == ((mount / "ckpt" / os.fsdecode(path)).stat().st_size == 0), path


INDEX_DAMAGE = {
    "a flipped byte": lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:],
    "garbage": lambda b: bytes(i * 7 % 251 for i in range(len(b))),
    "nothing": lambda b: b"",
    "half of it": lambda b: b[:len(b) // 2],
    "bytes after the footer": lambda b: b + b"x",
    "no magic": lambda b: b[:-8] + bytes(8),
    "zeros": lambda b: bytes(len(b)),
}


@pytest.mark.sanitized
@pytest.mark.parametrize("what", INDEX_DAMAGE)
def test_a_damaged_index(shop, source, what):
    """The checkpoint is listed as a directory; what cannot be read is EIO; no write gets in."""
    index = source / (STEP + ".index")
    index.write_bytes(INDEX_DAMAGE[what](index.read_bytes()))
    age(index)
    before = disk.digest(source)
    mount = shop.mount(source)
    assert STEP in os.listdir(mount.point)
    assert stat.S_ISDIR(os.lstat(mount / STEP).st_mode)
    mount.mark()
    error = tree.error_of(os.listdir, mount / STEP)
    assert error in (None, "EIO")
    if error is None:
        assert os.listdir(mount / STEP) == []
    error = tree.error_of(tree.read, mount / STEP / "dense/kernel")
    assert error in ("EIO", "ENOENT")
    assert STEP in mount.log()
    others_are_fine(mount)
    mount.unmount()
    assert disk.digest(source) == before


def test_an_index_that_may_still_be_written_fills_no_log(shop, source):
    """It is looked at again and again for two seconds: one line then, and one when it stays so."""
    mount = shop.mount(source)
    index = source / (STEP + ".index")
    whole = bytearray(index.read_bytes())
    whole[60] ^= 1
    index.write_bytes(whole)
    mount.mark()
    for _ in range(30):
        assert tree.error_of(tree.read, mount / STEP / "nothing") in ("EAGAIN", "EIO", "ENOENT")
        time.sleep(0.1)
    assert tree.error_of(os.listdir, mount / STEP) == "EIO"
    assert 1 <= len(mount.news(1, expect=1)) <= 2, mount.news()


def test_a_repaired_index_is_seen(shop, source):
    """A damaged checkpoint that somebody replaces is read again."""
    index = source / (STEP + ".index")
    good = index.read_bytes()
    index.write_bytes(b"garbage" * 30)
    age(index)
    mount = shop.mount(source)
    assert tree.error_of(tree.read, mount / STEP / "dense/kernel") is not None
    (source / "tmp").write_bytes(good)
    os.rename(source / "tmp", index)
    assert wait_until(lambda: tree.error_of(tree.read, mount / STEP / "dense/kernel") is None, 1.5)


@pytest.mark.sanitized
def test_a_shard_that_comes_later_is_read(shop, source):
    """Missing when its values were first listed; soon after it was put there they are read."""
    content = (source / SHARD).read_bytes()
    os.unlink(source / SHARD)
    mount = shop.mount(source)
    assert set(everything(mount / STEP).values()) == {"EIO"}
    (source / "tmp").write_bytes(content)
    os.rename(source / "tmp", source / SHARD)
    assert wait_until(lambda: set(everything(mount / STEP).values()) == {None}, 2.5, 0.1)
    assert tree.read(mount / STEP / "dense/kernel") == disk.Snapshot(
        source / STEP).values[b"dense/kernel"]


@pytest.mark.sanitized
@pytest.mark.parametrize("when", ["before the mount", "while mounted"])
@pytest.mark.parametrize("key", ["small", "large"])
def test_a_truncated_shard_is_not_written_to(shop, key, when):
    """Its end is where missing values belong: the write is refused, the file as it was."""
    place = shop.directory / "place"
    place.mkdir()
    sizes = {"large": 100000, "small": 100, "z": 50000}
    save(place / "ckpt", {k.encode(): k[:1].encode() * n for k, n in sizes.items()})
    if when == "before the mount":
        os.truncate(place / "ckpt.data-00000-of-00001", 120000)
    mount = shop.mount(place)
    assert tree.read(mount / "ckpt/small") == b"s" * 100
    os.truncate(place / "ckpt.data-00000-of-00001", 120000)
    before = disk.digest(place)
    assert tree.error_of(write_durably, mount / "ckpt" / key, b"x" * sizes[key]) in (
        "EIO", "ESTALE")
    assert disk.digest(place) == before
    mounts.run("--unmount", mount.point)
    assert disk.digest(place) == before


def write_durably(path, content):
    """Writes and fsyncs; the first error counts."""
    with open(path, "wb", buffering=0) as f:
        f.write(content)
        os.fsync(f.fileno())


def spoil(prefix, key):
    """Another bit in the middle of a value."""
    entry = disk.Snapshot(prefix).entries[key]
    with open(str(prefix) + ".data-00000-of-00001", "r+b") as f:
        at = entry.offset + entry.size // 2
        byte = os.pread(f.fileno(), 1, at)[0]
        os.pwrite(f.fileno(), bytes([byte ^ 1]), at)


def into(kind, source, judge, items):
    """A checkpoint whose values are encoded when they are stored: {key: uint8 value}."""
    if kind == "v1":
        judge.save_slices(source / "ckpt", "V1", [(k, "", v) for k, v in items.items()])
        return
    made = sstable.BundleBuilder()
    for key, value in sorted(items.items()):
        half = len(value) // 2
        slices = [((0, half),), ((half, len(value) - half),)] if kind == "partitioned" else []
        for extents in slices:
            made.add_slice(key.encode(), sstable.DT["uint8"], [len(value)], extents,
                           value[extents[0][0]:sum(extents[0])].tobytes())
        if not slices:
            made.add(key.encode(), sstable.DT["uint8"], [len(value)], value.tobytes())
    header = sstable.header_proto(1, 1) if kind == "big-endian" else None
    (source / "ckpt.index").write_bytes(made.index(header=header) if header else made.index())
    (source / "ckpt.data-00000-of-00001").write_bytes(made.data)


@pytest.mark.sanitized
@pytest.mark.parametrize("kind", ["v1", "big-endian", "partitioned"])
def test_a_copy_of_a_damaged_value_is_not_a_sound_one(shop, judge, kind):
    """What is encoded gets a checksum of its own: cp fails, and other values are stored."""
    source = shop.directory / "runs"
    source.mkdir()
    old, new = ({k: np.full(20000, i, "u1") for k in "vw"} for i in (1, 2))
    judge.save(source / "from", new)
    spoil(source / "from", b"w")
    into(kind, source, judge, old)
    mount = shop.mount(source)
    status, said = jobs.cp(mount / "from/w", mount / "ckpt/w")
    assert status and "Input/output error" in said
    assert jobs.cp(mount / "from/v", mount / "ckpt/v") == (0, "")
    jobs.fsync(mount / "ckpt/v")
    mount.unmount()
    found = tensors.read(source / "ckpt").tensors
    assert found[b"v"].value == new["v"].tobytes()
    assert found[b"w"].value == old["w"].tobytes()


def test_a_small_write_into_a_damaged_value_leaves_it_damaged(shop, judge):
    """Also where all of it is stored anew, with a checksum of its own."""
    source = shop.directory / "runs"
    source.mkdir()
    into("big-endian", source, judge, {"w": np.full(200000, 1, "u1")})
    spoil(source / "ckpt", b"w")
    mount = shop.mount(source)
    fd = os.open(mount / "ckpt/w", os.O_RDWR)
    assert "EIO" in [tree.error_of(os.pwrite, fd, b"abc", 5), tree.error_of(os.close, fd)]
    mount.unmount()
    with pytest.raises(sstable.TableError, match="checksum"):
        sstable.Bundle(str(source / "ckpt")).value(b"w")


@pytest.mark.parametrize("how", ["echo more >> scalar", "echo '[2]' > scalar.shape"])
def test_damaged_text_gets_no_right_checksum(shop, fixture_copy, how):
    """Neither by a write into it, nor by a shape that asks for its lines; a new value may come."""
    source = fixture_copy("v2_strings")
    data = source / "ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes().replace(b"just one", b"just\none"))
    mount = shop.mount(source)
    sh(how, mount / "ckpt")
    assert tree.error_of(tree.read, mount / "ckpt/scalar") == "EIO"
    mount.unmount()
    mount = shop.mount(source)
    assert tree.error_of(tree.read, mount / "ckpt/scalar") == "EIO"
    jobs.run(mount / "ckpt", "echo '[2]' > scalar.shape", "printf 'a\\nb\\n' > scalar")
    assert tree.read(mount / "ckpt/scalar") == b"a\nb\n"
