"""A checkpoint copied onto one that is there: its graph is a file among the others."""
import shutil
import subprocess

import pytest

import object_walks
from fixtures import FIXTURE_DIR, GRAPH_KEY
from jobs import array, fsync, run
from programs import Same, blank

GRAPH = GRAPH_KEY.decode()
SLOTS = ["net/dense/kernel"]


def program(seed):
    return {"net": {"dense": {"kernel": array(seed, 3, 2), "bias": array(seed + 1, 2)},
                    "list": [array(seed + 2, 2)]},
            "ema": {"dense": Same("net/dense"), "tied": Same("net/list/0")}}


def restored(judge, prefix, shape=None, slots=tuple(SLOTS)):
    object_walks.check(judge, prefix)
    return judge.program_restore(prefix, blank(shape or program(0)), "assert_consumed", list(slots))


ONTO = {"cp -r": "cp -r a/. b/", "cp -rf": "cp -rf a/. b/", "cp -a": "cp -a a/. b/",
        "remove": "cp -r --remove-destination a/. b/", "tar": "tar -C a -cf - . | tar -C b -xf -",
        "rsync": "rsync -ac a/ b/", "rsync -X": "rsync -acHX a/ b/",
        "inplace": "rsync -ac --inplace a/ b/",
        "install": "install -m 644 a/%s b/; cp -r a/net a/optimizer a/save_counter* b/" % GRAPH,
        "rm": "rm b/%s; cp -r a/. b/" % GRAPH, "disk": "cp -a a ../out; cp -a ../out/. b/"}


@pytest.mark.parametrize("how", ONTO)
def test_of_the_same_program(saved_programs, judge, how):
    """It says what is so already: no tool prints an error, and the values are those of a."""
    source, mount, values = saved_programs(a=(program(1), SLOTS), b=(program(5), SLOTS))
    run(mount.point, ONTO[how])
    mount.unmount()
    assert restored(judge, source / "b") == values["a"]
    assert restored(judge, source / "a") == values["a"]


@pytest.mark.parametrize("how", [h for h in ONTO if h not in ("inplace", "install", "tar")])
def test_of_another_program(saved_programs, judge, how):
    """It is refused, with a line that says so; all the rest is copied, and b stays what it is."""
    other = dict(program(1), more={"v": array(9, 2)})
    source, mount, values = saved_programs(a=(other, SLOTS), b=(program(5), SLOTS))
    done = subprocess.run(["sh", "-c", ONTO[how]], cwd=mount.point, check=False,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert done.stderr.count("Operation not permitted") == 1 and GRAPH in done.stderr
    assert "it says something else than the present one" in mount.log()
    mount.unmount()
    assert restored(judge, source / "b", other) == values["a"]


JUNK = {"cp": "cp /etc/passwd %s", "cut": "truncate -s 5 %s", "emptied": "truncate -s 0 %s",
        "anew": "rm %s; cp /etc/passwd %s", "renamed": "cp /etc/passwd x; mv x %s || { rm x; false; }",
        "part": "dd if=/dev/zero of=%s bs=1 count=4 conv=notrunc status=none"}


@pytest.mark.parametrize("how", JUNK)
def test_of_nothing(saved_programs, judge, how):
    """What is no graph is EPERM, and the one that was there stands."""
    source, mount, values = saved_programs(b=(program(5), SLOTS))
    before = (mount / "b" / GRAPH).read_bytes()
    done = subprocess.run(["sh", "-c", JUNK[how].replace("%s", GRAPH)], cwd=mount / "b",
                          check=False, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr
    assert (mount / "b" / GRAPH).read_bytes() == before
    mount.unmount()
    assert restored(judge, source / "b") == values["b"]


def test_after_it_was_removed_for_good(saved_programs, judge):
    """It comes back by a copy of another one, with the names that there are now."""
    source, mount, values = saved_programs(a=(program(1), SLOTS), b=(program(5), SLOTS))
    run(mount.point, "rm b/" + GRAPH)
    fsync(mount / "b")
    assert GRAPH_KEY not in judge.load(source / "b")
    run(mount.point, "cp a/%s b/" % GRAPH, "mv b/net/dense b/net/d")
    mount.unmount()
    shape = program(0)
    shape["ema"]["dense"] = Same("net/d")
    shape["net"]["d"] = shape["net"].pop("dense")
    want = {k.replace("net/dense", "net/d"): v for k, v in values["b"].items()}
    assert restored(judge, source / "b", shape, ["net/d/kernel"]) == want


BROUGHT = {"mv": "mv x %s", "from below": "mkdir d; mv x d/%s; mv d/%s .",
           "untyped": "cat x > y; mv y %s", "exchange": "mkdir %s; exchange x %s",
           "back": "mkdir %s; exchange %s x"}
EXCHANGE = """exchange() {
    python3 -c 'import ctypes, os, sys
libc, names = ctypes.CDLL(None, use_errno=True), map(os.fsencode, sys.argv[1:])
if libc.renameat2(-100, next(names), -100, next(names), 2):
    sys.exit(os.strerror(ctypes.get_errno()))' "$@"; }
"""


@pytest.mark.parametrize("how", BROUGHT)
def test_where_names_are_keys(shop, fixture_copy, judge, how):
    """One that came under another name does not get its own: it would say what is not there."""
    source = fixture_copy("v2_tf1_adam")
    shutil.copytree(FIXTURE_DIR / "v2_tf2_write", source, dirs_exist_ok=True)
    before = judge.load(source / "model.ckpt-5")
    mount = shop.mount(source)
    run(mount.point, "cp --preserve=xattr noncounted/%s model.ckpt-5/x" % GRAPH)
    done = subprocess.run(["sh", "-c", EXCHANGE + BROUGHT[how].replace("%s", GRAPH)],
                          cwd=mount / "model.ckpt-5", check=False, stderr=subprocess.PIPE,
                          text=True)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr
    assert mount.log().count("can be put, as a file, only into a checkpoint that was made") == 1
    mount.unmount()
    after = judge.load(source / "model.ckpt-5")
    assert GRAPH_KEY not in after
    assert after.items() > before.items()
