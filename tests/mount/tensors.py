"""All tensors of a checkpoint on disk, whatever its format: the word of sstable.py.

read() knows V2 and V1, one file or many, either byte order, slices and variants, and
shares no code with the program under test.  wanted() holds the fixtures against what
TensorFlow read when manifest.json was made.
"""
import functools
import glob
import hashlib
import math
import re
import struct

import fixtures
import sstable
from sstable import DT_NAME, ITEM

# What one number is made of, where that is not one item: complex numbers are swapped by halves.
UNIT = dict(ITEM, complex64=4, complex128=8)
GLOB = re.compile(r"-\?{5}-of-(\d{5})$")
HOLE = object()


class Tensor:
    """One tensor, little-endian; strings and variants as lists of elements.

    An element that no slice covers is HOLE (in a list), or zeroes (`holes` has where).
    """

    def __init__(self, dtype, shape, value, slices=(), holes=()):
        self.dtype, self.shape, self.value = dtype, list(shape), value
        self.slices = [[None if e is None else tuple(e) for e in s] for s in slices]
        self.holes = list(holes)

    def __eq__(self, other):
        mine, theirs = vars(self), vars(other)
        return mine == theirs

    def __repr__(self):
        return "Tensor(%s, %s, %.60r, %r)" % (self.dtype, self.shape, self.value, self.slices)

    def content(self):
        """The bytes of its file in a mount."""
        if self.dtype == "string":
            return fixtures.string_content(self.value, self.shape)
        if self.dtype == "variant":
            return sstable.encode_variants(self.value)[0]
        return self.value

    def specs(self):
        """Each slice as RestoreV2 asks for it."""
        return [spec(self.shape, s) for s in self.slices]

    def part(self, extents):
        """The elements of one slice."""
        full = self.elements()
        found = [full[i] for i in positions(self.shape, extents)]
        return found if self.dtype in ("string", "variant") else b"".join(found)

    def elements(self):
        if self.dtype in ("string", "variant"):
            return self.value
        item = ITEM[self.dtype]
        return [self.value[i:i + item] for i in range(0, len(self.value), item)]


def spec(shape, extents):
    """`7 9 3,4:-`, as TensorFlow writes a slice of a tensor."""
    ranges = ":".join("-" if e is None else "%d,%d" % tuple(e) for e in extents)
    return " ".join([*map(str, shape), ranges])


def positions(shape, extents):
    """The elements of a slice, by their number in the whole tensor, in the slice's order."""
    found = [0]
    for length, e in zip(shape, extents):
        start, count = (0, length) if e is None else e
        found = [p * length + i for p in found for i in range(start, start + count)]
    return found


def assemble(dtype, shape, parts):
    """A Tensor out of [(extents, value)]."""
    count = math.prod(shape)
    whole = [HOLE] * count
    for extents, value in parts:
        piece = Tensor(dtype, [], value).elements()
        for at, x in zip(positions(shape, extents), piece, strict=True):
            assert whole[at] is HOLE, "slices overlap"
            whole[at] = x
    holes = [i for i, x in enumerate(whole) if x is HOLE]
    if dtype not in ("string", "variant"):
        whole = b"".join(bytes(ITEM[dtype]) if x is HOLE else x for x in whole)
    return Tensor(dtype, shape, whole, [e for e, _ in parts], holes)


def swapped(dtype, content):
    """Numbers in the other byte order."""
    unit = UNIT[dtype]
    return b"".join(content[i:i + unit][::-1] for i in range(0, len(content), unit))


def big_endian_strings(stored, count):
    """Strings of a big-endian bundle, and the checksum of their entry: FORMAT 4.4."""
    lengths, at, crc = [], 0, 0
    for _ in range(count):
        length, at = sstable.read_uvarint(stored, at)
        lengths.append(length)
        crc = sstable.crc_extend(crc, struct.pack(">I", length))
    assert sstable.unmask(struct.unpack(">I", stored[at:at + 4])[0]) == crc
    crc = sstable.crc_extend(crc, stored[at:])
    at += 4
    found = []
    for length in lengths:
        found.append(bytes(stored[at:at + length]))
        at += length
    assert at == len(stored)
    return found, crc


class Checkpoint:
    """Tensors by key, and `raw`: for each the bytes that must not change if it does not.

    In V2 these are its entries (its own and those of its slices); in V1 its records.
    """

    def __init__(self, tensors, raw, header):
        self.tensors, self.raw, self.header = tensors, raw, header


def read(prefix):
    """The Checkpoint at a prefix; `P-?????-of-0000N` is V1 in several files."""
    prefix = str(prefix)
    files = sorted(glob.glob(prefix)) if GLOB.search(prefix) else [prefix]
    if glob.glob(glob.escape(prefix) + ".index"):
        return _read_v2(prefix)
    return _read_v1(files)


def _read_v2(prefix):
    bundle = sstable.Bundle(prefix)
    big = bundle.header["endian"] == 1
    slices = {sstable.slice_key(k, s) for k, e in bundle.entries.items() for s in e.slices}
    orphans = {k for k in bundle.entries if k[:1] == b"\0" and _is_slice_key(k)} - slices
    assert not orphans, orphans
    tensors, raw = {}, {}
    for key, e in bundle.entries.items():
        if key in slices:
            continue
        dtype, keys = DT_NAME[e.dtype], [sstable.slice_key(key, s) for s in e.slices]
        raw[key] = [bundle.raw[k] for k in (key, *keys)]
        if not e.slices:
            tensors[key] = Tensor(dtype, e.shape, _stored(bundle, e, big))
            continue
        pieces = [bundle.entries[k] for k in keys]
        assert all(p.dtype == e.dtype for p in pieces), key
        parts = [(s, _stored(bundle, p, big)) for s, p in zip(e.slices, pieces)]
        tensors[key] = assemble(dtype, e.shape, parts)
    return Checkpoint(tensors, raw, bundle.header)


def _is_slice_key(key):
    try:
        sstable.parse_slice_key(key)
    except Exception:  # pylint: disable=broad-except
        return False
    return True


def _stored(bundle, e, big):
    """The value of an entry, its checksum compared."""
    dtype = DT_NAME[e.dtype]
    if not big:
        if dtype not in ("string", "variant"):
            assert e.size == ITEM[dtype] * math.prod(e.shape)
        return bundle._plain(e)
    stored = bundle.stored(e)
    value, crc = (big_endian_strings(stored, math.prod(e.shape)) if dtype == "string"
                  else (swapped(dtype, stored), sstable.crc(stored)))
    assert sstable.mask(crc) == e.crc
    return value


def _read_v1(files):
    tensors, raw, parts = {}, {}, {}
    for path in files:
        file = sstable.V1File(path)
        known = {b""} | {sstable.slice_key(n, s) for n, (_, _, sl) in file.tensors.items() for s in sl}
        assert file.kv.keys() == known, file.kv.keys() ^ known
        for name, (dtype, shape, slices) in file.tensors.items():
            found = parts.setdefault(name, (dtype, shape, []))
            assert found[:2] == (dtype, shape), name
            found[2].extend((s, file.slice_value(name, s)) for s in slices)
            raw.setdefault(name, []).extend(file.kv[sstable.slice_key(name, s)] for s in slices)
    for name, (dtype, shape, pieces) in parts.items():
        whole = len(pieces) == 1 and all(e is None for e in pieces[0][0])
        tensors[name] = (Tensor(dtype, shape, pieces[0][1]) if whole
                         else assemble(dtype, shape, pieces))
        assert tensors[name].value is not None
    return Checkpoint(tensors, raw, None)


# ------------------------------------------------------------------- fixtures
@functools.lru_cache(maxsize=None)
def wanted(name):
    """{key: Tensor} of a fixture of any kind, each as TensorFlow read it."""
    fixture = fixtures.manifest()[name]
    found = read(fixtures.FIXTURE_DIR / fixture["prefix"]).tensors
    by_hash = {hashlib.sha256(k).hexdigest(): k for k in found if len(k) > 4096}
    told = {fixtures.key_of(t, by_hash): t for t in fixture["tensors"]}
    assert found.keys() == told.keys()
    for key, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (told[key]["dtype"], told[key]["shape"]), key
        assert fixtures.matches_manifest(told[key], tensor.value), key
        slices = [s["start_length"] for s in told[key].get("slices", [])]
        slices = [[None if e is None else tuple(e) for e in s] for s in slices]
        assert sorted(map(str, tensor.slices)) == sorted(map(str, slices)), key
    return found


def variables(name):
    """The same as fixtures.variables() has it, for tree.find(); no content is None."""
    return [fixtures.Variable(k, t.dtype, t.shape, t.content(), None)
            for k, t in wanted(name).items()]


def shown_prefix(name):
    """The directory that shows a fixture, below that of its files."""
    return GLOB.sub("", fixtures.prefix_of(name))


def is_big_endian(name):
    """Whether the shards of a fixture are of the other byte order."""
    return "big_endian" in name


def is_object_based(name):
    return fixtures.GRAPH_KEY in wanted(name)
