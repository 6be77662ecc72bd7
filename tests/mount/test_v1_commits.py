"""V1, where a commit is a new file: when it comes, what it leaves alone, who else writes it."""
import errno
import json
import os
import shutil
import stat
import subprocess
import time

import numpy as np
import pytest

import disk
import jobs
import mounts
import tensors
import tree
from jobs import array
from mounts import wait_until
from offline import path_of
from tensors import Tensor

QUIET = 5  # seconds until values are committed that nobody asked for
OLD = {"w": array(1, 100), "s/k": array(2, 6, 4), "z": array(3, dtype="i8")}
NEW = {k: array(i + 10, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(OLD.items())}
OURS = {k: array(i + 20, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(OLD.items())}


def save(judge, prefix, items):
    judge.save_slices(prefix, "V1", [(k, "", v) for k, v in items.items()])


def known(items):
    return {k.encode(): Tensor(v.dtype.name, v.shape, v.tobytes()) for k, v in items.items()}


def stored(prefix):
    return tensors.read(prefix).tensors


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    save(judge, made / "c", OLD)
    return made


def write(mount, *keys):
    for key in keys:
        tree.write(mount / "c" / key, OURS[key].tobytes())


def status(mount):
    """Of the first checkpoint."""
    return json.loads(tree.read(mount / ".weightfs/status"))["checkpoints"][0]


def test_many_closes_are_one_commit(shop, source):
    """No file is written at close; after some quiet all at once, without an fsync."""
    mount = shop.mount(source)
    before = os.stat(source / "c")
    write(mount, *OLD)
    last = time.monotonic()
    assert tree.read(mount / "c/w") == OURS["w"].tobytes()
    time.sleep(QUIET / 3)
    same = os.stat(source / "c").st_ino == before.st_ino
    assert same or time.monotonic() - last > 0.9 * QUIET
    assert wait_until(lambda: stored(source / "c") == known(OURS), QUIET * 2, 0.1)
    assert wait_until(lambda: status(mount)["uncommitted"] == 0, 2)
    told = status(mount)
    assert (told["format"], told["variables"]) == ("V1", 3)
    assert 0 < told["last_commit_bytes"] <= 2 * os.stat(source / "c").st_size
    assert disk.digest(source).keys() == {"c"}


@pytest.mark.sanitized
def test_fsync_commits_at_once(shop, source, judge):
    """Of the file, of its directory; also what was closed before."""
    mount = shop.mount(source)
    write(mount, "w", "z")
    jobs.fsync(mount / "c/w")
    assert stored(source / "c") == known(dict(OURS, **{"s/k": OLD["s/k"]}))
    write(mount, "s/k")
    jobs.fsync(mount / "c/s")
    assert stored(source / "c") == known(OURS)
    assert judge.load(source / "c") == {k.encode(): jobs.packed(v) for k, v in OURS.items()}


def test_sync_makes_each_close_a_commit(shop, source):
    """-o sync: when close returns it is there."""
    mount = shop.mount(source, "sync")
    for i, key in enumerate(OLD):
        write(mount, key)
        assert stored(source / "c")[key.encode()] == known(OURS)[key.encode()]


def test_sigterm_waits_for_the_commit(shop, source):
    """As does --unmount, which the other tests use."""
    mount = shop.mount(source)
    write(mount, *OLD)
    mount.process.terminate()
    mount.process.wait(100)
    assert stored(source / "c") == known(OURS)


def test_manual_commits_and_aborts(shop, source):
    """Nothing before the word, all of it then; abort brings the old values back."""
    mount = shop.mount(source, "commit=manual")
    before = disk.digest(source)
    write(mount, "w", "z")
    jobs.fsync(mount / "c/w")
    assert disk.digest(source) == before
    assert jobs.control(mount, "abort") == (0, "")
    assert tree.read(mount / "c/w") == OLD["w"].tobytes()
    write(mount, *OLD)
    os.rename(mount / "c/s", mount / "c/t")
    assert jobs.control(mount, "commit") == (0, "")
    assert stored(source / "c") == known({"w": OURS["w"], "t/k": OURS["s/k"], "z": OURS["z"]})


def test_mode_and_place_stay(shop, source):
    """The new file has the old one's mode; a link is followed, and stays a link."""
    os.chmod(source / "c", 0o640)
    (source / "deep").mkdir()
    os.rename(source / "c", source / "deep/real")
    os.symlink("deep/real", source / "c")
    mount = shop.mount(source)
    write(mount, "w")
    mount.unmount()
    assert os.path.islink(source / "c")
    assert stat.S_IMODE(os.stat(source / "deep/real").st_mode) == 0o640
    assert stored(source / "deep/real") == known(dict(OLD, w=OURS["w"]))


def test_a_backup_by_hard_link_keeps_the_old_file(shop, source):
    """cp -l before the edit is a backup, as for any program that replaces files."""
    os.link(source / "c", source / "backup")
    before = (source / "backup").read_bytes()
    mount = shop.mount(source)
    write(mount, *OLD)
    mount.unmount()
    assert (source / "backup").read_bytes() == before
    assert stored(source / "c") == known(OURS)


def test_open_files_keep_the_old_bytes(shop, source, judge):
    """Somebody else saves: who has a variable open reads the old one, who opens it again the new."""
    mount = shop.mount(source)
    with open(mount / "c/w", "rb", buffering=0) as f:
        assert os.pread(f.fileno(), 8, 0) == OLD["w"].tobytes()[:8]
        save(judge, source / "c", NEW)
        assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 2)
        assert os.pread(f.fileno(), 400, 0) == OLD["w"].tobytes()
    for key, value in NEW.items():
        assert tree.read(mount / "c" / key) == value.tobytes()


def test_what_somebody_else_overtook_is_kept(shop, source, judge):
    """ESTALE once, and a checkpoint of its own with what was written."""
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_RDWR)
    os.write(fd, OURS["w"].tobytes())
    save(judge, source / "c", NEW)
    errors = [tree.error_of(os.fsync, fd), tree.error_of(os.close, fd)]
    assert errors[0] == "ESTALE", errors
    assert stored(source / "c") == known(NEW)
    assert wait_until(lambda: list(source.glob("c.kept-*")), 2)
    name = next(iter(source.glob("c.kept-*"))).name.removesuffix(".index")
    name = name.split(".data-")[0]
    assert wait_until(lambda: name in mount.log(), 2)  # it is said when it is done
    assert stored(source / name) == known({"w": OURS["w"]})
    mount.unmount()
    assert stored(source / "c") == known(NEW)


def test_what_a_copy_in_place_overtook_is_kept(shop, source, judge):
    """`cp other c` beside the mount, slowly: c is no checkpoint for a while, its bytes go."""
    save(judge, shop.directory / "other", {"a": array(9, 300), **NEW})
    other = (shop.directory / "other").read_bytes()
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_RDWR)
    os.write(fd, OURS["w"].tobytes())
    os.close(os.dup(fd))
    with open(source / "c", "r+b", buffering=0) as f:
        f.truncate(0)
        assert wait_until((mount / "c").is_file, 2)
        f.write(other)
    assert wait_until((mount / "c").is_dir, 5)
    assert tree.error_of(os.fsync, fd) == "ESTALE"
    tree.error_of(os.close, fd)
    assert wait_until(lambda: list(source.glob("c.kept-*.index")), 2)
    [index] = source.glob("c.kept-*.index")
    assert stored(str(index).removesuffix(".index")) == known({"w": OURS["w"]})
    mount.unmount()
    assert (source / "c").read_bytes() == other


def test_what_is_closed_after_the_save_was_seen_is_kept(shop, source, judge):
    """The new file shows, and then an open one is closed that was written to."""
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_RDWR)
    os.write(fd, OURS["w"].tobytes())
    save(judge, source / "c", NEW)
    assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 5)
    assert tree.error_of(os.close, fd) == "ESTALE"
    mount.unmount()
    [index] = source.glob("c.kept-*.index")
    assert stored(str(index).removesuffix(".index")) == known({"w": OURS["w"]})
    assert stored(source / "c") == known(NEW)


def test_a_first_save_and_a_removal_are_seen(shop, source, judge):
    """A new V1 file appears, a removed one goes, within a second or so."""
    mount = shop.mount(source)
    save(judge, source / "d", NEW)
    assert wait_until(lambda: tree.error_of(tree.read, mount / "d/w") is None, 2)
    assert tree.read(mount / "d/w") == NEW["w"].tobytes()
    os.unlink(source / "c")
    assert wait_until(lambda: os.listdir(mount.point) == ["d"], 2)


def test_a_checkpoint_is_renamed_removed_and_cloned(shop, source):
    """mv renames the file, rm -r removes it, cp -r makes a V2 one."""
    mount = shop.mount(source)
    before = (source / "c").read_bytes()
    jobs.run(mount.point, "cp -r c clone", "mv c best")
    assert (source / "best").read_bytes() == before
    jobs.run(mount.point, "rm -r best")
    mount.unmount()
    assert {n.split(".")[0] for n in disk.digest(source)} == {"clone"}
    assert stored(source / "clone") == known(OLD)


def test_two_files_are_one_checkpoint_to_mv_and_rm(shop, fixture_copy):
    """P-00000-of-00002 and its sibling go together."""
    source = fixture_copy("v1_tf1_sharded")
    mount = shop.mount(source)
    jobs.run(mount.point, "mv model.ckpt best")
    mount.unmount()
    assert {"best-00000-of-00002", "best-00001-of-00002"} <= disk.digest(source).keys()
    assert stored(source / "best-?????-of-00002") == tensors.wanted("v1_tf1_sharded")
    again = shop.mount(source)
    jobs.run(again.point, "rm -r best")
    again.unmount()
    assert not [n for n in disk.digest(source) if n.startswith("best-0")]


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
def test_a_full_disk_leaves_the_old_file(shop, judge):
    """ENOSPC from fsync, the old file whole; with room again it is committed."""
    small = shop.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "none", small], check=True)
    try:
        count = 1 << 19
        save(judge, small / "c", {"v": np.zeros(count, "f4"), "w": np.ones(4, "f4")})
        before = (small / "c").read_bytes()
        room = os.statvfs(small)
        (small / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - (1 << 20)))
        mount = shop.mount(small)
        value = np.full(4, 7, "f4").tobytes()
        tree.write(mount / "c/w", value)
        assert tree.error_of(jobs.fsync, mount / "c/w") == "ENOSPC"
        assert (small / "c").read_bytes() == before
        assert sorted(n for n in os.listdir(small)) == ["c", "filler"]
        os.unlink(small / "filler")
        assert wait_until(lambda: tree.error_of(jobs.fsync, mount / "c/w") is None, 12, 0.5)
        assert stored(small / "c")[b"w"].value == value
        mount.unmount()
    finally:
        for mount in shop.mounts:
            mount.dispose()
        subprocess.run(["umount", "-l", small], check=True)


def test_a_read_only_directory_is_read_all_the_same(shop, source):
    """On a read-only mount every dtype is decoded somewhere else; a write is EROFS."""
    mount = shop.mount(source, "ro")
    assert tree.read(mount / "c/z") == OLD["z"].tobytes()
    assert tree.error_of(tree.write, mount / "c/z", bytes(8)) == "EROFS"


def test_what_a_crash_left_goes(shop, source):
    """A temporary file of ours beside a whole checkpoint is removed by the next writable mount."""
    left = source / "c.0123456789abcdef.weightfs-tmp"
    shutil.copy(source / "c", left)
    os.truncate(left, 100)
    os.utime(left, (1e9, 1e9))
    mount = shop.mount(source)
    assert tree.read(mount / "c/z") == OLD["z"].tobytes()
    write(mount, "z")
    mount.unmount()
    assert disk.digest(source).keys() == {"c"}
    assert not mounts.mounted(mount.point)


def test_a_damaged_value_that_stops_all_commits_is_named(shop, source):
    """EIO at fsync; the log says which one and what to do, and so does the status. Then it goes."""
    prefix = source / "big"
    whole = bytearray(path_of("v1_big_blocks").read_bytes())
    whole[len(whole) // 2] ^= 1
    prefix.write_bytes(whole)
    mount = shop.mount(source)
    old = {n: tree.read(mount / "big" / n) for n in "abc"}
    mount.mark()
    with open(mount / "big/a", "r+b") as f:
        f.write(old["a"][::-1])
        f.flush()
        with pytest.raises(OSError) as met:
            os.fsync(f.fileno())
        assert met.value.errno == errno.EIO
    lines = mount.news(1, expect=3)
    assert any("d: as long as" in x and "another value, or remove it" in x for x in lines), lines
    told, = (c for c in json.loads(tree.read(mount / ".weightfs/status"))["checkpoints"]
             if c["path"] == "big")
    assert (told["uncommitted"], told["last_failure"]) == (1, "Input/output error")
    assert prefix.read_bytes() == whole
    os.unlink(mount / "big/d")
    mount.unmount()
    found = stored(prefix)
    assert found.keys() == {b"a", b"b", b"c", b"e"}
    assert found[b"a"].value == old["a"][::-1]
    assert [found[n].value for n in (b"b", b"c")] == [old["b"], old["c"]]
