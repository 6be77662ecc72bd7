"""DESIGN 4.7, 2.10: checkpoints made, cloned, renamed and removed as directories, and plain files."""
import os

import numpy as np
import pytest

import disk
import jobs
import tree
from jobs import array, run
from mounts import wait_until
from writing import sh

STEP = "model.ckpt-4"
DATA = ".data-00000-of-00001"
FILES = [".data-00000-of-00001", ".index", ".meta"]


def beside(source, prefix):
    """What lies on disk under a prefix: suffixes."""
    return sorted(p.name[len(prefix):] for p in source.iterdir() if p.name.startswith(prefix))


def test_a_clone_by_cp_r(adam, judge):
    """A checkpoint of its own with the same tensors: a Saver cannot tell them apart."""
    source, mount = adam
    before, told = disk.digest(source), judge.load(source / STEP)
    run(mount.point, "cp -r %s best" % STEP, "diff -r %s best" % STEP)
    mount.unmount()
    assert {n: d for n, d in disk.digest(source).items() if not n.startswith("best")} == before
    assert beside(source, "best") == [DATA, ".index"]
    assert judge.load(source / "best") == told
    assert judge.saver_restore(source / "best", {k.decode(): (d, s) for k, (d, s, _) in told.items()
                                                 }) == told
    assert disk.Snapshot(source / "best").header["num_shards"] == 1


@pytest.mark.parametrize("command", ["cp -a {0} best", "rsync -a {0}/ best/",
                                     "mkdir best; tar -C {0} -cf - . | tar -C best -xf -"])
def test_a_clone_by_other_tools(adam, judge, command):
    """Silently, and with the same tensors."""
    source, mount = adam
    run(mount.point, command.format(STEP))
    mount.unmount()
    assert judge.load(source / "best") == judge.load(source / STEP)


def test_a_clone_is_no_link(adam, judge):
    """Written afterwards, each has its own."""
    source, mount = adam
    old = judge.load(source / STEP)
    run(mount.point, "cp -r %s best" % STEP)
    tree.write(mount / "best/dense/kernel", bytes(96))
    tree.write(mount / STEP / "dense/bias", bytes(16))
    mount.unmount()
    best, step = judge.load(source / "best"), judge.load(source / STEP)
    assert (best[b"dense/kernel"][2], best[b"dense/bias"]) == (bytes(96), old[b"dense/bias"])
    assert (step[b"dense/bias"][2], step[b"dense/kernel"]) == (bytes(16), old[b"dense/kernel"])


def test_a_checkpoint_is_renamed(adam, judge):
    """Index, shard and .meta have the new name, the same bytes, and no second link."""
    source, mount = adam
    content = {end: (source / (STEP + end)).read_bytes() for end in FILES}
    told = judge.load(source / STEP)
    run(mount.point, "mv %s best" % STEP)
    names = os.listdir(mount.point)
    assert "best" in names and STEP not in names
    assert ("best.meta" in names, STEP + ".meta" in names) == (True, False)
    assert len(tree.read(mount / "best/dense/kernel")) == 96
    mount.unmount()
    assert beside(source, STEP) == []
    assert {end: (source / ("best" + end)).read_bytes() for end in FILES} == content
    assert {os.stat(source / ("best" + end)).st_nlink for end in FILES} == {1}
    assert judge.load(source / "best") == told


def test_the_state_file_follows_a_renamed_checkpoint(adam, judge):
    """tf.train.latest_checkpoint finds the new name; other lines stay."""
    source, mount = adam
    run(mount.point, "mv model.ckpt-5 best")
    assert os.readlink(mount / "latest") == "best"
    mount.unmount()
    assert judge.latest_checkpoint(source) == str(source / "best")
    state = (source / "checkpoint").read_text()
    assert "model.ckpt-5" not in state
    assert state.count("all_model_checkpoint_paths") == 3 and '"model.ckpt-3"' in state
    assert judge.load(source / "best")


def test_a_renamed_checkpoint_is_written_under_its_new_name(adam, judge):
    """Before and after: what was open stays usable."""
    source, mount = adam
    fd = os.open(mount / STEP / "dense/kernel", os.O_RDWR)
    tree.write(mount / STEP / "dense/bias", bytes(16))
    run(mount.point, "mv %s best" % STEP)
    os.pwrite(fd, b"\1" * 96, 0)
    os.close(fd)
    tree.write(mount / "best/beta1_power", b"\2" * 4)
    mount.unmount()
    told = judge.load(source / "best")
    assert [told[k][2] for k in (b"dense/kernel", b"dense/bias", b"beta1_power")] == [
        b"\1" * 96, bytes(16), b"\2" * 4]
    assert beside(source, STEP) == []


def test_a_checkpoint_is_not_renamed_over_another(adam, judge):
    """The other one has variables in it: ENOTEMPTY, as with directories; both stand."""
    source, mount = adam
    before = disk.digest(source)
    assert tree.error_of(os.rename, mount / "model.ckpt-3", mount / STEP) in ("ENOTEMPTY", "EEXIST")
    mount.unmount()
    assert disk.digest(source) == before


def test_a_checkpoint_goes_into_a_directory_of_the_source(adam, judge):
    """mv into a subdirectory: all its files go there."""
    source, mount = adam
    told = judge.load(source / STEP)
    (source / "sub").mkdir()
    (source / "sub/file").write_text("makes it no undecided one")
    assert wait_until(lambda: (mount / "sub").exists(), 2)
    run(mount.point, "mv %s sub/" % STEP)
    mount.unmount()
    assert judge.load(source / "sub" / STEP) == told
    assert beside(source, STEP) == []


def test_a_checkpoint_is_removed(adam, judge):
    """rm -r: index and shards are gone, silently; others stand."""
    source, mount = adam
    before = disk.digest(source)
    run(mount.point, "rm -r " + STEP)
    assert STEP not in os.listdir(mount.point)
    mount.unmount()
    assert {p.suffix for p in source.glob(STEP + ".*")} <= {".meta"}
    after = disk.digest(source)
    others = [n for n in before if not n.startswith(STEP) and n != "checkpoint"]
    assert {n: after[n] for n in others} == {n: before[n] for n in others}
    assert not list(source.glob("*.weightfs-tmp"))


def test_an_emptied_checkpoint_stays_until_rmdir(adam, judge):
    """Its variables may all go, and others come: TensorFlow opens it in between."""
    source, mount = adam
    run(mount.point, "rm -r %s/*" % STEP)
    assert os.listdir(mount / STEP) == []
    jobs.fsync(mount / STEP)
    assert judge.load(source / STEP) == {}
    run(mount.point, "cp -r model.ckpt-3/dense %s/" % STEP)
    jobs.fsync(mount / STEP)
    assert len(judge.load(source / STEP)) == 6
    run(mount.point, "rm -r %s/dense" % STEP, "rmdir " + STEP)
    assert STEP not in os.listdir(mount.point)
    assert not (source / (STEP + ".index")).exists() and not (source / (STEP + DATA)).exists()


def test_a_directory_that_gets_a_layer_is_a_checkpoint(adam, judge):
    """mkdir and cp: an index on disk, and no directory."""
    source, mount = adam
    run(mount.point, "mkdir part", "cp -r %s/dense part/" % STEP)
    mount.unmount()
    assert beside(source, "part") == [DATA, ".index"]
    told = judge.load(source / STEP)
    assert judge.load(source / "part") == {k: v for k, v in told.items() if b"dense" in k}


@pytest.mark.parametrize("first", ["mkdir new/scope", "echo int32 > new/v.dtype", "cp {0}/global_step new/"])
def test_what_decides_that_it_is_a_checkpoint(adam, judge, first):
    """A scope, a sidecar or a value."""
    source, mount = adam
    run(mount.point, "mkdir new", first.format(STEP), "cp -r {0}/dense new/".format(STEP))
    mount.unmount()
    told = judge.load(source / "new")
    assert told[b"dense/kernel"] == judge.load(source / STEP)[b"dense/kernel"]
    assert told.keys() - {b"global_step"} == {k for k in judge.load(source / STEP) if b"dense" in k}


def test_a_directory_that_gets_a_checkpoint_is_a_directory(adam, judge):
    """mkdir and mv: the checkpoint's files lie in it."""
    source, mount = adam
    told = judge.load(source / STEP)
    run(mount.point, "mkdir old", "mv %s old/" % STEP)
    assert os.listdir(mount / "old")[:1] and "dense" in os.listdir(mount / "old" / STEP)
    mount.unmount()
    assert (source / "old").is_dir() and not (source / "old.index").exists()
    assert judge.load(source / "old" / STEP) == told


def test_an_undecided_directory_stays_one(adam, shop):
    """Empty as mkdir made it, and removed by rmdir."""
    source, mount = adam
    run(mount.point, "mkdir -p one two", "rmdir two")
    assert os.listdir(mount / "one") == []
    assert "two" not in os.listdir(mount.point)
    mount.unmount()
    assert not (source / "one.index").exists()
    again = shop.mount(source)
    assert tree.error_of(os.listdir, again / "one") in (None, "ENOENT")


def test_a_directory_of_links_is_undecided(adam):
    """Those that lead into it are edges of a checkpoint; any other makes it a plain directory."""
    source, mount = adam
    run(mount.point, "mkdir one two three", "ln -s x one/y", "ln -s ../%s two/y" % STEP,
        "ln -s x three/latest", "touch one/z two/z three/z",
        "test $(readlink one/y) = x -a $(readlink two/y) = ../%s" % STEP)
    mount.unmount()
    assert (source / "one.index").exists() and not (source / "one").exists()
    for name, link in (("two", "y"), ("three", "latest")):
        assert sorted(os.listdir(source / name)) == sorted([link, "z"])


@pytest.mark.parametrize("link", ["y.shape", "y.d", "50%", ".weightfs", "n" * 250])
def test_a_link_that_no_checkpoint_can_have_stays(adam, link):
    """Its directory is a plain one, and what is put in goes into that."""
    source, mount = adam
    run(mount.point, "mkdir one", "ln -s x one/" + link, "echo text > one/z",
        "test $(cat one/z) = text", "test $(readlink one/%s) = x" % link)
    mount.unmount()
    assert os.readlink(source / "one" / link) == "x"
    assert (source / "one" / "z").read_text() == "text\n"


def test_a_checkpoint_into_a_checkpoint(adam):
    """EINVAL, so that mv does not copy it as a scope; both stand."""
    source, mount = adam
    before = disk.digest(source)
    assert tree.error_of(os.rename, mount / "model.ckpt-3", mount / STEP / "x") == "EINVAL"
    status, said = sh("mv model.ckpt-3 %s/" % STEP, mount.point)
    assert status == 1 and ("Invalid argument" in said or "to a subdirectory of itself" in said)
    mount.unmount()
    assert disk.digest(source) == before


def test_across_checkpoints_rename_is_exdev(adam, judge):
    """And mv copies by itself, silently, and removes."""
    source, mount = adam
    old = judge.load(source / "model.ckpt-3")
    assert tree.error_of(os.rename, mount / "model.ckpt-3/dense", mount / STEP / "moved") == "EXDEV"
    run(mount.point, "mv model.ckpt-3/dense %s/moved" % STEP)
    mount.unmount()
    told = judge.load(source / STEP)
    assert {k.replace(b"moved", b"dense"): v for k, v in told.items() if b"moved" in k} == {
        k: v for k, v in old.items() if b"dense" in k}
    assert not [k for k in judge.load(source / "model.ckpt-3") if b"dense" in k]


def test_ln_sfn_of_latest_rewrites_the_state_file(adam, judge):
    """model_checkpoint_path is the new one, the rest is kept; TensorFlow follows."""
    source, mount = adam
    old = (source / "checkpoint").read_text().splitlines()
    run(mount.point, "ln -sfn model.ckpt-3 latest")
    assert os.readlink(mount / "latest") == "model.ckpt-3"
    assert tree.read(mount / "latest/dense/kernel") == tree.read(mount / "model.ckpt-3/dense/kernel")
    mount.unmount()
    assert judge.latest_checkpoint(source) == str(source / "model.ckpt-3")
    assert (source / "checkpoint").read_text().splitlines()[1:] == old[1:]
    assert not os.path.lexists(source / "latest")


def test_ln_s_of_latest_makes_a_state_file(adam, judge):
    """Where there was none."""
    source, mount = adam
    run(mount.point, "rm checkpoint")
    assert wait_until(lambda: not os.path.lexists(mount / "latest"), 2)
    run(mount.point, "ln -s model.ckpt-3 latest")
    mount.unmount()
    assert judge.latest_checkpoint(source) == str(source / "model.ckpt-3")


def test_plain_files_of_a_mirrored_directory(adam):
    """Made, appended to, renamed and removed as on the disk below."""
    source, mount = adam
    run(mount.point, "echo one > notes", "echo two >> notes", "mv notes notes.txt",
        "cp notes.txt copy", "sed -i s/one/three/ copy", "mv copy events", "cp %s.meta m" % STEP,
        "rm %s.meta" % STEP)
    assert (source / "notes.txt").read_text() == "one\ntwo\n"
    assert (source / "events").read_text() == "three\ntwo\n"
    assert not (source / (STEP + ".meta")).exists() and (source / "m").stat().st_size
    run(mount.point, "rm notes.txt events m", "ln -s checkpoint link", "test -f link", "rm link")
    mount.unmount()
    assert sorted(os.listdir(source)) == sorted([
        "checkpoint", "model.ckpt-3" + DATA, "model.ckpt-3.index", "model.ckpt-3.meta",
        STEP + DATA, STEP + ".index", "model.ckpt-5" + DATA, "model.ckpt-5.index",
        "model.ckpt-5.meta"])


def test_the_files_of_a_checkpoint_copied_in_become_a_directory(adam, judge, shop):
    """Raw `cp x.index x.data*` into the mount: the checkpoint is there after the last close."""
    source, mount = adam
    judge.save(shop.directory / "x", {"w": array(1, 5), "s/k": array(2, 3, dtype="i8")})
    run(mount.point, "cp %s/x.data* %s/x.index ." % (shop.directory, shop.directory))
    assert wait_until(lambda: (mount / "x/w").exists(), 2)
    assert tree.read(mount / "x/s/k") == array(2, 3, dtype="i8").tobytes()
    tree.write(mount / "x/w", np.ones(5, "f4").tobytes())
    mount.unmount()
    jobs.holds(judge, source / "x", {"w": np.ones(5, "f4"), "s/k": array(2, 3, dtype="i8")})


def test_a_checkpoint_of_two_shards_is_renamed_and_removed(shop, fixture_copy, judge):
    """All shards go with it."""
    source = fixture_copy("v2_tf1_sharded")
    [index] = source.glob("*.index")
    prefix = index.name[:-len(".index")]
    ends, told = beside(source, prefix), judge.load(source / prefix)
    mount = shop.mount(source)
    run(mount.point, "mv %s best" % prefix)
    mount.unmount()
    assert beside(source, "best") == ends and beside(source, prefix) == []
    assert judge.load(source / "best") == told
    mount = shop.mount(source)
    run(mount.point, "rm -r best")
    mount.unmount()
    assert beside(source, "best") == [".meta"]


@pytest.mark.parametrize("command", ["cp -r runs copy", "cp -a runs copy",
                                     "mkdir copy; tar -C runs -cf - . | tar -C copy -xf -"])
def test_a_copy_of_a_directory_of_checkpoints(shop, fixture_copy, judge, command):
    """It is one again, and no checkpoint with the others as scopes, whatever comes first."""
    runs = fixture_copy("v2_tf1_adam", to="source/runs")
    for path in runs.glob("model.ckpt-3.*"):
        path.rename(runs / ("a" + path.name[len("model.ckpt-3"):]))
    mount = shop.mount(runs.parent)
    run(mount.point, command, "diff -r runs copy")
    mount.unmount()
    for step in ("a", "model.ckpt-4", "model.ckpt-5"):
        assert judge.load(runs.parent / "copy" / step) == judge.load(runs / step)
    assert (runs.parent / "copy/checkpoint").read_bytes() == (runs / "checkpoint").read_bytes()
