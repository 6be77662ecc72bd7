"""DESIGN 2.1: a source goes by whatever path a user has."""
import os
import subprocess

import pytest

import fixtures
import mounts
import tree

ADAM = fixtures.FIXTURE_DIR / "v2_tf1_adam"


@pytest.mark.sanitized
@pytest.mark.parametrize("name", ["model.ckpt-5", "model.ckpt-5.index",
                                  "model.ckpt-5.data-00000-of-00001"])
def test_one_checkpoint_is_mounted_by_prefix_index_or_shard(shop, name):
    """Its scopes are the root of the mount, and nothing else is there."""
    mount = shop.mount(ADAM / name, "ro")
    variables = fixtures.variables("v2_tf1_adam-5")
    assert len(list(tree.find(variables, mount.point))) == len(variables)
    assert sorted(n for n in os.listdir(mount.point) if "." not in n) == [
        "beta1_power", "beta2_power", "dense", "global_step"]


def test_a_state_file_means_its_directory(shop):
    """SOURCE/checkpoint is taken for SOURCE."""
    mount = shop.mount(ADAM / "checkpoint", "ro")
    assert {"model.ckpt-3", "model.ckpt-4", "model.ckpt-5"} <= set(os.listdir(mount.point))


def test_a_relative_path_is_enough(shop, fixture_copy, monkeypatch):
    """A prefix without any directory, from within the directory."""
    monkeypatch.chdir(fixture_copy("v2_tf1_adam"))
    mount = shop.mount("model.ckpt-3", "ro")
    assert tree.read(mount / "dense" / "kernel.shape") == b"[6, 4]\n"


def test_a_trailing_slash_does_not_matter(shop):
    """A directory written with a slash at its end."""
    mount = shop.mount(str(ADAM) + "/", "ro")
    assert (mount / "model.ckpt-5").is_dir()


def test_a_saved_model_is_mirrored(shop):
    """Its files pass through, its checkpoint is variables/variables."""
    source = fixtures.FIXTURE_DIR / "savedmodel_tf2"
    mount = shop.mount(source, "ro")
    assert sorted(os.listdir(mount.point)) == sorted(os.listdir(source))
    assert tree.read(mount / "saved_model.pb") == (source / "saved_model.pb").read_bytes()
    assert tree.read(mount / "assets" / "vocab.txt") == b"one\ntwo\n"
    assert os.listdir(mount / "variables") == ["variables"]


def test_a_directory_lists_checkpoints_and_other_files_only(shop):
    """Index and shards are gone, the rest stands."""
    mount = shop.mount(ADAM, "ro")
    assert sorted(os.listdir(mount.point)) == [
        "checkpoint", "latest", "model.ckpt-3", "model.ckpt-3.meta", "model.ckpt-4",
        "model.ckpt-4.meta", "model.ckpt-5", "model.ckpt-5.meta"]


def test_subdirectories_stay(shop, fixture_copy):
    """Checkpoints at several depths, below a directory that is mounted."""
    fixture_copy("v2_tf1_adam", to="source/runs/one")
    fixture_copy("v2_tf1_sharded", to="source/runs/two")
    mount = shop.mount(shop.directory / "source", "ro")
    assert tree.read(mount / "runs/one/model.ckpt-3/dense/kernel.shape") == b"[6, 4]\n"
    assert tree.read(mount / "runs/two/model.ckpt-0/w.shape") == b"[4, 4]\n"


def test_the_hidden_directory_is_not_listed(shop):
    """.weightfs is not in a listing, also not of ls -a."""
    mount = shop.mount(ADAM, "ro")
    assert ".weightfs" not in os.listdir(mount.point)


@pytest.mark.parametrize("name,content,word", [
    ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    ("model.ckpt", b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    ("model.keras", b"PK\x03\x04" + bytes(64), "eras"),
    ("frozen.pb", b"\n\x10\n\x01x\x12\x0bPlaceholder", "graph"),
    ("m.index", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS")])
def test_what_is_not_a_checkpoint_is_explained(shop, name, content, word):
    """One line that says what the file is; exit code 3."""
    (shop.directory / name).write_bytes(content)
    (shop.directory / "mnt").mkdir()
    done = mounts.run(shop.directory / name, shop.directory / "mnt")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1 and word in done.stderr, done.stderr


def test_symbolic_links_inside_the_source_are_followed(shop, fixture_copy):
    """An index and a shard that are links to files of the source make a checkpoint."""
    source = fixture_copy("v2_tf1_adam", to="source/real").parent
    for end in (".index", ".data-00000-of-00001"):
        (source / ("alias" + end)).symlink_to("real/model.ckpt-5" + end)
    mount = shop.mount(source, "ro")
    assert tree.read(mount / "alias/dense/kernel") == tree.read(mount / "real/model.ckpt-5/dense/kernel")


def test_symbolic_links_out_of_the_source_are_not_followed(shop, fixture_copy):
    """A shard that is a link to a file outside gives no bytes of it."""
    outside = fixture_copy("v2_tf1_adam")
    source = shop.directory / "source"
    source.mkdir()
    (source / "x.index").write_bytes((outside / "model.ckpt-5.index").read_bytes())
    (source / "x.data-00000-of-00001").symlink_to(outside / "model.ckpt-5.data-00000-of-00001")
    mount = shop.mount(source, "ro")
    assert tree.error_of(tree.read, mount / "x/dense/kernel") is not None
    assert mount.alive()


def test_a_mount_of_one_checkpoint_can_be_listed_twice(shop):
    """ls of a single-checkpoint mount twice, and of a file as a directory."""
    mount = shop.mount(ADAM / "model.ckpt-5", "ro")
    first = subprocess.run(["ls", "-la", mount.point], stdout=subprocess.PIPE, check=True).stdout
    again = subprocess.run(["ls", "-la", mount.point], stdout=subprocess.PIPE, check=True).stdout
    assert first == again


@pytest.mark.sanitized
@pytest.mark.parametrize("option", ["ro", "rw"])
def test_a_working_directory_in_the_mount_stays_one(shop, fixture_copy, option):
    """cd into a checkpoint right after the mount, and pwd, ls and cd .. go on working."""
    mount = shop.mount(fixture_copy("v2_tf1_adam"), option)
    script = "for i in 1 2 3 4 5 6 7 8; do /bin/pwd; ls . >/dev/null; sleep 0.1; done; cd ..; /bin/pwd"
    done = subprocess.run(["sh", "-c", script], cwd=mount / "model.ckpt-5", check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    here = str(mount / "model.ckpt-5")
    assert done.stdout.split() == [here] * 8 + [str(mount.point)] and not done.stderr, done
