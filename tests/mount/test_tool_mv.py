"""mv within a checkpoint: names change, bytes do not move."""
import os

import pytest

import tree
from tools import BIAS, EMB, FROM, KERNEL, NEW, NOTES, OFFSET, SAME, TEXT, WEIGHT


def shard(lab, prefix=FROM):
    return (lab.source / (prefix + ".data-00000-of-00001")).read_bytes()


@pytest.mark.sanitized
def test_mv_renames_a_variable_and_its_sidecars(lab):
    """At once: no old name is left, and no byte has moved."""
    data = shard(lab)
    lab.sh("mv conv/w conv/weights")
    assert sorted(os.listdir(lab.mount / FROM / "conv")) == [
        "b", "b.dtype", "b.shape", "weights", "weights.dtype", "weights.shape"]
    lab.settled(lab.below(WEIGHT, FROM + "/conv/weights", drop=True))
    assert shard(lab) == data


def test_mv_of_a_variable_with_slots_leaves_them(lab):
    """Only the variable has the new name; its scope is `.d` until the mount ends."""
    lab.sh("mv dense/kernel dense/weights")
    lab.settled({KERNEL: None, FROM + "/dense/weights": lab.value(KERNEL)}, sticky=[KERNEL])


def test_mv_of_a_variable_and_of_its_slots(lab):
    """`mv kernel weights; mv kernel.d weights.d`, in this order and the other."""
    lab.sh("mv dense/kernel dense/weights && mv dense/kernel.d dense/weights.d")
    lab.sh("mv dense/bias.d dense/offset.d && mv dense/bias dense/offset")
    lab.settled({**lab.below(KERNEL, FROM + "/dense/weights", drop=True),
                 **lab.below(BIAS, FROM + "/dense/offset", drop=True)})


@pytest.mark.parametrize("scope", ["conv", "dense"])
def test_mv_renames_a_scope(lab, scope):
    """All keys below, slots as well."""
    data = shard(lab)
    lab.sh("mv %s layer" % scope)
    assert not os.path.exists(lab.mount / FROM / scope)
    lab.settled(lab.below(FROM + "/" + scope, FROM + "/layer", drop=True))
    assert shard(lab) == data


def test_mv_moves_a_scope_into_another(lab):
    """A deeper key."""
    lab.sh("mkdir net && mv conv dense net/")
    lab.settled({**lab.below(FROM + "/conv", FROM + "/net/conv", drop=True),
                 **lab.below(FROM + "/dense", FROM + "/net/dense", drop=True)})


def test_mv_of_a_file_to_its_own_sidecar_is_refused(lab):
    """`mv note note.shape`: both would be gone."""
    (lab.mount / FROM / "conv/note").write_bytes(b"[2, 4]\n")
    with pytest.raises(OSError):
        os.rename(lab.mount / FROM / "conv/note", lab.mount / FROM / "conv/note.shape")
    assert (lab.mount / FROM / "conv/note").read_bytes() == b"[2, 4]\n"
    os.unlink(lab.mount / FROM / "conv/note")


@pytest.mark.sanitized
def test_mv_by_a_glob_prints_no_error(lab):
    """`mv dense/kernel* other/`: the sidecars have gone with the value, which is no fault."""
    lab.sh("mkdir other && mv dense/kernel* other/")
    assert sorted(os.listdir(lab.mount / FROM / "other")) == [
        "kernel", "kernel.d", "kernel.dtype", "kernel.shape"]
    lab.settled(lab.below(KERNEL, FROM + "/other/kernel", drop=True))


def test_mv_by_a_glob_without_slots(lab):
    """The same for all of a plain scope, which is there until the mount ends."""
    lab.sh("mkdir other && mv conv/* other/")
    lab.settled(lab.below(FROM + "/conv", FROM + "/other", drop=True), shown=[FROM + "/conv/"])


@pytest.mark.sanitized
def test_mv_over_another_variable(lab):
    """What is moved brings its dtype and shape; the other one is gone."""
    lab.sh("mv conv/w conv/b")
    lab.settled(lab.below(WEIGHT, OFFSET, drop=True))


def test_mv_does_not_overwrite(lab):
    """mv -n."""
    lab.sh("mv -n conv/w conv/b")
    lab.settled({})


def test_mv_with_a_backup(lab):
    """mv -b: the old one is `b~`, seen in the mount and never stored."""
    lab.sh("mv -b conv/w conv/b")
    assert lab.text(OFFSET + "~") == lab.old(OFFSET)
    lab.settled(lab.below(WEIGHT, OFFSET, drop=True), shown=[OFFSET + "~"])


def test_mv_to_a_backup_name_and_back(lab):
    """The type comes back with the name."""
    lab.sh("mv conv/w conv/w~ && mv conv/w~ conv/w")
    lab.settled({WEIGHT: lab.value(WEIGHT)})


def test_mv_there_and_back(lab):
    """Within a second nothing has happened."""
    lab.sh("mv conv layer && mv layer conv")
    lab.settled(lab.below(FROM + "/conv", FROM + "/conv"))


def test_mv_swaps_two_variables_by_a_third_name(lab):
    """Three renames."""
    lab.sh("mv conv/w t && mv emb conv/w && mv t emb")
    lab.settled({WEIGHT: lab.value(EMB), EMB: lab.value(WEIGHT)})


def test_mv_of_a_string_tensor(lab):
    """Its text comes along."""
    lab.sh("mv notes remarks")
    lab.settled({NOTES: None, FROM + "/remarks": lab.value(NOTES)})


def test_mv_of_a_scope_to_its_name_with_d_makes_room(lab):
    """`mv conv conv.d`, then a variable `conv`."""
    lab.sh("mv conv conv.d && cp emb conv")
    lab.settled({FROM + "/conv": lab.value(EMB)})


def test_mv_of_a_variable_that_was_just_written(lab):
    """The new value is under the new name."""
    lab.sh("cp $D/new dense/kernel && mv dense/kernel dense/weights")
    lab.settled({KERNEL: None, FROM + "/dense/weights": ("float32", [6, 4], NEW)},
                sticky=[KERNEL])


def test_mv_of_an_untyped_file_of_another_size_is_refused(lab):
    """EINVAL from the rename: the old value stands, and the file is where it was."""
    lab.file("wrong", b"x" * 15)
    lab.sh("cp $D/wrong fresh")
    lab.fails("mv fresh text", said="to a subdirectory of itself")  # mv's words for EINVAL
    assert lab.text(TEXT) == lab.old(TEXT)
    lab.run("rm -f fresh")
    lab.settled({})


def test_mv_of_a_file_onto_a_sidecar_writes_it(lab):
    """The text is parsed as if it had been written."""
    lab.file("shape", b"[4, 6]\n")
    lab.sh("cp $D/shape s && mv s dense/kernel.shape")
    assert lab.text(KERNEL + ".shape") == b"[4, 6]\n"
    lab.settled({KERNEL: ("float32", [4, 6], lab.value(KERNEL)[2])})


def test_names_are_right_at_once_after_each_mv(lab):
    """Sidecars too, found and not found (TRAPS 10): a hundred renames there and back."""
    names = [str(lab.mount / FROM / "conv" / n) for n in ("w", "v")]
    for i in range(100):
        old, new = names[i % 2], names[1 - i % 2]
        os.rename(old, new)
        assert tree.read(new + ".shape") == b"[2, 3]\n"
        assert set(os.listdir(lab.mount / FROM / "conv")).isdisjoint(
            {os.path.basename(old) + s for s in ("", ".shape", ".dtype")})
        assert not os.path.exists(old)
    lab.settled({WEIGHT: lab.value(WEIGHT)})


def test_mv_into_itself_is_refused(lab):
    """As on any disk."""
    lab.fails("mv conv conv/deeper", said="subdirectory of itself")
    lab.settled({})


def test_mv_onto_a_scope_that_is_not_empty_is_refused(lab):
    """mv -T conv dense."""
    lab.fails("mv -T conv dense", said="Directory not empty")
    lab.settled({})


def test_mv_of_other_checkpoints_variables_is_not_disturbed(lab):
    """The same names in another checkpoint stay."""
    lab.sh("mv conv layer")
    assert lab.text(SAME + "/conv/w") == lab.old(SAME + "/conv/w")
    lab.settled(lab.below(FROM + "/conv", FROM + "/layer", drop=True))
