"""DESIGN 5.4, 4.14: when commits come, one for many, and only when told to."""
import json
import os
import threading
import time

import pytest

import disk
import jobs
import tree
from jobs import array, control, packed
from mounts import wait_until
from writing import sh

COUNT = 100
VALUES = {"v%03d" % i: array(i, 64) for i in range(COUNT)}
FRESH = {k: array(i + 1000, 64) for i, k in enumerate(VALUES)}


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    judge.save(made / "c", VALUES)
    return made


class Replacements:
    """Counts how often the index on disk is another file, from another thread."""

    def __init__(self, index):
        self.index, self.seen, self.stop = index, set(), threading.Event()
        self.thread = threading.Thread(target=self.look_again_and_again, daemon=True)
        self.start = time.monotonic()

    def look(self):
        info = os.stat(self.index)
        self.seen.add((info.st_ino, info.st_mtime_ns))

    def look_again_and_again(self):
        while not self.stop.is_set():
            self.look()
            time.sleep(0.0005)

    def __enter__(self):
        self.look()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.look()

    def count(self):
        return len(self.seen) - 1

    def few(self):
        """Changes gather for 10 ms: a slow writer gives time for more commits."""
        return max(25, (time.monotonic() - self.start) / 0.01)


def stored(source):
    return disk.Snapshot(source / "c").values


def fresh(source):
    return stored(source) == {k.encode(): v.tobytes() for k, v in FRESH.items()}


def write_all(mount):
    for key, value in FRESH.items():
        tree.write(mount / "c" / key, value.tobytes())


def status(mount):
    with open(mount / ".weightfs/status", "rb") as f:
        return json.load(f)


def test_a_burst_is_a_few_commits(shop, judge, source):
    """100 values closed one after the other: far fewer indexes than that."""
    mount = shop.mount(source)
    with Replacements(source / "c.index") as seen:
        write_all(mount)
        assert wait_until(lambda: fresh(source), 10, 0.05)
    assert 1 <= seen.count() <= seen.few(), seen.count()
    mount.unmount()
    jobs.holds(judge, source / "c", FRESH)


def test_a_burst_by_cp_is_a_few_commits(shop, source):
    """The same by cp of 100 files in one go."""
    (shop.directory / "out").mkdir()
    for key, value in FRESH.items():
        (shop.directory / "out" / key).write_bytes(value.tobytes())
    mount = shop.mount(source)
    with Replacements(source / "c.index") as seen:
        jobs.run(mount.point, "cp %s/out/* c/" % shop.directory)
        assert wait_until(lambda: fresh(source), 10, 0.05)
    assert 1 <= seen.count() <= seen.few(), seen.count()


def test_a_renamed_scope_is_one_commit(shop, judge, source):
    """All keys below: never a checkpoint that has a part of them."""
    judge.save(source / "c", {"s/" + k: v for k, v in VALUES.items()})
    mount = shop.mount(source)
    with Replacements(source / "c.index") as seen:
        os.rename(mount / "c/s", mount / "c/t")
        jobs.fsync(mount / "c")
    assert seen.count() <= 2
    assert all(k.startswith(b"t/") for k in stored(source)) and len(stored(source)) == COUNT


def test_many_fsyncs_share_commits(shop, source):
    """16 threads that each want their value on disk: each has it when fsync returns."""
    mount = shop.mount(source)
    wrong = []

    def go(keys):
        for key in keys:
            fd = os.open(mount / "c" / key, os.O_WRONLY | os.O_TRUNC)
            os.write(fd, FRESH[key].tobytes())
            os.fsync(fd)
            if stored(source)[key.encode()] != FRESH[key].tobytes():
                wrong.append(key)
            os.close(fd)
    keys = sorted(FRESH)
    threads = [threading.Thread(target=go, args=(keys[i::16],)) for i in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert not wrong
    assert fresh(source)


def test_sync_has_everything_on_disk_at_once(shop, judge, source):
    """-o sync: values, sidecars, renames and new variables, when the call returns."""
    mount = shop.mount(source, "sync")
    tree.write(mount / "c/v000", FRESH["v000"].tobytes())
    assert judge.load(source / "c")[b"v000"] == packed(FRESH["v000"])
    tree.write(mount / "c/v000.shape", b"[8, 8]\n")
    assert judge.load(source / "c")[b"v000"] == packed(FRESH["v000"].reshape(8, 8))
    jobs.run(mount / "c", "cp v001 new")
    assert judge.load(source / "c")[b"new"] == packed(VALUES["v001"])


def test_a_killed_daemon_with_sync_loses_no_closed_value(shop, judge, source):
    """kill -9 right after close."""
    mount = shop.mount(source, "sync")
    tree.write(mount / "c/v050", FRESH["v050"].tobytes())
    mount.kill()
    assert judge.load(source / "c") == {
        k.encode(): packed(FRESH[k] if k == "v050" else v) for k, v in VALUES.items()}


def test_manual_commits_nothing_by_itself(shop, judge, source):
    """Neither close nor time nor fsync; fsync says so in the log; `commit` brings all at once."""
    mount = shop.mount(source, "commit=manual")
    before = disk.Snapshot(source / "c")
    with Replacements(source / "c.index") as seen:
        write_all(mount)
        mount.mark()
        jobs.fsync(mount / "c/v000")
        assert any("commit" in line for line in mount.news(2, expect=1)), mount.news()
        jobs.fsync(mount / "c")
        time.sleep(1.5)
        assert disk.Snapshot(source / "c").index == before.index
        assert tree.read(mount / "c/v007") == FRESH["v007"].tobytes()
        assert control(mount, "commit") == (0, "")
        assert wait_until(lambda: fresh(source), 5, 0.05)
    assert seen.count() == 1
    jobs.holds(judge, source / "c", FRESH)


def test_abort_drops_what_gathered(shop, judge, source):
    """Values, types, names: the tree is as the checkpoint is, at once."""
    mount = shop.mount(source, "commit=manual")
    jobs.run(mount / "c", "mv v001 renamed", "rm v002", "cp v003 new", "mkdir s", "mv v004 s/",
             "echo '[8, 8]' > v005.shape")
    tree.write(mount / "c/v000", FRESH["v000"].tobytes())
    mount.mark()
    listed = sorted(k + end for k in VALUES for end in ("", ".dtype", ".shape"))
    assert sorted(os.listdir(mount / "c")) != listed
    assert control(mount, "abort") == (0, "")
    said = mount.news(1, expect=1)
    assert len(said) == 1 and "aborted: " in said[0] and " were dropped" in said[0], said
    assert wait_until(lambda: [n for n in sorted(os.listdir(mount / "c")) if n != "s"] == listed, 2)
    for key, value in VALUES.items():
        assert tree.read(mount / "c" / key) == value.tobytes(), key
        assert tree.read(mount / "c" / (key + ".shape")) == b"[64]\n", key
    assert control(mount, "commit") == (0, "")
    mount.unmount()
    jobs.holds(judge, source / "c", VALUES)


def test_a_whole_layer_changes_at_once(shop, judge, source):
    """Whoever reads the checkpoint sees all old or all new values, commit by commit."""
    mount = shop.mount(source, "commit=manual")
    old = {k.encode(): v.tobytes() for k, v in VALUES.items()}
    new = {k.encode(): v.tobytes() for k, v in FRESH.items()}
    for turn in range(4):
        for key, value in (FRESH if turn % 2 == 0 else VALUES).items():
            tree.write(mount / "c" / key, value.tobytes())
            assert int(key[1:]) % 25 or stored(source) == (old if turn % 2 == 0 else new)
        assert control(mount, "commit") == (0, "")
        assert wait_until(lambda t=turn: stored(source) == (new if t % 2 == 0 else old), 5, 0.05)


def test_an_unknown_control_word_is_refused(shop, source):
    """EINVAL from the write: the shell says so."""
    mount = shop.mount(source, "commit=manual")
    done, said = control(mount, "comit")
    assert done != 0 and "Invalid argument" in said


def test_status_tells_what_waits(shop, source):
    """Uncommitted values are seen before, and gone after a commit, which is told of."""
    mount = shop.mount(source, "commit=manual")
    tree.write(mount / "c/v000", FRESH["v000"].tobytes())
    waits = json.dumps(status(mount))
    assert control(mount, "commit") == (0, "")
    assert wait_until(lambda: json.dumps(status(mount)) != waits, 2)
    assert "c" in waits and sh("cat .weightfs/status", mount.point) == (0, "")


def test_a_removal_waits_a_second_and_no_longer(shop, source):
    """Meanwhile the checkpoint has the variable; then it has not."""
    mount = shop.mount(source)
    start = time.monotonic()
    os.unlink(mount / "c/v000")
    there = b"v000" in stored(source)
    assert there or time.monotonic() - start > 0.9
    assert wait_until(lambda: b"v000" not in stored(source), 5, 0.05)


def test_a_removal_is_on_disk_after_fsync_of_a_directory(shop, source):
    """And not at fsync of another file: a tool may be between unlink and create."""
    mount = shop.mount(source)
    os.unlink(mount / "c/v000")
    tree.write(mount / "c/v001", FRESH["v001"].tobytes())
    start = time.monotonic()
    jobs.fsync(mount / "c/v001")
    there = b"v000" in stored(source)
    assert there or time.monotonic() - start > 0.9
    jobs.fsync(mount / "c")
    assert b"v000" not in stored(source)


def test_a_name_that_came_back_was_never_gone(shop, source):
    """unlink and create anew, as tar does: every index on disk has the key."""
    mount = shop.mount(source)
    missing, in_time = [], 0
    for turn in range(20):
        start = time.monotonic()
        os.unlink(mount / "c/v000")
        tree.write(mount / "c/v001", array(turn, 64).tobytes())
        jobs.fsync(mount / "c/v001")
        there = b"v000" in stored(source)
        if time.monotonic() - start < 0.9:
            in_time += 1
            missing += [] if there else [turn]
        with open(mount / "c/v000", "xb") as f:
            f.write(array(turn, 64).tobytes())
    assert in_time and not missing
    assert wait_until(lambda: stored(source)[b"v000"] == array(19, 64).tobytes(), 5, 0.05)


def test_untyped_files_do_not_enter_by_time(shop, source):
    """Only with a type, at fsync, or at unmount with a word in the log."""
    mount = shop.mount(source)
    for name in ("krenel", "synced", "typed"):
        jobs.run(mount / "c", "head -c 12 /dev/zero > " + name)
    time.sleep(2)
    tree.write(mount / "c/v000", FRESH["v000"].tobytes())
    jobs.fsync(mount / "c/v000")
    assert stored(source).keys() == {k.encode() for k in VALUES}
    jobs.fsync(mount / "c/synced")
    jobs.run(mount / "c", "echo float32 > typed.dtype", "echo '[3]' > typed.shape")
    assert wait_until(lambda: {b"synced", b"typed"} <= stored(source).keys(), 5, 0.05)
    assert b"krenel" not in stored(source)
    mount.unmount()
    assert stored(source)[b"krenel"] == bytes(12) and "krenel" in mount.log()
