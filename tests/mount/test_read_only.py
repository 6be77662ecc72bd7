"""DESIGN 4.12: what cannot be written says EROFS at open."""
import os
import subprocess

import pytest

import disk
import tree
from writing import STEP

KERNEL = STEP + "/dense/kernel"


def refused(mount):
    """EROFS for every way in."""
    path = mount / KERNEL
    assert tree.error_of(os.open, path, os.O_WRONLY) == "EROFS"
    assert tree.error_of(os.open, path, os.O_RDWR) == "EROFS"
    assert tree.error_of(os.open, path, os.O_WRONLY | os.O_TRUNC) == "EROFS"
    assert tree.error_of(os.truncate, path, 0) == "EROFS"
    assert tree.error_of(os.open, str(path) + ".shape", os.O_WRONLY) == "EROFS"
    assert tree.error_of(os.unlink, path) == "EROFS"
    assert tree.error_of(os.mkdir, mount / STEP / "new") == "EROFS"
    assert len(tree.read(path)) == 96


@pytest.mark.sanitized
def test_a_read_only_mount(shop, fixture_copy):
    """-o ro."""
    source = fixture_copy("v2_tf1_adam")
    before = disk.digest(source)
    mount = shop.mount(source, "ro")
    refused(mount)
    mount.unmount()
    assert disk.digest(source) == before


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a disk needs root")
def test_a_read_only_disk(shop, fixture_copy):
    """A source on a file system that is mounted read-only, without -o ro."""
    source = fixture_copy("v2_tf1_adam")
    disk_point = shop.directory / "disk"
    disk_point.mkdir()
    subprocess.run(["mount", "--bind", source, disk_point], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk_point], check=True)
        mount = shop.mount(disk_point)
        refused(mount)
        mount.unmount()
    finally:
        subprocess.run(["umount", "-l", disk_point], check=True)


def test_two_read_only_mounts_beside_a_writing_one(adam, shop):
    """Readers need no lock, and see what the writer commits."""
    source, writer = adam
    readers = [shop.mount(source, "ro") for _ in range(2)]
    tree.write(writer / KERNEL, b"\7" * 96)
    fd = os.open(writer / KERNEL, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    from mounts import wait_until
    for each in readers:
        assert wait_until(lambda r=each: tree.read(r / KERNEL) == b"\7" * 96, 1.5)
