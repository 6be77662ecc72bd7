"""cp -r and cp -a of layers and of whole checkpoints."""
import itertools
import random
import shutil

import pytest

import tree
from tools import BARE, BIAS, FROM, KERNEL, NEW, OTHER, SAME

ORDERS = {
    "sidecars first": lambda n: (not n.endswith((".shape", ".dtype")), n),
    "values first": lambda n: (n.endswith((".shape", ".dtype")), n),
    "slots first": lambda n: (".d/" not in n, n),
    "backwards": lambda n: tuple(-ord(c) for c in n),
    "shuffled": lambda n: random.Random(n).random(),
}


@pytest.mark.sanitized
@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("options", ["-r", "-a", "-rp"])
def test_cp_of_a_layer_into_another_checkpoint(lab, options, to):
    """Onto the same shapes, other shapes, and nothing: the same result, and no error."""
    lab.sh("cp %s dense ../%s/" % (options, to))
    lab.sh("diff -r dense ../%s/dense" % to)
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("order", ORDERS)
def test_cp_of_a_layer_from_a_disk_in_any_order(lab, order, to):
    """A disk lists files as they were made: the order changes nothing about the result."""
    lab.copy_to_disk(FROM + "/dense", "dense", ORDERS[order])
    status, _, said = lab.run("cp -r $D/dense ../%s/" % to)
    assert (status, said) == (0, "") or to == OTHER, said
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("order", ORDERS)
def test_cp_of_one_file_after_the_other(lab, order, to):
    """The same by a cp for each file; what it prints at other shapes is made good."""
    top = lab.mount / FROM / "dense"
    names = [str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()]
    for name in sorted(names, key=ORDERS[order]):
        status, _, said = lab.run("mkdir -p ../%s/dense/$(dirname %s) && cp dense/%s ../%s/dense/%s"
                                  % (to, name, name, to, name))
        assert (status, said) == (0, "") or (to == OTHER and "Invalid argument" in said), said
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


def test_cp_under_another_name(lab):
    """A layer twice in one checkpoint."""
    lab.sh("cp -r dense dense_1")
    lab.settled(lab.below(FROM + "/dense", FROM + "/dense_1"))


def test_cp_out_changed_and_back(lab):
    """cp -r to a disk, one value changed there, cp -r back."""
    lab.sh("cp -r dense $D/ && cp $D/new $D/dense/kernel && cp -r $D/dense .")
    lab.settled({**lab.below(FROM + "/dense", FROM + "/dense"), KERNEL: NEW})


def test_cp_of_a_value_with_its_sidecars_by_a_glob(lab):
    """`cp a/bias* b/` onto another shape: the value comes first, with an error that is made good."""
    lab.fails("cp dense/bias dense/bias.shape dense/bias.dtype ../%s/dense/" % OTHER)
    lab.settled({OTHER + "/dense/bias": lab.value(BIAS)})


@pytest.mark.sanitized
@pytest.mark.parametrize("options", ["-r", "-a"])
def test_cp_clones_a_checkpoint(lab, options):
    """A whole checkpoint under another name; the state file stays."""
    lab.sh("cp %s %s best" % (options, FROM), where="")
    state = tree.read(lab.source / "checkpoint")
    lab.settled(lab.below(FROM, "best"))
    assert tree.read(lab.source / "checkpoint") == state


def test_cp_of_a_checkpoint_into_another_one(lab):
    """cp -r FROM/. BARE/: the union, what is in both from the first."""
    lab.sh("cp -r %s/. %s/" % (FROM, BARE), where="")
    lab.settled(lab.below(FROM, BARE))


def test_cp_of_a_checkpoint_from_a_disk(lab):
    """Out, and back under a new name: mkdir, and what is put in makes it a checkpoint."""
    lab.sh("cp -r %s $D/saved && cp -r $D/saved restored" % FROM, where="")
    lab.settled(lab.below(FROM, "restored"))


def test_a_clone_is_there_for_tensorflow_when_the_mount_ends(lab):
    """And can be changed without changing the first."""
    lab.sh("cp -r %s best && cp $D/new best/dense/kernel" % FROM, where="")
    lab.settled({**lab.below(FROM, "best"), "best/dense/kernel": ("float32", [6, 4], NEW)})


COPIES = {
    "copytree": "$PYTHON -c 'import shutil; "
                "shutil.copytree(\"dense\", \"../%s/dense\", dirs_exist_ok=True)'",
    "cp --parents": "find dense -type f -exec cp --parents -t ../%s {} +",
    "zip": "zip -qr $D/z.zip dense && unzip -qo $D/z.zip -d ../%s",
}


@pytest.mark.parametrize("to", [SAME, OTHER, BARE])
@pytest.mark.parametrize("tool", COPIES)
def test_a_layer_is_copied_in_the_order_of_its_listing(lab, tool, to):
    """No error, whatever the shapes: sidecars are listed before their value."""
    if tool == "zip" and not (shutil.which("zip") and shutil.which("unzip")):
        pytest.skip("zip is not installed")
    lab.mount.mark()
    lab.sh(COPIES[tool] % to)
    assert not [line for line in lab.mount.news() if "not taken over" in line]
    lab.settled(lab.below(FROM + "/dense", to + "/dense"))


@pytest.mark.parametrize("options", ["-a", "-a --remove-destination"])
@pytest.mark.parametrize("to", ["dense", "fresh"])
@pytest.mark.parametrize("order", list(itertools.permutations(["", ".shape", ".dtype"])),
                         ids=lambda order: "".join((x or ".v")[1] for x in order))
def test_cp_of_a_layer_that_was_edited_on_a_disk(lab, order, to, options):
    """What the sidecars say counts, though the attributes of the copies are still the old ones.

    kernel has another shape then, and bias another dtype of the same size.
    """
    lab.sh("cp -a dense $D/out && mkdir $D/in && head -c 80 $D/new > $D/out/kernel"
           " && echo '[5, 4]' > $D/out/kernel.shape && echo int32 > $D/out/bias.dtype")
    for name in ["kernel", "bias"]:
        for end in order:  # cp goes by the numbers of inodes
            lab.sh("cp -a $D/out/%s%s $D/in/" % (name, end))
    lab.sh("mkdir -p %s" % to)
    status, _, said = lab.run("cp %s $D/in/. %s/" % (options, to))
    assert status == 0 or "Invalid argument" in said
    lab.settled({FROM + "/%s/kernel" % to: ("float32", [5, 4], NEW[:80]),
                 FROM + "/%s/bias" % to: ("int32", [4], lab.value(BIAS)[2])})


def test_a_sidecar_before_a_value_is_said_of_that(lab):
    """The next one has attributes of its own, however soon it comes."""
    lab.sh("mkdir new other && for d in new other; do head -c 8 $D/new > $d/k"
           " && echo '[2]' > $d/k.shape; done && echo int32 > new/k.dtype && echo float32 > other/k.dtype"
           " && mkdir to && cp -a other/k.* to/ && cp -a other/k to/ && cp -a new/k to/")
    lab.settled({FROM + "/%s/k" % d: (dtype, [2], NEW[:8])
                 for d, dtype in (("new", "int32"), ("other", "float32"), ("to", "int32"))})
