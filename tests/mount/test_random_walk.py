"""A random walk of operations against a model in memory: tree, bytes and errno agree."""
import math

import pytest

import disk
import jobs
import model
import sstable
import tensors
import walk

START = {"dense/kernel": ("f4", (6, 4)), "dense/kernel/a": ("f4", (6, 4)), "dense/bias": ("f4", (4,)),
         "a": ("i8", ()), "b": ("i2", (3, 5)), "bias/gamma": ("f8", (2, 2))}
# Where a variable of START lies in parts
PARTS = {"dense/kernel": [[(4, 2), None], [(0, 4), None]],
         "dense/kernel/a": [[(0, 6), (0, 1)], [(0, 6), (1, 3)]],
         "b": [[(0, 1), (0, 2)], [(1, 2), (0, 2)], [(0, 1), (2, 3)], [(1, 2), (2, 3)]],
         "bias/gamma": [[(0, 1), (0, 2)], [(1, 1), (0, 2)]]}
V1_LACKS = ["bfloat16", "uint32", "uint64", "qint16", "float8_e5m2", "int4"]
# bool: V1 has no room for bytes that are neither 0 nor 1, which a retype makes
V1_DTYPES = [d for d in walk.DTYPES if d in sstable.V1_FIELD and d != "bool"]


def start():
    return {k: jobs.array(i, *s, dtype=d) for i, (k, (d, s)) in enumerate(START.items())}


def start_plain(judge, prefix):
    """One shard of TensorFlow's."""
    judge.save(prefix, start())


def start_slices(kind):
    """Most variables in parts."""
    def begin(judge, prefix):
        parts = []
        for key, value in start().items():
            whole = tensors.Tensor(value.dtype.name, value.shape, value.tobytes(), PARTS.get(key, []))
            for extents, spec in zip(whole.slices, whole.specs()):
                shape = [d if e is None else e[1] for d, e in zip(whole.shape, extents)]
                parts.append((key, spec, (whole.dtype, shape, whole.part(extents))))
            if not whole.slices:
                parts.append((key, "", value))
        judge.save_slices(prefix, kind, parts)
    return begin


def start_big_endian(_, prefix):
    """As a host of the other byte order writes it."""
    entries, data = {}, b""
    for key, value in start().items():
        raw = value.astype(value.dtype.newbyteorder(">")).tobytes()
        entries[key.encode()] = sstable.Entry(sstable.DT[value.dtype.name], value.shape, 0, len(data),
                                              len(raw), sstable.mask(sstable.crc(raw)))
        data += raw
    with open(sstable.data_name(str(prefix), 0, 1), "wb") as f:
        f.write(data)
    with open(str(prefix) + ".index", "wb") as f:
        f.write(sstable.make_index(entries, 1, header=sstable.header_proto(endian=1)))


def stored(prefix):
    """What is in the checkpoint, by the independent reader."""
    return {k.decode(): (t.dtype, t.shape, t.value) for k, t in tensors.read(prefix).tensors.items()}


def as_told(dtype, content):
    """For TensorFlow any byte of a bool that is not 0 is 1, at least where it is a scalar."""
    return bytes(b != 0 for b in content) if dtype == "bool" else content


def agree(judge, prefix, steps):
    """TensorFlow reads what the model holds, and no more."""
    wanted = steps.model.stored()
    assert judge.names(prefix) == {k.encode(): (d, list(s)) for k, (d, s, _) in wanted.items()}
    asked = [(k, "", d) for k, (d, _, _) in wanted.items()]
    values = judge.restore_slices(prefix, asked) if asked else []  # RestoreV2 wants one at least
    for (key, (dtype, shape, content)), value in zip(wanted.items(), values):
        assert len(value) == math.prod(shape) * sstable.ITEM[dtype]
        assert as_told(dtype, value) == as_told(dtype, content), (key, steps.trace[-20:])


def walk_about(shop, judge, dice, begin, rounds, count, **kind):
    """Rounds of so many steps; after each remount what is on disk is compared."""
    source = shop.directory / "source"
    source.mkdir()
    prefix = source / "ckpt"
    begin(judge, prefix)
    steps = walk.Walk(dice, None, stored(prefix), **kind)
    for _ in range(rounds):
        mount = shop.mount(prefix)
        steps.root = str(mount.point)
        steps.look_everywhere()
        for _ in range(2):
            steps.walk(count)
            steps.look_everywhere()
        jobs.fsync(mount.point)
        there = stored(prefix)
        sure = steps.model.stored()
        assert {k: there.get(k) for k in sure} == sure, steps.trace[-8:]
        untyped = {model.key(p) for p, v in steps.model.files.items() if not v.typed}
        assert there.keys() - sure.keys() <= untyped, steps.trace[-8:]
        mount.unmount()
        steps.model.remount()
        assert stored(prefix) == steps.model.stored(), steps.trace[-8:]
    agree(judge, prefix, steps)
    return disk.digest(source)


@pytest.mark.sanitized
def test_a_random_walk_agrees_with_the_model(shop, judge, dice, long):
    """Every errno, every byte and every name; after each remount what is on disk."""
    walk_about(shop, judge, dice, start_plain, *((50, 50) if long else (10, 30)))


@pytest.mark.sanitized
def test_a_random_walk_in_a_partitioned_checkpoint(shop, judge, dice, long):
    """The same, most variables in slices; no key of a slice is left over."""
    walk_about(shop, judge, dice, start_slices("V2"), *((50, 50) if long else (5, 30)))


@pytest.mark.sanitized
def test_a_random_walk_in_a_big_endian_checkpoint(shop, judge, dice, long):
    """The same where all numbers are swapped on disk."""
    walk_about(shop, judge, dice, start_big_endian, *((50, 50) if long else (5, 30)),
               lacks=["float8_e4m3fn", "int4", "float4_e2m1fn", "uint2"])


@pytest.mark.sanitized
def test_a_random_walk_in_a_v1_checkpoint(shop, judge, dice, long):
    """The same where each commit writes the whole file; it stays one file, V1."""
    files = walk_about(shop, judge, dice, start_slices("V1"), *((50, 50) if long else (5, 30)),
                       dtypes=V1_DTYPES, lacks=V1_LACKS)
    assert list(files) == ["ckpt"]


@pytest.mark.sanitized
def test_a_random_walk_in_plain_v1(shop, judge, dice, long):
    """The same, every variable whole, as most V1 files have it."""
    def begin(word, prefix):
        word.save_slices(prefix, "V1", [(k, "", v) for k, v in start().items()])
    walk_about(shop, judge, dice, begin, *((50, 50) if long else (3, 30)), dtypes=V1_DTYPES,
               lacks=V1_LACKS)
