"""A directory of four small checkpoints, what tools do to it, and what must be true then.

    lab.sh("cp $D/new dense/kernel")        in model.ckpt-1 of the mount; no error is printed
    lab.settled({KERNEL: NEW})              now, on disk after unmount, and in a new mount

A variable is named by its path, "PREFIX/KEY", where keys have no suffix `.d`.
"""
import functools
import json
import os
import subprocess
import sys

import disk
import fixtures
import mounts
import sstable
import tree
from writing import numbers

FROM, SAME, OTHER, BARE = ("model.ckpt-%d" % i for i in range(1, 5))
KERNEL, BIAS = FROM + "/dense/kernel", FROM + "/dense/bias"
WEIGHT, OFFSET = FROM + "/conv/w", FROM + "/conv/b"  # without slots, so without `.d`
EMB, TEXT, NOTES, TITLE, STEP = (FROM + "/" + n for n in (
    "emb", "text", "notes", "title", "global_step"))
BIG = FROM + "/big"
NEW = numbers(24, 99)  # fits KERNEL
LINES = [b"alpha", b"beta", b"gamma"]

STATE = "".join('%s: "%s"\n' % x for x in [
    ("model_checkpoint_path", SAME), ("all_model_checkpoint_paths", FROM),
    ("all_model_checkpoint_paths", SAME)])


def _layer(seed, kernel, bias, dtype="float32"):
    """A layer with the slots of an optimizer."""
    size = {"float32": 1, "float64": 2}[dtype]
    made = {}
    for i, name in enumerate(["kernel", "kernel/Adam", "kernel/Adam_1", "bias", "bias/Adam"]):
        t, s = (dtype, kernel) if "kernel" in name else ("float32", bias)
        count = (size if t == dtype else 1) * functools.reduce(int.__mul__, s)
        made["dense/" + name] = (t, s, numbers(count, seed * 10 + i))
    return made


def _rest(seed, rows):
    return {"conv/w": ("float32", [2, 3], numbers(6, seed * 10 + 6)),
            "conv/b": ("float32", [3], numbers(3, seed * 10 + 7)),
            "emb": ("float32", [rows, 4], numbers(rows * 4, seed * 10 + 8)),
            "text": ("uint8", [12], b"hello world\n"),
            "notes": ("string", [3], list(LINES)),
            "title": ("string", [], [b"run %d" % seed])}


def _step(seed):
    return {"global_step": ("int64", [], (1000 * seed).to_bytes(8, "little"))}


@functools.lru_cache(maxsize=None)
def _models():
    """{prefix: {key: (dtype, shape, value)}}."""
    other = {**_layer(3, [3, 5], [5], "float64"), **_rest(3, 7), **_step(3)}
    del other["dense/kernel/Adam_1"], other["dense/bias/Adam"]
    other["conv/w"] = ("int32", *other["conv/w"][1:])
    big = {"big": ("float32", [256, 300], numbers(76800, 5))}
    return {FROM: {**_layer(1, [6, 4], [4]), **_rest(1, 10), **_step(1), **big},
            SAME: {**_layer(2, [6, 4], [4]), **_rest(2, 10), **_step(2)},
            OTHER: other, BARE: _step(4)}


@functools.lru_cache(maxsize=None)
def _files():
    """The files of the checkpoints, {name: bytes}."""
    made = {"checkpoint": STATE.encode()}
    for prefix, values in _models().items():
        bundle = sstable.BundleBuilder()
        for key, (dtype, shape, value) in sorted(values.items()):
            bundle.add(key.encode(), sstable.DT[dtype], shape, value)
        made[prefix + ".data-00000-of-00001"] = bytes(bundle.data)
        made[prefix + ".index"] = bundle.index()
    return made


def read_back(dtype, shape, value):
    """The file that shows a value."""
    return fixtures.string_content(value, shape) if dtype == "string" else value


def lines(*elements):
    """A string tensor of one dimension."""
    return ("string", [len(elements)], list(elements))


def parents(path):
    """The directories above a path, each with a slash at its end."""
    parts = path.split("/")
    return {"/".join(parts[:i]) + "/" for i in range(1, len(parts))}


class Lab:
    """The checkpoints, mounted, and what they hold by all that was told to settled()."""

    def __init__(self, shop, judge, *options):
        self.shop, self.judge, self.options = shop, judge, options
        self.source, self.disk = shop.directory / "models", shop.directory / "disk"
        self.source.mkdir()
        self.disk.mkdir()
        self.state = {p: dict(v) for p, v in _models().items()}
        self.plain = {"checkpoint"}
        for i, (name, content) in enumerate(_files().items()):
            (self.source / name).write_bytes(content)
            os.utime(self.source / name, (1.6e9 + 1000 * i,) * 2)  # rsync looks at times
        self.file("new", NEW)
        self.seen = {p: disk.Snapshot(self.source / p) for p in self.state}
        self.mount = shop.mount(self.source, *options)

    def file(self, name, content):
        """A file on a disk, which commands find as $D/NAME."""
        (self.disk / name).write_bytes(content)
        return self.disk / name

    # ---------------------------------------------------------------- running
    def run(self, command, where=FROM):
        """Runs a shell command in the mount: (exit status, output, errors)."""
        env = dict(os.environ, LC_ALL="C", D=str(self.disk), HOME=str(self.disk),
                   PYTHON=sys.executable)
        done = subprocess.run(["bash", "-c", command], cwd=self.mount / where, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def sh(self, command, where=FROM):
        """Runs a command that must succeed and print no error; its output."""
        status, out, said = self.run(command, where)
        assert (status, said) == (0, ""), (command, status, said, self.mount.log())
        return out

    def fails(self, command, status=1, said="Invalid argument", where=FROM):
        """Runs a command that must fail, and say why; what it wrote has been dropped then."""
        got, _, told = self.run(command, where)
        assert got == status and said in told, (command, got, told)
        self.released()

    def released(self):
        """Waits until nothing is open for writing any more."""
        self.mount.released()

    def copy_to_disk(self, path, name, order=None):
        """A scope of the mount as files of a disk, made in the given order of their names."""
        top = self.mount / path
        found = [p.relative_to(top) for p in sorted(top.rglob("*")) if p.is_file()]
        for each in sorted(found, key=order and (lambda p: order(str(p)))):
            target = self.disk / name / each
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((top / each).read_bytes())
        return self.disk / name

    # ------------------------------------------------------------- what is so
    def value(self, path):
        """(dtype, shape, value) of a variable."""
        prefix, key = self.split(path)
        return self.state[prefix][key]

    def below(self, path, to, drop=False):
        """What changes when everything at and below `path` is copied, or moved, to `to`."""
        prefix, key = self.split(path)
        found = {k: v for k, v in self.state[prefix].items()
                 if not key or k == key or k.startswith(key + "/")}
        assert found, path
        gone = {prefix + "/" + k: None for k in found} if drop else {}
        return {**gone, **{to + (k[len(key):] if key else "/" + k): v for k, v in found.items()}}

    def without(self, path):
        """What changes when everything at and below `path` goes."""
        prefix, key = self.split(path)
        return {prefix + "/" + k: None for k in self.state[prefix]
                if k == key or k.startswith(key + "/")}

    @staticmethod
    def split(path):
        prefix, _, key = path.partition("/")
        return prefix, key

    def text(self, path):
        """What a value reads as, through the mount."""
        return tree.read(self.mount / path)

    def old(self, path):
        """What a value was before, as its file shows it."""
        return read_back(*self.value(path))

    def stored(self, path):
        """The value that the checkpoint on disk has at this moment, or None."""
        prefix, key = self.split(path)
        return disk.Snapshot(self.source / prefix).values.get(key.encode())

    def pending(self, kind):
        """All paths that the status names under a key such as "untyped"."""
        found = []

        def strings(thing):
            if isinstance(thing, str):
                found.append(thing)
            for each in (thing.values() if isinstance(thing, dict) else
                         thing if isinstance(thing, list) else ()):
                strings(each)

        def walk(thing):
            for key, each in thing.items() if isinstance(thing, dict) else ():
                (strings if key == kind else walk)(each)
            for each in thing if isinstance(thing, list) else ():
                walk(each)
        walk(json.loads(tree.read(self.mount / ".weightfs/status")))
        return found

    # ---------------------------------------------------------------- settled
    def settled(self, changes, shown=(), sticky=(), gone=()):
        """Holds tree, disk and TensorFlow against what should be so.

        changes: {path: value, (dtype, shape, value), or None where it is gone}; all other
        variables must be as they were, to the bit.  Ends the mount and begins another.
        shown: more files and (with a slash at the end) directories, seen until the unmount.
        sticky: paths whose scope still is `.d` in this mount, though the variable has gone.
        gone: prefixes without files.
        """
        self.released()
        self._take(changes)
        for prefix in gone:
            assert not self.state.pop(prefix), prefix
        self.check_tree(shown, sticky)
        self.mount.unmount()
        self._check_disk(changes)
        self.mount = self.shop.mount(self.source, *self.options)
        self.check_tree()

    def _take(self, changes):
        for path, value in changes.items():
            prefix, key = self.split(path)
            values = self.state.setdefault(prefix, {})
            if value is None:
                del values[key]
            elif isinstance(value, tuple):
                values[key] = value
            else:
                dtype, shape, _ = values[key]
                values[key] = (dtype, shape, value)

    def check_tree(self, shown=(), sticky=()):
        """Names, bytes, types, sizes and xattrs of all that the mount shows."""
        listed = set(os.listdir(self.mount.point)) - {"latest"}
        top = {p.rstrip("/") for p in shown if "/" not in p.rstrip("/")}
        assert listed == set(self.state) | self.plain | top
        for prefix, values in self.state.items():
            mine = {p[len(prefix) + 1:] for p in shown if p.startswith(prefix + "/")}
            kept = {p[len(prefix) + 1:].encode() for p in sticky if p.startswith(prefix + "/")}
            keys = {k.encode() for k in values}
            paths = {k: tree.path_of(k.encode(), keys | kept).decode() for k in values}
            bare = {p for k, p in paths.items() if self._untyped(prefix, p, values[k])}
            assert names_below(self.mount / prefix, mine | bare) == names_of(
                set(paths.values()) - bare) | mine | bare | set().union(*map(parents, bare))
            for key, (dtype, shape, value) in values.items():
                if paths[key] in bare:
                    assert tree.read(self.mount / prefix / paths[key]) == value
                    continue
                tree.check_variable(
                    fixtures.Variable(key.encode(), dtype, shape, read_back(dtype, shape, value),
                                      None), self.mount.path(prefix, paths[key]))

    def _untyped(self, prefix, path, value):
        """Whether nobody has said what it is yet: then it has no sidecars."""
        return (value[0] == "uint8" and len(value[1]) == 1
                and not os.path.exists(self.mount / prefix / (path + ".shape")))

    def _check_disk(self, changes):
        files = {p + e for p in self.state for e in (".index", ".data-00000-of-00001")}
        assert set(os.listdir(self.source)) == files | self.plain
        before, self.seen = self.seen, {p: disk.Snapshot(self.source / p) for p in self.state}
        for prefix, after in self.seen.items():
            touched = {self.split(c)[1].encode() for c in changes if self.split(c)[0] == prefix}
            if prefix in before and not touched:
                disk.assert_unchanged(before[prefix], after)
                continue
            values = self.state[prefix]
            assert {k.decode(): (sstable.DT_NAME[e.dtype], e.shape, after.values[k])
                    for k, e in after.entries.items()} == values
            if prefix in before:
                for key in after.raw.keys() - touched:
                    assert after.raw[key] == before[prefix].raw[key], key
            self._ask_tensorflow(prefix, values)

    def _ask_tensorflow(self, prefix, values):
        wanted = {k.encode(): (t, list(s), v) for k, (t, s, v) in values.items()}
        path = self.source / prefix
        assert self.judge.load(path) == wanted
        if values:
            assert self.judge.saver_restore(path, {k: v[:2] for k, v in values.items()}) == wanted


def names_of(paths):
    """What stands in a checkpoint for these variables."""
    names = set()
    for path in paths:
        names |= {path, path + ".shape", path + ".dtype"} | parents(path)
    return names


def names_below(top, more):
    """Every name below a directory; sidecars of the files in `more` do not count."""
    names = set()
    for path, scopes, found in os.walk(top):
        at = os.path.relpath(path, top) + "/" if path != str(top) else ""
        names |= {at + n + "/" for n in scopes} | {at + n for n in found}
    return names - {n + s for n in more for s in (".shape", ".dtype")}


def eventually(condition, seconds=5):
    """Waits until it is so; a commit or a removal takes its time."""
    assert mounts.wait_until(condition, seconds, 0.05)
