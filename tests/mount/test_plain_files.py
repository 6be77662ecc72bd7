"""DESIGN 2.2: files that are no checkpoint pass through."""
import os

import tree
from mounts import SECOND, wait_until


def test_a_plain_file_reads_and_writes_through(adam):
    """The bytes on disk are those in the mount, both ways."""
    source, mount = adam
    meta = (source / "model.ckpt-3.meta").read_bytes()
    assert tree.read(mount / "model.ckpt-3.meta") == meta
    tree.write(mount / "model.ckpt-3.meta", b"new content")
    assert (source / "model.ckpt-3.meta").read_bytes() == b"new content"
    with open(mount / "model.ckpt-3.meta", "ab") as f:
        f.write(b", and more")
    assert (source / "model.ckpt-3.meta").read_bytes() == b"new content, and more"


def test_a_plain_file_keeps_its_attributes(adam):
    """Size, mode and mtime of the file on disk; chmod reaches it."""
    source, mount = adam
    on_disk, shown = os.stat(source / "model.ckpt-3.meta"), os.stat(mount / "model.ckpt-3.meta")
    assert (shown.st_size, shown.st_mode, shown.st_mtime_ns) == (
        on_disk.st_size, on_disk.st_mode, on_disk.st_mtime_ns)
    os.chmod(mount / "model.ckpt-3.meta", 0o600)
    assert os.stat(source / "model.ckpt-3.meta").st_mode & 0o777 == 0o600


def test_a_growing_file_is_seen_within_a_second(shop, fixture_copy):
    """tail -f of an event file: size and bytes follow the disk."""
    source = fixture_copy("v2_tf1_adam")
    events = source / "events.out.tfevents.1"
    events.write_bytes(b"one\n")
    mount = shop.mount(source)
    assert tree.read(mount / events.name) == b"one\n"
    for i in range(3):
        with open(events, "ab") as f:
            f.write(b"line %d\n" % i)
        assert wait_until(lambda: os.stat(mount / events.name).st_size == os.stat(events).st_size,
                          SECOND)
        assert tree.read(mount / events.name) == events.read_bytes()



def test_new_and_removed_files_appear_within_a_second(adam):
    """A file that somebody else makes or deletes in the source."""
    source, mount = adam
    assert not (mount / "new.txt").exists()
    (source / "new.txt").write_text("x")
    assert wait_until((mount / "new.txt").exists, SECOND)
    assert wait_until(lambda: "new.txt" in os.listdir(mount.point), SECOND)
    assert tree.read(mount / "new.txt") == b"x"
    (source / "new.txt").unlink()
    assert wait_until(lambda: not (mount / "new.txt").exists(), SECOND)
    assert wait_until(lambda: "new.txt" not in os.listdir(mount.point), SECOND)


def test_attributes_of_a_directory_reach_the_disk(adam):
    """chmod and touch of a mirrored directory; its fsync succeeds."""
    source, mount = adam
    os.mkdir(mount / "notes")
    (mount.point / "notes").chmod(0o750)
    os.utime(mount / "notes", (1e9, 1e9))
    fd = os.open(mount / "notes", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    info = os.stat(source / "notes")
    assert (info.st_mode & 0o777, int(info.st_mtime)) == (0o750, 10 ** 9)
