"""mv across checkpoints, from and to another disk, and of checkpoints."""
import os
import re

import pytest

import disk
import tree
from tools import BARE, EMB, FROM, KERNEL, NEW, NOTES, OTHER, SAME, STATE, WEIGHT


def test_rename_across_checkpoints_is_exdev(lab):
    """rename(2) itself says so; mv copies and removes."""
    got = tree.error_of(os.rename, lab.mount / WEIGHT, lab.mount / BARE / "w")
    assert got == "EXDEV"
    lab.settled({})


@pytest.mark.parametrize("path", [WEIGHT, EMB, NOTES])
def test_mv_to_another_checkpoint(lab, path):
    """A new name there, dtype and shape come along."""
    lab.sh("mv %s %s/moved" % (path, BARE), where="")
    lab.settled({path: None, BARE + "/moved": lab.value(path)})


def test_mv_over_a_variable_of_another_checkpoint(lab):
    """Of another dtype: that of what was moved counts."""
    lab.sh("mv conv/w ../%s/conv/w" % OTHER)
    lab.settled({WEIGHT: None, OTHER + "/conv/w": lab.value(WEIGHT)})


@pytest.mark.parametrize("to", [OTHER, BARE])
def test_mv_of_a_scope_to_another_checkpoint(lab, to):
    """With all slots; the old place is empty and gone."""
    lab.sh("mv dense ../%s/layer" % to)
    assert not os.path.exists(lab.mount / FROM / "dense")
    lab.settled(lab.below(FROM + "/dense", to + "/layer", drop=True))


def test_mv_by_a_glob_to_another_checkpoint(lab):
    """`mv dense/kernel* ../b/layer/` without an error."""
    lab.sh("mkdir ../%s/layer && mv dense/kernel* ../%s/layer/" % (BARE, BARE))
    lab.settled(lab.below(KERNEL, BARE + "/layer/kernel", drop=True))


def test_mv_to_a_disk(lab):
    """A file with the bytes; the variable is gone."""
    lab.sh("mv conv/w $D/w")
    assert (lab.disk / "w").read_bytes() == lab.old(WEIGHT)
    lab.settled({WEIGHT: None})


def test_mv_of_a_scope_to_a_disk_and_back(lab):
    """All is as before."""
    lab.sh("mv dense $D/ && test ! -e dense && mv $D/dense .")
    assert not (lab.disk / "dense").exists()
    lab.settled(lab.below(FROM + "/dense", FROM + "/dense"))


def test_mv_of_a_scope_to_a_disk_and_back_in_another_mount(lab):
    """What the mount remembers is gone then: sidecars and xattrs must do."""
    changes = lab.without(FROM + "/dense")
    again = lab.below(FROM + "/dense", FROM + "/dense")
    lab.sh("mv dense $D/")
    lab.settled(changes)
    lab.sh("mv $D/dense .")
    lab.settled(again)


def test_mv_of_a_variable_to_a_disk_and_back_under_another_name(lab):
    """xattrs carry dtype and shape."""
    lab.sh("mv conv/w $D/w && mv $D/w conv/again")
    lab.settled({WEIGHT: None, FROM + "/conv/again": lab.value(WEIGHT)})


@pytest.mark.sanitized
def test_mv_from_a_disk_over_a_variable(lab):
    """mv unlinks the old one and makes a new file: the name's type is remembered."""
    lab.sh("mv $D/new dense/kernel")
    assert not (lab.disk / "new").exists()
    lab.settled({KERNEL: NEW})


def test_mv_from_a_disk_over_a_string_tensor(lab):
    """The same for text."""
    lab.file("lines", b"a\nb\nc\n")
    lab.sh("mv $D/lines notes")
    lab.settled({NOTES: [b"a", b"b", b"c"]})


def test_mv_of_a_wrong_size_from_a_disk_is_refused(lab):
    """The file stays on its disk, and the old value stands, though it was unlinked."""
    lab.file("wrong", NEW + b"more")
    lab.fails("mv $D/wrong dense/kernel")
    assert (lab.disk / "wrong").exists()
    lab.settled({})


def test_mv_of_a_new_layer_from_a_disk(lab):
    """Made by hand: three files each."""
    lab.copy_to_disk(SAME + "/dense", "dense")
    lab.sh("mv $D/dense layer")
    lab.settled(lab.below(SAME + "/dense", FROM + "/layer"))


# ------------------------------------------------------------------ checkpoints
def state_paths(lab):
    return re.findall('"(.*)"', (lab.source / "checkpoint").read_text())


@pytest.mark.sanitized
def test_mv_renames_a_checkpoint(lab):
    """Its files have the new name, no byte changes, the state file follows, and `latest`."""
    (lab.source / (SAME + ".meta")).write_bytes(b"graph")
    old = {n[len(SAME):]: d for n, d in disk.digest(lab.source).items() if n.startswith(SAME)}
    changes = lab.below(SAME, "best", drop=True)
    lab.plain.add("best.meta")
    lab.sh("ls > $D/listed && mv %s best" % SAME, where="")
    assert os.readlink(lab.mount / "latest") == "best"
    lab.settled(changes, gone=[SAME])
    assert {n[4:]: d for n, d in disk.digest(lab.source).items() if n.startswith("best")} == old
    assert state_paths(lab) == ["best", FROM, "best"]


def test_mv_of_a_checkpoint_that_was_just_written(lab):
    """What was written is there under the new name."""
    changes = lab.below(FROM, "best", drop=True)
    lab.sh("cp $D/new %s/dense/kernel && mv %s best" % (FROM, FROM), where="")
    changes["best/dense/kernel"] = ("float32", [6, 4], NEW)
    lab.settled(changes, gone=[FROM])


def test_mv_of_a_checkpoint_into_a_checkpoint_is_refused(lab):
    """EINVAL: not a scope of it."""
    status, _, said = lab.run("mv %s %s/" % (FROM, SAME), where="")
    assert status == 1 and "cannot move" in said
    assert tree.error_of(os.rename, lab.mount / FROM, lab.mount / SAME / "inner") == "EINVAL"
    lab.settled({})


def test_mv_of_a_checkpoint_into_a_new_directory(lab):
    """`mkdir old; mv model.ckpt-1 old/`: a plain directory with a checkpoint in it."""
    wanted = {k: v[2] for k, v in lab.judge.load(lab.source / FROM).items()}
    old = (lab.source / (FROM + ".data-00000-of-00001")).read_bytes()
    lab.sh("mkdir old && mv %s old/" % FROM, where="")
    assert tree.read(lab.mount / "old" / KERNEL) == lab.old(KERNEL)
    lab.mount.unmount()
    assert sorted(os.listdir(lab.source / "old")) == [
        FROM + ".data-00000-of-00001", FROM + ".index"]
    assert (lab.source / "old" / (FROM + ".data-00000-of-00001")).read_bytes() == old
    assert {k: v[2] for k, v in lab.judge.load(lab.source / "old" / FROM).items()} == wanted
    assert not list(lab.source.glob(FROM + "*"))


def test_mv_of_plain_files(lab):
    """Files that are no checkpoint are renamed in the source."""
    lab.sh("echo hello > readme && mv readme README", where="")
    lab.plain.add("README")
    lab.settled({})
    assert (lab.source / "README").read_text() == "hello\n"
    assert (lab.source / "checkpoint").read_text() == STATE
