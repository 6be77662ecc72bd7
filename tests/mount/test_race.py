"""TensorFlow saves onto the same prefix again and again while we commit to it."""
import errno
import os

import numpy as np
import pytest

import jobs
import judge as judge_module
import tensors
import tree


def commit_until_done(rival, mount, fsync=False):
    """Writes values of ours until the rival has its answer: how many.

    V1 commits at an fsync, or when all is quiet.
    """
    written = 0
    while not rival.ready():
        value = np.full(256, judge_module.OURS + written, "i4").tobytes()
        try:
            tree.write(mount / "ckpt/w", value)
            if fsync:
                jobs.fsync(mount / "ckpt/w")
            written += 1
        except OSError as e:
            # The prefix was replaced under us (ESTALE), or an index that is being
            # written in place is not listed for a moment (ENOENT).
            assert e.errno in (errno.ESTALE, errno.ENOENT), (e, mount.log()[-1000:])
    return written


def tell_the_last_failure(mount):
    """The last commit may have lost against a save: fsync says so, once."""
    fd = os.open(mount.point, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as e:
        assert e.errno == errno.ESTALE, e
    os.close(fd)


@pytest.mark.parametrize("merge", [False, True, "V1"], ids=["SaveV2", "Checkpoint", "V1"])
def test_saves_and_commits_never_damage_the_checkpoint(shop, judge, rival, long, merge):
    """After every save TensorFlow reads it whole: its own values, or ours in `w`."""
    source = shop.directory / "source"
    source.mkdir()
    judge.write_stamps(source / "ckpt", 0, merge)
    mount = shop.mount(source, limit=1800 if long else 240)
    rival.begin("race", source / "ckpt", 3000 if long else 150, merge)
    written = commit_until_done(rival, mount, fsync=merge == "V1")
    faults, met = rival.finish()
    assert not faults, (len(faults), faults[:5])
    assert written > 20 and met > 0, (written, met)
    tell_the_last_failure(mount)
    mount.unmount()
    names = {k.split(b"/")[0] for k in judge.load(source / "ckpt")}
    assert {b"a", b"b", b"w"} <= names
    tensors.read(source / "ckpt")
