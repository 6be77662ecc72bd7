"""weightfs --compact: byte for byte what TensorFlow writes, and never a moment without it."""
import os
import shutil
import subprocess
import time

import pytest

import fixtures
import mounts
import sstable
from offline import (NOT_TENSORFLOWS, copy_of, files_of, in_order, in_order_v1, path_of,
                     v2_prefixes, weightfs)


def compact(prefix, *words, code=0):
    return weightfs("-o", "grace=0", *words, "--compact", prefix, code=code)


@pytest.mark.parametrize("name, prefix", v2_prefixes())
def test_a_fixture_sorted_by_key_is_what_savev2_writes(shop, judge, name, prefix):
    source = fixtures.FIXTURE_DIR / prefix
    copy = copy_of(source, shop.directory / "c" / source.name)
    compact(copy)
    if name not in NOT_TENSORFLOWS:
        judge.save_anew(source, in_order(source), shop.directory / "tf")
        assert files_of(copy) == files_of(shop.directory / "tf")
    assert "nothing to do" in compact(copy)
    weightfs("--check", copy)


@pytest.mark.parametrize("name, prefix", v2_prefixes())
def test_a_fixture_of_tensorflow_sorted_by_offset_is_itself(shop, name, prefix):
    source = fixtures.FIXTURE_DIR / prefix
    copy = copy_of(source, shop.directory / "c" / source.name)
    compact(copy, "--order=offset")
    if fixtures.manifest()[name]["written_by"] == "tensorflow":
        assert files_of(copy) == files_of(source)


@pytest.mark.parametrize("name", fixtures.names("V1"))
def test_a_v1_fixture_is_what_the_v1_saver_writes(shop, judge, name):
    """Of several files each is written for itself, and holds what it held."""
    source = path_of(name)
    (shop.directory / "c").mkdir()
    files = sorted(source.parent.glob(source.name))
    for file in files:
        shutil.copy(file, shop.directory / "c")
    compact(shop.directory / "c" / source.name)
    for file in files:
        judge.save_anew(file, in_order_v1(file), shop.directory / "tf", v1=True)
        assert (shop.directory / "c" / file.name).read_bytes() == \
            (shop.directory / "tf").read_bytes()
        (shop.directory / "tf").unlink()
    assert len(list((shop.directory / "c").iterdir())) == len(files)


def test_random_tensors_are_what_savev2_writes(shop, judge):
    for seed in range(5):
        source, tf = shop.directory / ("s%d" % seed), shop.directory / ("t%d" % seed)
        made = judge.save_random(source, seed, 400)
        judge.save_anew(source, [[(k, "", made[k]) for k in sorted(made, key=str.encode)]], tf)
        before = files_of(source)
        compact(source)
        assert files_of(source) == files_of(tf)
        # And back: by offset it stays as it is.
        assert "nothing to do" in compact(source, "--order=offset")
        assert before.keys() == files_of(source).keys()


def test_dead_bytes_extra_shards_and_padding_go(shop, judge, fixture_copy):
    """What a mount leaves behind, in a checkpoint that a backup is linked to."""
    source = fixture_copy("v2_tf1_adam")
    prefix = source / "model.ckpt-5"
    os.link(str(prefix) + ".data-00000-of-00001", source / "backup")
    mount = shop.mount(source)
    for name in ("dense/kernel", "dense/bias"):
        value = (mount / "model.ckpt-5" / name).read_bytes()
        (mount / "model.ckpt-5" / name).write_bytes(value[::-1])
    mount.unmount()
    assert ".data-00001-of-00001" in files_of(prefix)
    copy_of(prefix, shop.directory / "edited")
    judge.save_anew(prefix, in_order(prefix), shop.directory / "tf")
    compact(prefix)
    assert files_of(prefix) == files_of(shop.directory / "tf")
    edited = shop.directory / "edited"
    assert judge.load(prefix) == judge.load(edited)
    assert (source / "backup").read_bytes() == \
        (fixtures.FIXTURE_DIR / "v2_tf1_adam/model.ckpt-5.data-00000-of-00001").read_bytes()


def test_unknown_fields_and_the_byte_order_stay(shop, fixture_copy):
    for name in sorted(NOT_TENSORFLOWS):
        prefix = fixture_copy(name) / "ckpt"
        before = sstable.Bundle(str(prefix))
        values = {k: before.stored(e) for k, e in before.entries.items() if not e.slices}
        compact(prefix)
        after = sstable.Bundle(str(prefix))
        assert after.header == before.header
        assert values == {k: after.stored(e) for k, e in after.entries.items() if not e.slices}
        assert {k: len(v) for k, v in after.raw.items() if before.entries[k].slices} == \
            {k: len(v) for k, v in before.raw.items() if before.entries[k].slices}


def test_a_mount_that_writes_there_is_named(shop, fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source)
    done = mounts.run("-o", "grace=0", "--compact", source / "model.ckpt-5")
    assert done.returncode == 5
    assert "process %d" % mount.process.pid in done.stderr
    assert len(done.stderr.splitlines()) == 1
    mount.unmount()


def test_a_checkpoint_without_variables_needs_no_shard(shop):
    (shop.directory / "e.index").write_bytes(
        sstable.make_index({}, header=sstable.header_proto(2)))
    compact(shop.directory / "e")
    assert files_of(shop.directory / "e") == {".index": sstable.make_index({})}
    # One that a mount has made, whose index has zeros in it.
    mount = shop.mount(shop.directory)
    (mount / "m").mkdir()
    (mount / "m/w").write_bytes(b"1234")
    os.sync()
    os.unlink(mount / "m/w")
    mount.unmount()
    if (shop.directory / "m.index").exists():
        compact(shop.directory / "m")
        assert files_of(shop.directory / "m")[".index"] == sstable.make_index({})
        assert not [k for k in files_of(shop.directory / "m") if "00002" in k or "tmp" in k]


def test_what_is_damaged_or_linked_stays_as_it_is(shop, fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    prefix = source / "model.ckpt-5"
    data = source / "model.ckpt-5.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:5] + bytes([whole[5] ^ 1]) + whole[6:] + b"dead bytes")
    before = files_of(prefix)
    compact(prefix, code=3)
    assert files_of(prefix) == before
    for name in ("index", "data-00000-of-00001"):
        (source / ("link." + name)).symlink_to("model.ckpt-4." + name)
    for each in ("link", "model.ckpt-4"):
        before = files_of(source / each)
        compact(source / each, code=1)
        assert files_of(source / each) == before
    assert sorted(p.name for p in source.iterdir() if "weightfs-tmp" in p.name) == []


@pytest.mark.parametrize("dtype, shape", [("float32", [2]), ("int32", [2, 1])])
def test_a_slice_that_is_none_of_its_variable_is_damage(shop, dtype, shape):
    """A mount cannot read it either."""
    build = sstable.BundleBuilder()
    build.add_slice(b"p", sstable.DT["int32"], [4], [(0, 2)], b"12345678")
    build.add_slice(b"p", sstable.DT["int32"], [4], [(2, 2)], b"12345678")
    part = build.entries[sstable.slice_key(b"p", [(2, 2)])]
    part.dtype, part.shape = sstable.DT[dtype], shape
    (shop.directory / "x.data-00000-of-00001").write_bytes(build.data)
    (shop.directory / "x.index").write_bytes(build.index())
    before = files_of(shop.directory / "x")
    compact(shop.directory / "x", code=3)
    assert files_of(shop.directory / "x") == before


def test_a_record_without_all_elements_is_damage(shop):
    """Though it could be copied as it lies."""
    build = sstable.V1Builder()
    build.add(b"wrong", "int32", [3], [None], b"12345678")
    (shop.directory / "m").write_bytes(build.build())
    compact(shop.directory / "m", code=3)
    assert (shop.directory / "m").read_bytes() == build.build()


def compact_under_a_reader(judge, prefix, rounds):
    """Compacts copies, each read by TensorFlow over and over: all errors that it met."""
    faults = []
    for i in range(rounds):
        each = copy_of(prefix, prefix.with_name("copy%d" % i))
        judge.begin("read_for", each, 5)
        time.sleep(0.3)
        weightfs("-o", "grace=2", "--compact", each)
        count, met = judge.finish()
        assert count > 10
        faults.append(met)
    return faults


def test_tensorflow_reads_all_the_time(shop, judge, long):
    """A reader that opens it over and over sees no error, whatever the compaction does."""
    prefix = shop.directory / "big"
    made = {"v%02d" % i: judge_array(i) for i in reversed(range(60))}
    judge.save(prefix, made)
    judge.save(shop.directory / "sorted", dict(sorted(made.items())))
    assert len(files_of(prefix)[".index"]) == len(files_of(shop.directory / "sorted")[".index"])
    assert not sum(compact_under_a_reader(judge, prefix, 20 if long else 3), [])
    assert files_of(shop.directory / "copy0") == files_of(shop.directory / "sorted")


def judge_array(i):
    return [b"%03d" % i] * 50


def uneven():
    """Large values and small ones: whoever comes first decides how long offsets are."""
    return {**{"a%03d" % i: [b"large" * 60] for i in range(100)},
            **{"z%03d" % i: [b""] for i in range(100)}}


def sizes(shop):
    return [len(files_of(shop.directory / n)[".index"]) for n in ("big", "copy0")]


def test_an_index_may_become_longer_unseen(shop, judge, long):
    judge.save(shop.directory / "big", dict(sorted(uneven().items(), reverse=True)))
    assert not sum(compact_under_a_reader(judge, shop.directory / "big", 10 if long else 2), [])
    before, after = sizes(shop)
    assert after >= before + 48


def test_an_index_that_becomes_shorter_is_met_at_one_moment_only(shop, judge, long):
    """TensorFlow asks for the size by name, then opens by name: FORMAT 5."""
    swapped = {k.replace("a", "y"): v for k, v in uneven().items()}
    swapped = {k.replace("z", "b"): v for k, v in swapped.items()}
    judge.save(shop.directory / "big", dict(sorted(swapped.items(), reverse=True)))
    for met in compact_under_a_reader(judge, shop.directory / "big", 10 if long else 2):
        assert len(met) <= 1, met
        assert all("bad magic" in x or "Read less bytes" in x for x in met), met
    before, after = sizes(shop)
    assert after < before


def test_kill_9_leaves_what_tensorflow_reads(shop, judge, dice, long):
    """At random moments; tests/test_compact.c does so at every call."""
    prefix = shop.directory / "p"
    made = judge.save_random(prefix, 5, 300)
    order = [[(k, "", made[k]) for k in sorted(made, key=str.encode)]]
    judge.save_anew(prefix, order, shop.directory / "sorted")
    wanted = judge.load(prefix)
    for i in range(60 if long else 15):
        each = copy_of(prefix, shop.directory / ("copy%d" % i))
        process = subprocess.Popen([str(mounts.BINARY), "-o", "grace=0", "--compact", str(each)],
                                   stdout=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, 0.06))
        process.kill()
        process.wait()
        assert judge.load(each) == wanted
        compact(each)
        assert files_of(each) == files_of(shop.directory / "sorted")


def broken_off(prefix):
    """A compaction that is killed while it waits for those who read the old files."""
    process = subprocess.Popen([str(mounts.BINARY), "-o", "grace=60", "--compact", str(prefix)],
                               stdout=subprocess.DEVNULL)
    assert mounts.wait_until(lambda: sstable.Bundle(str(prefix)).header["num_shards"] == 2, 10)
    process.kill()
    process.wait()


def reverse(shop, prefix, name):
    """Through a mount, which leaves dead bytes: what is in the variable then."""
    mount = shop.mount(prefix.parent)
    file = mount / prefix.name / name
    value = file.read_bytes()[::-1]
    file.write_bytes(value)
    mount.unmount()
    return value


def test_a_mount_may_write_to_what_a_crash_left_half_way(shop, judge, fixture_copy):
    """The next compaction goes on, with the data file that the mount has made."""
    prefix = fixture_copy("v2_tf1_adam") / "model.ckpt-5"
    reverse(shop, prefix, "dense/bias")
    wanted = judge.load(prefix)
    broken_off(prefix)
    assert judge.load(prefix) == wanted
    value = reverse(shop, prefix, "dense/kernel")
    wanted[b"dense/kernel"] = (*wanted[b"dense/kernel"][:2], value)
    assert judge.load(prefix) == wanted
    compact(prefix)
    assert judge.load(prefix) == wanted
    assert sorted(files_of(prefix)) == [".data-00000-of-00001", ".index"]
    assert not list(prefix.parent.glob("*.weightfs-tmp"))


def test_a_copy_onto_what_a_crash_left_is_not_taken_away(shop, judge, fixture_copy):
    """cp -p of a backup, the index last, and a mount and a compaction before that."""
    prefix = fixture_copy("v2_tf1_adam") / "model.ckpt-5"
    reverse(shop, prefix, "dense/kernel")
    (shop.directory / "backup").mkdir()
    for file in prefix.parent.glob("model.ckpt-5.[id]*"):
        shutil.copy2(file, shop.directory / "backup")
    wanted = judge.load(prefix)
    broken_off(prefix)
    backup = shop.directory / "backup/model.ckpt-5"
    subprocess.run(["cp", "-p", str(backup) + ".data-00000-of-00001", prefix.parent], check=True)
    assert "remove it" in mounts.run("-o", "grace=0", "--compact", prefix).stderr
    shop.mount(prefix.parent).unmount()
    subprocess.run(["cp", "-p", str(backup) + ".index", prefix.parent], check=True)
    shop.mount(prefix.parent).unmount()
    assert judge.load(prefix) == wanted
    compact(prefix)
    assert judge.load(prefix) == wanted
    assert not list(prefix.parent.glob("*.weightfs-tmp"))
