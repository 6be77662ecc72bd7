"""sed -i, perl -pi and patch: a temporary file renamed over the value."""
import os

import pytest

from tools import FROM, KERNEL, NOTES, TEXT, TITLE, WEIGHT, lines


def no_leftovers(lab):
    """Nothing but what was there stands in the directory."""
    return [n for n in os.listdir(lab.mount / FROM)
            if n.startswith(("sed", "XX", "notes.", "text.", "."))
            and not n.endswith((".shape", ".dtype"))] == []


@pytest.mark.sanitized
@pytest.mark.parametrize("command", [
    "sed -i s/beta/BETA/ notes", "sed -i -e s/beta/x/ -e s/x/BETA/ notes",
    "sed -i --follow-symlinks s/beta/BETA/ notes", "perl -pi -e s/beta/BETA/ notes",
    "perl -i -ne 's/beta/BETA/; print' notes"])
def test_a_line_is_changed(lab, command):
    """A string tensor, one element a line."""
    lab.sh(command)
    assert lab.text(NOTES) == b"alpha\nBETA\ngamma\n" and no_leftovers(lab)
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"]})


@pytest.mark.parametrize("command", [
    "sed -i s/world/WORLD/ text", "perl -pi -e s/world/WORLD/ text",
    "sed -i y/dlorw/DLORW/ text && sed -i s/heLLO/hello/ text"])
def test_bytes_are_changed(lab, command):
    """Twelve bytes of text stay twelve."""
    lab.sh(command)
    assert no_leftovers(lab)
    lab.settled({TEXT: lab.text(TEXT)})
    assert lab.text(TEXT) == b"hello WORLD\n"


def test_perl_changes_numbers(lab):
    """Floats, unpacked and packed."""
    lab.sh("perl -0777 -pi -e '$_ = pack(\"f<*\", map { 2 } unpack(\"f<*\", $_))' conv/w")
    lab.settled({WEIGHT: b"\0\0\0\x40" * 6})


def test_perl_in_place_of_several_files(lab):
    """Each is renamed over while the old one is still open."""
    lab.sh("perl -pi -e tr/a-z/A-Z/ notes text title")
    lab.settled({NOTES: [b"ALPHA", b"BETA", b"GAMMA"], TEXT: b"HELLO WORLD\n",
                 TITLE: [b"RUN 1"]})


@pytest.mark.parametrize("command,status", [
    ("sed -i s/hello/goodbye/ text", 4), ("perl -pi -e s/hello/goodbye/ text", None)])
def test_a_wrong_size_is_refused(lab, command, status):
    """EINVAL from the rename: the old value stands."""
    got, _, said = lab.run(command)
    assert got == status or (status is None and got != 0), (got, said)
    assert "Invalid argument" in said
    lab.released()
    assert lab.text(TEXT) == b"hello world\n"
    lab.run("rm -f XX*")
    assert no_leftovers(lab)
    lab.settled({})


def test_sed_that_adds_a_line_is_refused(lab):
    """Four elements do not fit [3]."""
    lab.fails("sed -i 2p notes", status=4)
    lab.settled({})


def test_sed_that_adds_a_line_after_a_declaration(lab):
    """They do fit [4]."""
    lab.sh("echo '[4]' > notes.shape && sed -i 2p notes")
    lab.settled({NOTES: lines(b"alpha", b"beta", b"beta", b"gamma")})


def test_sed_that_adds_a_line_before_a_declaration(lab):
    """What the rename refused is taken over when the shape comes."""
    lab.fails("sed -i 2p notes", status=4)
    lab.sh("echo '[4]' > notes.shape")
    lab.settled({NOTES: lines(b"alpha", b"beta", b"beta", b"gamma")})


@pytest.mark.parametrize("command", ["sed -i~ s/beta/BETA/ notes",
                                     "perl -pi~ -e s/beta/BETA/ notes"])
def test_a_backup_with_a_tilde_is_scratch(lab, command):
    """Seen in the mount, not stored; the value keeps its dtype and shape."""
    lab.sh(command)
    assert lab.text(NOTES + "~") == b"alpha\nbeta\ngamma\n"
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"]}, shown=[NOTES + "~"])


@pytest.mark.parametrize("command", ["sed -i.bak s/beta/BETA/ notes",
                                     "perl -pi.bak -e s/beta/BETA/ notes"])
def test_a_backup_with_another_name_is_a_variable(lab, command):
    """As after `mv notes notes.bak`; the new `notes` has the dtype and shape of the old."""
    lab.sh(command)
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"],
                 FROM + "/notes.bak": lab.value(NOTES)})


def test_sed_of_a_sidecar(lab):
    """A file renamed onto a sidecar writes it."""
    lab.sh("sed -i 's/6, 4/4, 6/' dense/kernel.shape")
    assert lab.text(KERNEL + ".shape") == b"[4, 6]\n"
    lab.settled({KERNEL: ("float32", [4, 6], lab.value(KERNEL)[2])})


def test_sed_that_changes_nothing(lab):
    """The same bytes again."""
    lab.sh("sed -i s/nothing/else/ notes dense/kernel")
    lab.settled({NOTES: lab.value(NOTES), KERNEL: lab.value(KERNEL)})


# ----------------------------------------------------------------------- patch
PATCH = b"""--- a/notes
+++ b/notes
@@ -1,3 +1,3 @@
 alpha
-beta
+BETA
 gamma
"""


@pytest.mark.parametrize("options", ["", "--posix", "--no-backup-if-mismatch"])
def test_patch(lab, options):
    """A line of a string tensor."""
    lab.file("p", PATCH)
    lab.sh("patch -s -p1 %s < $D/p" % options)
    assert no_leftovers(lab)
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"]})


def test_patch_and_back(lab):
    """patch -R."""
    lab.file("p", PATCH)
    lab.sh("patch -s -p1 < $D/p && patch -s -R -p1 < $D/p")
    lab.settled({NOTES: lab.value(NOTES)})


def test_patch_with_a_backup(lab):
    """patch -b keeps `notes.orig`, a name as any other."""
    lab.file("p", PATCH)
    lab.sh("patch -s -b -p1 < $D/p")
    assert lab.text(NOTES + ".orig") == b"alpha\nbeta\ngamma\n"
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"],
                 FROM + "/notes.orig": lab.value(NOTES)})


def test_patch_of_several_values(lab):
    """One of them is text of a fixed size."""
    lab.file("p", PATCH + b"--- a/text\n+++ b/text\n@@ -1 +1 @@\n-hello world\n+HELLO WORLD\n")
    lab.sh("patch -s -p1 < $D/p")
    lab.settled({NOTES: [b"alpha", b"BETA", b"gamma"], TEXT: b"HELLO WORLD\n"})


def test_patch_that_adds_a_line_is_refused(lab):
    """The rename fails, patch ends with status 2, and the old value stands."""
    lab.file("p", PATCH.replace(b"+1,3 @@", b"+1,4 @@").replace(b"+BETA", b"+BETA\n+more"))
    status, _, said = lab.run("patch -s -p1 < $D/p")
    assert status == 2 and "Invalid argument" in said, (status, said)
    lab.settled({})


def test_patch_of_value_and_shape(lab):
    """What `git diff` of two trees prints: the sidecar is part of it."""
    lab.file("p", b"--- a/notes.shape\n+++ b/notes.shape\n@@ -1 +1 @@\n-[3]\n+[4]\n"
             + PATCH.replace(b"+1,3 @@", b"+1,4 @@").replace(b"+BETA", b"+BETA\n+more"))
    lab.sh("patch -s -p1 < $D/p")
    lab.settled({NOTES: lines(b"alpha", b"BETA", b"more", b"gamma")})


def test_patch_that_does_not_apply_changes_nothing(lab):
    """--dry-run, and a hunk that fails there."""
    lab.file("p", PATCH.replace(b"-beta", b"-delta"))
    lab.fails("patch -p1 --dry-run < $D/p", said="")
    lab.settled({})
