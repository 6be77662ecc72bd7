"""The checkpoints in tests/fixtures, as manifest.json and sstable.py see them.

manifest.json holds what TensorFlow itself read.  The bytes come from sstable.py,
which shares no code with the program under test, and are held against it.
"""
import base64
import functools
import hashlib
import json
from pathlib import Path

import sstable

FIXTURE_DIR = Path(__file__).resolve().parents[1] / "fixtures"
GRAPH_KEY = b"_CHECKPOINTABLE_OBJECT_GRAPH"


class Variable:
    """One tensor: what the mount must show of it, and where it lies."""

    def __init__(self, key, dtype, shape, content, entry):
        self.key = key
        self.dtype = dtype
        self.shape = shape
        self.content = content
        self.entry = entry

    def __repr__(self):
        return "Variable(%r)" % self.key[:80]


@functools.lru_cache(maxsize=None)
def manifest():
    with open(FIXTURE_DIR / "manifest.json", encoding="utf-8") as f:
        return {x["name"]: x for x in json.load(f)["fixtures"]}


def names(kind):
    """Fixtures of the format "V1" or "V2"."""
    return [n for n, x in manifest().items() if x["format"] == kind]


def directory_of(name):
    """The directory in tests/fixtures that holds the fixture."""
    return manifest()[name]["prefix"].split("/")[0]


def prefix_of(name):
    """The prefix below that directory."""
    return manifest()[name]["prefix"].split("/", 1)[1]


def escape(element):
    """One element of a string tensor as a line without its end."""
    return element.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def string_content(elements, shape):
    """The file that shows a string tensor (DESIGN 4.9)."""
    if not shape:
        return elements[0]
    return b"".join(escape(x) + b"\n" for x in elements)


def matches_manifest(tensor, value):
    """Whether `value` is what TensorFlow read when the manifest was made."""
    if "sha256" in tensor:
        return hashlib.sha256(value).hexdigest() == tensor["sha256"]
    if "variant_protos_b64" in tensor:
        return [base64.b64encode(x).decode() for x in value] == tensor["variant_protos_b64"]
    told = tensor["elements_b64"]
    return len(told) == len(value) and all(
        hashlib.sha256(x).hexdigest() == t["sha256"] if isinstance(t, dict)
        else base64.b64decode(t) == x for t, x in zip(told, value))


def key_of(tensor, by_hash):
    if "key" in tensor:
        return tensor["key"].encode()
    if "key_b64" in tensor:
        return base64.b64decode(tensor["key_b64"])
    return by_hash[tensor["key_sha256"]]


@functools.lru_cache(maxsize=None)
def variables(name):
    """The variables of a V2 fixture, checked against the manifest."""
    fixture = manifest()[name]
    bundle = sstable.Bundle(str(FIXTURE_DIR / fixture["prefix"]))
    by_hash = {hashlib.sha256(k).hexdigest(): k for k in bundle.entries if len(k) > 4096}
    found = []
    for tensor in fixture["tensors"]:
        key = key_of(tensor, by_hash)
        shape = tensor["shape"]
        content = bundle.value(key)
        assert matches_manifest(tensor, content), key
        if tensor["dtype"] == "string":
            content = string_content(content, shape)
        elif tensor["dtype"] == "variant":
            content = bundle.stored(bundle.entries[key])
        found.append(Variable(key, tensor["dtype"], shape, content, bundle.entries[key]))
    return found


def slices_of(name, variable):
    """The entries of the slices of a partitioned variable, in their order."""
    bundle = sstable.Bundle(str(FIXTURE_DIR / manifest()[name]["prefix"]))
    return [bundle.entries[sstable.slice_key(variable.key, x)] for x in variable.entry.slices]


def is_object_based(name):
    return any(v.key == GRAPH_KEY for v in variables(name))
