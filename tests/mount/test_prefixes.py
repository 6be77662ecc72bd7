"""One name for several things, and checkpoints of which a part is missing."""
import os
import shutil

import pytest

import tree
from fixtures import FIXTURE_DIR
from mounts import wait_until
from writing import sh

DATA = ".data-00000-of-00001"
V1, V2 = FIXTURE_DIR / "v1_tf1_adam/model.ckpt-3", FIXTURE_DIR / "v2_tf1_adam/model.ckpt-5"
SHARDS = [FIXTURE_DIR / ("v1_tf1_sharded/model.ckpt-%05d-of-00002" % i) for i in range(2)]


@pytest.fixture
def source(shop):
    made = shop.directory / "source"
    made.mkdir()
    return made


def put(source, prefix, ends=(".index", DATA)):
    for end in ends:
        shutil.copy(str(V2) + end, str(source / prefix) + end)


def names(mount):
    """What is listed, directories with a slash."""
    return sorted(n + "/" * os.path.isdir(mount / n) for n in os.listdir(mount.point))


def kernel(judge, prefix):
    return judge.load(prefix)[b"dense/kernel"][2]


@pytest.mark.sanitized
def test_v2_wins_over_v1_of_the_prefix(shop, judge, source):
    """As in TensorFlow: the V1 file is a plain file then, and is left alone."""
    put(source, "both")
    shutil.copy(V1, source / "both")
    (source / "checkpoint").write_text('model_checkpoint_path: "both"\n')
    mount = shop.mount(source)
    assert names(mount) == ["both", "both.d/", "checkpoint", "latest/"]
    assert os.readlink(mount / "latest") == "both.d"
    assert tree.read(mount / "both") == V1.read_bytes()
    want = kernel(judge, source / "both")
    assert tree.read(mount / "both.d/dense/kernel") == want
    (mount / "both.d/dense/kernel").write_bytes(bytes(len(want)))
    mount.unmount()
    assert kernel(judge, source / "both") == bytes(len(want))
    assert (source / "both").read_bytes() == V1.read_bytes()


def test_files_of_v1_beside_v2_of_the_prefix(shop, source):
    """In several files, too."""
    put(source, "model")
    for i, path in enumerate(SHARDS):
        shutil.copy(path, source / ("model-%05d-of-00002" % i))
    mount = shop.mount(source)
    assert names(mount) == ["model-00000-of-00002", "model-00001-of-00002", "model/"]
    assert (mount / "model/dense/kernel").exists()


def test_without_v2_the_v1_checkpoint_shows(shop, source):
    """When V2's index goes, TensorFlow takes the other one."""
    put(source, "both")
    shutil.copy(V1, source / "both")
    mount = shop.mount(source)
    shutil.rmtree(mount / "both.d")
    assert wait_until(lambda: names(mount) == ["both/"], 1.5)
    assert os.listdir(source) == ["both"]
    assert (mount / "both/dense/kernel.shape").exists()


def test_a_prefix_called_as_the_hidden_directory(shop, judge, source):
    """At the top of a mount that name is taken; below it is like any other."""
    (source / "sub").mkdir()
    for prefix in (".weightfs", "sub/.weightfs"):
        put(source, prefix)
    want = kernel(judge, source / ".weightfs")
    mount = shop.mount(source)
    assert names(mount) == [".weightfs.d/", "sub/"]
    assert "status" in os.listdir(mount / ".weightfs")
    for path in (".weightfs.d", "sub/.weightfs"):
        assert tree.read(mount / path / "dense/kernel") == want
    (mount / ".weightfs.d/dense/kernel").write_bytes(bytes(len(want)))
    mount.unmount()
    assert kernel(judge, source / ".weightfs") == bytes(len(want))


@pytest.mark.parametrize("other", [["x"], ["x", "x.d"]])
def test_a_prefix_that_a_directory_has(shop, judge, source, other):
    """The checkpoint shows with `.d`, as often as it takes."""
    put(source, "x")
    for each in other:
        (source / each).mkdir()
    mount = shop.mount(source)
    shown = "x" + ".d" * len(other)
    assert names(mount) == sorted([each + "/" for each in other] + [shown + "/"])
    size = len(tree.read(mount / shown / "dense/kernel"))
    (mount / shown / "dense/kernel").write_bytes(bytes(size))
    os.rename(mount / shown, mount / "moved")
    assert names(mount) == sorted([each + "/" for each in other] + ["moved/"])
    mount.unmount()
    assert kernel(judge, source / "moved") == bytes(size)


def test_an_index_without_data(shop, source):
    """Names, dtypes and shapes; values are EIO, with one line for all of them."""
    put(source, "x", [".index"])
    mount = shop.mount(source)
    assert tree.read(mount / "x/dense/kernel.shape") == b"[6, 4]\n"
    for _ in range(3):
        assert tree.error_of(tree.read, mount / "x/dense/kernel") == "EIO"
    assert mount.log().count("x/dense/kernel: cannot be read: its data shard is missing: x" + DATA) == 1
    shutil.copy(str(V2) + DATA, source / "new")
    os.rename(source / "new", source / ("x" + DATA))
    assert wait_until(lambda: tree.error_of(tree.read, mount / "x/dense/kernel") is None, 3)


def test_data_without_an_index(shop, source):
    """A plain file, until the index comes."""
    put(source, "x", [DATA])
    mount = shop.mount(source)
    assert names(mount) == ["x" + DATA]
    assert tree.read(mount / ("x" + DATA)) == (source / ("x" + DATA)).read_bytes()
    put(source, "x", [".index"])
    assert wait_until(lambda: names(mount) == ["x/"], 3)


def test_files_of_v1_without_the_first(shop, source):
    """Plain files: none disappears."""
    shutil.copy(SHARDS[1], source / "x-00001-of-00002")
    shutil.copy(SHARDS[0], source / "y-00000-of-00002")
    (source / "z-00000-of-00002").write_bytes(b"text")
    shutil.copy(SHARDS[1], source / "z-00001-of-00002")
    mount = shop.mount(source)
    assert names(mount) == ["x-00001-of-00002", "y/", "z-00000-of-00002", "z-00001-of-00002"]


@pytest.mark.parametrize("order", [(".index", DATA), (DATA, ".index")])
def test_a_raw_copy_becomes_a_directory(shop, judge, source, order):
    """cp x.index x.data* /mnt/w/, in any order: after the last close it is a checkpoint."""
    mount = shop.mount(source)
    assert sh("cp %s ." % " ".join(str(V2) + end for end in order), mount.point) == (0, "")
    assert wait_until(lambda: names(mount) == [V2.name + "/"], 3)
    assert wait_until(lambda: tree.error_of(tree.read, mount / V2.name / "dense/kernel") is None, 3)
    assert tree.read(mount / V2.name / "dense/kernel") == kernel(judge, V2)
    assert sorted(os.listdir(source)) == [V2.name + DATA, V2.name + ".index"]
    assert sh("cp %s old" % V1, mount.point) == (0, "")
    assert wait_until(lambda: names(mount) == [V2.name + "/", "old/"], 3)


RAW = FIXTURE_DIR / "v2_tf1_adam"
COPIES = ["cp -r {raw}/. d", "cp -a {raw}/. d", "rsync -a {raw}/ d", "tar c -C {raw} . | tar x -C d",
          "install -m 640 {raw}/* d", "cp {raw}/*.index {raw}/*.data* d",
          "python3 -c 'import shutil; shutil.copytree(\"{raw}\", \"d\", dirs_exist_ok=True)'",
          "cd d && python3 -c 'import shutil, sys; [shutil.copy2(f, \".\") for f in sys.argv[1:]]' {raw}/*"]


@pytest.mark.parametrize("command", COPIES)
@pytest.mark.parametrize("made", ["mount", "source"])
def test_a_directory_of_checkpoints_is_copied_raw(shop, judge, source, made, command):
    """By every tool without an error, also into a directory that was just made in the mount."""
    mount = shop.mount(source)
    ((mount.point if made == "mount" else source) / "d").mkdir()
    assert sh(command.format(raw=RAW), mount.point) == (0, "")
    steps = {"model.ckpt-%d" % i for i in (3, 4, 5)}
    assert wait_until(lambda: {n for n in os.listdir(mount / "d") if (mount / "d" / n).is_dir()}
                      in (steps, steps | {"latest"}), 3)
    for step in steps:
        assert tree.read(mount / "d" / step / "dense/kernel") == kernel(judge, RAW / step)
        assert not (mount / "d" / (step + ".index")).name in os.listdir(mount / "d")
    mount.unmount()
    for path in (source / "d").iterdir():
        assert path.read_bytes() == (RAW / path.name).read_bytes()
