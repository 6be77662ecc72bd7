"""A large V1 file is written through a small daemon."""
import os

import numpy as np

import jobs
import mounts
import tree

LARGE = 24 << 20  # elements


def test_memory_does_not_grow_with_the_values(shop, judge):
    """400 MB in four values are read, written and copied: varints, floats, a new one."""
    source = shop.directory / "runs"
    source.mkdir()
    numbers = np.random.RandomState(1).randint(-2**31, 2**31, LARGE, "i8")
    old = {"f": numbers.astype("f4"), "i": numbers.astype("i4"), "h": numbers.astype("i2"),
           "small": np.arange(3, dtype="i8")}
    judge.v1_save(source / "ckpt", {k: (v.dtype.name, list(v.shape), v.tobytes())
                                    for k, v in old.items()})
    mount = shop.mount(source)
    before = mounts.peak(mount)
    tree.write(mount / "ckpt/small", bytes(24))
    jobs.fsync(mount / "ckpt/small")
    fresh = dict(old, small=np.zeros(3, "i8"))
    expected = {k.encode(): (v.dtype.name, list(v.shape), v.tobytes()) for k, v in fresh.items()}
    assert judge.v1_load(source / "ckpt") == expected
    turned = numbers[::-1].astype("i4")
    tree.write(mount / "ckpt/i", turned.tobytes())
    jobs.run(mount / "ckpt", "cp -a f again", "mv h half")
    jobs.fsync(mount / "ckpt/i")
    expected[b"i"] = ("int32", [LARGE], turned.tobytes())
    expected[b"again"] = expected[b"f"]
    expected[b"half"] = expected.pop(b"h")
    assert judge.v1_load(source / "ckpt") == expected
    assert tree.read(mount / "ckpt/i") == turned.tobytes()
    if not mounts.SANITIZED:
        assert mounts.peak(mount) - before < 64, (before, mounts.peak(mount))
    mount.unmount()
    assert os.listdir(source) == ["ckpt"]
