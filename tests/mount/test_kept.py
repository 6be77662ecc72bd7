"""DESIGN 4.13: somebody else saves while values wait; nothing of either side is lost."""
import errno
import os
import re
import time

import numpy as np
import pytest

import disk
import jobs
import mounts
import tree
from jobs import array, packed
from mounts import wait_until

OLD = {"w": array(1, 100), "s/k": array(2, 6, 4), "z": array(3, dtype="i8")}
NEW = {k: array(i + 10, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(OLD.items())}
OURS = {k: array(i + 20, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(OLD.items())}


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    judge.save(made / "c", OLD)
    return made


def kept(source):
    """The prefixes that keep what was written."""
    return sorted(p.name[:-len(".index")] for p in source.glob("c.kept-*.index"))


def write(mount, *keys):
    for key in keys:
        tree.write(mount / "c" / key, OURS[key].tobytes())


def stale(mount, command):
    """`commit` through the control file fails with ESTALE, as the write or the close of it."""
    fd = os.open(mount / ".weightfs/control", os.O_WRONLY)
    errors = [tree.error_of(os.write, fd, command), tree.error_of(os.close, fd)]
    assert "ESTALE" in errors, errors


def test_a_write_that_somebody_else_overtook_is_kept(shop, judge, source):
    """fsync says ESTALE; the log names the checkpoint that has the values; cp brings them back."""
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_RDWR)
    os.write(fd, OURS["w"].tobytes())
    judge.save(source / "c", NEW)
    errors = [tree.error_of(os.fsync, fd), tree.error_of(os.close, fd)]
    assert errors[0] == "ESTALE", errors
    assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 2)
    assert wait_until(lambda: kept(source), 2)
    [name] = kept(source)
    assert wait_until(lambda: name in mount.log(), 2)  # it is said when it is done
    assert judge.load(source / name) == {b"w": packed(OURS["w"])}
    assert {k.decode(): v for k, v in judge.load(source / "c").items()} == {
        k: packed(v) for k, v in NEW.items()}
    assert wait_until(lambda: name in os.listdir(mount.point), 2)
    jobs.run(mount.point, "cp %s/w c/w" % name)
    mount.unmount()
    jobs.holds(judge, source / "c", dict(NEW, w=OURS["w"]))


@pytest.mark.parametrize("end", [os.close, os.fsync])
def test_a_value_that_is_closed_after_the_save_was_seen_is_kept(shop, judge, source, end):
    """Large or small: who closes an open file late is told, and loses nothing."""
    old = {"large": array(30, 300, 300), "w": OLD["w"]}
    judge.save(source / "c", old)
    mount = shop.mount(source)
    fds = [os.open(mount / "c" / key, os.O_RDWR) for key in old]
    for fd, value in zip(fds, old.values()):
        os.write(fd, (value + 1).tobytes())
    new = {key: value + 2 for key, value in old.items()}
    judge.save(source / "c", new)
    for key, value in new.items():
        assert wait_until(lambda k=key, v=value: tree.read(mount / "c" / k) == v.tobytes(), 5)
    assert [tree.error_of(end, fd) for fd in fds] == ["ESTALE", "ESTALE"]
    if end is os.fsync:
        assert kept(source)  # it is safe when fsync returns
        for fd in fds:
            os.close(fd)
    mounts.run("--unmount", mount.point)
    jobs.holds(judge, source / "c", new)
    found = {}
    for name in kept(source):
        found.update(judge.load(source / name))
    assert found == {key.encode(): packed(value + 1) for key, value in old.items()}


def test_strings_that_are_closed_after_the_save_was_seen_are_kept(shop, judge, source):
    """What is encoded differently from what the file shows."""
    judge.save(source / "c", {"s": [b"one", b"two"]})
    mount = shop.mount(source)
    fd = os.open(mount / "c/s", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"three\nfour\n")
    judge.save(source / "c", {"s": [b"1", b"2"]})
    assert wait_until(lambda: tree.read(mount / "c/s") == b"1\n2\n", 5)
    assert tree.error_of(os.close, fd) == "ESTALE"
    mounts.run("--unmount", mount.point)
    [name] = kept(source)
    assert judge.load(source / name) == {b"s": ("string", [2], [b"three", b"four"])}


def test_a_value_that_is_not_whole_is_not_kept(shop, judge, source):
    """What is no value was never one to keep: the log says that it was not written."""
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, OURS["w"].tobytes()[:100])
    judge.save(source / "c", NEW)
    assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 5)
    assert tree.error_of(os.close, fd) == "ESTALE"
    assert "c/w: not written: Stale file handle" in mount.log()
    mounts.run("--unmount", mount.point)
    assert not kept(source)


def test_all_that_waited_is_kept_together(shop, judge, source):
    """-o commit=manual: values, a new variable and a renamed one, in one checkpoint of their own."""
    mount = shop.mount(source, "commit=manual")
    write(mount, "w", "s/k")
    jobs.run(mount / "c", "cp -a s/k fresh", "mv z renamed")
    judge.save(source / "c", NEW)
    stale(mount, b"commit\n")
    assert wait_until(lambda: kept(source), 2)
    [name] = kept(source)
    found = judge.load(source / name)
    for key, value in (("w", OURS["w"]), ("s/k", OURS["s/k"]), ("fresh", OURS["s/k"])):
        assert found[key.encode()] == packed(value), key
    assert found.get(b"renamed", packed(OLD["z"])) == packed(OLD["z"])
    assert wait_until(lambda: name in mount.log(), 2)  # it is said when it is done
    assert wait_until(lambda: tree.read(mount / "c/s/k") == NEW["s/k"].tobytes(), 2)
    assert wait_until(lambda: sorted(os.listdir(mount / "c")) == [
        "s", "w", "w.dtype", "w.shape", "z", "z.dtype", "z.shape"], 2)
    assert {k.decode() for k in judge.load(source / "c")} == set(NEW)


def test_a_kept_checkpoint_has_bytes_of_its_own(shop, judge, source):
    """It is whole without the checkpoint that the values were written for."""
    mount = shop.mount(source, "commit=manual")
    write(mount, "w")
    judge.save(source / "c", NEW)
    stale(mount, b"commit\n")
    mount.unmount()
    [name] = kept(source)
    for path in source.glob("c.index"):
        path.unlink()
    for path in source.glob("c.data-*"):
        path.unlink()
    jobs.holds(judge, source / name, {"w": OURS["w"]})


def test_a_kept_type_is_the_written_one(shop, judge, source):
    """A reshaped value is kept with the shape that it was given."""
    mount = shop.mount(source, "commit=manual")
    jobs.run(mount / "c", "echo '[4, 25]' > w.shape")
    write(mount, "w")
    judge.save(source / "c", NEW)
    stale(mount, b"commit\n")
    assert wait_until(lambda: kept(source), 5)
    [name] = kept(source)
    assert judge.load(source / name)[b"w"] == packed(OURS["w"].reshape(4, 25))


def test_writing_goes_on_after_estale(shop, judge, source):
    """The next write is to the new checkpoint, and is committed there."""
    mount = shop.mount(source, "commit=manual")
    write(mount, "w")
    judge.save(source / "c", NEW)
    stale(mount, b"commit\n")
    write(mount, "z")
    assert jobs.control(mount, "commit") == (0, "")
    jobs.holds(judge, source / "c", dict(NEW, z=OURS["z"]))
    assert wait_until(lambda: len(kept(source)) == 1, 5)


def test_two_losses_are_kept_apart(shop, judge, source):
    """The second one does not overwrite the first, within a second or not."""
    mount = shop.mount(source, "commit=manual")
    for turn in range(3):
        tree.write(mount / "c/w", np.full(100, turn, "f4").tobytes())
        judge.save(source / "c", NEW)
        stale(mount, b"commit\n")
        assert wait_until(lambda: tree.read(mount / "c/w") == NEW["w"].tobytes(), 2)
    mount.unmount()
    told = [judge.load(source / name)[b"w"][2] for name in kept(source)]
    assert sorted(told) == sorted(np.full(100, t, "f4").tobytes() for t in range(3))


def test_a_shard_alone_that_was_replaced_counts(shop, judge, source):
    """TensorFlow renames data before the index: between the two, ours must not come."""
    judge.save(source / "other", NEW)
    mount = shop.mount(source, "commit=manual")
    write(mount, "w")
    os.rename(str(source / "other") + ".data-00000-of-00001", str(source / "c") + ".data-00000-of-00001")
    stale(mount, b"commit\n")
    os.rename(source / "other.index", source / "c.index")
    jobs.holds(judge, source / "c", NEW)
    assert wait_until(lambda: kept(source), 5)  # when the new index is seen
    [name] = kept(source)
    assert judge.load(source / name) == {b"w": packed(OURS["w"])}


def test_a_checkpoint_that_was_removed_is_not_raised(shop, judge, source):
    """max_to_keep deleted it: what was written is kept, no index without data appears."""
    mount = shop.mount(source, "commit=manual")
    write(mount, "w")
    for path in source.glob("c.*"):
        path.unlink()
    jobs.control(mount, "commit")
    assert wait_until(lambda: kept(source), 2)
    assert not (source / "c.index").exists()
    [name] = kept(source)
    assert judge.load(source / name) == {b"w": packed(OURS["w"])}


def test_what_waits_at_unmount_is_kept(shop, judge, source):
    """Without a word to anybody but the log: the values are there after unmount."""
    mount = shop.mount(source)
    fd = os.open(mount / "c/w", os.O_RDWR)
    os.write(fd, OURS["w"].tobytes())
    judge.save(source / "c", NEW)
    tree.error_of(os.close, fd)
    mounts.run("--unmount", mount.point)
    jobs.holds(judge, source / "c", NEW)
    [name] = kept(source)
    assert judge.load(source / name) == {b"w": packed(OURS["w"])}
    assert wait_until(lambda: name in mount.log(), 2)  # it is said when it is done


def opened(path):
    """A descriptor to write with; between data and index the prefix may not be listed."""
    end = time.monotonic() + 50
    while True:
        try:
            return os.open(path, os.O_WRONLY)
        except OSError as e:
            assert e.errno in (errno.ENOENT, errno.ESTALE) and time.monotonic() < end, e
        time.sleep(0.01)


def test_values_are_never_lost_in_a_race(shop, judge, rival, source):
    """Savers on both sides: each value of ours is there, or kept, or was overwritten."""
    judge.save(source / "c", judge.stamps(0))
    mount = shop.mount(source)
    rival.begin("save_for", source / "c", 1.5, pause=0.05)
    ours = []
    while not rival.ready():
        value = (1 << 20) + len(ours)
        fd = opened(mount / "c/w")
        errors = [tree.error_of(os.write, fd, np.full(256, value, "i4").tobytes()),
                  tree.error_of(os.fsync, fd), tree.error_of(os.close, fd)]
        assert set(errors) <= {None, "ESTALE"}, errors
        ours.append((value, errors))
        time.sleep(0.02)
    rival.finish()
    mounts.run("--unmount", mount.point)
    inside = [np.frombuffer(judge.load(source / n)[b"w"][2], "i4")[0] for n in kept(source)]
    for value, errors in ours:
        assert "ESTALE" not in errors or value in inside, value
    found = disk.Snapshot(source / "c").values
    assert len(set(np.frombuffer(found[b"w"], "i4"))) == 1
    assert all(re.fullmatch(r"c\.kept-[\w.:+-]+", name) for name in kept(source))
