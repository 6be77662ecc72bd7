"""vim and nano in a terminal, saving as they do by default and in their other ways.

vim saves in another way where the path matches its `backupskip`, as below /tmp: that is
set to nothing, and the mounts are elsewhere.
"""
import os

import pytest

from terminal import ENTER, ESCAPE, Terminal, control
from tools import FROM, KERNEL, LINES, NOTES, TEXT, TITLE, lines

CHANGED = [b"alpha", b"BETA", b"gamma"]
SWAPS = {".notes.swp", ".text.swp"}
VIM_WAYS = {
    "default": [],
    "backup": ["set backup"],
    "backupcopy": ["set backupcopy=yes"],
    "backup and copy": ["set backup backupcopy=yes"],
    "no copy": ["set backup backupcopy=no"],
    "no write backup": ["set nowritebackup"],
    "no swap file": ["set noswapfile"],
    "no fsync": ["set nofsync"],
    "undo file": ["set undofile"],
}
KEPT = {"backup": "notes~", "backup and copy": "notes~", "no copy": "notes~",
        "undo file": ".notes.un~"}


def vim(lab, name, *settings):
    """vim on a file of FROM; its swap file and backups go beside the file."""
    words = ["vim", "-u", "NONE", "-N", "-i", "NONE"]
    for each in ("set backupskip= directory=. backupdir=.", *settings):
        words += ["--cmd", each]
    return Terminal([*words, name], lab.mount / FROM)


def nano(lab, name, *options):
    return Terminal(["nano", "--ignorercfiles", *options, name], lab.mount / FROM)


def names(lab):
    """What stands in FROM besides variables."""
    known = {k.split("/")[0] for k in lab.state[FROM]}
    return {n for n in os.listdir(lab.mount / FROM)
            if n not in known and not n.endswith((".shape", ".dtype"))}


@pytest.mark.sanitized
@pytest.mark.parametrize("way", VIM_WAYS)
def test_vim_changes_a_line(lab, way):
    """:w and :q, status 0; no swap file is left, and a backup only where it was asked for."""
    with vim(lab, "notes", *VIM_WAYS[way]) as editor:
        editor.wait_for("gamma")
        editor.quiet()
        assert names(lab) & SWAPS == (set() if "no swap" in way else {".notes.swp"})
        editor.type(":%s/beta/BETA/" + ENTER, ":w" + ENTER)
        editor.wait_for("written")
        assert lab.text(NOTES) == b"alpha\nBETA\ngamma\n"
        editor.type(":q" + ENTER)
        assert editor.end() == 0
    kept = {KEPT[way]} if way in KEPT else set()
    assert names(lab) == kept
    lab.settled({NOTES: CHANGED}, shown=[FROM + "/" + n for n in kept])


@pytest.mark.parametrize("way", ["default", "backupcopy", "backup", "no write backup"])
def test_vim_changes_bytes_of_the_same_number(lab, way):
    """A uint8 text: still uint8 [12]."""
    with vim(lab, "text", *VIM_WAYS[way]) as editor:
        editor.wait_for("hello")
        editor.quiet()
        editor.type(":s/world/WORLD/" + ENTER, ":wq" + ENTER)
        assert editor.end() == 0
    lab.settled({TEXT: b"hello WORLD\n"}, shown=[TEXT + "~"] if way == "backup" else [])


def test_vim_saves_again_and_again(lab):
    """The type is not lost by the second or the third time."""
    with vim(lab, "text") as editor:
        editor.wait_for("hello")
        editor.quiet()
        for word in ("WORLD", "there", "again"):
            editor.type(":s/ .*/ %s/" % word + ENTER, ":w" + ENTER)
            editor.wait_for("written")
            assert lab.text(TEXT) == b"hello %s\n" % word.encode()
            assert lab.text(TEXT + ".dtype") == b"uint8\n"
        editor.type(":q" + ENTER)
        assert editor.end() == 0
    lab.settled({TEXT: b"hello again\n"})


@pytest.mark.parametrize("way", ["default", "backupcopy", "no write backup"])
def test_vim_is_told_of_a_wrong_size(lab, way):
    """An error on the screen, and the old value stands."""
    with vim(lab, "text", *VIM_WAYS[way]) as editor:
        editor.wait_for("hello")
        editor.quiet()
        editor.type(":s/world/world and all/" + ENTER, ":w" + ENTER)
        editor.wait_for("E512", "E514", "E667", "E166")
        editor.type(ENTER, ":q!" + ENTER)
        assert editor.end() == 0
        assert "B written" not in editor.seen
    lab.released()
    assert lab.text(TEXT) == b"hello world\n"
    lab.settled({TEXT: b"hello world\n"}, shown=[p for p in (TEXT + "~",) if names(lab)])


def test_vim_adds_a_line_after_a_declaration(lab):
    """The new shape first."""
    lab.sh("echo '[4]' > notes.shape")
    with vim(lab, "notes") as editor:
        editor.wait_for("gamma")
        editor.quiet()
        editor.type("Godelta" + ESCAPE, ":wq" + ENTER)
        assert editor.end() == 0
    lab.settled({NOTES: lines(*LINES, b"delta")})


def test_vim_edits_a_sidecar(lab):
    """A shape that fits."""
    with vim(lab, "dense/kernel.shape") as editor:
        editor.wait_for("[6, 4]")
        editor.quiet()
        editor.type(":s/6, 4/4, 6/" + ENTER, ":wq" + ENTER)
        assert editor.end() == 0
    lab.settled({KERNEL: ("float32", [4, 6], lab.value(KERNEL)[2])})


def test_vim_edits_a_scalar_string_as_binary(lab):
    """No newline is added."""
    with vim(lab, "title", "set binary noeol") as editor:
        editor.wait_for("run 1")
        editor.quiet()
        editor.type("A and more" + ESCAPE, ":wq" + ENTER)
        assert editor.end() == 0
    lab.settled({TITLE: [b"run 1 and more"]})


def test_a_killed_vim_leaves_a_swap_file_in_the_mount_only(lab):
    """kill -9: the swap file is seen, and not stored."""
    with vim(lab, "notes", "set updatecount=1") as editor:
        editor.wait_for("gamma")
        editor.quiet()
        editor.type(":%s/beta/BETA/" + ENTER)
        editor.process.kill()
    assert names(lab) == {".notes.swp"}
    lab.sh("sync notes && sync .notes.swp")
    lab.settled({}, shown=[FROM + "/.notes.swp"])


def test_vim_that_only_looks_changes_nothing(lab):
    """:q after reading numbers."""
    with vim(lab, "dense/kernel", "set binary") as editor:
        editor.wait_for("kernel")
        editor.quiet()
        editor.type(":q!" + ENTER)
        assert editor.end() == 0
    lab.settled({})


@pytest.mark.sanitized
# ------------------------------------------------------------------------ nano
@pytest.mark.parametrize("options", [[], ["--backup"], ["--locking"], ["--backup", "--locking"],
                                     ["--unix"]])
def test_nano_changes_a_line(lab, options):
    """Ctrl-O and Ctrl-X, status 0."""
    with nano(lab, "notes", *options) as editor:
        editor.wait_for("gamma")
        editor.quiet()
        assert names(lab) == ({".notes.swp"} if "--locking" in options else set())
        editor.type("first ", control("O"), ENTER)
        editor.wait_for("Wrote 3 lines")
        assert lab.text(NOTES) == b"first alpha\nbeta\ngamma\n"
        editor.type(control("X"))
        assert editor.end() == 0
    kept = {"notes~"} if "--backup" in options else set()
    assert names(lab) == kept
    lab.settled({NOTES: [b"first alpha", b"beta", b"gamma"]}, shown=[FROM + "/" + n for n in kept])


def test_nano_changes_bytes_of_the_same_number(lab):
    """One letter taken away, another put in."""
    with nano(lab, "text") as editor:
        editor.wait_for("hello")
        editor.quiet()
        editor.type(control("D"), "H", control("O"), ENTER)
        editor.wait_for("Wrote 1 line")
        editor.type(control("X"))
        assert editor.end() == 0
    lab.settled({TEXT: b"Hello world\n"})


def test_nano_is_told_of_a_wrong_size(lab):
    """Its status line has the error, and the old value stands."""
    with nano(lab, "text") as editor:
        editor.wait_for("hello")
        editor.quiet()
        editor.type("more ", control("O"), ENTER)
        editor.wait_for("Invalid argument")
        editor.type(control("X"), "N")
        assert editor.end() == 0
    lab.released()
    assert lab.text(TEXT) == b"hello world\n"
    lab.settled({})


def test_nano_makes_a_new_file(lab):
    """Untyped, until its sidecars say what it is."""
    with nano(lab, "fresh") as editor:
        editor.wait_for("New File")
        editor.quiet()
        editor.type("abc" + ENTER + "def", control("O"), ENTER)
        editor.wait_for("Wrote 2 lines")
        editor.type(control("X"))
        assert editor.end() == 0
    lab.sh("echo string > fresh.dtype && echo '[2]' > fresh.shape")
    lab.settled({FROM + "/fresh": lines(b"abc", b"def")})
