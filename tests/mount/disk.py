"""What lies on disk under a prefix, read without the program and without TensorFlow."""
import glob
import hashlib
import os
from pathlib import Path

import sstable


class Snapshot:
    """Index and shards of a bundle at one moment."""

    def __init__(self, prefix):
        self.prefix = str(prefix)
        bundle = sstable.Bundle(self.prefix)
        self.header = bundle.header
        self.raw = bundle.raw
        self.entries = bundle.entries
        self.slices = {sstable.slice_key(k, s) for k, e in self.entries.items() for s in e.slices}
        self.bundle = bundle
        self.values = {k: bundle.value(k) for k, e in self.entries.items()
                       if not e.slices and k not in self.slices}
        self.index = Path(self.prefix + ".index").read_bytes()
        self.shards = {os.path.basename(p): Path(p).read_bytes()
                       for p in glob.glob(glob.escape(self.prefix) + ".data-?????-of-?????")}

    def whole(self, key):
        """The value, put together where it is partitioned."""
        return self.bundle.value(key)

    def variables(self):
        """What TensorFlow would list: no keys of slices, nor any that no variable lists."""
        return {k for k in self.entries if k not in self.slices}

    def shard_bytes(self):
        return sum(map(len, self.shards.values()))

    def content_size(self):
        """The size that the index would have without padding."""
        return len(sstable.make_index(self.entries, self.header["num_shards"]))


def referenced_unchanged(before, after):
    """What both indexes name has the same bytes; no shard has become shorter.

    What only the old one named may have been given back to the disk.
    """
    for key, raw in before.raw.items():
        if after.raw.get(key) == raw and key in before.values:
            assert after.values[key] == before.values[key], key
    for name, old in before.shards.items():
        assert len(after.shards[name]) >= len(old), name
    assert len(after.shards) >= len(before.shards)


def assert_only_changed(before, after, changed):
    """`changed` ({key: stored bytes}) is new; everything else is as it was, to the bit."""
    assert after.raw.keys() == before.raw.keys()
    assert after.header == before.header
    for key, raw in before.raw.items():
        if key not in changed:
            assert after.raw[key] == raw, key
            continue
        old, new = before.entries[key], after.entries[key]
        assert (new.dtype, new.shape, new.shard) == (old.dtype, old.shape, old.shard), key
        assert after.values[key] == changed[key], key
    referenced_unchanged(before, after)


def assert_unchanged(before, after):
    """Index and everything it names are as they were, to the bit."""
    assert after.index == before.index
    referenced_unchanged(before, after)


def digest(directory):
    """Every file below a directory: {relative path: sha256}."""
    found = {}
    for path in sorted(Path(directory).rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path.relative_to(directory))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
