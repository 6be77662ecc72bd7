"""DESIGN 9: the command, its exit codes, and the life of the daemon."""
import os
import shutil
import signal
import subprocess
import time

import pytest

import disk
import fixtures
import mounts
import tree
from mounts import BINARY, mounted, run, wait_until
from writing import STEP, numbers

ADAM = fixtures.FIXTURE_DIR / "v2_tf1_adam"


@pytest.fixture
def point(shop):
    made = shop.directory / "mnt"
    made.mkdir()
    return made


def one_line(done):
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("words", [[], ["-o", "nonsense"], ["--nonsense"], ["one"],
                                   ["a", "b", "c"], ["-o", "uid=x"]])
def test_a_wrong_command_line_is_2(shop, words):
    """Missing or unknown words: exit code 2, and something on stderr."""
    words = [str(shop.directory / w) if w in ("one", "a", "b", "c") else w for w in words]
    if words[:1] == ["-o"]:
        words += [str(ADAM), str(shop.directory)]
    done = run(*words)
    assert done.returncode == 2 and done.stderr


def test_help_and_version_are_0(shop):
    """--help names the options, --version a version."""
    done = run("--help")
    assert done.returncode == 0 and "--unmount" in done.stdout and "noverify" in done.stdout
    done = run("--version")
    assert done.returncode == 0 and "weightfs" in done.stdout


@pytest.mark.parametrize("name", ["nothing", "nothing.index", "dir/nothing"])
def test_a_source_that_is_not_there_is_3(shop, point, name):
    """One line that names it."""
    done = run(shop.directory / name, point)
    assert done.returncode == 3 and "nothing" in one_line(done)


def test_a_mountpoint_that_is_not_there_is_4(shop):
    """One line that names it."""
    done = run(ADAM, shop.directory / "nowhere")
    assert done.returncode == 4 and "nowhere" in one_line(done)


def test_a_mountpoint_that_is_a_file_is_4(shop):
    """A directory can only be mounted on a directory."""
    (shop.directory / "file").write_text("")
    done = run(ADAM, shop.directory / "file")
    assert done.returncode == 4 and "file" in one_line(done)


def test_a_mountpoint_that_is_not_empty_is_4(shop, point):
    """It is refused, and what is in it stays visible."""
    (point / "something").write_text("x")
    done = run(ADAM, point)
    assert done.returncode == 4 and one_line(done)
    assert os.listdir(point) == ["something"] and not mounted(point)


@pytest.mark.sanitized
def test_the_daemon_is_usable_when_the_command_returns(shop):
    """Without -f: exit 0, tree there, and nobody holds the caller's output open."""
    started = time.monotonic()
    mount = shop.mount(ADAM, "ro", background=True)
    assert tree.read(mount / STEP / "dense/kernel.shape") == b"[6, 4]\n"
    assert time.monotonic() - started < 100
    assert len(mount.pids()) == 1
    pid = mount.pids()[0]
    assert os.readlink("/proc/%d/cwd" % pid) == "/"
    for fd in (0, 1, 2):
        assert os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
    mount.unmount()
    assert wait_until(lambda: not os.path.exists("/proc/%d" % pid), 5)


def test_a_shell_that_captures_output_does_not_hang(shop, point):
    """$(weightfs ...) returns as soon as the mount is there."""
    done = run("-o", "ro", ADAM, point)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree.read(point / STEP / "global_step.dtype") == b"int64\n"
    assert run("--unmount", point).returncode == 0
    assert not mounted(point)


@pytest.mark.sanitized
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_commits_and_unmounts(shop, fixture_copy, judge, number):
    """What was closed is durable, the mount is gone, the exit status is 0."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source)
    tree.write(mount / STEP / "dense/kernel", numbers(24))
    mount.process.send_signal(number)
    assert mount.process.wait(100) == 0
    assert not mounted(mount.point)
    assert judge.load(source / STEP)[b"dense/kernel"][2] == numbers(24)


def test_a_second_writing_mount_is_refused(adam, point):
    """Exit code 5, and the message names the first by its process or mountpoint."""
    source, mount = adam
    for name in ("", STEP, STEP + ".index"):
        done = run(source / name, point)
        assert done.returncode == 5, done
        said = one_line(done)
        assert str(mount.process.pid) in said or str(mount.point) in said, said
    assert run("-o", "ro", source, point).returncode == 0
    assert run("--unmount", point).returncode == 0


def test_the_lock_goes_with_the_daemon(adam, shop):
    """After an unmount, and after a crash, the next may write; no file is left."""
    source, mount = adam
    names = sorted(os.listdir(source))
    mount.unmount()
    again = shop.mount(source)
    again.kill()
    again.dispose()
    shop.mount(source).unmount()
    assert sorted(os.listdir(source)) == names


def test_unmounting_what_is_not_mounted_fails(shop, point):
    """An exit code other than 0, and one line."""
    done = run("--unmount", point)
    assert done.returncode != 0 and one_line(done)


def test_a_busy_mount_is_not_taken_away(adam):
    """While a file is open: exit code 5, and the mount goes on."""
    _, mount = adam
    with open(mount / STEP / "dense/kernel", "rb", buffering=0) as f:
        done = run("--unmount", mount.point)
        assert done.returncode == 5 and one_line(done)
        assert len(f.read()) == 96
    assert mount.alive()


def test_a_failed_umount_of_a_busy_mount_keeps_writing_possible(adam, judge):
    """After the refusal a value can still be written and committed."""
    source, mount = adam
    with open(mount / STEP / "dense/kernel", "rb"):
        assert run("--unmount", mount.point).returncode == 5
    tree.write(mount / STEP / "dense/kernel", numbers(24))
    mount.unmount()
    assert judge.load(source / STEP)[b"dense/kernel"][2] == numbers(24)


@pytest.mark.sanitized
def test_mounting_over_the_source_itself(shop, fixture_copy, judge):
    """The tree covers its own source; unmounted, the files are there with the new value."""
    source = fixture_copy("v2_tf1_adam")
    names = sorted(os.listdir(source))
    mount = shop.mount(source, point=source)
    assert STEP in os.listdir(source) and STEP + ".index" not in os.listdir(source)
    tree.write(source / STEP / "dense/kernel", numbers(24))
    assert tree.read(source / STEP / "dense/kernel") == numbers(24)
    mount.unmount()
    assert sorted(os.listdir(source)) == names
    assert judge.load(source / STEP)[b"dense/kernel"][2] == numbers(24)


def test_a_mountpoint_inside_the_source(shop, fixture_copy):
    """Seen through the mount it is an empty directory, and nothing hangs."""
    source = fixture_copy("v2_tf1_adam")
    (source / "mnt").mkdir()
    mount = shop.mount(source, point=source / "mnt")
    assert "mnt" in os.listdir(mount.point)
    assert os.listdir(mount / "mnt") == []
    done = subprocess.run(["find", ".", "-name", "kernel"], cwd=mount.point, timeout=120,
                          stdout=subprocess.PIPE, check=True)
    assert len(done.stdout.splitlines()) == 3


def test_a_dead_mount_is_cleared(shop, fixture_copy):
    """After kill -9 the same command mounts again; --unmount clears as well."""
    source = fixture_copy("v2_tf1_adam")
    first = shop.mount(source)
    first.kill()
    assert tree.error_of(os.listdir, first.point) == "ENOTCONN"
    second = shop.mount(source, point=first.point)
    assert tree.read(second / STEP / "global_step.dtype") == b"int64\n"
    second.kill()
    run("--unmount", second.point)
    assert not mounted(second.point)


def test_list_names_the_variables(shop):
    """--list of a prefix: key, dtype and shape of each."""
    done = run("--list", ADAM / STEP)
    assert done.returncode == 0
    lines = {line.split()[-1]: line for line in done.stdout.splitlines() if line.split()}
    for variable in fixtures.variables("v2_tf1_adam-4"):
        line = lines[variable.key.decode()]
        assert variable.dtype in line
        assert str(variable.shape) in line or str(variable.shape).replace(" ", "") in line


def test_list_of_a_directory_names_its_checkpoints(shop):
    """--list of a directory."""
    done = run("--list", ADAM)
    assert done.returncode == 0
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [
        "model.ckpt-%d" % i for i in (3, 4, 5)]


def test_list_of_nothing_is_3(shop):
    """--list of what is not there."""
    done = run("--list", shop.directory / "nothing")
    assert done.returncode == 3 and one_line(done)


def test_the_mount_says_what_it_is(adam):
    """/proc/mounts names the type and the source."""
    source, mount = adam
    with open("/proc/self/mounts", encoding="utf-8") as f:
        line = next(x.split() for x in f if x.split()[1] == str(mount.point))
    assert line[2] == "fuse.weightfs" and (str(source) == line[0] or "weightfs" in line[0])


@pytest.mark.skipif(os.getuid() != 0, reason="others' identities need root")
def test_uid_gid_and_umask(shop, fixture_copy):
    """-o uid=,gid=,umask= change what is shown; allow_other brings default_permissions."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source, "ro", "allow_other", "uid=1234", "gid=2345", "umask=077")
    info = os.lstat(mount / STEP / "dense/kernel")
    assert (info.st_uid, info.st_gid, info.st_mode & 0o077) == (1234, 2345, 0)
    with open("/proc/self/mounts", encoding="utf-8") as f:
        line = next(x.split() for x in f if x.split()[1] == str(mount.point))
    assert "default_permissions" in line[3] and "allow_other" in line[3]


def helper(shop, name):
    """The program under another name."""
    path = shop.directory / name
    path.symlink_to(BINARY)
    return path


def test_mount_weightfs_does_what_mount_8_asks(shop, point, fixture_copy):
    """mount.weightfs SOURCE MOUNTPOINT -o OPTIONS, as mount(8) calls its helpers."""
    source = fixture_copy("v2_tf1_adam")
    program = helper(shop, "mount.weightfs")
    for options in ("rw", "ro", "rw,noatime,_netdev,nofail,user", "ro,noauto,x-systemd.automount"):
        done = subprocess.run([program, source, point, "-o", options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              check=False, env=mounts.environment(shop.directory))
        assert done.returncode == 0, (options, done)
        assert tree.read(point / STEP / "global_step.dtype") == b"int64\n"
        got = tree.error_of(tree.write, point / STEP / "dense/bias", bytes(16))
        assert got == ("EROFS" if options.startswith("ro") else None)
        assert run("--unmount", point).returncode == 0


def test_umount_fuse_weightfs_waits(shop, point, fixture_copy):
    """umount.fuse.weightfs MOUNTPOINT: the last value is on disk when it returns."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source, point=point)
    tree.write(mount / STEP / "dense/kernel", numbers(24))
    done = subprocess.run([helper(shop, "umount.fuse.weightfs"), point], timeout=120, check=False)
    assert done.returncode == 0 and not mounted(point)
    assert disk.Snapshot(source / STEP).values[b"dense/kernel"] == numbers(24)
    assert mount.process.wait(100) == 0


def test_a_fast_umount_does_not_lose_a_commit(adam, judge):
    """fusermount3 -u cannot wait, but the daemon finishes what was closed."""
    source, mount = adam
    tree.write(mount / STEP / "dense/kernel", numbers(24))
    assert subprocess.run(["fusermount3", "-u", mount.point], check=False).returncode == 0
    assert mount.process.wait(100) == 0
    assert judge.load(source / STEP)[b"dense/kernel"][2] == numbers(24)


def test_mounting_and_unmounting_many_times(shop, fixture_copy):
    """Twenty rounds leave no process, no mount and no file."""
    source = fixture_copy("v2_tf1_adam")
    names = sorted(os.listdir(source))
    for _ in range(20):
        mount = shop.mount(source, background=True)
        assert len(tree.read(mount / STEP / "dense/kernel")) == 96
        mount.unmount()
        assert not mounts.daemons_at(mount.point)
    assert sorted(os.listdir(source)) == names


LOADS = ["while :; do ls -lR {mount}; done", "while :; do ls -lR {mount}; done",
         "while :; do ls -lR {mount}; done", "while :; do stat {mount}/sub/%s; done" % STEP,
         "while :; do touch {source}/a {source}/sub/a; rm {source}/a {source}/sub/a; done",
         "while :; do mkdir {source}/dir; ls {mount}/dir; rmdir {source}/dir; done"]


@pytest.fixture
def load():
    """Starts endless shell commands on a mount; they end with the test."""
    running = []

    def begin(mount):
        for command in LOADS:
            running.append(subprocess.Popen(
                ["sh", "-c", command.format(mount=mount.point, source=mount.source)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True))

    def end():
        for each in running:
            os.killpg(each.pid, signal.SIGKILL)
        for each in running:
            each.wait()
        running.clear()
    yield begin, end
    end()


@pytest.mark.sanitized
def test_a_signal_under_load_ends_the_daemon(shop, fixture_copy, load, long):
    """SIGTERM while others list and change the source: it ends with status 0."""
    source = fixture_copy("v2_tf1_adam")
    shutil.copytree(source, source / "sub")
    begin, end = load
    for _ in range(30 if long else 6):
        mount = shop.mount(source)
        begin(mount)
        time.sleep(0.4)
        mount.process.send_signal(signal.SIGTERM)
        try:
            assert mount.process.wait(100) == 0, mount.log()
        finally:
            mount.dispose()
            end()
        assert not mounted(mount.point)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_a_directory_entered_early_has_a_path(shop, fixture_copy, listed):
    """getcwd works in a directory that was entered as soon as the mount was there."""
    source = fixture_copy("v2_tf1_adam")
    (source / "sub").mkdir()
    for _ in range(10):
        mount = shop.mount(source, "ro")
        assert not listed or "sub" in os.listdir(mount.point)
        early = os.open(mount / "sub", os.O_RDONLY)
        done = subprocess.run(["sh", "-c", "sleep 0.03; pwd -P"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd="/proc/%d/fd/%d" % (os.getpid(), early))
        os.close(early)
        assert (done.stdout.strip(), done.stderr) == (str(mount / "sub"), "")
        mount.unmount()
