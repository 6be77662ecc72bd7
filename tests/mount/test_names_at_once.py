"""Names that change with others are right before the call returns, and no call waits for that."""
import os
import threading
import time

import numpy as np
import pytest

import jobs
import tree
from jobs import array
from mounts import wait_until

SIDES = (".shape", ".dtype")


def absent(path):
    return tree.error_of(os.lstat, path) == "ENOENT"


def wrong_at(path, value):
    """What of a variable is not as it must be, through whatever the kernel has cached."""
    found = []
    try:
        if tree.read(path) != value.tobytes():
            found.append("%s: bytes" % path)
        if tree.read(str(path) + ".shape") != tree.shape_text(list(value.shape)):
            found.append("%s.shape: %r" % (path, tree.read(str(path) + ".shape")))
        if tree.read(str(path) + ".dtype") != tree.dtype_text(value.dtype.name):
            found.append("%s.dtype: %r" % (path, tree.read(str(path) + ".dtype")))
        if os.lstat(str(path) + ".shape").st_size != len(tree.shape_text(list(value.shape))):
            found.append("%s.shape: size" % path)
    except OSError as e:
        found.append(str(e))
    return found


def gone(path):
    """A value that went; its sidecars may linger, and then they are files that read."""
    found = [] if absent(path) else ["%s is still there" % path]
    for end in SIDES:
        error = tree.error_of(tree.read, str(path) + end)
        if error not in (None, "ENOENT"):
            found.append("%s%s: %s" % (path, end, error))
    return found


def listed(directory, *names):
    """Holds a listing against the variables and directories that must be in it."""
    want = {n.rstrip("/") for n in names}
    want |= {n + end for n in names if not n.endswith("/") for end in SIDES}
    got = set(os.listdir(directory))
    return [] if got == want else ["%s lists %s" % (directory, sorted(got ^ want))]


def warm(*paths):
    """Has the kernel cache that these and what comes with them are there, or are not."""
    for path in paths:
        for end in ("", ".d", *SIDES):
            tree.error_of(os.lstat, str(path) + end)


@pytest.fixture
def made(shop, judge):
    def make(**items):
        source = shop.directory / "runs"
        source.mkdir()
        judge.save(source / "c", {k.replace("__", "/"): v for k, v in items.items()})
        return source, shop.mount(source / "c")
    return make


def turns(long):
    return 300 if not long else 3000


def test_a_variable_and_its_sidecars(made, judge, long):
    """300 renames, within a scope and out of it: none is seen wrong."""
    a, b = array(1, 6, 4), array(2, 3, dtype="i8")
    source, mount = made(s__v0=a, s__other=b)
    wrong, old = [], mount / "s/v0"
    for i in range(1, turns(long) + 1):
        new = mount / (("s/v%d" if i % 3 else "top%d") % i)
        warm(old, new)
        os.rename(old, new)
        wrong += wrong_at(new, a) + gone(old)
        inside = new.parent.name == "s"
        wrong += listed(mount / "s", *(["other", new.name] if inside else ["other"]))
        old = new
    assert not wrong, (len(wrong), wrong[:5])
    mount.unmount()
    jobs.holds(judge, source / "c", {str(old)[len(str(mount.point)) + 1:]: a, "s/other": b})


def test_a_name_that_goes_to_and_fro(made, long):
    """Two names that take turns: what lingers under a name never covers what is there."""
    a, b = array(1, 6, 4), array(2, 5, dtype="i2")
    _, mount = made(x=a, y=b)
    wrong = []
    for _ in range(turns(long) // 3):
        warm(mount / "x", mount / "y", mount / "t")
        for old, new in (("x", "t"), ("y", "x"), ("t", "y")):
            os.rename(mount / old, mount / new)
            wrong += gone(mount / old)
        a, b = b, a
        wrong += wrong_at(mount / "x", a) + wrong_at(mount / "y", b) + listed(mount.point, "x", "y")
    assert not wrong, (len(wrong), wrong[:5])


def test_exchanged_variables(made, long):
    """Both names have the other's bytes, shape and dtype."""
    a, b = array(1, 6, 4), array(2, 5, dtype="i2")
    _, mount = made(s__x=a, t__y=b)
    wrong = []
    for _ in range(turns(long)):
        warm(mount / "s/x", mount / "t/y")
        jobs.exchange(mount / "s/x", mount / "t/y")
        a, b = b, a
        wrong += wrong_at(mount / "s/x", a) + wrong_at(mount / "t/y", b)
    wrong += listed(mount / "s", "x") + listed(mount / "t", "y")
    assert not wrong, (len(wrong), wrong[:5])


def test_a_variable_over_another(made):
    """The replaced name has the other's sidecars, whatever the kernel knew of the old ones."""
    items = {"v%d" % i: array(i, i % 5 + 1, 2, dtype=("f4", "i8")[i % 2]) for i in range(100)}
    _, mount = made(target=array(1000, 9), **items)
    wrong = []
    for name, value in items.items():
        warm(mount / name, mount / "target")
        tree.read(mount / "target.shape")
        os.rename(mount / name, mount / "target")
        wrong += wrong_at(mount / "target", value) + gone(mount / name)
    wrong += listed(mount.point, "target")
    assert not wrong, (len(wrong), wrong[:5])


def test_scopes_and_all_below(made, long):
    """A scope renamed and exchanged: its old path is gone, all below is at the new one."""
    a, b = array(1, 6, 4), array(2, 5, dtype="i2")
    _, mount = made(s0__k=a, s0__k__Adam=a, s0__deep__er__k=b, other__k=b)
    wrong = []
    for i in range(turns(long) // 3):
        old, new = mount / ("s%d" % i), mount / ("s%d" % (i + 1))
        warm(old, new, old / "k", new / "k", new / "k.d/Adam", new / "deep/er/k")
        os.rename(old, new)
        wrong += [] if absent(old) and absent(old / "k.shape") else ["%s is there" % old]
        wrong += wrong_at(new / "k", a) + wrong_at(new / "k.d/Adam", a)
        wrong += wrong_at(new / "deep/er/k", b) + listed(new, "k", "k.d/", "deep/")
        jobs.exchange(new, mount / "other")
        wrong += wrong_at(mount / "other/k.d/Adam", a) + wrong_at(new / "k", b) + listed(new, "k")
        jobs.exchange(mount / "other", new)
        wrong += listed(mount.point, new.name + "/", "other/")
    assert not wrong, (len(wrong), wrong[:5])


def test_a_scope_that_makes_room_for_a_variable(made, judge, long):
    """`mv kernel kernel.d`, then a variable `kernel`; then both go elsewhere."""
    a, b = array(1, 6, 4), array(2, 5, dtype="i2")
    source, mount = made(n0__Adam=a, v0=b)
    wrong = []
    for i in range(turns(long) // 3):
        scope, free, value = (mount / (n % i) for n in ("n%d", "n%d.d", "v%d"))
        warm(scope, free, value, scope / "Adam", free / "Adam")
        os.rename(scope, free)
        wrong += [] if absent(scope) and absent(scope / "Adam") else ["%s is there" % scope]
        wrong += wrong_at(free / "Adam", a) + listed(mount.point, free.name + "/", value.name)
        os.rename(value, scope)
        wrong += wrong_at(scope, b) + gone(value) + wrong_at(free / "Adam", a)
        wrong += listed(mount.point, scope.name, free.name + "/")
        os.rename(scope, mount / ("v%d" % (i + 1)))
        wrong += gone(scope) + wrong_at(free / "Adam", a)
        os.rename(free, mount / ("n%d" % (i + 1)))
        wrong += [] if absent(free) and absent(scope) else ["%s is there" % free]
        wrong += listed(mount.point, "n%d/" % (i + 1), "v%d" % (i + 1))
    assert not wrong, (len(wrong), wrong[:5])
    mount.unmount()
    jobs.holds(judge, source / "c", {"n%d/Adam" % (i + 1): a, "v%d" % (i + 1): b})


def test_created_and_removed_names(made, long):
    """What was looked for in vain is there as soon as it was made, and gone with its value.

    A file of which nobody said what it is has no sidecars but those that were made: who copies
    from a disk makes them with O_EXCL, after the value as well as before it.
    """
    _, mount = made(s__k=array(1, 3))
    wrong = []
    for i in range(turns(long) // 3):
        path = mount / ("s/new%d" % i)
        shape, dtype = (str(path) + end for end in SIDES)
        warm(path)
        with open(path, "wb") as f:
            f.write(bytes(6))
        wrong += [] if tree.read(path) == bytes(6) else ["%s: bytes" % path]
        wrong += ["%s is there" % p for p in (shape, dtype) if not absent(p)]
        wrong += listed(mount / "s", "k", path.name + "/")
        os.setxattr(path, "user.weightfs.shape", b"[2, 3]")
        wrong += [] if tree.read(shape) == b"[2, 3]\n" else [shape]
        wrong += [] if absent(dtype) else ["%s is there" % dtype]
        wrong += listed(mount / "s", "k", path.name + "/", path.name + ".shape/")
        warm(path)
        with open(dtype, "xb") as f:
            f.write(b"uint8\n")
        wrong += wrong_at(path, np.zeros((2, 3), "u1")) + listed(mount / "s", "k", path.name)
        os.unlink(path)
        wrong += gone(path) + listed(mount / "s", "k")
    assert not wrong, (len(wrong), wrong[:5])


def loops(mount):
    """What threads do at the same time in one directory; each returns when `on` ends."""
    def syncs(i):
        fd = os.open(mount / ("s" if i % 2 else "."), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def renames(i):
        os.rename(mount / ("s/r%d" % i), mount / ("s/r%d" % (i + 1)))

    def exchanges(_):
        jobs.exchange(mount / "s/x", mount / "s/y")

    def removals(i):
        path = mount / ("s/gone%d" % (i % 3))
        with open(path, "wb") as f:
            f.write(bytes(8))
        os.unlink(path)

    def lists(_):
        for name in os.listdir(mount / "s"):
            tree.error_of(os.lstat, mount / "s" / name)

    def scopes(_):
        os.mkdir(mount / "s/scope")
        os.rename(mount / "s/scope", mount / "s/scope.d")
        os.rmdir(mount / "s/scope.d")

    def writes(i):
        tree.write(mount / "s/w", bytes([i % 256]) * 64)
        tree.write(mount / "s/w.shape", b"[4, 4]\n" if i % 2 else b"[16]\n")

    def maps(i):
        fd = os.open(mount / "s/m", os.O_RDWR)
        os.pwrite(fd, bytes([i % 256]) * 4096, 0)
        os.fsync(fd)
        os.close(fd)
    return [syncs, syncs, renames, exchanges, removals, lists, scopes, writes, maps]


@pytest.mark.sanitized
@pytest.mark.parametrize("options", [(), ("sync",)])
def test_no_request_waits_for_a_notification(shop, judge, long, options):
    """fsync of directories, renames, removals, listings and writes at once: all go on."""
    source = shop.directory / "runs"
    source.mkdir()
    judge.save(source / "c", {"s/r0": array(1, 3), "s/x": array(2, 4), "s/y": array(3, 2, 2),
                              "s/w": array(4, 16), "s/m": array(5, 1024)})
    mount = shop.mount(source / "c", *options, limit=240)
    done, faults, stop = {}, [], threading.Event()

    def go(number, step):
        done[number] = 0
        while not stop.is_set():
            try:
                step(done[number])
            except OSError as e:
                faults.append((step.__name__, str(e)))
                return
            done[number] += 1
    threads = [threading.Thread(target=go, args=x, daemon=True)
               for x in enumerate(loops(mount.point))]
    for thread in threads:
        thread.start()
    time.sleep(60 if long else 2)
    wait_until(lambda: faults or all(done.values()), 5)
    before = dict(done)
    stop.set()
    for thread in threads:
        thread.join(60)
    if any(t.is_alive() for t in threads):
        mount.kill()
        pytest.fail("a request hangs: %s" % done)
    assert not faults, faults[:5]
    assert all(before.values()), before
    mount.unmount()
    assert judge.load(source / "c").keys() == {
        b"s/r%d" % done[2], b"s/x", b"s/y", b"s/w", b"s/m"}
