"""weightfs --list and --diff: what is in a checkpoint, and what differs between two."""
import base64
import json
import os
import resource

import pytest

import fixtures
import mounts
import sstable
from offline import copy_of, path_of, weightfs

NAMES = list(fixtures.manifest())


def listed(path):
    return json.loads(weightfs("--list", "--json", path))["checkpoints"]


@pytest.mark.parametrize("name", NAMES)
def test_json_has_what_the_manifest_has(name):
    found, = listed(path_of(name))
    assert found["format"] == fixtures.manifest()[name]["format"]
    tensors = found["variables"]
    keys = [base64.b64decode(t["key_base64"]) if "key_base64" in t else
            t["key"].encode("utf-8", "surrogatepass") for t in tensors]
    assert keys == sorted(keys)
    by_hash = {fixtures.hashlib.sha256(k).hexdigest(): k for k in keys if len(k) > 4096}
    told = {fixtures.key_of(t, by_hash): t for t in fixtures.manifest()[name]["tensors"]}
    assert set(keys) == told.keys()
    for key, t in zip(keys, tensors):
        assert (t["dtype"], t["shape"]) == (told[key]["dtype"], told[key]["shape"])
        assert t.get("slices", 0) == (len(told[key].get("slices", [])) or 0)
        if t["dtype"] in sstable.ITEM and t["dtype"] not in ("string", "variant"):
            count = 1
            for d in t["shape"]:
                count *= d
            assert t["bytes"] == count * sstable.ITEM[t["dtype"]]


def test_a_directory_and_a_saved_model(fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    (source / "v1").write_bytes(path_of("v1_names").read_bytes())
    (source / "bad.index").write_bytes(b"cut short")
    out = json.loads(weightfs("--list", "--json", source, code=3))["checkpoints"]
    assert [(x["prefix"], x["format"]) for x in out] == [
        ("bad", "V2"), ("model.ckpt-3", "V2"), ("model.ckpt-4", "V2"), ("model.ckpt-5", "V2"),
        ("v1", "V1")]
    assert out[0]["variables"] is None
    assert [len(x["variables"]) for x in out[1:]] == [9, 9, 9, 68]
    lines = weightfs("--list", source, code=3).splitlines()
    assert [line.split()[-1] for line in lines] == [x["prefix"] for x in out[1:]]
    model = path_of("savedmodel_tf2").parents[1]
    assert len(listed(model)[0]["variables"]) == 4
    assert len(weightfs("--list", model).splitlines()) == 4


def test_it_takes_milliseconds():
    prefix = path_of("v2_5000_variables")
    begin = spent()
    for _ in range(5):
        weightfs("--list", prefix)
    assert spent() - begin < 5 * 0.5


def spent():
    """Seconds of work of all children so far, which others do not add to."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_every_kind_of_difference(shop):
    one, two = sstable.BundleBuilder(), sstable.BundleBuilder()
    i4, f4 = sstable.DT["int32"], sstable.DT["float32"]
    for key in ("added", "changed", "removed", "reshaped", "retyped", "same"):
        value = key.encode().ljust(8, b"\0")
        if key != "added":
            one.add(key.encode(), i4, [2], value)
        if key != "removed":
            two.add(key.encode(), f4 if key == "retyped" else i4,
                    [1, 2] if key == "reshaped" else [2],
                    value[::-1] if key == "changed" else value)
    for name, build in (("a", one), ("b", two)):
        (shop.directory / (name + ".data-00000-of-00001")).write_bytes(bytes(build.data))
        (shop.directory / (name + ".index")).write_bytes(build.index())
    out = weightfs("--diff", shop.directory / "a", shop.directory / "b.index", code=1)
    assert out.splitlines() == [
        "added       added  int32 [2]",
        "changed     changed  int32 [2]",
        "removed     removed  int32 [2]",
        "reshaped    reshaped  int32 [2] -> int32 [1, 2]",
        "retyped     retyped  int32 [2] -> float32 [2]",
    ]
    # It is the index that tells: no value is read.
    (shop.directory / "a.data-00000-of-00001").write_bytes(bytes(len(one.data)))
    assert weightfs("--diff", shop.directory / "a", shop.directory / "b", code=1) == out
    assert weightfs("--diff", shop.directory / "a", shop.directory / "a") == ""


@pytest.mark.parametrize("a, b", [
    ("v2_tf1_partitioned", "v2_hand_snappy"),
    ("v2_tf1_partitioned", "v2_hand_tiny_blocks"),
    ("v2_tf1_partitioned", "v2_hand_holes"),
    ("v2_tf1_partitioned", "v2_hand_extra_shard"),
    ("v2_tf1_partitioned", "v2_hand_unknown_fields"),
    ("v1_all_dtypes", "v1_hand_snappy"),
    ("v2_tf2_manager-2", "v2_tf2_manager-2"),
])
def test_the_same_values_stored_otherwise(a, b):
    assert weightfs("--diff", path_of(a), path_of(b)) == ""
    assert weightfs("--diff", path_of(b), path_of(a)) == ""


def test_values_are_read_where_checksums_do_not_compare(shop):
    """Partitioned against plain, big against little-endian: equal, then one element is not."""
    for name in ("v2_tf1_partitioned", "v2_hand_big_endian", "v2_slices_grid"):
        bundle = sstable.Bundle(str(path_of(name)))
        slices = {sstable.slice_key(k, x) for k, e in bundle.entries.items() for x in e.slices}
        big = bundle.header["endian"] == 1
        keys = sorted(k for k in bundle.entries.keys() - slices
                      if bundle.entries[k].size or bundle.entries[k].slices)
        left = [k for k in bundle.entries.keys() - slices if k not in keys]
        if big:  # strings are the matter of another test
            left += [k for k in keys if bundle.entries[k].dtype == sstable.DT["string"]]
            keys = [k for k in keys if k not in left]
        for change in [None] + keys:
            plain = sstable.BundleBuilder()
            for key in keys:
                e = bundle.entries[key]
                value = bundle.value(key)
                if key == change:
                    value = value[:-1] + bytes([value[-1] ^ 1])
                plain.add(key, e.dtype, e.shape, value)
            (shop.directory / "p.data-00000-of-00001").write_bytes(bytes(plain.data))
            (shop.directory / "p.index").write_bytes(plain.index())
            out = weightfs("--diff", path_of(name), shop.directory / "p",
                           code=1 if change or left else 0)
            assert out.count("removed     ") == len(left)
            assert out.count("changed     ") == (1 if change else 0), (name, change, out)
            assert len(out.splitlines()) == len(left) + (1 if change else 0)


def test_any_path_and_every_kind_of_trouble(shop, fixture_copy):
    source = fixture_copy("v2_tf1_adam")
    # A directory means the latest of it.
    assert weightfs("--diff", source, source / "model.ckpt-5.data-00000-of-00001") == ""
    assert weightfs("--diff", source / "checkpoint", source / "model.ckpt-5.meta") == ""
    (source / "checkpoint").unlink()
    weightfs("--diff", source, source / "model.ckpt-5", code=2)
    weightfs("--diff", source / "nothing", source / "model.ckpt-5", code=2)
    weightfs("--diff", source / "model.ckpt-5", code=2)
    model = path_of("savedmodel_tf2").parents[1]
    assert weightfs("--diff", model, path_of("savedmodel_tf2")) == ""
    # What cannot be read is neither the same nor different.
    bad = copy_of(path_of("v2_hand_big_endian"), shop.directory / "bad")
    os.truncate(str(bad) + ".data-00000-of-00001", 1)
    out = weightfs("--diff", bad, path_of("v2_tf1_adam-3"), code=1)
    assert out.count("removed") == 11
    weightfs("--convert", "--to", "v2", path_of("v2_hand_big_endian"), shop.directory / "little")
    out = weightfs("--diff", bad, shop.directory / "little", code=2)
    assert "unreadable" in out


@pytest.mark.parametrize("order", ["key", "offset"])
def test_an_order_is_for_compact(shop, order):
    done = mounts.run("--list", "--order", order, shop.directory)
    assert done.returncode == 2 and "--order belongs to --compact" in done.stderr
