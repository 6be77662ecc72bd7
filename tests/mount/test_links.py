"""Checkpoints whose files are symbolic links: followed in the source, and never out of it."""
import os
import shutil
import time

import pytest

import tree
from fixtures import FIXTURE_DIR
from mounts import wait_until

INDEX, DATA = ".index", ".data-00000-of-00001"
ENDS = (INDEX, DATA)
KERNEL = "dense/kernel"


@pytest.fixture
def source(shop):
    """a/model.ckpt-3, 4 and 5; b and the directory outside are empty."""
    made = shop.directory / "source"
    for each in ("a", "b"):
        (made / each).mkdir(parents=True)
    (shop.directory / "outside").mkdir()
    for step in (3, 4, 5):
        for end in ENDS:
            shutil.copy(FIXTURE_DIR / "v2_tf1_adam" / ("model.ckpt-%d%s" % (step, end)), made / "a")
    return made


def link(path, target, ends=ENDS):
    for end in ends:
        os.symlink(str(target) + end, str(path) + end)


def kernel(mount, name):
    return tree.read(mount / name / KERNEL)


def of_judge(judge, prefix):
    return judge.load(prefix)[KERNEL.encode()][2]


def zero(mount, name):
    path = mount / name / KERNEL
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.sanitized
def test_links_of_every_kind_are_read(shop, source):
    """To another prefix, another directory, relative and absolute, one after the other."""
    link(source / "a/here", "model.ckpt-5")
    link(source / "b/relative", "../a/model.ckpt-5")
    link(source / "b/absolute", source / "a/model.ckpt-5")
    link(source / "b/chain", "relative")
    link(source / "b/mixed", "../a/model.ckpt-5", [INDEX])
    shutil.copy(source / ("a/model.ckpt-5" + DATA), source / ("b/mixed" + DATA))
    link(source / "b/copied", "../a/model.ckpt-5", [DATA])
    shutil.copy(source / ("a/model.ckpt-5" + INDEX), source / ("b/copied" + INDEX))
    mount = shop.mount(source, "ro")
    want = kernel(mount, "a/model.ckpt-5")
    assert want != kernel(mount, "a/model.ckpt-4")
    for name in ("a/here", "b/relative", "b/absolute", "b/chain", "b/mixed", "b/copied"):
        assert kernel(mount, name) == want, name
        assert os.path.isdir(mount / name)
    assert sorted(os.listdir(mount / "b")) == ["absolute", "chain", "copied", "mixed", "relative"]


def test_links_to_files_of_v1(shop, source):
    """One file: a link to the directory that it shows as. Several: a checkpoint, as in TensorFlow."""
    one = FIXTURE_DIR / "v1_tf1_adam/model.ckpt-3"
    shutil.copy(one, source / "a/old")
    os.symlink("../a/old", source / "b/old")
    for i in range(2):
        name = "model.ckpt-%05d-of-00002" % i
        shutil.copy(FIXTURE_DIR / "v1_tf1_sharded" / name, source / "a")
        os.symlink("../a/" + name, source / "b" / name)
    (source / "outside").symlink_to(shop.directory / "outside")
    shutil.copy(one, shop.directory / "outside/x-00000-of-00001")
    os.symlink("../../outside/x-00000-of-00001", source / "b/x-00000-of-00001")
    mount = shop.mount(source)
    assert sorted(os.listdir(mount / "b")) == ["model.ckpt", "old", "x-00000-of-00001"]
    assert os.path.islink(mount / "b/old") and os.path.islink(mount / "b/x-00000-of-00001")
    assert kernel(mount, "b/old") == kernel(mount, "a/old")
    names = {n for n in os.listdir(mount / "b/model.ckpt") if not n.endswith((".shape", ".dtype"))}
    assert names == {n for n in os.listdir(mount / "a/model.ckpt") if not n.endswith((".shape", ".dtype"))}
    for name in names:
        if (mount / "b/model.ckpt" / name).is_file():
            assert tree.read(mount / "b/model.ckpt" / name) == tree.read(mount / "a/model.ckpt" / name)


def test_data_is_looked_for_under_the_name_of_the_prefix(shop, source):
    """As TensorFlow does: an index that is a link, without data, has names only."""
    link(source / "a/names", "model.ckpt-5", [INDEX])
    mount = shop.mount(source, "ro")
    assert "dense" in os.listdir(mount / "a/names")
    assert tree.error_of(kernel, mount, "a/names") == "EIO"
    assert "its data shard is missing" in mount.log()


@pytest.mark.sanitized
def test_links_out_of_the_source_are_not_followed(shop, source):
    """Neither to an index nor to data, however they are written; the log says so once."""
    outside = shop.directory / "outside"
    for end in ENDS:
        shutil.copy(source / ("a/model.ckpt-5" + end), outside)
    for i, target in enumerate(("../../outside/model.ckpt-5", outside / "model.ckpt-5",
                                "%s/../outside/model.ckpt-5" % source)):
        link(source / ("b/index%d" % i), target, [INDEX])
        link(source / ("b/data%d" % i), target, [DATA])
        shutil.copy(source / ("a/model.ckpt-5" + INDEX), source / ("b/data%d%s" % (i, INDEX)))
    os.symlink("circle.index", source / "b/circle.index")
    mount = shop.mount(source)
    for _ in range(3):
        for i in range(3):
            assert tree.error_of(os.listdir, mount / ("b/index%d" % i)) == "EIO"
            assert tree.error_of(kernel, mount, "b/data%d" % i) == "EIO"
        assert tree.error_of(os.listdir, mount / "b/circle") == "EIO"
    assert mount.log().count("leads out of the source, or in a circle") == 4


def test_a_link_that_is_mended_is_seen(shop, source):
    """It led nowhere, and then somewhere."""
    os.symlink("../../outside/x.index", source / "b/x.index")
    mount = shop.mount(source)
    assert tree.error_of(os.listdir, mount / "b/x") == "EIO"
    (source / "b/x.index").unlink()
    link(source / "b/x", "../a/model.ckpt-4")
    assert wait_until(lambda: tree.error_of(kernel, mount, "b/x") is None, 1.5)
    assert kernel(mount, "b/x") == kernel(mount, "a/model.ckpt-4")


@pytest.mark.parametrize("options", ["", "ro"])
def test_what_a_link_leads_to_is_replaced(shop, source, options):
    """In another directory, and where the link itself stays: within a second."""
    link(source / "b/best", "../a/model.ckpt-5")
    mount = shop.mount(source, *([options] if options else []))
    assert kernel(mount, "b/best") == kernel(mount, "a/model.ckpt-5")
    for end in (DATA, INDEX):  # as TensorFlow does
        shutil.copy(source / ("a/model.ckpt-3" + end), source / "new")
        os.rename(source / "new", source / ("a/model.ckpt-5" + end))
    want = kernel(mount, "a/model.ckpt-3")
    assert wait_until(lambda: kernel(mount, "b/best") == want, 3)


@pytest.mark.parametrize("name", ["a/here", "b/relative", "b/absolute"])
def test_writing_to_a_linked_checkpoint_leaves_the_other_alone(shop, source, judge, name):
    """It gets an index of its own, since the other would look for new data elsewhere."""
    link(source / name, {"a/here": "model.ckpt-5", "b/relative": "../a/model.ckpt-5",
                         "b/absolute": source / "a/model.ckpt-5"}[name])
    before = {end: (source / ("a/model.ckpt-5" + end)).read_bytes() for end in ENDS}
    want = of_judge(judge, source / "a/model.ckpt-5")
    mount = shop.mount(source)
    zero(mount, name)
    mount.unmount()
    for end in ENDS:
        assert (source / ("a/model.ckpt-5" + end)).read_bytes() == before[end]
    assert of_judge(judge, source / "a/model.ckpt-5") == want
    ours, theirs = judge.load(source / name), judge.load(source / "a/model.ckpt-5")
    assert ours.pop(KERNEL.encode())[2] == bytes(len(want))
    theirs.pop(KERNEL.encode())
    assert ours == theirs
    assert not os.path.islink(source / (name + INDEX))
    assert os.path.islink(source / (name + DATA))
    assert not [p for p in (source / name).parent.iterdir() if "weightfs-tmp" in p.name]


def test_what_a_crash_leaves_of_that_goes(shop, source):
    """The link that was exchanged for an index, under its temporary name."""
    shutil.copy(source / ("a/model.ckpt-5" + INDEX), source / ("b/x" + INDEX))
    os.symlink("../a/model.ckpt-5" + DATA, source / ("b/x" + DATA))
    os.utime(source / "b/x.index", (1.6e9, 1.6e9))
    left = source / "b" / ("x.index.0123456789abcdef-%x.weightfs-tmp" % os.stat(source / "b/x.index").st_ino)
    os.symlink("../a/model.ckpt-5.index", left)
    os.utime(source / "a/model.ckpt-5.index")  # newer than the one that took the place of the link
    mount = shop.mount(source)
    assert os.listdir(mount / "b") == ["x"]
    assert wait_until(lambda: not os.path.lexists(left), 2)
    assert (source / "a/model.ckpt-5.index").exists()


def test_writing_through_a_link_to_an_index_without_a_checkpoint(shop, source, judge):
    """Stores that keep the index elsewhere: it is replaced there, and the link stays."""
    (source / "store").mkdir()
    os.rename(source / ("a/model.ckpt-5" + INDEX), source / "store/1f3c.index")
    os.symlink("../store/1f3c.index", source / ("a/model.ckpt-5" + INDEX))
    mount = shop.mount(source)
    size = len(kernel(mount, "a/model.ckpt-5"))
    zero(mount, "a/model.ckpt-5")
    mount.unmount()
    assert os.readlink(source / ("a/model.ckpt-5" + INDEX)) == "../store/1f3c.index"
    assert os.listdir(source / "store") == ["1f3c.index"]
    assert of_judge(judge, source / "a/model.ckpt-5") == bytes(size)


def test_a_checkpoint_that_is_linked_as_a_whole_is_edited_in_place(shop, source, judge):
    """So that who has the link, and no link to another data file, reads the new values."""
    link(source / "a/best", "model.ckpt-5")
    mount = shop.mount(source)
    size = len(kernel(mount, "a/best"))
    zero(mount, "a/model.ckpt-5")
    assert wait_until(lambda: kernel(mount, "a/best") == bytes(size), 1.5)
    mount.unmount()
    assert of_judge(judge, source / "a/best") == bytes(size)
    assert of_judge(judge, source / "a/model.ckpt-5") == bytes(size)
    assert os.path.islink(source / ("a/best" + INDEX))


def test_a_folder_that_is_moved_meanwhile(shop, source):
    """Links of an open checkpoint are looked up from where it is now."""
    link(source / "b/best", "../a/model.ckpt-5")
    mount = shop.mount(source)
    want = kernel(mount, "b/best")
    os.rename(mount / "b", mount / "c")
    assert kernel(mount, "c/best") == want
    os.rename(source / "c", source / "d")
    assert wait_until(lambda: tree.error_of(kernel, mount, "d/best") is None, 1.5)
    assert kernel(mount, "d/best") == want
    time.sleep(0.1)
    zero(mount, "d/best")
    mount.unmount()
    assert not os.path.islink(source / ("d/best" + INDEX))


def test_the_own_mount_is_never_followed(shop, source):
    """A link into it would have the daemon wait for itself."""
    point = source / "mount"
    point.mkdir()
    link(source / "b/own", "../mount/a/model.ckpt-5")
    link(source / "b/absolute", point / "a/model.ckpt-5")
    mount = shop.mount(source, "ro", point=point)
    for name in ("b/own", "b/absolute"):
        assert tree.error_of(os.listdir, mount / name) == "EIO"
    assert os.listdir(mount / "a/model.ckpt-5/dense")
