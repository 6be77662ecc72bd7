"""weightfs --check: right where TensorFlow is content, and names what is not."""
import os
import pty
import select
import subprocess

import pytest

import fixtures
import mounts
import sstable
import tree
from offline import copy_of, path_of, weightfs

NAMES = list(fixtures.manifest())


def check(*paths, code=0):
    return weightfs("--check", *paths, code=code)


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_all_right(name):
    out = check(path_of(name))
    assert out.splitlines()[-1].split(": ")[1] == "all right"
    n = len(fixtures.manifest()[name]["tensors"])
    assert ": %d variable%s, " % (n, "" if n == 1 else "s") in out
    assert all(": note: " in line for line in out.splitlines()[:-1])


def flip(path, at, bit=1):
    whole = bytearray(path.read_bytes())
    whole[at] ^= bit
    path.write_bytes(whole)


def test_each_byte_of_a_value_counts(shop):
    """A bit in any of them: the variable is named, with file and range, and no other is."""
    copy = copy_of(path_of("v2_all_dtypes"), shop.directory / "ckpt")
    bundle = sstable.Bundle(str(copy))
    data = shop.directory / "ckpt.data-00000-of-00001"
    for key, e in bundle.entries.items():
        for at in range(e.offset, e.offset + e.size, max(1, e.size // 3)):
            flip(data, at)
            lines = check(copy, code=1).splitlines()
            flip(data, at)
            assert len(lines) == 2, lines
            assert lines[0].startswith("%s: %s: " % (copy, key.decode())), lines
            assert lines[0].endswith(" (bytes %d to %d of %s)" % (
                e.offset, e.offset + e.size - 1, data.name)), lines
            assert "DAMAGED: 1 fault; " in lines[1]
    check(copy)


@pytest.mark.parametrize("name", ["v2_strings", "v2_variant", "v2_tf1_partitioned",
                                  "v2_merged_ops"])
def test_of_strings_variants_slices_and_shards_as_well(shop, name):
    prefix = copy_of(path_of(name), shop.directory / "ckpt")
    bundle = sstable.Bundle(str(prefix))
    parts = {sstable.slice_key(k, x): (k, i) for k, e in bundle.entries.items()
             for i, x in enumerate(e.slices)}
    for key, e in bundle.entries.items():
        if e.slices or not e.size:
            continue
        data = shop.directory / sstable.data_name(prefix.name, e.shard, bundle.header["num_shards"])
        for at in {e.offset, e.offset + e.size // 2, e.offset + e.size - 1}:
            flip(data, at, 0x40)
            lines = check(prefix, code=1).splitlines()
            flip(data, at, 0x40)
            assert len(lines) == 2, lines
            name, part = parts.get(key, (key, None))
            shown = name.decode() + ("" if part is None else " (slice %d)" % part)
            assert lines[0].startswith("%s: %s: " % (prefix, shown)), lines
            assert "of %s)" % data.name in lines[0]


def test_each_byte_of_an_index_counts(shop):
    prefix = copy_of(path_of("v2_tf1_partitioned"), shop.directory / "ckpt")
    index = shop.directory / "ckpt.index"
    whole = index.read_bytes()
    table = sstable.read_table(whole)
    assert table
    checked = 0
    for at in range(len(whole)):
        flip(index, at)
        done = mounts.run("--check", prefix)
        flip(index, at)
        # The metaindex block, padding and what no reader looks at are no damage.
        assert done.returncode in (0, 1), (at, done.stderr)
        checked += done.returncode
    assert checked > 0.8 * len(whole)
    for n in (0, 10, 47, len(whole) // 2, len(whole) - 1):
        index.write_bytes(whole[:n])
        assert "DAMAGED" in check(prefix, code=1)


def test_v1_blocks_and_the_variables_in_them(shop):
    """Each fault is counted once: the variable that has it, and the bytes of its block."""
    prefix = shop.directory / "m"
    whole = path_of("v1_big_blocks").read_bytes()
    prefix.write_bytes(whole)
    met = set()
    for at in range(0, len(whole) - 2000, len(whole) // 13):
        flip(prefix, at)
        *lines, result = check(prefix, code=1).splitlines()
        flip(prefix, at)
        for line in lines:
            start, end = line.split("(bytes ")[1].split(" of m)")[0].split(" to ")
            assert int(start) <= at <= int(end)
        named = {line.split(": ")[1] for line in lines}
        assert len(named) == len(lines), lines
        assert "DAMAGED: %d fault" % len(lines) in result
        met |= named
    assert met >= {"b", "d", "e"}  # c is too small to be met


def test_structure_is_checked_and_it_goes_on(shop):
    """Several faults at once: each is told, and what is right is not."""
    build = sstable.BundleBuilder()
    build.add(b"a", sstable.DT["int32"], [2], b"12345678")
    build.add(b"b", sstable.DT["int32"], [2], b"12345678")
    build.add(b"c", sstable.DT["int32"], [2], b"12345678")
    build.add(b"d", sstable.DT["int32"], [2], b"12345678")
    build.add_slice(b"p", sstable.DT["int32"], [4], [(0, 2)], b"12345678")
    build.add_slice(b"q", sstable.DT["int32"], [4], [(0, 2)], b"12345678")
    entries, data = build.entries, bytes(build.data)
    entries[b"b"].offset = len(data) + 2       # past the end
    entries[b"c"].size = 4                     # not that of its shape
    entries[b"d"].shard = 3                    # there is none
    del entries[sstable.slice_key(b"q", [(0, 2)])]
    orphan = sstable.slice_key(b"gone", [(0, 2)])
    entries[orphan] = entries[b"a"]
    (shop.directory / "x.data-00000-of-00001").write_bytes(data + b"tail")
    (shop.directory / "x.index").write_bytes(sstable.make_index(entries))
    out = check(shop.directory / "x", code=1)
    told = {line.split(": ", 1)[1].split(" (")[0] for line in out.splitlines()}
    assert "b: its data shard ends before it" in told
    assert "c: its size is not that of its dtype and shape" in told
    assert "d: its data shard is missing" in told
    assert "q: 1 of its 1 slices are not in the index" in told
    assert "note: p: 2 of its 4 elements are in no slice" in told
    assert "note: \\x00gone\\x00\\x01\\x01\\x01\u0080\u0082".split("\u0080", maxsplit=1)[0] in out
    assert "it is a slice that no variable has" in out
    assert "are in no variable" in out
    assert "DAMAGED: 4 faults" in out
    assert ": a: " not in out


@pytest.mark.parametrize("what, dtype, shape", [("it is of another dtype than its variable",
                                                 "float32", [2]),
                                                ("its entry has another shape", "int32", [2, 1])])
def test_the_entry_of_a_slice_is_one_of_its_variable(shop, what, dtype, shape):
    """A mount cannot read it, so it is a fault, and nothing that --convert passes on."""
    build = sstable.BundleBuilder()
    build.add_slice(b"p", sstable.DT["int32"], [4], [(0, 2)], b"12345678")
    build.add_slice(b"p", sstable.DT["int32"], [4], [(2, 2)], b"12345678")
    part = build.entries[sstable.slice_key(b"p", [(2, 2)])]
    part.dtype, part.shape = sstable.DT[dtype], shape
    (shop.directory / "x.data-00000-of-00001").write_bytes(build.data)
    (shop.directory / "x.index").write_bytes(build.index())
    assert "p (slice 1): %s (bytes 8 to 15" % what in check(shop.directory / "x", code=1)
    for to in ("v1", "v2"):
        weightfs("--convert", "--to", to, shop.directory / "x", shop.directory / "y", code=3)
    assert tree.error_of(tree.read, shop.mount(shop.directory / "x") / "p") == "EIO"


def test_a_key_behind_that_of_its_block_is_a_fault(shop):
    """TensorFlow looks for it by the keys of blocks, and says that there is none."""
    value = sstable.Entry(sstable.DT["int32"], [1], 0, 0, 4, sstable.mask(sstable.crc(b"1234")))
    for lies, code in (([b"", b"b", b"d"], 0), ([b"", b"a", b"d"], 1), ([b"", b"b", b"b"], 1)):
        writer = sstable.TableWriter()
        handles = []
        for key in (b"", b"b", b"c"):
            block = sstable._Block(16)  # pylint: disable=protected-access
            block.add(key, value.encode() if key else sstable.header_proto(1))
            handles.append(writer._emit(block.finish()))  # pylint: disable=protected-access
        meta = writer._emit(sstable._Block(16).finish())  # pylint: disable=protected-access
        for key, handle in zip(lies, handles):
            writer.index.add(key, handle)
        foot = meta + writer._emit(writer.index.finish())  # pylint: disable=protected-access
        (shop.directory / "x.index").write_bytes(
            bytes(writer.out) + foot.ljust(40, b"\0") + sstable.MAGIC.to_bytes(8, "little"))
        (shop.directory / "x.data-00000-of-00001").write_bytes(b"1234")
        out = check(shop.directory / "x", code=code)
        assert ("not all of its keys are where its blocks say" in out) == (code == 1)


def test_shared_bytes_are_no_fault_and_overlaps_a_note(shop):
    build = sstable.BundleBuilder()
    build.add(b"a", sstable.DT["int32"], [2], b"12345678")
    build.add(b"b", sstable.DT["int32"], [2], b"12345678")
    entries, data = build.entries, bytes(build.data)
    entries[b"b"].offset = 0
    (shop.directory / "x.data-00000-of-00001").write_bytes(data[:8])
    (shop.directory / "x.index").write_bytes(sstable.make_index(entries))
    assert "note" not in check(shop.directory / "x")
    value = b"5678"
    entries[b"b"] = sstable.Entry(entries[b"b"].dtype, [1], 0, 4, 4,
                                  sstable.mask(sstable.crc(value)))
    (shop.directory / "x.index").write_bytes(sstable.make_index(entries))
    assert "note: b: it overlaps another variable" in check(shop.directory / "x")


def test_many_paths_and_their_exit_codes(shop, fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    out = check(source, path_of("v1_names"), path_of("savedmodel_tf2").parents[1])
    assert out.splitlines()[-1].startswith("5 checkpoints, ")
    assert check(source / "nothing", path_of("v1_names"), code=3).count("all right") == 1
    flip(source / "model.ckpt-4.data-00000-of-00001", 20)
    out = check(source / "nothing", source, code=1)
    assert out.count("all right") == 2
    assert out.count("DAMAGED") == 1
    assert check(shop.directory, code=3) == ""
    weightfs("--check", code=2)


def test_a_progress_bar_on_a_terminal_only(shop):
    """It is drawn on stderr, and gone when the result is there."""
    build = sstable.BundleBuilder()
    big = bytes(64 << 20)
    build.add(b"big", sstable.DT["uint8"], [len(big)], big)
    (shop.directory / "x.data-00000-of-00001").write_bytes(big)
    (shop.directory / "x.index").write_bytes(sstable.make_index(build.entries))
    ours, theirs = pty.openpty()
    done = subprocess.run([str(mounts.BINARY), "--check", str(shop.directory / "x")], stderr=theirs,
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=True)
    os.close(theirs)
    drawn = b""
    while select.select([ours], [], [], 0.2)[0]:
        try:
            drawn += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert done.stdout.endswith(b"bytes read\n")
    assert b"%" in drawn and drawn.endswith(b"\r\x1b[K")
    quiet = mounts.run("--check", shop.directory / "x")
    assert quiet.stderr == ""
