"""DESIGN 2.6: keys and paths are one to one."""
import os

import numpy as np
import pytest

import fixtures
import sstable
import tree


def make(directory, keys, prefix="ckpt"):
    """A checkpoint with a distinct int32 under each key."""
    directory.mkdir()
    builder = sstable.BundleBuilder()
    for i, key in enumerate(keys):
        builder.add(key, sstable.DT["int32"], [1], np.int32(i).tobytes())
    (directory / (prefix + ".index")).write_bytes(builder.index())
    (directory / (prefix + ".data-00000-of-00001")).write_bytes(bytes(builder.data))
    return directory


@pytest.mark.sanitized
@pytest.mark.parametrize("name", ["v2_names", "v2_names_binary"])
def test_the_mapping_written_down_twice_gives_the_same_paths(shop, name):
    """Where no component is cut, the path is that of DESIGN 2.6, byte by byte."""
    mount = shop.mount(fixtures.FIXTURE_DIR / name, "ro")
    keys = {v.key for v in fixtures.variables(name)}
    for key in keys:
        parts = key.split(b"/")
        if any(tree.is_cut(c, i == 0) is not False for i, c in enumerate(parts)):
            continue
        path = mount.path("ckpt", tree.path_of(key, keys))
        assert tree.attribute(path, "key") == key


def test_a_key_named_like_our_hidden_directory_is_encoded(shop):
    """`.weightfs` at the top of a checkpoint shows as %2Eweightfs, below it as it is."""
    keys = [b".weightfs", b".weightfs/x", b"a/.weightfs"]
    source = make(shop.directory / "source", keys)
    mount = shop.mount(source / "ckpt", "ro")
    for key, path in zip(keys, [b"%2Eweightfs", b"%2Eweightfs.d/x", b"a/.weightfs"]):
        assert tree.attribute(mount.path(path), "key") == key


def test_names_that_would_collide_do_not(shop):
    """Keys that look like encoded forms of one another have paths of their own."""
    keys = [b"a.d", b"a", b"a/b", b"a.d/b", b"a%2Ed", b"%", b"%/x", b"%25", b"x%~0123456789abcdef",
            b"a.shape", b"a.dtype", b"a.shape.shape", b".d", b".", b"..", b"...", b"%2E", b"./..",
            b"A.D", b"a.D", b"d", b"shape", b"a.d.d/c"]
    source = make(shop.directory / "source", keys)
    mount = shop.mount(source, "ro")
    shown = list(tree.find([fixtures.Variable(k, "int32", [1], np.int32(i).tobytes(), None)
                            for i, k in enumerate(keys)], mount / "ckpt"))
    assert len({p for _, p in shown}) == len(keys)
    for variable, path in shown:
        tree.check_variable(variable, path)


@pytest.mark.parametrize("length", [200, 242, 243, 244, 249, 250, 255, 256, 1000])
def test_a_long_component_opens_at_any_length(shop, length):
    """Names around the limit: variable, sidecars and scope all open."""
    key = b"n" * length
    source = make(shop.directory / "source", [key, key + b"/x", key + b"y", b"s/" + key])
    mount = shop.mount(source, "ro")
    variables = [fixtures.Variable(k, "int32", [1], np.int32(i).tobytes(), None)
                 for i, k in enumerate([key, key + b"/x", key + b"y", b"s/" + key])]
    for variable, path in tree.find(variables, mount / "ckpt"):
        tree.check_variable(variable, path)


def test_a_scope_that_is_a_variable_is_only_found_with_d(shop):
    """`kernel.d` is the directory, `kernel` the file, and `bias.d` is not there."""
    keys = [b"dense/kernel", b"dense/kernel/Adam", b"dense/bias"]
    mount = shop.mount(make(shop.directory / "source", keys), "ro")
    dense = mount / "ckpt" / "dense"
    assert os.path.isfile(dense / "kernel") and os.path.isdir(dense / "kernel.d")
    assert tree.error_of(os.stat, dense / "bias.d") == "ENOENT"
    assert tree.error_of(os.stat, mount / "ckpt" / "dense.d") == "ENOENT"
    assert tree.error_of(os.stat, dense / "kernel" / "Adam") == "ENOTDIR"


def test_a_prefix_with_the_name_of_a_file_gets_d(shop):
    """A checkpoint literally called `checkpoint` beside its state file."""
    source = make(shop.directory / "source", [b"w"], prefix="checkpoint")
    (source / "checkpoint").write_text('model_checkpoint_path: "checkpoint"\n')
    mount = shop.mount(source, "ro")
    assert tree.read(mount / "checkpoint").startswith(b"model_checkpoint_path")
    assert tree.read(mount / "checkpoint.d" / "w.dtype") == b"int32\n"


def test_names_that_no_key_has_are_not_found(shop):
    """Other spellings of a path, and stray escapes, are ENOENT."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_names", "ro")
    for name in (b"%61", b"a.shape.shape", b"%2e", b"%", b"a%2Eshape.shape.dtype", b"%~",
                 b"dense.d/kernel.d.d", b"%00", b"x.d", b".weightfs.d"):
        path = mount.path("ckpt", name)
        if name == b"%":
            assert os.path.isdir(path)
        else:
            assert tree.error_of(os.lstat, path) == "ENOENT", name
