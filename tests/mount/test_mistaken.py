"""Files that people mistake for checkpoints: said once, and left as they are."""
import os
import shutil
import subprocess
import zipfile

import pytest

import tree
from fixtures import FIXTURE_DIR
from mounts import BINARY

DATA = ".data-00000-of-00001"
POINTER = (b"version https://git-lfs.github.com/spec/v1\n"
           b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
SAFETENSORS = (48).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + bytes(4)
PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."


def frozen():
    """A GraphDef, as freeze_graph writes it: a placeholder and a constant."""
    def node(name, op):
        body = b"\x0a%c%b\x12%c%b" % (len(name), name, len(op), op)
        return b"\x0a%c%b" % (len(body), body)
    return node(b"input_1", b"Placeholder") + node(b"dense/kernel", b"Const")


def archive(path):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("model.weights.h5", HDF5)
        z.writestr("config.json", "{}")
    return path.read_bytes()


KINDS = {"lfs": "a Git LFS pointer", "hdf5": "an HDF5 file", "zip": "a zip archive",
         "safetensors": "a safetensors file", "pickle": "a file of PyTorch", "frozen": "a graph"}


@pytest.fixture
def contents(shop):
    return {"lfs": POINTER, "hdf5": HDF5, "safetensors": SAFETENSORS, "pickle": PICKLE,
            "frozen": frozen(), "zip": archive(shop.directory / "x.zip")}


def age(path):
    """Written a while ago, so that nobody waits for the rest of it."""
    os.utime(path, (1.6e9, 1.6e9))


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          check=False)


def test_under_the_name_of_a_v1_checkpoint(shop, contents):
    """They stay plain files, and one line each says what they are."""
    source = shop.directory / "source"
    source.mkdir()
    for kind, content in contents.items():
        (source / ("%s.ckpt" % kind)).write_bytes(content)
        (source / ("shared_%s-00000-of-00001" % kind)).write_bytes(content)
        (source / ("named_%s" % kind)).write_bytes(content)  # TF1 leaves a .meta beside it
        (source / ("named_%s.meta" % kind)).write_bytes(b"")
        (source / ("photo_%s" % kind)).write_bytes(content)  # nobody takes that for one
    (source / "weights.h5").write_bytes(HDF5)
    (source / "model.keras").write_bytes(contents["zip"])
    mount = shop.mount(source, "ro")
    for _ in range(3):
        for name in os.listdir(mount.point):
            assert (mount / name).is_file(), name
            assert tree.read(mount / name) == (source / name).read_bytes()
        (source / "more").write_bytes(b"")  # so that the directory is read again
        (source / "more").unlink()
    log = mount.log()
    for kind, what in KINDS.items():
        for name in ("%s.ckpt", "shared_%s-00000-of-00001", "named_%s"):
            assert log.count(" %s is %s" % (name % kind, what)) == 1, name % kind
        assert "photo_%s" % kind not in log
    assert "weights.h5" not in log and "model.keras" not in log


@pytest.mark.parametrize("kind", KINDS)
def test_under_the_name_of_an_index(shop, contents, kind):
    """A directory that cannot be read says why, once; so do a mount of it and --list."""
    source = shop.directory / "source"
    source.mkdir()
    (source / "model.index").write_bytes(contents[kind])
    (source / ("model" + DATA)).write_bytes(b"x" * 100)
    age(source / "model.index")
    mount = shop.mount(source)
    for _ in range(3):
        assert os.listdir(mount.point) == ["model"]
        assert tree.error_of(os.listdir, mount / "model") == "EIO"
    assert mount.log().count("model: not shown: its index is " + KINDS[kind]) == 1
    point = shop.directory / "point"
    point.mkdir()
    for arguments in (("-f", source / "model", point), ("-f", source / "model.index", point),
                      ("--list", source / "model")):
        got = run(*arguments)
        assert got.returncode != 0 and KINDS[kind] in got.stderr, got
        assert len(got.stderr.splitlines()) == 1, got


def test_a_pointer_for_the_data(shop):
    """As in most clones: the index is small, and is there. Names are, values are not."""
    source = shop.directory / "source"
    source.mkdir()
    shutil.copy(FIXTURE_DIR / "v2_tf1_adam/model.ckpt-5.index", source)
    (source / ("model.ckpt-5" + DATA)).write_bytes(POINTER)
    mount = shop.mount(source)
    for _ in range(2):
        assert tree.read(mount / "model.ckpt-5/dense/kernel.dtype") == b"float32\n"
        assert tree.error_of(tree.read, mount / "model.ckpt-5/dense/kernel") == "EIO"
    assert mount.log().count("model.ckpt-5%s is a Git LFS pointer" % DATA) == 1


def test_among_others_in_a_listing(shop, contents):
    """--list and --check of a directory name it, too, and show the others."""
    source = shop.directory / "source"
    source.mkdir()
    for end in (".index", DATA):
        shutil.copy(str(FIXTURE_DIR / "v2_tf1_adam/model.ckpt-5") + end, source)
    (source / "clone.index").write_bytes(contents["lfs"])
    age(source / "clone.index")
    for command in ("--list", "--check"):
        got = run(command, source)
        assert got.returncode != 0 and "model.ckpt-5" in got.stdout
        assert (got.stdout + got.stderr).count(KINDS["lfs"]) == 1, got


@pytest.mark.parametrize("kind", ["lfs", "hdf5", "frozen", "safetensors", "pickle", "zip"])
def test_named_as_the_source(shop, contents, kind):
    """The command says what the file is, and what to name instead."""
    path = shop.directory / "model.ckpt"
    path.write_bytes(contents[kind])
    point = shop.directory / "point"
    point.mkdir()
    for arguments in ((path, point), ("--list", path)):
        got = run(*arguments)
        assert got.returncode != 0 and KINDS[kind] in got.stderr, got


def test_what_is_pulled_later_is_shown(shop):
    """git lfs pull beside the mount."""
    source = shop.directory / "source"
    source.mkdir()
    names = ("model.ckpt-5.index", "model.ckpt-5" + DATA)
    for name in names:
        (source / name).write_bytes(POINTER)
        age(source / name)
    mount = shop.mount(source)
    assert tree.error_of(os.listdir, mount / "model.ckpt-5") == "EIO"
    for name in reversed(names):
        shutil.copy(FIXTURE_DIR / "v2_tf1_adam" / name, source / "x")
        os.rename(source / "x", source / name)
    from mounts import wait_until
    assert wait_until(lambda: tree.error_of(tree.read, mount / "model.ckpt-5/dense/kernel") is None, 3)


def test_nothing_is_said_of_files_beside_the_one_checkpoint_that_is_mounted(shop, contents):
    source = shop.directory / "source"
    shutil.copytree(FIXTURE_DIR / "v2_tf1_adam", source)
    (source / "other.ckpt").write_bytes(contents["hdf5"])
    (source / "other.index").write_bytes(contents["lfs"])
    with shop.mount(source / "model.ckpt-5") as mount:
        tree.read(mount / "dense/kernel")
        mount.news(1)
        assert "other" not in mount.log()
