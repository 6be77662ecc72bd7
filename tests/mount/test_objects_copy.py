"""Programs restore what `cp` brought: layers, variables, from name-based checkpoints too."""
import numpy as np
import pytest

import object_walks
import tools
from jobs import array, packed, run
from programs import Same, blank


def dense(seed, rows, columns):
    return {"kernel": array(seed, rows, columns), "bias": array(seed + 1, columns)}


BACKBONE = {"conv1": dense(10, 9, 8), "conv2": dense(20, 8, 6), "scale": array(30, dtype="f8")}


@pytest.mark.parametrize("copy", ["cp -r", "cp -a", "rsync -aI"])
def test_a_backbone_for_another_head(saved_programs, judge, copy):
    """`cp -r backbone_layer`: ten classes here, three there; both programs restore."""
    pretrained = {"backbone_layer": BACKBONE, "head": dense(40, 6, 10)}
    fresh = {"backbone_layer": blank(BACKBONE), "head": dense(50, 6, 3)}
    source, mount, values = saved_programs(pretrained=(pretrained,), finetune=(fresh,))
    run(mount.point, "%s pretrained/backbone_layer finetune/" % copy)
    mount.unmount()
    found = judge.program_restore(source / "finetune", blank(fresh),
                                  "assert_existing_objects_matched")
    assert found == {**{k: v for k, v in values["pretrained"].items() if k.startswith("b")},
                     **{k: v for k, v in values["finetune"].items() if k.startswith("h")}}
    judge.program_restore(source / "finetune", blank(fresh), "assert_consumed")
    assert judge.program_restore(source / "pretrained", blank(pretrained),
                                 "assert_consumed") == values["pretrained"]
    for name in ("pretrained", "finetune"):
        object_walks.check(judge, source / name)


def test_a_backbone_where_there_was_none(saved_programs, judge):
    """Objects are made for directories, variables for files."""
    pretrained = {"backbone_layer": BACKBONE, "head": dense(40, 6, 10)}
    bare = {"head": dense(50, 6, 3)}
    source, mount, values = saved_programs(pretrained=(pretrained,), finetune=(bare,))
    run(mount.point, "cp -r pretrained/backbone_layer finetune/")
    mount.unmount()
    want = {"backbone_layer": blank(BACKBONE), "head": dense(60, 6, 3)}
    found = judge.program_restore(source / "finetune", want, "assert_consumed")
    assert found == {**{k: v for k, v in values["pretrained"].items() if k.startswith("b")},
                     **values["finetune"]}
    nodes, _ = object_walks.check(judge, source / "finetune")
    assert not any(a[1] for n in nodes for a in n["attributes"].values()
                   if a[0].startswith("backbone_layer"))


def test_with_slots(saved_programs, judge):
    """A variable's companion directory brings its slots along."""
    trained = {"net": {"dense": dense(10, 3, 2)}}
    other = {"net": {"head": dense(50, 6, 3)}}
    slots = ["net/dense/kernel", "net/dense/bias"]
    source, mount, values = saved_programs(trained=(trained, slots),
                                           other=(other, ["net/head/kernel"]))
    run(mount.point, "cp -r trained/net/dense other/net/")
    mount.unmount()
    want = blank({"net": {**trained["net"], **other["net"]}})
    found = judge.program_restore(source / "other", want, "assert_consumed",
                                  slots + ["net/head/kernel"])
    assert found == {**values["trained"], **values["other"]}
    object_walks.check(judge, source / "other")


def test_a_variable_that_a_program_has_gained(saved_program, judge):
    """`cp kernel* ` under a new name, and a program with both."""
    net = {"dense": dense(1, 3, 2)}
    prefix, at, values, mount = saved_program({"net": net}, ["net/dense/kernel"])
    run(at / "net/dense", "cp kernel.shape ema.shape", "cp kernel.dtype ema.dtype",
        "cp kernel ema")
    mount.unmount()
    want = {"net": {"dense": {**net["dense"], "ema": net["dense"]["kernel"]}}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed", ["net/dense/kernel"])
    assert found == {**values, "net/dense/ema": values["net/dense/kernel"]}
    object_walks.check(judge, prefix)


def test_a_variable_with_its_attributes(saved_program, judge):
    """`cp --preserve=xattr`: one file is enough."""
    net = {"w": array(1, 5, 2), "n": array(2, 3, dtype="i8")}
    prefix, at, values, mount = saved_program({"net": net})
    run(at / "net", "cp --preserve=xattr w w2", "cp --preserve=xattr n n2")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {**net, "w2": net["w"], "n2": net["n"]}}),
                                  "assert_consumed")
    assert found == {**values, "net/w2": values["net/w"], "net/n2": values["net/n"]}
    object_walks.check(judge, prefix)


def test_over_a_variable_that_is_there(saved_program, judge):
    """The object stays, and its slots and other names; value and shape are new."""
    net = {"w": array(1, 5, 2), "n": array(2, 3)}
    prefix, at, values, mount = saved_program({"net": net}, ["net/w"])
    run(at / "net", "cp n.shape w.shape", "cp n w")
    mount.unmount()
    _, keys = object_walks.check(judge, prefix)
    assert keys["net/w/.ATTRIBUTES/VARIABLE_VALUE"] == values["net/n"]
    assert judge.program_restore(prefix, blank({"net": {"w": net["n"], "n": net["n"]}}),
                                 "assert_existing_objects_matched") == {
        "net/w": values["net/n"], "net/n": values["net/n"]}


def test_a_layer_twice(saved_program, judge):
    """`cp -r` within one checkpoint."""
    prefix, at, values, mount = saved_program({"net": {"one": dense(1, 3, 2)}})
    run(at / "net", "cp -r one two")
    mount.unmount()
    want = {"net": {"one": dense(1, 3, 2), "two": dense(1, 3, 2)}}
    found = judge.program_restore(prefix, blank(want), "assert_consumed")
    assert found == {**values, **{k.replace("one", "two"): v for k, v in values.items()}}
    object_walks.check(judge, prefix)


def test_from_an_ordinary_disk(saved_program, shop, judge):
    """Out with cp -r, in again under another name."""
    prefix, at, values, mount = saved_program({"net": {"one": dense(1, 3, 2)}})
    out = shop.directory / "out"
    run(at, "cp -r net/one %s" % out, "cp -r %s net/back" % out, "rm -r net/one")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {"back": dense(1, 3, 2)}}),
                                  "assert_consumed")
    assert found == {k.replace("one", "back"): v for k, v in values.items()}
    object_walks.check(judge, prefix)


def test_a_name_based_layer_and_back(shop, judge):
    """What a TF1 Saver wrote, for a program with objects; and what that wrote, for a Saver."""
    source = shop.directory / "runs"
    source.mkdir()
    layer = dense(5, 4, 2)
    judge.saver_save(source / "v1style", {"dense/kernel": layer["kernel"],
                                          "dense/bias": layer["bias"]})
    judge.program_save(source / "objects", {"net": {"out": dense(9, 2, 2)}})
    mount = shop.mount(source)
    run(mount.point, "cp -r v1style/dense objects/net/", "cp -r objects/net/out v1style/")
    mount.unmount()
    want = {"net": {"out": dense(9, 2, 2), "dense": layer}}
    found = judge.program_restore(source / "objects", blank(want), "assert_consumed")
    assert found["net/dense/kernel"] == packed(layer["kernel"])
    object_walks.check(judge, source / "objects")
    made = {"dense/kernel": layer["kernel"], "dense/bias": layer["bias"],
            "out/kernel": want["net"]["out"]["kernel"], "out/bias": want["net"]["out"]["bias"]}
    wanted = {k: packed(v) for k, v in made.items()}
    assert judge.saver_restore(source / "v1style", {k: v[:2] for k, v in wanted.items()}) == {
        k.encode(): v for k, v in wanted.items()}


def test_strings(saved_program, judge):
    """Bytes as they are, lines as they are."""
    words = tools.LINES
    net = {"words": np.array(words, object), "one": array(1, 2)}
    prefix, at, values, mount = saved_program({"net": net})
    run(at / "net", "cp words.shape more.shape", "cp words.dtype more.dtype", "cp words more")
    mount.unmount()
    found = judge.program_restore(prefix, blank({"net": {**net, "more": net["words"]}}),
                                  "assert_consumed")
    assert found["net/more"] == values["net/words"]
    object_walks.check(judge, prefix)


@pytest.mark.parametrize("path", ["net/w", "ema/w"])
def test_by_a_tool_that_renames_at_once(saved_program, judge, path):
    """`sed -i` renames before the kernel has told of its close; no name of its own is left."""
    net = {"w": array(1, 5, 2), "n": array(2, 3)}
    prefix, at, values, mount = saved_program({"net": net, "ema": {"w": Same("net/w")}}, ["net/w"])
    for _ in range(5):
        run(at, "sed -i 's/x/x/' " + path, "test $(stat -c %h net/w ema/w | xargs | tr ' ' =) = 2=2",
            "test $(ls net | grep -v '[.]' | xargs | tr ' ' =) = n=w")
    mount.unmount()
    assert judge.program_restore(prefix, blank({"net": net, "ema": {"w": Same("net/w")}}),
                                 "assert_consumed", ["net/w"]) == values
    object_walks.check(judge, prefix)
