"""DESIGN 2.11: what others do to the source is seen."""
import os
import time

import numpy as np
import pytest

import mounts
import tree
from mounts import SECOND, wait_until



def filled(value, count=1000):
    return {"w": np.full(count, value, "i4"), "z": np.full(3, value, "i4")}


@pytest.fixture
def source(shop):
    made = shop.directory / "source"
    made.mkdir()
    return made


@pytest.mark.sanitized
@pytest.mark.parametrize("option", ["ro", "rw"])
def test_a_new_checkpoint_appears(shop, judge, source, option):
    """Within a second of its save."""
    judge.save(source / "ckpt-1", filled(1))
    mount = shop.mount(source, option)
    assert os.listdir(mount.point) == ["ckpt-1"]
    assert tree.error_of(os.lstat, mount / "ckpt-2") == "ENOENT"
    judge.save(source / "ckpt-2", filled(2))
    assert wait_until(lambda: sorted(os.listdir(mount.point)) == ["ckpt-1", "ckpt-2"], SECOND)
    assert wait_until(lambda: (mount / "ckpt-2").exists(), SECOND)
    assert tree.read(mount / "ckpt-2/w") == filled(2)["w"].tobytes()


@pytest.mark.parametrize("option", ["ro", "rw"])
def test_a_deleted_checkpoint_vanishes(shop, judge, source, option):
    """As max_to_keep deletes it: index and data."""
    for i in (1, 2):
        judge.save(source / ("ckpt-%d" % i), filled(i))
    mount = shop.mount(source, option)
    assert tree.read(mount / "ckpt-1/w") == filled(1)["w"].tobytes()
    for path in source.glob("ckpt-1.*"):
        path.unlink()
    assert wait_until(lambda: os.listdir(mount.point) == ["ckpt-2"], SECOND)
    assert wait_until(lambda: tree.error_of(os.lstat, mount / "ckpt-1/w") == "ENOENT", SECOND)
    assert tree.read(mount / "ckpt-2/w") == filled(2)["w"].tobytes()


@pytest.mark.sanitized
def test_a_saved_prefix_shows_new_values_at_the_next_open(shop, judge, source):
    """On a writable mount never later than an open, ten times over."""
    judge.save(source / "ckpt", filled(0))
    mount = shop.mount(source)
    for value in range(10):
        assert tree.read(mount / "ckpt/w") == filled(value)["w"].tobytes()
        judge.save(source / "ckpt", filled(value + 1))
        assert tree.read(mount / "ckpt/w") == filled(value + 1)["w"].tobytes()
        assert tree.read(mount / "ckpt/z") == filled(value + 1)["z"].tobytes()


def test_a_saved_prefix_shows_new_values_on_a_read_only_mount(shop, judge, source):
    """Within a second."""
    judge.save(source / "ckpt", filled(0))
    mount = shop.mount(source, "ro")
    for value in range(3):
        assert wait_until(
            lambda v=value: tree.read(mount / "ckpt/w") == filled(v)["w"].tobytes(), SECOND)
        judge.save(source / "ckpt", filled(value + 1))


def test_a_merge_onto_the_prefix_shows_new_values(shop, judge, source):
    """tf.train.Checkpoint writes the index in place; soon its values are there."""
    judge.write_stamps(source / "ckpt", 1, True)
    mount = shop.mount(source)
    for value in range(2, 8):
        judge.write_stamps(source / "ckpt", value, True)
        want = np.full(1000, value, "i4").tobytes()
        assert wait_until(lambda w=want: tree.read(mount / "ckpt/b") == w, SECOND)


@pytest.mark.sanitized
@pytest.mark.parametrize("option", ["ro", "rw"])
def test_an_open_file_keeps_the_old_bytes(shop, judge, source, option):
    """Also those that were not read before the prefix was saved again."""
    judge.save(source / "ckpt", filled(1, 1 << 20))
    mount = shop.mount(source, option)
    with open(mount / "ckpt/w", "rb", buffering=0) as f:
        f.read(5)
        judge.save(source / "ckpt", filled(2, 1 << 20))
        assert wait_until(lambda: tree.read(mount / "ckpt/z") == filled(2)["z"].tobytes(), SECOND)
        f.seek(0)
        assert f.readall() == filled(1, 1 << 20)["w"].tobytes()
        fresh = tree.read(mount / "ckpt/w")
    assert fresh == filled(2, 1 << 20)["w"].tobytes()


def test_st_ino_stays_when_a_prefix_is_saved_again(shop, judge, source):
    """The new variable has the inode number of the old one; its size may differ."""
    judge.save(source / "ckpt", filled(1))
    mount = shop.mount(source)
    inode = os.lstat(mount / "ckpt/w").st_ino
    judge.save(source / "ckpt", filled(2, 17))
    assert len(tree.read(mount / "ckpt/w")) == 68
    assert wait_until(lambda: os.lstat(mount / "ckpt/w").st_size == 68, SECOND)
    assert os.lstat(mount / "ckpt/w").st_ino == inode
    assert tree.read(mount / "ckpt/w.shape") == b"[17]\n"


def test_a_half_written_index_is_not_damage(shop, judge, source):
    """While a writer has it open, the old version is served or the prefix not listed."""
    judge.save(source / "ckpt", filled(1))
    judge.save(source / "next", filled(2))
    mount = shop.mount(source)
    assert tree.read(mount / "ckpt/w") == filled(1)["w"].tobytes()
    whole = (source / "next.index").read_bytes()
    with open(source / "ckpt.index", "wb", buffering=0) as f:
        f.write(whole[:20])
        time.sleep(0.3)
        try:
            assert tree.read(mount / "ckpt/w") == filled(1)["w"].tobytes()
        except FileNotFoundError:
            assert "ckpt" not in os.listdir(mount.point)
        os.replace(source / "next.data-00000-of-00001", source / "ckpt.data-00000-of-00001")
        f.write(whole[20:])
    assert wait_until(lambda: tree.read(mount / "ckpt/w") == filled(2)["w"].tobytes(), SECOND)


def replace_while_writing(shop, judge, source):
    """Saves the prefix anew between write and close: (mount, errors of fsync and close)."""
    judge.save(source / "ckpt", filled(1))
    mount = shop.mount(source)
    fd = os.open(mount / "ckpt/w", os.O_RDWR)
    os.write(fd, b"\5" * 4000)
    judge.save(source / "ckpt", filled(2))
    return mount, [tree.error_of(os.fsync, fd), tree.error_of(os.close, fd)]


def test_a_write_to_a_replaced_checkpoint_is_refused(shop, judge, source):
    """ESTALE; the tree shows the new checkpoint, and TensorFlow's values stand."""
    mount, errors = replace_while_writing(shop, judge, source)
    assert "ESTALE" in errors, errors
    assert wait_until(lambda: tree.read(mount / "ckpt/w") == filled(2)["w"].tobytes(), SECOND)
    assert judge.load(source / "ckpt")[b"w"][2] == filled(2)["w"].tobytes()
    mounts.run("--unmount", mount.point)
    assert judge.load(source / "ckpt")[b"w"][2] == filled(2)["w"].tobytes()



def test_changes_deep_in_the_source_are_seen(shop, judge, source):
    """A checkpoint saved into a subdirectory that was listed before, and into a new one."""
    (source / "a/b").mkdir(parents=True)
    mount = shop.mount(source)
    assert os.listdir(mount / "a/b") == []
    judge.save(source / "a/b/ckpt", filled(1))
    assert wait_until(lambda: os.listdir(mount / "a/b") == ["ckpt"], SECOND)
    (source / "a/c").mkdir()
    judge.save(source / "a/c/ckpt", filled(2))
    assert wait_until(lambda: sorted(os.listdir(mount / "a")) == ["b", "c"], SECOND)
    assert wait_until(lambda: (mount / "a/c/ckpt/w").exists(), SECOND)
    assert tree.read(mount / "a/c/ckpt/w") == filled(2)["w"].tobytes()
