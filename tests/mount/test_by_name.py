""".weightfs/by-name: variables by the names that the program gave them."""
import os

import numpy as np
import pytest

import tree
from fixtures import GRAPH_KEY
from mounts import wait_until
from sstable import f_bytes, f_varint


def by_name(mount, *names):
    return os.path.join(mount.point, ".weightfs", "by-name", *names)


def links_of(mount, *names):
    """Every link below, by its path, with where it leads; each has to lead to a file."""
    top = by_name(mount, *names)
    found = {}
    for directory, scopes, files in os.walk(top):
        assert not [s for s in scopes if os.path.islink(os.path.join(directory, s))]
        for entry in os.scandir(directory):
            assert entry.inode() == os.lstat(entry.path).st_ino
        for name in files:
            path = os.path.join(directory, name)
            assert os.path.isfile(path), path
            place = os.path.relpath(os.path.join(directory, os.readlink(path)), mount.point)
            assert os.path.relpath(path, top) not in found
            found[os.path.relpath(path, top)] = place
    return found


def graph(variables):
    """An object graph: a root with a variable for each of {edge: full name}."""
    nodes = b""
    edges = b"".join(f_bytes(1, f_varint(1, i + 1) + f_bytes(2, edge.encode()))
                     for i, edge in enumerate(variables))
    nodes += f_bytes(1, edges)
    for edge, name in variables.items():
        nodes += f_bytes(1, f_bytes(2, f_bytes(1, b"VARIABLE_VALUE") + f_bytes(2, name.encode()) +
                                    f_bytes(3, key_of(edge).encode())))
    return nodes


def key_of(edge):
    return edge + "/.ATTRIBUTES/VARIABLE_VALUE"


def save(judge, prefix, variables):
    """A checkpoint with such a graph; the values count from 0."""
    judge.save(prefix, {GRAPH_KEY: graph(variables),
                        **{key_of(e): np.float32(i) for i, e in enumerate(variables)}})


@pytest.mark.sanitized
def test_an_object_based_checkpoint(shop, fixture_copy):
    """Names of TensorFlow 1 lead to the variables, slots among them."""
    mount = shop.mount(fixture_copy("v2_tf2_manager"))
    assert ".weightfs" not in os.listdir(mount.point)
    assert sorted(os.listdir(by_name(mount))) == ["ckpt-2", "ckpt-3"]
    model = "ckpt-2/model/dense/"
    assert links_of(mount, "ckpt-2") == {
        "Variable": "ckpt-2/step", "save_counter": "ckpt-2/save_counter",
        "beta1_power": "ckpt-2/optimizer/beta1_power", "beta2_power": "ckpt-2/optimizer/beta2_power",
        "kernel": model + "kernel", "bias": model + "bias",
        "kernel.d/Adam": model + "kernel.d/slots/optimizer/m",
        "kernel.d/Adam_1": model + "kernel.d/slots/optimizer/v",
        "bias.d/Adam": model + "bias.d/slots/optimizer/m",
        "bias.d/Adam_1": model + "bias.d/slots/optimizer/v",
        "l0": "ckpt-2/model/layers/0/v", "l1": "ckpt-2/model/layers/1/v"}
    assert tree.read(by_name(mount, "ckpt-2", "kernel")) == tree.read(mount / (model + "kernel"))


@pytest.mark.parametrize("fixture,prefix", [("v2_tf1_adam", "model.ckpt-5"), ("v2_names", "ckpt"),
                                            ("v2_names_binary", "ckpt")])
def test_a_name_based_checkpoint(shop, fixture_copy, fixture, prefix):
    """The key is the name: the same tree once more."""
    source = fixture_copy(fixture)
    mount = shop.mount(source, "ro")
    found = links_of(mount, prefix)
    assert found and all(target == prefix + "/" + name for name, target in found.items())
    listed = {os.path.relpath(os.path.join(d, f), mount / prefix) for d, _, files in os.walk(mount / prefix)
              for f in files if not f.endswith((".shape", ".dtype"))}
    assert set(found) == listed


def test_empty_double_and_odd_names(shop, judge):
    """None is left out, the first by its path wins, and what is no name is encoded."""
    source = shop.directory / "source"
    source.mkdir()
    names = {"a": "", "b": "twice", "c": "twice", "aa": "twice", "d": "twice/in", "e": "..", "f": "x.shape",
             "g": "/", "h": "//", "i": "a%", "j": "x" * 300, "k": "y" * 5000, "l": "twice/in"}
    save(judge, source / "ckpt", names)
    mount = shop.mount(source, "ro")
    found = links_of(mount, "ckpt")
    long = [n for n in found if n.startswith("xxx")]
    assert len(long) == 1 and len(long[0]) < 256 and found.pop(long[0]) == "ckpt/j"
    assert found == {"twice": "ckpt/aa", "twice%#2": "ckpt/b", "twice%#3": "ckpt/c", "twice.d/in": "ckpt/d",
                     "twice.d/in%#2": "ckpt/l", "%2E.": "ckpt/e", "x%2Eshape": "ckpt/f", "%/%": "ckpt/g",
                     "%/%.d/%": "ckpt/h", "a%25": "ckpt/i"}


def test_a_mount_of_one_checkpoint(shop, fixture_copy):
    """The variables are at the root then."""
    mount = shop.mount(fixture_copy("v2_tf2_manager") / "ckpt-3")
    found = links_of(mount, "ckpt-3")
    assert os.listdir(by_name(mount)) == ["ckpt-3"]
    assert found["kernel.d/Adam"] == "model/dense/kernel.d/slots/optimizer/m" and len(found) == 12


def test_directories_and_prefixes_that_are_taken(shop, fixture_copy):
    """The same names as in the mount."""
    source = fixture_copy("v2_tf2_manager", "source")
    fixture_copy("v2_tf1_adam", "source/deep")
    fixture_copy("v2_tf2_manager", "source/deep/er")
    (source / "ckpt-2").mkdir()
    mount = shop.mount(source)
    assert sorted(os.listdir(by_name(mount))) == ["ckpt-2", "ckpt-2.d", "ckpt-3", "deep"]
    assert links_of(mount, "ckpt-2.d")["kernel"] == "ckpt-2.d/model/dense/kernel"
    assert links_of(mount, "deep", "er", "ckpt-3")["l0"] == "deep/er/ckpt-3/model/layers/0/v"
    assert links_of(mount, "ckpt-2") == {}
    assert tree.error_of(os.listdir, by_name(mount, "checkpoint")) == "ENOENT"
    os.rename(mount / "deep", mount / "deeper")
    assert links_of(mount, "deeper", "er", "ckpt-3")["l0"] == "deeper/er/ckpt-3/model/layers/0/v"


def test_what_changes_is_seen(shop, judge):
    """A checkpoint that is saved anew, and a variable that is made."""
    source = shop.directory / "source"
    source.mkdir()
    save(judge, source / "ckpt", {"a": "one"})
    judge.save(source / "plain", {"v": np.float32(1)})
    mount = shop.mount(source)
    assert links_of(mount) == {"ckpt/one": "ckpt/a", "plain/v": "plain/v"}
    save(judge, source / "ckpt", {"a": "one", "b": "two/three"})
    (mount / "plain/w.dtype").write_text("float32\n")
    (mount / "plain/w.shape").write_text("[]\n")
    (mount / "plain/w").write_bytes(b"1234")
    assert wait_until(lambda: links_of(mount) == {
        "ckpt/one": "ckpt/a", "ckpt/two/three": "ckpt/b", "plain/v": "plain/v", "plain/w": "plain/w"}, 4)
    for end in (".index", ".data-00000-of-00001"):
        (source / ("ckpt" + end)).unlink()
    assert wait_until(lambda: os.listdir(by_name(mount)) == ["plain"], 4)
    assert wait_until(lambda: tree.error_of(os.listdir, by_name(mount, "ckpt")) == "ENOENT", 4)


def test_what_was_deleted_is_not_held(shop, fixture_copy):
    """Nobody would know why the disk is full: the kernel keeps names for long."""
    source = fixture_copy("v2_tf2_manager")
    mount = shop.mount(source)
    assert len(links_of(mount, "ckpt-2")) == 12
    assert tree.read(mount / "ckpt-2/step")
    for path in source.glob("ckpt-2.*"):
        path.unlink()

    def held():
        return [n for n in mount.files_held() if "ckpt-2" in n]
    assert wait_until(lambda: not held(), 4), held()


def test_nothing_can_be_changed_there(shop, fixture_copy):
    """It is a view."""
    mount = shop.mount(fixture_copy("v2_tf2_manager"))
    for call in (lambda p: os.unlink(p + "/kernel"), lambda p: os.rmdir(p + "/kernel.d"),
                 lambda p: os.mkdir(p + "/new"), lambda p: os.symlink("x", p + "/new"),
                 lambda p: os.rename(p + "/kernel", p + "/new")):
        assert tree.error_of(call, by_name(mount, "ckpt-2")) == "EPERM"
    assert tree.error_of(os.readlink, by_name(mount, "ckpt-2")) == "EINVAL"
    value = bytes(96)
    with open(by_name(mount, "ckpt-2", "kernel"), "wb") as f:  # through the link
        f.write(value)
    assert tree.read(mount / "ckpt-2/model/dense/kernel") == value


def test_a_damaged_checkpoint_has_no_names(shop, fixture_copy):
    """EIO, as its directory."""
    source = fixture_copy("v2_tf2_manager")
    (source / "ckpt-2.index").write_bytes(b"x" * 100)
    os.utime(source / "ckpt-2.index", (1.6e9, 1.6e9))
    mount = shop.mount(source)
    assert tree.error_of(os.listdir, by_name(mount, "ckpt-2")) == "EIO"
    assert links_of(mount, "ckpt-3")


def test_a_listing_of_many(shop, judge):
    """More names than one answer of readdir holds, each once."""
    source = shop.directory / "source"
    source.mkdir()
    judge.save(source / "many", {"s%d/v%d" % (i % 700, i): np.int8(1) for i in range(5000)})
    mount = shop.mount(source, "ro")
    found = links_of(mount, "many")
    assert len(found) == 5000
    assert len(os.listdir(by_name(mount, "many"))) == 700
