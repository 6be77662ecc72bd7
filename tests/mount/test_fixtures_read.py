"""Every V2 fixture, walked through a real mount, is what TensorFlow read."""
import os

import pytest

import fixtures
import sstable
import tree

NAME_BASED = [n for n in fixtures.names("V2") if not fixtures.is_object_based(n)]
SMALL = [n for n in NAME_BASED if "5000" not in n]


def walk(shop, name):
    source = fixtures.FIXTURE_DIR / fixtures.directory_of(name)
    mount = shop.mount(source, "ro")
    shown = list(tree.find(fixtures.variables(name), mount / fixtures.prefix_of(name)))
    assert len(shown) == len(fixtures.variables(name))
    return mount, shown


@pytest.mark.sanitized
@pytest.mark.parametrize("name", SMALL)
def test_a_walk_equals_the_manifest(shop, name):
    """Bytes, dtype, shape and key of every variable, and nothing more is listed."""
    _, shown = walk(shop, name)
    for variable, path in shown:
        tree.check_variable(variable, path)


@pytest.mark.parametrize("name", [n for n in NAME_BASED if "5000" in n])
def test_a_walk_of_thousands_equals_the_manifest(shop, name):
    """The same for checkpoints of thousands of variables."""
    test_a_walk_equals_the_manifest(shop, name)


@pytest.mark.parametrize("name", SMALL)
def test_variables_have_distinct_inodes_and_honest_sizes(shop, name):
    """st_ino differs, st_size and st_blocks fit the value, sidecars sort before it."""
    _, shown = walk(shop, name)
    inodes = []
    for variable, path in shown:
        info = os.lstat(path)
        sides = [os.lstat(path + s) for s in (b".shape", b".dtype")]
        inodes += [info.st_ino] + [s.st_ino for s in sides]
        assert all(s.st_ino < info.st_ino for s in sides), variable
        assert info.st_size == len(variable.content)
        assert info.st_blocks == -(-info.st_size // 512)
        assert info.st_nlink == 1
    assert len(set(inodes)) == len(inodes)


@pytest.mark.parametrize("name", SMALL)
def test_the_checksum_xattrs_are_those_of_the_index(shop, name):
    """.crc32c (unmasked, hex), .offset and .shard (its file) say what the index says."""
    _, shown = walk(shop, name)
    for variable, path in shown:
        entries = [variable.entry]
        if variable.entry.slices:
            entries = fixtures.slices_of(name, variable)
            specs = [sstable.slice_spec(x).encode() for x in variable.entry.slices]
            assert tree.attribute(path, "slices") == b"\n".join(specs)
        else:
            assert tree.attribute(path, "slices") is None
        count = fixtures.manifest()[name]["num_shards"]
        shards = [os.path.basename(os.fsencode(sstable.data_name(
            fixtures.prefix_of(name), x.shard, count))) for x in entries]
        told = {a: tree.attribute(path, a).split(b"\n") for a in ("crc32c", "offset", "shard")}
        assert [int(x, 16) for x in told["crc32c"]] == [sstable.unmask(x.crc) for x in entries]
        assert [int(x) for x in told["offset"]] == [x.offset for x in entries]
        assert told["shard"] == shards
