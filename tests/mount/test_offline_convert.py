"""weightfs --convert: byte for byte what TensorFlow writes in the other format."""
import glob
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import fixtures
import mounts
import sstable
from offline import in_order_v1, order_of, path_of, files_of, weightfs

NAMES = list(fixtures.manifest())
BIG_ENDIAN = "v2_hand_big_endian"


def convert(to, source, prefix, code=0):
    return weightfs("--convert", "--to", to, source, prefix, code=code)


def refused_by_v1(name):
    """What only V2 can hold, by the manifest."""
    return {"v2_all_dtypes", "v2_slices_grid", "v2_tf2_odd_objects", "v2_variant"} & {name}


@pytest.mark.parametrize("name", [n for n in NAMES if n != "v1_names"])
def test_a_fixture_to_v2_is_what_savev2_writes(shop, judge, name):
    convert("v2", path_of(name), shop.directory / "ours")
    if name != BIG_ENDIAN:  # TensorFlow reads its numbers, but has no variants in it to compare
        judge.save_anew(path_of(name), order_of(name), shop.directory / "tf")
        assert files_of(shop.directory / "ours") == files_of(shop.directory / "tf")
    weightfs("--check", shop.directory / "ours")
    assert weightfs("--diff", path_of(name), shop.directory / "ours") == ""
    assert sorted(os.listdir(shop.directory)) == sorted(
        ["ours.data-00000-of-00001", "ours.index"]
        + (["tf.data-00000-of-00001", "tf.index"] if name != BIG_ENDIAN else []))


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_to_v1_is_what_the_v1_saver_writes(shop, judge, name):
    if refused_by_v1(name):
        convert("v1", path_of(name), shop.directory / "ours", code=1)
        assert os.listdir(shop.directory) == []
        return
    convert("v1", path_of(name), shop.directory / "ours")
    if name != BIG_ENDIAN:
        judge.save_anew(path_of(name), order_of(name), shop.directory / "tf", v1=True)
        assert (shop.directory / "ours").read_bytes() == (shop.directory / "tf").read_bytes()
    weightfs("--check", shop.directory / "ours")
    assert weightfs("--diff", path_of(name), shop.directory / "ours") == ""


def test_random_tensors_there_and_back(shop, judge):
    """V2 to V1, which is TensorFlow's, and to V2 again, which is TensorFlow's."""
    for seed in range(6):
        v1, ours = shop.directory / ("a%d" % seed), shop.directory / ("b%d" % seed)
        made = judge.save_random(v1, seed, 350, v1=True)
        order = [[(k, "", made[k]) for k in sorted(made, key=str.encode)]]
        convert("v2", v1, ours)
        judge.save_anew(v1, order, shop.directory / "tf")
        assert files_of(ours) == files_of(shop.directory / "tf")
        convert("v1", ours, shop.directory / ("c%d" % seed))
        assert (shop.directory / ("c%d" % seed)).read_bytes() == v1.read_bytes()


def test_random_tensors_of_all_dtypes_to_v2(shop, judge):
    source = shop.directory / "s"
    made = judge.save_random(source, 99, 400)
    convert("v2", source, shop.directory / "ours")
    judge.save_anew(source, [[(k, "", made[k]) for k in sorted(made, key=str.encode)]],
                    shop.directory / "tf")
    assert files_of(shop.directory / "ours") == files_of(shop.directory / "tf")


def test_a_big_endian_bundle_becomes_little_endian(shop, judge):
    convert("v2", path_of(BIG_ENDIAN), shop.directory / "ours")
    found = sstable.Bundle(str(shop.directory / "ours"))
    assert found.header["endian"] == 0
    by_hash = {}
    for tensor in fixtures.manifest()[BIG_ENDIAN]["tensors"]:
        key = fixtures.key_of(tensor, by_hash)
        assert fixtures.matches_manifest(tensor, found.value(key)), key
    assert len(judge.load(shop.directory / "ours")) == len(found.entries)


def test_everything_in_the_way_is_named_at_once(shop):
    done = mounts.run("--convert", "--to", "v1", path_of("v2_all_dtypes"), shop.directory / "x")
    assert done.returncode == 1
    wrong = {t["key"] for t in fixtures.manifest()["v2_all_dtypes"]["tensors"]
             if t["dtype"] not in in_v1()}
    lines = done.stderr.splitlines()
    assert len(lines) == len(wrong) + 1
    assert {line.split(": ")[1] for line in lines[:-1]} == wrong
    assert all("it is %s)" % line.split(": ")[1].split("/")[-1] in line for line in lines
               if "/uint64: " in line or "/bfloat16: " in line)
    assert "%d of 93" % len(wrong) in lines[-1]
    done = mounts.run("--convert", "--to", "v2", path_of("v1_names"), shop.directory / "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
    assert os.listdir(shop.directory) == []


def in_v1():
    return {d for _, _, d in in_order_v1(path_of("v1_all_dtypes"))[0]}


def test_nothing_that_is_there_is_written_over(shop, fixture_copy):
    """Of any format, or only a part of one."""
    source = fixture_copy("v2_tf1_adam")
    steps = source / "model.ckpt-3", source / "model.ckpt-4"
    before = {p.name: p.read_bytes() for p in source.iterdir()}
    for to in ("v1", "v2"):
        convert(to, steps[0], steps[1], code=1)
    for part in ("P.index", "P.data-00003-of-00007", "P-00000-of-00002", "P"):
        (source / part).write_bytes(b"theirs")
        for to in ("v1", "v2"):
            convert(to, steps[0], source / "P", code=1)
        (source / part).unlink()
    convert("v2", steps[0], source / "P.data-00000-of-00001", code=1)
    convert("v2", steps[0], shop.directory / "nowhere/P", code=1)
    assert before == {p.name: p.read_bytes() for p in source.iterdir()}


def test_names_that_no_mount_would_show_are_refused(shop):
    """And a directory is no prefix."""
    (shop.directory / "made").mkdir()
    for name in ("", ".", "made", "made/", "x.index", "x.data-00000-of-00001"):
        for to in ("v1", "v2"):
            convert(to, path_of("v2_tf1_adam-5"), "%s/%s" % (shop.directory, name), code=1)
    for name in ("checkpoint", "x-00000-of-00002", "x.meta", "x.txt"):
        convert("v1", path_of("v2_tf1_adam-5"), shop.directory / name, code=1)
    assert os.listdir(shop.directory) == ["made"]
    assert os.listdir(shop.directory / "made") == []


def test_values_that_are_missing_are_damage(shop):
    """Not the fault of the format: the exit code says so."""
    whole = path_of("v2_tf1_adam-5")
    shutil.copy(str(whole) + ".index", shop.directory / "m.index")
    data = open(str(whole) + ".data-00000-of-00001", "rb").read()
    (shop.directory / "m.data-00000-of-00001").write_bytes(data[:200])
    for to in ("v1", "v2"):
        done = mounts.run("--convert", "--to", to, shop.directory / "m", shop.directory / "x")
        assert done.returncode == 3
        assert "dense/kernel/Adam: cannot be read: its data shard ends before it" in done.stderr
    assert len(os.listdir(shop.directory)) == 2


def writes(pid):
    """Whether a process has begun to write what gets its name in the end."""
    try:
        return any(os.readlink(f).endswith((" (deleted)", ".weightfs-tmp"))
                   for f in glob.glob("/proc/%d/fd/*" % pid))
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("to", ["v1", "v2"])
def test_an_interrupted_one_leaves_nothing(shop, to, number):
    """Ended, or killed, in the midst of a large value."""
    build = sstable.BundleBuilder()
    build.entries[b"large"] = sstable.Entry(sstable.DT["float32"], [1 << 28], 0, 0, 1 << 30, 0)
    (shop.directory / "m.index").write_bytes(build.index())
    data = shop.directory / "m.data-00000-of-00001"
    data.touch()
    os.truncate(data, 1 << 30)
    before = sorted(os.listdir(shop.directory))
    with subprocess.Popen([mounts.BINARY, "--convert", "--to", to, shop.directory / "m",
                           shop.directory / "new"]) as program:
        assert mounts.wait_until(lambda: writes(program.pid), 30)
        program.send_signal(number)
        assert program.wait(60) == -number
    assert sorted(os.listdir(shop.directory)) == before


def test_a_damaged_source_leaves_nothing(shop, fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    data = source / "model.ckpt-5.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x80]))
    for to in ("v1", "v2"):
        convert(to, source / "model.ckpt-5", shop.directory / "P", code=3)
    (shop.directory / "v1").mkdir()
    shutil.copy(path_of("v1_tf1_adam-3"), shop.directory / "v1/m")
    whole = bytearray((shop.directory / "v1/m").read_bytes())
    whole[len(whole) // 2] ^= 1
    (shop.directory / "v1/m").write_bytes(whole)
    convert("v2", shop.directory / "v1/m", shop.directory / "P", code=3)
    assert sorted(os.listdir(shop.directory)) == ["v1", "v2_tf1_adam"]


@pytest.mark.parametrize("name", ["v2_strings", BIG_ENDIAN])
def test_no_damaged_string_gets_a_right_checksum(shop, fixture_copy, name):
    """In its bytes, in a length, or in the checksum of these."""
    source = fixture_copy(name) / "ckpt"
    bundle = sstable.Bundle(str(source))
    strings = [e for e in bundle.entries.values()
               if e.dtype == sstable.DT["string"] and 0 not in e.shape]
    data = Path(str(source) + ".data-00000-of-00001")
    whole = data.read_bytes()
    assert strings
    for e in strings:
        for at in {e.offset, e.offset + e.size - 1, e.offset + e.size // 2}:
            data.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            for to in ("v1", "v2"):
                done = mounts.run("--convert", "--to", to, source, shop.directory / "P")
                assert done.returncode == 3 or "not to be had" in done.stderr, (e, at, to)
    assert not list(shop.directory.glob("P*"))


@pytest.mark.parametrize("dtype", ["float32", "int32", "string"])
def test_a_record_without_all_elements_is_damage(shop, dtype):
    """Also where it could be copied as it lies."""
    value = [b"a", b"b"] if dtype == "string" else b"12345678"
    for name, shape, extents in (("m", [3], [None]), ("s", [6], [(0, 3)])):
        build = sstable.V1Builder()
        build.add(b"right", dtype, [2], [None], value)
        build.add(b"wrong", dtype, shape, extents, value)
        (shop.directory / name).write_bytes(build.build())
        for to in ("v1", "v2"):
            done = mounts.run("--convert", "--to", to, shop.directory / name, shop.directory / "x",
                              errors="replace")
            assert done.returncode == 3
            assert "cannot be read: its record in %s has not as many elements" % name \
                in done.stderr
    assert sorted(os.listdir(shop.directory)) == ["m", "s"]


def test_a_damaged_value_is_named_by_its_key(shop):
    shutil.copytree(path_of("v2_tf1_adam-5").parent, shop.directory / "d")
    data = shop.directory / "d/model.ckpt-5.data-00000-of-00001"
    at = sstable.Bundle(str(shop.directory / "d/model.ckpt-5")).entries[b"dense/kernel"].offset
    content = bytearray(data.read_bytes())
    content[at] ^= 1
    data.write_bytes(content)
    done = mounts.run("--convert", "--to", "v1", shop.directory / "d/model.ckpt-5",
                      shop.directory / "x")
    assert done.returncode == 3
    assert done.stderr.startswith("weightfs: dense/kernel: checksum mismatch"), done.stderr
    assert not (shop.directory / "x").exists()
