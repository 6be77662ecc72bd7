"""Random operations, held against a small model of the contract after each of them."""
import os

import numpy as np

import jobs
import model
import mounts
import sstable
import tree

NAMES = ["kernel", "bias", "a", "b", "w 1", "gamma", "k2", "\u00fc"]
DTYPES = ["float32", "int32", "int64", "float64", "uint8", "bool", "int16", "bfloat16"]
NOTATIONS = ["{}\n", "{}", " {} \n"]


def store(path, content, flags):
    """open, write unless there is nothing to, close; the first error counts."""
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        if content:
            os.write(fd, content)
    except OSError:
        tree.error_of(os.close, fd)
        raise
    os.close(fd)


def patch(path, offset, content):
    fd = os.open(path, os.O_RDWR)
    tree.error_of(os.pwrite, fd, content, offset)
    os.close(fd)


def text_of(facet, what):
    return what + "\n" if facet == "dtype" else tree.shape_text(what).decode()


class Walk:
    """The model, the mount, and the dice; each step_NAME is one operation on both.

    A step makes up its arguments, asks the model, and does it to the mount; it returns
    (what the model said, what the mount said, the paths that are worth a look).
    """

    def __init__(self, dice, root, variables, dtypes=DTYPES, lacks=()):
        """`lacks`: dtypes that the format of the checkpoint cannot hold."""
        self.dice, self.root = dice, root
        self.dtypes, self.lacks = dtypes, lacks
        self.model = model.Model(variables)
        self.trace = []
        self.count = 0

    def at(self, path, end=""):
        return os.path.join(self.root, path + end)

    def told(self, call, *arguments):
        """The errno of the call; `trace` has the last ones for who reads why a walk failed."""
        self.trace.append((call.__name__,) + tuple(str(a)[:80] for a in arguments))
        error = tree.error_of(call, *arguments)
        self.trace[-1] += (error,)
        return error

    # -------------------------------------------------------------- arguments
    def place(self):
        """A path that may be anything: now and then on a way that leads nowhere."""
        m, dice = self.model, self.dice
        where = dice.choice(sorted(m.dirs) if dice.random() < 0.95 else NAMES)
        if where.count("/") > 2:
            where = ""
        return (where + "/" + dice.choice(NAMES)).lstrip("/")

    def value(self):
        """Mostly a variable that is there."""
        known = sorted(self.model.files)
        return self.dice.choice(known) if known and self.dice.random() < 0.9 else self.place()

    def scope(self, new=False):
        known = sorted(self.model.dirs - {""})
        if known and not new and self.dice.random() < 0.9:
            return self.dice.choice(known)
        return self.place() + ".d" * (self.dice.random() < 0.3)

    def some(self, size):
        return self.dice.randbytes(size)

    def shape(self, count=None):
        """Any small shape, or one of so many elements."""
        if count is None:
            return [self.dice.randint(1, 5) for _ in range(self.dice.randint(0, 3))]
        able = [d for d in range(1, count + 1) if count % d == 0]
        first = self.dice.choice(able) if count else 0
        return [first, count // first] if count else [0]

    def wanted_size(self, path):
        """The size that the next value of the file must have, and now and then another."""
        v = self.model.files.get(path)
        if v is None or not v.typed or self.dice.random() < 0.15:
            return self.dice.randint(1, 200)
        dtype, shape = v.said.get("dtype", v.dtype), v.said.get("shape", v.extent())
        return int(np.prod(shape, dtype=int)) * sstable.ITEM[dtype]

    # ------------------------------------------------------------------ steps
    def step_create(self):
        path, content = self.place(), self.some(self.dice.choice([0, 1, 24, 96, 97]))
        known = self.model.unlinked.get(model.key(path))
        if known:
            content = self.some(int(np.prod(known[1], dtype=int)) * sstable.ITEM[known[0]])
        said = self.model.create(path, content)
        return said, self.told(store, self.at(path), content, os.O_CREAT | os.O_EXCL), [path]

    def step_write(self):
        path = self.value()
        content = self.some(self.wanted_size(path))
        if not content:
            raise model.Unclear
        said = self.model.write(path, content)
        return said, self.told(store, self.at(path), content, os.O_TRUNC), [path]

    def step_patch(self):
        path = self.value()
        size = len(self.model.files[path].content) if path in self.model.files else 10
        offset = self.dice.randint(0, size)
        length = self.dice.randint(1, 40) if self.dice.random() < 0.2 else size - offset
        content = self.some(max(1, length))
        said = self.model.patch(path, offset, content)
        return said, self.told(patch, self.at(path), offset, content), [path]

    def step_truncate(self):
        path = self.value()
        size = self.wanted_size(path)
        said = self.model.truncate(path, size)
        mounts.released(self.root)  # while somebody writes a size is not judged
        return said, self.told(os.truncate, self.at(path), size), [path]

    def _say(self, path, facet, what, at_once=False, flags=os.O_TRUNC | os.O_CREAT):
        said = self.model.say(path, facet, what, at_once)
        text = text_of(facet, what)
        value = self.model.files.get(path)
        if value and facet not in value.said:
            text = self.dice.choice(NOTATIONS).format(text.strip())
        return said, self.told(store, self.at(path, "." + facet), text.encode(), flags), [path]

    def step_say(self):
        """A sidecar of a value: often one that fits at once, else a declaration."""
        path, facet = self.value(), self.dice.choice(["dtype", "shape"])
        v = self.model.files.get(path)
        if facet == "dtype":
            return self._say(path, facet, self.dice.choice(self.dtypes))
        fitting = v and self.dice.random() < 0.6
        item = sstable.ITEM[v.said.get("dtype", v.dtype)] if v else 1
        return self._say(path, facet, self.shape(len(v.content) // item if fitting else None))

    def step_say_what_it_cannot_hold(self):
        """A dtype that the format lacks is refused, and nothing changes."""
        path = self.value()
        if not self.lacks or path not in self.model.files:
            raise model.Unclear
        text = self.dice.choice(NOTATIONS).format(self.dice.choice(self.lacks)).encode()
        said = "EOPNOTSUPP" if "dtype" in self.model.files[path].shown() else "ENOENT"
        return said, self.told(store, self.at(path, ".dtype"), text, os.O_TRUNC), [path]

    def step_say_to_a_new_file(self):
        """unlink and O_EXCL, as tar and install do it to a sidecar."""
        path = self.value()
        v = self.model.files.get(path)
        if not v or not v.plain():
            raise model.Unclear
        os.unlink(self.at(path, ".shape"))
        count = int(np.prod(v.shape, dtype=int))
        return self._say(path, "shape", self.shape(count), flags=os.O_CREAT | os.O_EXCL)

    def step_garble(self):
        """What is no shape and no dtype changes nothing."""
        path, facet = self.value(), self.dice.choice(["dtype", "shape"])
        if path not in self.model.files:
            raise model.Unclear
        text = self.dice.choice([b"hello\n", b"[2,\n", b"float\n", b">f4", b"[-2]\n", b"resource\n"])
        said = "EINVAL" if facet in self.model.files[path].shown() else "ENOENT"
        return said, self.told(store, self.at(path, "." + facet), text, os.O_TRUNC), [path]

    def step_refused_then_declared(self):
        """A value of another size is refused, and taken over with its shape."""
        path = self.value()
        v = self.model.files.get(path)
        if not v or not v.plain() or len(v.content) > 10000:
            raise model.Unclear
        shape = v.shape + [self.dice.randint(2, 4)]
        content = self.some(int(np.prod(shape, dtype=int)) * sstable.ITEM[v.dtype])
        if not content or self.model.write(path, content) != "EINVAL":
            raise model.Unclear
        assert self.told(store, self.at(path), content, os.O_TRUNC) == "EINVAL"
        self.wait_for_the_old([path])
        self.look([path])
        return self._say(path, "shape", shape, at_once=True)

    def step_build(self):
        """A new variable of any type; its three files in any order."""
        path, dtype, shape = self.place(), self.dice.choice(self.dtypes), self.shape()
        m = self.model
        fresh = model.key(path) not in m.spoiled and model.key(path) not in m.unlinked
        lone = set(m.lone.get(path, {}))
        content = self.some(int(np.prod(shape, dtype=int)) * sstable.ITEM[dtype])
        if path in m.dirs or path in m.files:
            raise model.Unclear
        said = m.build(path, dtype, shape, content)
        files = [(".shape", text_of("shape", shape).encode()),
                 (".dtype", text_of("dtype", dtype).encode()), ("", content)]
        if fresh and not lone:
            self.dice.shuffle(files)
        errors = [self.told(store, self.at(path, end), text, os.O_CREAT | os.O_TRUNC)
                  for end, text in files]
        return said, next((e for e in errors if e), None), [path]

    def step_unlink(self):
        """rm of a value; sometimes with its sidecars, as `rm kernel*` does."""
        path = self.value()
        sides = self.model.files[path].shown() if path in self.model.files else []
        said = self.model.unlink(path)
        real = self.told(os.unlink, self.at(path))
        if said is None and real is None and self.dice.random() < 0.5:
            for facet in sides:
                assert self.told(os.unlink, self.at(path, "." + facet)) is None, self.trace[-8:]
        return said, real, [path]

    def step_unlink_and_make_anew(self):
        """At once: what does not fit what was there is refused, and that comes back."""
        path, flags = self.value(), os.O_CREAT | os.O_EXCL
        v = self.model.files.get(path)
        content = self.some(self.wanted_size(path))
        if not v or not content or not v.typed:
            raise model.Unclear
        said = self.model.write(path, content)
        assert self.told(os.unlink, self.at(path)) is None, self.trace[-8:]
        return said, self.told(store, self.at(path), content, flags), [path]

    def step_mkdir(self):
        path = self.scope(new=True)
        return self.model.mkdir(path), self.told(os.mkdir, self.at(path)), [path]

    def step_rmdir(self):
        path = self.value() if self.dice.random() < 0.1 else self.scope()
        return self.model.rmdir(path), self.told(os.rmdir, self.at(path)), [path]

    def step_rename(self):
        old = self.scope() if self.dice.random() < 0.3 else self.value()
        new = self.scope() if self.dice.random() < 0.2 else self.dice.choice([self.value, self.place])()
        if old in self.model.dirs and self.dice.random() < 0.3:
            new = model.twin(old)
        how = self.dice.choice([None, None, "noreplace", "exchange"])
        said = self.model.rename(old, new, how)
        flags = {None: 0, "noreplace": jobs.NOREPLACE, "exchange": jobs.EXCHANGE}[how]
        return said, self.told(jobs.rename2, self.at(old), self.at(new), flags), [old, new]

    def step_save_as_editors_do(self):
        """A temporary file renamed over it; or a backup, a new file, the backup removed."""
        path = self.value()
        v = self.model.files.get(path)
        if not v or not v.plain() or not v.content:
            raise model.Unclear
        content = self.some(len(v.content))
        assert self.model.write(path, content) is None
        here = os.path.dirname(self.at(path))
        if self.dice.random() < 0.5:
            self.told(store, here + "/sedXy12Zq", content, os.O_CREAT | os.O_EXCL)
            return None, self.told(os.rename, here + "/sedXy12Zq", self.at(path)), [path]
        self.told(os.rename, self.at(path), self.at(path, "~"))
        self.told(store, self.at(path), content, os.O_CREAT | os.O_EXCL)
        return None, self.told(os.unlink, self.at(path, "~")), [path]

    def step_fsync(self):
        path = self.dice.choice([self.value, self.scope])()
        return self.model.fsync(path), self.told(jobs.fsync, self.at(path)), [path]

    # ------------------------------------------------------------------- look
    def walk(self, steps):
        """So many operations, each one seen to."""
        able = [getattr(self, n) for n in sorted(dir(self)) if n.startswith("step_")]
        end = self.count + steps
        while self.count < end:
            try:
                said, real, paths = self.dice.choice(able)()
            except model.Unclear:
                continue
            self.count += 1
            assert real == said, (said, real, self.trace[-8:])
            if said == "EINVAL":
                self.wait_for_the_old(paths)
            self.look(paths)

    def wait_for_the_old(self, paths):
        """Refused bytes are seen until RELEASE, which close does not wait for."""
        for path in paths:
            value = self.model.files.get(path)
            mounts.wait_until(lambda p=path, v=value: not v or tree.read(self.at(p)) == v.content,
                              2, 0.01)

    def look(self, paths):
        for path in paths:
            self.look_at(path)
            while model.parent(path) != path and model.parent(path) not in self.model.dirs:
                path = model.parent(path)
            listed = sorted(os.listdir(self.at(model.parent(path))))
            assert listed == self.model.names(model.parent(path)), self.trace[-8:]

    def look_at(self, path):
        """One path: what it is, its bytes, its sidecars."""
        kind, full, recent = self.model.kind(path), self.at(path), self.trace[-8:]
        if kind is None:
            assert tree.error_of(os.lstat, full) == (self.model.way(path) or "ENOENT"), recent
        elif kind == "dir":
            assert os.path.isdir(full), recent
            assert tree.error_of(os.listdir, full) is None, recent
        else:
            value = self.model.files[path]
            assert tree.read(full) == value.content, recent
            assert os.lstat(full).st_size == len(value.content), recent
            for facet in ("shape", "dtype"):
                want, side = self.model.sidecar(path, facet), full + "." + facet
                if want is None:
                    assert tree.error_of(os.lstat, side) == "ENOENT", recent
                else:
                    assert tree.read(side) == text_of(facet, want).encode(), recent
        for facet in self.model.lone.get(path, {}):
            want = text_of(facet, self.model.lone[path][facet]).encode()
            assert tree.read(full + "." + facet) == want, recent

    def look_everywhere(self):
        """The whole tree."""
        for path in sorted(self.model.dirs):
            assert sorted(os.listdir(self.at(path))) == self.model.names(path), self.trace[-8:]
        for path in [*sorted(self.model.files), *sorted(self.model.lone)]:
            self.look_at(path)
