"""What the tests of the offline commands share: no mount, real TensorFlow as judge."""
import glob
import shutil
from pathlib import Path

import fixtures
import mounts
import sstable
from sstable import DT_NAME

# Damage that is none: what they hold is not what TensorFlow would write.
NOT_TENSORFLOWS = {"v2_hand_unknown_fields", "v2_hand_big_endian"}


def weightfs(*words, code=0):
    """Runs the program without a mount; what it printed."""
    done = mounts.run(*words, errors="replace")
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def copy_of(prefix, to):
    """Copies the files of a V2 checkpoint to another prefix, the index last as in a save."""
    files = sorted(glob.glob(glob.escape(str(prefix)) + ".*"), key=lambda f: f.endswith(".index"))
    Path(to).parent.mkdir(exist_ok=True)
    for f in files:
        shutil.copy(f, str(to) + f[len(str(prefix)):])
    return to


def files_of(prefix):
    """{end of the name: bytes} of all files of a V2 checkpoint, and what was left beside it."""
    prefix = str(prefix)
    found = glob.glob(glob.escape(prefix) + ".index*") + glob.glob(glob.escape(prefix) + ".data*") \
        + glob.glob(glob.escape(prefix) + ".compact*")
    return {f[len(prefix):]: Path(f).read_bytes() for f in found}


def spec(shape, extents):
    """`7 9 3,4:-`, as TensorFlow writes a slice of a tensor."""
    ranges = ":".join("-" if e is None else "%d,%d" % tuple(e) for e in extents)
    return " ".join([*map(str, shape), ranges])


def in_order(prefix):
    """The tensors of a bundle sorted by key, as SaveV2 takes them: a list for each shard."""
    bundle = sstable.Bundle(str(prefix))
    slices = {sstable.slice_key(k, x) for k, e in bundle.entries.items() for x in e.slices}
    parts = []
    for key in sorted(bundle.entries.keys() - slices):
        e = bundle.entries[key]
        for x in e.slices or [None]:
            part = bundle.entries[sstable.slice_key(key, x)] if e.slices else e
            parts.append((part.shard, (key, spec(e.shape, x) if e.slices else "",
                                       DT_NAME[e.dtype])))
    regular = {i for i, _ in parts if i < bundle.header["num_shards"]}
    parts = [(i if i in regular else max(regular, default=0), p) for i, p in parts]
    return [[p for i, p in parts if i == shard] for shard in sorted({i for i, _ in parts})]


def in_order_v1(prefix):
    """The same of a V1 checkpoint, in a list of one."""
    parts = {}
    for path in sorted(glob.glob(str(prefix))):
        for name, (dtype, shape, slices) in sstable.V1File(path).tensors.items():
            for x in slices:
                text = spec(shape, x) if any(e is not None for e in x) else ""
                parts.setdefault(name, []).append((name, text, dtype))
    return [[p for name in sorted(parts) for p in parts[name]]]


def as_one(shards):
    """The tensors of all shards sorted by key, in a list of one."""
    return [sorted((p for shard in shards for p in shard), key=lambda p: p[0])]


def path_of(name):
    """What a user names to mean a fixture: V1 in several files has no file of its prefix."""
    return fixtures.FIXTURE_DIR / fixtures.manifest()[name]["prefix"]


def order_of(name):
    prefix = path_of(name)
    v1 = fixtures.manifest()[name]["format"] == "V1"
    return in_order_v1(prefix) if v1 else as_one(in_order(prefix))


def v2_prefixes():
    """(fixture, its prefix below tests/fixtures) of all V2 fixtures."""
    return [(n, fixtures.manifest()[n]["prefix"]) for n in fixtures.names("V2")]
