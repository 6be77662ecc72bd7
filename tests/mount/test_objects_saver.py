"""A TF1 Saver restores object-based checkpoints by the names that a program gave its variables."""
import object_walks
from jobs import array, packed, run

NET = {"dense": {"kernel": array(1, 3, 2), "bias": array(2, 2)}, "other": array(3, 4)}


def restores(judge, prefix, wanted):
    want = {k: packed(v) for k, v in wanted.items()}
    return judge.saver_restore(prefix, {k: v[:2] for k, v in want.items()}) == {
        k.encode(): v for k, v in want.items()}


def test_after_mv(saved_program, judge):
    """The full name stays: programs of TF1 do not know of attributes."""
    prefix, at, _, mount = saved_program({"net": NET})
    old = {"net_dense_kernel": NET["dense"]["kernel"], "net_dense_bias": NET["dense"]["bias"],
           "net_other": NET["other"]}
    assert restores(judge, prefix, old)
    run(at, "mv net/dense net/layer", "mv net/other net/moved")
    mount.unmount()
    assert restores(judge, prefix, old)
    object_walks.check(judge, prefix)


def test_after_cp(saved_program, judge):
    """A copy has no full name, else the Saver could take its value for the other's."""
    prefix, at, _, mount = saved_program({"net": NET})
    new = array(9, 4)
    run(at / "net", "cp --preserve=xattr other aaa", "cp -r dense dense2")
    with open(at / "net/aaa", "r+b") as f:
        f.write(new.tobytes())
    mount.unmount()
    assert restores(judge, prefix, {"net_other": NET["other"],
                                    "net_dense_kernel": NET["dense"]["kernel"]})
    nodes, keys = object_walks.check(judge, prefix)
    names = {a[0]: a[1] for n in nodes for a in n["attributes"].values()}
    assert names["net/other/.ATTRIBUTES/VARIABLE_VALUE"] == "net_other"
    assert names["net/aaa/.ATTRIBUTES/VARIABLE_VALUE"] == ""
    assert names["net/dense2/kernel/.ATTRIBUTES/VARIABLE_VALUE"] == ""
    assert keys["net/aaa/.ATTRIBUTES/VARIABLE_VALUE"] == packed(new)


def test_after_a_new_value(saved_program, judge):
    """Written over, also through a temporary file that is renamed: the name stays."""
    prefix, at, _, mount = saved_program({"net": NET})
    (at / "net/dense/bias").write_bytes(array(5, 2).tobytes())
    run(at / "net", "cp other .other.X1", "mv .other.X1 other")
    mount.unmount()
    assert restores(judge, prefix, {"net_dense_bias": array(5, 2), "net_other": NET["other"]})
    object_walks.check(judge, prefix)
