"""The names of a name-based checkpoint after each operation: DESIGN 2.5, 4.4, 4.6 and 4.8 once more.

Names is the tree of one checkpoint in memory: directories and values by the path that
they show.  model.py adds what is in the files.
"""
import math
from dataclasses import dataclass, field

import sstable
import tree


class Unclear(Exception):
    """Not a step for a random walk."""


@dataclass
class Value:
    """The bytes of a variable, its type, and what its sidecars say beyond that."""
    content: bytes
    dtype: str = "uint8"
    shape: list = None
    typed: bool = True
    entered: bool = False  # untyped, and in the checkpoint all the same, by fsync
    said: dict = field(default_factory=dict)  # open declarations
    refused: bytes = None  # kept aside: a sidecar that makes it fit takes it over

    def extent(self):
        """The shape; of an untyped value its number of bytes."""
        return self.shape if self.typed or self.entered else [len(self.content)]

    def shown(self):
        """The sidecars that are there: of what has no type yet those that somebody made."""
        return ["shape", "dtype"] if self.typed or self.entered else sorted(self.said)

    def enter(self):
        """It is stored without a type: as what one sidecar says, if that fits, else as bytes."""
        count = [len(self.content)]
        dtype, shape = self.said.get("dtype", "uint8"), self.said.get("shape", count)
        fitting = fits(dtype, shape, self.content)
        self.dtype, self.shape = (dtype, shape) if fitting else ("uint8", count)
        self.entered = True

    def plain(self):
        return self.typed and not self.said

    def declared(self, **more):
        """dtype and shape by which the next bytes are judged."""
        said = dict(self.said, **more)
        return said.get("dtype", self.dtype), said.get("shape", self.extent())

    def settle(self, dtype, shape, content):
        """The three agree, and nothing waits any more."""
        self.dtype, self.shape, self.content = dtype, list(shape), content
        self.typed, self.said = True, {}


def fits(dtype, shape, content):
    return math.prod(shape) * sstable.ITEM[dtype] == len(content)


def below(path, directory):
    return not directory or path.startswith(directory + "/")


def parent(path):
    return path.rpartition("/")[0]


def twin(path):
    """The other name that the same scope could have."""
    return path[:-2] if path.endswith(".d") else path + ".d"


def key(path):
    """The key of what is shown at `path`."""
    return "/".join(c[:-2] if c.endswith(".d") else c for c in path.split("/"))


class Names:
    """Directories, values, what came before its value, and what is remembered."""

    def __init__(self, variables):
        """`variables`: {key: (dtype, shape, content)}."""
        self.begin({k: Value(c, d, list(s)) for k, (d, s, c) in variables.items()})

    def begin(self, values):
        """The tree of a new mount: nothing but the keys, and nothing remembered."""
        keys = {k.encode() for k in values}
        self.files = {tree.path_of(k.encode(), keys).decode(): v for k, v in values.items()}
        self.dirs = {""}
        for path in self.files:
            while path:
                path = parent(path)
                self.dirs.add(path)
        self.lone = {}      # sidecars that came before their value: {path: declarations}
        self.unlinked = {}  # what is remembered: {key: (dtype, shape)}
        self.spoiled = set()  # keys of which it is unclear what is remembered

    def remount(self):
        """Untyped values are bytes now; declarations, empty scopes and memories are gone."""
        for value in self.files.values():
            if not value.typed and not value.entered:
                value.enter()
        self.begin({key(p): Value(v.content, v.dtype, v.shape) for p, v in self.files.items()})

    def kind(self, path):
        return "file" if path in self.files else "dir" if path in self.dirs else None

    def unlink(self, path):
        error = self._file_error(path)
        if error:
            return error
        value = self.files.pop(path)
        if value.plain():
            self.unlinked[key(path)] = (value.dtype, value.shape)
        elif value.typed or value.said:
            self.spoiled.add(key(path))
        return None

    def mkdir(self, path):
        error = self.way(path) or ("EEXIST" if self.kind(path) else None)
        if error:
            return error
        if twin(path) in self.dirs or path in self.lone:
            raise Unclear
        self.dirs.add(path)
        return None

    def rmdir(self, path):
        error = self.way(path) or {"file": "ENOTDIR", None: "ENOENT"}.get(self.kind(path))
        if error:
            return error
        if self._filled(path):
            return "ENOTEMPTY"
        self._no_lone(path)
        self.dirs.remove(path)
        return None

    def rename(self, old, new, how=None):
        """rename(2), with how = None, "noreplace" or "exchange"."""
        error = self.way(old) or self.way(new) or self._rename_error(old, new, how)
        if error or old == new:
            return error
        if old in self.files and new.endswith(".d"):
            return "EINVAL"  # only directories are called so
        if how == "exchange":
            return self._exchange(old, new)
        return (self._move_scope if old in self.dirs else self._move_value)(old, new)

    def _rename_error(self, old, new, how):
        """What the kernel answers by itself, in its order."""
        was, there = self.kind(old), self.kind(new)
        if not was or (how == "exchange" and not there):
            return "ENOENT"
        if how == "noreplace" and there:
            return "EEXIST"
        if below(new, old):
            return "EINVAL"
        if below(old, new):
            return "EINVAL" if how == "exchange" else "ENOTEMPTY"
        if how == "exchange" or was == there or not there:
            return None
        return "ENOTDIR" if was == "dir" else "EISDIR"

    def _move_value(self, old, new):
        value, there = self.files[old], self.files.get(new)
        known = key(new) in self.unlinked or key(new) in self.spoiled
        if value.said or new in self.lone or (there and there.said) or (
                not value.typed and (value.entered or (known and not there))):
            raise Unclear
        if there and there.typed and not value.typed:
            if not fits(there.dtype, there.shape, value.content):
                there.refused = value.content
                return "EINVAL"
            value.settle(there.dtype, there.shape, value.content)
        if there and value.refused is None:
            value.refused = there.refused
        del self.files[old]
        self.spoiled.add(key(old))
        self._stand(new, value)
        return None

    def _move_scope(self, old, new):
        if self._filled(new):
            return "ENOTEMPTY"
        if new in self.lone or (twin(new) in self.dirs and (twin(new) != old or old.endswith(".d"))):
            raise Unclear
        self._no_lone(old)
        self._no_lone(new)
        self._forget_below(old, new)
        self._carry({old: new})
        return None

    def _exchange(self, old, new):
        if self.kind(old) != self.kind(new):
            raise Unclear
        if old in self.dirs:
            self._no_lone(old)
            self._no_lone(new)
            self._forget_below(old, new)
            self._carry({old: new, new: old})
            return None
        if not self.files[old].plain() or not self.files[new].plain():
            raise Unclear
        self.files[old], self.files[new] = self.files[new], self.files[old]
        return None

    def _carry(self, moves):
        def place(path):
            for old, new in moves.items():
                if path == old or below(path, old):
                    return new + path[len(old):]
            return path
        self.spoiled |= {key(p) for p in self.files if place(p) != p}
        self.dirs = {place(p) for p in self.dirs}
        self.files = {place(p): v for p, v in self.files.items()}
        self.spoiled -= {key(p) for p in self.files}

    # ----------------------------------------------------------------- helpers
    def way(self, path):
        """What the directories on the way to `path` are against."""
        for i, c in enumerate(path):
            if c == "/" and path[:i] not in self.dirs:
                return "ENOTDIR" if path[:i] in self.files else "ENOENT"
        return None

    def _file_error(self, path):
        return self.way(path) or {"dir": "EISDIR", None: "ENOENT"}.get(self.kind(path))

    def _filled(self, path):
        return any(below(p, path) for p in [*self.files, *self.dirs] if p != path)

    def _no_lone(self, path):
        if any(below(p, path) for p in self.lone):
            raise Unclear

    def _forget_below(self, *scopes):
        """What was remembered in scopes that move: unclear under both names."""
        gone = [k for k in [*self.unlinked, *self.spoiled] if any(below(k, key(s)) for s in scopes)]
        for k in gone:
            for s in scopes:
                rest = next(k[len(key(t)):] for t in scopes if below(k, key(t)))
                self.spoiled.add(key(s) + rest)
            self.unlinked.pop(k, None)

    def _stand(self, path, value):
        self.files[path] = value
        self.unlinked.pop(key(path), None)
        self.spoiled.discard(key(path))
