"""What the offline commands say of a path that leads to no checkpoint, or to half of one."""
import os
import shutil

import pytest

import mounts
import tree
from fixtures import FIXTURE_DIR
from offline import copy_of, path_of

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
V1, V2 = path_of("v1_tf1_adam-3"), path_of("v2_tf1_adam-5")
SHARDS = [FIXTURE_DIR / ("v1_tf1_sharded/model.ckpt-%05d-of-00002" % i) for i in range(2)]


def said(*words, code):
    """What a command prints to stderr, line by line, without its name."""
    done = mounts.run(*words, errors="replace")
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert all(line.startswith("weightfs: ") for line in lines), lines
    return [line[len("weightfs: "):] for line in lines]


@pytest.mark.parametrize("command", ["--list", "--check"])
def test_a_directory_above_the_checkpoints(shop, command):
    """The nearest directory that has some is named; links and hidden directories are not."""
    runs = shop.directory / "runs"
    (runs / "a/empty").mkdir(parents=True)
    (runs / ".git/x").mkdir(parents=True)
    (runs / ".git/x/checkpoint").touch()
    os.symlink(V2.parent, runs / "link")
    assert said(command, runs, code=3) == ["there is no checkpoint in %s" % runs]
    copy_of(V2, runs / "a/deep/model")
    copy_of(V2, runs / "b/model")
    said_of_it, = said(command, runs, code=3)
    assert said_of_it.endswith("itself; name a directory below it, such as %s/b" % runs)


def test_the_hint_of_a_large_tree_is_cheap(shop):
    """A bounded number of names is looked at."""
    for i in range(300):
        (shop.directory / "tree" / str(i)).mkdir(parents=True)
    copy_of(V2, shop.directory / "tree/299/one/model")
    assert len(said("--list", shop.directory / "tree", code=3)) == 1


@pytest.mark.parametrize("command", ["--list", "--check"])
def test_files_that_seem_to_be_checkpoints(shop, command):
    """In a directory of sound ones each of the others gets a line."""
    source = shop.directory / "source"
    copy_of(V2, source / "good")
    (source / "pointer.ckpt").write_bytes(LFS)
    (source / "hdf.ckpt").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    shutil.copy(str(V2) + ".data-00000-of-00001", source / "lone.data-00000-of-00001")
    (source / "cut").write_bytes(V1.read_bytes()[:-100])
    (source / "cut.meta").touch()
    shutil.copy(SHARDS[1], source / "second-00001-of-00002")
    (source / "notes.txt").write_text("of no interest")
    lines = said(command, source, code=0)
    assert [line[len(str(source)) + 2:].split()[0] for line in lines] == [
        "cut", "hdf.ckpt", "lone.data-00000-of-00001", "pointer.ckpt", "second-00001-of-00002"]
    assert "(lone.index) is not beside it" in lines[2]
    assert "git lfs pull" in lines[3]
    assert "first file" in lines[4]


def test_half_of_a_checkpoint_is_not_listed_as_a_whole_one(shop):
    """Scripts that read --list --json learn from the exit code that something is missing."""
    shutil.copy(SHARDS[0], shop.directory / "half-00000-of-00002")
    index = copy_of(path_of("v2_index_blocks"), shop.directory / "index" / "ckpt")
    content = bytearray(open(str(index) + ".index", "rb").read())
    content[len(content) // 2] ^= 1
    with open(str(index) + ".index", "wb") as f:
        f.write(content)
    for path in (shop.directory / "half", index):
        for words in (["--list"], ["--list", "--json"]):
            assert any("shown as far as it goes" in x for x in said(*words, path, code=3))


def test_links_of_an_index_that_lead_nowhere(shop):
    source = shop.directory / "source"
    source.mkdir()
    os.symlink("nowhere", source / "a.index")
    os.symlink("/etc/passwd", source / "b.index")
    for command in ("--list", "--check"):
        one, two = said(command, source, code=3)
        assert "leads nowhere" in one and "leads out of its directory" in two


@pytest.mark.parametrize("path, what", [
    ("", "an empty path"),
    ("model.ckpt-5/", "nor a checkpoint with this prefix"),
    ("nowhere/x", "nor a checkpoint with this prefix"),
])
def test_paths_to_nothing(fixture_copy, monkeypatch, path, what):
    monkeypatch.chdir(fixture_copy("v2_tf1_adam"))
    line, = said("--list", path, code=3)
    assert what in line


def test_absolute_links_into_the_directory(shop):
    """As in a mount of the directory; also the prefix alone, which TensorFlow reads."""
    source = shop.directory / "source"
    copy_of(V2, source / "model")
    for end in (".index", ".data-00000-of-00001"):
        os.symlink(os.path.realpath(source) + "/model" + end, source / ("link" + end))
    for path in (source, source / "link"):
        for command in ("--list", "--check"):
            assert said(command, path, code=0) == []
    assert said("--diff", source / "link", source / "model", code=0) == []
    assert said("--convert", "--to", "v2", source / "link", source / "new", code=0) == []
    mount = shop.mount(source / "link", "ro")
    assert tree.read(mount / "dense/kernel.shape") == b"[6, 4]\n"


def test_a_prefix_that_links_to_another_directory(shop):
    """Nothing is followed out of the directory that is named; the message says so."""
    copy_of(V2, shop.directory / "other/model")
    (shop.directory / "source").mkdir()
    for end in (".index", ".data-00000-of-00001"):
        os.symlink("../other/model" + end, shop.directory / ("source/link" + end))
    line, = said("--list", shop.directory / "source/link", code=3)
    assert "whose index is a link out of its directory" in line
    # The file itself says where it is.
    assert said("--list", shop.directory / "source/link.index", code=0) == []


def test_v1_of_a_very_long_name(shop):
    """With `.index` it would be no name at all."""
    long = shop.directory / ("n" * 252)
    shutil.copy(V1, long)
    for command in ("--list", "--check"):
        assert said(command, long, code=0) == []


def test_check_of_a_hostile_prefix_is_a_line(shop):
    copy_of(V2, shop.directory / "a\n\033[2J")
    done = mounts.run("--check", shop.directory)
    assert done.stdout.splitlines()[-1].endswith("a\\x0a\\x1b[2J: all right: 9 variables, 352 bytes read")
