"""DESIGN 2.11, 5: somebody else replaces what is mounted, by every way there is."""
import os
import shutil
import threading
import time

import pytest

import disk
import mounts
import sstable
import tree
from mounts import SECOND, wait_until
from writing import save

LARGE = 200000  # is staged in the shard, not in memory
DATA = ".data-00000-of-00001"


@pytest.fixture
def source(shop):
    made = shop.directory / "source"
    (made / "sub").mkdir(parents=True)
    save(made / "sub/ckpt", {b"w": b"old!" * 100, b"x": b"xxxx"})
    return made


def shows(path, content):
    """Whether this is what the file soon reads as."""
    return wait_until(lambda: tree.error_of(tree.read, path) is None
                      and tree.read(path) == content, SECOND)


@pytest.mark.sanitized
def test_a_directory_that_another_one_replaces(shop, source):
    """`mv sub old; mv new sub`: the new one is what is shown and what is written to."""
    (source / "new").mkdir()
    save(source / "new/ckpt", {b"w": b"new!" * 100, b"y": b"yyyy"})
    mount = shop.mount(source)
    assert tree.read(mount / "sub/ckpt/w") == b"old!" * 100
    os.rename(source / "sub", source / "old")
    os.rename(source / "new", source / "sub")
    before = disk.digest(source / "old")
    assert shows(mount / "sub/ckpt/w", b"new!" * 100)
    assert wait_until(lambda: os.listdir(mount / "sub/ckpt") and
                      "x" not in os.listdir(mount / "sub/ckpt"), SECOND)
    assert wait_until(lambda: sorted(os.listdir(mount.point)) == ["old", "sub"], SECOND)
    assert shows(mount / "old/ckpt/w", b"old!" * 100)
    tree.write(mount / "sub/ckpt/w", b"mine" * 100)
    mount.unmount()
    assert disk.Snapshot(source / "sub/ckpt").values[b"w"] == b"mine" * 100
    assert disk.digest(source / "old") == before


@pytest.mark.sanitized
def test_a_directory_that_is_removed_and_made_again(shop, source):
    """`rm -rf sub; mkdir sub; cp` of checkpoint files: they are shown, and written to."""
    save(shop.directory / "kept", {b"w": b"new!" * 100})
    mount = shop.mount(source)
    for turn in range(3):
        assert os.listdir(mount / "sub") == ["ckpt"]
        shutil.rmtree(source / "sub")
        (source / "sub").mkdir()
        for suffix in (DATA, ".index"):
            shutil.copyfile(shop.directory / ("kept" + suffix), source / ("sub/ckpt" + suffix))
        assert shows(mount / "sub/ckpt/w", b"new!" * 100), turn
        tree.write(mount / "sub/ckpt/w", b"mine" * 100)
        assert wait_until(lambda: disk.Snapshot(source / "sub/ckpt").values[b"w"] == b"mine" * 100,
                          5)


def continue_writing(fd):
    """Writes the second half and closes: the errors."""
    return [tree.error_of(os.write, fd, b"m" * (LARGE // 2)), tree.error_of(os.close, fd)]


def give_up(fd):
    """Closes what is half written: the room that it had is given back."""
    return [tree.error_of(os.close, fd)]


def begin_again(fd):
    """Writes the first half once more, and fsyncs: the errors."""
    return [tree.error_of(os.pwrite, fd, b"m" * (LARGE // 2), 0), tree.error_of(os.fsync, fd),
            tree.error_of(os.close, fd)]


def same_files(*places):
    """Whether `ckpt` is the same, byte for byte, in each of the directories."""
    return all(len({(p / ("ckpt" + suffix)).read_bytes() for p in places}) == 1
               for suffix in (DATA, ".index"))


@pytest.mark.sanitized
@pytest.mark.parametrize("then", [continue_writing, give_up, begin_again])
def test_a_shard_rewritten_in_place_is_not_written_to(shop, source, then):
    """`cp` of a backup over a checkpoint that a writer has open: its bytes stand."""
    values = {b"w": b"w" * LARGE, b"z": os.urandom(2 * LARGE)}
    save(source / "ckpt", {b"w": b"w" * LARGE, b"z": b"z" * 1000})
    save(shop.directory / "ckpt", values)
    mount = shop.mount(source)
    fd = os.open(mount / "ckpt/w", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"m" * (LARGE // 2))
    for suffix in (DATA, ".index"):
        shutil.copyfile(shop.directory / ("ckpt" + suffix), source / ("ckpt" + suffix))
    errors = then(fd)
    assert same_files(source, shop.directory)
    assert any(errors) and shows(mount / "ckpt/z", values[b"z"])
    mounts.run("--unmount", mount.point)
    assert same_files(source, shop.directory)


def fsync_at_once(fds):
    """One thread for each: the errors of fsync."""
    errors, barrier = [None] * len(fds), threading.Barrier(len(fds))

    def work(i):
        barrier.wait()
        errors[i] = tree.error_of(os.fsync, fds[i])
    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(fds))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return errors


@pytest.mark.sanitized
def test_no_fsync_succeeds_for_a_dropped_value(shop, source, long):
    """Two fsync a checkpoint that was replaced: each is told, or its value is there."""
    path, mount = source / "ckpt", None
    for turn in range(300 if long else 40):
        save(path, {b"a": b"%4d" % turn, b"b": b"%4d" % turn})
        mount = mount or shop.mount(source)
        fds = [os.open(mount / "ckpt" / name, os.O_RDWR) for name in "ab"]
        for fd in fds:
            os.write(fd, b"mine")
        save(path, {b"a": b"%4d" % turn, b"b": b"%4d" % turn})
        errors = fsync_at_once(fds)
        values = disk.Snapshot(path).values
        for fd in fds:
            tree.error_of(os.close, fd)
        for key, error in zip((b"a", b"b"), errors):
            assert error == "ESTALE" or (error is None and values[key] == b"mine"), (turn, errors)
    mounts.run("--unmount", mount.point)  # may have a loss of its own to tell


def two_states(path):
    """One shard with two states in it: the index of each."""
    contents = [b"old!" * 100, b"new!" * 100]
    with open(str(path) + DATA, "wb") as f:
        f.write(b"".join(contents))
    return contents, [sstable.make_index({b"w": sstable.Entry(
        sstable.DT["uint8"], [400], 0, 400 * i, 400, sstable.mask(sstable.crc(x)))})
        for i, x in enumerate(contents)]


def what_is_seen(mount):
    """Both listings, the value, and the inodes; or the error of one of them."""
    try:
        return (sorted(os.listdir(mount.point)), sorted(os.listdir(mount / "ckpt")),
                tree.read(mount / "ckpt/w"),
                [os.lstat(mount / p).st_ino for p in ("ckpt", "ckpt/w")])
    except OSError as e:
        return e


@pytest.mark.sanitized
@pytest.mark.parametrize("held", [True, False], ids=["held open", "closed"])
def test_an_index_that_is_empty_for_a_moment(shop, source, held):
    """Truncated in place for 1.7 s: the old state is served; then the new one is.

    If nobody has it open, that is so for two seconds.
    """
    contents, indexes = two_states(source / "ckpt")
    (source / "ckpt.index").write_bytes(indexes[0])
    mount = shop.mount(source)
    assert tree.read(mount / "ckpt/w") == contents[0]
    inodes = [os.lstat(mount / p).st_ino for p in ("ckpt", "ckpt/w")]
    wait_until(lambda: time.time() % 1 > 0.5, 1)  # what is left of a second is no second
    start = time.monotonic()
    f = open(source / "ckpt.index", "wb", buffering=0)
    if not held:
        f.close()
    old = (["ckpt", "sub"], ["w", "w.dtype", "w.shape"], contents[0], inodes)
    while time.monotonic() - start < 1.7:
        seen = what_is_seen(mount)
        assert seen == old or (not held and time.monotonic() - start > 1.8), seen
    if not held:
        f = open(source / "ckpt.index", "wb", buffering=0)
    f.write(indexes[1])
    f.close()
    assert shows(mount / "ckpt/w", contents[1])
    assert [os.lstat(mount / p).st_ino for p in ("ckpt", "ckpt/w")] == inodes


@pytest.mark.sanitized
def test_a_directory_that_is_renamed_stays_writable(shop, source):
    """`mv sub sub2` beside the mount: it is not locked against ourselves."""
    mount = shop.mount(source)
    assert tree.read(mount / "sub/ckpt/x") == b"xxxx"
    os.rename(source / "sub", source / "sub2")
    assert shows(mount / "sub2/ckpt/x", b"xxxx")
    tree.write(mount / "sub2/ckpt/x", b"mine")
    mount.unmount()
    assert disk.Snapshot(source / "sub2/ckpt").values[b"x"] == b"mine"


def test_directories_that_come_and_go_cost_no_descriptors(shop, source):
    """What was looked into and is gone is let go of, as a save's `_temp` is."""
    mount = shop.mount(source)
    os.listdir(mount / "sub")
    before = len(mount.files_held())
    for i in range(20):
        (source / ("gone%d" % i)).mkdir()
        os.listdir(mount / ("gone%d" % i))
        (source / ("gone%d" % i)).rmdir()
    assert wait_until(lambda: len(mount.files_held()) <= before + 3, SECOND), mount.files_held()


@pytest.mark.sanitized
def test_a_shard_that_comes_after_a_commit(shop):
    """A shard was missing, we commit to another one, and then it is there."""
    source = shop.directory / "source"
    shutil.copytree(mounts.ROOT / "tests/fixtures/v2_tf1_sharded", source)
    prefix = source / "model.ckpt-0"
    second = str(prefix) + ".data-00001-of-00002"
    os.rename(second, source / "away")
    mount = shop.mount(source)
    whole = disk_values(mount / "model.ckpt-0")
    readable = [path for path, value in whole.items() if value is not None]
    missing = [path for path, value in whole.items() if value is None]
    assert readable and missing
    tree.write(readable[0], whole[readable[0]])
    descriptor = os.open(mount.point, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(source / "away", second)
    assert wait_until(lambda: all(tree.error_of(tree.read, path) in (None, "EOPNOTSUPP")
                                  for path in missing), 5)


def disk_values(directory):
    """The content of every value below a checkpoint; None where reading is EIO."""
    found = {}
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            if not name.endswith((".shape", ".dtype")):
                error = tree.error_of(tree.read, path)
                if error in (None, "EIO"):
                    found[path] = None if error else tree.read(path)
    return found


@pytest.mark.sanitized
def test_a_name_that_was_not_there_while_the_index_was_written(shop, source):
    """An ENOENT of a half-written checkpoint is not believed once it is whole."""
    index = source / "sub/ckpt.index"
    content = index.read_bytes()
    mount = shop.mount(source)
    os.listdir(mount / "sub")
    index.write_bytes(content[:20])
    assert tree.error_of(os.stat, mount / "sub/ckpt/w") in ("ENOENT", "EIO")
    index.write_bytes(content)
    assert wait_until(lambda: tree.error_of(os.stat, mount / "sub/ckpt/w") is None, 4)
