"""kill -9 of the daemon at random moments of V1 commits."""
import os
import subprocess
import time

import numpy as np
import pytest

import jobs
import tree

COUNT = 40000
KEYS = ["a/w", "b/w", "c"]
LOOP = """
while :; do
  for i in $FIRST; do
    for k in a/w b/w c; do cp model-$i/$k to/$k || exit; done
    sync to/c || exit
  done
done
"""


def items(seed):
    """Numbers that take room, as varints and as they are."""
    made = {k: np.random.RandomState(seed + i).randint(-2**31, 2**31, COUNT, "i8").astype(d)
            for i, (k, d) in enumerate(zip(KEYS, ("i4", "f4", "i8")))}
    return {k: (v.dtype.name, [COUNT], v.tobytes()) for k, v in made.items()}


@pytest.mark.parametrize("sharded", [False, True])
def test_a_killed_daemon_leaves_a_whole_file(shop, judge, dice, long, sharded):
    """TensorFlow reads it each time; all values are of one commit, where it is one file."""
    source = shop.directory / "runs"
    source.mkdir()
    steps = {}
    for i in (1, 2):
        steps[i] = items(i * 10)
        judge.v1_save(source / ("model-%d" % i), steps[i])
    pattern = source / "to"
    if sharded:
        pattern = source / "to-?????-of-00002"
        first = {k: v for k, v in steps[1].items() if k != "c"}
        judge.v1_save(source / "to-00000-of-00002", first)
        judge.v1_save(source / "to-00001-of-00002", {"c": steps[1]["c"]})
    else:
        judge.v1_save(source / "to", steps[1])
    met = set()
    rounds = 0
    while rounds < (40 if long else 8) or (len(met) < 2 and rounds < 60):
        rounds += 1
        mount = shop.mount(source)
        loop = subprocess.Popen(["bash", "-c", LOOP], cwd=mount.point, stdin=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True,
                                env=dict(os.environ, FIRST=("1 2", "2 1")[rounds % 2]))
        time.sleep(dice.uniform(0.05, 0.6))
        mount.kill()
        subprocess.run(["umount", "-l", mount.point], check=False)
        loop.kill()
        loop.wait()
        mount.dispose()
        found = judge.v1_load(pattern)
        assert found.keys() == {k.encode() for k in KEYS}
        which = {k: [i for i in steps if steps[i][k.decode()] == v] for k, v in found.items()}
        assert all(which.values()), which
        if not sharded:
            assert len({tuple(w) for w in which.values()}) == 1, which
        met.add(which[b"c"][0])
    assert met == {1, 2}, "no round got as far as a commit"
    mount = shop.mount(source)
    tree.read(mount / "to/c")
    mount.unmount()
    assert not list(source.glob("*.weightfs-tmp"))


@pytest.mark.sanitized
def test_what_was_not_synced_is_gone_and_nothing_else(shop, judge):
    """A crash within the seconds of quiet: the old file, and no trace."""
    source = shop.directory / "runs"
    source.mkdir()
    judge.v1_save(source / "to", items(1))
    before = (source / "to").read_bytes()
    mount = shop.mount(source)
    tree.write(mount / "to/c", bytes(8 * COUNT))
    mount.kill()
    subprocess.run(["umount", "-l", mount.point], check=False)
    mount.dispose()
    assert os.listdir(source) == ["to"]
    assert (source / "to").read_bytes() == before
    mount = shop.mount(source)
    tree.write(mount / "to/c", bytes(8 * COUNT))
    jobs.fsync(mount / "to/c")
    assert judge.v1_load(source / "to")[b"c"][2] == bytes(8 * COUNT)
