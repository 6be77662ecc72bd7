"""install and tar: what is there is unlinked first, then made anew."""
import pytest

from tools import BARE, FROM, KERNEL, NEW, NOTES, OTHER, SAME, WEIGHT, eventually, lines
from test_tool_cp_layers import ORDERS


@pytest.mark.parametrize("options", ["", "-m 600", "-p", "-C", "-b"])
def test_install_over_a_variable(lab, options):
    """The name's dtype and shape are remembered."""
    lab.sh("install %s $D/new dense/kernel" % options)
    assert lab.text(KERNEL) == NEW
    lab.settled({KERNEL: NEW}, shown=[KERNEL + "~"] if options == "-b" else [])


def test_install_over_a_string_tensor(lab):
    """Text of as many lines."""
    lab.file("lines", b"1\n2\n3\n")
    lab.sh("install $D/lines notes")
    lab.settled({NOTES: [b"1", b"2", b"3"]})


def test_install_of_a_wrong_size_is_refused(lab):
    """Exit status 1; the old value stands, though it was unlinked."""
    lab.file("wrong", NEW + b"more")
    lab.fails("install $D/wrong dense/kernel")
    lab.settled({})


def test_install_makes_directories(lab):
    """install -D, and sidecars after it."""
    lab.sh("install -D $D/new a/b/c && echo float32 > a/b/c.dtype && echo 6,4 > a/b/c.shape")
    lab.settled({FROM + "/a/b/c": ("float32", [6, 4], NEW)})


def test_install_of_a_value_with_its_sidecars(lab):
    """Three files, in one go, onto another shape."""
    status, _, said = lab.run("install dense/kernel dense/kernel.shape dense/kernel.dtype "
                              "../%s/dense/" % OTHER)
    assert (status, said) == (0, "") or "Invalid argument" in said
    lab.settled({OTHER + "/dense/kernel": lab.value(KERNEL)})


def test_install_of_what_another_checkpoint_has(lab):
    """Within the mount."""
    lab.sh("install ../%s/dense/kernel dense/kernel" % SAME)
    lab.settled({KERNEL: lab.value(SAME + "/dense/kernel")})


# ------------------------------------------------------------------------- tar
@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("options", ["", "--overwrite", "-p", "-m"])
def test_tar_x_of_a_layer(lab, options, to):
    """Packed in one checkpoint, unpacked in another: a mount lists sidecars first."""
    lab.sh("tar c dense > $D/t.tar && tar x -f $D/t.tar %s -C ../%s" % (options, to))
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["", "--overwrite"])
@pytest.mark.parametrize("order", ORDERS)
def test_tar_x_in_any_order(lab, order, options):
    """An archive made on a disk, its members in every order, onto other shapes."""
    top = lab.copy_to_disk(FROM + "/dense", "out/dense")
    names = [str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()]
    words = " ".join("dense/" + n for n in sorted(names, key=ORDERS[order]))
    status, _, said = lab.run("tar c -C $D/out %s | tar x %s -C ../%s" % (words, options, OTHER))
    assert (status, said) == (0, "") or "Invalid argument" in said, said
    lab.settled(lab.below(FROM + "/dense", OTHER + "/dense"))


def test_tar_x_carries_types_by_xattrs(lab):
    """One value without its sidecars, packed with --xattrs."""
    lab.sh("tar c --xattrs conv/w | tar x --xattrs --xattrs-include='user.*' -C ../%s" % BARE)
    lab.settled({BARE + "/conv/w": lab.value(WEIGHT)})


def test_tar_x_over_itself(lab):
    """The same values again."""
    lab.sh("tar c . > $D/t.tar && tar x -f $D/t.tar")
    lab.settled(lab.below(FROM, FROM))


def test_tar_x_of_a_checkpoint(lab):
    """A clone under a new name, and the directory it makes."""
    lab.sh("tar c %s | tar x --transform s/%s/best/" % (FROM, FROM), where="")
    lab.settled(lab.below(FROM, "best"))


def test_tar_x_of_a_new_shape_for_strings(lab):
    """notes with four lines, its shape before or after."""
    lab.file("notes", b"1\n2\n3\n4\n")
    lab.file("notes.shape", b"[4]\n")
    lab.run("tar c -C $D notes notes.shape | tar x")
    eventually(lambda: lab.text(NOTES) == b"1\n2\n3\n4\n")
    lab.settled({NOTES: lines(b"1", b"2", b"3", b"4")})


def test_tar_keeps_what_is_there(lab):
    """tar x --skip-old-files writes nothing over a file; with -k it says so, too."""
    lab.sh("tar c dense | tar x --skip-old-files -C ../%s" % SAME)
    lab.fails("tar c dense | tar x -k -C ../%s" % SAME, status=2, said="File exists")
    lab.settled({})
