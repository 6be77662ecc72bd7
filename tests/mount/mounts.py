"""Starts the program under test, waits until its tree is usable, and ends it.

A Mount is one daemon and its mountpoint.  Whatever a test does to it, dispose()
leaves no process and no mount behind; a watchdog of its own kills a daemon that
hangs, since nothing else wakes a process that waits for an answer from FUSE.
"""
import errno
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = (ROOT / os.environ.get("WEIGHTFS", "build/weightfs")).resolve()
WORK = ROOT / "build" / "work"
SANITIZED = BINARY.parent.name != "build"
PATIENCE = 10
SECOND = 1.3  # "within a second", and some time to look
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error",
           "WARNING: ThreadSanitizer", "FATAL: ThreadSanitizer")


def environment(directory):
    """The environment for the program: sanitizers report beside the log."""
    env = dict(os.environ)
    report = "log_path=%s/report:exitcode=99:halt_on_error=1" % directory
    env["ASAN_OPTIONS"] = report + ":detect_leaks=1:abort_on_error=0"
    env["UBSAN_OPTIONS"] = report + ":print_stacktrace=1"
    env["TSAN_OPTIONS"] = report + ":second_deadlock_stack=1"
    return env


def mounted(point):
    """Whether something of ours is mounted at `point`, also if it is dead."""
    point = os.path.realpath(os.path.dirname(point)) + "/" + os.path.basename(point)
    return point in mountpoints()


def mountpoints():
    """Every mountpoint whose type is ours, in the order they were made."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            fields = line.split(" ")
            kind = fields[fields.index("-") + 1]
            if "weightfs" in kind:
                found.append(fields[4].encode().decode("unicode_escape"))
    return found


def wait_until(condition, seconds, step=0.01):
    """Polls until `condition()` is true; its last answer.

    `seconds` is what it may take where nothing else runs: a busy machine has PATIENCE
    times as long.  A name that is not there, or is just being replaced, is waited for.
    """
    end = time.monotonic() + PATIENCE * seconds
    while True:
        late = time.monotonic() > end
        try:
            answer = condition()
            if answer or late:
                return answer
        except OSError as e:
            if late or e.errno not in (errno.ENOENT, errno.ESTALE):
                raise
        time.sleep(step)


def daemons_at(point):
    """The processes of the program under test that serve `point`."""
    found = []
    for entry in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = Path(entry).read_bytes().split(b"\0")
            exe = os.readlink(os.path.dirname(entry) + "/exe")
        except OSError:
            continue
        if exe == str(BINARY) and os.fsencode(str(point)) in words:
            found.append(int(entry.split("/")[2]))
    return found


def peak(mount):
    """What the daemon has held at most, in MiB."""
    text = Path("/proc/%d/status" % daemons_at(mount.point)[0]).read_text("ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) / 1024


def released(point):
    """Waits until nothing is open for writing in a mount."""
    def status():
        return json.loads((Path(point) / ".weightfs/status").read_bytes())
    assert wait_until(lambda: not any(c.get("open_writes") for c in status()["checkpoints"]), 5)


def end_mount(point):
    """Detaches whatever is mounted at `point`, whether it answers or not."""
    while mounted(point):
        if subprocess.run(["umount", "-l", str(point)], stderr=subprocess.DEVNULL,
                          check=False).returncode:
            subprocess.run(["fusermount3", "-uz", str(point)], check=False)
            return


def run(*words, **keywords):
    """Runs the program under test to its end, its output as text."""
    keywords.setdefault("timeout", 120)
    return subprocess.run([str(BINARY), *map(str, words)], text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **keywords)


def _heed_sigint():
    """A shell's background job, as a test run may be, begins with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Mount:
    """One daemon, or what is left of it."""

    def __init__(self, source, directory, options=(), point=None, background=False, limit=240):
        self.source = Path(source)
        self.directory = Path(directory)
        self.point = Path(point) if point else self.directory / "mnt"
        if not mounted(self.point):
            self.point.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / "log"
        self.process = None
        self.watchdog = None
        self.seen = 0
        flags = ["-o", ",".join(options)] if options else []
        words = [str(BINARY), *flags, str(source), str(self.point)]
        self._start(words, background)
        self._watch(limit * (3 if SANITIZED else 1))

    def _start(self, words, background):
        env = environment(self.directory)
        with open(self.log_path, "ab") as log:
            if background:
                subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               env=env, timeout=120, check=True)
                return
            words.insert(1, "-f")
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env, preexec_fn=_heed_sigint)
        usable = wait_until(lambda: self.process.poll() is not None or self._usable(), 10)
        if not usable or self.process.poll() is not None:
            status = self.process.poll()
            self.dispose()
            raise AssertionError("no mount (status %s): %s" % (status, self.log()))

    def _usable(self):
        """Whether the mount answers.

        A dead mount fails the first call; once that is cleared, what is mounted is ours, and
        the second call is answered by it and not by the directory below.
        """
        try:
            os.statvfs(self.point)
            return mounted(self.point) and os.statvfs(self.point) is not None
        except OSError:
            return False

    def _watch(self, seconds):
        victims = " ".join(map(str, self.pids()))
        if victims:
            self.watchdog = subprocess.Popen(
                ["sh", "-c", "sleep %d; kill -9 %s" % (seconds, victims)],
                start_new_session=True)

    def pids(self):
        """The processes that serve this mount."""
        return [self.process.pid] if self.process else daemons_at(self.point)

    def __truediv__(self, name):
        return self.point / name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unmount()

    def path(self, *names):
        """A path in the mount, as bytes, from bytes or text."""
        return b"/".join([os.fsencode(self.point), *map(os.fsencode, names)])

    def log(self):
        """All that the daemon said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def mark(self):
        """What follows counts as news()."""
        self.seen = len(self.log())

    def news(self, seconds=0.0, expect=0):
        """The lines said since mark(); waits a while if fewer than `expect`."""
        def lines():
            return [x for x in self.log()[self.seen:].splitlines() if x.strip()]
        wait_until(lambda: len(lines()) >= expect, seconds)
        return lines()

    def alive(self):
        """Whether the daemon still runs and answers."""
        if self.process and self.process.poll() is not None:
            return False
        os.statvfs(self.point)
        return True

    def released(self):
        """Waits for the RELEASE of all that was written, which close() does not wait for.

        It drops refused values, and judges what a map or a truncation left.
        """
        released(self.point)

    def files_held(self):
        """What the daemon has open, but for what its threads wait with, which may begin late."""
        fds, found = "/proc/%d/fd/" % self.pids()[0], []
        for fd in os.listdir(fds):
            try:
                found.append(os.readlink(fds + fd))
            except FileNotFoundError:
                pass  # closed meanwhile
        return [x for x in found if not x.startswith("anon_inode:")]

    def reports(self):
        """What sanitizers had to say."""
        text = self.log()
        for path in glob.glob(str(self.directory / "report*")):
            text += Path(path).read_text(errors="replace")
        return text if any(word in text for word in REPORTS) else ""

    def unmount(self):
        """`weightfs --unmount`, which must end well for both processes."""
        done = run("--unmount", self.point, env=environment(self.directory))
        assert done.returncode == 0, done.stderr + self.log()
        assert not mounted(self.point)
        if self.process:
            assert self.process.wait(120) == 0, self.log()
        self.dispose()

    def kill(self):
        """As a crash would end it; the dead mount stays."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait(100)

    def dispose(self):
        """Leaves neither process nor mount behind."""
        for pid in self.pids():
            if not self.process or self.process.poll() is None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.process:
            self.process.wait(100)
        end_mount(self.point)
        if self.watchdog:
            os.killpg(self.watchdog.pid, signal.SIGKILL)
            self.watchdog.wait()
            self.watchdog = None


class Workshop:
    """A directory for one test, the mounts in it, and their end."""

    def __init__(self, directory):
        self.directory = Path(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.mounts = []

    def mount(self, source, *options, **keywords):
        """Mounts `source`; the mountpoint is usable when this returns."""
        place = self.directory / ("mount%d" % len(self.mounts))
        place.mkdir()
        made = Mount(source, place, options, **keywords)
        self.mounts.append(made)
        return made

    def close(self, clean):
        """Ends all mounts, in order if the test went well, else by force.

        Fails if one does not end well, or a sanitizer had something to say.
        """
        reports = ""
        try:
            for each in self.mounts:
                if clean and mounted(each.point) and each.alive():
                    each.unmount()
        finally:
            for each in self.mounts:
                each.dispose()
                reports += each.reports()
            for point in reversed(mountpoints()):
                if Path(point).is_relative_to(self.directory):
                    end_mount(point)
            shutil.rmtree(self.directory, ignore_errors=True)
        assert not reports, reports
