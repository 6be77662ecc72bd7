"""DESIGN 2.11: a training loop of real TensorFlow saves beside the mount.

Each step fills its variables with its number, is saved under a prefix of its own, of
which three are kept, and once more onto the prefix `same`.  What is read through the
mount meanwhile is therefore known: of one number, that of the prefix, or for `same`
none older than what was saved a second before.
"""
import errno
import mmap
import os
import re
import time

import numpy as np
import pytest

from mounts import SECOND, wait_until

SECONDS = 2
ENOUGH = 8  # so many steps are to be seen while they are made
KINDS = {"manager": "ckpt-%d", "saver_v2": "model.ckpt-%d", "saver_v1": "model.ckpt-%d"}


class Loop:
    """The other process, and what it says of itself."""

    def __init__(self, shop, rival, kind, options, seconds):
        self.kind, self.rival, self.name = kind, rival, KINDS[kind]
        self.source, self.progress = shop.directory / "source", shop.directory / "progress"
        self.source.mkdir()
        rival.save(self.source / "ours", {"v": np.zeros(1000, "i4"), "kept": np.ones(9, "f4")})
        self.mount = shop.mount(self.source, *options)
        self.enough = shop.directory / "enough"
        rival.begin("train", kind, self.source, self.progress, self.enough, seconds)

    def done(self):
        """The last step that was saved, and whether that is a second ago."""
        try:
            step, when = self.progress.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return 0, False
        return int(step), time.monotonic() - float(when) > SECOND

    def opened(self, path):
        """A file that is replaced twice between two looks of the kernel is ESTALE to open."""
        for _ in range(10):
            try:
                return open(self.mount / path, "rb")
            except OSError as e:
                if e.errno != errno.ESTALE:
                    raise
        raise AssertionError(path)

    def number_in(self, path):
        """What the variable is filled with; None if its checkpoint has gone."""
        try:
            with self.opened(path) as f:
                content = f.read()
                size = os.fstat(f.fileno()).st_size
                with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                    assert mapped[:] == content, path
        except FileNotFoundError:
            return None
        assert len(content) == size == (80000 if path.endswith("w") else 12), path
        numbers = np.frombuffer(content, "i4")
        assert (numbers == numbers[0]).all(), path
        return int(numbers[0])

    def steps(self):
        """The steps that the mount lists."""
        pattern = re.compile(re.escape(self.name).replace("%d", r"(\d+)") + "$")
        return sorted(int(m[1]) for m in map(pattern.match, os.listdir(self.mount.point)) if m)

    def watch(self, writable):
        """Reads, and writes, until the other one is done; how often each was seen."""
        seen, written, last_same, held = set(), 0, 0, None
        while not self.rival.ready():
            step, late = self.done()
            for listed in self.steps():
                number = self.number_in((self.name % listed) + "/w")
                assert number in (listed, None)
                seen.add(listed)
            same = self.number_in("same/w")
            if step and writable:
                assert same is not None and same >= step, (same, step)
            if same:
                assert same >= last_same
                last_same = same
                # A read-only mount has no open: it may be a moment behind.
                assert not writable or self.number_in("same/z") >= same
            if step and late:
                self.follows(step)
            if len(seen) > ENOUGH:
                self.enough.touch()
            held = self.hold(held, seen)
            if writable:
                written += 1
                (self.mount / "ours/v").write_bytes(np.full(1000, written, "i4").tobytes())
        return seen, written

    def shown(self, step):
        """Whether this is the last step that the mount has, by every name."""
        return (step in self.steps() and os.readlink(self.mount / "latest") == self.name % step
                and (self.number_in("same/w") or 0) >= step)

    def follows(self, step):
        """The mount soon shows a step, unless another has been saved meanwhile."""
        assert wait_until(lambda: self.shown(step) or self.done()[0] > step, SECOND), step

    def hold(self, held, seen):
        """Who has a variable open keeps it, whatever becomes of its checkpoint."""
        if held:
            number, f, mapped = held
            assert np.frombuffer(mapped[:], "i4").min() == number == np.frombuffer(mapped[:], "i4").max()
            f.seek(0)
            assert f.read() == mapped[:]
            if number + 6 > max(seen):
                return held
            mapped.close()
            f.close()
        try:
            f = open(self.mount / "same/w", "rb")  # pylint: disable=consider-using-with
        except FileNotFoundError:
            return None
        number = int.from_bytes(f.read(4), "little")
        return number, f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["rw", "ro"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_loop_beside_the_mount(shop, judge, rival, kind, options, long):
    """Steps come and go, `latest` follows, nothing stale is read, nothing is said to be damaged."""
    loop = Loop(shop, rival, kind, [options], 10 * SECONDS if long else SECONDS)
    seen, written = loop.watch(options == "rw")
    last = rival.finish()
    want = {last, last - 1, last - 2}
    assert wait_until(lambda: set(loop.steps()) == want, SECOND)
    loop.follows(last)
    assert loop.number_in("same/w") == last
    assert len(seen) > ENOUGH and last > ENOUGH
    assert os.path.basename(judge.latest_checkpoint(loop.source)) == loop.name % last
    loop.mount.unmount()
    if written:
        assert judge.load(loop.source / "ours")[b"v"][2] == np.full(1000, written, "i4").tobytes()
    bad = [x for x in loop.mount.log().splitlines() if " error " in x or " warning " in x]
    assert not bad
    assert not [p for p in loop.source.iterdir() if "kept" in p.name or "weightfs-tmp" in p.name]
