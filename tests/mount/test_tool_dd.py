"""dd, xxd -r and python's r+b: bytes in the middle of a value."""
import pytest

import tree
from tools import EMB, FROM, KERNEL, NEW, STEP, TEXT, TITLE
from writing import numbers


@pytest.mark.parametrize("options", ["", "bs=7", "conv=notrunc", "bs=1M conv=fsync",
                                     "bs=5 conv=notrunc,fsync", "oflag=dsync bs=32",
                                     "conv=nocreat,fdatasync"])
def test_dd_of_a_whole_value(lab, options):
    """With any size of blocks, truncated first or not."""
    lab.sh("dd if=$D/new of=dense/kernel status=none " + options)
    assert lab.text(KERNEL) == NEW
    lab.settled({KERNEL: NEW})


@pytest.mark.sanitized
def test_dd_of_a_part(lab):
    """conv=notrunc with seek: the rest stays."""
    lab.sh("printf abcd | dd of=dense/kernel bs=4 seek=5 conv=notrunc status=none")
    old = lab.old(KERNEL)
    lab.settled({KERNEL: old[:20] + b"abcd" + old[24:]})


def test_dd_from_one_value_into_another(lab):
    """A row of an embedding, within the mount."""
    lab.sh("dd if=emb of=dense/kernel bs=16 skip=3 seek=2 count=1 conv=notrunc status=none")
    old = lab.old(KERNEL)
    lab.settled({KERNEL: old[:32] + lab.old(EMB)[48:64] + old[48:]})


def test_dd_with_seek_that_truncates_is_refused(lab):
    """Without notrunc the file ends behind the block: EINVAL, and a line that says why."""
    lab.mount.mark()
    lab.fails("printf abcd | dd of=dense/kernel bs=4 seek=5 status=none")
    assert any("kernel" in x and "96" in x for x in lab.mount.news(2, expect=1))
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_dd_past_the_end_is_refused(lab):
    """A value may not grow by itself."""
    lab.fails("printf abcd | dd of=dense/kernel bs=4 seek=24 conv=notrunc status=none")
    lab.settled({})


def test_dd_past_the_end_after_a_declaration(lab):
    """With the shape declared first it is how a value grows; dd prints no error."""
    lab.file("rows", numbers(8))
    lab.sh("echo '[12, 4]' > emb.shape && "
           "dd if=$D/rows of=emb bs=16 seek=10 conv=notrunc status=none")
    lab.settled({EMB: ("float32", [12, 4], lab.old(EMB) + numbers(8))})


def test_dd_of_a_shorter_value_is_refused(lab):
    """dd reports it at close."""
    lab.fails("dd if=$D/new of=dense/kernel bs=8 count=3 status=none")
    lab.settled({})


def test_dd_of_zeros(lab):
    """The reset of a counter."""
    lab.sh("dd if=/dev/zero of=global_step bs=8 count=1 status=none")
    lab.settled({STEP: bytes(8)})


def test_dd_of_a_new_file(lab):
    """Untyped until its sidecars are there."""
    lab.sh("dd if=$D/new of=fresh status=none; echo float32 > fresh.dtype; echo 24 > fresh.shape")
    lab.settled({FROM + "/fresh": ("float32", [24], NEW)})


def test_xxd_patches_bytes(lab):
    """xxd -r writes where the dump says, without truncating."""
    lab.sh("echo '00000006: 574f 524c 44' | xxd -r - text")
    assert lab.text(TEXT) == b"hello WORLD\n"
    lab.settled({TEXT: b"hello WORLD\n"})


def test_xxd_there_and_back(lab):
    """A dump, edited with sed, and back into the same value."""
    lab.sh("xxd -c 4 -g 1 dense/kernel | sed '2s/: .. .. .. ../: 00 01 02 03/' > $D/dump && "
           "xxd -r -c 4 $D/dump dense/kernel")
    old = lab.old(KERNEL)
    lab.settled({KERNEL: old[:4] + bytes(range(4)) + old[8:]})


def test_xxd_of_a_plain_dump(lab):
    """xxd -r -p to a pipe, and that into a value."""
    lab.sh("xxd -p $D/new | xxd -r -p > dense/kernel")
    lab.settled({KERNEL: NEW})


def test_python_patches_bytes(lab):
    """open(..., "r+b"), seek, write."""
    with open(lab.mount / KERNEL, "r+b") as f:
        f.seek(40)
        f.write(b"12345678")
    old = lab.old(KERNEL)
    lab.settled({KERNEL: old[:40] + b"12345678" + old[48:]})


def test_python_patches_two_places(lab):
    """Two writes and a read between them."""
    old = lab.old(KERNEL)
    with open(lab.mount / KERNEL, "r+b", buffering=0) as f:
        f.write(b"abcd")
        assert f.read(4) == old[4:8]
        f.seek(-4, 2)
        f.write(b"wxyz")
    lab.settled({KERNEL: b"abcd" + old[4:-4] + b"wxyz"})


@pytest.mark.parametrize("mode", ["r+b", "ab", "wb"])
def test_python_that_changes_the_size_is_refused(lab, mode):
    """close() raises."""
    def append():
        with open(lab.mount / KERNEL, mode) as f:
            f.seek(0, 2)
            f.write(b"more")
    assert tree.error_of(append) == "EINVAL"
    lab.released()
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_python_appends_to_a_scalar_string(lab):
    """Its length is free."""
    with open(lab.mount / TITLE, "ab") as f:
        f.write(b", again")
    lab.settled({TITLE: [lab.old(TITLE) + b", again"]})


def test_python_in_a_process_of_its_own(lab):
    """Exit status 0, and 1 with a traceback for a wrong size."""
    lab.sh('$PYTHON -c "with open(\'text\', \'r+b\') as f: f.write(b\'HELLO\')"')
    lab.fails('$PYTHON -c "with open(\'text\', \'wb\') as f: f.write(b\'HELLO\')"')
    lab.settled({TEXT: b"HELLO world\n"})
