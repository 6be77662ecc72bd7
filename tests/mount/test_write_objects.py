"""Values of object-based checkpoints and SavedModels can be replaced."""
import os

import disk
import jobs
import tree

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def test_a_variable_of_a_checkpoint_manager(shop, fixture_copy, judge):
    """The program that wrote it restores the new kernel, slots and all, and asserts."""
    source = fixture_copy("v2_tf2_manager")
    prefix = source / "ckpt-3"
    before, told = disk.Snapshot(prefix), judge.manager_restore(prefix)
    mount = shop.mount(source)
    tree.write(mount / "ckpt-3/model/dense/kernel", b"\x11" * 96)
    tree.write(mount / "ckpt-3/model/dense/kernel.d/slots/optimizer/m", b"\x22" * 96)
    mount.unmount()
    disk.assert_only_changed(before, disk.Snapshot(prefix), {
        b"model/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE": b"\x11" * 96,
        b"model/dense/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE": b"\x22" * 96})
    told.update({"kernel": b"\x11" * 96, "kernel/m": b"\x22" * 96})
    assert judge.manager_restore(prefix) == told
    restored = judge.checkpoint_restore(prefix)
    after = judge.load(prefix)
    assert all(after[k] == v for k, v in restored.items())


def test_a_layer_of_a_keras_model(shop, fixture_copy, judge):
    """Written below model/, read by Keras: one layer new, the other as it was."""
    source = fixture_copy("v2_tf2_keras3")
    told = judge.keras_restore(source / "k-1")
    mount = shop.mount(source)
    kernels = {}
    for root, _, files in os.walk(mount / "k-1" / "model"):
        for name in files:
            if name.endswith(".shape") and tree.read(os.path.join(root, name)) == b"[3, 4]\n":
                kernels[os.path.join(root, name[:-6])] = None
    tree.write(next(iter(kernels)), b"\x33" * 48)
    assert all(tree.read(k) == b"\x33" * 48 for k in kernels)
    mount.unmount()
    after = judge.keras_restore(source / "k-1")
    assert after["first"] == (b"\x33" * 48, told["first"][1])
    assert after["out.put"] == told["out.put"]


def test_a_variable_with_two_edges_changes_under_both(shop, fixture_copy):
    """shared1 and shared2 are one variable."""
    source = fixture_copy("v2_tf2_odd_objects")
    mount = shop.mount(source)
    tree.write(mount / "ckpt-1/m/shared2", b"\x44" * 8)
    assert tree.read(mount / "ckpt-1/m/shared1") == b"\x44" * 8
    mount.unmount()
    again = shop.mount(source)
    assert tree.read(again / "ckpt-1/m/shared1") == b"\x44" * 8


def test_a_saved_model(shop, fixture_copy, judge):
    """tf.saved_model.load computes with the new weights."""
    source = fixture_copy("savedmodel_tf2")
    before = disk.Snapshot(source / "variables/variables")
    mount = shop.mount(source)
    tree.write(mount / "variables/variables/b", bytes(8))
    tree.write(mount / "variables/variables/w", b"\0\0\x80\x3f" * 6)
    mount.unmount()
    disk.assert_only_changed(before, disk.Snapshot(source / "variables/variables"), {
        b"b" + VALUE.encode(): bytes(8), b"w" + VALUE.encode(): b"\0\0\x80\x3f" * 6})
    told = judge.saved_model(source, ["w", "b", "const"])
    assert told["answer"] == [[3.0, 3.0]] and told["const"][2] == [b"tag"]


def test_a_tf1_saved_model(shop, fixture_copy, judge):
    """Its checkpoint has names for keys."""
    source = fixture_copy("savedmodel_tf1")
    mount = shop.mount(source)
    tree.write(mount / "variables/variables/dense/kernel", b"\x55" * 24)
    mount.unmount()
    assert judge.load(source / "variables/variables")[b"dense/kernel"][2] == b"\x55" * 24


def test_what_stands_below_a_variable_stays_when_that_goes(shop, fixture_copy, judge):
    """rm kernel: kernel.d/x is a variable of its own, and keeps its place."""
    source = fixture_copy("v2_tf2_manager")
    mount = shop.mount(source)
    model = mount / "ckpt-3/model"
    content = tree.read(model / "layers/0/v")
    tree.write(model / "layers/1/v", b"\x55" * 8)
    assert jobs.cp(model / "layers/0/v", model / "dense/kernel.d/x") == (0, "")
    jobs.fsync(model)
    os.unlink(model / "dense/kernel")
    mount.unmount()
    again = shop.mount(source, "ro")
    assert tree.read(again / "ckpt-3/model/dense/kernel/x") == content
    found = judge.checkpoint_restore(source / "ckpt-3")
    assert found[("model/dense/kernel/x" + VALUE).encode()][2] == content
    assert ("model/dense/kernel" + VALUE).encode() not in judge.load(source / "ckpt-3")


def test_a_removed_variable_does_not_come_back_as_a_directory(shop, fixture_copy, judge):
    """rm step, mkdir step: the value is gone, and the directory takes others."""
    source = fixture_copy("v2_tf2_manager")
    mount = shop.mount(source)
    os.unlink(mount / "ckpt-3/step")
    os.mkdir(mount / "ckpt-3/step")
    assert jobs.cp(mount / "ckpt-3/model/layers/0/v", mount / "ckpt-3/step/v") == (0, "")
    mount.unmount()
    found = judge.load(source / "ckpt-3")
    assert ("step" + VALUE).encode() not in found
    assert ("step/v" + VALUE).encode() in found
    assert ("step/v" + VALUE).encode() in judge.checkpoint_restore(source / "ckpt-3")
