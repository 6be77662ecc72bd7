"""DESIGN 2.3 to 2.6 once more: which paths a checkpoint's keys must have."""
import errno
import json
import os
import re
import stat

SUFFIXES = (b".shape", b".dtype", b".d")
RESERVED = (b".weightfs",)
CUT = re.compile(rb".*%~[0-9A-Fa-f]{16}[^/]{0,4}\Z", re.DOTALL)
SURELY_WHOLE = 255 - len(".safetensors")
SURELY_CUT = 255 - len(".shape")


def encode(component, top=False):
    """The name of a component of a key, or of an edge, before any cut."""
    if not component:
        return b"%"
    escaped = set()
    if component in (b".", b"..") or (top and component in RESERVED):
        escaped.add(0)
    if component.endswith(SUFFIXES):
        escaped.add(component.rindex(b"."))
    return b"".join(b"%%%02X" % c if c in b"%\0/" or i in escaped else bytes([c])
                    for i, c in enumerate(component))


def decode(name):
    """The component that a name stands for, if it is not a cut one."""
    if name == b"%":
        return b""
    return re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), name)


def read(path):
    """The whole file, through open and read."""
    with open(path, "rb", buffering=0) as f:
        return f.read()


def write(path, content):
    """What cp does to a file that is there; the error of close counts."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view):]
    except OSError:
        try:
            os.close(fd)
        except OSError:
            pass
        raise
    os.close(fd)


def error_of(call, *arguments):
    """The name of the errno that the call fails with, or None."""
    try:
        call(*arguments)
    except OSError as e:
        return "EOPNOTSUPP" if e.errno == errno.EOPNOTSUPP else errno.errorcode[e.errno]
    return None


def shape_text(shape):
    return json.dumps(shape).encode() + b"\n"


def dtype_text(dtype):
    return dtype.encode() + b"\n"


def attribute(path, name):
    """user.weightfs.NAME, or None where it does not fit or is not there."""
    try:
        return os.getxattr(path, "user.weightfs." + name, follow_symlinks=False)
    except OSError as e:
        assert e.errno in (errno.ENODATA, errno.E2BIG, errno.ERANGE), e
        return None


class Node:
    """A component of keys: a scope, a variable, or both."""

    def __init__(self):
        self.variable = None
        self.children = {}


def grow(variables):
    """The tree of components that name-based variables make."""
    root = Node()
    for v in variables:
        node = root
        for component in v.key.split(b"/"):
            node = node.children.setdefault(component, Node())
        node.variable = v
    return root


def is_cut(component, top):
    """True, False, or None where DESIGN leaves either."""
    size = len(encode(component, top))
    return size > SURELY_CUT or (None if size > SURELY_WHOLE else False)


def match_directory(node, path, top):
    """Pairs every child of `node` with its name in the directory: {component: name}."""
    listed = set(os.listdir(path))
    found = {c: encode(c, top) for c in node.children if is_cut(c, top) is False}
    for component in node.children:
        if is_cut(component, top) is None and encode(component, top) in listed:
            found[component] = encode(component, top)
    expected = set()
    for component, name in found.items():
        expected |= names_of(node.children[component], name)
    rest = listed - expected
    open_ones = {c for c in node.children if c not in found}
    for component, name in match_cut(node, open_ones, rest, path):
        found[component] = name
        expected |= names_of(node.children[component], name)
    assert listed == expected, (listed - expected, expected - listed)
    return found


def names_of(node, name):
    """What stands in a directory for a component shown as `name`."""
    names = set()
    if node.variable:
        names |= {name, name + b".shape", name + b".dtype"}
    if node.children:
        names.add(name + b".d" if node.variable else name)
    return names


def match_cut(node, components, names, path):
    """Finds which cut name is which component: by key, by content, by elimination."""
    names = {n for n in names if not n.endswith(SUFFIXES)}
    assert all(CUT.match(n) and len(n) + len(b".shape") <= 255 for n in names), names
    assert len(names) == len(components), (names, components)
    for name in sorted(names):
        full = os.path.join(path, name)
        here = [c for c in components if fits(node.children[c], full)]
        assert len(here) == 1, (name, here)
        components.remove(here[0])
        yield here[0], name


def fits(node, path):
    if stat.S_ISDIR(os.lstat(path).st_mode):
        return node.variable is None
    if node.variable is None:
        return False
    key = attribute(path, "key")
    if key is not None:
        return key == node.variable.key
    return len(node.variable.key) > 4096 and read(path) == node.variable.content


def find(variables, path):
    """Holds the directory against the keys: yields (variable, path) of each."""
    yield from _find(grow(variables), os.fsencode(path), True)


def _find(node, path, top):
    names = match_directory(node, path, top)
    for component, name in names.items():
        child = node.children[component]
        full = os.path.join(path, name)
        if child.variable:
            yield child.variable, full
        if child.children:
            yield from _find(child, full + b".d" if child.variable else full, False)


def check_variable(variable, path):
    """Bytes, size, sidecars and key of one variable."""
    assert read(path + b".shape") == shape_text(variable.shape)
    assert read(path + b".dtype") == dtype_text(variable.dtype)
    assert os.getxattr(path, "user.weightfs.shape") == shape_text(variable.shape).strip()
    assert os.getxattr(path, "user.weightfs.dtype") == variable.dtype.encode()
    if len(variable.key) <= 4096:
        assert attribute(path, "key") == variable.key
    info = os.lstat(path)
    assert stat.S_ISREG(info.st_mode)
    assert read(path) == variable.content
    assert info.st_size == len(variable.content)


def path_of(key, keys):
    """The path of a name-based key with no long component, in a checkpoint of `keys`."""
    parts = key.split(b"/")
    scopes = [encode(c, i == 0) for i, c in enumerate(parts)]
    for i in range(1, len(parts)):
        if b"/".join(parts[:i]) in keys:
            scopes[i - 1] += b".d"
    return b"/".join(scopes)
