"""A layer copied from one step into another with cp -r."""
import os

import pytest

import disk
import tree
from writing import accepted, sh, wait_for


def layer(source, prefix):
    return {k: v for k, v in disk.Snapshot(source / prefix).values.items()
            if k.startswith(b"dense/")}


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["-r", "-a", "-rp"])
def test_cp_of_a_layer_into_another_step(adam, shop, judge, options):
    """Values, sidecars with equal content, and Adam's slots; cp prints nothing."""
    source, mount = adam
    before, wanted = disk.Snapshot(source / "model.ckpt-3"), layer(source, "model.ckpt-5")
    assert len(wanted) == 6
    command = "cp %s model.ckpt-5/dense model.ckpt-3/" % options
    assert sh(command, mount.point) == (0, "")
    assert sh("diff -r model.ckpt-5/dense model.ckpt-3/dense", mount.point) == (0, "")
    mount.unmount()
    accepted(judge, source, before, wanted, "model.ckpt-3")
    again = shop.mount(source)
    assert sh("diff -r model.ckpt-5/dense model.ckpt-3/dense", again.point) == (0, "")


def test_a_layer_comes_from_another_mount(shop, fixture_copy, judge):
    """From a read-only mount of another directory."""
    fixture_copy("v2_tf1_adam_abs")
    source = fixture_copy("v2_tf1_adam")
    one, two = shop.mount(shop.directory / "v2_tf1_adam_abs", "ro"), shop.mount(source)
    before = disk.Snapshot(source / "model.ckpt-3")
    wanted = layer(shop.directory / "v2_tf1_adam_abs", "model.ckpt-5")
    assert sh("cp -r %s/latest/dense model.ckpt-3/" % one.point, two.point) == (0, "")
    two.unmount()
    accepted(judge, source, before, wanted, "model.ckpt-3")


def test_a_layer_goes_out_to_a_disk_and_comes_back(adam, shop, judge):
    """cp -r out, changed there, cp -r back."""
    source, mount = adam
    before = disk.Snapshot(source / "model.ckpt-3")
    assert sh("cp -r model.ckpt-5/dense %s/out" % shop.directory, mount.point) == (0, "")
    (shop.directory / "out/bias").write_bytes(b"\7" * 16)
    assert sh("cp -r %s/out/. model.ckpt-3/dense/" % shop.directory, mount.point) == (0, "")
    wanted = dict(layer(source, "model.ckpt-5"), **{})
    wanted[b"dense/bias"] = b"\7" * 16
    mount.unmount()
    accepted(judge, source, before, wanted, "model.ckpt-3")


def test_one_value_copied_over_itself_stands(adam, judge):
    """cp of a value from one step over another's, by copy_file_range or not."""
    source, mount = adam
    before = disk.Snapshot(source / "model.ckpt-3")
    wanted = disk.Snapshot(source / "model.ckpt-5").values[b"dense/kernel"]
    a = os.open(mount / "model.ckpt-5/dense/kernel", os.O_RDONLY)
    b = os.open(mount / "model.ckpt-3/dense/kernel", os.O_WRONLY | os.O_TRUNC)
    try:
        os.copy_file_range(a, b, 96)
    except OSError:
        os.write(b, wanted)
    os.close(a)
    os.close(b)
    assert tree.read(mount / "model.ckpt-3/dense/kernel") == wanted
    wait_for(source, b"dense/kernel", wanted, "model.ckpt-3")
    mount.unmount()
    accepted(judge, source, before, {b"dense/kernel": wanted}, "model.ckpt-3")
