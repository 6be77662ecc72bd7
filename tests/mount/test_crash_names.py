"""kill -9 at random moments while variables are created, renamed and removed."""
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import disk
import jobs
import tree

LIVE = 4  # so many numbered variables stand at a time


def loop(root, first):
    """Never ends by itself.  After each step these hold, and so in every commit:

    `a` and `b` hold 1 and 2, in either order and in either shape; either all of `ping` is
    there or all of `pong`; variable `n/i` or, later, `m/i` holds i, for each of the last ones.
    """
    i = first
    here = "ping"
    print("ready", flush=True)
    while True:
        jobs.exchange(root + "/a", root + "/b")
        there = "pong" if here == "ping" else "ping"
        os.rename(root + "/" + here, root + "/" + there)
        here = there
        new = "%s/n/%d" % (root, i)
        for end, text in ((".shape", b"[16]\n"), (".dtype", b"int32\n"),
                          ("", np.full(16, i, "i4").tobytes())):
            with open(new + end, "wb", buffering=0) as f:
                f.write(text)
        os.rename("%s/n/%d" % (root, i - 1), "%s/m/%d" % (root, i - 1))
        os.unlink("%s/m/%d" % (root, i - LIVE))
        if i % 7 == 0:
            jobs.fsync(root)
        i += 1


def start(judge, prefix, kind="V2"):
    """What the loop begins with, at number LIVE + 1."""
    items = {"a": np.full(8, 1, "i4"), "b": np.full((2, 2), 2, "i8"), "rest": jobs.array(1, 9)}
    items.update(("ping/v%d" % i, np.full(4, i, "i4")) for i in range(5))
    items.update(("m/%d" % i, np.full(16, i, "i4")) for i in range(1, LIVE))
    items["n/%d" % LIVE] = np.full(16, LIVE, "i4")
    judge.save_slices(prefix, kind, [(k, "", v) for k, v in items.items()])


def fault(found):
    """What is wrong with a checkpoint that TensorFlow read, or None."""
    values = {k.decode(): (d, s, np.frombuffer(c, d)) for k, (d, s, c) in found.items()}
    pair = {(values[k][0], tuple(values[k][1]), *values[k][2]) for k in ("a", "b")}
    if pair != {("int32", (8,), *[1] * 8), ("int64", (2, 2), *[2] * 4)}:
        return "a, b: %s" % sorted(pair)
    balls = sorted(k for k in values if k.startswith(("ping/", "pong/")))
    if len({k[:4] for k in balls}) != 1 or [k[4:] for k in balls] != ["/v%d" % i for i in range(5)]:
        return "ping, pong: %s" % balls
    if any(set(values[k][2]) != {int(k[6:])} for k in balls):
        return "values of ping or pong"
    if values["rest"][2].tobytes() != jobs.array(1, 9).tobytes():
        return "rest"
    return numbered_fault(values, balls)


def numbered_fault(values, balls):
    numbered = sorted((int(k[2:]), k[0]) for k in values if k[:2] in ("n/", "m/"))
    for i, scope in numbered:
        dtype, shape, content = values["%s/%d" % (scope, i)]
        if (dtype, shape, set(content)) != ("int32", [16], {i}):
            return "%s/%d: %s %s" % (scope, i, dtype, shape)
    if [i for i, _ in numbered] != list(range(numbered[0][0], numbered[-1][0] + 1)):
        return "numbered: %s" % numbered
    if [s for i, s in numbered if i < numbered[-1][0] - 1] != ["m"] * (len(numbered) - 2):
        return "moved too late: %s" % numbered
    if len(numbered) < LIVE or len(numbered) + len(balls) + 3 != len(values):
        return "keys: %s" % sorted(values)
    return None


def begin(mount, first):
    """Starts the loop in a process of its own; returns when it is under way."""
    env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(__file__)))
    worker = subprocess.Popen([sys.executable, __file__, str(mount.point), str(first)], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    worker.stdout.readline()
    return worker


def end(mount, worker):
    """As a crash would: the daemon first."""
    alive = worker.poll() is None
    mount.kill()
    worker.kill()
    worker.wait()
    worker.stdout.close()
    mount.dispose()
    assert alive, "the loop met an error: %s" % mount.log()[-500:]


@pytest.mark.parametrize("kind", ["V2", "V1"])
@pytest.mark.parametrize("options", [(), ("sync",)])
def test_names_after_a_kill_are_of_one_moment(shop, judge, dice, long, kind, options):
    """No half of an exchange or of a scope, no value lost between two names, none half made."""
    source = shop.directory / "runs"
    source.mkdir()
    commits = turn = 0
    while turn < (40 if long else 3) or (not commits and turn < 40):
        turn += 1
        prefix = source / ("c%d" % turn)
        start(judge, prefix, kind)
        before = disk.digest(source)
        mount = shop.mount(prefix, *options)
        worker = begin(mount, LIVE + 1)
        time.sleep(dice.uniform(0.02, 0.7))
        end(mount, worker)
        wrong = fault(judge.load(prefix))
        assert wrong is None, wrong
        commits += disk.digest(source) != before
    assert commits, "no round got as far as a commit"


@pytest.mark.parametrize("kind", ["V2", "V1"])
def test_a_killed_mount_is_mounted_again(shop, judge, dice, long, kind):
    """The same checkpoint over and over: the next mount clears up, and goes on from there."""
    source = shop.directory / "runs"
    source.mkdir()
    start(judge, source / "c", kind)
    for _ in range(20 if long else 3):
        mount = shop.mount(source / "c")
        found = {k.decode() for k in judge.load(source / "c")}
        last = max(int(k[2:]) for k in found if k[:2] in ("n/", "m/"))
        settle(mount, found, last)
        worker = begin(mount, last + 1)
        time.sleep(dice.uniform(0.02, 0.7))
        end(mount, worker)
        wrong = fault(judge.load(source / "c"))
        assert wrong is None, wrong
    mount = shop.mount(source / "c")
    tree.read(mount / "a")
    mount.unmount()
    assert not list(source.glob("*.weightfs-tmp"))


def settle(mount, found, last):
    """Brings the names to where the loop can take them up."""
    root = str(mount.point)
    if any(k.startswith("pong/") for k in found):
        os.rename(root + "/pong", root + "/ping")
    for i in range(1, last):
        if "n/%d" % i in found:
            os.rename("%s/n/%d" % (root, i), "%s/m/%d" % (root, i))
        if "m/%d" % i in found and i <= last - LIVE:
            os.unlink("%s/m/%d" % (root, i))
    if "m/%d" % last in found:
        os.rename("%s/m/%d" % (root, last), "%s/n/%d" % (root, last))


if __name__ == "__main__":
    loop(sys.argv[1], int(sys.argv[2]))
