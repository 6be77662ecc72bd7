"""DESIGN 2.7 once more: the tree that an object graph makes, by names of edges."""
import os
import stat

import sstable
from fixtures import GRAPH_KEY
from tree import decode, encode


class GraphNode:
    """One TrackableObject: edges, the key of its value, slots."""

    def __init__(self, body):
        self.edges = {}
        self.key = None
        self.slots = []
        for number, _, value in sstable.proto_fields(body):
            fields = {n: v for n, _, v in sstable.proto_fields(value)}
            if number == 1:
                self.edges.setdefault(fields.get(2, b""), fields.get(1, 0))
            elif number == 2 and fields.get(1) == b"VARIABLE_VALUE":
                self.key = fields.get(3, b"")
            elif number == 3:
                self.slots.append((fields.get(1, 0), fields.get(2, b""), fields.get(3, 0)))


def parse(body):
    return [GraphNode(v) for n, _, v in sstable.proto_fields(body) if n == 1]


class Expected:
    """Where everything stands: {path: key}, {path: path it leads to}, paths."""

    def __init__(self, graph, keys):
        self.nodes = parse(graph)
        self.keys = set(keys)
        self.files, self.links, self.directories = {}, {}, set()
        self.first = {0: ()}
        self._walk()
        self._slots()
        reached = set(self.files.values()) | {GRAPH_KEY}
        self.literal = self.keys - reached

    def _place(self, node):
        """The directory that belongs to a node."""
        path = self.first[node]
        if self.nodes[node].key is None:
            return path
        return path[:-1] + (path[-1] + b".d",)

    def _walk(self):
        queue = [0]
        for number in queue:
            place = self._place(number)
            for name, child in self.nodes[number].edges.items():
                path = place + (encode(name, not place),)
                new = child not in self.first
                if new:
                    self.first[child] = path
                    queue.append(child)
                self._item(child, path, new)
            if self.nodes[number].edges:
                self.directories.add(place)

    def _item(self, child, path, new):
        if self.nodes[child].key is not None:
            self.files[path] = self.nodes[child].key
        elif new:
            self.directories.add(path)
        else:
            self.links[path] = self._place(child)

    def _slots(self):
        for optimizer, node in enumerate(self.nodes):
            for original, name, slot in node.slots:
                below = self._place(original) + (b"slots",) + self.first[optimizer]
                self.files[below + (encode(name),)] = self.nodes[slot].key
                for i in range(len(self._place(original)), len(below) + 1):
                    self.directories.add(below[:i])


class Seen:
    """What the mount shows below a checkpoint, by path."""

    def __init__(self, top):
        self.top = os.fsencode(top)
        self.files, self.links, self.directories = set(), {}, {()}
        self.sidecars = set()
        self._walk(())

    def full(self, path):
        return b"/".join((self.top,) + path)

    def _walk(self, path):
        for entry in os.scandir(self.full(path)):
            here = path + (entry.name,)
            mode = os.lstat(self.full(here)).st_mode
            if stat.S_ISLNK(mode):
                self.links[here] = os.readlink(self.full(here))
            elif stat.S_ISDIR(mode):
                self.directories.add(here)
                self._walk(here)
            elif entry.name.endswith((b".shape", b".dtype")):
                self.sidecars.add(here)
            else:
                self.files.add(here)


def literal_key(path):
    """The key that a path outside the graph stands for."""
    return b"/".join(decode(name) for name in path)
