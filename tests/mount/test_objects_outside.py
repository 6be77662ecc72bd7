"""Object-based checkpoints that somebody else replaces, and graphs with unknown fields."""
import os

import mounts
import object_walks
import sstable
from fixtures import GRAPH_KEY
from jobs import array, control, packed, run
from programs import blank
from tree import error_of


def names(at):
    try:
        return sorted(n for n in os.listdir(at) if "." not in n)
    except FileNotFoundError:
        return None


def test_another_program_saves_to_the_prefix(saved_program, shop, judge):
    """Its names show, and can be changed."""
    prefix, at, _, mount = saved_program({"net": {"old": array(1, 3)}})
    run(at, "mv net/old net/moved")
    mount.unmount()
    mount = shop.mount(prefix.parent)
    at = mount / "ckpt"
    assert names(at / "net") == ["moved"]
    program = {"other": {"v": array(2, 2), "w": array(3, 3)}}
    values = judge.program_save(prefix, program)
    assert mounts.wait_until(lambda: names(at / "other") == ["v", "w"], 3)
    run(at, "mv other/v other/x")
    mount.unmount()
    found = judge.program_restore(
        prefix, blank({"other": {"x": array(2, 2), "w": array(3, 3)}}), "assert_consumed")
    assert found == {"other/x": values["other/v"], "other/w": values["other/w"]}
    object_walks.check(judge, prefix)


def test_what_is_closed_after_another_save_is_kept(saved_program, judge):
    """Under its key: the value that an open file had, and nothing of the graph."""
    prefix, at, _, mount = saved_program({"net": {"a": array(1, 3)}})
    fd = os.open(at / "net/a", os.O_RDWR)
    os.write(fd, array(5, 3).tobytes())
    judge.program_save(prefix, {"other": {"v": array(2, 2)}})
    assert mounts.wait_until(lambda: names(at / "other") == ["v"], 5)
    assert error_of(os.close, fd) == "ESTALE"
    mount.unmount()
    [index] = prefix.parent.glob("ckpt.kept-*.index")
    assert judge.load(str(index).removesuffix(".index")) == {
        b"net/a/.ATTRIBUTES/VARIABLE_VALUE": packed(array(5, 3))}
    object_walks.check(judge, prefix)


def field(number, body):
    return sstable.f_bytes(number, body, True)


def test_unknown_fields_are_kept(saved_program, shop, judge):
    """In the graph and in each object that stays."""
    prefix, _, values, mount = saved_program({"net": {"a": array(1, 3), "b": array(2, 2)}})
    mount.unmount()
    old = sstable.Bundle(str(prefix))
    parts = [v for n, _, v in sstable.proto_fields(old.value(GRAPH_KEY)[0]) if n == 1]
    graph = b"".join(field(1, p + field(77, b"node %d" % i)) for i, p in enumerate(parts))
    made = sstable.BundleBuilder()
    for key, entry in sorted(old.entries.items()):
        value = [graph + field(78, b"whole")] if key == GRAPH_KEY else old.value(key)
        made.add(key, entry.dtype, entry.shape, value)
    (prefix.parent / "ckpt.data-00000-of-00001").write_bytes(bytes(made.data))
    (prefix.parent / "ckpt.index").write_bytes(made.index())
    mount = shop.mount(prefix.parent)
    run(mount / "ckpt", "mv net/a net/c", "rm net/b")
    mount.unmount()
    assert judge.program_restore(prefix, blank({"net": {"c": array(1, 3)}}),
                                 "assert_consumed") == {"net/c": values["net/a"]}
    object_walks.check(judge, prefix)
    after = sstable.Bundle(str(prefix)).value(GRAPH_KEY)[0]
    assert field(78, b"whole") in after
    kept = [i for i in range(len(parts)) if b"node %d" % i in after]
    assert len(kept) == len(parts) - 1


def test_links_are_given_up_with_the_rest(saved_program, shop, judge):
    """abort: `ln -s` is undone as `ln` and `mv` are; none is shown that is not stored."""
    prefix, _, values, mount = saved_program({"net": {"a": array(1, 3)}, "m": {"b": array(2, 2)}})
    mount.unmount()
    mount = shop.mount(prefix.parent, "commit=manual")
    at = mount / "ckpt"
    before = names(at)
    run(at, "ln -s net soft", "ln net/a hard", "ln -s soft m/later", "mv m n")
    assert control(mount, "abort") == (0, "")
    assert names(at) == before
    assert names(at / "m") == ["b"]
    run(at, "ln -s net soft")
    assert control(mount, "commit") == (0, "")
    run(at, "ln -s net other")
    assert control(mount, "abort") == (0, "")
    assert names(at) == sorted(before + ["soft"])
    mount.unmount()
    nodes, _ = object_walks.check(judge, prefix)
    assert nodes[0]["edges"].keys() == {"m", "net", "save_counter", "soft"}
    assert judge.program_restore(prefix, blank({"net": {"a": array(1, 3)}, "m": {"b": array(2, 2)}}),
                                 "assert_existing_objects_matched") == values
