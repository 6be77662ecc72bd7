"""Reading with the tools that people have."""
import subprocess

import numpy as np
import pytest

import fixtures
import tree

DENSE = {"kernel", "kernel.shape", "kernel.dtype", "bias", "bias.shape", "bias.dtype"}


@pytest.fixture
def step(shop):
    """A mounted checkpoint, and its kernel as bytes."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_tf1_adam", "ro")
    value = next(v for v in fixtures.variables("v2_tf1_adam-5") if v.key == b"dense/kernel")
    return mount / "model.ckpt-5", value.content


def sh(command, where, **keywords):
    """Runs a shell command in a directory; it must print no error."""
    done = subprocess.run(["bash", "-c", command], cwd=where, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **keywords)
    assert done.returncode == 0 and done.stderr == b"", (command, done)
    return done.stdout


@pytest.mark.sanitized
def test_cat(step):
    """cat of a value, and of sidecars."""
    top, kernel = step
    assert sh("cat dense/kernel", top) == kernel
    assert sh("cat dense/kernel.shape dense/kernel.dtype", top) == b"[6, 4]\nfloat32\n"


def test_od(step):
    """od -f prints the numbers; od -N and -j read a part."""
    top, kernel = step
    printed = sh("od -An -v -tf4 dense/kernel", top).split()
    assert np.allclose(np.array(printed, "f4"), np.frombuffer(kernel, "f4"), rtol=1e-6)
    part = sh("od -An -v -tx1 -j5 -N7 dense/kernel", top).split()
    assert bytes(int(x, 16) for x in part) == kernel[5:12]


def test_cp(step, shop):
    """cp out, with and without attributes."""
    top, kernel = step
    for options in ("", "-p", "-a", "--sparse=always", "--preserve=all"):
        out = shop.directory / ("out" + options)
        sh("cp %s dense/kernel %s" % (options, out), top)
        assert out.read_bytes() == kernel


@pytest.mark.sanitized
def test_cp_of_a_directory(step, shop):
    """cp -r of a checkpoint; diff -r finds no difference."""
    top, _ = step
    sh("cp -r . %s/copy && diff -r . %s/copy" % ((shop.directory,) * 2), top)
    assert {p.name for p in (shop.directory / "copy" / "dense").iterdir()} >= DENSE


def test_tar(step, shop):
    """tar of a checkpoint, unpacked on a disk, is the same tree."""
    top, _ = step
    (shop.directory / "copy").mkdir()
    sh("tar cf - . | tar xf - -C %s/copy && diff -r . %s/copy" % ((shop.directory,) * 2), top)


def test_rsync_out(step, shop):
    """rsync -a out; a second run sends nothing."""
    top, _ = step
    sh("rsync -a ./ %s/copy/ && diff -r . %s/copy" % ((shop.directory,) * 2), top)
    assert sh("rsync -ai ./ %s/copy/" % shop.directory, top) == b""


def test_sha256sum_and_cmp(step, shop):
    """sha256sum agrees with a copy's; cmp finds equal and different."""
    top, kernel = step
    (shop.directory / "kernel").write_bytes(kernel)
    assert sh("sha256sum < dense/kernel", top) == sh("sha256sum < kernel", shop.directory)
    sh("cmp dense/kernel %s/kernel" % shop.directory, top)
    assert subprocess.run(["cmp", "-s", top / "dense/kernel", top / "dense/bias"],
                          check=False).returncode == 1


def test_diff_of_two_steps(step):
    """diff -r of two steps names the variables that differ, and no sidecar."""
    top, _ = step
    done = subprocess.run(["diff", "-rq", "model.ckpt-3", "model.ckpt-5"], cwd=top.parent,
                          stdout=subprocess.PIPE, check=False)
    named = done.stdout.decode()
    assert done.returncode == 1 and "kernel" in named
    assert ".shape" not in named and ".dtype" not in named and "Only in" not in named


def test_find(step):
    """find sees every variable once, by type and by size."""
    top, _ = step
    found = sh("find . -type f ! -name '*.shape' ! -name '*.dtype' | sort", top).split()
    assert len(found) == len(fixtures.variables("v2_tf1_adam-5"))
    assert sh("find . -name kernel -size 96c", top) == b"./dense/kernel\n"
    assert sh("find . -type d -name '*.d' | sort", top) == b"./dense/bias.d\n./dense/kernel.d\n"


def test_du(step):
    """du adds up the sizes of the values and their sidecars."""
    top, _ = step
    sizes = sh("find . -type f -printf '%s\\n'", top).split()
    told = int(sh("du -sb --apparent-size .", top).split()[0])
    directories = sh("find . -type d -printf '%s\\n'", top).split()
    assert told == sum(map(int, sizes)) + sum(map(int, directories))
    assert int(sh("du -s -B512 dense/kernel", top).split()[0]) == 1


def test_grep(step):
    """grep -r finds a dtype by its name."""
    top, _ = step
    assert sh("grep -rl int64 .", top) == b"./global_step.dtype\n"


def test_ls_recursive(step):
    """ls -lR shows every name, with sizes."""
    top, _ = step
    lines = sh("ls -lR .", top).decode().splitlines()
    kernel = [x.split() for x in lines if x.endswith(" kernel")]
    assert len(kernel) == 1 and kernel[0][4] == "96"


def test_numpy_fromfile_and_memmap(step):
    """np.fromfile, and np.memmap for reading."""
    top, kernel = step
    array = np.frombuffer(kernel, "<f4")
    assert np.fromfile(top / "dense/kernel", "<f4").tobytes() == array.tobytes()
    mapped = np.memmap(top / "dense/kernel", "<f4", "r", shape=(6, 4))
    assert mapped.tobytes() == array.tobytes()


@pytest.mark.sanitized
def test_dd_at_odd_offsets(shop):
    """dd of any part of a value gives that part."""
    top = shop.mount(fixtures.FIXTURE_DIR / "v2_strings", "ro") / "ckpt"
    whole = tree.read(top / "big")
    for size, skip in ((1, 0), (3, 99), (511, 7), (4097, 3), (65537, 1), (131072, 1), (1000, 299)):
        got = sh("dd if=big bs=%d skip=%d count=2 status=none" % (size, skip), top)
        assert got == whole[size * skip:size * (skip + 2)], (size, skip)
