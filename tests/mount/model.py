"""What a name-based checkpoint shows after each operation: DESIGN 3 and 4 once more.

Each operation of a Model, and of Names below it, returns the name of the errno that it must
fail with, or None.  Where the contract leaves room, or where time decides (a refused value is
kept aside for ten seconds, a sidecar hides for one), it raises Unclear and nothing has changed.
"""
from model_names import Names, Unclear, Value, below, fits, key, parent, twin

__all__ = ["Model", "Unclear", "Value", "below", "fits", "key", "parent", "twin"]


class Model(Names):
    """One checkpoint."""

    # ------------------------------------------------------------ what is seen
    def names(self, directory):
        """What the directory lists: lingering sidecars are not in it."""
        found = {p for p in self.dirs if p and parent(p) == directory}
        for p in self.files:
            if parent(p) == directory:
                found |= {p, *(p + "." + facet for facet in self.files[p].shown())}
        for p, said in self.lone.items():
            found |= {p + "." + facet for facet in said} if parent(p) == directory else set()
        return sorted(p[len(directory):].lstrip("/") for p in found)

    def sidecar(self, path, facet):
        """What the sidecar says; None where there is none."""
        value = self.files[path]
        if facet not in value.shown():
            return None
        return value.said.get(facet, value.dtype if facet == "dtype" else value.extent())

    def stored(self):
        """What must be in the checkpoint, {key: (dtype, shape, content)}; others may be."""
        return {key(p): (v.dtype, v.shape, v.content) for p, v in self.files.items() if v.typed}

    # ------------------------------------------------------------------ values
    def create(self, path, content):
        """open(O_CREAT | O_EXCL), write, close."""
        error = self.way(path) or ("EEXIST" if self.kind(path) else None)
        if error:
            return error
        if key(path) in self.spoiled:
            raise Unclear
        if path in self.lone:
            return self._answer(path, content)
        dtype, shape = self.unlinked.get(key(path), ("uint8", None))
        if shape is not None and not (content and fits(dtype, shape, content)):
            raise Unclear
        self._stand(path, Value(content, dtype, shape, typed=shape is not None))
        return None

    def _answer(self, path, content):
        """A value after its sidecars: with one of them it waits for the other."""
        value = Value(b"", typed=False, said=dict(self.lone[path]))
        if not content:
            raise Unclear
        self._judge(value, content)
        self.lone.pop(path)
        self._stand(path, value)
        return None

    def write(self, path, content):
        """open(O_TRUNC), write, close; without O_CREAT."""
        error = self._file_error(path)
        if error:
            return error
        return self._judge(self.files[path], content)

    def patch(self, path, offset, data):
        """open, pwrite, close."""
        error = self._file_error(path)
        if error:
            return error
        old = self.files[path].content
        if offset > len(old):
            raise Unclear
        return self._judge(self.files[path], old[:offset] + data + old[offset + len(data):])

    def truncate(self, path, size):
        """truncate(2), with no writer open."""
        error = self._file_error(path)
        if error:
            return error
        value = self.files[path]
        if size == len(value.content):
            if value.said and value.typed:
                raise Unclear
            return None
        return self._judge(value, value.content[:size].ljust(size, b"\0"))

    def _judge(self, value, content):
        """A change is taken over when bytes, dtype and shape agree."""
        if not value.typed and len(value.said) < 2:
            value.content = content  # it waits, with or without a word of what it will be
            if value.entered:
                value.enter()
            return None
        dtype, shape = value.declared()
        if not fits(dtype, shape, content):
            if not value.typed and not value.entered:
                raise Unclear  # it goes, and leaves its sidecars
            value.refused = content
            return "EINVAL"
        value.settle(dtype, shape, content)
        return None

    # ---------------------------------------------------------------- sidecars
    def say(self, path, facet, what, at_once=False):
        """Writes a sidecar; `at_once`: a value was refused just before."""
        error = self.way(path)
        if error:
            return error
        if path not in self.files:
            return self._say_first(path, facet, what)
        value = self.files[path]
        dtype, shape = value.declared(**{facet: what})
        whole = value.typed or len({facet, *value.said}) == 2
        if not whole and not value.entered:
            value.said[facet] = what  # it waits for the other, also where bytes would fit
        elif value.refused is not None and fits(dtype, shape, value.refused):
            if not at_once:
                raise Unclear
            value.settle(dtype, shape, value.refused)  # what was written last is meant
            value.refused = None
        elif fits(dtype, shape, value.content):
            value.settle(dtype, shape, value.content)
        else:
            value.said[facet] = what
        return None

    def _say_first(self, path, facet, what):
        """A sidecar before its value: of a name that was no variable before."""
        if path in self.dirs or key(path) in self.unlinked or key(path) in self.spoiled:
            raise Unclear
        self.lone.setdefault(path, {})[facet] = what

    def build(self, path, dtype, shape, content):
        """Both sidecars and a value that fits, of a free name; the end is the same in any order."""
        error = self.way(path)
        if error:
            return error
        if self.kind(path):
            raise Unclear
        self.lone.pop(path, None)
        self._stand(path, Value(content, dtype, list(shape)))
        return None

    # ---------------------------------------------------------------- fsync
    def fsync(self, path):
        """An untyped value enters the checkpoint."""
        error = self.way(path) or (None if self.kind(path) else "ENOENT")
        if error:
            return error
        value = self.files.get(path)
        if value and not value.typed and not value.entered:
            value.enter()
        return None
