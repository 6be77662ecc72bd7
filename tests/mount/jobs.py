"""Steps that the tests of whole jobs share: shell lines in a mount, then TensorFlow's word."""
import ctypes
import os
import subprocess

import numpy as np

import disk
from writing import sh

LIBC = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2


def rename2(old, new, flags):
    """renameat2(2)."""
    if LIBC.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(old), None, str(new))


def exchange(old, new):
    """What `mv --exchange` of newer coreutils does."""
    rename2(old, new, EXCHANGE)


def fsync(path):
    """fsync of a file or a directory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def array(seed, *shape, dtype="f4"):
    """Numbers that a seed stands for."""
    dice = np.random.RandomState(seed)
    return np.asarray(dice.standard_normal(shape) * 100).astype(dtype)


def packed(value):
    """As the judge tells of a tensor."""
    value = np.asarray(value)
    return value.dtype.name, list(value.shape), value.tobytes()


def run(where, *lines, script=None):
    """Shell lines of which each must succeed; nothing may be printed on stderr."""
    text = "set -e\n" + (script or "\n".join(lines))
    status, said = sh(text, where)
    assert (status, said) == (0, ""), "%s\n%d: %s" % (text, status, said)


def holds(judge, prefix, wanted):
    """The checkpoint has these tensors, {key: array}, and no others; a Saver restores them."""
    want = {k.encode(): packed(v) for k, v in wanted.items()}
    assert judge.load(prefix) == want
    assert judge.saver_restore(prefix, {k.decode(): (d, s) for k, (d, s, _) in want.items()}) == want
    found = disk.Snapshot(prefix)
    assert found.values == {k: v for k, (_, _, v) in want.items()}


def cp(*words):
    """cp of single files: (exit status, what it said)."""
    done = subprocess.run(["cp", *map(os.fsencode, words)], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def control(mount, word, prefix="."):
    """`echo WORD > .weightfs/control`, at the root of the mount: (exit status, stderr)."""
    return sh("echo %s > %s/.weightfs/control" % (word, prefix), mount.point)
