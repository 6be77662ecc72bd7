"""A variant is its encoded elements: opaque, checked, and written whole."""
import os

import pytest

import disk
import fixtures
import sstable
import tree
import writing
from mounts import wait_until

PREFIX = "ckpt"


@pytest.fixture(name="source")
def copy_source(fixture_copy):
    return fixture_copy("v2_variant")


def one_of_two():
    return next(v for v in fixtures.variables("v2_variant") if v.key == b"vec")


def exchanged():
    """The two elements of `vec` the other way round: another value, as good as that one."""
    protos, _ = sstable.decode_variants(one_of_two().content, 2)
    return sstable.encode_variants(protos[::-1])[0], protos[::-1]


def test_a_written_variant_has_its_checksum(shop, source):
    """It is over other bytes than the file's; all else stays."""
    prefix = source / fixtures.prefix_of("v2_variant")
    before = disk.Snapshot(prefix)
    new, protos = exchanged()
    with shop.mount(source) as mount:
        path = mount.path(prefix.name, b"vec")
        tree.write(path, new)
        assert tree.read(path) == new
    after = disk.Snapshot(prefix)
    disk.assert_only_changed(before, after, {b"vec": protos})


def test_tensorflow_reads_a_written_list(shop, source, judge):
    """A TensorList, copied to a new name with its sidecars: cp -r makes a variant."""
    prefix = source / fixtures.prefix_of("v2_variant")
    old = next(v for v in fixtures.variables("v2_variant") if v.key == b"list")
    with shop.mount(source) as mount:
        where = mount / prefix.name
        assert writing.sh("mkdir copy && cp -r list list.dtype list.shape copy", where) == (0, "")
        assert (where / "copy/list.dtype").read_text() == "variant\n"
        assert (where / "copy/list").read_bytes() == old.content
    after = disk.Snapshot(prefix)
    assert after.whole(b"copy/list") == after.whole(b"list")
    assert after.entries[b"copy/list"].crc == after.entries[b"list"].crc
    assert judge.tensor_list(prefix, "copy/list") == judge.tensor_list(prefix, "list")


def test_a_whole_checkpoint_with_variants_is_cloned(shop, source):
    """cp -r of it, in the order of cp."""
    name = fixtures.prefix_of("v2_variant")
    with shop.mount(source) as mount:
        assert writing.sh("cp -r %s clone" % name, mount.point) == (0, "")
    old, new = disk.Snapshot(source / name), disk.Snapshot(source / "clone")
    assert {k: new.whole(k) for k in new.entries} == {k: old.whole(k) for k in old.entries}


@pytest.mark.parametrize("fault", ["empty", "short", "long", "flipped", "too few", "too many"])
def test_what_does_not_parse_is_refused(shop, source, fault):
    """EINVAL at close, and the old value stands."""
    prefix = source / fixtures.prefix_of("v2_variant")
    before = disk.Snapshot(prefix)
    new, protos = exchanged()
    bad = {"empty": b"", "short": new[:-1], "long": new + b"\0",
           "flipped": new[:20] + bytes([new[20] ^ 1]) + new[21:],
           "too few": sstable.encode_variants(protos[:1])[0],
           "too many": sstable.encode_variants(protos + protos)[0]}[fault]
    with shop.mount(source) as mount:
        path = mount.path(prefix.name, b"vec")
        assert tree.error_of(tree.write, path, bad) in ("EINVAL", None if not bad else "EINVAL")
        # What was refused goes at RELEASE, which close() does not wait for.
        assert wait_until(lambda: tree.read(path) == one_of_two().content, 5)
    disk.assert_unchanged(before, disk.Snapshot(prefix))


def test_no_other_variable_becomes_one(shop, source):
    """`variant` is not a dtype that bytes can be given."""
    prefix = source / fixtures.prefix_of("v2_variant")
    with shop.mount(source) as mount:
        where = mount / prefix.name
        (where / "plain.dtype").write_text("uint8")
        (where / "plain.shape").write_text("[3]")
        (where / "plain").write_bytes(b"abc")

        def declare():
            fd = os.open(where / "plain.dtype", os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(fd, b"variant\n")
            finally:
                os.close(fd)
        assert tree.error_of(declare) == "EINVAL"
        assert (where / "plain.dtype").read_text() == "uint8\n"


def test_a_damaged_variant_is_found(shop, source):
    """Its own checksums say so, and -o noverify shows it as it is."""
    prefix = source / fixtures.prefix_of("v2_variant")
    entry = disk.Snapshot(prefix).entries[b"vec"]
    data = source / (prefix.name + ".data-00000-of-00001")
    raw = bytearray(data.read_bytes())
    raw[entry.offset + 9] ^= 1
    data.write_bytes(raw)
    mount = shop.mount(source, "ro")
    mount.mark()
    path = mount.path(prefix.name, b"vec")
    assert tree.error_of(tree.read, path) == "EIO"
    assert len(mount.news(1, expect=1)) == 1
    mount.unmount()
    assert tree.read(shop.mount(source, "ro,noverify").path(prefix.name, b"vec")) == \
        bytes(raw[entry.offset:entry.offset + entry.size])
