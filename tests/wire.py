"""What TensorFlow's containers are made of: checksums, varints, protobuf fields, keys of
slices, snappy, strings and variants.

Own code, without a look at core/: a second opinion on the formats.  Needs nothing but the
standard library; google_crc32c makes it faster, and only cramjam compresses.
"""
import struct

# ----------------------------------------------------------------- crc32c
_T = []
for _n in range(256):
    _c = _n
    for _ in range(8):
        _c = (_c >> 1) ^ (0x82F63B78 if _c & 1 else 0)
    _T.append(_c)


def _crc_py(crc, data):
    c = crc ^ 0xFFFFFFFF
    for b in data:
        c = _T[(c ^ b) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


try:
    import google_crc32c as _g

    def crc_extend(crc, data):
        return _g.extend(crc, bytes(data))
except ImportError:                                            # pragma: no cover
    crc_extend = _crc_py


def crc(data):
    return crc_extend(0, data)


MASK_DELTA = 0xA282EAD8


def mask(c):
    return (((c >> 15) | (c << 17)) + MASK_DELTA) & 0xFFFFFFFF


def unmask(m):
    r = (m - MASK_DELTA) & 0xFFFFFFFF
    return ((r >> 17) | (r << 15)) & 0xFFFFFFFF


# ----------------------------------------------------------------- varints
def uvarint(v):
    assert v >= 0
    out = bytearray()
    while v > 0x7F:
        out.append((v & 0x7F) | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def read_uvarint(buf, pos, limit=None, maxbytes=10):
    limit = len(buf) if limit is None else limit
    shift = val = 0
    for _ in range(maxbytes):
        if pos >= limit:
            raise ValueError("varint runs past the end")
        b = buf[pos]
        pos += 1
        val |= (b & 0x7F) << shift
        if b < 0x80:
            return val & 0xFFFFFFFFFFFFFFFF, pos
        shift += 7
    raise ValueError("varint too long")


def svarint(v):
    """protobuf int32/int64/enum: negative numbers are 64-bit two's complement."""
    return uvarint(v & 0xFFFFFFFFFFFFFFFF)


def to_signed64(v):
    return v - (1 << 64) if v >= 1 << 63 else v


# ------------------------------------------------------- protobuf wire format
def f_varint(num, v, always=False):
    return b"" if v == 0 and not always else uvarint(num << 3) + svarint(v)


def f_fixed32(num, v):
    return b"" if v == 0 else uvarint(num << 3 | 5) + struct.pack("<I", v)


def f_bytes(num, b, always=False):
    return b"" if not b and not always else uvarint(num << 3 | 2) + uvarint(len(b)) + b


def proto_fields(buf):
    """yield (field number, wire type, value)"""
    pos = 0
    while pos < len(buf):
        tag, pos = read_uvarint(buf, pos)
        num, wt = tag >> 3, tag & 7
        if wt == 0:
            v, pos = read_uvarint(buf, pos)
        elif wt == 1:
            v, pos = struct.unpack_from("<Q", buf, pos)[0], pos + 8
        elif wt == 5:
            v, pos = struct.unpack_from("<I", buf, pos)[0], pos + 4
        elif wt == 2:
            n, pos = read_uvarint(buf, pos)
            if pos + n > len(buf):
                raise ValueError("length-delimited field runs past the end")
            v, pos = bytes(buf[pos:pos + n]), pos + n
        else:
            raise ValueError("wire type %d" % wt)
        yield num, wt, v


# --------------------------------------------------------------- ordered code
def oc_num(v):
    """unsigned, increasing: one length byte, then minimal big-endian bytes"""
    n = (v.bit_length() + 7) // 8
    return bytes([n]) + v.to_bytes(n, "big")


def oc_string(s):
    return (s.replace(b"\xff", b"\xff\x00") if b"\x00" not in s else
            b"".join(b"\x00\xff" if c == 0 else b"\xff\x00" if c == 255 else bytes([c])
                     for c in s)) + b"\x00\x01"


def oc_signed(v):
    """signed, increasing: n bytes carry 7n-1 magnitude bits; n-1 header bits
    after the sign bit equal to the sign, then the opposite bit."""
    mag = ~v if v < 0 else v
    n = 1
    while mag.bit_length() > 7 * n - 1:
        n += 1
    if n > 10:
        raise ValueError
    bits = 8 * n
    word = v & ((1 << bits) - 1)                      # sign-extended
    header = ((1 << n) - 1) << (bits - n)             # n leading ones
    return (word ^ header).to_bytes(n, "big")


def oc_read_num(b, p):
    n = b[p]
    return int.from_bytes(b[p + 1:p + 1 + n], "big"), p + 1 + n


def oc_read_string(b, p):
    out = bytearray()
    while True:
        c = b[p]
        if c == 0:
            if b[p + 1] == 1:
                return bytes(out), p + 2
            if b[p + 1] != 0xFF:
                raise ValueError
            out.append(0)
            p += 2
        elif c == 0xFF:
            if b[p + 1] != 0:
                raise ValueError
            out.append(0xFF)
            p += 2
        else:
            out.append(c)
            p += 1


def oc_read_signed(b, p):
    neg = not b[p] & 0x80
    n, q = 0, p
    while n < 10:                                     # count header bits
        bit = (b[q + n // 8] >> (7 - n % 8)) & 1
        if bit == (0 if not neg else 1):
            break
        n += 1
    bits = 8 * n
    word = int.from_bytes(b[p:p + n], "big")
    header = ((1 << n) - 1) << (bits - n)
    word ^= header
    if neg:
        word -= 1 << bits
    return word, p + n


def slice_key(name, extents):
    """extents: list of None (whole dimension) or (start, length)"""
    out = oc_num(0) + oc_string(name) + oc_num(len(extents))
    for e in extents:
        s, l = (0, -1) if e is None else e
        out += oc_signed(s) + oc_signed(l)
    return out


def slice_spec(extents):
    """What RestoreV2 calls the slice"""
    return ":".join("-" if x is None else "%d,%d" % tuple(x) for x in extents)


def parse_slice_key(key):
    zero, p = oc_read_num(key, 0)
    if zero:
        raise ValueError
    name, p = oc_read_string(key, p)
    nd, p = oc_read_num(key, p)
    ext = []
    for _ in range(nd):
        s, p = oc_read_signed(key, p)
        l, p = oc_read_signed(key, p)
        ext.append(None if l < 0 else (s, l))
    if p != len(key):
        raise ValueError
    return name, ext


# -------------------------------------------------------------------- snappy
def snappy_compress(b):
    import cramjam
    return bytes(cramjam.snappy.compress_raw(b))


def snappy_decompress(b):
    """own implementation of the raw snappy block format"""
    n, p = read_uvarint(b, 0)
    out = bytearray()
    while p < len(b):
        t = b[p]
        p += 1
        k = t & 3
        if k == 0:
            ln = t >> 2
            if ln >= 60:
                nb = ln - 59
                ln = int.from_bytes(b[p:p + nb], "little")
                p += nb
            ln += 1
            out += b[p:p + ln]
            p += ln
            continue
        if k == 1:
            ln, off = 4 + ((t >> 2) & 7), (t >> 5) << 8 | b[p]
            p += 1
        elif k == 2:
            ln, off = 1 + (t >> 2), int.from_bytes(b[p:p + 2], "little")
            p += 2
        else:
            ln, off = 1 + (t >> 2), int.from_bytes(b[p:p + 4], "little")
            p += 4
        if off == 0 or off > len(out):
            raise ValueError("bad snappy copy")
        for _ in range(ln):
            out.append(out[-off])
    if len(out) != n:
        raise ValueError("bad snappy length")
    return bytes(out)


# --------------------------------------------------- values that are not numbers
def encode_strings(elems, order="<"):
    """-> (bytes for the data file, unmasked crc for the entry)"""
    c = 0
    lens = bytearray()
    for s in elems:
        lens += uvarint(len(s))
        c = crc_extend(c, struct.pack(order + ("I" if len(s) <= 0xFFFFFFFF else "Q"), len(s)))
    lc = struct.pack(order + "I", mask(c))
    c = crc_extend(c, lc)
    body = b"".join(elems)
    return bytes(lens) + lc + body, crc_extend(c, body)


def decode_strings(buf, n, order="<"):
    p, c, lens = 0, 0, []
    for _ in range(n):
        l, p = read_uvarint(buf, p)
        lens.append(l)
        c = crc_extend(c, struct.pack(order + ("I" if l <= 0xFFFFFFFF else "Q"), l))
    lc = buf[p:p + 4]
    if unmask(struct.unpack(order + "I", lc)[0]) != c:
        raise ValueError("length checksum mismatch")
    p += 4
    c = crc_extend(c, lc)
    out = []
    for l in lens:
        out.append(bytes(buf[p:p + l]))
        p += l
    return out, crc_extend(c, b"".join(out))


def encode_variants(elems):
    """elems: serialized VariantTensorDataProto messages"""
    c, out = 0, bytearray()
    for s in elems:
        out += uvarint(len(s)) + s
        c = crc_extend(crc_extend(c, struct.pack("<Q", len(s))), s)
        k = struct.pack("<I", mask(c))
        out += k
        c = crc_extend(c, k)
    return bytes(out), c


def decode_variants(buf, n):
    p, c, out = 0, 0, []
    for _ in range(n):
        l, p = read_uvarint(buf, p)
        s = bytes(buf[p:p + l])
        p += l
        c = crc_extend(crc_extend(c, struct.pack("<Q", l)), s)
        k = buf[p:p + 4]
        p += 4
        if unmask(struct.unpack("<I", k)[0]) != c:
            raise ValueError("variant checksum mismatch")
        c = crc_extend(c, k)
        out.append(s)
    return out, c
