"""Programs whose attributes were renamed restore what `mv` renamed."""
import numpy as np

import jobs
import object_walks
import sstable
from fixtures import GRAPH_KEY
from jobs import array, run
from programs import Same, blank

DENSE = {"kernel": array(1, 3, 2), "bias": array(2, 2)}


def places(prefix):
    """Where the bytes of all variables lie."""
    entries = sstable.Bundle(str(prefix)).entries
    return {k: (e.shard, e.offset, e.size)
            for k, e in entries.items() if k != GRAPH_KEY}


def renamed(values, old, new):
    return {new + k[len(old):] if (k + "/").startswith((old + "/", old + ":")) or k == old else k: v
            for k, v in values.items()}


def test_an_attribute_of_a_module(saved_program, judge):
    """`mv old new`: assert_consumed() holds, slots and all, and no byte has moved."""
    net = {"old": dict(DENSE), "out": {"kernel": array(3, 2, 5)}}
    slots = ["net/old/kernel", "net/old/bias", "net/out/kernel"]
    prefix, at, values, mount = saved_program({"net": net}, slots)
    before = places(prefix)
    run(at / "net", "mv old new")
    mount.unmount()
    want = {"net": {"new": net["old"], "out": net["out"]}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed",
                                  [s.replace("old", "new") for s in slots])
    assert found == renamed(values, "net/old", "net/new")
    object_walks.check(judge, prefix)
    assert places(prefix) == {k.replace(b"net/old", b"net/new"): v for k, v in before.items()}


def test_a_variable_takes_its_slots_along(saved_program, judge):
    """`mv kernel* elsewhere/` moves the slots with the variable and prints no error."""
    net = {"dense": dict(DENSE), "other": {"scale": array(4, 2)}}
    prefix, at, values, mount = saved_program({"net": net}, ["net/dense/kernel", "net/dense/bias"])
    run(at / "net", "mv dense/kernel* other/")
    assert sorted(x.name for x in (at / "net/other/kernel.d/slots/optimizer").iterdir()
                  if "." not in x.name) == ["m", "v"]
    mount.unmount()
    want = {"net": {"dense": {"bias": DENSE["bias"]},
                    "other": {"scale": array(4, 2), "kernel": DENSE["kernel"]}}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed",
                                  ["net/other/kernel", "net/dense/bias"])
    assert found == renamed(values, "net/dense/kernel", "net/other/kernel")
    object_walks.check(judge, prefix)


def test_into_new_scopes(saved_program, judge):
    """mkdir -p, and the layer in it."""
    prefix, at, values, mount = saved_program({"net": {"dense": dict(DENSE)}}, ["net/dense/kernel"])
    run(at, "mkdir -p models/first", "mv net/dense models/first/dense")
    mount.unmount()
    want = {"net": {}, "models": {"first": {"dense": dict(DENSE)}}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed",
                                  ["models/first/dense/kernel"])
    assert found == renamed(values, "net/dense", "models/first/dense")
    object_walks.check(judge, prefix)


def test_two_layers_trade_places(saved_program, judge):
    """RENAME_EXCHANGE of two scopes, and of two variables with slots."""
    net = {"one": dict(DENSE), "two": {"kernel": array(7, 4, 4), "bias": array(8, 4)}}
    slots = ["net/one/kernel", "net/one/bias", "net/two/kernel"]
    prefix, at, values, mount = saved_program({"net": net}, slots)
    jobs.exchange(at / "net/one", at / "net/two")
    mount.unmount()
    want = {"net": {"one": net["two"], "two": net["one"]}}
    turned = {"one": "two", "two": "one"}
    found = judge.program_restore(
        prefix, blank(want), "assert_consumed",
        ["net/two/kernel", "net/two/bias", "net/one/kernel"])
    assert found == {"net/" + turned[k[4:7]] + k[7:]: v for k, v in values.items()}
    object_walks.check(judge, prefix)


def test_two_variables_trade_places(saved_program, judge):
    """Their slots go with them."""
    net = {"a": array(1, 3), "b": array(2, 5, 2)}
    prefix, at, values, mount = saved_program({"net": net}, ["net/a", "net/b"])
    jobs.exchange(at / "net/a", at / "net/b")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {"a": net["b"], "b": net["a"]}}),
                                  "assert_consumed", ["net/a", "net/b"])
    turned = str.maketrans("ab", "ba")
    assert found == {k[:4] + k[4].translate(turned) + k[5:]: v for k, v in values.items()}
    object_walks.check(judge, prefix)


def test_a_shared_layer(saved_program, judge):
    """A directory here, a link there; either name can change."""
    program = {"first": {"layer": dict(DENSE)}, "second": {"again": Same("first/layer"),
                                                           "own": array(9, 2)}}
    prefix, at, values, mount = saved_program(program)
    run(at, "mv second/again second/shared")
    run(at, "mv first/layer first/moved")
    mount.unmount()
    want = {"first": {"moved": dict(DENSE)},
            "second": {"shared": Same("first/moved"), "own": array(9, 2)}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed")
    assert found == renamed(values, "first/layer", "first/moved")
    object_walks.check(judge, prefix)


def test_one_name_of_a_shared_layer_is_removed(saved_program, judge):
    """`rm link`: the layer stays, at its other name."""
    program = {"first": {"layer": dict(DENSE)}, "second": {"again": Same("first/layer"),
                                                           "own": array(9, 2)}}
    prefix, at, values, mount = saved_program(program)
    run(at, "rm second/again")
    mount.unmount()
    want = {"first": {"layer": dict(DENSE)}, "second": {"own": array(9, 2)}}
    assert judge.program_restore(prefix, blank(want), "assert_consumed") == values
    nodes, found = object_walks.check(judge, prefix)
    assert ("second", "again") not in object_walks.by_path(nodes, found)[0]


def test_a_shared_variable(saved_program, judge):
    """Two names of one file: one changes, the other goes, the key follows the rest."""
    program = {"a": {"w": array(1, 4)}, "b": {"w": Same("a/w"), "own": array(2, 2)}}
    prefix, at, values, mount = saved_program(program)
    run(at, "mv b/w b/weight", "rm a/w")
    mount.unmount()
    want = {"a": {}, "b": {"weight": array(1, 4), "own": array(2, 2)}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed")
    assert found == {"b/weight": values["a/w"], "b/own": values["b/own"]}
    object_walks.check(judge, prefix)


def test_odd_names(saved_program, judge):
    """Dots and what needs percent signs, in keys as TensorFlow escapes them."""
    prefix, at, values, mount = saved_program({"net": {"w": array(1, 2), "v": array(2, 3)}})
    run(at / "net", "mv w a.b", "mv v 'x%2Fy'")
    mount.unmount()
    found = judge.program_restore(
        prefix, blank({"net": {"a.b": array(1, 2), "x/y": array(2, 3)}}), "assert_consumed")
    assert found == {"net/a.b": values["net/w"], "net/x/y": values["net/v"]}
    nodes, keys = object_walks.check(judge, prefix)
    assert "net/a..b/.ATTRIBUTES/VARIABLE_VALUE" in keys
    assert "net/x.Sy/.ATTRIBUTES/VARIABLE_VALUE" in keys


def test_there_and_back_gives_the_same_graph(saved_program, judge):
    """All that a session did and undid leaves no trace in the graph."""
    prefix, at, _, mount = saved_program({"net": {"dense": dict(DENSE)}}, ["net/dense/kernel"])
    before = judge.load(prefix)
    run(at, "mv net/dense net/x", "mv net/x net/dense", "mv optimizer o", "mv o optimizer")
    mount.unmount()
    assert judge.load(prefix) == before


def test_a_partitioned_variable(shop, fixture_copy, judge):
    """Its slices follow."""
    source = fixture_copy("v2_tf2_max_shard")
    before = judge.load(source / "ckpt-1")
    mount = shop.mount(source)
    run(mount / "ckpt-1", "mv m/big m/huge", "mv m n")
    mount.unmount()
    def now(key):
        return key.replace(b"m/big/", b"m/huge/").replace(b"m/", b"n/", 1)
    after = judge.load(source / "ckpt-1")
    graph = GRAPH_KEY
    assert {k: v for k, v in after.items() if k != graph} == {
        now(k): v for k, v in before.items() if k != graph}
    object_walks.check(judge, source / "ckpt-1")
    restored = judge.checkpoint_restore(source / "ckpt-1")
    assert restored[b"n/huge/.ATTRIBUTES/VARIABLE_VALUE"] == before[
        b"m/big/.ATTRIBUTES/VARIABLE_VALUE"]


def test_of_keras(shop, fixture_copy, judge):
    """`mv model net`: a model of Keras is found under its new name."""
    source = fixture_copy("v2_tf2_keras3")
    told = judge.program_keras_weights(source / "k-1", "assert_existing_objects_matched")
    mount = shop.mount(source)
    run(mount / "k-1", "mv model other", "mv other model")
    mount.unmount()
    assert judge.program_keras_weights(source / "k-1", "assert_existing_objects_matched") == told
    object_walks.check(judge, source / "k-1")
    assert all(np.frombuffer(w[2], "f4").any() for w in told["first"][:1])


def test_a_link_to_a_layer_whose_name_another_has_now(saved_program, judge):
    """With the layer it led to its edge goes, whatever stands where that was when it was made."""
    net = {"one": dict(DENSE), "two": {"kernel": array(7, 4, 4)}}
    prefix, at, _, mount = saved_program({"net": net, "ema": {"own": array(9, 2)}})
    run(at, "ln -s ../net/one ema/one", "mv net/one net/old", "mv net/two net/one")
    run(at, "rm -r net/old", "test \"$(readlink ema/one)\" = ../net/old", "sync .")
    mount.unmount()
    nodes, values = object_walks.check(judge, prefix)
    paths, _ = object_walks.by_path(nodes, values)
    assert ("net", "one", "kernel") in paths
    assert ("ema", "one", "kernel") not in paths
