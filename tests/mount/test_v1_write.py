"""DESIGN 5.1, FORMAT 7: a V1 checkpoint is written as TensorFlow's V1 writer writes it."""
import errno
import filecmp
import os
import shutil
import time

import numpy as np
import pytest

import fixtures
import jobs
import tensors
import tree
from mounts import wait_until
from writing import sh

SIZES = {"float32": 4, "float64": 8, "float16": 2, "complex64": 8, "complex128": 16, "int8": 1,
         "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "bool": 1, "qint8": 1,
         "quint8": 1, "qint32": 4}
REFUSED = ["bfloat16", "uint32", "uint64", "qint16", "quint16", "float8_e5m2", "float8_e4m3fn",
           "int4", "uint4"]
MADE = ["v1_all_dtypes", "v1_big_blocks", "v1_names", "v1_slices"]


def content(dtype, count, seed):
    raw = np.random.RandomState(seed).bytes(SIZES[dtype] * count)
    return bytes(x & 1 for x in raw) if dtype == "bool" else raw


def values(seed=1):
    """A tensor of every dtype that V1 has, as judge.v1_save() takes it."""
    made = {"all/" + d: (d, [3, 4], content(d, 12, seed + i)) for i, d in enumerate(SIZES)}
    made["all/string"] = ("string", [2, 2], [b"", b"%d" % seed, b"a\nb", bytes(range(256))])
    made["scalar"] = ("float32", [], content("float32", 1, seed))
    made["empty"] = ("int32", [0, 3], b"")
    return made


def stored(items):
    return {k.encode(): v for k, v in items.items()}


def shown(value):
    """The file of a value."""
    dtype, shape, raw = value
    return fixtures.string_content(raw, shape) if dtype == "string" else raw


@pytest.fixture
def source(shop, judge):
    made = shop.directory / "runs"
    made.mkdir()
    judge.v1_save(made / "ckpt", values())
    return made


@pytest.mark.sanitized
def test_every_dtype_is_written_and_all_others_stay(shop, judge, source):
    """One variable after the other: TensorFlow reads the new value, and the old ones of the rest."""
    mount = shop.mount(source)
    now, fresh = values(), values(50)
    for key, value in fresh.items():
        now[key] = value
        tree.write(mount / "ckpt" / key, shown(value))
        jobs.fsync(mount / "ckpt" / key)
        assert judge.v1_load(source / "ckpt") == stored(now), key
        judge.v1_save(shop.directory / "expected", now)
        assert filecmp.cmp(source / "ckpt", shop.directory / "expected", shallow=False), key
        assert tree.read(mount / "ckpt" / key) == shown(value)


@pytest.mark.parametrize("name", MADE + ["v1_tf1_adam"])
def test_a_value_changed_and_back_is_the_same_file(shop, fixture_copy, name):
    """Each variable in turn; the fixtures are what TensorFlow wrote."""
    source = fixture_copy(name)
    prefix = fixtures.prefix_of(name) if name != "v1_tf1_adam" else "model.ckpt-3"
    before = (source / prefix).read_bytes()
    mount = shop.mount(source, "commit=manual")
    files = [p for p in sorted((mount / prefix).rglob("*")) if p.is_file() and
             not p.name.endswith((".shape", ".dtype"))]
    assert files
    changed = []
    for path in files:
        old = tree.read(path)
        if not old or tree.read(str(path) + ".dtype") == b"string\n":
            continue
        changed.append((path, old))
        tree.write(path, bytes(x ^ 1 for x in old))
    assert jobs.control(mount, "commit") == (0, "")
    assert (source / prefix).read_bytes() != before
    for path, old in changed:
        tree.write(path, old)
    assert jobs.control(mount, "commit") == (0, "")
    assert (source / prefix).read_bytes() == before


def test_a_value_in_one_of_several_files(shop, fixture_copy, judge):
    """Only the file that has it, or a slice of it, is written; and back, all is as before."""
    source = fixture_copy("v1_tf1_sharded")
    names = sorted(p.name for p in source.glob("model.ckpt-*-of-*"))
    before = {n: (source / n).read_bytes() for n in names}
    mount = shop.mount(source)
    pattern = source / "model.ckpt-?????-of-00002"
    old = judge.v1_load(pattern)
    for key, (dtype, shape, raw) in old.items():
        path = mount / "model.ckpt" / key.decode()
        tree.write(path, bytes(len(raw)))
        jobs.fsync(path)
        now = judge.v1_load(pattern)
        assert now.pop(key) == (dtype, shape, bytes(len(raw)))
        assert now == {k: v for k, v in old.items() if k != key}
        differ = [n for n in names if (source / n).read_bytes() != before[n]]
        parts = tree.error_of(os.getxattr, path, "user.weightfs.slices") is None
        assert len(differ) <= 1 + parts, (key, differ)
        tree.write(path, raw)
        jobs.fsync(path)
        assert {n: (source / n).read_bytes() for n in names} == before, key


def test_names_come_go_and_change(shop, judge, source):
    """cp, cp -r, mv, rm, reshape and retype, in one commit and in many."""
    mount = shop.mount(source)
    now = values()
    for command, change in [
            ("cp all/float32 copy", lambda: now.update(copy=None)),
            ("cp -a all/int64 all/fresh", lambda: now.update({"all/fresh": now["all/int64"]})),
            ("cp -r all again", lambda: now.update({k.replace("all/", "again/"): v for k, v in
                                                    list(now.items()) if k.startswith("all/")})),
            ("mv all/int8 moved", lambda: now.update(moved=now.pop("all/int8"))),
            ("mv again renamed", lambda: now.update({k.replace("again/", "renamed/"): now.pop(k)
                                                     for k in list(now) if k.startswith("again/")})),
            ("rm scalar scalar.shape scalar.dtype", lambda: now.pop("scalar")),
            ("echo '[12]' > all/float32.shape", lambda: now.update({
                "all/float32": ("float32", [12], now["all/float32"][2])})),
            ("echo int32 > all/float32.dtype", lambda: now.update({
                "all/float32": ("int32", [12], now["all/float32"][2])})),
            ("echo '[4]' > all/string.shape", lambda: now.update({
                "all/string": ("string", [4], now["all/string"][2])})),
            ("rm -r renamed", lambda: [now.pop(k) for k in list(now) if k.startswith("renamed/")])]:
        jobs.run(mount / "ckpt", command)
        change()
        if now.get("copy", ()) is None:
            now["copy"] = now["all/float32"]
        jobs.fsync(mount / "ckpt")
        assert judge.v1_load(source / "ckpt") == stored(now), command
        judge.v1_save(shop.directory / "expected", dict(sorted(now.items())))
        assert filecmp.cmp(source / "ckpt", shop.directory / "expected", shallow=False), command


@pytest.mark.parametrize("dtype", REFUSED + ["variant"])
def test_a_dtype_that_v1_does_not_have_is_refused(shop, judge, source, dtype):
    """EOPNOTSUPP when it is declared, with a line that says what to do; nothing changes."""
    mount = shop.mount(source)
    before = (source / "ckpt").read_bytes()
    tree.read(mount / "ckpt/scalar")
    mount.mark()
    with pytest.raises(OSError) as e:
        tree.write(mount / "ckpt/all/float32.dtype", dtype.encode() + b"\n")
    assert e.value.errno == errno.EOPNOTSUPP
    lines = mount.news(1, expect=1)
    assert lines and "--convert --to v2" in lines[0], lines
    assert tree.read(mount / "ckpt/all/float32.dtype") == b"float32\n"
    with pytest.raises(OSError) as e:
        (mount / "ckpt/made.dtype").write_text(dtype + "\n")
    assert e.value.errno == errno.EOPNOTSUPP
    mount.unmount()
    assert (source / "ckpt").read_bytes() == before


def test_a_value_of_such_a_dtype_is_refused_at_close(shop, judge, source):
    """cp from a V2 checkpoint, which tells the dtype by copy_file_range."""
    judge.save(source / "v2", {"w": np.zeros(4, "u4")})
    mount = shop.mount(source)
    tree.read(mount / "ckpt/scalar")
    status, said = sh("cp v2/w ckpt/w", mount.point)
    if status:
        assert "not supported" in said, said
    mount.unmount()
    now = judge.v1_load(source / "ckpt")
    assert b"w" not in now or now[b"w"][0] == "uint8"
    assert {k: v for k, v in now.items() if k != b"w"} == stored(values())


def test_the_checkpoint_as_a_whole(shop, judge, source):
    """cp -r makes a V2 of it; mv and rm -r move and remove the file."""
    mount = shop.mount(source)
    jobs.run(mount.point, "cp -r ckpt copy", "mv ckpt other")
    tree.write(mount / "other/scalar", b"\0\0\0\0")
    jobs.fsync(mount / "other/scalar")
    jobs.fsync(mount / "copy")
    assert sorted(os.listdir(source)) == ["copy.data-00000-of-00001", "copy.index", "other"]
    now = dict(values(), scalar=("float32", [], b"\0\0\0\0"))
    assert judge.v1_load(source / "other") == stored(now)
    assert {k: v for k, v in judge.load(source / "copy").items() if k.startswith(b"scalar")} == {
        b"scalar": values()["scalar"]}
    jobs.run(mount.point, "rm -r other")
    assert wait_until(lambda: not (source / "other").exists(), 5)


def test_a_checkpoint_can_become_empty(shop, judge, source):
    """TensorFlow opens a file without tensors; a new one can be put in."""
    mount = shop.mount(source)
    jobs.run(mount / "ckpt", "rm -r *")
    jobs.fsync(mount / "ckpt")
    assert judge.v1_load(source / "ckpt") == {}
    jobs.run(mount / "ckpt", "printf '[2]' > w.shape; printf int16 > w.dtype; printf abcd > w")
    jobs.fsync(mount / "ckpt/w")
    assert judge.v1_load(source / "ckpt") == {b"w": ("int16", [2], b"abcd")}


def test_owner_and_mode_stay(shop, judge, source):
    """The new file is whose the old one was."""
    os.chmod(source / "ckpt", 0o640)
    if os.getuid() == 0:
        os.chown(source / "ckpt", 1234, 4321)
    before = os.stat(source / "ckpt")
    mount = shop.mount(source)
    tree.write(mount / "ckpt/scalar", b"\0\0\0\0")
    jobs.fsync(mount / "ckpt/scalar")
    after = os.stat(source / "ckpt")
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid)


def test_an_old_reader_keeps_the_old_file(shop, judge, source):
    """A TensorFlow that opened it before reads the old values, whatever is committed since."""
    judge.hold(source / "ckpt")
    mount = shop.mount(source)
    tree.write(mount / "ckpt/all/int64", bytes(96))
    jobs.fsync(mount / "ckpt/all/int64")
    assert judge.held("all/int64") == values()["all/int64"]
    shutil.copy(source / "ckpt", shop.directory / "now")
    assert judge.v1_load(shop.directory / "now")[b"all/int64"][2] == bytes(96)


def test_several_files_have_the_attributes_of_the_first(shop, fixture_copy):
    """Before anybody has looked into them, and afterwards."""
    source = fixture_copy("v1_tf1_sharded")
    first = source / "model.ckpt-00000-of-00002"
    os.chmod(first, 0o640)
    os.utime(first, (1e9, 1e9))
    mount = shop.mount(source)
    before = os.stat(mount / "model.ckpt")
    assert (before.st_mode & 0o777, before.st_mtime) == (0o750, 1e9)
    assert os.listdir(mount / "model.ckpt")
    after = os.stat(mount / "model.ckpt")
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


def test_a_damaged_list_is_told_of_once(shop, fixture_copy):
    """Whoever looks again finds the same, and the log is not filled with it."""
    source = fixture_copy("v1_tf1_sharded")
    first = source / "model.ckpt-00000-of-00002"
    raw = bytearray(first.read_bytes())
    raw[5] ^= 0xff
    first.write_bytes(raw)
    os.utime(first, (1e9, 1e9))
    mount = shop.mount(source)
    time.sleep(2.2)  # what has just been written may not be whole
    mount.mark()
    for _ in range(5):
        tree.error_of(os.listdir, mount / "model.ckpt")
        tree.error_of(os.stat, mount / "model.ckpt/none")
    lines = [x for x in mount.news(1, expect=1) if "damaged" in x or "not shown" in x]
    assert 0 < len(lines) <= 3, lines


def test_changes_that_follow_each_other_gather(shop, judge, source):
    """While there is something new every two seconds the file stays; then it is written once."""
    mount = shop.mount(source)
    before, writes = os.stat(source / "ckpt").st_ino, []
    for i in range(4):
        tree.write(mount / "ckpt/all/int16", bytes([i]) * 24)
        writes.append(time.monotonic())
        time.sleep(2)
        same = os.stat(source / "ckpt").st_ino == before
        assert same or longest_pause(writes) > 4.5
    last = bytes([3]) * 24
    # Not by TensorFlow, which asks for the size of a file before it opens it.
    assert wait_until(
        lambda: tensors.read(source / "ckpt").tensors[b"all/int16"].value == last, 10)
    assert judge.v1_load(source / "ckpt")[b"all/int16"][2] == last
    after = os.stat(source / "ckpt").st_ino
    time.sleep(1)
    assert os.stat(source / "ckpt").st_ino == after


def longest_pause(moments):
    """The most seconds from one to the next, and to now; a busy machine may take its time."""
    return max(b - a for a, b in zip(moments, [*moments[1:], time.monotonic()]))
