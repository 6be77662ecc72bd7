"""V1 checkpoints read through a real mount: every fixture, what TensorFlow saves, and damage."""
import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fixtures
import mounts
import sstable
import tensors
import tree

V1 = fixtures.names("V1")
INTEGERS = {"int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
            "uint8": "u1", "uint16": "u2", "qint8": "i1", "quint8": "u1", "qint32": "i4"}


def build(*tensors_, **options):
    """A V1 file of (name, dtype, shape, extents, value)."""
    made = sstable.V1Builder()
    for name, *tensor in tensors_:
        made.add(name.encode(), *tensor)
    return made.build(**options)


def literal_snappy(raw):
    """Snappy data that repeats nothing: the shortest compressor there is."""
    pieces = [raw[i:i + 65536] for i in range(0, len(raw), 65536)]
    return sstable.uvarint(len(raw)) + b"".join(
        b"\xf4" + (len(p) - 1).to_bytes(2, "little") + p for p in pieces)


def descriptors(mount):
    return len(os.listdir("/proc/%d/fd" % mounts.daemons_at(mount.point)[0]))


@pytest.mark.sanitized
@pytest.mark.parametrize("name", V1)
def test_a_walk_equals_the_manifest(shop, name):
    """Bytes, dtype, shape and key of every variable, and nothing more is listed or logged."""
    mount = shop.mount(fixtures.FIXTURE_DIR / fixtures.directory_of(name), "ro")
    mount.mark()
    shown = list(tree.find(tensors.variables(name), mount / tensors.shown_prefix(name)))
    assert len(shown) == len(tensors.wanted(name))
    for variable, path in shown:
        tree.check_variable(variable, path)
    assert not mount.news()


def random_tensor(rng, dtype):
    shape = [int(n) for n in rng.randint(0, 5, rng.randint(0, 4))]
    count = int(np.prod(shape))
    if dtype == "string":
        return dtype, shape, [rng.bytes(rng.choice([0, 1, 3, 200])) for _ in range(count)]
    if dtype == "bool":
        return dtype, shape, bytes(rng.randint(0, 2, count, "u1"))
    return dtype, shape, rng.bytes(count * sstable.ITEM[dtype])


def test_what_tensorflow_saves_reads_back(shop, judge):
    """Every dtype of V1, hundreds of tensors of any shape and any bits."""
    rng = np.random.RandomState(5)
    items = {"%s/%d" % (dtype, i): random_tensor(rng, dtype)
             for dtype in sstable.V1_FIELD for i in range(12)}
    source = shop.directory / "runs"
    source.mkdir()
    judge.v1_save(source / "ckpt", items)
    mount = shop.mount(source, "ro")
    for key, (dtype, shape, value) in items.items():
        content = fixtures.string_content(value, shape) if dtype == "string" else value
        tree.check_variable(fixtures.Variable(key.encode(), dtype, shape, content, None),
                            mount.path("ckpt", key))


def test_odd_lists_are_read_as_tensorflow_reads_them(shop, judge):
    """Numbers that do not fit their dtype, in lists that are packed, and not, and both."""
    numbers = [0x123456789, 256 + 7, -129, 0x1ffffffff, -1, 70000]
    made = sstable.V1Builder()
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "bool", "float16"):
        name, field = dtype.encode(), sstable.V1_FIELD[dtype][0]
        made.add(name, dtype, [6], [None], bytes(6 * sstable.ITEM[dtype]))
        proto = sstable.f_bytes(field, b"".join(sstable.svarint(n) for n in numbers[:3]))
        proto += b"".join(sstable.uvarint(field << 3) + sstable.svarint(n) for n in numbers[3:])
        saved = sstable.f_bytes(1, name) + sstable.f_bytes(2, sstable.slice_proto([None]), True)
        made.recs[sstable.slice_key(name, [None])] = sstable.f_bytes(
            2, saved + sstable.f_bytes(3, proto))
    source = shop.directory / "runs"
    source.mkdir()
    (source / "ckpt").write_bytes(made.build())
    told = judge.v1_load(source / "ckpt")
    mount = shop.mount(source, "ro")
    for key, (_, _, content) in told.items():
        assert tree.read(mount.path("ckpt", key)) == content, key


def test_a_sharded_save_is_one_checkpoint_and_is_followed(shop, judge):
    """`P-?????-of-0000N` shows as P; whatever file of it is replaced, the new values show."""
    source = shop.directory / "runs"
    source.mkdir()
    names = ["p-%05d-of-00002" % i for i in range(2)]

    def save(number, value):
        extents = [(2 * number, 2)]
        text = build(("own%d" % number, "int32", [2], [None], np.full(2, value, "i4").tobytes()),
                     ("both", "int16", [4], extents, np.full(2, value, "i2").tobytes()))
        (source / "fresh").write_bytes(text)
        os.rename(source / "fresh", source / names[number])

    save(0, 1)
    save(1, 1)
    assert judge.v1_load(source / "p-?????-of-00002")[b"both"][2] == np.full(4, 1, "i2").tobytes()
    mount = shop.mount(source)
    assert os.listdir(mount.point) == ["p"]
    assert abs(os.stat(mount / "p").st_mtime - os.stat(source / names[0]).st_mtime) < 1
    assert sorted(os.listdir(mount / "p"))[0] == "both"
    assert np.fromfile(mount / "p/both", "i2").tolist() == [1, 1, 1, 1]
    for number, want in ((1, [1, 1, 2, 2]), (0, [2, 2, 2, 2])):
        save(number, 2)
        assert mounts.wait_until(
            lambda: np.fromfile(mount / "p/both", "i2").tolist() == want, 3), want
        assert np.fromfile(mount / ("p/own%d" % number), "i4").tolist() == [2, 2]


def test_a_file_that_is_missing_costs_its_own_tensors(shop):
    """The others are read; when it comes, so are its own."""
    source = shop.directory / "runs"
    source.mkdir()
    count = 1 << 18
    half = [build(("x%d" % i, "uint8", [2], [None], bytes(2)),
                  ("both", "float32", [2 * count], [(count * i, count)], bytes([i]) * 4 * count))
            for i in range(2)]
    (source / "p-00000-of-00002").write_bytes(half[0])
    mount = shop.mount(source)
    assert tree.read(mount / "p/x0") == bytes(2)
    assert tree.error_of(tree.read, mount / "p/both") == "EIO"
    with open(mount / "p/both", "rb", buffering=0) as f:
        assert os.pread(f.fileno(), 4 * count, 0) == bytes(4 * count)
        assert tree.error_of(os.pread, f.fileno(), 1, 4 * count) == "EIO"
    assert not os.path.exists(mount / "p/x1")
    assert len(re.findall("missing", mount.log())) == 1
    assert tree.error_of(tree.write, mount / "p/x0", b"ab") == "EIO"
    assert "p: cannot be written: one of its files is missing" in mount.log()
    assert "p: one of its files is missing" in mounts.run("--check", source / "p").stdout
    (source / "p-00001-of-00002").write_bytes(half[1])
    assert mounts.wait_until(lambda: os.path.exists(mount / "p/x1"), 3)
    assert tree.read(mount / "p/both") == bytes(4 * count) + b"\1" * 4 * count


@pytest.mark.sanitized
@pytest.mark.parametrize("packed", [False, True])
def test_a_record_that_is_missing_or_lies_costs_one_variable(shop, packed):
    """EIO with one line in the log; the others are read."""
    made = sstable.V1Builder()
    for name in ("count", "good", "missing", "name"):
        made.add(name.encode(), "int32", [3], [None], np.arange(3, dtype="i4").tobytes())
    key = {n: sstable.slice_key(n, [None]) for n in (b"count", b"good", b"missing", b"name")}
    del made.recs[key[b"missing"]]
    made.recs[key[b"count"]] = made.recs[key[b"count"]].replace(b"\x3a\x03\0\1\2", b"\x3a\x02\0\1\x18\1")
    made.recs[key[b"name"]] = made.recs[key[b"name"]].replace(b"name", b"mane")
    source = shop.directory / "runs"
    source.mkdir()
    (source / "ckpt").write_bytes(made.build(compress=literal_snappy if packed else None))
    mount = shop.mount(source, "ro")
    assert np.fromfile(mount / "ckpt/good", "i4").tolist() == [0, 1, 2]
    for name in ("count", "missing", "name"):
        mount.mark()
        assert tree.error_of(tree.read, mount / "ckpt" / name) == "EIO"
        assert len(mount.news(1, expect=1)) == 1, mount.news()
    assert tree.read(mount / "ckpt/missing.shape") == b"[3]\n"
    assert mount.alive()


def test_a_damaged_block_costs_the_tensors_in_it(shop, fixture_copy):
    """v1_big_blocks has five blocks; a byte of one is turned."""
    source = fixture_copy("v1_big_blocks")
    wanted = {k.decode(): t.content() for k, t in tensors.wanted("v1_big_blocks").items()}
    text = bytearray((source / "ckpt.v1").read_bytes())
    at = text.index(wanted["b"][:64])
    text[at + 1000] ^= 1
    (source / "ckpt.v1").write_bytes(text)
    os.utime(source / "ckpt.v1", (1e9, 1e9))
    mount = shop.mount(source, "ro")
    for key, content in wanted.items():
        path = mount / "ckpt.v1" / key
        assert os.stat(path).st_size == len(content)
        error = tree.error_of(tree.read, path)
        assert error == ("EIO" if key == "b" else None), key
        assert error or tree.read(path) == content


def test_large_slices_are_not_held_in_memory(shop, judge):
    """128 MB of int32 and as many of float32: read whole, in pieces, and one after the other."""
    count = 32 << 20
    values = np.random.RandomState(1).randint(1 << 21, 1 << 28, count, "i4")
    source = shop.directory / "runs"
    source.mkdir()
    judge.v1_save(source / "ckpt", {"f": ("float32", [count], values.tobytes()),
                                    "i": ("int32", [count], values.tobytes()),
                                    "small": ("int32", [1], b"\5\0\0\0")})
    mount = shop.mount(source, "ro")
    assert np.fromfile(mount / "ckpt/small", "i4").tolist() == [5]
    for name in ("i", "f"):
        with open(mount / "ckpt" / name, "rb", buffering=0) as f:
            for at in (0, count - 3, count // 2):
                assert os.pread(f.fileno(), 12, 4 * at) == values[at:at + 3].tobytes()
    for name in ("f", "i"):
        assert np.array_equal(np.fromfile(mount / "ckpt" / name, "i4"), values), name
    if not mounts.SANITIZED:
        assert mounts.peak(mount) < 64, mounts.peak(mount)


@pytest.mark.sanitized
def test_snappy_blocks_of_megabytes(shop):
    """A block is unpacked into a file, and values are read there."""
    values = np.random.RandomState(1).bytes(3 << 20)
    text = build(("f", "float32", [3 << 18], [None], values), ("s", "string", [2], [None], [b"x", values]),
                 ("u", "uint16", [1 << 16], [None], values[:1 << 17]), compress=literal_snappy)
    source = shop.directory / "runs"
    source.mkdir()
    (source / "ckpt").write_bytes(text)
    mount = shop.mount(source, "ro")
    assert tree.read(mount / "ckpt/f") == values
    assert tree.read(mount / "ckpt/s") == fixtures.string_content([b"x", values], [2])
    assert tree.read(mount / "ckpt/u") == values[:1 << 17]


def test_reading_thousands_leaves_no_files_open(shop):
    """Integers and strings have files of their own, but few keep them."""
    made = sstable.V1Builder()
    for i in range(1500):
        made.add(b"i%d" % i, "int32", [2], [None], bytes(8))
        made.add(b"s%d" % i, "string", [2], [None], [b"a", b"%d" % i])
    source = shop.directory / "runs"
    source.mkdir()
    (source / "ckpt").write_bytes(made.build())
    mount = shop.mount(source, "ro")
    before = descriptors(mount)
    done = subprocess.run(["ls", "-l", mount / "ckpt"], stdout=subprocess.PIPE, check=True)
    assert done.stdout.count(b"\n") == 9001
    for i in range(1500):
        assert tree.read(mount / ("ckpt/i%d" % i)) == bytes(8)
        assert tree.read(mount / ("ckpt/s%d" % i)) == b"a\n%d\n" % i
    assert mounts.wait_until(lambda: descriptors(mount) < before + 100, 3), descriptors(mount)


def test_a_reader_goes_on_when_the_file_is_replaced(shop):
    """Who has a value open reads the old one to its end."""
    source = shop.directory / "runs"
    source.mkdir()
    old, new = (np.full(300000, n, "i4") for n in (1, 2))
    (source / "ckpt").write_bytes(build(("w", "int32", [300000], [None], old.tobytes())))
    mount = shop.mount(source)
    with open(mount / "ckpt/w", "rb", buffering=0) as f:
        head = f.read(4096)
        (source / "fresh").write_bytes(build(("w", "int32", [300000], [None], new.tobytes())))
        os.rename(source / "fresh", source / "ckpt")
        assert mounts.wait_until(
            lambda: tree.read(mount / "ckpt/w") == new.tobytes(), 3)
        assert head + f.readall() == old.tobytes()


@pytest.mark.sanitized
@pytest.mark.parametrize("options", [["ro"], []])
def test_many_read_at_once(shop, options):
    """Eight threads, a hundred values that need files of their own, and slices of some."""
    rng = np.random.RandomState(3)
    wanted, made = {}, []
    for i in range(100):
        value = rng.randint(-2**15, 2**15, 3000, "i2")
        wanted["i%d" % i] = value.tobytes()
        wanted["s%d" % i] = b"".join(b"%d\n" % n for n in value[:50])
        made.append(("s%d" % i, "string", [50], [None], [b"%d" % n for n in value[:50]]))
        if i % 3:
            made.append(("i%d" % i, "int16", [3000], [None], value.tobytes()))
            continue
        for at in range(0, 3000, 1000):
            made.append(("i%d" % i, "int16", [3000], [(at, 1000)], value[at:at + 1000].tobytes()))
    source = shop.directory / "runs"
    source.mkdir()
    (source / "ckpt").write_bytes(build(*made, block_size=4096))
    mount = shop.mount(source, *options)
    names = list(wanted)

    def read(seed):
        order = random.Random(seed)
        for _ in range(150):
            name = order.choice(names)
            fd = os.open(mount / "ckpt" / name, os.O_RDONLY)
            try:
                at = order.randrange(len(wanted[name]))
                assert os.pread(fd, 700, at) == wanted[name][at:at + 700], name
            finally:
                os.close(fd)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
