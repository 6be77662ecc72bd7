"""`cp -r` of whole object-based checkpoints, in any order of files."""
import itertools
import os
import shutil
import subprocess

import pytest

import fixtures
import object_walks
import tree
from fixtures import GRAPH_KEY
from jobs import array, run
from programs import Same, blank

PREFIXES = {"v2_tf2_manager-3": "ckpt-3", "v2_tf2_keras3": "k-1", "v2_tf2_odd_objects": "ckpt-1",
            "v2_tf2_write": "noncounted", "v2_tf2_max_shard": "ckpt-1"}


def open_fixture(shop, fixture_copy, name):
    source = fixture_copy(fixtures.directory_of(name))
    return source, fixtures.prefix_of(name), shop.mount(source)


def equal(judge, source, prefix):
    """The clone has the same keys, values and graph; by all programs it is the same."""
    before, after = judge.load(source / prefix), judge.load(source / "clone")
    assert set(after) == set(before)
    wrong = [k for k in before if before[k] != after[k] and k != GRAPH_KEY]
    assert not wrong
    object_walks.check(judge, source / "clone")
    was, now = (judge.program_describe(source / p) for p in (prefix, "clone"))
    left = len(was[0])  # what stood for temporary names comes after these, and is empty
    assert (now[0][:left], now[1]) == was
    assert not any(n["edges"] or n["attributes"] or n["slots"] for n in now[0][left:])


# The temporary names of rsync for `%` and `%2E`, edges of odd_objects, are none that a key has.
TOOLS = [(name, how) for name in PREFIXES
         for how in ("cp -r", "cp -a", "rsync -a", "rsync -aX", "rsync -a --inplace", "tar")
         if name != "v2_tf2_odd_objects" or how not in ("rsync -a", "rsync -aX")]


@pytest.mark.parametrize("name, how", TOOLS)
def test_with_tools(shop, fixture_copy, judge, name, how):
    """No tool prints an error."""
    source, prefix, mount = open_fixture(shop, fixture_copy, name)
    command = {"tar": "mkdir clone && tar -C %s -cf - . | tar -C clone -xf -" % prefix,
               "rsync -a": "rsync -a %s/ clone/" % prefix,
               "rsync -aX": "rsync -aX %s/ clone/" % prefix,
               "rsync -a --inplace": "rsync -a --inplace %s/ clone/" % prefix}.get(how, "%s %s clone" % (how, prefix))
    run(mount.point, command)
    mount.unmount()
    equal(judge, source, prefix)


def entries(top):
    """(relative path, kind) of all that is in a directory, as os.walk finds it."""
    found = []
    for root, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            full = os.path.join(root, name)
            found.append(os.path.relpath(full, os.fsencode(top)))
    return found


def put(top, target, path, mount_top):
    """One file, directory or link, with all directories above."""
    full, to = os.path.join(os.fsencode(top), path), os.path.join(os.fsencode(target), path)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    if os.path.islink(full):
        os.symlink(os.readlink(full), to)
    elif os.path.isdir(full):
        os.makedirs(to, exist_ok=True)
    else:
        shutil.copyfile(full, to)


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("graph", ["first", "middle", "last"])
def test_by_hand(shop, fixture_copy, judge, dice, name, graph):
    """File by file at random; a refused close is kept until sidecars make it fit."""
    source, prefix, mount = open_fixture(shop, fixture_copy, name)
    paths = [p for p in entries(mount / prefix) if p != GRAPH_KEY]
    dice.shuffle(paths)
    where = {"first": 0, "middle": len(paths) // 2, "last": len(paths)}[graph]
    paths.insert(where, GRAPH_KEY)
    os.mkdir(mount / "clone")
    for path in paths:
        put(mount / prefix, mount / "clone", path, mount.point)
    seen = sorted(entries(mount / "clone"))
    assert seen == sorted(entries(mount / prefix))
    mount.unmount()
    equal(judge, source, prefix)


@pytest.mark.parametrize("how", ["cp -r ckpt clone", "rsync -aHX ckpt/ clone"])
def test_programs_assert(saved_program, judge, how):
    """With slots and shared names: the program restores the clone with assert_consumed()."""
    net = {"dense": {"kernel": array(1, 3, 2), "bias": array(2, 2)},
           "list": [array(3, 2), array(4, 3)]}
    program = {"net": net, "ema": {"kernel": Same("net/dense/kernel")}}
    slots = ["net/dense/kernel", "net/list/1"]
    prefix, _, values, mount = saved_program(program, slots)
    run(mount.point, how)
    mount.unmount()
    clone = prefix.parent / "clone"
    assert judge.program_restore(clone, blank(program), "assert_consumed", slots) == values
    equal(judge, prefix.parent, "ckpt")


@pytest.mark.parametrize("cut", ["head -c 7 ckpt/net/dense/kernel | dd of=clone/net/dense/kernel",
                                 "rm clone/net/dense/kernel.[sd][ht]*"])
def test_interrupted(saved_program, judge, cut):
    """What came half is in the graph that came first for as long as the mount is."""
    program = {"net": {"dense": {"kernel": array(1, 3, 2)}}, "ema": {"dense": Same("net/dense")}}
    prefix, _, values, mount = saved_program(program, ["net/dense/kernel"])
    run(mount.point, "mkdir -p clone/net/dense", "cp ckpt/_CHECK* clone",
        "cp ckpt/net/dense/kernel.[sd][ht]* clone/net/dense", "{ %s; } 2> /dev/null || true" % cut,
        "sleep 1.3", "sync clone", "cp -a ckpt/. clone")
    mount.unmount()
    clone = prefix.parent / "clone"
    assert judge.program_restore(clone, blank(program), "assert_consumed",
                                 ["net/dense/kernel"]) == values
    equal(judge, prefix.parent, "ckpt")


def test_tables_under_temporary_names(shop, fixture_copy, judge):
    """`rsync -X` gives a file its type before its name, also where keys stand as they are."""
    source, prefix, mount = open_fixture(shop, fixture_copy, "v2_tf2_odd_objects")
    copy = "rsync -aXI --exclude '%%*' %s/ clone" % prefix
    run(mount.point, copy, copy, "diff -r -x '%%*' -x '_CHECK*' %s clone" % prefix)
    mount.unmount()
    object_walks.check(judge, source / "clone")
    names = {"table": "table", "iterator": "iterator", "py": "py"}
    was, now = (judge.program_odd_objects(source / p, names, "assert_existing_objects_matched")
                for p in (prefix, "clone"))
    assert was == now


@pytest.mark.parametrize("how", ["rsync -a ckpt/ clone", "mkdir clone; cp -a ckpt/again clone; "
                                 "mkdir clone/net; cp -a ckpt/. clone"])
def test_links_come_first(saved_program, judge, how):
    """Of which some stand beside the graph: they do not make the clone a plain directory."""
    program = {"net": {"dense": {"kernel": array(1, 3, 2)}}}
    prefix, at, values, mount = saved_program(program, ["net/dense/kernel"])
    run(at, "ln -s net again", "ln -s net/dense layer")
    run(at / "..", how, "test $(readlink clone/again) = net",
        "cmp clone/layer/kernel ckpt/layer/kernel")
    mount.unmount()
    clone = prefix.parent / "clone"
    assert judge.program_restore(clone, blank(program), "assert_existing_objects_matched",
                                 ["net/dense/kernel"]) == values
    equal(judge, prefix.parent, "ckpt")


def test_the_manager_asserts(shop, fixture_copy, judge):
    """The program of fixture v2_tf2_manager."""
    source = fixture_copy("v2_tf2_manager")
    told = judge.manager_restore(source / "ckpt-3")
    mount = shop.mount(source)
    run(mount.point, "cp -r ckpt-3 best")
    mount.unmount()
    assert judge.manager_restore(source / "best") == told


def test_a_clone_can_be_edited(shop, fixture_copy, judge):
    """In the same mount: its names are those of its graph from then on."""
    source = fixture_copy("v2_tf2_manager")
    told = judge.manager_restore(source / "ckpt-3")
    mount = shop.mount(source)
    run(mount.point, "cp -r ckpt-3 best", "mv best/model best/net", "rm -r best/net/layers",
        "mv best/net best/model")
    tree.write(mount / "best/model/dense/kernel", b"\x11" * 96)
    mount.unmount()
    nodes, keys = object_walks.check(judge, source / "best")
    assert keys["model/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"][2] == b"\x11" * 96
    assert "layers" not in {e for n in nodes for e in n["edges"]}
    assert judge.manager_restore(source / "ckpt-3") == told


def test_through_a_disk(shop, fixture_copy, judge):
    """Out to an ordinary directory and in again, in the order of that disk."""
    source, prefix, mount = open_fixture(shop, fixture_copy, "v2_tf2_odd_objects")
    out = shop.directory / "out"
    run(mount.point, "cp -a %s %s" % (prefix, out))
    done = subprocess.run(["cp", "-a", str(out), str(mount / "clone")], check=False,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    mount.unmount()
    equal(judge, source, prefix)


@pytest.mark.parametrize("linked", [["ab"], ["ab", ".shape", ".dtype"]], ids=["", "all"])
@pytest.mark.parametrize("typed", [False, True], ids=["", "xattr"])
def test_two_names_in_every_order(shop, fixture_copy, typed, linked):
    """As `cp -a` makes them, which sorts by inode and expects that what it makes is not there.

    tar links the sidecars of a mount, too.
    """
    _, _, mount = open_fixture(shop, fixture_copy, "v2_tf2_odd_objects")
    files = {"a": b"1234", "a.shape": b"[4]\n", "a.dtype": b"int8\n",
             "b": b"1234", "b.shape": b"[4]\n", "b.dtype": b"int8\n"}
    for i, order in enumerate(itertools.permutations(files)):
        scope = mount / ("clone/m%d" % i)
        os.makedirs(scope)
        made = {}
        for name in order:
            kind = name[1:] or "ab"
            if kind in linked and kind in made:
                os.link(scope / made[kind], scope / name)
                continue
            with open(scope / name, "xb", buffering=0) as file:
                file.write(files[name])
                made[kind] = name
                if name in "ab" and typed:
                    os.setxattr(file.fileno(), "user.weightfs.dtype", b"int8")
                    os.setxattr(file.fileno(), "user.weightfs.shape", b"[4]")
        assert {n: tree.read(scope / n) for n in os.listdir(scope)} == files, order
        assert os.stat(scope / "a").st_nlink == 2, order


def test_the_graph_and_its_sidecars_in_every_order(shop, fixture_copy):
    """`cp -r` from a disk into a directory of its own making expects that nothing is there."""
    _, prefix, mount = open_fixture(shop, fixture_copy, "v2_tf2_manager-3")
    files = {GRAPH_KEY + end: tree.read(mount.path(prefix, GRAPH_KEY + end))
             for end in (b"", b".shape", b".dtype")}
    for i, order in enumerate(itertools.permutations(files)):
        clone = mount.path("clone%d" % i)
        os.mkdir(clone)
        for name in order:
            with open(os.path.join(clone, name), "xb") as file:
                file.write(files[name])
        assert {n: tree.read(os.path.join(clone, n)) for n in os.listdir(clone)} == files, order
