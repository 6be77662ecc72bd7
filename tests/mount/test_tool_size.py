"""truncate, fallocate, split, and embeddings that grow and shrink."""
import os

import pytest

import tree
from tools import EMB, FROM, KERNEL, NOTES, TEXT, eventually
from writing import numbers

ROWS = numbers(8, 77)  # two more rows of EMB


@pytest.mark.parametrize("size", ["95", "97", "-4", "+4", "1M"])
def test_truncate_to_another_size_is_refused(lab, size):
    """Exit status 1 and "Invalid argument"; the old value stands."""
    lab.fails("truncate -s %s dense/kernel" % size)
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_truncate_to_nothing_changes_nothing(lab):
    """A flush before anything was written judges nothing: the log has to say it."""
    lab.mount.mark()
    lab.run("truncate -s 0 dense/kernel")
    assert any("kernel" in x for x in lab.mount.news(2, expect=1))
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    lab.settled({})


@pytest.mark.parametrize("size", ["96", "+0", "%32", ">90", "<100"])
def test_truncate_to_the_same_size(lab, size):
    """Nothing changes, and nothing is said."""
    lab.sh("truncate -s '%s' dense/kernel" % size)
    lab.settled({})


def test_a_size_set_by_path_is_judged_at_once(lab):
    """truncate(2), which has no writer."""
    for size in (0, 95, 97):
        assert tree.error_of(os.truncate, lab.mount / KERNEL, size) == "EINVAL"
        assert lab.text(KERNEL) == lab.old(KERNEL)
    os.truncate(lab.mount / KERNEL, 96)
    lab.settled({})


@pytest.mark.parametrize("rows", [12, 7, 0])
def test_truncate_after_a_declaration(lab, rows):
    """Grows with zeros, and shrinks."""
    lab.sh("echo '[%d, 4]' > emb.shape && truncate -s %d emb" % (rows, rows * 16))
    value = lab.old(EMB)[:rows * 16].ljust(rows * 16, b"\0")
    lab.settled({EMB: ("float32", [rows, 4], value)})


def test_truncate_before_a_declaration(lab):
    """The error first, then the shape that makes it right."""
    lab.fails("truncate -s 192 emb")
    lab.sh("echo '[12, 4]' > emb.shape")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + bytes(32))})


def test_a_size_set_by_path_after_a_declaration(lab):
    """truncate(2) again, where it fits."""
    lab.sh("echo '[12, 4]' > emb.shape")
    os.truncate(lab.mount / EMB, 192)
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + bytes(32))})


def test_truncate_makes_a_new_file(lab):
    """Zeros, typed by the sidecars."""
    lab.sh("truncate -s 96 fresh && echo float32 > fresh.dtype && echo '[6, 4]' > fresh.shape")
    lab.settled({FROM + "/fresh": ("float32", [6, 4], bytes(96))})


def test_fallocate_of_what_is_there(lab):
    """The value has its size already."""
    lab.sh("fallocate -l 96 dense/kernel && fallocate -o 32 -l 16 dense/kernel")
    lab.settled({})


def test_fallocate_beyond_the_end_is_refused(lab):
    """As a write would be, at close."""
    lab.fails("fallocate -l 100 dense/kernel")
    lab.settled({})


@pytest.mark.sanitized
def test_fallocate_after_a_declaration(lab):
    """Grows with zeros."""
    lab.sh("echo '[12, 4]' > emb.shape && fallocate -l 192 emb")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + bytes(32))})


def test_fallocate_makes_a_new_file(lab):
    """Zeros, typed by the sidecars."""
    lab.sh("fallocate -l 24 fresh && echo float64 > fresh.dtype && echo 3 > fresh.shape")
    lab.settled({FROM + "/fresh": ("float64", [3], bytes(24))})


@pytest.mark.sanitized
# --------------------------------------------------------- growing an embedding
def test_an_embedding_grows_rows_first(lab):
    """`cat rows >> emb` prints an error; the shape makes it right."""
    lab.file("rows", ROWS)
    lab.fails("cat $D/rows >> emb")
    assert lab.text(EMB) == lab.old(EMB)
    lab.sh("echo '[12, 4]' > emb.shape")
    assert lab.text(EMB) == lab.old(EMB) + ROWS
    assert lab.text(EMB + ".shape") == b"[12, 4]\n"
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + ROWS)})


@pytest.mark.sanitized
def test_an_embedding_grows_shape_first(lab):
    """`echo '[12, 4]' > emb.shape; cat rows >> emb`: no error."""
    lab.file("rows", ROWS)
    lab.sh("echo '[12, 4]' > emb.shape && cat $D/rows >> emb")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + ROWS)})


def test_an_embedding_grows_by_a_row_count_that_is_worked_out(lab):
    """`-1` fits whatever comes, and reads back as what came."""
    lab.file("rows", ROWS)
    lab.run("cat $D/rows >> emb")
    lab.released()
    lab.sh("echo '[-1, 4]' > emb.shape")
    assert lab.text(EMB + ".shape") == b"[12, 4]\n"
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + ROWS)})


def test_an_embedding_grows_in_one_go(lab):
    """`(cat emb; cat rows) > new; mv new emb`, the shape first."""
    lab.file("rows", ROWS)
    lab.sh("cat emb $D/rows > new && echo '[12, 4]' > emb.shape && mv new emb")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + ROWS)})


def test_an_embedding_grows_twice(lab):
    """Each time by a row, in either order."""
    lab.file("row", ROWS[:16])
    lab.sh("echo '[11, 4]' > emb.shape && cat $D/row >> emb")
    lab.run("cat $D/row >> emb")
    lab.released()
    lab.sh("echo '[12, 4]' > emb.shape")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + 2 * ROWS[:16])})


def test_an_embedding_shrinks(lab):
    """head -c into a new file, moved over it."""
    lab.sh("head -c 112 emb > new && echo '[7, 4]' > emb.shape && mv new emb")
    lab.settled({EMB: ("float32", [7, 4], lab.old(EMB)[:112])})


def test_a_shape_that_does_not_fit_what_came_changes_nothing(lab):
    """Rows for twelve, a shape for thirteen: the old value, and an open declaration."""
    lab.file("rows", ROWS)
    lab.run("cat $D/rows >> emb; echo '[13, 4]' > emb.shape")
    lab.released()
    assert lab.stored(EMB) == lab.old(EMB)
    lab.sh("echo '[10, 4]' > emb.shape")
    lab.settled({EMB: lab.value(EMB)})


def test_split_makes_new_files(lab):
    """A value in two halves."""
    lab.sh("split -b 48 dense/kernel half. && echo float32 | tee half.aa.dtype > half.ab.dtype"
           " && echo 3 4 | tee half.aa.shape > half.ab.shape")
    old = lab.old(KERNEL)
    eventually(lambda: lab.stored(FROM + "/half.ab") == old[48:])
    lab.settled({FROM + "/half.aa": ("float32", [3, 4], old[:48]),
                 FROM + "/half.ab": ("float32", [3, 4], old[48:])})


def test_several_sizes_in_one_command(lab):
    """truncate of several files says which of them it could not."""
    status, _, said = lab.run("truncate -s 96 dense/kernel text")
    assert status == 1 and "text" in said and "kernel" not in said
    lab.released()
    assert (lab.text(TEXT), lab.text(NOTES)) == (lab.old(TEXT), lab.old(NOTES))
    lab.settled({})
