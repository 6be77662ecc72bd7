"""DESIGN 5: what a commit writes, and when it is durable."""
import os
import time

import numpy as np
import pytest

import disk
import sstable
import tree
from writing import KERNEL, STEP, numbers, wait_for

PATH = STEP + "/dense/kernel"


def commit(mount, path, content):
    """Writes a value and waits until it is durable."""
    with open(mount / path, "r+b", buffering=0) as f:
        f.write(content)
        os.fsync(f.fileno())


@pytest.mark.sanitized
def test_fsync_returns_when_the_value_is_on_disk(adam, judge):
    """The checkpoint on disk has the value, while the mount goes on."""
    source, mount = adam
    for turn in range(5):
        new = numbers(24, turn)
        commit(mount, PATH, new)
        assert disk.Snapshot(source / STEP).values[KERNEL] == new
        assert judge.load(source / STEP)[KERNEL][2] == new


def test_fsync_of_a_directory_waits_too(adam):
    """fsync of a scope brings what was closed before to disk."""
    source, mount = adam
    tree.write(mount / PATH, numbers(24))
    fd = os.open(mount / STEP / "dense", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    assert disk.Snapshot(source / STEP).values[KERNEL] == numbers(24)


def test_msync_returns_when_the_value_is_on_disk(adam):
    """np.memmap with flush()."""
    source, mount = adam
    mapped = np.memmap(mount / PATH, "<f4", "r+", shape=(6, 4))
    mapped[:] = 7
    mapped.flush()
    assert disk.Snapshot(source / STEP).values[KERNEL] == np.full(24, 7, "<f4").tobytes()


def test_close_starts_a_commit(adam):
    """Without fsync and unmount, the value is on disk soon."""
    source, mount = adam
    tree.write(mount / PATH, numbers(24))
    wait_for(source, KERNEL, numbers(24), seconds=5)


def test_with_sync_close_waits(shop, fixture_copy):
    """-o sync: on disk when close returns."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source, "sync")
    for turn in range(3):
        tree.write(mount / PATH, numbers(24, turn))
        assert disk.Snapshot(source / STEP).values[KERNEL] == numbers(24, turn)


def test_a_fsynced_value_survives_a_crash(adam, judge):
    """kill -9 right after fsync."""
    source, mount = adam
    commit(mount, PATH, numbers(24))
    mount.kill()
    assert judge.load(source / STEP)[KERNEL][2] == numbers(24)


def test_a_commit_writes_the_new_values_and_one_index(adam):
    """Shards grow by the new values only; nothing else is left beside them."""
    source, mount = adam
    before, names = disk.Snapshot(source / STEP), set(os.listdir(source))
    commit(mount, PATH, numbers(24))
    after = disk.Snapshot(source / STEP)
    assert after.shard_bytes() - before.shard_bytes() == 96
    commit(mount, STEP + "/dense/bias", numbers(4))
    assert disk.Snapshot(source / STEP).shard_bytes() - after.shard_bytes() == 16
    mount.unmount()
    assert set(os.listdir(source)) == names


def test_the_index_keeps_its_size(adam):
    """Padded to the old size, or where it must grow to whole pages with an eighth of slack."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    sizes = []
    for turn in range(4):
        commit(mount, PATH, numbers(24, turn))
        after = disk.Snapshot(source / STEP)
        sizes.append(len(after.index))
        assert sizes[-1] <= 2 * after.content_size() + 65536
    if after.content_size() <= len(before.index):
        assert sizes[0] == len(before.index)
    else:
        assert sizes[0] % 4096 == 0 and sizes[0] <= after.content_size() * 9 // 8 + 4096
    assert len(set(sizes)) == 1


def test_a_padded_index_is_not_padded_beyond_the_bound(shop, fixture_copy, judge):
    """An index with a megabyte of junk shrinks to twice its content and 64 KiB at most."""
    source = fixture_copy("v2_tf1_adam")
    old = disk.Snapshot(source / STEP)
    with open(source / (STEP + ".index"), "wb") as f:
        f.write(padded(old, 1 << 20))
    mount = shop.mount(source)
    commit(mount, PATH, numbers(24))
    after = disk.Snapshot(source / STEP)
    assert len(after.index) <= 2 * after.content_size() + 65536
    assert judge.load(source / STEP)[KERNEL][2] == numbers(24)


def padded(snapshot, extra):
    """The index with zeros between the last data block and the metaindex block."""
    writer = sstable.TableWriter()
    writer.add(b"", sstable.header_proto(1))
    for key, raw in sorted(snapshot.raw.items()):
        writer.add(key, raw)
    writer._flush()
    writer.out += bytes(extra)
    return writer.finish()


def test_the_new_index_has_the_old_mode_and_owner(adam):
    """As TensorFlow's, so that others can still read it."""
    source, mount = adam
    os.chmod(source / (STEP + ".index"), 0o640)
    before = os.stat(source / (STEP + ".index"))
    commit(mount, PATH, numbers(24))
    after = os.stat(source / (STEP + ".index"))
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid)


def test_a_linked_index_is_committed_where_it_points(shop, fixture_copy):
    """The link stays a link."""
    source = fixture_copy("v2_tf1_adam")
    (source / "real").mkdir()
    os.rename(source / (STEP + ".index"), source / "real" / (STEP + ".index"))
    os.symlink("real/" + STEP + ".index", source / (STEP + ".index"))
    mount = shop.mount(source)
    commit(mount, PATH, numbers(24))
    assert os.path.islink(source / (STEP + ".index"))
    assert disk.Snapshot(source / STEP).values[KERNEL] == numbers(24)


def test_an_unmount_waits_for_the_commit(adam, judge):
    """--unmount right after close: the value is on disk when it returns."""
    source, mount = adam
    tree.write(mount / PATH, numbers(24))
    mount.unmount()
    assert judge.load(source / STEP)[KERNEL][2] == numbers(24)
    assert not [n for n in os.listdir(source) if n.endswith("weightfs-tmp")]


def test_a_tensorflow_reader_opened_before_keeps_the_old_values(adam, rival):
    """A reader that has the checkpoint open reads the value it opened."""
    source, mount = adam
    old = disk.Snapshot(source / STEP).values[KERNEL]
    rival.hold(source / STEP)
    commit(mount, PATH, numbers(24))
    assert rival.held("dense/kernel")[2] == old


def test_fsync_of_the_root_waits_for_a_commit_under_way(adam):
    """Also for one that began in the background before: the value is on disk, 30 times."""
    source, mount = adam
    root = os.open(mount.point, os.O_RDONLY)
    for turn in range(30):
        tree.write(mount / PATH, numbers(24, turn))
        time.sleep(turn % 3 * 0.0005)
        os.fsync(root)
        assert disk.Snapshot(source / STEP).values[KERNEL] == numbers(24, turn), turn
    os.close(root)
