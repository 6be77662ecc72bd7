"""Whenever a daemon is killed, keys, graph and slots on disk are of one moment."""
import os
import time

import pytest

import fixtures
import object_model
import object_walks
from jobs import array, fsync, run
from programs import blank
from test_objects_walk import PROGRAM, SLOTS


def test_killed_in_the_middle(saved_program, shop, judge, dice, long):
    """No key without an object, no object without a key."""
    prefix, at, _, mount = saved_program(PROGRAM, SLOTS)
    for turn in range(30 if long else 5):
        steps = object_model.Steps(
            dice, object_model.from_graph(*judge.program_describe(prefix)), str(at),
            1000 * turn)
        steps.walk(dice.randrange(30))
        if dice.random() < 0.5:
            fsync(at)
            steps.walk(dice.randrange(10))
        mount.kill()
        mount.dispose()
        nodes, values = judge.program_describe(prefix)
        assert not object_walks.faults(nodes, values), steps.told()
        mount = shop.mount(prefix.parent)
        at = mount / "ckpt"


def test_fsync_of_a_directory_brings_names_to_disk(saved_program, judge):
    """mv, mkdir, cp and rm, then fsync, then kill -9."""
    net = {"dense": {"kernel": array(1, 3, 2), "bias": array(2, 2)}, "gone": array(3, 4)}
    prefix, at, values, mount = saved_program({"net": net}, ["net/dense/kernel", "net/gone"])
    run(at, "mkdir a", "mv net/dense a/b", "cp --preserve=xattr a/b/bias a/c", "rm -r net/gone*")
    fsync(at)
    mount.kill()
    mount.dispose()
    want = {"net": {}, "a": {"b": net["dense"], "c": net["dense"]["bias"]}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed", ["a/b/kernel"])
    assert found["a/c"] == found["a/b/bias"] == values["net/dense/bias"]
    assert found["a/b/kernel:m"] == values["net/dense/kernel:m"]
    object_walks.check(judge, prefix)


def test_abort_of_a_manual_commit(saved_program, shop, judge):
    """`echo abort`: the graph is that of the disk again; a later commit is right."""
    net = {"dense": {"kernel": array(1, 3, 2)}, "w": array(3, 4)}
    prefix, _, values, mount = saved_program({"net": net})
    mount.unmount()
    mount = shop.mount(prefix.parent, "commit=manual")
    before = judge.load(prefix)
    run(mount / "ckpt", "mv net/dense net/x", "rm net/w")
    run(mount.point, "echo abort > .weightfs/control")
    assert sorted(n for n in os.listdir(mount / "ckpt/net") if "." not in n) == ["dense", "w"]
    assert judge.load(prefix) == before
    run(mount / "ckpt", "mv net/dense net/y")
    run(mount.point, "echo commit > .weightfs/control")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {"y": net["dense"], "w": net["w"]}}),
                                  "assert_consumed")
    assert found == {k.replace("dense", "y"): v for k, v in values.items()}
    object_walks.check(judge, prefix)


def all_names(top):
    return {os.path.join(d, n) for d, below, files in os.walk(top) for n in below + files}


@pytest.mark.parametrize("name, scope", [("v2_tf2_manager-3", "model/dense"), ("v2_tf1_adam-5", "dense")])
def test_an_abort_leaves_no_directory(shop, fixture_copy, name, scope):
    """What was made, copied, emptied: the tree is that of before."""
    mount = shop.mount(fixture_copy(fixtures.directory_of(name)), "commit=manual")
    top = mount / fixtures.prefix_of(name)
    before = all_names(top)
    run(top, "mkdir -p made/deep", "cp -r %s copy" % scope, "mv %s away" % scope, "rm -r away",
        "echo abort > '%s'" % (mount / ".weightfs/control"))
    assert all_names(top) == before


@pytest.mark.parametrize("steps", [
    ["rm net/dense/kernel.d/slots/optimizer/m", "mv optimizer n"],
    ["rm net/dense/kernel.d/slots/optimizer/m", "mv net/dense/kernel net/x"],
    ["rm net/w", "mv net n"]])
def test_removed_and_renamed_at_once(saved_program, judge, steps):
    """What was removed stays in the graph for a second; its key follows, as the others do."""
    net = {"w": array(5, 3), "dense": {"kernel": array(1, 3, 2)}}
    prefix, at, _, mount = saved_program(
        {"net": net, "more": {"v%d" % i: array(i, 2) for i in range(4)}, "other": array(9, 3)},
        ["net/dense/kernel"])
    run(at, "mv more rest", *steps)
    for i in range(4):
        (at / "other").write_bytes(bytes([i]) * 12)
        os.unlink(at / ("rest/v%d" % i))
        time.sleep(0.35)
        assert not object_walks.faults(*judge.program_describe(prefix))
    mount.kill()
    mount.dispose()
