"""DESIGN 7: the directory .weightfs, which is not listed and holds what is no checkpoint."""
import errno
import json
import math
import os
import stat
import subprocess
import time

import numpy as np
import pytest

import disk
import fixtures
import mounts
import sstable
import tree
from writing import KERNEL, STEP, on_disk, sh

HEADER = b"key\tdtype\tshape\tbytes\tshard\toffset\tcrc32c"
NAMES = ["by-name", "control", "log", "manifest", "status", "version"]
FIELDS = {"version", "source", "mode", "grace", "pid", "uptime", "checkpoints"}
COUNTS = {"variables", "bytes", "dead_bytes", "open_writes", "declarations", "untyped",
          "removals", "uncommitted", "last_commit_bytes"}
PENDING = {"open", "declared", "untyped", "scratch", "removed", "refused"}


def hidden(mount, *names):
    return os.path.join(mount.point, ".weightfs", *names)


def status(mount):
    return json.loads(tree.read(hidden(mount, "status")))


def checkpoint(mount, path):
    """What the status says of one checkpoint."""
    found = [c for c in status(mount)["checkpoints"] if c["path"] == path]
    assert len(found) == 1, found
    return found[0]


def tell(mount, command):
    """Writes to the control file as `echo` does; the name of the error, or None."""
    fd = os.open(hidden(mount, "control"), os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, command.encode() + b"\n")
    except OSError as e:
        return errno.errorcode[e.errno]
    finally:
        os.close(fd)
    return None


def lines_of(mount, *names):
    content = tree.read(hidden(mount, "manifest", *names))
    assert content.endswith(b"\n")
    lines = content[:-1].split(b"\n")
    assert lines[0] == HEADER
    return lines[1:]


def escape(key):
    table = {9: b"\\t", 10: b"\\n", 92: b"\\\\"}
    return b"".join(table.get(c) or (b"\\x%02x" % c if c < 32 or c == 127 else bytes([c]))
                    for c in key)


def itemsize(dtype):
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def line_of(variable):
    """The line of the manifest as sstable.py reads the index."""
    entry = variable.entry
    where = [b"%d" % entry.size, b"%d" % entry.shard, b"%d" % entry.offset,
             b"%08x" % sstable.unmask(entry.crc)]
    if entry.slices:
        size = itemsize(variable.dtype) * math.prod(variable.shape)
        where = [b"%d" % size, b"-", b"-", b"-"]
    shape = "[%s]" % ", ".join(map(str, variable.shape))
    return b"\t".join([escape(variable.key), variable.dtype.encode(), shape.encode(), *where])


@pytest.mark.sanitized
def test_it_is_found_and_not_listed(adam):
    """No listing of the root shows it; its own content is listed, with types and numbers."""
    _, mount = adam
    assert ".weightfs" not in os.listdir(mount.point)
    assert sorted(os.listdir(hidden(mount))) == NAMES
    walked = subprocess.run(["find", mount.point], stdout=subprocess.PIPE, check=True).stdout
    assert b".weightfs" not in walked
    for root, _, _ in os.walk(hidden(mount)):
        for entry in os.scandir(root):
            info = os.lstat(entry.path)
            assert entry.inode() == info.st_ino
            assert entry.is_dir() == stat.S_ISDIR(info.st_mode)
    assert tree.error_of(os.stat, hidden(mount, "nothing")) == "ENOENT"
    assert tree.error_of(os.stat, hidden(mount, "manifest", "nothing.tsv")) == "ENOENT"
    assert tree.error_of(os.stat, mount / STEP / ".weightfs") == "ENOENT"


def test_modes_and_owner(shop, fixture_copy):
    """Directories 0555, files 0444, control 0200, all of whoever serves, or of uid=."""
    source = fixture_copy("v2_tf1_adam")
    for options, owner in (("", (os.getuid(), os.getgid())), ("uid=1234,gid=99", (1234, 99))):
        mount = shop.mount(source, *filter(None, [options]))
        modes = {name: os.lstat(hidden(mount, name)) for name in ["", "manifest/model.ckpt-3.tsv",
                                                                 *NAMES]}
        for name, info in modes.items():
            wanted = stat.S_IFREG | 0o444
            if name in ("", "manifest", "by-name"):
                wanted = stat.S_IFDIR | 0o555
            if name == "control":
                wanted = stat.S_IFREG | 0o200
            assert (info.st_mode, info.st_nlink) == (wanted, 1), name
            assert (info.st_uid, info.st_gid) == owner
        mount.unmount()


@pytest.mark.sanitized
def test_nothing_is_made_or_removed_there(adam):
    """Neither in it nor under its name, also by root, for whom modes are not in the way."""
    source, mount = adam
    before = disk.digest(source)
    there, root = hidden(mount), mount / ".weightfs"
    for call in ([os.mkdir, there + "/x"], [os.rmdir, root], [os.rename, root, mount / "x"],
                 [os.unlink, there + "/log"], [os.symlink, "a", there + "/x"],
                 [os.rename, mount / STEP, there + "/x"], [os.rename, mount / STEP, root],
                 [os.chmod, there + "/log", 0o666], [os.link, there + "/log", mount / "x"],
                 [os.mknod, there + "/x"]):
        assert tree.error_of(*call) in ("EPERM", "EACCES", "EXDEV", "ENOTEMPTY", "EEXIST"), call
    for name in ("log", "status", "manifest/model.ckpt-3.tsv"):
        assert tree.error_of(os.open, hidden(mount, name), os.O_WRONLY) == "EACCES"
    assert tree.error_of(os.open, hidden(mount, "x"), os.O_WRONLY | os.O_CREAT) == "EPERM"
    assert tree.error_of(os.open, hidden(mount, "control"), os.O_RDONLY) == "EACCES"
    assert disk.digest(source) == before


@pytest.mark.sanitized
def test_status_is_json_of_what_was_looked_at(adam):
    """A checkpoint is not read for the status; once somebody looked, it has all its fields."""
    source, mount = adam
    told = status(mount)
    assert set(told) == FIELDS
    assert told["source"] == str(source) and told["mode"] == "async" and told["grace"] == 60
    assert [told["pid"]] == mount.pids() and 0 <= told["uptime"] < 60
    assert [(c["path"], c["read"]) for c in told["checkpoints"]] == [
        ("model.ckpt-%d" % n, False) for n in (3, 4, 5)]
    os.listdir(mount / STEP)
    one = checkpoint(mount, STEP)
    assert set(one) == {"path", "read", "format", "last_commit", "last_failure",
                        "pending"} | COUNTS
    assert one["read"] and one["format"] == "V2" and set(one["pending"]) == PENDING
    wanted = fixtures.variables("v2_tf1_adam-4")
    assert one["variables"] == len(wanted)
    assert one["bytes"] == sum(v.entry.size for v in wanted)
    assert not checkpoint(mount, "model.ckpt-3")["read"]


def test_the_status_names_what_was_refused(adam):
    """For as long as a sidecar could make it fit, whatever else waits for the variable."""
    _, mount = adam
    path = STEP + "/dense/bias"

    def pending():
        told = checkpoint(mount, STEP)["pending"]
        return {kind: paths for kind, paths in told.items() if paths}
    for size, text in ((8, b"[2]\n"), (12, None)):
        assert tree.error_of(tree.write, mount / path, b"x" * size) == "EINVAL"
        assert mounts.wait_until(lambda: pending() == {"refused": ["dense/bias"]}, 5), pending()
        if text:
            tree.write(mount / (path + ".shape"), text)
            assert pending() == {}
    tree.write(mount / (path + ".shape"), b"[7]\n")
    assert pending() == {"declared": ["dense/bias"], "refused": ["dense/bias"]}
    assert mounts.wait_until(lambda: pending() == {"declared": ["dense/bias"]}, 15), pending()


@pytest.mark.parametrize("options, mode", [("ro", "ro"), ("sync", "sync"), ("raw", "async"),
                                           ("commit=manual,grace=7", "manual")])
def test_the_mode_is_told(shop, fixture_copy, options, mode):
    """ro, sync, manual; async if it is none of them."""
    mount = shop.mount(fixture_copy("v2_tf1_adam"), options)
    told = status(mount)
    assert (told["mode"], told["grace"]) == (mode, 7 if "grace" in options else 60)


@pytest.mark.parametrize("name", [n for n in fixtures.names("V2") if "5000" not in n])
def test_the_manifest_is_what_the_index_says(shop, name):
    """Every tensor a line, sorted, as an independent reader finds it."""
    mount = shop.mount(fixtures.FIXTURE_DIR / fixtures.directory_of(name), "ro")
    wanted = [line_of(v) for v in sorted(fixtures.variables(name), key=lambda v: v.key)]
    assert lines_of(mount, *(fixtures.prefix_of(name) + ".tsv").split("/")) == wanted


def test_thousands_of_variables_have_a_manifest(shop):
    """In one text, whose size stat() gives."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v2_5000_variables")
    assert len(lines_of(mount, "ckpt.tsv")) == 5000
    path = hidden(mount, "manifest", "ckpt.tsv")
    assert os.stat(path).st_size == len(tree.read(path))


def test_v1_has_a_manifest_without_places(shop):
    """Of a V1 checkpoint keys, dtypes and shapes are told."""
    mount = shop.mount(fixtures.FIXTURE_DIR / "v1_all_dtypes", "ro")
    lines = lines_of(mount, "ckpt.v1.tsv")
    assert len(lines) == len(fixtures.manifest()["v1_all_dtypes"]["tensors"])
    assert all(line.endswith(b"\t-\t-\t-") for line in lines)


def test_directories_have_theirs(shop, fixture_copy):
    """manifest/ mirrors the directories of the source, without what is no checkpoint."""
    fixture_copy("v2_tf1_adam", "source")
    fixture_copy("v2_strings", "source/sub/deep")
    mount = shop.mount(shop.directory / "source")
    assert sorted(os.listdir(hidden(mount, "manifest"))) == [
        "model.ckpt-3.tsv", "model.ckpt-4.tsv", "model.ckpt-5.tsv", "sub"]
    assert os.listdir(hidden(mount, "manifest", "sub", "deep")) == ["ckpt.tsv"]
    assert len(lines_of(mount, "sub", "deep", "ckpt.tsv")) == 13
    assert checkpoint(mount, "sub/deep/ckpt")["read"]


@pytest.mark.parametrize("options", ["ro", "rw"])
def test_a_mount_of_one_checkpoint_has_it_too(shop, fixture_copy, options):
    """At its root, beside the variables; manifest/ has the one."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source / STEP, options)
    assert ".weightfs" not in os.listdir(mount.point)
    assert os.listdir(hidden(mount, "manifest")) == [STEP + ".tsv"]
    assert len(lines_of(mount, STEP + ".tsv")) == 9
    assert [c["path"] for c in status(mount)["checkpoints"]] == [STEP]


def test_a_key_of_its_name_is_another_file(shop):
    """A variable `.weightfs` at the top is found under its encoded name."""
    made = sstable.BundleBuilder()
    made.add(b".weightfs", sstable.DT["uint8"], [3], b"abc")
    source = shop.directory / "source"
    source.mkdir()
    (source / "m.data-00000-of-00001").write_bytes(bytes(made.data))
    (source / "m.index").write_bytes(made.index())
    mount = shop.mount(source / "m")
    assert tree.read(mount / "%2Eweightfs") == b"abc"
    assert sorted(os.listdir(hidden(mount))) == NAMES


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["ro", "rw"])
def test_tools_read_the_texts(shop, fixture_copy, options):
    """cat, wc -c, tail, cp, diff and awk: right sizes, right bytes, exit status 0."""
    mount = shop.mount(fixture_copy("v2_tf1_adam"), options)
    out = shop.directory / "out"
    code, err = sh("""
        set -e
        one=manifest/model.ckpt-3.tsv two=manifest/model.ckpt-4.tsv
        [ $(wc -c <$one) = $(cat $one | wc -c) ]
        [ $(stat -c %%s version) = $(cat version | wc -c) ]
        [ "$(tail -n 1 $one | cut -f 1)" = global_step ]
        cp $one %s && cmp $one %s && diff $one %s
        diff $one $two >/dev/null && exit 9
        [ "$(diff <(cut -f 1-6 $one) <(cut -f 1-6 $two))" = "" ]
        awk -F '\\t' '$4 > 90 {print $1}' $one | grep -q dense/kernel
        grep -q weightfs version
        [ $(wc -l <version) = 1 ]
        tail -n 1 log | grep -q mounted
        cp status %s && cp -r manifest %s.d
        """ % ((out,) * 5), hidden(mount))
    assert (code, err) == (0, "")
    json.loads(out.read_text())
    subprocess.run(["chmod", "-R", "u+w", str(out) + ".d"], check=True)


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["ro", "rw"])
def test_each_look_is_of_the_present(shop, fixture_copy, options):
    """What somebody else replaces is in the next text, and an open one stays as it was."""
    source = fixture_copy("v2_tf1_adam")
    mount = shop.mount(source, options)
    path = hidden(mount, "manifest", STEP + ".tsv")
    before = tree.read(path)
    with open(path, "rb", buffering=0) as f:
        for suffix in (".data-00000-of-00001", ".index"):
            os.replace(source / ("model.ckpt-5" + suffix), source / (STEP + suffix))
        assert tree.read(path) != before
        assert os.fstat(f.fileno()).st_size == len(before)
        assert f.read() == before
    mount.unmount()


def test_the_log_has_the_latest_messages(adam):
    """The first line names the directory; a refused write is the last one."""
    _, mount = adam
    first = tree.read(hidden(mount, "log")).decode().splitlines()[0]
    assert first.split(" ")[1] == "info" and str(mount.point) + "/.weightfs" in first
    assert ".weightfs" in mount.log().splitlines()[0]
    with pytest.raises(OSError):
        tree.write(mount / STEP / "dense/kernel.dtype", b"nonsense\n")
    assert tell(mount, "nonsense") == "EINVAL"
    time_, level, text = tree.read(hidden(mount, "log")).decode().splitlines()[-1].split(" ", 2)
    assert (level, text) == (
        "error", "control: unknown command nonsense: there are commit and abort")
    told = time.strptime(time_.split(".")[0] + "UTC", "%Y-%m-%dT%H:%M:%S%Z")
    assert abs(time.mktime(told) - time.mktime(time.gmtime())) < 60


@pytest.mark.sanitized
def test_commit_makes_durable(adam):
    """`echo commit`, for all or for one; it is on disk when the write returns."""
    source, mount = adam
    for i, command in enumerate(["commit", "commit " + STEP, "  commit  /%s/ " % STEP]):
        content = bytes([i + 1]) * 96
        tree.write(mount / STEP / "dense/kernel", content)
        code, err = sh("echo '%s' >.weightfs/control" % command, mount.point)
        assert (code, err) == (0, "")
        assert on_disk(source, KERNEL, content)


def test_what_is_no_command_is_refused(adam):
    """EINVAL, ENOENT for a checkpoint that is not there; what comes before is done."""
    source, mount = adam
    assert tell(mount, "comit") == "EINVAL"
    assert tell(mount, "commit nowhere") == "ENOENT"
    assert tell(mount, "abort") == "EINVAL"
    assert tell(mount, "") is None
    code, err = sh("echo nonsense >.weightfs/control", mount.point)
    assert code == 1 and "Invalid argument" in err
    tree.write(mount / STEP / "dense/kernel", b"\5" * 96)
    assert tell(mount, "commit\nnonsense\ncommit") == "EINVAL"
    assert on_disk(source, KERNEL, b"\5" * 96)
    assert sh("printf commit >>.weightfs/control", mount.point) == (0, "")


def test_a_failed_commit_fails_the_write(adam, shop):
    """Who says commit hears why it did not work."""
    source, mount = adam
    tree.read(mount / STEP / "dense/kernel")
    tree.write(mount / STEP / "dense/kernel", b"\6" * 96)
    os.unlink(source / (STEP + ".index"))
    assert tell(mount, "commit") in ("ESTALE", "ENOENT")


def test_a_read_only_mount_takes_no_commands(shop, fixture_copy):
    """EROFS at open."""
    mount = shop.mount(fixture_copy("v2_tf1_adam"), "ro")
    assert tree.error_of(os.open, hidden(mount, "control"), os.O_WRONLY) == "EROFS"


def test_the_manifest_of_a_damaged_checkpoint_is_an_error(shop, fixture_copy):
    """EIO, and the others have theirs."""
    source = fixture_copy("v2_tf1_adam")
    index = source / (STEP + ".index")
    content = bytearray(index.read_bytes())
    content[:-48] = bytes(len(content) - 48)
    index.write_bytes(bytes(content))
    os.utime(index, (10**9, 10**9))
    mount = shop.mount(source)
    assert tree.error_of(os.stat, hidden(mount, "manifest", STEP + ".tsv")) == "EIO"
    assert len(lines_of(mount, "model.ckpt-3.tsv")) == 9
    assert len(status(mount)["checkpoints"]) == 3


def test_many_readers_at_once(adam):
    """Lookups, reads and lists from eight processes while values are written."""
    _, mount = adam
    script = """for i in $(seq 40); do
        [ $SECONDS -lt 60 ] || break  # a slow disk
        cat status log manifest/*.tsv >/dev/null || exit 1
        ls -lR . >/dev/null || exit 2; echo commit >control || exit 3; done"""
    running = [subprocess.Popen(["bash", "-c", script], cwd=hidden(mount)) for _ in range(8)]
    while any(p.poll() is None for p in running):
        tree.write(mount / STEP / "dense/kernel", os.urandom(96))
    assert [p.wait() for p in running] == [0] * 8


def test_sixty_four_megabytes_of_texts_are_kept(shop):
    """All of more texts than that can be held open, and read right."""
    made = sstable.BundleBuilder()
    for i in range(40):
        made.add(b"%02d" % i + b"k" * 100000, sstable.DT["uint8"], [1], b"x")
    source = shop.directory / "source"
    source.mkdir()
    for i in range(30):
        (source / ("m%d.data-00000-of-00001" % i)).write_bytes(bytes(made.data))
        (source / ("m%d.index" % i)).write_bytes(made.index())
    mount = shop.mount(source, "ro")
    opened = [open(hidden(mount, "manifest", "m%d.tsv" % i), "rb") for i in range(30)]
    with open("/proc/%d/status" % mount.pids()[0], encoding="ascii") as f:
        held = [int(x.split()[1]) for x in f if x.startswith("VmRSS")][0]
    for f in opened:
        lines = f.read().split(b"\n")
        assert len(lines) == 42 and all(len(x) > 100000 for x in lines[1:41])
        f.close()
    assert mounts.SANITIZED or held < 500 << 10
