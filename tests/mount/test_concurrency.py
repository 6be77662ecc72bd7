"""Many readers, a writer, and TensorFlow saving, all at once."""
import errno
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import disk
import judge as judge_module
import tree
from writing import save

READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reader.py")


def start_readers(mount, seconds, count=8):
    return [subprocess.Popen([sys.executable, READER, str(seconds), "a,b", "w", mount / "ckpt"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(count)]


def write_while(readers, path):
    """Overwrites a value as long as somebody reads: how often it worked."""
    done = 0
    while any(r.poll() is None for r in readers):
        try:
            tree.write(path, np.full(256, judge_module.OURS + done, "i4").tobytes())
            done += 1
        except OSError as e:
            assert e.errno == errno.ESTALE, e
    return done


def assert_readers_are_content(readers):
    for each in readers:
        out, err = each.communicate(timeout=120)
        assert each.returncode == 0 and not err, err
        reads, highest = map(int, out.split())
        assert reads > 0 and highest >= 0


@pytest.mark.sanitized
def test_eight_readers_a_writer_and_a_saver(shop, judge, rival, long):
    """No reader sees a wrong byte or an error, and the end is a whole checkpoint."""
    seconds = 60 if long else 6
    source = shop.directory / "source"
    source.mkdir()
    judge.write_stamps(source / "ckpt", 0, False)
    mount = shop.mount(source, limit=300)
    readers = start_readers(mount, seconds)
    rival.begin("save_for", source / "ckpt", seconds)
    written = write_while(readers, mount / "ckpt/w")
    last = rival.finish()
    assert_readers_are_content(readers)
    assert written > 0 and last > 0
    mount.unmount()
    found = judge.load(source / "ckpt")
    assert found[b"a"][2] == np.full(64, last, "i4").tobytes()
    assert found[b"b"][2] == np.full(1000, last, "i4").tobytes()


@pytest.mark.sanitized
def test_eight_writers_of_different_values(adam, judge):
    """Every value is in the end what its own writer wrote last."""
    import disk
    source, mount = adam
    values = disk.Snapshot(source / "model.ckpt-4").values
    last, faults = {}, []

    def work(key, path):
        try:
            for turn in range(20):
                last[key] = bytes([turn + 1]) * len(values[key])
                tree.write(path, last[key])
                assert tree.read(path) == last[key]
        except BaseException as e:  # pylint: disable=broad-except
            faults.append((key, e))
    threads = [threading.Thread(target=work, args=(k, mount.path(
        "model.ckpt-4", tree.path_of(k, values.keys())))) for k in list(values)[:8]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults
    mount.unmount()
    found = judge.load(source / "model.ckpt-4")
    assert {k: found[k][2] for k in last} == last


def test_two_writers_of_one_value_leave_one_of_theirs(adam, judge):
    """Whole writes of two processes to one variable do not damage the checkpoint."""
    source, mount = adam
    path = mount / "model.ckpt-4/dense/bias"
    script = ("import os, sys\nfor i in range(100):\n f = os.open(sys.argv[1], os.O_RDWR)\n"
              " os.pwrite(f, sys.argv[2].encode() * 16, 0)\n os.close(f)\n")
    writers = [subprocess.Popen([sys.executable, "-c", script, path, letter]) for letter in "xy"]
    assert [w.wait(120) for w in writers] == [0, 0]
    value = tree.read(path)
    assert set(value) <= set(b"xy")
    mount.unmount()
    assert judge.load(source / "model.ckpt-4")[b"dense/bias"][2] == value


@pytest.mark.sanitized
def test_no_write_is_lost_to_the_close_of_another_descriptor(shop):
    """What pwrite() said it took is there, however many dup()s are closed meanwhile."""
    source = shop.directory / "source"
    source.mkdir()
    save(source / "ckpt", {b"w": bytes(64)})
    mount = shop.mount(source)
    fd = os.open(mount / "ckpt/w", os.O_RDWR)
    done = threading.Event()

    def close_descriptors():
        while not done.is_set():
            os.close(os.dup(fd))

    others = [threading.Thread(target=close_descriptors) for _ in range(3)]
    for each in others:
        each.start()
    lost, end = 0, time.monotonic() + 60
    for i in range(1500):
        if i > 100 and time.monotonic() > end:
            break  # a slow disk
        value = i.to_bytes(4, "little") * 16
        os.pwrite(fd, value, 0)
        os.fsync(fd)
        if i % 50 == 0:
            lost += on_disk_now(source / "ckpt", b"w") != value
    done.set()
    for each in others:
        each.join()
    last = b"last" * 16
    os.pwrite(fd, last, 0)
    os.close(fd)
    assert lost == 0
    mount.unmount()
    assert on_disk_now(source / "ckpt", b"w") == last


def on_disk_now(prefix, key):
    return disk.Snapshot(prefix).values[key]
