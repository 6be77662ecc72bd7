"""touch, chmod, sync FILE, flock and git diff: tools that write no value."""
import os
import subprocess
import time

import pytest

from tools import BIAS, FROM, KERNEL, NEW, SAME, WEIGHT, eventually


def test_touch_changes_the_time_only(lab):
    """The mtime is what was asked for; nothing is written to the disk."""
    lab.sh("touch -d @1700000000 dense/kernel && touch conv/w && touch -r text emb")
    assert os.stat(lab.mount / KERNEL).st_mtime == 1700000000
    assert abs(os.stat(lab.mount / WEIGHT).st_mtime - time.time()) < 60
    lab.settled({})


@pytest.mark.parametrize("name", ["dense/kernel.shape", "dense/kernel.dtype", "dense", "."])
def test_touch_of_sidecars_and_scopes(lab, name):
    """Succeeds and changes no value."""
    lab.sh("touch " + name)
    lab.settled({})


def test_a_new_file_is_as_old_as_it_is(lab):
    """Not as the index, before it has a type; cp -p and touch say otherwise."""
    begun = time.time() - 1
    lab.sh("cp $D/new copied; : > empty; touch -d @1700000000 $D/new; cp -p $D/new kept; "
           "cp $D/new said; touch -d @1700000001 said; : > first; sleep 1.1; echo x > first")
    times = {n: os.stat(lab.mount / FROM / n).st_mtime for n in (
        "copied", "empty", "kept", "said", "first")}
    assert (times["kept"], times["said"]) == (1700000000, 1700000001)
    assert begun < times["copied"] < times["empty"] + 1 and times["empty"] < times["first"] - 1
    assert times["first"] <= time.time()
    assert lab.sh("find . -newermt @%d -type f" % begun).split() == [
        b"./copied", b"./empty", b"./first"]
    lab.sh("rm copied empty kept said first")
    lab.settled({})


def test_touch_makes_an_empty_file(lab):
    """Untyped: uint8 [0], in the checkpoint when the mount ends."""
    lab.sh("touch fresh")
    lab.released()
    assert lab.text(FROM + "/fresh") == b""
    assert any("fresh" in x for x in lab.pending("untyped"))
    lab.settled({FROM + "/fresh": ("uint8", [0], b"")})


def test_touch_that_does_not_create(lab):
    """touch -c of what is not there."""
    lab.sh("touch -c fresh")
    lab.settled({})


def test_touch_of_a_new_empty_tensor(lab):
    """Three files: a value without bytes, and its sidecars."""
    lab.sh("touch none && echo float32 > none.dtype && echo '[0, 4]' > none.shape")
    lab.settled({FROM + "/none": ("float32", [0, 4], b"")})


def test_chmod_holds_until_the_mount_ends(lab):
    """Of a value; others, and the files on disk, keep their mode."""
    old = os.stat(lab.mount / KERNEL).st_mode & 0o777
    lab.sh("chmod 600 dense/kernel && chmod u+x,go= conv/w")
    assert os.stat(lab.mount / KERNEL).st_mode & 0o777 == 0o600
    assert os.stat(lab.mount / WEIGHT).st_mode & 0o077 == 0
    assert os.stat(lab.mount / BIAS).st_mode & 0o777 == old
    lab.settled({})
    assert os.stat(lab.mount / KERNEL).st_mode & 0o777 == old


def test_chmod_of_everything(lab):
    """chmod -R prints no error."""
    lab.sh("chmod -R g+w .")
    lab.settled({})


def test_chmod_is_no_change_of_a_value_that_is_written(lab):
    """cp, chmod, and the bytes are there."""
    lab.sh("cp $D/new dense/kernel && chmod 640 dense/kernel")
    lab.settled({KERNEL: NEW})


# ------------------------------------------------------------------------ sync
@pytest.mark.parametrize("options", ["", "-d"])
def test_sync_of_a_file_waits_until_it_is_on_disk(lab, options):
    """sync FILE is an fsync."""
    lab.sh("cp $D/new dense/kernel && sync %s dense/kernel" % options)
    assert lab.stored(KERNEL) == NEW
    lab.settled({KERNEL: NEW})


def test_sync_brings_an_untyped_file_to_the_disk(lab):
    """Under uint8."""
    lab.sh("cp $D/new fresh && sync fresh")
    assert lab.stored(FROM + "/fresh") == NEW
    lab.settled({FROM + "/fresh": ("uint8", [96], NEW)})


@pytest.mark.sanitized
def test_sync_of_a_directory_brings_removals_to_the_disk(lab):
    """They need not wait for their second."""
    lab.sh("rm conv/w && sync conv")
    assert lab.stored(WEIGHT) is None
    lab.settled({WEIGHT: None})


def test_sync_of_the_root_brings_everything_to_the_disk(lab):
    """All checkpoints of the mount."""
    lab.sh("cp $D/new %s/dense/kernel && cp $D/new %s/dense/kernel && sync ." % (FROM, SAME),
           where="")
    assert lab.stored(KERNEL) == lab.stored(SAME + "/dense/kernel") == NEW
    lab.settled({KERNEL: NEW, SAME + "/dense/kernel": NEW})


def test_what_was_synced_survives_a_crash(lab):
    """kill -9 of the daemon right behind it."""
    lab.sh("cp $D/new dense/kernel && rm conv/w && sync dense/kernel conv")
    lab.mount.kill()
    found = lab.judge.load(lab.source / FROM)
    assert found[b"dense/kernel"][2] == NEW and b"conv/w" not in found


# ----------------------------------------------------------------------- flock
def test_flock_runs_a_command_that_writes(lab):
    """The lock on a value is no obstacle to writing it."""
    lab.sh("flock dense/kernel cp $D/new dense/kernel")
    lab.settled({KERNEL: NEW})


@pytest.mark.parametrize("path", ["dense/kernel", "dense", "dense/kernel.shape"])
def test_flock_excludes(lab, path):
    """-n fails while somebody else holds it, and succeeds afterwards."""
    with subprocess.Popen(["flock", path, "cat"], cwd=lab.mount / FROM, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder:
        holder.stdin.write(b"x\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"x\n"
        lab.fails("flock -n %s true" % path, said="")
        holder.stdin.close()
        assert holder.wait() == 0
    lab.sh("flock -n %s true" % path)
    lab.settled({})


def test_flock_of_a_new_file(lab):
    """A lock file below the tree is a file as any other, and can be removed."""
    lab.sh("flock lock true && rm lock")
    lab.settled({})


# -------------------------------------------------------------------- git diff
GIT = "git --no-pager -c core.pager=cat diff --no-index "


def test_git_diff_of_equal_checkpoints(lab):
    """Status 0, and nothing is printed."""
    assert lab.sh("cp -r dense layer && " + GIT + "dense layer") == b""
    lab.settled(lab.below(FROM + "/dense", FROM + "/layer"))


def test_git_diff_shows_lines_and_shapes(lab):
    """Status 1; strings and sidecars as text, numbers as binary files."""
    lab.file("lines", b"alpha\nBETA\ngamma\n")
    lab.sh("cp $D/lines notes && cp $D/new dense/kernel && echo '[2, 2]' > dense/bias.shape")
    status, out, said = lab.run(GIT + "%s %s" % (SAME, FROM), where="")
    assert (status, said) == (1, "")
    for line in (b"-beta", b"+BETA", b"-[4]", b"+[2, 2]"):
        assert line in out.splitlines(), out
    assert b"Binary files" in out
    lab.settled({FROM + "/notes": [b"alpha", b"BETA", b"gamma"], KERNEL: NEW,
                 BIAS: ("float32", [2, 2], lab.value(BIAS)[2])})


def test_git_diff_makes_a_patch_that_patch_applies(lab):
    """From one checkpoint to another."""
    lab.file("lines", b"alpha\nBETA\ngamma\n")
    lab.sh("cp $D/lines notes")
    lab.sh("(%s ../%s/notes notes; test $? = 1) | patch -s ../%s/notes" % (GIT, SAME, SAME))
    changed = [b"alpha", b"BETA", b"gamma"]
    lab.settled({FROM + "/notes": changed, SAME + "/notes": changed})


def test_git_diff_reads_only(lab):
    """No time and no byte changes."""
    before = os.stat(lab.mount / KERNEL)
    lab.run(GIT + "%s %s" % (SAME, FROM), where="")
    after = os.stat(lab.mount / KERNEL)
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    eventually(lambda: lab.pending("open") == [])
    lab.settled({})
