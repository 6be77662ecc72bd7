"""What is refused, with which errno, and that nothing changes then."""
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import disk
import mounts
import tree
from writing import STEP, numbers, sh

KERNEL = STEP + "/dense/kernel"


@pytest.fixture
def untouched(adam):
    """The mounted steps; at the end no byte of the source may have changed."""
    source, mount = adam
    before = disk.Snapshot(source / STEP)
    others = {n: d for n, d in disk.digest(source).items() if not n.startswith(STEP + ".data")}
    yield mount
    assert mount.alive()
    mount.unmount()
    disk.assert_unchanged(before, disk.Snapshot(source / STEP))
    now = disk.digest(source)
    assert {n: d for n, d in now.items() if not n.startswith(STEP + ".data")} == others


@pytest.mark.sanitized
@pytest.mark.parametrize("size", [1, 95, 97, 192, 1 << 20])
def test_a_wrong_size_is_refused_when_closed(untouched, size):
    """EINVAL at close, one line in the log, and the old value stands."""
    old = tree.read(untouched / KERNEL)
    untouched.mark()
    assert tree.error_of(tree.write, untouched / KERNEL, b"x" * size) == "EINVAL"
    assert tree.read(untouched / KERNEL) == old
    assert os.lstat(untouched / KERNEL).st_size == len(old)
    lines = untouched.news(1, expect=1)
    assert len(lines) == 1 and "kernel" in lines[0], lines


def _patched(path):
    """Writes a part of a value, as dd conv=notrunc would: whether it is a part of it now."""
    with open(path, "r+b", buffering=0) as f:
        f.write(numbers(1, 7))
    return tree.read(path)[:4] == numbers(1, 7)


def _emptied(path):
    """Sets the size of a value to that of the refused bytes, which has to fail again."""
    return tree.error_of(os.truncate, path, 3) == "EINVAL"


def _lengthened(path):
    """Sets the size that the value has."""
    os.truncate(path, 96)
    return not tree.read(path).startswith(b"abc")


@pytest.mark.parametrize("then", [lambda path: os.stat(path).st_size == 96,
                                  lambda path: len(tree.read(path)) == 96,
                                  _patched, _emptied, _lengthened],
                         ids=["stat", "read", "patch", "truncate", "lengthen"])
def test_what_was_refused_is_gone_when_close_returns(adam, then):
    """The kernel lets go of a file only after close(); who asks next does not find it."""
    _, mount = adam
    for attempt in range(300):
        assert tree.error_of(tree.write, mount / KERNEL, b"abc") == "EINVAL"
        assert then(mount / KERNEL), attempt


def test_a_size_set_by_path_after_a_close_is_judged_at_once(adam):
    """The writer that closed a moment ago is none, though the kernel still has its file."""
    _, mount = adam
    for attempt in range(6000):
        tree.write(mount / KERNEL, numbers(24))
        assert tree.error_of(os.truncate, mount / KERNEL, 3) == "EINVAL", attempt


def test_a_refused_value_that_stays_open_is_waited_for_once(adam):
    """A duplicate that was closed, as by a command of a group, does not slow down the rest."""
    _, mount = adam
    with open(mount / KERNEL, "wb", buffering=0) as f:
        waits = []
        for part in range(96):
            f.write(bytes([part]))
            if part < 95:
                assert tree.error_of(os.close, os.dup(f.fileno())) == "EINVAL"
            begun = time.monotonic()
            assert os.stat(mount / KERNEL).st_size == part + 1
            waits.append(time.monotonic() - begun)
        assert sorted(waits)[len(waits) // 2] < 0.1, waits
    assert tree.read(mount / KERNEL) == bytes(range(96))


def test_a_truncated_value_is_dropped_when_closed(untouched):
    """Opened with O_TRUNC and closed before anything was written: the old value stands."""
    old = tree.read(untouched / KERNEL)
    assert tree.error_of(tree.write, untouched / KERNEL, b"") in (None, "EINVAL")
    assert mounts.wait_until(lambda: tree.read(untouched / KERNEL) == old, 5)


def test_cp_of_a_wrong_size_says_so(untouched, shop):
    """cp prints the error and fails; cat does as well."""
    (shop.directory / "short").write_bytes(b"abc")
    for command in ("cp %s/short dense/kernel", "cat %s/short > dense/kernel",
                    "dd if=%s/short of=dense/kernel status=none"):
        status, said = sh(command % shop.directory, untouched / STEP)
        assert status != 0 or command.startswith("cat"), command
        assert "Invalid argument" in said or command.startswith("cat"), said
    untouched.released()
    assert len(tree.read(untouched / KERNEL)) == 96


def test_more_written_in_place_is_refused(untouched):
    """A write past the end that leaves the value longer."""
    fd = os.open(untouched / KERNEL, os.O_RDWR)
    errors = [tree.error_of(os.pwrite, fd, b"more", 96), tree.error_of(os.close, fd)]
    assert errors == [None, "EINVAL"]
    assert os.lstat(untouched / KERNEL).st_size == 96


@pytest.mark.parametrize("size", [0, 95, 97, 4096])
def test_a_size_set_by_path_is_judged_at_once(untouched, size):
    """truncate(2) with no writer open: EINVAL, and the value stands."""
    old = tree.read(untouched / KERNEL)
    assert tree.error_of(os.truncate, untouched / KERNEL, size) == "EINVAL"
    assert tree.read(untouched / KERNEL) == old


def test_the_same_size_set_by_path_is_no_change(untouched):
    """truncate(2) to the size that it has."""
    os.truncate(untouched / KERNEL, 96)
    assert len(tree.read(untouched / KERNEL)) == 96


@pytest.mark.parametrize("name,text", [
    (".shape", b"[6, 4]\n"), (".shape", b"(6, 4)"), (".shape", b"6,4\n"), (".shape", b"6 4"),
    (".dtype", b"float32\n"), (".dtype", b"<f4"), (".dtype", b"DT_FLOAT\n")])
def test_a_sidecar_with_equal_content_is_accepted(untouched, name, text):
    """In whatever notation: nothing changes, and no error is told."""
    path = str(untouched / KERNEL) + name
    old = tree.read(path)
    tree.write(path, text)
    assert tree.read(path) == old


@pytest.mark.parametrize("name,text", [
    (".shape", b"[6, \n"), (".shape", b"hello\n"), (".dtype", b"float99\n"), (".dtype", b"\n")])
def test_a_sidecar_that_is_none_is_refused(untouched, name, text):
    """Text that is no shape or dtype: EINVAL, from the write that ends the line."""
    path = str(untouched / KERNEL) + name
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    assert tree.error_of(os.write, fd, text) == "EINVAL"
    tree.error_of(os.close, fd)
    assert tree.read(path) in (b"[6, 4]\n", b"float32\n")


def test_links_and_devices_are_refused(untouched):
    """Hard links and device nodes: EPERM."""
    assert tree.error_of(os.link, untouched / KERNEL, untouched / STEP / "dense/k2") == "EPERM"
    assert tree.error_of(os.mknod, untouched / STEP / "pipe", 0o10644) == "EPERM"


def test_a_killed_writer_leaves_the_old_value(untouched):
    """kill -9 of a writer that has truncated and written half."""
    old = tree.read(untouched / KERNEL)
    script = ("import os, sys, time; f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); "
              "os.write(f, b'x' * 48); print('ready', flush=True); time.sleep(60)")
    writer = subprocess.Popen(["python3", "-c", script, untouched / KERNEL],
                              stdout=subprocess.PIPE)
    writer.stdout.readline()
    writer.kill()
    writer.wait()
    assert mounts.wait_until(lambda: tree.read(untouched / KERNEL) == old, 5)


@pytest.mark.sanitized
@pytest.mark.parametrize("size", [200, 1 << 20])
def test_a_value_can_be_written_while_a_refused_one_is_open(adam, shop, size):
    """A descriptor with a refused value neither stops cp to that file, nor harms it."""
    _, mount = adam
    (shop.directory / "long").write_bytes(bytes(size))
    (shop.directory / "good").write_bytes(numbers(24))
    status, said = sh("exec 3>kernel; cat {0}/long >&3; echo $? >&2; cp {0}/good kernel && "
                      "cmp {0}/good kernel && exec 3>&-; cmp {0}/good kernel".format(
                          shop.directory), mount / STEP / "dense")
    assert status == 0 and not said.startswith("0"), said
    assert tree.read(mount / KERNEL) == numbers(24)


@pytest.mark.sanitized
def test_each_close_of_a_wrong_size_says_so(untouched):
    """A duplicate that is closed first does not take the error away."""
    fd = os.open(untouched / KERNEL, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"abc")
    assert [tree.error_of(os.close, each) for each in (os.dup(fd), fd)] == ["EINVAL", "EINVAL"]


def test_tofile_of_a_wrong_size_says_so(untouched):
    """numpy writes through a duplicate; at the latest, the end of the with block raises."""
    def write():
        with open(untouched / KERNEL, "wb") as f:
            np.zeros(3, "f4").tofile(f)
    assert tree.error_of(write) == "EINVAL"


def test_truncate_of_a_wrong_size_fails(untouched):
    """truncate(1) sets a size and closes: exit status 1."""
    status, said = sh("truncate -s 3 dense/kernel", untouched / STEP)
    assert (status, "Invalid argument" in said) == (1, True), said


@pytest.mark.parametrize("facet, text", [("dtype", "floaty\n"), ("shape", "[3\n"),
                                         ("shape", "[-2]\n")])
def test_a_sidecar_is_refused_in_one_line_that_says_how_to_write_it(untouched, facet, text):
    """By the write and by close(), and the line has what was written."""
    untouched.mark()
    fd = os.open(untouched / (KERNEL + "." + facet), os.O_WRONLY | os.O_TRUNC)
    with pytest.raises(OSError, match="Invalid argument"):
        os.write(fd, text.encode())
    with pytest.raises(OSError, match="Invalid argument"):
        os.close(fd)
    untouched.released()
    lines = untouched.news(1, expect=1)
    assert len(lines) == 1 and '"%s"' % text.strip() in lines[0], lines
    assert {"dtype": "float32", "shape": "[2, 3]"}[facet] in lines[0], lines


@pytest.mark.parametrize("command, said", [
    ("touch 'a%b'", "a%b: not made: no key has this name"),
    ("mkdir 'a%2F'", "a%2F: not made: no key has this name"),
    ("touch .weightfs", ".weightfs: not made: no key has this name"),
    ("touch %", "%: not made: no index can hold"),
    ("touch kernel.d", "kernel.d: not made: what ends in .d is"),
    ("mkdir a.shape", "a.shape: not made: what ends in .shape or .dtype is"),
    ("mv dense a.dtype", "a.dtype: not made: what ends in .shape or .dtype is"),
    ("mv dense/kernel a.d", "a.d: not made: what ends in .d is"),
    ("mv dense/kernel 'a%'", "a%: not made: no key has this name"),
    ("mv dense/kernel dense/bias.shape", "bias.shape: not made: a variable with a type"),
    ("mv dense/kernel.shape dense/bias", "bias: not made: the text of a sidecar"),
    ("mv ../model.ckpt-3 .", "model.ckpt-3: not moved: a checkpoint cannot be put"),
    ("ln dense/kernel k", "k: not made: only an object of an object-based"),
    ("ln -s dense d", "d: not made: only an object of an object-based"),
    ("mkfifo p", "p: not made: there are no devices"),
    ("touch ../x.weightfs-tmp", "x.weightfs-tmp: not made: what ends in")])
def test_a_name_is_refused_with_its_reason(untouched, command, said):
    """EINVAL and EPERM say little, and mv calls the one a subdirectory of itself."""
    untouched.mark()
    status, told = sh(command, untouched / STEP)
    assert status == 1 and told
    assert all(said in line for line in untouched.news(2, expect=1)), untouched.news()
    assert untouched.news()


@pytest.mark.parametrize("name, said", [("v2_tf2_manager", "object graph is a scalar string"),
                                        ("savedmodel_tf2", "saved_model.pb has the names")])
def test_a_type_that_stays_is_refused_with_its_reason(shop, fixture_copy, name, said):
    """That of the object graph, and all types of a SavedModel."""
    mount = shop.mount(fixture_copy(name))
    shapes = sorted(Path(mount.point).rglob("_CHECKPOINTABLE_OBJECT_GRAPH.shape"
                                            if name == "v2_tf2_manager" else "*.shape"))
    mount.mark()
    assert tree.error_of(tree.write, shapes[0], b"[7, 7]\n") == "EPERM"
    assert said in "".join(mount.news(2, expect=1))
