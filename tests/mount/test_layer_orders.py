"""DESIGN 4.5: a layer with its slots ends the same, in whatever order its files come."""
import os
import shutil

import pytest

import disk
import jobs
import tree
from jobs import array, packed
from writing import sh

LAYER = {"dense/kernel": array(1, 6, 4), "dense/kernel/Adam": array(2, 6, 4),
         "dense/kernel/Adam_1": array(3, 6, 4), "dense/bias": array(4, 4),
         "dense/bias/Adam": array(5, 4, dtype="f2"), "dense/count": array(6, dtype="i8")}
SAME = {k: array(i + 20, *v.shape, dtype=v.dtype) for i, (k, v) in enumerate(LAYER.items())}
OTHER = {k: array(i + 40, 3, 5, dtype="i2") for i, k in enumerate(LAYER)}
# As many bytes, but nothing else alike: a value that comes first is taken for the old type.
DISGUISED = {k: array(i + 60, v.nbytes // 2, dtype="i2") for i, (k, v) in enumerate(LAYER.items())}
LONGER = {k: array(i + 80, v.nbytes, 3, dtype="f8") for i, (k, v) in enumerate(LAYER.items())}
TARGETS = {"nothing": {}, "same": SAME, "other": OTHER, "disguised": DISGUISED, "longer": LONGER}
QUIET = ("nothing", "same")  # no tool has a reason to complain there, in any order


def rank(*suffixes):
    """Sorts by the suffix first."""
    def key(path):
        end = next((s for s in (".shape", ".dtype") if path.endswith(s)), "")
        return suffixes.index(end), path
    return key


def deep_first(path):
    return ".d/" not in path, path


ORDERS = {
    "sidecars first": lambda files: sorted(files, key=rank(".shape", ".dtype", "")),
    "value first": lambda files: sorted(files, key=rank("", ".dtype", ".shape")),
    "value between": lambda files: sorted(files, key=rank(".shape", "", ".dtype")),
    "value between the other way": lambda files: sorted(files, key=rank(".dtype", "", ".shape")),
    "slots first": lambda files: sorted(files, key=deep_first),
    "slots last": lambda files: sorted(files, key=deep_first, reverse=True),
    "as ls tells": sorted,
}


@pytest.fixture
def runs(shop, judge):
    """A donor and a target of each kind: (source, mount)."""
    source = shop.directory / "runs"
    source.mkdir()
    judge.save(source / "donor", dict(LAYER, rest=array(7, 3)))
    for name, items in TARGETS.items():
        judge.save(source / name, dict(items, rest=array(8, 3)))
    os.utime(source / "donor.index", (1e9, 1e9))  # rsync takes one size and second for equal
    return source, shop.mount(source)


def files_of(directory):
    """Every file below, relative."""
    found = []
    for path, _, names in os.walk(directory):
        found += [os.path.relpath(os.path.join(path, n), directory) for n in names]
    return found


def arrived(judge, shop, source, mount):
    """All targets have the donor's layer, by TensorFlow after unmount and in the next mount."""
    for name in TARGETS:
        assert sh("diff -r donor/dense %s/dense" % name, mount.point) == (0, ""), name
    mount.unmount()
    wanted = {k.encode(): packed(v) for k, v in dict(LAYER, rest=array(8, 3)).items()}
    for name in TARGETS:
        assert judge.load(source / name) == wanted, name
        assert disk.Snapshot(source / name).values == {k: v[2] for k, v in wanted.items()}, name
    again = shop.mount(source)
    for name in TARGETS:
        assert sh("diff -r donor/dense %s/dense" % name, again.point) == (0, ""), name


def copy_in_order(files, origin, target):
    """cp of one file after the other: whether all went without a word."""
    said = []
    for path in files:
        os.makedirs(os.path.dirname(target / path), exist_ok=True)
        said.append(jobs.cp(origin / path, target / path))
    return all(x == (0, "") for x in said), said


@pytest.mark.parametrize("order", [*ORDERS, "shuffled"])
def test_cp_of_single_files_in_any_order(runs, shop, judge, dice, order):
    """Onto nothing, onto the same shape and onto others, within the mount."""
    source, mount = runs
    for name in TARGETS:
        files = files_of(mount / "donor/dense")
        assert len(files) == 3 * len(LAYER)
        if order == "shuffled":
            dice.shuffle(files)
        else:
            files = ORDERS[order](files)
        quiet, said = copy_in_order(files, mount / "donor/dense", mount / name / "dense")
        assert quiet or (name not in QUIET and order != "sidecars first"), (name, said)
    arrived(judge, shop, source, mount)


@pytest.mark.parametrize("order", ["sidecars first", "value first", "value between", "shuffled"])
def test_cp_of_single_files_from_a_disk(runs, shop, judge, dice, order):
    """The same from a plain directory, where no copy within the mount tells the type."""
    source, mount = runs
    shutil.copytree(mount / "donor/dense", shop.directory / "plain")
    for name in TARGETS:
        files = files_of(shop.directory / "plain")
        if order == "shuffled":
            dice.shuffle(files)
        else:
            files = ORDERS[order](files)
        quiet, said = copy_in_order(files, shop.directory / "plain", mount / name / "dense")
        assert quiet or (name not in QUIET and order != "sidecars first"), (name, said)
    arrived(judge, shop, source, mount)


# rsync --inplace ends at the first file that it cannot close, and a value of another size that comes
# before its sidecars is such a file: they have to be there before.
SIDECARS = ("rsync -a --inplace --include='*/' --include='*.shape' --include='*.dtype' --exclude='*'"
            " {0}/dense {1}/")
TOOLS = {
    "cp -r": "cp -r {0}/dense {1}/",
    "cp -a": "cp -a {0}/dense {1}/",
    "rsync -a": "rsync -a {0}/dense {1}/",
    "rsync -a --inplace": "%s && rsync -a --inplace {0}/dense {1}/" % SIDECARS,
    "rsync -aX": "rsync -aX {0}/dense {1}/",
    "tar x": "tar -C {0} -cf - dense | tar -C {1} -xf -",
    "tar x --overwrite": "tar -C {0} -cf - dense | tar -C {1} -xf - --overwrite",
    "rm, cp -r": "rm -rf {1}/dense; cp -r {0}/dense {1}/",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_layer_comes_within_the_mount(runs, shop, judge, tool):
    """cp -r and cp -a print nothing; others may, where a value of another size comes first."""
    source, mount = runs
    for name in TARGETS:
        told = sh("set -o pipefail; " + TOOLS[tool].format("donor", name), mount.point)
        assert told == (0, "") or (name not in QUIET and "cp" not in tool), (name, told)
    arrived(judge, shop, source, mount)


ROUNDABOUT = [("cp -r", t) for t in ("cp -r", "cp -a", "rsync -a", "rsync -a --inplace", "tar x")]
ROUNDABOUT += [("cp -a", t) for t in ("cp -a", "rsync -aX")]
ROUNDABOUT += [("values first", t) for t in TOOLS if t != "rsync -aX"]


@pytest.mark.parametrize("how,tool", ROUNDABOUT)
def test_a_layer_comes_from_a_disk(runs, shop, judge, tool, how):
    """By way of a plain directory, whose inodes may be in the order of cp or of rsync."""
    source, mount = runs
    plain = shop.directory / "plain"
    plain.mkdir()
    if how == "values first":
        files = ORDERS["value first"](files_of(mount / "donor/dense"))
        assert copy_in_order(files, mount / "donor/dense", plain / "dense")[0]
    else:
        assert sh("%s donor/dense %s/" % (how, plain), mount.point) == (0, "")
    assert sh("find %s -exec touch -d 2001-01-01 {} +" % plain, mount.point) == (0, "")
    for name in TARGETS:
        told = sh("set -o pipefail; " + TOOLS[tool].format(plain, name), mount.point)
        assert told == (0, "") or name not in QUIET, (name, told)
    arrived(judge, shop, source, mount)


def test_a_new_checkpoint_whose_slots_come_first(runs, judge):
    """mkdir, and then `kernel.d` before there is a `kernel`."""
    source, mount = runs
    os.mkdir(mount / "new")
    files = sorted(files_of(mount / "donor"), key=deep_first)
    quiet, said = copy_in_order(files, mount / "donor", mount / "new")
    assert quiet, said
    assert sorted(os.listdir(mount / "new/dense")) == sorted(os.listdir(mount / "donor/dense"))
    assert tree.read(mount / "new/dense/kernel.d/Adam.shape") == b"[6, 4]\n"
    mount.unmount()
    jobs.holds(judge, source / "new", dict(LAYER, rest=array(7, 3)))


@pytest.mark.parametrize("first", ["", ".shape", ".dtype"])
def test_values_with_attributes_before_their_sidecars(shop, judge, first):
    """`cp -a` of a disk where they were made so: nothing is printed, and others see all."""
    source = shop.directory / "runs"
    source.mkdir()
    judge.save(source / "c", {"old/a": array(1, 6, 4), "old/b": array(2)})
    mount = shop.mount(source)
    disk_copy = shop.directory / "disk"
    disk_copy.mkdir()
    for end in [first] + [e for e in ("", ".shape", ".dtype") if e != first]:
        jobs.run(mount / "c/old", "cp -a a%s b%s %s" % (end, end, disk_copy))
    jobs.run(mount / "c", "cp -a %s new" % disk_copy, "test \"$(cat new/a.shape)\" = '[6, 4]'",
             "mkdir one", "cp -a %s/a one/" % disk_copy, "test \"$(cat one/a.shape)\" = '[6, 4]'",
             "test $(ls one | wc -l) = 3")
    mount.unmount()
    found = judge.load(source / "c")
    assert found[b"new/a"] == found[b"old/a"] == found[b"one/a"]
    assert found[b"new/b"] == found[b"old/b"]
