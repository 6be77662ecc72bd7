"""-o sync: when a command has ended, what it wrote is on disk."""
import pytest

from tools import EMB, FROM, KERNEL, NEW, NOTES, SAME, STEP, TEXT, TITLE, WEIGHT, lines
from writing import numbers

LINE = {NOTES: [b"alpha", b"BETA", b"gamma"]}
COMMANDS = {
    "cp $D/new dense/kernel": {KERNEL: NEW},
    "cp -a $D/new dense/kernel": {KERNEL: NEW},
    "cp --remove-destination $D/new dense/kernel": {KERNEL: NEW},
    "mv $D/new dense/kernel": {KERNEL: NEW},
    "install $D/new dense/kernel": {KERNEL: NEW},
    "cat $D/new > dense/kernel": {KERNEL: NEW},
    "tee dense/kernel < $D/new > $D/out": {KERNEL: NEW},
    "dd if=$D/new of=dense/kernel status=none": {KERNEL: NEW},
    "dd if=$D/new of=dense/kernel conv=notrunc status=none": {KERNEL: NEW},
    "rsync -a $D/new dense/kernel": {KERNEL: NEW},
    "rsync -a --inplace $D/new dense/kernel": {KERNEL: NEW},
    "tar c -C $D --transform s,new,dense/kernel, new | tar x": {KERNEL: NEW},
    "tar c -C $D --transform s,new,dense/kernel, new | tar x --overwrite": {KERNEL: NEW},
    "xxd -p $D/new | xxd -r -p > dense/kernel": {KERNEL: NEW},
    "echo a title > title": {TITLE: [b"a title\n"]},
    "printf ', again' >> title": {TITLE: [b"run 1, again"]},
    "printf 'HELLO WORLD\\n' > text": {TEXT: b"HELLO WORLD\n"},
    "echo HELLO | dd of=text bs=5 count=1 conv=notrunc status=none": {TEXT: b"HELLO world\n"},
    "sed -i s/beta/BETA/ notes": LINE,
    "perl -pi -e s/beta/BETA/ notes": LINE,
    "echo '[24]' > dense/kernel.shape": {KERNEL: ("float32", [24], None)},
    "echo int32 > conv/w.dtype": {WEIGHT: ("int32", [2, 3], None)},
    "echo '[12, 4]' > emb.shape; cat emb $D/two > $D/all; cat $D/all > emb": {
        EMB: ("float32", [12, 4], "grown")},
}


@pytest.mark.sanitized
@pytest.mark.parametrize("command", COMMANDS)
def test_on_disk_when_the_command_has_ended(sync_lab, command):
    """No fsync and no unmount: TensorFlow reads it at once."""
    lab = sync_lab
    lab.file("two", numbers(8))
    changes = {}
    for path, value in COMMANDS[command].items():
        if isinstance(value, tuple):
            content = {None: lab.old(path), "grown": lab.old(path) + numbers(8)}[value[2]]
            value = (*value[:2], content)
        changes[path] = value
    lab.sh(command)
    found = lab.judge.load(lab.source / FROM)
    for path, value in changes.items():
        wanted = value if isinstance(value, tuple) else (*lab.value(path)[:2], value)
        assert found[path.split("/", 1)[1].encode()] == wanted
    lab.settled(changes)


def test_a_layer_is_on_disk_when_cp_has_ended(sync_lab):
    """cp -r, all values of it."""
    lab = sync_lab
    changes = lab.below(FROM + "/dense", SAME + "/dense")
    lab.sh("cp -r dense ../%s/" % SAME)
    for path, (_, _, value) in changes.items():
        assert lab.stored(path) == value
    lab.settled(changes)


def test_a_renamed_variable_is_on_disk_after_sync(sync_lab):
    """mv has no close: sync of the directory."""
    sync_lab.sh("mv conv/w conv/v && sync conv")
    assert sync_lab.stored(WEIGHT) is None
    assert sync_lab.stored(FROM + "/conv/v") == sync_lab.old(WEIGHT)
    sync_lab.settled({WEIGHT: None, FROM + "/conv/v": sync_lab.value(WEIGHT)})


def test_a_refused_value_is_not_on_disk(sync_lab):
    """The old one is."""
    sync_lab.fails("cat emb > dense/kernel")
    assert sync_lab.stored(KERNEL) == sync_lab.old(KERNEL)
    sync_lab.settled({})


def test_an_untyped_file_is_not_on_disk(sync_lab):
    """A mistyped name waits as without the option."""
    sync_lab.sh("cp $D/new krenel")
    assert sync_lab.stored(FROM + "/krenel") is None
    assert sync_lab.stored(STEP) == sync_lab.old(STEP)
    sync_lab.sh("echo float32 > krenel.dtype; echo 24 > krenel.shape")
    assert sync_lab.stored(FROM + "/krenel") == NEW
    sync_lab.settled({FROM + "/krenel": ("float32", [24], NEW)})


def test_a_line_more_is_on_disk(sync_lab):
    """Strings, after a declaration."""
    sync_lab.sh("echo '[4]' > notes.shape; printf 'delta\\n' >> notes")
    assert sync_lab.stored(NOTES) == [b"alpha", b"beta", b"gamma", b"delta"]
    sync_lab.settled({NOTES: lines(b"alpha", b"beta", b"gamma", b"delta")})
