"""DESIGN 5.5, 5.6: what others have of the same bytes stays, and what is free is used again."""
import os
import shutil
import time

import numpy as np
import pytest

import disk
import judge as judge_module
import jobs
import sstable
import tree
from jobs import array, fsync
from mounts import wait_until
from writing import sh

DATA = ".data-00000-of-00001"
LARGE = 1 << 18
VALUES = {"big": array(1, LARGE // 4), "small": array(2, 5), "gone": array(3, 300),
          "s/moved": array(4, 40), "s/left": array(5, 4)}


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    judge.saver_save(made / "a", VALUES)
    return made


def edit(mount, name):
    """All there is to do to a checkpoint, before and after a grace time of one second."""
    for turn in range(2):
        time.sleep(1.2 * turn)
        for key in ("big", "small"):
            tree.write(mount / name / key, array(turn, VALUES[key].size).tobytes())
        fsync(mount / name)
    jobs.run(mount / name, "rm gone", "mv s/moved s/here", "echo '[2, 2]' > s/left.shape")
    tree.write(mount / name / "s/left", bytes(16))
    fsync(mount / name)
    tree.write(mount / name / "small", array(77, 5).tobytes())
    return {"big": array(1, LARGE // 4), "small": array(77, 5), "s/here": VALUES["s/moved"],
            "s/left": array(0, 2, 2) * 0}


def spared(judge, shop, source, prefix, options=("grace=1",), name="a"):
    """Edits `name` and holds `prefix`, which shares its shard, to be as it was to the bit."""
    before, told = disk.Snapshot(prefix), judge.load(prefix)
    mount = shop.mount(source, *options)
    wanted = edit(mount, name)
    assert judge.load(prefix) == told
    mount.unmount()
    after = disk.Snapshot(prefix)
    assert (after.index, after.values) == (before.index, before.values)
    assert {n: after.shards[n] for n in before.shards} == before.shards
    assert judge.load(prefix) == told
    jobs.holds(judge, source / name, wanted)
    again = shop.mount(source)
    assert tree.read(again / name / "small") == array(77, 5).tobytes()


def test_a_backup_by_cp_l_stays(shop, judge, source):
    """Hard links elsewhere: new values go to a new shard."""
    (shop.directory / "backup").mkdir()
    assert sh("cp -l runs/a.* backup/", shop.directory) == (0, "")
    backup = disk.digest(shop.directory / "backup")
    spared(judge, shop, source, shop.directory / "backup/a")
    assert disk.digest(shop.directory / "backup") == backup
    assert len(disk.Snapshot(source / "a").shards) == 2
    assert disk.Snapshot(source / "a").header["num_shards"] == 1


def test_a_backup_by_cp_l_made_in_the_mounted_directory_stays(shop, judge, source):
    """A second prefix on the same inodes, index and shard."""
    for end in (".index", DATA):
        os.link(str(source / "a") + end, str(source / "b") + end)
    spared(judge, shop, source, source / "b")


def test_a_backup_made_while_mounted_stays(shop, judge, source):
    """cp -l beside the mount, after a first edit of ours in that shard."""
    mount = shop.mount(source, "grace=1")
    tree.write(mount / "a/small", array(50, 5).tobytes())
    fsync(mount / "a")
    backup = shop.directory / "backup"
    backup.mkdir()
    assert sh("cp -l runs/a.* backup/", shop.directory) == (0, "")
    before, told = disk.digest(backup), judge.load(backup / "a")
    wanted = edit(mount, "a")
    mount.unmount()
    assert disk.digest(backup) == before and judge.load(backup / "a") == told
    jobs.holds(judge, source / "a", wanted)


@pytest.mark.parametrize("edited,kept", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_two_indexes_on_one_shard(shop, judge, source, edited, kept, link):
    """A copied index whose data file is a link to the other's: either can be edited."""
    shutil.copy(source / "a.index", source / "b.index")
    link("a" + DATA if link is os.symlink else source / ("a" + DATA), source / ("b" + DATA))
    shard = (source / ("a" + DATA)).read_bytes()
    spared(judge, shop, source, source / kept, name=edited)
    assert (source / ("a" + DATA)).read_bytes() == shard


def test_a_clone_by_mv_keeps_the_links_of_a_backup(shop, judge, source):
    """Renamed in the mount, edited under the new name: the backup stays."""
    (shop.directory / "backup").mkdir()
    assert sh("cp -l runs/a.* backup/", shop.directory) == (0, "")
    backup = disk.digest(shop.directory / "backup")
    mount = shop.mount(source, "grace=1")
    jobs.run(mount.point, "mv a best")
    wanted = edit(mount, "best")
    mount.unmount()
    assert disk.digest(shop.directory / "backup") == backup
    jobs.holds(judge, source / "best", wanted)


def allocated(source, name="a"):
    return os.stat(source / (name + DATA)).st_blocks * 512


def test_freed_room_is_used_again(shop, judge, source):
    """A value written over and over: the shard grows by what one grace time holds, not by all."""
    mount = shop.mount(source, "grace=1")
    start = os.stat(source / ("a" + DATA)).st_size
    for turn in range(50):
        tree.write(mount / "a/big", array(turn, LARGE // 4).tobytes())
        fsync(mount / "a")
        time.sleep(0.07)
    grown = os.stat(source / ("a" + DATA)).st_size - start
    assert grown < 30 * LARGE, "%d values' room for 50" % (grown // LARGE)
    time.sleep(1.2)
    mount.unmount()
    assert allocated(source) < 3 * LARGE + 65536
    jobs.holds(judge, source / "a", dict(VALUES, big=array(49, LARGE // 4)))


def test_a_value_that_was_never_committed_costs_nothing(shop, source):
    """Refused and dropped ones: their room is given back at once."""
    mount = shop.mount(source, "grace=1")
    start = allocated(source)
    for _ in range(30):
        assert tree.error_of(tree.write, mount / "a/big", bytes(LARGE - 4)) == "EINVAL"
    assert wait_until(lambda: allocated(source) <= start + 2 * LARGE, 15, 0.2)


def test_what_tensorflow_wrote_goes_at_unmount(shop, judge, source):
    """Not a byte of it before, however long ago its value was replaced; then its room is free."""
    before = disk.Snapshot(source / "a")
    mount = shop.mount(source, "grace=1")
    tree.write(mount / "a/big", bytes(LARGE))
    fsync(mount / "a")
    time.sleep(1.6)
    tree.write(mount / "a/small", bytes(20))
    fsync(mount / "a")
    now = disk.Snapshot(source / "a")
    for name, old in before.shards.items():
        assert now.shards[name][:len(old)] == old
    held = allocated(source)
    mount.unmount()
    assert allocated(source) <= held - LARGE + 8192
    jobs.holds(judge, source / "a", dict(VALUES, big=np.zeros(LARGE // 4, "f4"),
                                         small=np.zeros(5, "f4")))


def test_bytes_that_no_index_names_stay(shop, judge, source):
    """TensorFlow may be between its data and its index: nothing of it is freed or used."""
    with open(source / ("a" + DATA), "ab") as f:
        f.write(b"soon to be named" * 10000)
    whole = (source / ("a" + DATA)).read_bytes()
    mount = shop.mount(source, "grace=1")
    tree.write(mount / "a/small", bytes(20))
    mount.unmount()
    entry = sstable.Bundle(str(source / "a")).entries[b"small"]
    assert entry.offset >= len(whole)
    assert (source / ("a" + DATA)).read_bytes()[len(whole) - 160000:len(whole)] == whole[-160000:]


def ask(rival, key):
    """What the reader has, or None where it is told an error."""
    try:
        return rival.held(key)[2]
    except judge_module.Refused:
        return None


def test_a_reader_of_ours_has_old_values_for_the_grace_time(shop, rival, source):
    """Opened on a value that this mount wrote: the old one, later an error, never another."""
    mount = shop.mount(source, "grace=1")
    first = array(1000, LARGE // 4).tobytes()
    tree.write(mount / "a/big", first)
    fsync(mount / "a")
    rival.hold(source / "a")
    end, turn = time.monotonic() + 3, 0
    assert ask(rival, "big") == first
    replaced = time.monotonic()
    while time.monotonic() < end:
        tree.write(mount / "a/big", array(turn, LARGE // 4).tobytes())
        fsync(mount / "a")
        got = ask(rival, "big")
        answered = time.monotonic()
        assert got in (first, None), "a wrong value after %.1f s" % (answered - replaced)
        assert got == first or answered - replaced > 1, answered - replaced
        turn += 1
        time.sleep(0.1)


def test_a_reader_of_tensorflows_values_has_them_until_unmount(shop, rival, source):
    """However often they are replaced, and for however long."""
    mount = shop.mount(source, "grace=1")
    rival.hold(source / "a")
    for turn in range(14):
        tree.write(mount / "a/big", array(turn, LARGE // 4).tobytes())
        fsync(mount / "a")
        time.sleep(0.12)
    assert ask(rival, "big") == VALUES["big"].tobytes()
    mount.unmount()
    assert ask(rival, "big") in (VALUES["big"].tobytes(), None)
