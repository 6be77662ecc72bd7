"""New values reach the files that an index of theirs leads to, whatever happens to the names."""
import os
import shutil
import subprocess
import time

import pytest

import jobs
import mounts
import tree
from fixtures import FIXTURE_DIR
from jobs import array, packed
from mounts import wait_until

OLD = {"w": array(1, 100), "s/k": array(2, 6, 4), "z": array(3, dtype="i8")}
NEW = {k: array(i + 10, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(OLD.items())}


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    judge.save(made / "c", OLD)
    return made


def kept(source):
    return sorted(p.name[:-len(".index")] for p in source.glob("c.kept-*.index"))


def test_a_checkpoint_is_renamed_while_a_value_waits_for_a_new_shard(shop, judge, source):
    """With a second name of its data, new values go to a shard of their own: under the new prefix."""
    os.mkdir(shop.directory / "backup")
    os.link(source / "c.data-00000-of-00001", shop.directory / "backup/data")
    mount = shop.mount(source)
    value = array(77, 100)
    fd = os.open(mount / "c/w", os.O_WRONLY | os.O_TRUNC)
    os.rename(mount / "c", mount / "best")
    os.write(fd, value.tobytes())
    os.close(fd)
    mount.unmount()
    jobs.holds(judge, source / "best", dict(OLD, w=value))
    assert not list(source.glob("c.*"))


def test_an_untyped_file_outlives_a_replacement_and_gets_its_type_then(shop, judge, source):
    """What it was to be written to is gone; neither it nor a later value may wait for ever."""
    mount = shop.mount(source)
    fresh, value = array(78, 1000), array(79, 100)
    (mount / "c/fresh").write_bytes(fresh.tobytes())
    judge.save(source / "c", NEW)
    assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 5)
    (mount / "c/fresh.dtype").write_text("float32\n")
    (mount / "c/fresh.shape").write_text("[1000]\n")
    tree.write(mount / "c/w", value.tobytes())
    jobs.fsync(mount / "c/w")
    mount.unmount()
    jobs.holds(judge, source / "c", dict(NEW, w=value, fresh=fresh))


def test_a_save_of_more_shards_onto_the_same_prefix(shop, judge, source):
    """The file of shard 0 of one stays, and is not shard 0 of two."""
    mount = shop.mount(source)
    assert tree.read(mount / "c/w") == OLD["w"].tobytes()
    made = FIXTURE_DIR / "v2_tf1_sharded"
    for name in ("data-00000-of-00002", "data-00001-of-00002", "index"):
        shutil.copy(made / ("model.ckpt-0." + name), source / "new")
        os.rename(source / "new", source / ("c." + name))
    told = judge.load(source / "c")
    plain = [k for k in told if k != b"emb/table"]
    assert wait_until(lambda: os.path.exists(mount / "c/global_step"), 5)
    for key in plain:
        assert tree.read(mount / "c" / key.decode()) == told[key][2], key
    for key in plain:
        tree.write(mount / "c" / key.decode(), told[key][2][::-1])
    mount.unmount()
    after = judge.load(source / "c")
    assert after.keys() == told.keys()
    for key in told:
        assert after[key][2] == (told[key][2][::-1] if key in plain else told[key][2]), key


def test_the_end_of_the_mount_waits_for_a_save_that_is_under_way(shop, judge, source):
    """Its data is there and its index is not: what is overtaken is kept, nothing is dropped."""
    mount = shop.mount(source, "commit=manual")
    value = array(80, 100)
    tree.write(mount / "c/w", value.tobytes())
    data = source / "c.data-00000-of-00001"
    shutil.copy(data, source / "new")
    os.rename(source / "new", data)
    subprocess.run(["fusermount3", "-u", mount.point], check=True)
    mount.process.wait(100)
    [name] = kept(source)
    assert judge.load(source / name) == {b"w": packed(value)}
    jobs.holds(judge, source / "c", OLD)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
def test_an_untyped_file_that_does_not_fit_holds_up_no_other(shop, judge):
    """At the end of the mount: ENOSPC of one value is no reason not to commit the rest."""
    point = shop.directory / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", point], check=True)
    try:
        judge.save(point / "c", OLD)
        mount = shop.mount(point, "commit=manual")
        value = array(83, 100)
        tree.write(mount / "c/w", value.tobytes())
        (mount / "c/fresh").write_bytes(bytes(3 << 20))
        room = os.statvfs(point)
        (point / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 200000))
        subprocess.run(["fusermount3", "-u", mount.point], check=True)
        mount.process.wait(100)
        assert "c/fresh: not written: No space left" in mount.log()
        jobs.holds(judge, point / "c", dict(OLD, w=value))
    finally:
        for each in shop.mounts:
            each.dispose()
        subprocess.run(["umount", "-l", point], check=True)


def test_an_emptied_checkpoint_that_was_saved_anew_is_not_removed(shop, judge, source):
    """rm -r empties it, somebody saves, rmdir: the new one stands."""
    mount = shop.mount(source)
    os.unlink(mount / "c/s/k")
    os.rmdir(mount / "c/s")
    os.unlink(mount / "c/w")
    os.unlink(mount / "c/z")
    assert os.listdir(mount / "c") == []
    judge.save(source / "c", NEW)
    assert tree.error_of(os.rmdir, mount / "c") == "ENOTEMPTY"
    assert wait_until(lambda: os.path.exists(mount / "c/w"), 5)
    jobs.holds(judge, source / "c", NEW)
    tree.error_of(jobs.fsync, mount / "c/w")  # tells that removals were overtaken


def test_a_v1_checkpoint_is_renamed(shop, judge, fixture_copy):
    """It shows the same under its new name, and is written to under that."""
    source = fixture_copy("v1_tf1_adam")
    mount = shop.mount(source)
    before = sorted(os.listdir(mount / "model.ckpt-2"))
    os.rename(mount / "model.ckpt-2", mount / "best")
    time.sleep(0.1)
    assert sorted(os.listdir(mount / "best")) == before
    assert b"V1" in tree.read(mount / ".weightfs/status")
    assert (source / "best").exists() and (source / "best.meta").exists()
    os.mkdir(mount / "best/new")
    jobs.run(mount / "best", "cp " + before[0] + " new/copy")
    mount.unmount()
    assert b"new/copy" in judge.v1_load(source / "best")


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
def test_what_was_overtaken_on_a_full_disk_is_kept_once_there_is_room(shop, judge):
    """What two saves overtook while the disk was full is all in one checkpoint then."""
    point = shop.directory / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", point], check=True)
    try:
        judge.save(point / "c", OLD)
        mount = shop.mount(point, "commit=manual")
        values = {"w": array(90, 100), "z": array(91, dtype="i8")}
        room = os.statvfs(point)
        (point / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize))
        for key, value in values.items():
            tree.error_of(tree.write, mount / "c" / key, value.tobytes())  # tells of the first
            os.utime(point / "c.index")
            mount.mark()
            os.listdir(mount.point)
            os.listdir(mount / "c")
            assert wait_until(lambda: "be kept beside it yet" in str(mount.news()), 5)
        (point / "filler").unlink()
        assert wait_until(lambda: kept(point), 8)
        [name] = kept(point)
        assert judge.load(point / name) == {
            k.encode(): packed(v) for k, v in values.items()}
    finally:
        for each in shop.mounts:
            each.dispose()
        subprocess.run(["umount", "-l", point], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
def test_an_untyped_file_that_did_not_fit_is_stored_once_there_is_room(shop, judge):
    """fsync says that the disk is full; all bytes are still there for the next one."""
    point = shop.directory / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", point], check=True)
    try:
        judge.save(point / "c", OLD)
        mount = shop.mount(point)
        content = os.urandom(3 << 20)
        (mount / "c/fresh").write_bytes(content)
        room = os.statvfs(point)
        (point / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 200000))
        assert tree.error_of(jobs.fsync, mount / "c/fresh") == "ENOSPC"
        assert tree.read(mount / "c/fresh") == content
        (point / "filler").unlink()
        jobs.fsync(mount / "c/fresh")
        assert judge.load(point / "c")[b"fresh"] == ("uint8", [3 << 20], content)
    finally:
        for each in shop.mounts:
            each.dispose()
        subprocess.run(["umount", "-l", point], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
def test_what_cannot_be_stored_keeps_the_mount(shop, judge):
    """`--unmount` fails while the disk is full: nothing is lost, and the next one has all."""
    point = shop.directory / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", point], check=True)
    try:
        judge.save(point / "c", OLD)
        mount = shop.mount(point, "commit=manual")
        value, content = array(84, 100), os.urandom(3 << 20)
        tree.write(mount / "c/w", value.tobytes())
        (mount / "c/fresh").write_bytes(content)
        room = os.statvfs(point)
        (point / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 200000))
        done = mounts.run("--unmount", mount.point)
        assert done.returncode and "stays mounted" in done.stderr
        assert tree.read(mount / "c/fresh") == content
        (point / "filler").unlink()
        mount.unmount()
        found = judge.load(point / "c")
        assert found[b"fresh"] == ("uint8", [3 << 20], content) and found[b"w"] == packed(value)
    finally:
        for each in shop.mounts:
            each.dispose()
        subprocess.run(["umount", "-l", point], check=True)
