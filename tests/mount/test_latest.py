"""DESIGN 2.10: `latest` is what the state file names."""
import os

import pytest

import tree


@pytest.mark.parametrize("fixture", ["v2_tf1_adam", "v2_tf1_adam_abs"])
def test_latest_follows_relative_and_stale_absolute_state(shop, fixture_copy, fixture):
    """The last component counts, whatever directory it once was in."""
    mount = shop.mount(fixture_copy(fixture), "ro")
    assert os.readlink(mount / "latest") == "model.ckpt-5"
    assert tree.read(mount / "latest/dense/kernel") == tree.read(mount / "model.ckpt-5/dense/kernel")
    assert "latest" in os.listdir(mount.point)


def test_latest_follows_a_changed_state_file(adam):
    """A training job rewrites the state file beside the mount."""
    source, mount = adam
    assert os.readlink(mount / "latest") == "model.ckpt-5"
    state = (source / "checkpoint").read_text().replace(
        'model_checkpoint_path: "model.ckpt-5"', 'model_checkpoint_path: "model.ckpt-4"', 1)
    (source / "checkpoint.tmp").write_text(state)
    (source / "checkpoint.tmp").rename(source / "checkpoint")
    from mounts import wait_until
    assert wait_until(lambda: os.readlink(mount / "latest") == "model.ckpt-4", 1.5)


def test_no_latest_without_a_target(shop, fixture_copy):
    """No state file, or one that names no checkpoint here: no link."""
    source = fixture_copy("v2_tf1_adam")
    (source / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-99"\n')
    mount = shop.mount(source, "ro")
    assert "latest" not in os.listdir(mount.point)
    assert tree.error_of(os.lstat, mount / "latest") == "ENOENT"


def test_a_real_file_called_latest_wins(shop, fixture_copy):
    """Then `latest` is that file."""
    source = fixture_copy("v2_tf1_adam")
    (source / "latest").write_text("mine")
    mount = shop.mount(source, "ro")
    assert tree.read(mount / "latest") == b"mine"
    assert os.listdir(mount.point).count("latest") == 1


def test_a_checkpoint_called_latest_wins(shop, fixture_copy):
    """Then `latest` is that checkpoint's directory."""
    source = fixture_copy("v2_tf1_adam")
    for end in (".index", ".data-00000-of-00001"):
        (source / ("latest" + end)).write_bytes((source / ("model.ckpt-3" + end)).read_bytes())
    mount = shop.mount(source, "ro")
    assert not os.path.islink(mount / "latest")
    assert tree.read(mount / "latest/dense/kernel") == tree.read(mount / "model.ckpt-3/dense/kernel")
