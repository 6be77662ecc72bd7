"""numpy: tofile, and memory maps in the modes r+ and w+."""
import gc

import numpy as np
import pytest

import tree
from tools import BIG, EMB, FROM, KERNEL, NEW, STEP, eventually
from writing import numbers

VALUES = np.frombuffer(NEW, "<f4").reshape(6, 4)


def memmap(lab, path, mode, shape, dtype="<f4"):
    return np.memmap(lab.mount / path, dtype, mode, shape=shape)


def test_tofile(lab):
    """The array's bytes."""
    VALUES.tofile(lab.mount / KERNEL)
    assert lab.text(KERNEL) == NEW
    lab.settled({KERNEL: NEW})


def test_tofile_of_an_open_file(lab):
    """At the place where the file stands."""
    old = lab.old(KERNEL)
    with open(lab.mount / KERNEL, "r+b") as f:
        f.seek(32)
        VALUES[0].tofile(f)
    lab.settled({KERNEL: old[:32] + NEW[:16] + old[48:]})


def test_tofile_of_a_scalar(lab):
    """Eight bytes."""
    np.array(7, "<i8").tofile(lab.mount / STEP)
    lab.settled({STEP: (7).to_bytes(8, "little")})


@pytest.mark.parametrize("array", [VALUES.astype("f8"), VALUES[:5], VALUES.ravel()[:0]],
                         ids=["double", "short", "empty"])
def test_tofile_of_a_wrong_size_is_refused(lab, array):
    """It raises, and the old value stands."""
    assert tree.error_of(array.tofile, lab.mount / KERNEL) == "EINVAL" or not array.size
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    lab.settled({})


def test_tofile_of_a_new_value(lab):
    """And its sidecars by Python."""
    VALUES.tofile(lab.mount / FROM / "fresh")
    (lab.mount / FROM / "fresh.dtype").write_text(VALUES.dtype.str)
    (lab.mount / FROM / "fresh.shape").write_text(str(VALUES.shape))
    lab.settled({FROM + "/fresh": ("float32", [6, 4], NEW)})


def test_tofile_after_a_declaration(lab):
    """Another shape and dtype, said first by what numpy prints."""
    wide = np.arange(20, dtype="<f8").reshape(5, 4)
    (lab.mount / (EMB + ".dtype")).write_text(wide.dtype.name + "\n")
    (lab.mount / (EMB + ".shape")).write_text("%s\n" % (wide.shape,))
    wide.tofile(lab.mount / EMB)
    lab.settled({EMB: ("float64", [5, 4], wide.tobytes())})


@pytest.mark.parametrize("flush", [True, False])
def test_memmap_r_plus(lab, flush):
    """A row changed; with flush() it is on disk at once."""
    mapped = memmap(lab, KERNEL, "r+", (6, 4))
    mapped[2] = VALUES[2]
    old = lab.old(KERNEL)
    new = old[:32] + NEW[32:48] + old[48:]
    if flush:
        mapped.flush()
        assert lab.stored(KERNEL) == new
    del mapped
    gc.collect()
    eventually(lambda: lab.stored(KERNEL) == new)
    lab.settled({KERNEL: new})


def test_memmap_r_plus_of_many_pages(lab):
    """Every tenth row of a value larger than a page."""
    mapped = memmap(lab, BIG, "r+", (256, 300))
    mapped[::10] = 1
    wanted = mapped.tobytes()
    mapped.flush()
    del mapped
    assert lab.text(BIG) == wanted
    lab.settled({BIG: wanted})


def test_memmap_r_plus_beyond_the_end_is_refused(lab):
    """numpy makes the file longer first: it raises, and the old value stands."""
    assert tree.error_of(memmap, lab, EMB, "r+", (12, 4)) == "EINVAL"
    gc.collect()
    eventually(lambda: lab.text(EMB) == lab.old(EMB))
    lab.settled({})


def test_memmap_r_plus_of_a_part(lab):
    """A map that is smaller than the value, at an offset."""
    mapped = np.memmap(lab.mount / KERNEL, "<f4", "r+", 32, (2, 4))
    mapped[:] = VALUES[2:4]
    del mapped
    gc.collect()
    old = lab.old(KERNEL)
    lab.settled({KERNEL: old[:32] + NEW[32:64] + old[64:]})


@pytest.mark.sanitized
@pytest.mark.parametrize("flush", [True, False])
def test_memmap_w_plus(lab, flush):
    """Truncated, sized, mapped and filled."""
    mapped = memmap(lab, KERNEL, "w+", (6, 4))
    mapped[:] = VALUES
    if flush:
        mapped.flush()
        assert lab.stored(KERNEL) == NEW
    del mapped
    gc.collect()
    eventually(lambda: lab.stored(KERNEL) == NEW)
    lab.settled({KERNEL: NEW})


@pytest.mark.parametrize("shape", [(5, 4), (7, 4), (1024, 1024)])
def test_memmap_w_plus_of_a_wrong_size_is_refused(lab, shape):
    """It raises at the close before the map, and the old value stands."""
    assert tree.error_of(memmap, lab, KERNEL, "w+", shape) == "EINVAL"
    gc.collect()
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    lab.settled({})


def test_memmap_w_plus_after_a_declaration(lab):
    """A larger embedding, filled through the map."""
    new = np.frombuffer(numbers(48), "<f4").reshape(12, 4)
    lab.sh("echo '[12, 4]' > emb.shape")
    mapped = memmap(lab, EMB, "w+", (12, 4))
    mapped[:] = new
    mapped.flush()
    del mapped
    gc.collect()
    lab.settled({EMB: ("float32", [12, 4], new.tobytes())})


def test_memmap_w_plus_of_a_new_value(lab):
    """Typed by its sidecars afterwards."""
    mapped = memmap(lab, FROM + "/fresh", "w+", (6, 4))
    mapped[:] = VALUES
    del mapped
    gc.collect()
    lab.sh("echo float32 > fresh.dtype && echo '[6, 4]' > fresh.shape")
    lab.settled({FROM + "/fresh": ("float32", [6, 4], NEW)})


def test_memmap_c_writes_nothing(lab):
    """Copy on write."""
    mapped = memmap(lab, KERNEL, "c", (6, 4))
    mapped[:] = 0
    del mapped
    gc.collect()
    lab.settled({})


def test_fromfile_to_tofile(lab):
    """Read, doubled, written."""
    value = np.fromfile(lab.mount / BIG, "<f4") * 2
    value.tofile(lab.mount / BIG)
    lab.settled({BIG: value.tobytes()})
