"""What the kernel believes: right at once after a request, and nobody ever waits for it."""
import errno
import os
import shutil
import threading
import time

import pytest

import mounts

SIDECARS = ("", ".shape", ".dtype")


def there(path):
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def wrong_names(scope, name, expected):
    """How many of the three files of `name` are there when they should not be, or the reverse.

    Sidecars of a value that has just gone may still be found, but are not listed.
    """
    listed = os.listdir(scope)
    wrong = sum((name + s in listed) != expected for s in SIDECARS)
    asked = SIDECARS if expected else SIDECARS[:1]
    return wrong + sum(there(scope / (name + s)) != expected for s in asked)


def rename(old, new):
    os.rename(old, new)


def test_after_each_of_300_renames_no_name_is_wrong(adam):
    """The names are asked for before, so that the kernel has them, also as missing."""
    scope = adam[1] / "model.ckpt-3"
    here, there_ = "beta1_power", "renamed"
    wrong = 0
    for _ in range(300):
        wrong += wrong_names(scope, here, True) + wrong_names(scope, there_, False)
        rename(scope / here, scope / there_)
        here, there_ = there_, here
        wrong += wrong_names(scope, here, True) + wrong_names(scope, there_, False)
    assert wrong == 0


def replace(original, source):
    """What a save by somebody else does: new files, data first."""
    for name in sorted(os.listdir(original)):
        if name.startswith("model.ckpt-3."):
            shutil.copyfile(original / name, source / (name + ".new"))
            os.rename(source / (name + ".new"), source / name)


class Worker(threading.Thread):
    """Does one thing again and again, and counts; errors of the moment are allowed:
    a checkpoint that is just being replaced can have gone, or be half there."""

    MOMENTARY = (errno.ESTALE, errno.ENOENT, errno.EIO, errno.EOPNOTSUPP)

    def __init__(self, action, until):
        super().__init__(daemon=True)
        self.action, self.until, self.done = action, until, 0
        self.start()

    def run(self):
        while not self.until.is_set():
            try:
                self.action()
            except OSError as e:
                assert e.errno in self.MOMENTARY, e
            self.done += 1


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def overwrite(path):
    content = path.read_bytes()
    path.write_bytes(content)


def back_and_forth(scope):
    os.rename(scope / "beta2_power", scope / "other")
    os.rename(scope / "other", scope / "beta2_power")


@pytest.mark.sanitized
def test_no_request_waits_for_a_notification(adam, fixture_copy, long):
    """fsync, listings and renames hold a directory's lock in the kernel while they wait
    for us, as we tell the kernel of names in it that somebody else replaced."""
    source, mount = adam
    original = fixture_copy("v2_tf1_adam", "original")
    scope = mount / "model.ckpt-3"
    stop = threading.Event()
    workers = [Worker(action, stop) for action in (
        lambda: sync_directory(scope),
        lambda: sync_directory(mount.point),
        lambda: overwrite(scope / "beta1_power"),
        lambda: [there(scope / (n + s)) for n in ("beta2_power", "x") for s in SIDECARS],
        lambda: [os.stat(e) for e in os.scandir(scope)],
        lambda: back_and_forth(scope),
        lambda: (replace(original, source), time.sleep(0.02)),
    )]
    for _ in range(60 if long else 5):
        before = [w.done for w in workers]
        time.sleep(1)
        assert mounts.wait_until(
            lambda: all(w.done > b for w, b in zip(workers, before)), 6), \
            ([w.done for w in workers], mount.log()[-1000:])
    stop.set()
    for w in workers:
        w.join(60)
        assert not w.is_alive()
    # The last write may have lost against a replacement: whoever asks is told, once.
    try:
        sync_directory(mount.point)
    except OSError as e:
        assert e.errno == errno.ESTALE, e
