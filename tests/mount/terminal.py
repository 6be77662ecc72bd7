"""A program in a terminal of its own, driven by keys as a person would."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

ESCAPES = re.compile(r"\x1bP[^\x1b]*\x1b\\|"  # answers to what the terminal is
                     r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78MDE])|[\x00-\x08\x0e\x0f]")
ENTER, ESCAPE = "\r", "\x1b"


def control(letter):
    """The key Ctrl and a letter."""
    return chr(ord(letter) & 31)


class Terminal:
    """A screen of 24 lines; ends the program, if need be by force, when left."""

    def __init__(self, words, where):
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        env = dict(os.environ, TERM="vt100", LC_ALL="C", HOME=str(where), SHELL="/bin/sh")
        self.process = subprocess.Popen(
            words, cwd=where, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        os.close(self.fd)

    def read(self, seconds):
        """Takes what comes within a time; whether anything did."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            text = os.read(self.fd, 65536).decode(errors="replace")
        except OSError:  # its end has closed
            return False
        self.seen += ESCAPES.sub("", text)
        return bool(text)

    def wait_for(self, *texts, seconds=100):
        """Reads until one of the texts is on the screen; what came before is forgotten."""
        end = time.monotonic() + seconds
        while not any(t in self.seen for t in texts):
            left = end - time.monotonic()
            assert left > 0 and self.process.poll() is None, (texts, self.seen)
            self.read(min(left, 0.1))
        at, text = min((self.seen.index(t), t) for t in texts if t in self.seen)
        self.seen = self.seen[at + len(text):]

    def quiet(self):
        """Waits until nothing more is drawn."""
        while self.read(0.05):
            pass

    def type(self, *keys):
        """Presses keys, and waits until the answer is drawn."""
        for each in keys:
            os.write(self.fd, each.encode())
            self.quiet()

    def end(self, seconds=100):
        """Waits for the program's end: its exit status."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen
            self.read(0.05)
        return self.process.returncode
