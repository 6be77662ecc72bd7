"""What a shell does by itself: redirections; and cat, tee, echo, printf."""
import pytest

from tools import (BIAS, EMB, FROM, KERNEL, NEW, NOTES, SAME, STEP, TEXT, TITLE, WEIGHT,
                   eventually, lines)
from writing import numbers

BAD_SHAPES = ["hello", "[6, 4", "[-2]", "[-1, -1]", "[6.0, 4]", "[[24]]", "0x18", "6 4 x",
              "[%s]" % ", ".join(["1"] * 255), "[4294967296, 4294967296]"]
BAD_DTYPES = ["float", "float99", ">f4", "float32_ref", "resource", "variant", "23", ""]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_printf_into_a_value(lab, shell):
    """The flush before the first write judges nothing."""
    lab.sh(r"%s -c 'printf \\001\\000\\000\\000\\000\\000\\000\\000 > global_step'" % shell)
    lab.settled({STEP: (1).to_bytes(8, "little")})


def test_echo_into_a_scalar_string(lab):
    """echo's newline is part of it."""
    lab.sh("echo a new title > title")
    assert lab.text(TITLE) == b"a new title\n"
    lab.settled({TITLE: [b"a new title\n"]})


def test_echo_into_text_of_the_same_size(lab):
    """Twelve bytes for twelve bytes."""
    lab.sh("echo HELLO WORLD > text")
    lab.settled({TEXT: b"HELLO WORLD\n"})


def test_echo_of_a_wrong_size_leaves_the_old_value(lab):
    """The shell ignores what close says: the log and the tree do not."""
    lab.mount.mark()
    lab.run("echo x > dense/kernel")
    assert any("kernel" in x for x in lab.mount.news(2, expect=1))
    lab.released()
    assert lab.text(KERNEL) == lab.old(KERNEL)
    lab.settled({})


def test_a_value_emptied_by_the_shell_stands(lab):
    """`> kernel` and `: > kernel`."""
    lab.run("> dense/kernel; : > dense/bias")
    eventually(lambda: lab.text(KERNEL) == lab.old(KERNEL))
    eventually(lambda: lab.text(BIAS) == lab.old(BIAS))
    lab.settled({})


def test_cat_into_a_value(lab):
    """From a disk, and from another checkpoint."""
    lab.sh("cat $D/new > dense/kernel && cat ../%s/conv/w > conv/w" % SAME)
    lab.settled({KERNEL: NEW, WEIGHT: lab.value(SAME + "/conv/w")})


def test_cat_of_a_wrong_size_says_so(lab):
    """cat looks at what its close says."""
    lab.fails("cat emb > dense/kernel")
    lab.settled({})


def test_printf_appends_to_a_scalar_string(lab):
    """`>>` keeps what is there."""
    lab.sh("printf ', again' >> title")
    lab.settled({TITLE: [lab.old(TITLE) + b", again"]})


@pytest.mark.parametrize("first", ["value", "shape"])
def test_printf_appends_a_line_to_strings(lab, first):
    """A fourth element, before or after the shape says so."""
    commands = ["printf 'delta\\n' >> notes", "echo '[4]' > notes.shape"]
    for each in commands if first == "value" else commands[::-1]:
        lab.run(each)
        lab.released()
    lab.settled({NOTES: lines(b"alpha", b"beta", b"gamma", b"delta")})


def test_several_commands_into_one_value(lab):
    """A redirection around a group: the first is told that its close does not fit yet."""
    lab.run("{ head -c 40 $D/new; tail -c +41 $D/new; } > dense/kernel")
    lab.settled({KERNEL: NEW})


@pytest.mark.parametrize("options", ["", "-p"])
def test_tee(lab, options):
    """tee to one, and to two values."""
    lab.sh("tee %s dense/kernel ../%s/dense/kernel < $D/new > $D/out" % (options, SAME))
    assert (lab.disk / "out").read_bytes() == NEW
    lab.settled({KERNEL: NEW, SAME + "/dense/kernel": NEW})


def test_tee_of_a_wrong_size_says_so(lab):
    """Exit status 1, and the old value stands."""
    lab.fails("echo x | tee dense/kernel")
    lab.settled({})


def test_tee_appends(lab):
    """tee -a to a scalar string."""
    lab.sh("printf ' more' | tee -a title > /dev/null")
    lab.settled({TITLE: [lab.old(TITLE) + b" more"]})


@pytest.mark.sanitized
# -------------------------------------------------------------------- sidecars
@pytest.mark.parametrize("text", ["[4, 6]", "(4, 6)", "4,6", "4 6", "[4,6]", "[-1, 6]", "4 -1",
                                  "[4, 6, 1]", "[1, 4, -1]"])
def test_echo_reshapes(lab, text):
    """Every form of a shape, with one -1 that is worked out."""
    shape = {"[4, 6, 1]": [4, 6, 1], "[1, 4, -1]": [1, 4, 6]}.get(text, [4, 6])
    lab.sh("echo '%s' > dense/kernel.shape" % text)
    assert lab.text(KERNEL + ".shape") == (str(shape) + "\n").encode()
    lab.settled({KERNEL: ("float32", shape, lab.value(KERNEL)[2])})


def test_printf_without_a_newline_reshapes(lab):
    """The text is taken over at close."""
    lab.sh("printf '[4, 6]' > dense/kernel.shape")
    lab.settled({KERNEL: ("float32", [4, 6], lab.value(KERNEL)[2])})


@pytest.mark.parametrize("text,dtype", [
    ("int32", "int32"), ("INT32", "int32"), ("<i4", "int32"),
    ("i4", "int32"), ("DT_INT32", "int32"), ("uint32", "uint32")])
def test_echo_retypes(lab, text, dtype):
    """The bytes stay as they are, under another dtype of the same size."""
    lab.sh("echo '%s' > conv/w.dtype" % text)
    assert lab.text(WEIGHT + ".dtype") == (dtype + "\n").encode()
    lab.settled({WEIGHT: (dtype, [2, 3], lab.value(WEIGHT)[2])})


@pytest.mark.parametrize("text", BAD_SHAPES)
def test_a_shape_that_is_none_is_refused(lab, text):
    """bash reports the EINVAL of the write; nothing changes."""
    lab.fails("echo '%s' > dense/kernel.shape" % text, said="write error: Invalid argument")
    assert lab.text(KERNEL + ".shape") == b"[6, 4]\n"
    lab.settled({})


@pytest.mark.parametrize("text", BAD_DTYPES)
def test_a_dtype_that_is_none_is_refused(lab, text):
    """The same for a dtype, and for those that a checkpoint cannot hold."""
    lab.fails("echo '%s' > dense/kernel.dtype" % text, said="write error: Invalid argument")
    assert lab.text(KERNEL + ".dtype") == b"float32\n"
    lab.settled({})


@pytest.mark.sanitized
@pytest.mark.parametrize("first", ["shape", "dtype"])
def test_dtype_and_shape_change_together(lab, first):
    """Doubles of half the number: a declaration until the other one agrees."""
    other = {"shape": "echo float64 > dense/kernel.dtype", "dtype": "echo 6,2 > dense/kernel.shape"}
    commands = [other["dtype"], other["shape"]]
    for each in commands if first == "shape" else commands[::-1]:
        lab.sh(each)
    lab.settled({KERNEL: ("float64", [6, 2], lab.value(KERNEL)[2])})


def test_a_declaration_reads_back(lab):
    """A shape that does not fit yet is what the sidecar says; the disk keeps the old one."""
    lab.sh("echo '(12, 4)' > emb.shape")
    assert lab.sh("cat emb.shape") in (b"(12, 4)\n", b"[12, 4]\n")
    assert lab.text(EMB) == lab.old(EMB)
    assert any("emb" in x for x in lab.pending("declared") + lab.pending("declarations"))
    assert lab.judge.load(lab.source / FROM)[b"emb"][1] == [10, 4]


def test_a_declaration_can_be_taken_back(lab):
    """By what fits the present bytes."""
    lab.sh("echo '[12, 4]' > emb.shape && echo '[10, 4]' > emb.shape")
    lab.settled({EMB: lab.value(EMB)})


def test_a_declaration_that_is_open_at_unmount_is_dropped(lab):
    """With a warning that names it; the checkpoint is as it was."""
    lab.sh("echo '[12, 4]' > emb.shape")
    mount = lab.mount
    mount.mark()
    mount.unmount()
    assert "emb" in mount.log()[mount.seen:]
    lab.mount = lab.shop.mount(lab.source)
    lab.settled({})


def test_strings_and_numbers_are_no_retypes(lab):
    """`string` for numbers is a declaration: the next value is judged by it."""
    lab.sh("echo string > text.dtype && echo '[2]' > text.shape && printf 'a\\nb\\n' > text")
    lab.settled({TEXT: lines(b"a", b"b")})


def test_strings_are_reshaped(lab):
    """The elements stay."""
    lab.sh("echo '[3, 1]' > notes.shape")
    lab.settled({NOTES: ("string", [3, 1], lab.value(NOTES)[2])})


def test_a_new_scalar(lab):
    """The empty shape."""
    lab.sh("printf abcd > x; echo int32 > x.dtype; echo '[]' > x.shape")
    lab.settled({FROM + "/x": ("int32", [], b"abcd")})


def test_a_new_value_from_its_sidecars_on(lab):
    """Both declared before there is a value."""
    lab.file("four", numbers(4))
    lab.sh("echo '[2, 2]' > x.shape; echo float32 > x.dtype; cat $D/four > x")
    lab.settled({FROM + "/x": ("float32", [2, 2], numbers(4))})


@pytest.mark.parametrize("order", ["vsd", "vds", "sdv", "dsv"])
def test_a_new_value_by_appending(lab, order):
    """>> makes what is not there, sidecars too; what it makes begins empty."""
    steps = {"v": "cat $D/new >> x", "d": "printf 'float32\\n' >> x.dtype",
             "s": "echo '[6, 4]' | tee -a x.shape > /dev/null"}
    lab.sh(" && ".join(steps[x] for x in order))
    lab.sh("touch e && echo float32 >> e.dtype && echo '[0, 4]' >> e.shape")
    lab.settled({FROM + "/x": ("float32", [6, 4], NEW), FROM + "/e": ("float32", [0, 4], b"")})


def test_a_sidecar_that_stands_is_not_appended_to(lab):
    """Two shapes in one file are none."""
    lab.fails("echo '[24]' >> dense/kernel.shape")
    lab.settled({})
