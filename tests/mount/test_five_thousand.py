"""A checkpoint of 5,000 variables."""
import os
import subprocess
import time

import disk
import fixtures
import tree

NAME = "v2_5000_variables"


def test_ls_and_a_full_cat_walk(shop):
    """ls -lR names all, and cat of every file gives every byte."""
    mount = shop.mount(fixtures.FIXTURE_DIR / NAME, "ro")
    started = time.monotonic()
    listed = subprocess.run(["ls", "-lR", "."], cwd=mount / "ckpt", stdout=subprocess.PIPE,
                            check=True).stdout
    assert listed.count(b"kernel_") == 3 * 5000
    got = subprocess.run("find . -name 'kernel_?????' -print0 | sort -z | xargs -0 cat", shell=True,
                         cwd=mount / "ckpt", stdout=subprocess.PIPE, check=True).stdout
    variables = sorted(fixtures.variables(NAME), key=lambda v: v.key)
    assert got == b"".join(v.content for v in variables)
    assert time.monotonic() - started < 100


def test_a_commit_writes_new_values_and_one_index(shop, fixture_copy, judge):
    """Ten values in a group: their bytes at the end of the shard, one index of the old size."""
    source = fixture_copy(NAME)
    mount = shop.mount(source)
    before = disk.Snapshot(source / "ckpt")
    chosen = [v for v in fixtures.variables(NAME) if v.content][::400][:10]
    for variable in chosen:
        tree.write(mount.path("ckpt", variable.key), b"\7" * len(variable.content))
    fd = os.open(mount / "ckpt", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    after = disk.Snapshot(source / "ckpt")
    changed = {v.key: b"\7" * len(v.content) for v in chosen}
    disk.assert_only_changed(before, after, changed)
    assert after.shard_bytes() - before.shard_bytes() == sum(map(len, changed.values()))
    assert len(after.index) <= after.content_size() * 9 // 8 + 4096
    mount.unmount()
    told = judge.load(source / "ckpt")
    assert {k: v[2] for k, v in told.items()} == after.values


def test_a_thousand_small_commits_are_grouped(shop, fixture_copy):
    """Closing a thousand values one after the other takes seconds, not minutes."""
    source = fixture_copy(NAME)
    mount = shop.mount(source)
    chosen = [v for v in fixtures.variables(NAME) if v.content][:1000]
    started = time.monotonic()
    for variable in chosen:
        tree.write(mount.path("ckpt", variable.key), b"\7" * len(variable.content))
    mount.unmount()
    assert time.monotonic() - started < 100
    after = disk.Snapshot(source / "ckpt")
    assert all(after.values[v.key] == b"\7" * len(v.content) for v in chosen)
