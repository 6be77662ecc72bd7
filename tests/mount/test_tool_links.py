"""ln: symbolic links in a directory of checkpoints, `latest` above all."""
import os
import re

import pytest

from tools import FROM, OTHER, SAME, STATE


def state_of(lab):
    return (lab.source / "checkpoint").read_text()


def latest(lab):
    return re.search('^model_checkpoint_path: "(.*)"', state_of(lab), re.M)[1]


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["-sfn", "-sfT", "-s --force --no-dereference"])
def test_ln_makes_another_checkpoint_the_latest(lab, options):
    """The state file names it, the rest of the file stays."""
    assert os.readlink(lab.mount / "latest") == SAME
    lab.sh("ln %s %s latest" % (options, FROM), where="")
    assert os.readlink(lab.mount / "latest") == FROM
    lab.settled({})
    assert state_of(lab) == STATE.replace('model_checkpoint_path: "%s"' % SAME,
                                          'model_checkpoint_path: "%s"' % FROM, 1)
    assert os.readlink(lab.mount / "latest") == FROM


def test_ln_makes_a_state_file(lab):
    """Where there was none."""
    (lab.source / "checkpoint").unlink()
    lab.mount.unmount()
    lab.mount = lab.shop.mount(lab.source)
    lab.sh("ln -s %s latest" % OTHER, where="")
    assert os.readlink(lab.mount / "latest") == OTHER
    lab.settled({})
    assert latest(lab) == OTHER


def test_ln_does_not_replace_latest_without_force(lab):
    """As on any disk."""
    lab.fails("ln -sT %s latest" % FROM, said="File exists", where="")
    lab.settled({})
    assert state_of(lab) == STATE


def test_ln_of_any_other_name(lab):
    """A symbolic link in the source."""
    lab.sh("ln -s %s best && test best/dense -ef %s/dense" % (FROM, FROM), where="")
    assert os.readlink(lab.mount / "best") == FROM
    lab.plain.add("best")
    lab.settled({})
    assert os.readlink(lab.source / "best") == FROM


def test_ln_replaces_another_link(lab):
    """ln -sfn: a temporary name, renamed over."""
    lab.sh("ln -s %s best && ln -sfn %s best" % (FROM, SAME), where="")
    lab.plain.add("best")
    lab.settled({})
    assert os.readlink(lab.source / "best") == SAME


def test_rm_of_a_link(lab):
    """The link goes, not what it names."""
    lab.sh("ln -s %s best && rm best" % FROM, where="")
    lab.settled({})


def test_ln_makes_no_hard_link(lab):
    """EPERM, in one checkpoint and between two."""
    lab.fails("ln conv/w conv/x", said="Operation not permitted")
    lab.fails("ln conv/w ../%s/conv/x" % SAME, said="Operation not permitted")
    lab.settled({})


@pytest.mark.parametrize("command", ["mknod x p", "mknod x c 1 3", "mkfifo x"])
def test_no_device_is_made_in_a_checkpoint(lab, command):
    """Neither pipes nor devices."""
    lab.fails(command, said="Operation not permitted")
    lab.settled({})
