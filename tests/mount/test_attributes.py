"""DESIGN 2.8: stat is honest."""
import os
import stat
import time

import numpy as np
import pytest

import tree


def test_mtime_owner_and_mode_are_those_of_the_index(shop, fixture_copy):
    """Of values, sidecars and directories; directories get x where r is."""
    source = fixture_copy("v2_tf1_adam")
    index = source / "model.ckpt-4.index"
    os.chmod(index, 0o640)
    os.chown(index, 1234, 2345)
    os.utime(index, ns=(10**18, 1234567890123456789))
    mount = shop.mount(source, "ro")
    for name in ("dense/kernel", "dense/kernel.shape", "dense", "dense/kernel.d", ""):
        info = os.lstat(mount / "model.ckpt-4" / name)
        is_directory = stat.S_ISDIR(info.st_mode)
        assert stat.S_IMODE(info.st_mode) == (0o750 if is_directory else 0o640), name
        assert (info.st_uid, info.st_gid) == (1234, 2345)
        assert info.st_mtime_ns == 1234567890123456789


def test_a_commit_leaves_the_mtime_of_others(adam):
    """The written variable gets a new mtime, the others keep theirs."""
    _, mount = adam
    top = mount / "model.ckpt-4"
    others = ["dense/bias", "global_step", "dense/kernel.d/Adam"]
    before = [os.lstat(top / n).st_mtime_ns for n in others]
    old = os.lstat(top / "dense/kernel").st_mtime_ns
    tree.write(top / "dense/kernel", bytes(96))
    fsync(top / "dense/kernel")
    assert [os.lstat(top / n).st_mtime_ns for n in others] == before
    assert os.lstat(top / "dense/kernel").st_mtime_ns > old


def fsync(path):
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)


def test_inode_numbers_stay(adam):
    """A commit and a second look do not change st_ino."""
    _, mount = adam
    top = mount / "model.ckpt-4"
    names = ["dense/kernel", "dense/kernel.shape", "dense/bias", "dense", "dense/kernel.d/Adam"]
    before = [os.lstat(top / n).st_ino for n in names]
    tree.write(top / "dense/kernel", bytes(96))
    fsync(top / "dense/kernel")
    assert [os.lstat(top / n).st_ino for n in names] == before


def test_readdir_tells_type_and_inode(adam):
    """d_type and d_ino agree with stat."""
    _, mount = adam
    for root, _, _ in os.walk(mount.point):
        for entry in os.scandir(root):
            info = os.lstat(entry.path)
            assert entry.inode() == info.st_ino
            assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(info.st_mode)
            assert entry.is_symlink() == stat.S_ISLNK(info.st_mode)


def test_chmod_and_times_hold(adam):
    """chmod, chown and utimens of a variable succeed and are seen, and the disk is as it was."""
    source, mount = adam
    path = mount / "model.ckpt-4" / "dense/kernel"
    on_disk = os.stat(source / "model.ckpt-4.index")
    os.chmod(path, 0o600)
    os.utime(path, ns=(10**18, 1234567891 * 10**9))
    os.chown(path, os.getuid(), os.getgid())
    info = os.lstat(path)
    assert stat.S_IMODE(info.st_mode) == 0o600 and info.st_mtime == 1234567891
    after = os.stat(source / "model.ckpt-4.index")
    assert (after.st_mode, after.st_mtime_ns) == (on_disk.st_mode, on_disk.st_mtime_ns)


def test_statfs_is_the_source_s(adam):
    """Sizes and free space are those of the disk below."""
    source, mount = adam
    mine, below = os.statvfs(mount.point), os.statvfs(source)
    assert mine.f_blocks * mine.f_frsize == below.f_blocks * below.f_frsize
    assert mine.f_namemax == below.f_namemax == 255
    assert abs(mine.f_bavail * mine.f_frsize - below.f_bavail * below.f_frsize) < 1 << 30


@pytest.mark.sanitized
def test_xattrs(adam):
    """.dtype and .shape are listed; .key, .crc32c, .shard and .offset can be had."""
    _, mount = adam
    path = mount / "model.ckpt-4" / "dense/kernel"
    assert sorted(os.listxattr(path)) == ["user.weightfs.dtype", "user.weightfs.shape"]
    assert tree.attribute(path, "dtype") == b"float32"
    assert tree.attribute(path, "shape") == b"[6, 4]"
    assert tree.attribute(path, "key") == b"dense/kernel"
    for name in ("crc32c", "shard", "offset"):
        assert tree.attribute(path, name) is not None
    assert tree.error_of(os.getxattr, path, "user.weightfs.nothing") == "ENODATA"
    assert tree.error_of(os.getxattr, path, "user.other") == "ENODATA"
    for name in ("security.selinux", "security.capability", "system.posix_acl_access"):
        assert tree.error_of(os.getxattr, path, name) == "EOPNOTSUPP"


def test_setting_a_derived_xattr_does_nothing(adam):
    """cp --preserve=xattr sets what it finds: that succeeds and changes nothing."""
    _, mount = adam
    path = mount / "model.ckpt-4" / "dense/kernel"
    for name, value in (("key", b"other"), ("crc32c", b"0"), ("offset", b"7"), ("shard", b"9")):
        before = tree.attribute(path, name)
        os.setxattr(path, "user.weightfs." + name, value)
        assert tree.attribute(path, name) == before
    for name in ("dtype", "shape"):
        os.setxattr(path, "user.weightfs." + name, tree.attribute(path, name))


def test_sidecars_have_the_size_of_their_text(adam):
    """st_size of .shape and .dtype is what cat prints."""
    _, mount = adam
    for name in ("dense/kernel.shape", "global_step.shape", "global_step.dtype"):
        path = mount / "model.ckpt-4" / name
        assert os.lstat(path).st_size == len(tree.read(path)) > 0


def test_a_large_value_has_the_blocks_it_needs(shop, judge):
    """st_blocks follows the size, so that cp does not take a value for sparse."""
    source = shop.directory / "source"
    source.mkdir()
    judge.save(source / "ckpt", {"w": np.zeros(1 << 18, "f4")})
    info = os.lstat(shop.mount(source, "ro") / "ckpt" / "w")
    assert info.st_size == 1 << 20 and info.st_blocks == 1 << 11


def test_directories_of_the_mirror_are_directories(shop, fixture_copy):
    """The root and what it mirrors have one link and the times of the disk."""
    source = fixture_copy("savedmodel_tf2")
    mount = shop.mount(source, "ro")
    for name in ("", "assets", "variables", "variables/variables"):
        info = os.lstat(mount / name)
        assert stat.S_ISDIR(info.st_mode) and info.st_nlink == 1, name
    assert abs(os.lstat(mount / "assets").st_mtime - os.lstat(source / "assets").st_mtime) < 1
    assert os.lstat(mount.point).st_mtime <= time.time() + 1
