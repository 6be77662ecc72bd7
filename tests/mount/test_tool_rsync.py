"""rsync: temporary files renamed over values, or written in place."""
import os

import pytest

from tools import BARE, BIAS, FROM, KERNEL, NEW, OTHER, SAME, WEIGHT, eventually


SIDECARS = "--include='*/' --include='*.shape' --include='*.dtype' --exclude='*'"


def carried_over(lab, options, to):
    """Runs rsync, which may print an error where shapes differ.

    In place it stops at the first such file: there the sidecars go first.
    """
    in_place = "--inplace" in options and to == OTHER
    if in_place:
        lab.sh("rsync %s %s dense ../%s/" % (options, SIDECARS, to))
    status, _, said = lab.run("rsync %s dense ../%s/" % (options, to))
    assert (status, said) == (0, "") or (to == OTHER and not in_place and status == 23), said


@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("options", ["-a", "-aX", "-r", "-aI", "-a --inplace", "-aX --inplace",
                                     "-ac --inplace --no-whole-file"])
def test_rsync_of_a_layer(lab, options, to):
    """Into another checkpoint: the same shapes, others, and nothing there."""
    carried_over(lab, options, to)
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["-a", "-aX", "-a --inplace"])
def test_rsync_a_second_time_prints_nothing(lab, options):
    """Whatever the first said about other shapes, the second has nothing left to do."""
    carried_over(lab, options, OTHER)
    lab.sh("rsync %s -c dense ../%s/" % (options, OTHER))
    lab.settled(lab.below(FROM + "/dense", OTHER + "/dense"))


@pytest.mark.parametrize("options", ["-a", "-a --inplace", "-aX"])
def test_rsync_to_a_disk_and_back(lab, options):
    """Out, one value changed, back: only that one is new."""
    lab.sh("rsync %s dense $D/ && cp $D/new $D/dense/kernel && rsync %s -c $D/dense ."
           % (options, options))
    lab.settled({KERNEL: NEW})


@pytest.mark.parametrize("options", ["-a", "-a --inplace", "-c", "-b", "--remove-source-files"])
def test_rsync_of_one_value(lab, options):
    """A file from a disk over a variable."""
    lab.sh("rsync %s $D/new dense/kernel" % options)
    assert lab.text(KERNEL) == NEW
    lab.settled({KERNEL: NEW}, shown=[KERNEL + "~"] if options == "-b" else [])


def test_rsync_carries_the_type_in_xattrs(lab):
    """-X to a disk and back under a new name, without sidecars."""
    lab.sh("rsync -aX conv/w $D/w && rsync -aX $D/w again")
    lab.settled({FROM + "/again": lab.value(WEIGHT)})


@pytest.mark.parametrize("options", ["--delete", "--delete-before", "--delete-after",
                                     "--delete --inplace"])
def test_rsync_deletes_what_the_source_has_not(lab, options):
    """`rsync -a --delete a/ b/`: a variable and its sidecars go without an error."""
    lab.sh("rm dense/kernel.d/Adam_1")
    changes = {FROM + "/dense/kernel/Adam_1": None,
               SAME + "/dense/kernel/Adam_1": None}
    source = lab.below(FROM + "/dense", SAME + "/dense")
    del source[SAME + "/dense/kernel/Adam_1"]
    lab.sh("rsync -aI %s dense/ ../%s/dense/" % (options, SAME))
    lab.settled({**source, **changes})


def test_rsync_deletes_a_whole_scope(lab):
    """--delete of a scope with all that is below it."""
    lab.sh("mkdir $D/empty && rsync -a --delete $D/empty/ dense/")
    lab.settled(lab.without(FROM + "/dense"), shown=[FROM + "/dense/"])


@pytest.mark.parametrize("options", ["", "--inplace"])
def test_rsync_of_a_wrong_size_is_refused(lab, options):
    """Its exit status says so, and the old value stands."""
    lab.file("wrong", NEW + b"more")
    status, _, said = lab.run("rsync -a %s $D/wrong dense/kernel" % options)
    assert status in (11, 23) and "Invalid argument" in said, (status, said)
    lab.released()
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_rsync_leaves_no_temporary_file(lab):
    """Names such as `.kernel.Ab12Cd` are gone, and never were on disk."""
    lab.sh("rsync -a $D/new dense/kernel && rsync -a $D/new dense/fresh")
    assert not [n for n in os.listdir(lab.mount / FROM / "dense") if n.startswith(".")]
    lab.settled({KERNEL: NEW, FROM + "/dense/fresh": ("uint8", [96], NEW)})


def test_rsync_of_a_string_tensor(lab):
    """Renamed over a string tensor, an untyped file is text."""
    lab.file("lines", b"x\ny\nz\n")
    lab.sh("rsync -a $D/lines notes")
    lab.settled({FROM + "/notes": [b"x", b"y", b"z"]})


def test_rsync_clones_a_checkpoint(lab):
    """Whole, under a new name."""
    lab.sh("rsync -a ../%s/ ../best/" % FROM)
    lab.settled(lab.below(FROM, "best"))


def test_rsync_with_sidecars_only(lab):
    """A new shape for the same bytes."""
    lab.file("bias.shape", b"[2, 2]\n")
    lab.sh("rsync -a $D/bias.shape dense/")
    eventually(lambda: lab.text(BIAS + ".shape") == b"[2, 2]\n")
    lab.settled({BIAS: ("float32", [2, 2], lab.value(BIAS)[2])})


def test_rsync_does_not_send_what_is_equal(lab):
    """-c of equal layers writes nothing."""
    lab.sh("rsync -rc dense/ ../%s/dense/" % FROM)
    lab.settled({})


@pytest.mark.parametrize("options", ["-a", "-a --inplace"])
def test_rsync_takes_no_file_for_sent_because_another_was(lab, options):
    """Times are each file's own: a shape of as many letters comes over, after its value."""
    lab.sh("rsync %s dense/kernel dense/kernel.dtype dense/kernel.shape $D/" % options)
    lab.sh("echo '[4, 6]' > $D/kernel.shape; touch -d 2001-01-01 $D/kernel*")
    for name in ("kernel.dtype", "kernel", "kernel.shape"):
        lab.sh("rsync %s $D/%s dense/" % (options, name))
    lab.settled({KERNEL: ("float32", [4, 6], lab.value(KERNEL)[2])})


def test_rsync_in_place_writes_a_shorter_line(lab):
    """The rest of the old line is there for a moment: the new one is not judged with it."""
    lab.file("kernel.shape", b"[24]\n")
    lab.sh("rsync -a --inplace $D/kernel.shape dense/")
    lab.settled({KERNEL: ("float32", [24], lab.value(KERNEL)[2])})
