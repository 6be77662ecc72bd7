"""cp of single files, in, out and within the mount."""
import os
import subprocess
import time

import pytest

from tools import (BARE, BIAS, BIG, EMB, FROM, KERNEL, LINES, NEW, NOTES, OFFSET, OTHER, SAME,
                   STEP, TEXT, TITLE, WEIGHT, eventually, lines, read_back)
from writing import numbers


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["", "-p", "-a", "-f", "-u --no-preserve=all",
                                     "--sparse=always", "--preserve=xattr",
                                     "--remove-destination"])
def test_cp_over_a_variable(lab, options):
    """A file of the right size from a disk; dtype and shape stay, unlinked before or not."""
    lab.sh("cp %s $D/new dense/kernel" % options)
    assert lab.text(KERNEL) == NEW
    lab.settled({KERNEL: NEW})


def test_cp_over_a_variable_keeps_a_backup_in_the_mount_only(lab):
    """cp -b renames the old value to `kernel~`, which is never stored."""
    lab.sh("cp -b $D/new dense/kernel")
    assert lab.text(KERNEL + "~") == lab.old(KERNEL)
    lab.settled({KERNEL: NEW}, shown=[KERNEL + "~"])


def test_cp_from_another_checkpoint(lab):
    """Within the mount: the bytes of the one under the other's name."""
    lab.sh("cp ../%s/dense/kernel dense/kernel" % SAME)
    lab.settled({KERNEL: lab.value(SAME + "/dense/kernel")})


@pytest.mark.sanitized
@pytest.mark.parametrize("old", [WEIGHT, EMB, TEXT, NOTES, TITLE])
def test_cp_to_a_new_name_takes_the_type_along(lab, old):
    """Within the mount a new name has dtype and shape of what was copied."""
    lab.sh("cp %s %s/copy" % (old, FROM), where="")
    lab.settled({FROM + "/copy": lab.value(old)})


def test_cp_to_a_new_name_in_another_checkpoint(lab):
    """The same across checkpoints of the mount, into a new scope."""
    lab.sh("mkdir ../%s/layer && cp conv/w ../%s/layer/" % (BARE, BARE))
    lab.settled({BARE + "/layer/w": lab.value(WEIGHT)})


def test_cp_onto_another_dtype_keeps_that(lab):
    """Only bytes are copied: an int32 of the same size stays an int32."""
    lab.sh("cp conv/w ../%s/conv/w" % OTHER)
    lab.settled({OTHER + "/conv/w": lab.value(WEIGHT)[2]})


def test_cp_with_attributes_onto_another_dtype_brings_it(lab):
    """cp -a copies the xattrs, and with them dtype and shape."""
    lab.sh("cp -a conv/w ../%s/conv/w" % OTHER)
    lab.settled({OTHER + "/conv/w": lab.value(WEIGHT)})


@pytest.mark.parametrize("path", [WEIGHT, EMB, NOTES])
def test_cp_with_attributes_to_a_disk_and_back(lab, path):
    """A disk keeps dtype and shape in xattrs; under a new name they are back."""
    lab.sh("cp -a %s $D/kept && cp -a $D/kept %s/again" % (path, FROM), where="")
    lab.settled({FROM + "/again": lab.value(path)})


@pytest.mark.sanitized
@pytest.mark.parametrize("size", [1, 92, 100, 1 << 20])
def test_cp_of_a_wrong_size_is_refused(lab, size):
    """Exit status 1, "Invalid argument", a line in the log, and the old value stands."""
    lab.file("wrong", b"x" * size)
    lab.mount.mark()
    lab.fails("cp $D/wrong dense/kernel")
    assert any("kernel" in x for x in lab.mount.news(2, expect=1))
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_cp_of_a_wrong_size_within_the_mount_is_refused(lab):
    """The same through copy_file_range: a value that stands keeps its type."""
    lab.fails("cp emb dense/kernel")
    lab.settled({})


def test_cp_of_nothing_is_refused(lab):
    """An empty file over a value that is not empty."""
    lab.run("cp /dev/null dense/kernel")
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    lab.settled({})


@pytest.mark.parametrize("tool", ["cp $D/none dense/kernel", "cat $D/none > dense/kernel",
                                  "install -m644 $D/none dense/kernel",
                                  "rsync $D/none dense/kernel 2> $D/said"])
def test_an_empty_value_before_its_shape(lab, tool):
    """Tools copy a tensor without elements like any other: what comes later makes it right."""
    lab.file("none", b"")
    lab.run(tool)
    lab.sh("echo '[0, 4]' > dense/kernel.shape")
    assert lab.text(KERNEL) == b""
    lab.settled({KERNEL: ("float32", [0, 4], b"")})


def test_cp_after_a_declaration(lab):
    """The new shape first: cp prints nothing."""
    lab.file("rows", numbers(48))
    lab.sh("echo '[12, 4]' > emb.shape && cp $D/rows emb")
    lab.settled({EMB: ("float32", [12, 4], numbers(48))})


def test_cp_before_a_declaration(lab):
    """The value first: cp prints an error, and the shape within ten seconds makes it right."""
    lab.file("rows", numbers(48))
    lab.fails("cp $D/rows emb")
    assert lab.text(EMB) == lab.old(EMB)
    lab.sh("echo '[12, 4]' > emb.shape")
    lab.settled({EMB: ("float32", [12, 4], numbers(48))})


def test_cp_of_a_new_file_with_sidecars(lab):
    """Typed when the last of the three is there, and on disk without an unmount."""
    lab.sh("cp $D/new fresh; echo float32 > fresh.dtype; echo '[4, -1]' > fresh.shape")
    eventually(lambda: lab.stored(FROM + "/fresh") == NEW)
    assert lab.text(FROM + "/fresh.shape") == b"[4, 6]\n"
    lab.settled({FROM + "/fresh": ("float32", [4, 6], NEW)})


def test_cp_of_one_file_with_two_names(lab):
    """Several sources, one directory."""
    lab.file("b", numbers(3))
    lab.sh("cp $D/new $D/b conv/")
    lab.settled({OFFSET: numbers(3), FROM + "/conv/new": ("uint8", [96], NEW)})


@pytest.mark.sanitized
def test_a_mistyped_name_shows_in_the_status_and_not_on_disk(lab):
    """`cp x krenel`: untyped until the unmount, which logs that it is stored."""
    lab.sh("cp $D/new dense/krenel")
    path = FROM + "/dense/krenel"
    lab.released()
    assert any(x.endswith("dense/krenel") for x in lab.pending("untyped"))
    time.sleep(1.5)  # more than any delay of a commit
    assert lab.stored(path) is None
    lab.mount.mark()
    mount = lab.mount
    lab.settled({path: ("uint8", [96], NEW)})
    assert "krenel" in mount.log()[mount.seen:]


def test_a_mistyped_name_can_be_removed(lab):
    """`rm krenel`: as if it had never been; the status forgets it."""
    lab.sh("cp $D/new krenel && rm krenel")
    assert not any("krenel" in x for x in lab.pending("untyped"))
    lab.settled({})


def test_a_mistyped_name_can_be_moved_to_the_right_one(lab):
    """`mv krenel kernel`: the untyped file takes dtype and shape of the variable."""
    lab.sh("cp $D/new dense/krenel && mv dense/krenel dense/kernel")
    lab.settled({KERNEL: NEW})


@pytest.mark.sanitized
@pytest.mark.parametrize("to", [KERNEL, BIG, FROM + "/fresh"])
def test_an_interrupted_cp_changes_nothing(lab, to):
    """kill -9 while half of the bytes are there; a new name may not enter the disk as half."""
    half = lab.old(BIG)[:150000] if to == BIG else NEW[:40]
    with subprocess.Popen(["cp", "/dev/stdin", str(lab.mount / to)],
                          stdin=subprocess.PIPE) as cp:
        cp.stdin.write(half)
        cp.stdin.flush()
        eventually(lambda: os.path.exists(lab.mount / to)
                   and os.path.getsize(lab.mount / to) == len(half))
        cp.kill()
        cp.wait()
    if to.endswith("fresh"):
        lab.sh("rm fresh")
    eventually(lambda: to.endswith("fresh") or lab.text(to) == lab.old(to))
    lab.settled({})


def test_a_cp_interrupted_before_the_first_byte_changes_nothing(lab):
    """Opened, truncated, killed."""
    with subprocess.Popen(["cp", "/dev/stdin", str(lab.mount / KERNEL)],
                          stdin=subprocess.PIPE) as cp:
        eventually(lambda: os.path.getsize(lab.mount / KERNEL) == 0)
        cp.kill()
        cp.wait()
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    lab.settled({})


def test_the_disk_keeps_the_old_value_while_cp_runs(lab):
    """Readers of the mount see what is written, TensorFlow does not."""
    with subprocess.Popen(["cp", "/dev/stdin", str(lab.mount / KERNEL)],
                          stdin=subprocess.PIPE) as cp:
        cp.stdin.write(NEW[:40])
        cp.stdin.flush()
        eventually(lambda: lab.text(KERNEL) == NEW[:40])
        assert lab.stored(KERNEL) == lab.old(KERNEL)
        assert lab.judge.load(lab.source / FROM)[b"dense/kernel"][2] == lab.old(KERNEL)
        cp.stdin.write(NEW[40:])
        cp.stdin.close()
        assert cp.wait() == 0
    lab.settled({KERNEL: NEW})


def test_cp_of_a_string_tensor(lab):
    """One element a line; the number of lines is judged."""
    lab.file("lines", b"one\ntwo\\nlines\n\n")
    lab.file("four", b"1\n2\n3\n4\n")
    lab.sh("cp $D/lines notes")
    lab.fails("cp $D/four notes")
    lab.settled({NOTES: lines(b"one", b"two\nlines", b"")})


def test_cp_of_a_scalar_string_of_any_length(lab):
    """A scalar's file is its bytes, newlines and all."""
    lab.file("title", b"much longer\nthan before")
    lab.sh("cp $D/title title")
    lab.settled({TITLE: [b"much longer\nthan before"]})


@pytest.mark.parametrize("order", ["vds", "vsd", "dvs", "dsv", "svd", "sdv"])
@pytest.mark.parametrize("to, value", [
    (TITLE, lines(*LINES)),
    (TITLE, lines(b"line\nof two")),
    (TITLE, ("string", [1, 1], [b"x"])),
    (TITLE, ("float32", [2, 3], numbers(6))),
    (TITLE, ("int32", [], b"\n\\n\n")),
    (NOTES, ("int32", [3], b"a\nbc\n\\\\def\\n")),
    (TEXT, lines(b"hello", b"world")),
    (TEXT, ("string", [], [b"hello\nworld\n"])),
    (STEP, ("string", [], [b"eight by"])),
], ids=str)
def test_cp_of_strings_and_numbers_onto_one_another(lab, order, to, value):
    """A copy may be a value of the old type, too: its sidecars say what it is."""
    dtype, shape, _ = value
    lab.file("v", read_back(*value))
    lab.file("d", dtype.encode() + b"\n")
    lab.file("s", str(shape).encode() + b"\n")
    for each in order:
        status, _, said = lab.run("cp $D/%s %s%s" % (
            each, to[len(FROM) + 1:], {"v": "", "d": ".dtype", "s": ".shape"}[each]))
        assert status == 0 or (each == "v" and "Invalid argument" in said)
    assert lab.text(to) == read_back(*value)
    lab.settled({to: value})


@pytest.mark.parametrize("tool", ["cp --remove-destination", "install -m644", "rsync -I"])
@pytest.mark.parametrize("order, value", [
    ("dvs", ("string", [1], [b"x"])), ("svd", ("int32", [], b"\n\\n\n"))], ids=["dvs", "svd"])
def test_a_sidecar_before_the_file_that_takes_the_place(lab, tool, order, value):
    """What it said counts for that file, too."""
    lab.file("v", read_back(*value))
    lab.file("d", value[0].encode() + b"\n")
    lab.file("s", str(value[1]).encode() + b"\n")
    for each in order:
        lab.sh("%s $D/%s title%s" % (tool, each, {"v": "", "d": ".dtype", "s": ".shape"}[each]))
    assert lab.text(TITLE) == read_back(*value)
    lab.settled({TITLE: value})


def test_a_dtype_alone_makes_no_strings_of_numbers(lab):
    """Nor a shape, where that is open; what stands for ten seconds is not judged again."""
    lab.sh("cp $D/new dense/kernel; echo string > dense/kernel.dtype")
    lab.sh("echo string > text.dtype; echo '[1]' > text.shape")
    lab.sh("printf 'x\\n' > title; echo '[1]' > title.shape")
    assert lab.text(KERNEL) == NEW and lab.text(TITLE) == b"x\\n\n"
    assert lab.text(TEXT) == lab.old(TEXT)
    lab.sh("echo float32 > dense/kernel.dtype; echo uint8 > text.dtype; echo '[12]' > text.shape")
    lab.settled({KERNEL: NEW, TITLE: lines(b"x\n")})


def test_cp_makes_no_hard_link(lab):
    """cp -l: "Operation not permitted", and no new name."""
    lab.fails("cp -l conv/w conv/x", said="Operation not permitted")
    lab.settled({})


def test_cp_of_the_sidecars_alone_changes_the_shape(lab):
    """cp of a shape that fits the bytes is a reshape."""
    lab.file("shape", b"[2, 2]\n")
    lab.sh("cp $D/shape dense/bias.shape")
    assert lab.text(BIAS + ".shape") == b"[2, 2]\n"
    lab.settled({BIAS: ("float32", [2, 2], lab.value(BIAS)[2])})


def test_cp_that_does_not_overwrite(lab):
    """cp -n leaves a variable as it is."""
    lab.sh("cp -n $D/new dense/kernel")
    lab.settled({})
