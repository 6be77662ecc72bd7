"""What is removed is in no program's way: no edge, no key, no slot is left of it."""
import pytest

import object_walks
from jobs import array, run
from programs import Same, blank

NET = {"dense": {"kernel": array(1, 3, 2), "bias": array(2, 2)}, "gone": array(3, 4)}


def test_a_variable(saved_program, judge):
    """assert_consumed() of a program that never had it, whose slots went too."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/gone", "net/dense/bias"])
    run(at / "net", "rm gone")
    mount.unmount()
    want = {"net": {"dense": NET["dense"]}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed", ["net/dense/bias"])
    assert found == {k: v for k, v in values.items() if not k.startswith("net/gone")}
    object_walks.check(judge, prefix)


def test_a_variable_and_all_that_belongs_to_it(saved_program, judge):
    """`rm -r kernel*`: value, sidecars, slots; no error."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel", "net/gone"])
    run(at / "net/dense", "rm -r kernel*")
    mount.unmount()
    want = {"net": {"dense": {"bias": NET["dense"]["bias"]}, "gone": NET["gone"]}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed", ["net/gone"])
    assert found == {k: v for k, v in values.items() if not k.startswith("net/dense/kernel")}
    object_walks.check(judge, prefix)


def test_a_layer(saved_program, judge):
    """`rm -r dense`."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel", "net/gone"])
    run(at / "net", "rm -r dense")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {"gone": NET["gone"]}}),
                                  "assert_consumed", ["net/gone"])
    assert found == {k: v for k, v in values.items() if not k.startswith("net/dense")}
    object_walks.check(judge, prefix)


def test_an_optimizer_with_slots(saved_program, judge):
    """`rm -r optimizer`: a program without one asserts; no slot is left."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel", "net/gone"])
    run(at, "rm -r optimizer")
    mount.unmount()
    assert judge.program_restore(prefix, blank({"net": NET}), "assert_consumed") == {
        k: v for k, v in values.items() if ":" not in k}
    nodes, _ = object_walks.check(judge, prefix)
    assert not any(n["slots"] for n in nodes)


def test_one_slot(saved_program, judge):
    """`rm kernel.d/slots/optimizer/m`: the other is restored."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel"])
    run(at / "net/dense", "rm kernel.d/slots/optimizer/m")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    assert [name for n in nodes for _, name, _ in n["slots"]] == ["v"]
    assert keys["net/dense/kernel/.OPTIMIZER_SLOT/optimizer/v/.ATTRIBUTES/VARIABLE_VALUE"] == (
        values["net/dense/kernel:v"])


def test_an_optimizer_of_keras(shop, fixture_copy, judge):
    """The weights' keys lead through the optimizer; they stay when it goes."""
    source = fixture_copy("v2_tf2_keras3")
    told = judge.program_keras_weights(source / "k-1", "assert_existing_objects_matched")
    mount = shop.mount(source)
    run(mount / "k-1", "rm -r optimizer")
    mount.unmount()
    assert judge.program_keras_weights(source / "k-1", "assert_existing_objects_matched") == told
    nodes, keys = object_walks.check(judge, source / "k-1")
    assert not any(k.startswith("optimizer/") for k in keys)
    assert len(keys) >= 4


SHARED = {"a": {"w": array(1, 3), "own": array(2, 2)}, "b": {"w": Same("a/w"), "own": array(3, 2)}}


@pytest.mark.parametrize("how", ["rm -r a", "rm a/w; rm -r a/own*; rmdir a", "rm -r a/w* a/own*; rmdir a",
                                 "mv a/w a/w~; rm -r a"])
def test_one_owner_of_a_shared_variable(saved_program, judge, how):
    """Its slots stood beside the name that went, and are those of the other one."""
    prefix, at, values, mount = saved_program(SHARED, ["a/w", "a/own", "b/own"])
    run(at, how, "test -f b/w.d/slots/optimizer/m")
    mount.unmount()
    want = {"b": {"w": SHARED["a"]["w"], "own": SHARED["b"]["own"]}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed", ["b/w", "b/own"])
    assert found == {k.replace("a/w", "b/w"): v for k, v in values.items()
                     if not k.startswith("a/own")}
    object_walks.check(judge, prefix)


def test_both_owners_of_a_shared_variable(saved_program, judge):
    """In one directory, whose names `rm -r` has listed before slots could go elsewhere."""
    program = {"top": {"w": array(1, 3), "z": Same("top/w"), "deep": {"w": Same("top/w")}},
               "own": array(3, 2)}
    prefix, at, values, mount = saved_program(program, ["top/w", "own"])
    run(at, "rm -r top")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"own": array(3, 2)}), "assert_consumed", ["own"])
    assert found == {k: v for k, v in values.items() if not k.startswith("top")}
    object_walks.check(judge, prefix)


@pytest.mark.parametrize("how", ["install -m 644 ../../w a/w", "mv a/w a/w~; cp ../../w a/w; rm a/w~"])
def test_slots_come_back_with_a_name(saved_program, judge, how):
    """As `install` and editors make a file anew: the first of two names has them again."""
    prefix, at, values, mount = saved_program(SHARED, ["a/w", "a/own", "b/own"])
    run(at, "cp a/w ../../w", how, "test -f a/w.d/slots/optimizer/m",
        "test -z \"$(ls b | grep -Fx w.d)\"")
    mount.unmount()
    assert judge.program_restore(prefix, blank(SHARED), "assert_consumed",
                                 ["a/w", "a/own", "b/own"]) == values


@pytest.mark.parametrize("pause", ["true", "sleep 1.2"])
def test_a_variable_and_then_one_below_it(saved_program, judge, pause):
    """When the first one has gone, the second one's name is still on its way."""
    program = {"net": {"w": array(1, 3), "v": array(2, 2), "u": array(3, 2)}}
    prefix, at, values, mount = saved_program(program, ["net/w", "net/v", "net/u"])
    run(at, "mv net/v net/u net/w.d/", "sync .", "rm net/w", pause, "rm net/w.d/v", "sleep 1.2",
        "test -f net/w.d/u")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    paths, _ = object_walks.by_path(nodes, keys)
    assert {k: v for k, v in paths.items() if k[0] == "net" and v} == {
        ("net", "w", "u"): values["net/u"]}
    assert not [k for k in keys if k.startswith(("net/w/v", "net/v"))]


def test_an_item_of_a_list(saved_program, judge):
    """`rm v/1` leaves 0 and 2: nothing is numbered anew."""
    program = {"v": [array(i, 2) for i in range(3)]}
    prefix, at, values, mount = saved_program(program)
    run(at, "rm v/1")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    paths, _ = object_walks.by_path(nodes, keys)
    assert {k: v for k, v in paths.items() if k[0] == "v" and v} == {
        ("v", "0"): values["v/0"], ("v", "2"): values["v/2"]}
    found = judge.program_restore(prefix, {"v": {"0": array(7, 2), "2": array(8, 2)}},
                                  "assert_consumed")
    assert found == {"v/0": values["v/0"], "v/2": values["v/2"]}


def test_and_made_again(saved_program, judge):
    """rm, then cp to the name: the object is what it was, with slots and full name."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/gone"])
    before = judge.load(prefix)
    run(at / "net", "cp --preserve=xattr gone /dev/shm/$$", "rm gone",
        "cp --preserve=xattr /dev/shm/$$ gone || exit 1", "rm /dev/shm/$$")
    mount.unmount()
    assert {k: v for k, v in judge.load(prefix).items()} == before
    object_walks.check(judge, prefix)
    assert judge.program_restore(prefix, blank({"net": NET}), "assert_consumed",
                                 ["net/gone"]) == values


ODD = {"table": "table", "iterator": "iterator", "py": "py"}


@pytest.fixture
def odd(shop, fixture_copy, judge):
    """The fixture with a table, an iterator and Python state, and what a program gets of it."""
    source = fixture_copy("v2_tf2_odd_objects")
    told = judge.program_odd_objects(source / "ckpt-1", ODD, "assert_existing_objects_matched")
    assert told["table"] and told["iterator"] != [0, 1] and told["py"]
    return source, told, shop.mount(source)


def test_owners_of_tables_and_iterators_are_renamed(odd, judge):
    """Their keys are not files of the graph, and follow."""
    source, told, mount = odd
    run(mount / "ckpt-1", "mv m/table m/words", "mv iterator batches", "mv py state")
    mount.unmount()
    assert judge.program_odd_objects(
        source / "ckpt-1", {"table": "words", "iterator": "batches", "py": "state"},
        "assert_existing_objects_matched") == told
    _, keys = object_walks.check(judge, source / "ckpt-1")
    assert {"m/words/.ATTRIBUTES/table-keys", "m/words/.ATTRIBUTES/table-values",
            "batches/.ATTRIBUTES/ITERATOR_STATE", "state/.ATTRIBUTES/py_state"} <= set(keys)


def test_what_they_stand_in_is_renamed(odd, judge):
    """`mv m n`."""
    source, _, mount = odd
    run(mount / "ckpt-1", "mv m n")
    mount.unmount()
    _, keys = object_walks.check(judge, source / "ckpt-1")
    assert "n/table/.ATTRIBUTES/table-keys" in keys and "n/d//.ATTRIBUTES/VARIABLE_VALUE" in keys
    assert not any(k.startswith("m/") for k in keys)


@pytest.mark.parametrize("what, path", [("table", "m/table"), ("iterator", "iterator"),
                                        ("py", "py")])
def test_owners_of_tables_and_iterators_are_removed(odd, judge, what, path):
    """`rm -r` of the object takes the keys along."""
    source, told, mount = odd
    run(mount / "ckpt-1", "rm -r " + path)
    mount.unmount()
    rest = {k: v for k, v in ODD.items() if k != what}
    found = judge.program_odd_objects(source / "ckpt-1", rest, "assert_existing_objects_matched")
    assert all(found[k] == told[k] for k in rest)
    _, keys = object_walks.check(judge, source / "ckpt-1")
    assert not any(k.startswith(path + "/") for k in keys)


def test_what_a_variable_left_is_copied(saved_program, judge):
    """`rm bias; cp -r dense new`: its slots are there for a second, and make no variable."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel", "net/dense/bias"])
    run(at / "net", "rm dense/bias", "cp -r dense new")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    paths, _ = object_walks.by_path(nodes, keys)
    assert {p for p in paths if p[:2] in (("net", "new"), ("net", "dense"))} == {
        ("net", x, *y) for x in ("new", "dense") for y in ((), ("kernel",))}


def test_a_layer_whose_links_are_left(saved_program, judge):
    """`rm -r dense` where a link leads to it: that dangles, and cp and ls print no error."""
    prefix, at, values, mount = saved_program({"net": NET, "ema": {"dense": Same("net/dense")}})
    run(at, "rm -r net/dense", "ls -lR . > /dev/null", "cp -a ema ema2", "sleep 1.2",
        "ls -lR . > /dev/null", "test $(readlink ema/dense) = ../net/dense")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    assert {k for k in keys if "dense" in k} == set()


def test_at_once_before_a_clone(saved_program, judge):
    """`rm -r dense; cp -r ckpt clone`: the graph that was copied still had the layer."""
    prefix, at, values, mount = saved_program({"net": NET}, ["net/dense/kernel", "net/gone"])
    run(at / "..", "rm -r ckpt/net/dense", "cp -r ckpt clone")
    mount.unmount()
    for one in (prefix, prefix.parent / "clone"):
        found = judge.program_restore(one, blank({"net": {"gone": NET["gone"]}}),
                                      "assert_consumed", ["net/gone"])
        assert found == {k: v for k, v in values.items() if not k.startswith("net/dense")}
        object_walks.check(judge, one)


@pytest.mark.parametrize("pause", ["true", "sleep 1.5"])
@pytest.mark.parametrize("how", ["mv new dense", "cp -r new dense", "mkdir dense; mv -T new dense"])
def test_and_replaced(saved_program, judge, how, pause):
    """`rm -r dense; mv new dense`: links to it lead to the new one, in the mount and on disk."""
    new = {"kernel": array(7, 5, 2), "bias": array(8, 2)}
    program = {"net": {**NET, "new": new}, "ema": {"dense": Same("net/dense")}}
    prefix, at, values, mount = saved_program(program)
    run(at / "net", "rm -r dense", pause, how, "cmp dense/kernel ../ema/dense/kernel")
    mount.unmount()
    nodes, keys = object_walks.check(judge, prefix)
    paths, _ = object_walks.by_path(nodes, keys)
    assert nodes[0]["edges"].keys() >= {"net", "ema"}
    for name in ("kernel", "bias"):
        assert paths["ema", "dense", name] == paths["net", "dense", name] == values["net/new/" + name]
