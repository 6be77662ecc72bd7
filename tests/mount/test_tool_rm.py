"""rm, find -delete, mkdir -p and rmdir."""
import os

import pytest

from tools import (BARE, BIAS, EMB, FROM, KERNEL, NEW, NOTES, OFFSET, OTHER, SAME, TEXT, WEIGHT,
                   eventually)


def listed(lab, scope):
    return sorted(os.listdir(lab.mount / FROM / scope))


@pytest.mark.parametrize("options", ["", "-f", "-r", "-v"])
def test_rm_of_a_variable(lab, options):
    """Its sidecars go with it; no byte of the others moves."""
    lab.sh("rm %s conv/w" % options)
    assert listed(lab, "conv") == ["b", "b.dtype", "b.shape"]
    lab.settled({WEIGHT: None})


def test_rm_of_a_variable_with_slots(lab):
    """The slots stay, where they were while the mount lasts."""
    lab.sh("rm dense/kernel")
    assert "kernel.d" in listed(lab, "dense")
    lab.settled({KERNEL: None}, sticky=[KERNEL])


def test_rm_of_slots(lab):
    """rm -r kernel.d."""
    lab.sh("rm -r dense/kernel.d")
    lab.settled({KERNEL + "/Adam": None, KERNEL + "/Adam_1": None})


@pytest.mark.parametrize("command", ["rm conv/w*", "rm -r conv/w*", "rm conv/w.* conv/w",
                                     "rm conv/w conv/w.shape conv/w.dtype"])
def test_rm_by_a_glob_prints_no_error(lab, command):
    """The sidecars of a value that just went are no fault, in any order."""
    lab.sh(command)
    lab.settled({WEIGHT: None})


@pytest.mark.sanitized
def test_rm_by_a_glob_with_slots(lab):
    """rm -r dense/kernel*."""
    lab.sh("rm -r dense/kernel*")
    assert listed(lab, "dense") == ["bias", "bias.d", "bias.dtype", "bias.shape"]
    lab.settled(lab.without(KERNEL))


def test_rm_of_all_in_a_scope(lab):
    """The empty scope is there until the mount ends, or rmdir."""
    lab.sh("rm conv/*")
    assert listed(lab, "conv") == []
    lab.settled({WEIGHT: None, OFFSET: None}, shown=[FROM + "/conv/"])


@pytest.mark.parametrize("options", ["-r", "-rf"])
@pytest.mark.parametrize("scope", ["conv", "dense"])
def test_rm_of_a_scope(lab, options, scope):
    """With all that is below."""
    lab.sh("rm %s %s" % (options, scope))
    assert not os.path.exists(lab.mount / FROM / scope)
    lab.settled(lab.without(FROM + "/" + scope))


def test_rm_of_a_scope_needs_r(lab):
    """As on any disk."""
    lab.fails("rm conv", said="Is a directory")
    lab.settled({})


def test_rm_of_what_is_not_there(lab):
    """rm fails, rm -f does not."""
    lab.fails("rm krenel", said="No such file or directory")
    lab.sh("rm -f krenel krenel.shape")
    lab.settled({})


def test_rm_of_a_sidecar_brings_it_back(lab):
    """A value without a shape cannot be: a second later it is there as before."""
    lab.sh("rm conv/w.shape")
    eventually(lambda: "w.shape" in listed(lab, "conv"))
    assert lab.text(WEIGHT + ".shape") == b"[2, 3]\n"
    lab.settled({})


def test_rm_of_a_sidecar_makes_room_for_a_new_one(lab):
    """As `install` and `mv` do: unlink, and create anew."""
    lab.sh("rm conv/w.shape && echo '[3, 2]' > conv/w.shape")
    lab.settled({WEIGHT: ("float32", [3, 2], lab.value(WEIGHT)[2])})


def test_rm_is_on_disk_after_a_second(lab):
    """Without an unmount."""
    lab.sh("rm conv/w")
    eventually(lambda: lab.stored(WEIGHT) is None)
    lab.settled({WEIGHT: None})


@pytest.mark.sanitized
def test_rm_of_an_open_file(lab):
    """Who has it open reads on."""
    assert lab.sh("exec 3< conv/w; rm conv/w; cat <&3") == lab.old(WEIGHT)
    lab.settled({WEIGHT: None})


def test_a_removed_name_that_comes_back_has_its_type(lab):
    """rm, then cat: a float32 of the old shape again."""
    lab.sh("rm dense/kernel && cat $D/new > dense/kernel")
    assert lab.text(KERNEL + ".dtype") == b"float32\n"
    lab.settled({KERNEL: NEW})


def test_rm_of_several_kinds(lab):
    """Strings, bytes and floats."""
    lab.sh("rm notes text emb")
    lab.settled({NOTES: None, TEXT: None, EMB: None})


@pytest.mark.sanitized
# ---------------------------------------------------------------- checkpoints
def test_rm_of_a_checkpoint(lab):
    """rm -r removes its files."""
    changes = {OTHER + "/" + k: None for k in lab.state[OTHER]}
    lab.sh("rm -r %s" % OTHER, where="")
    lab.settled(changes, gone=[OTHER])


def test_rm_of_all_in_a_checkpoint(lab):
    """An empty checkpoint stays until rmdir."""
    changes = {OTHER + "/" + k: None for k in lab.state[OTHER]}
    lab.sh("rm -r %s/*" % OTHER, where="")
    assert os.listdir(lab.mount / OTHER) == []
    lab.settled(changes)
    lab.sh("rmdir %s" % OTHER, where="")
    lab.settled({}, gone=[OTHER])


def test_rmdir_of_a_checkpoint_with_variables_is_refused(lab):
    """Directory not empty."""
    lab.fails("rmdir %s" % BARE, said="Directory not empty", where="")
    lab.settled({})


# --------------------------------------------------------------- find -delete
def test_find_deletes_slots(lab):
    """Values and sidecars by one pattern; the scopes they were in are empty."""
    lab.sh("find . -name 'Adam*' -delete")
    lab.settled({KERNEL + "/Adam": None, KERNEL + "/Adam_1": None, BIAS + "/Adam": None},
                shown=[KERNEL + ".d/", BIAS + ".d/"])


def test_find_deletes_slots_and_their_scopes(lab):
    """The directories `.d` with all that is in them."""
    lab.sh("find . -path '*.d*' -delete")
    left = [k for k in lab.state[FROM] if "/Adam" not in k]
    eventually(lambda: all(os.path.basename(k) + ".dtype" in listed(lab, os.path.dirname(k))
                           for k in left))  # `kernel.dtype` comes back
    lab.settled({KERNEL + "/Adam": None, KERNEL + "/Adam_1": None, BIAS + "/Adam": None})


@pytest.mark.sanitized
def test_find_deletes_everything(lab):
    """A scope, in find's own order."""
    lab.sh("find dense -delete")
    lab.settled(lab.without(FROM + "/dense"))


def test_find_with_rm(lab):
    """-exec rm {} + by size."""
    lab.sh("find . -type f -size -97c -size +95c ! -name '*.shape' ! -name '*.dtype' -exec rm {} +")
    lab.settled({KERNEL: None, KERNEL + "/Adam": None, KERNEL + "/Adam_1": None},
                sticky=[KERNEL], shown=[KERNEL + ".d/"])


def test_find_that_deletes_in_many_checkpoints(lab):
    """Over the whole mount."""
    lab.sh("find . -name 'Adam*' -delete", where="")
    gone = {p + "/" + k: None for p, v in lab.state.items() for k in v if "/Adam" in k}
    scopes = {c.rsplit("/", 1)[0] + ".d/" for c in gone}
    lab.settled(gone, shown=scopes)


# -------------------------------------------------------------- mkdir and rmdir
def test_mkdir_makes_scopes_that_last_for_the_mount(lab):
    """An empty one has nothing on disk to be kept by."""
    lab.sh("mkdir -p a/b/c && mkdir -p a/b && mkdir dense/inner")
    lab.settled({}, shown=[FROM + "/" + n for n in ("a/", "a/b/", "a/b/c/", "dense/inner/")])


def test_mkdir_of_what_is_there(lab):
    """mkdir fails, mkdir -p does not."""
    lab.fails("mkdir conv", said="File exists")
    lab.fails("mkdir text", said="File exists")
    lab.sh("mkdir -p conv dense/kernel.d")
    lab.settled({})


def test_mkdir_and_values_in_it(lab):
    """A deeper key."""
    lab.sh("mkdir -p a/b && cp conv/w a/b/ && cp conv/w a/")
    lab.settled({FROM + "/a/b/w": lab.value(WEIGHT), FROM + "/a/w": lab.value(WEIGHT)})


def test_mkdir_makes_a_checkpoint_when_something_is_put_in(lab):
    """V2, one shard."""
    lab.sh("mkdir -p fresh/conv && cp %s/conv/w fresh/conv/" % FROM, where="")
    lab.settled({"fresh/conv/w": lab.value(WEIGHT)})


def test_mkdir_of_a_plain_directory(lab):
    """One into which nothing is put stays what it is: a directory of the source."""
    lab.sh("mkdir logs", where="")
    lab.plain.add("logs")
    lab.settled({})
    lab.sh("rmdir logs", where="")
    lab.plain.remove("logs")
    lab.settled({})


def test_rmdir(lab):
    """rmdir -p of what mkdir -p made."""
    lab.sh("mkdir -p a/b/c && rmdir -p a/b/c")
    lab.settled({})


@pytest.mark.parametrize("name", ["conv", "dense", "dense/kernel.d"])
def test_rmdir_of_a_scope_with_variables_is_refused(lab, name):
    """Directory not empty."""
    lab.fails("rmdir " + name, said="Directory not empty")
    lab.settled({})


def test_rmdir_of_an_emptied_scope(lab):
    """Lingering sidecars do not count."""
    lab.sh("rm conv/w conv/b && rmdir conv")
    lab.settled({WEIGHT: None, OFFSET: None})


def test_rmdir_of_a_variable_is_refused(lab):
    """It is no directory."""
    lab.fails("rmdir text", said="Not a directory")
    lab.settled({})


def test_the_other_checkpoints_keep_their_files(lab):
    """To the bit, whatever is removed in one."""
    lab.sh("rm -r dense conv emb")
    assert lab.text(SAME + "/emb") == lab.old(SAME + "/emb")
    lab.settled({**lab.without(FROM + "/dense"), **lab.without(FROM + "/conv"), EMB: None})
