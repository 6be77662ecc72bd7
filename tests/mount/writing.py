"""Steps that the tests of writing share."""
import os
import subprocess

import numpy as np

import disk
import mounts
import sstable

STEP = "model.ckpt-4"
KERNEL = b"dense/kernel"


def numbers(count, seed=1):
    """Float32 values as bytes, NaN payloads and all."""
    return np.random.RandomState(seed).bytes(4 * count)


def on_disk(source, key, content, prefix=STEP):
    """Whether the checkpoint on disk has this value."""
    return disk.Snapshot(source / prefix).values[key] == content


def wait_for(source, key, content, prefix=STEP, seconds=10):
    """Waits until a commit has brought the value to disk."""
    assert mounts.wait_until(lambda: on_disk(source, key, content, prefix), seconds, 0.05)


def accepted(judge, source, before, changed, prefix=STEP):
    """TensorFlow reads the new values and, to the bit, all others; so does sstable.py."""
    after = disk.Snapshot(source / prefix)
    disk.assert_only_changed(before, after, changed)
    told = judge.load(source / prefix)
    assert {k: v[2] for k, v in told.items()} == after.values
    wanted = {k.decode(): (d, s) for k, (d, s, _) in told.items()}
    assert judge.restore_v2(source / prefix, {k: d for k, (d, _) in wanted.items()}) == {
        k.decode(): v for k, v in told.items()}
    assert judge.saver_restore(source / prefix, wanted) == told
    return after


def sh(command, where):
    """Runs a shell command: (exit status, what it printed on stderr)."""
    done = subprocess.run(["bash", "-c", command], cwd=where, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def pread(path, size, offset):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def save(prefix, values):
    """A checkpoint of uint8 values, {key: bytes}, in TensorFlow's order: data, then index."""
    made = sstable.BundleBuilder()
    for key, content in values.items():
        made.add(key, sstable.DT["uint8"], [len(content)], content)
    for name, content in ((".data-00000-of-00001", bytes(made.data)), (".index", made.index())):
        with open(str(prefix) + ".tmp", "wb") as f:
            f.write(content)
        os.rename(str(prefix) + ".tmp", str(prefix) + name)
