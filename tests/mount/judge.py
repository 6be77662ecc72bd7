"""Real TensorFlow as judge, in a process of its own.

TensorFlow aborts the process on some damaged checkpoints: here that costs the
test, not the run.  Judge() starts judge_server.py; each public function of it, and of
programs.py, can be asked for by name, and its answer comes back pickled.

A tensor travels as (dtype, shape, content): the content is bytes in memory order,
for strings a list of bytes.
"""
import os
import pickle
import select
import subprocess
import sys

OURS = 1 << 20  # values from here on were not written by TensorFlow
SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "judge_server.py")


class Refused(Exception):
    """TensorFlow raised something: its class and text."""


class Judge:
    """A server with TensorFlow in it; started at the first question."""

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def begin(self, name, *arguments, **keywords):
        """Asks without waiting for the answer."""
        if self.process is None:
            env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1",
                       TF_ENABLE_ONEDNN_OPTS="0")
            self.process = subprocess.Popen([sys.executable, SERVER], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, env=env)
        send(self.process.stdin, (name, arguments, keywords))

    def ready(self):
        """Whether the answer is there."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def finish(self):
        """Waits for the answer."""
        try:
            good, answer = receive(self.process.stdout)
        except EOFError:
            status = self.process.wait()
            self.process = None
            raise AssertionError("TensorFlow ended with status %d" % status) from None
        if not good:
            raise Refused(answer)
        return answer

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(*arguments, **keywords):
            self.begin(name, *arguments, **keywords)
            return self.finish()
        return ask


def send(stream, thing):
    body = pickle.dumps(thing)
    stream.write(len(body).to_bytes(8, "little") + body)
    stream.flush()


def receive(stream):
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(stream.read(int.from_bytes(size, "little")))
