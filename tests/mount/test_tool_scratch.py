"""Files that are never stored, and when the others are."""
import os

import pytest

from tools import FROM, KERNEL, NEW, NOTES, TEXT, WEIGHT, eventually

SCRATCH = [".kernel.swp", ".kernel.swx", ".x.swo", "kernel~", ".#kernel", "#kernel#", "4913",
           ".nfs000000001234"]


@pytest.mark.sanitized
@pytest.mark.parametrize("name", SCRATCH)
def test_a_scratch_file_is_seen_and_never_stored(lab, name):
    """Made, read back, synced, removed or left: nothing on disk changes."""
    path = FROM + "/dense/" + name
    lab.sh("cp $D/new 'dense/%s'" % name)
    assert lab.text(path) == NEW
    lab.sh("sync 'dense/%s' dense" % name)
    assert lab.stored(path) is None
    assert any(name in x for x in lab.pending("scratch")) or not lab.pending("scratch")
    assert not any(name in x for x in lab.pending("untyped"))
    lab.settled({}, shown=[path])
    assert not os.path.exists(lab.mount / path)


@pytest.mark.parametrize("name", SCRATCH)
def test_a_scratch_file_is_removed(lab, name):
    """rm."""
    lab.sh("cp $D/new 'dense/%s' && rm 'dense/%s'" % (name, name))
    lab.settled({})


def test_a_scratch_file_with_a_type_is_a_variable(lab):
    """A sidecar of that name says that it is meant: lists have names such as 4913."""
    lab.sh("echo float32 > 4913.dtype; echo '[6, 4]' > 4913.shape; cp $D/new 4913")
    lab.settled({FROM + "/4913": ("float32", [6, 4], NEW)})


def test_a_scratch_file_renamed_over_a_variable_is_its_value(lab):
    """As an editor does that writes `#kernel#` first."""
    lab.sh("cp $D/new 'dense/#kernel#' && mv 'dense/#kernel#' dense/kernel")
    lab.settled({KERNEL: NEW})


def test_emacs_saves_by_a_backup(lab):
    """A lock, the old value renamed to `text~`, a new file, the lock removed."""
    lab.sh("printf me > '.#text' && mv text text~ && printf 'HELLO WORLD\\n' > text"
           " && rm '.#text'")
    assert lab.text(TEXT + ".dtype") == b"uint8\n"
    lab.settled({TEXT: b"HELLO WORLD\n"}, shown=[TEXT + "~"])


def test_emacs_makes_a_file_where_it_cannot_make_a_link(lab):
    """Its lock: EPERM says so, without a line in the log."""
    lab.mount.mark()
    lab.fails("ln -s user@host.1:2 .#notes", said="Operation not permitted")
    lab.sh("echo user@host.1:2 > .#notes && rm .#notes")
    assert lab.mount.news() == []
    lab.settled({})


def test_a_variable_renamed_to_a_scratch_name_leaves_the_disk(lab):
    """After a second, or at unmount: it is as if removed."""
    lab.sh("mv conv/w conv/w~")
    assert lab.text(WEIGHT + "~") == lab.old(WEIGHT)
    eventually(lambda: lab.stored(WEIGHT) is None)
    lab.settled({WEIGHT: None}, shown=[WEIGHT + "~"])


def test_an_untyped_file_waits_for_its_type(lab):
    """A dtype alone is not enough where no shape fits."""
    lab.sh("cp $D/new fresh && echo '[6, 4]' > fresh.shape")
    assert lab.text(FROM + "/fresh") == NEW
    assert lab.stored(FROM + "/fresh") is None
    lab.sh("echo float32 > fresh.dtype")
    eventually(lambda: lab.stored(FROM + "/fresh") == NEW)
    lab.settled({FROM + "/fresh": ("float32", [6, 4], NEW)})


def test_an_untyped_file_is_text_if_it_says_so(lab):
    """`string` and a shape."""
    lab.sh("printf 'a\\nb\\n' > fresh && echo string > fresh.dtype && echo '[2]' > fresh.shape")
    lab.settled({FROM + "/fresh": ("string", [2], [b"a", b"b"])})


def test_an_untyped_file_can_be_written_again(lab):
    """Any size, as long as it has no type."""
    lab.sh("echo one > fresh && echo three > fresh && printf more >> fresh")
    lab.settled({FROM + "/fresh": ("uint8", [10], b"three\nmore")})


def test_an_untyped_file_that_moves(lab):
    """From name to name, and into a scope."""
    lab.sh("cp $D/new a && mv a b && mkdir -p s && mv b s/c")
    lab.settled({FROM + "/s/c": ("uint8", [96], NEW)})


@pytest.mark.parametrize("between", ["true", "sync ."])
@pytest.mark.parametrize("way", ["mv x.tmp dense/kernel", "rm x.tmp; cp $D/new dense/kernel"])
def test_a_temporary_file_leaves_no_type_to_the_next_of_its_name(lab, way, between):
    """Written, synced, renamed over a value: by then it is stored, as bytes, and again so."""
    lab.file("back", NEW[::-1])
    lab.sh("cp $D/new x.tmp && sync x.tmp && %s" % way)
    lab.sh(between)
    lab.sh("cp $D/back x.tmp && sync x.tmp && mv x.tmp dense/kernel")
    lab.settled({KERNEL: NEW[::-1]})


def test_short_lived_files_never_reach_the_disk(lab):
    """A hundred, made and removed or renamed over a value; one index is written, or a few."""
    before = set(os.listdir(lab.source))
    for i in range(50):
        lab.sh("cp $D/new t%d && rm t%d && cp $D/new u%d && mv u%d dense/kernel" % (i, i, i, i)
               if i % 10 == 0 else "cp $D/new t%d && rm t%d" % (i, i))
        assert set(os.listdir(lab.source)) >= before
    lab.settled({KERNEL: NEW})


def test_sidecars_of_nothing_are_dropped(lab):
    """Declared for a value that never came: nothing at unmount, and a warning."""
    lab.sh("echo float32 > fresh.dtype && echo '[6, 4]' > fresh.shape")
    mount = lab.mount
    mount.mark()
    mount.unmount()
    assert "fresh" in mount.log()[mount.seen:]
    lab.mount = lab.shop.mount(lab.source)
    lab.settled({})


def test_a_refused_value_is_not_shown(lab):
    """For as long as it is kept aside."""
    lab.file("wrong", b"a\nb\nc\nd\n")
    lab.fails("cp $D/wrong notes")
    assert lab.text(NOTES) == b"alpha\nbeta\ngamma\n"
    lab.settled({})
