"""DESIGN 4.11: in a SavedModel only values change, unless -o force."""
import os

import pytest

import disk
import tree
from jobs import run

CHANGES = {
    "create": lambda m: os.close(os.open(m + "/new", os.O_WRONLY | os.O_CREAT)),
    "mkdir": lambda m: os.mkdir(m + "/scope"),
    "unlink": lambda m: os.unlink(m + "/dense/kernel"),
    "rename": lambda m: os.rename(m + "/dense/kernel", m + "/other"),
    "reshape": lambda m: tree.write(m + "/dense/kernel.shape", b"[-1, 1]\n"),
    "retype": lambda m: tree.write(m + "/dense/kernel.dtype", b"int32\n"),
}
NAMED = {"create": "new", "mkdir": "scope", "unlink": "dense/kernel", "rename": "dense/kernel",
         "reshape": "dense/kernel.shape", "retype": "dense/kernel.dtype"}


@pytest.fixture
def variables(shop, fixture_copy):
    """A mounted SavedModel of TF1, where keys are names, and its variables."""
    source = fixture_copy("savedmodel_tf1")
    before = disk.digest(source)
    mount = shop.mount(source)
    yield mount
    mount.unmount()
    assert disk.digest(source) == before


@pytest.mark.parametrize("what", CHANGES)
def test_names_and_types_stay(variables, what):
    """EPERM; the same text in a sidecar is no change."""
    mount, variables = variables, str(variables / "variables/variables")
    names = sorted(os.listdir(variables))
    assert tree.error_of(CHANGES[what], variables) == "EPERM"
    assert sorted(os.listdir(variables)) == names
    assert "variables/variables/%s: not changed: in a SavedModel" % NAMED[what] in mount.log()
    tree.write(variables + "/dense/kernel.dtype", tree.read(variables + "/dense/kernel.dtype"))


def test_the_checkpoint_keeps_its_name(variables):
    """TensorFlow looks for variables/variables."""
    at = str(variables / "variables")
    assert tree.error_of(os.rename, at + "/variables", at + "/other") == "EPERM"
    assert "variables: not renamed: a SavedModel finds it by this name" in variables.log()
    assert os.listdir(at) == ["variables"]


def test_with_force_they_change(shop, fixture_copy):
    """-o force: whoever says so knows why."""
    source = fixture_copy("savedmodel_tf1")
    mount = shop.mount(source, "force")
    os.rename(mount / "variables/variables/dense/kernel", mount / "variables/variables/other")
    os.rename(mount / "variables/variables", mount / "variables/v")
    mount.unmount()
    assert b"other" in disk.Snapshot(source / "variables/v").values


@pytest.mark.parametrize("name", ["savedmodel_tf1", "savedmodel_tf2"])
@pytest.mark.parametrize("command", ["cp -r model copy", "cp -a model copy",
                                     "mkdir copy; cp model/saved_model.pb copy; "
                                     "rsync -a model/ copy/",
                                     "mkdir copy; tar -C model -cf - . | tar -C copy -xf -"])
def test_a_copy_of_a_whole_one(shop, fixture_copy, judge, name, command):
    """In the mount; rsync makes directories first, and has to be told what they are in."""
    model = fixture_copy(name, to="source/model")
    (model / "assets.extra").mkdir()
    (model / "assets.extra/notes.txt").write_text("a note\n")
    mount = shop.mount(model.parent)
    run(mount.point, command, "diff -r model copy")
    mount.unmount()
    copy = model.parent / "copy"
    files = {n: d for n, d in disk.digest(model).items() if not n.startswith("variables/")}
    copied = disk.digest(copy)
    assert files.items() <= copied.items() and len(copied) == len(files) + 2
    assert judge.load(copy / "variables/variables") == judge.load(model / "variables/variables")
    if name == "savedmodel_tf2":
        assert judge.saved_model(copy, ["w", "b"]) == judge.saved_model(model, ["w", "b"])
