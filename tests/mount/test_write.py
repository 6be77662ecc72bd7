"""A value replaced by one of the same size, with ordinary tools."""
import mmap
import os

import numpy as np
import pytest

import disk
import tree
from writing import KERNEL, STEP, accepted, numbers, sh, wait_for

NEW = numbers(24)


def write_with_cp(mount, shop):
    (shop.directory / "new").write_bytes(NEW)
    assert sh("cp %s/new dense/kernel" % shop.directory, mount / STEP) == (0, "")


def write_with_cat(mount, shop):
    (shop.directory / "new").write_bytes(NEW)
    assert sh("cat %s/new > dense/kernel" % shop.directory, mount / STEP) == (0, "")


def write_with_dd(mount, shop):
    (shop.directory / "new").write_bytes(NEW)
    assert sh("dd if=%s/new of=dense/kernel bs=7 status=none conv=notrunc" % shop.directory,
              mount / STEP) == (0, "")


def write_with_tofile(mount, _):
    np.frombuffer(NEW, "u1").tofile(mount / STEP / "dense/kernel")


def write_with_memmap(mount, _):
    mapped = np.memmap(mount / STEP / "dense/kernel", "u1", "r+")
    mapped[:] = np.frombuffer(NEW, "u1")
    mapped.flush()


def write_with_python(mount, _):
    with open(mount / STEP / "dense/kernel", "r+b") as f:
        f.write(NEW)


def write_and_truncate(mount, _):
    with open(mount / STEP / "dense/kernel", "r+b", buffering=0) as f:
        f.write(NEW)
        f.truncate(len(NEW))


def write_too_much_and_truncate(mount, _):
    with open(mount / STEP / "dense/kernel", "r+b", buffering=0) as f:
        f.write(NEW + b"too much")
        f.truncate(len(NEW))


def write_backwards(mount, _):
    with open(mount / STEP / "dense/kernel", "wb", buffering=0) as f:
        for offset in range(len(NEW) - 8, -1, -8):
            os.pwrite(f.fileno(), NEW[offset:offset + 8], offset)


WRITERS = [write_with_cp, write_with_cat, write_with_dd, write_with_tofile, write_with_memmap,
           write_with_python, write_and_truncate, write_too_much_and_truncate, write_backwards]


@pytest.mark.sanitized
@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
def test_a_written_value_is_there_at_once_and_later(adam, shop, judge, writer):
    """In the tree at once, on disk after unmount, for TensorFlow, and after a remount."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    writer(mount, shop)
    assert tree.read(mount / STEP / "dense/kernel") == NEW
    mount.unmount()
    accepted(judge, source, before, {KERNEL: NEW})
    again = shop.mount(source)
    assert tree.read(again / STEP / "dense/kernel") == NEW


def test_the_other_steps_are_as_they_were(adam):
    """Files of other checkpoints, and the state file, do not change by a bit."""
    source, mount = adam
    before = disk.digest(source)
    tree.write(mount / STEP / "dense/kernel", NEW)
    mount.unmount()
    after = disk.digest(source)
    changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    assert changed == {STEP + ".index", STEP + ".data-00000-of-00001"}


def test_a_part_written_with_dd_keeps_the_rest(adam, judge):
    """dd conv=notrunc of a few bytes in the middle."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    old = before.values[KERNEL]
    assert sh("printf abcde | dd of=dense/kernel bs=1 seek=33 conv=notrunc status=none",
              mount / STEP) == (0, "")
    new = old[:33] + b"abcde" + old[38:]
    assert tree.read(mount / STEP / "dense/kernel") == new
    mount.unmount()
    accepted(judge, source, before, {KERNEL: new})


def test_a_part_written_through_r_plus_b_keeps_the_rest(adam, judge):
    """Python's r+b with a seek."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    with open(mount / STEP / "dense/kernel", "r+b") as f:
        f.seek(90)
        f.write(b"\1\2\3\4")
    old = before.values[KERNEL]
    mount.unmount()
    accepted(judge, source, before, {KERNEL: old[:90] + b"\1\2\3\4" + old[94:]})


def test_pages_written_after_the_last_close_count(adam, judge):
    """A map outlives its descriptor: what is stored then is taken over all the same."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    fd = os.open(mount / STEP / "dense/kernel", os.O_RDWR)
    mapped = mmap.mmap(fd, 96)
    os.close(fd)
    mapped[:] = NEW
    mapped.close()
    wait_for(source, KERNEL, NEW)
    mount.unmount()
    accepted(judge, source, before, {KERNEL: NEW})


def test_a_writer_that_writes_nothing_changes_nothing(adam):
    """Opening for writing, closing, or writing the same bytes leaves other values alone."""
    source, mount = adam
    before = disk.digest(source)
    os.close(os.open(mount / STEP / "dense/kernel", os.O_RDWR))
    os.close(os.open(mount / STEP / "dense/kernel", os.O_WRONLY))
    mount.unmount()
    assert disk.digest(source) == before


def test_one_writer_sees_what_it_wrote_before_closing(adam):
    """The stage is seen by every reader of the mount; the disk keeps the old value."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    with open(mount / STEP / "dense/kernel", "r+b", buffering=0) as f:
        f.write(NEW)
        assert tree.read(mount / STEP / "dense/kernel") == NEW
        assert disk.Snapshot(source / STEP).values == before.values


def test_many_values_in_one_go_end_up_whole(adam, judge):
    """All float variables of a step, one after the other, several times."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    changed = {}
    for turn in range(5):
        for i, key in enumerate(k for k in before.values if k.startswith(b"dense/")):
            changed[key] = numbers(len(before.values[key]) // 4, seed=turn * 100 + i)
            path = mount.path(STEP, tree.path_of(key, before.values.keys()))
            tree.write(path, changed[key])
            assert tree.read(path) == changed[key]
    mount.unmount()
    accepted(judge, source, before, changed)


def test_a_scalar_of_eight_bytes(adam, judge):
    """global_step, an int64."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    tree.write(mount / STEP / "global_step", (123456789012).to_bytes(8, "little"))
    mount.unmount()
    accepted(judge, source, before, {b"global_step": (123456789012).to_bytes(8, "little")})
