"""A full disk: ENOSPC, one line, and the checkpoint as it was."""
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import disk
import fixtures
import mounts
import sstable
import tree
from jobs import exchange
from writing import save, sh

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounting a tmpfs needs root")
SIZE = 1 << 20


@pytest.fixture
def small(shop, judge):
    """A tmpfs of 4 MiB with a checkpoint of two values of 1 MiB in it."""
    point = shop.directory / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", point], check=True)
    judge.save(point / "ckpt", {"v": np.zeros(SIZE // 4, "f4"), "w": np.ones(SIZE // 4, "f4")})
    yield point
    for mount in shop.mounts:
        mount.dispose()
    subprocess.run(["umount", "-l", point], check=True)


def fill(point, leave):
    """Leaves about `leave` bytes free; returns the file that takes the rest."""
    room = os.statvfs(point)
    with open(point / "filler", "wb") as f:
        f.write(bytes(max(0, room.f_bavail * room.f_frsize - leave)))
    return point / "filler"


def write_and_sync(path, content):
    """What a careful writer does: write, fsync, close; the first error counts."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view[:131072]):]
        os.fsync(fd)
    finally:
        error = tree.error_of(os.close, fd)
    assert error in (None, "ENOSPC"), error
    if error:
        raise OSError(28, "close")


@pytest.mark.sanitized
@pytest.mark.parametrize("leave", [0, 4096, 65536, 500000])
def test_a_value_that_does_not_fit_is_refused(shop, small, judge, leave):
    """ENOSPC in the writer, one line in the log, index and old bytes unchanged."""
    mount = shop.mount(small)
    assert tree.read(mount / "ckpt/w.shape") == b"[262144]\n"
    fill(small, leave)
    before = disk.Snapshot(small / "ckpt")
    mount.mark()
    assert tree.error_of(write_and_sync, mount / "ckpt/w", b"\7" * SIZE) == "ENOSPC"
    lines = mount.news(1, expect=1)
    assert len(lines) == 1 and "space" in lines[0].lower(), lines
    assert tree.read(mount / "ckpt/v") == bytes(SIZE)
    disk.assert_unchanged(before, disk.Snapshot(small / "ckpt"))
    assert judge.load(small / "ckpt")[b"w"][2] == before.values[b"w"]
    mounts.run("--unmount", mount.point)
    disk.assert_unchanged(before, disk.Snapshot(small / "ckpt"))
    assert judge.load(small / "ckpt")[b"w"][2] == before.values[b"w"]


def test_cp_onto_a_full_disk_says_so(shop, small):
    """cp prints `No space left on device` and fails; the old value stands."""
    mount = shop.mount(small)
    old = tree.read(mount / "ckpt/w")
    (shop.directory / "new").write_bytes(b"\7" * SIZE)
    fill(small, 4096)
    done = subprocess.run(["cp", shop.directory / "new", mount / "ckpt/w"], text=True,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode != 0 and "No space left" in done.stderr
    mount.released()
    assert tree.read(mount / "ckpt/w") == old
    mounts.run("--unmount", mount.point)


def test_space_that_comes_back_is_used(shop, small, judge):
    """After a refusal the same write succeeds once there is room."""
    mount = shop.mount(small)
    filler = fill(small, 4096)
    assert tree.error_of(write_and_sync, mount / "ckpt/w", b"\7" * SIZE) == "ENOSPC"
    filler.unlink()
    write_and_sync(mount / "ckpt/w", b"\x08" * SIZE)
    mount.unmount()
    assert judge.load(small / "ckpt")[b"w"][2] == b"\x08" * SIZE
    assert judge.load(small / "ckpt")[b"v"][2] == bytes(SIZE)


@pytest.mark.sanitized
@pytest.mark.parametrize("end", ["", "exec 3>&-;"], ids=["open", "closed"])
def test_a_value_that_did_not_fit_does_not_stand_in_the_way(shop, small, end):
    """cat of far too much fails; cp then works, also while cat's descriptor is open."""
    save(small / "less", {b"v": bytes(100000)})
    (shop.directory / "long").write_bytes(bytes(8 << 20))
    (shop.directory / "good").write_bytes(b"good" * 25000)
    mount = shop.mount(small)
    status, said = sh("exec 3>v; cat {0}/long >&3 && exit 9; {1} cp {0}/good v && "
                      "cmp {0}/good v && exec 3>&- && cmp {0}/good v".format(
                          shop.directory, end), mount / "less")
    assert status == 0 and "No space" in said, said
    mount.unmount()
    assert disk.Snapshot(small / "less").values[b"v"] == b"good" * 25000


@pytest.fixture
def ext4(shop):
    """An ext4 of 32 MiB with a checkpoint of a value of 64 MiB: nearly all of it is a hole."""
    image, point = shop.directory / "image", shop.directory / "ext4"
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, point], check=False).returncode:
        pytest.skip("no loop devices")
    entries = {b"big": sstable.Entry(sstable.DT["uint8"], [64 << 20], 0, 0, 64 << 20)}
    (point / "ckpt.index").write_bytes(sstable.make_index(entries))
    with open(point / "ckpt.data-00000-of-00001", "wb") as f:
        f.truncate(64 << 20)
    yield point
    for mount in shop.mounts:
        mount.dispose()
    subprocess.run(["umount", "-l", point], check=True)


def free_bytes(point):
    os.sync()
    room = os.statvfs(point)
    return room.f_bavail * room.f_frsize


@pytest.mark.sanitized
def test_a_value_that_does_not_fit_takes_no_space(shop, ext4):
    """Three attempts at what is larger than the disk: ENOSPC, and df is as before."""
    mount = shop.mount(ext4)
    before = free_bytes(ext4)
    assert before > 16 << 20
    for _ in range(3):
        assert tree.error_of(tree.write, mount / "ckpt/big", bytes(1 << 20)) == "ENOSPC"
        assert mounts.wait_until(lambda: abs(free_bytes(ext4) - before) < 1 << 20, 3, 0.1)


@pytest.mark.sanitized
@pytest.mark.parametrize("name, prefix", [("v2_tf1_adam", "model.ckpt-5"),
                                          ("v1_tf1_adam", "model.ckpt-3")])
def test_a_rename_that_cannot_be_stored_has_not_happened(shop, small, judge, name, prefix):
    """With -o sync, mv says ENOSPC: the names are what they were, and stay so."""
    for file in fixtures.FIXTURE_DIR.joinpath(name).iterdir():
        shutil.copy(file, small)
    prefix = small / prefix
    look = Path.read_bytes if prefix.exists() else judge.load  # of V1, the file
    before = look(prefix)
    mount = shop.mount(small, "sync")
    dense = mount / prefix.name / "dense"
    kernel, bias = tree.read(dense / "kernel"), tree.read(dense / "bias")
    filler = fill(small, 0)
    assert tree.error_of(os.rename, dense / "kernel", dense / "new") == "ENOSPC"
    assert tree.error_of(os.stat, dense / "new") == "ENOENT"
    assert tree.error_of(exchange, dense / "kernel", dense / "bias") == "ENOSPC"
    assert tree.error_of(os.rename, dense, dense.parent / "dense2") == "ENOSPC"
    assert "new" not in os.listdir(dense)
    assert [tree.read(dense / "kernel"), tree.read(dense / "bias")] == [kernel, bias]
    filler.unlink()
    mounts.run("--unmount", mount.point)
    assert look(prefix) == before
