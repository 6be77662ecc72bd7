"""Awkward values of every dtype, and awkward names, for make_fixtures.py."""
import numpy as np
import tensorflow as tf

INTS = dict(int8=(-128, 127), int16=(-32768, 32767), int32=(-2**31, 2**31 - 1), int64=(-2**63, 2**63 - 1),
            uint8=(0, 255), uint16=(0, 65535), uint32=(0, 2**32 - 1), uint64=(0, 2**64 - 1))
V1_TYPES = ("float32 float64 int32 uint8 int16 int8 string complex64 int64 bool qint8 quint8 qint32 "
            "uint16 complex128 float16").split()
V2_TYPES = V1_TYPES + ("bfloat16 qint16 quint16 uint32 uint64 float8_e5m2 float8_e4m3fn float8_e4m3fnuz "
                       "float8_e4m3b11fnuz float8_e5m2fnuz int4 uint4 int2 uint2 float4_e2m1fn").split()
BITS = dict(qint8="int8", quint8="uint8", qint16="int16", quint16="uint16", qint32="int32")
NAMES = ["a", "a/b", "a.shape", "a.dtype", "a.shape/x", "dense/kernel", "dense/kernel/Adam", "dense/kernel/Adam_1",
         "dense", "dense.", "dense/", "spaces in the name", "ünïcödé/变量/😀", "100%", "%2F", "%", ".", "..", "../escape",
         "./here", "a//b", "/leading", "trailing/", "/", "//", "/../..", "new\nline", "tab\there", "cr\rlf\r\n",
         "quote\"'`", "back\\slash", "x" * 300, "y" * 2000, "/".join("d%d" % i for i in range(200)), "a:0", "name^2", "*?[x]",
         "nul\0inside", "e\u0301", "\u00e9", "A", ".hidden", "~", "-dash", "#", "\x7f", "\x01ctl", "=", "a b/ c /d",
         "CON", "trailing dot.", "trailing space ", " leading space", "\ufeffbom", "a.index", "x.data-00000-of-00001",
         ".ckptfs", "shape", "dtype", ".shape", ".dtype", "_CHECKPOINT", "z" * 255, "w" * 256, "ä" * 127, "ä" * 128,
         "q" * 100 + "/" + "r" * 254 + "/" + "s" * 250 + ".shape", "\udcff".encode("utf-8", "surrogateescape")]


def dt(name):
    return tf.as_dtype(name)


def sample(name):
    """a 1-D tensor with awkward values"""
    if name == "string":
        return tf.constant([b"", b"a", b"\x00\xff\x00", "grüße".encode(), b"x" * 200])
    if name in INTS:
        lo, hi = INTS[name]
        return tf.constant(np.array([lo, 0, 1, hi, hi // 3], np.dtype(name)))
    if name in BITS:
        return tf.bitcast(sample(BITS[name]), dt(name))
    if name == "bool":
        return tf.constant([True, False, False, True, True])
    if name in ("complex64", "complex128"):
        return tf.constant(np.array([1 + 2j, -0.0, complex("nan"), complex("inf"), 3e-5j], name))
    if name in ("float32", "float64", "float16", "bfloat16"):
        return tf.constant(np.array([0.0, -0.0, np.nan, -np.inf, 1.5], "f4").astype(dt(name).as_numpy_dtype))
    if name.startswith("float8"):
        return tf.constant(np.array([0.0, 1.0, -1.5, 0.125, np.nan], "f4").astype(dt(name).as_numpy_dtype))
    if name == "float4_e2m1fn":
        return tf.constant(np.array([0.0, 0.5, -1.5, 6, -6], "f4").astype(dt(name).as_numpy_dtype))
    vals = dict(int4=[-8, -1, 0, 1, 7], uint4=[0, 1, 7, 8, 15], int2=[-2, -1, 0, 1, 1], uint2=[0, 1, 2, 3, 3])[name]
    return tf.constant(np.array(vals).astype(dt(name).as_numpy_dtype))


def three(name):
    s = sample(name)
    npd = s.numpy()
    full = tf.reshape(s, [5]) if name in ("string",) else s
    def conv(a):
        return tf.bitcast(tf.constant(a), dt(name)) if name in BITS else tf.constant(a)
    base = sample(BITS[name]).numpy() if name in BITS else npd
    return full, conv(base[1]) if name != "string" else tf.constant(b"scalar string"), \
        conv(base[:0].reshape(0, 3)) if name != "string" else tf.constant([], tf.string, shape=[0, 3])
