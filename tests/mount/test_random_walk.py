"""A random walk of operations against a model in memory: tree, bytes and errno agree."""
import pytest

import disk
import jobs
import model
import sstable
from walk import Walk

START = {"dense/kernel": ("f4", (6, 4)), "dense/kernel/a": ("f4", (6, 4)), "dense/bias": ("f4", (4,)),
         "a": ("i8", ()), "b": ("i2", (3, 5)), "bias/gamma": ("f8", (2, 2))}


def stored(prefix):
    """What is in the checkpoint, by the independent reader."""
    found = disk.Snapshot(prefix)
    return {k.decode(): (sstable.DT_NAME[e.dtype], e.shape, found.values[k])
            for k, e in found.entries.items()}


def as_told(dtype, content):
    """For TensorFlow any byte of a bool that is not 0 is 1, at least where it is a scalar."""
    return bytes(b != 0 for b in content) if dtype == "bool" else content


def agree(judge, prefix, steps):
    """TensorFlow reads what the model holds, and no more."""
    told = {k.decode(): (d, s, as_told(d, v)) for k, (d, s, v) in judge.load(prefix).items()}
    wanted = {k: (d, s, as_told(d, v)) for k, (d, s, v) in steps.model.stored().items()}
    assert told == wanted, steps.trace[-20:]


@pytest.mark.sanitized
def test_a_random_walk_agrees_with_the_model(shop, judge, dice, long):
    """Every errno, every byte and every name; after each remount what is on disk."""
    source = shop.directory / "source"
    source.mkdir()
    prefix = source / "ckpt"
    judge.save(prefix, {k: jobs.array(i, *s, dtype=d) for i, (k, (d, s)) in enumerate(START.items())})
    steps = Walk(dice, None, stored(prefix))
    for _ in range(50 if long else 10):
        mount = shop.mount(prefix)
        steps.root = str(mount.point)
        steps.look_everywhere()
        for _ in range(2):
            steps.walk(50 if long else 30)
            steps.look_everywhere()
        jobs.fsync(mount.point)
        there = stored(prefix)
        sure = steps.model.stored()
        assert {k: there.get(k) for k in sure} == sure, steps.trace[-8:]
        untyped = {model.key(p) for p, v in steps.model.files.items() if not v.typed}
        assert there.keys() - sure.keys() <= untyped, steps.trace[-8:]
        mount.unmount()
        steps.model.remount()
        assert stored(prefix) == steps.model.stored(), steps.trace[-8:]
    agree(judge, prefix, steps)
