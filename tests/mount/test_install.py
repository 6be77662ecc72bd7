"""make install puts everything in its place."""
import os
import subprocess

import pytest

import mounts


@pytest.mark.skipif(mounts.SANITIZED, reason="installs the plain build")
def test_install_honours_destdir_and_prefix(shop):
    """The program, its page, and the helpers that mount(8) and umount(8) look for."""
    dest = shop.directory / "dest"
    subprocess.run(["make", "-C", mounts.ROOT, "install", "DESTDIR=%s" % dest, "prefix=/usr"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    assert os.access(dest / "usr/bin/weightfs", os.X_OK)
    assert (dest / "usr/share/man/man1/weightfs.1").is_file()
    found = {p.name: p for p in dest.rglob("*")}
    for name in ("mount.weightfs", "umount.fuse.weightfs"):
        assert name in found and found[name].parent.name == "sbin", sorted(found)
