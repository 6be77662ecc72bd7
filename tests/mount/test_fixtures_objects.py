"""Object-based checkpoints: the graph is the tree (DESIGN 2.7)."""
import os
import stat

import pytest

import fixtures
import objects
import tree
from fixtures import GRAPH_KEY

OBJECT_BASED = [n for n in fixtures.names("V2") if fixtures.is_object_based(n)]


class Shown:
    """A mounted fixture: what must be there, and what is."""

    def __init__(self, shop, name):
        self.variables = {v.key: v for v in fixtures.variables(name)}
        source = fixtures.FIXTURE_DIR / fixtures.directory_of(name)
        self.mount = shop.mount(source, "ro")
        self.top = self.mount / fixtures.prefix_of(name)
        self.expected = objects.Expected(self.variables[GRAPH_KEY].content, self.variables)
        self.seen = objects.Seen(self.top)

    def inside(self):
        """{path: key} of every file, those outside the graph as well."""
        found = dict(self.expected.files)
        for path in self.seen.files - found.keys():
            found[path] = objects.literal_key(path)
        return found


@pytest.fixture(params=OBJECT_BASED)
def shown(request, shop):
    return Shown(shop, request.param)


@pytest.mark.sanitized
def test_the_edges_of_the_graph_are_the_paths(shown):
    """Every edge to a variable is a file, and every other key shows literally."""
    assert shown.expected.files.keys() <= shown.seen.files
    rest = [objects.literal_key(p) for p in shown.seen.files - shown.expected.files.keys()]
    assert sorted(rest) == sorted(shown.expected.literal | {GRAPH_KEY})


@pytest.mark.sanitized
def test_objects_are_directories_once_and_links_elsewhere(shown):
    """A directory at the first path, breadth first; a link to it at every further edge."""
    missing = {d for d in shown.expected.directories if d} - shown.seen.directories
    assert not missing
    assert shown.seen.links.keys() == shown.expected.links.keys()
    for path, target in shown.expected.links.items():
        leads_to = os.path.realpath(shown.seen.full(path))
        assert leads_to == os.path.realpath(shown.seen.full(target)), path


def test_no_directory_is_there_without_an_object(shown):
    """What is a directory belongs to an object, to slots, or to a literal key."""
    needed = set(shown.expected.directories)
    for path in shown.seen.files - shown.expected.files.keys():
        needed |= {path[:i] for i in range(len(path))}
    assert shown.seen.directories - {()} == needed - {()}


@pytest.mark.sanitized
def test_every_variable_reads_as_the_manifest_says(shown):
    """Bytes, dtype, shape and key, at every path."""
    for path, key in shown.inside().items():
        tree.check_variable(shown.variables[key], shown.seen.full(path))
    beside = {p[:-1] + (p[-1] + s,) for p in shown.seen.files for s in (b".shape", b".dtype")}
    assert shown.seen.sidecars == beside


def test_edges_to_one_variable_are_hard_links(shown):
    """One inode for each variable, st_nlink counts its paths, and no two share one."""
    paths = {}
    for path, key in shown.inside().items():
        paths.setdefault(key, []).append(os.lstat(shown.seen.full(path)))
    for key, infos in paths.items():
        assert {i.st_nlink for i in infos} == {len(infos)}, key
        assert len({i.st_ino for i in infos}) == 1, key
    assert len({i[0].st_ino for i in paths.values()}) == len(paths)


def test_directories_have_one_link(shown):
    """st_nlink of a directory is 1, so that find does not count."""
    for path in shown.seen.directories:
        assert os.lstat(shown.seen.full(path)).st_nlink == 1


def test_the_graph_is_read_only_where_it_stands(shop, fixture_copy):
    """Writing the graph itself is refused, and it still is what it was."""
    source = fixture_copy("v2_tf2_manager")
    mount = shop.mount(source)
    path = mount / "ckpt-3" / GRAPH_KEY.decode()
    old = tree.read(path)
    assert tree.error_of(tree.write, path, old[:-1]) in ("EACCES", "EPERM", "EOPNOTSUPP")
    assert tree.read(path) == old


def test_slots_stand_below_their_variable(shop):
    """NAME.d/slots/OPTIMIZER/SLOT, of the TF1 Adam in a TF2 checkpoint."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_tf2_manager", "ro")
    kernel = mount / "ckpt-3" / "model" / "dense" / "kernel.d" / "slots" / "optimizer"
    assert sorted(n for n in os.listdir(kernel) if "." not in n) == ["m", "v"]
    assert tree.attribute(kernel / "m", "key") == (
        b"model/dense/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE")


def test_a_keras_model_shows_its_layers(shop):
    """The layers of a compiled Keras 3 model stand below model/, with their weights."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_tf2_keras3", "ro")
    model = mount / "k-1" / "model"
    kernels = [p for p in model.rglob("*") if p.name.endswith(".shape")]
    shapes = sorted(tree.read(p) for p in kernels)
    for wanted in (b"[3, 4]\n", b"[4]\n", b"[4, 2]\n", b"[2]\n"):
        assert wanted in shapes


def test_raw_shows_literal_keys(shop):
    """-o raw: the tree of an object-based checkpoint is that of its keys."""
    name = "v2_tf2_manager-3"
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_tf2_manager", "ro", "raw")
    for variable, path in tree.find(fixtures.variables(name), mount / "ckpt-3"):
        tree.check_variable(variable, path)
        assert stat.S_ISREG(os.lstat(path).st_mode)
