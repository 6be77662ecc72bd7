"""The jobs that tutorials do with a Saver and a script, as shell lines; a Saver restores the result."""
import os

import numpy as np
import pytest

import disk
import jobs
import sstable
import tree
from jobs import array, holds, run


@pytest.fixture
def made(shop, judge):
    """Saves {prefix: {key: array}} with Savers and mounts the directory: (source, mount)."""
    def make(**checkpoints):
        source = shop.directory / "runs"
        source.mkdir()
        for name, items in checkpoints.items():
            judge.saver_save(source / name, items)
        return source, shop.mount(source)
    return make


def layers(count, seed, width=8):
    """`layer1` to `layerN` of a network."""
    found = {}
    for i in range(1, count + 1):
        found["layer%d/kernel" % i] = array(seed + i, width, width)
        found["layer%d/bias" % i] = array(seed + 50 + i, width)
    return found


def test_rename_a_variable(made, judge):
    """`weights` becomes `params`, `v2` becomes `my_v2`; no tensor moves."""
    old = {"weights": array(1, 7, 3), "v2": array(2, 5), "v1": array(3, dtype="i8")}
    source, mount = made(model=old)
    before = disk.Snapshot(source / "model")
    run(mount / "model", "mv weights params", "mv v2 my_v2")
    mount.unmount()
    holds(judge, source / "model", {"params": old["weights"], "my_v2": old["v2"], "v1": old["v1"]})
    assert disk.Snapshot(source / "model").shards == before.shards


def test_rename_a_scope(made, judge):
    """`mv generator gen/g_ema`: all keys below, and no tensor moves."""
    old = {"generator/" + k: v for k, v in layers(3, 10).items()}
    old["generator/layer1/kernel/Adam"] = array(90, 8, 8)
    source, mount = made(model=old)
    before = disk.Snapshot(source / "model")
    run(mount / "model", "mkdir gen", "mv generator gen/g_ema")
    mount.unmount()
    holds(judge, source / "model", {k.replace("generator", "gen/g_ema"): v for k, v in old.items()})
    assert disk.Snapshot(source / "model").shards == before.shards


def test_swap_two_variables_with_mv(made, judge):
    """Three mv; shapes and dtypes go with the names."""
    old = {"a": array(1, 4, 3), "s/b": array(2, 5, dtype="i8"), "c": array(3, 2)}
    source, mount = made(model=old)
    run(mount / "model", "mv a tmp", "mv s/b a", "mv tmp s/b")
    assert tree.read(mount / "model/a.shape") == b"[5]\n"
    mount.unmount()
    holds(judge, source / "model", {"a": old["s/b"], "s/b": old["a"], "c": old["c"]})


def test_swap_two_variables_in_one_step(made, judge):
    """RENAME_EXCHANGE, as `mv --exchange` does."""
    old = {"a": array(1, 4, 3), "s/b": array(2, 5, dtype="i8"), "c": array(3, 2)}
    source, mount = made(model=old)
    jobs.exchange(mount / "model/a", mount / "model/s/b")
    assert tree.read(mount / "model/a.dtype") == b"int64\n"
    mount.unmount()
    holds(judge, source / "model", {"a": old["s/b"], "s/b": old["a"], "c": old["c"]})


def test_swap_two_scopes_in_one_step(made, judge):
    """Two layers of other shapes and other names below."""
    old = {"one/kernel": array(1, 4, 3), "one/kernel/Adam": array(2, 4, 3), "two/kernel": array(3, 2),
           "two/beta": array(4, 6)}
    source, mount = made(model=old)
    jobs.exchange(mount / "model/one", mount / "model/two")
    mount.unmount()
    swap = {"one": "two", "two": "one"}
    holds(judge, source / "model", {swap[k[:3]] + k[3:]: v for k, v in old.items()})


def test_take_five_layers_over_into_six(made, judge):
    """The first four stay in place, the last becomes the sixth, the new fifth stays as it was."""
    five, six = layers(5, 100), layers(6, 200)
    source, mount = made(five=five, six=six)
    run(mount.point, "for i in 1 2 3 4; do cp -r five/layer$i six/; done",
        "cp -r five/layer5/. six/layer6/")
    mount.unmount()
    wanted = dict(six, **{k: v for k, v in five.items() if "layer5" not in k})
    wanted["layer6/kernel"], wanted["layer6/bias"] = five["layer5/kernel"], five["layer5/bias"]
    holds(judge, source / "six", wanted)
    holds(judge, source / "five", five)


def test_insert_a_layer_by_renaming(made, judge):
    """`mv layer5 layer6`, and a copy as the new fifth one."""
    five = layers(5, 100)
    source, mount = made(five=five)
    run(mount / "five", "mv layer5 layer6", "cp -r layer4 layer5")
    mount.unmount()
    wanted = {k: v for k, v in five.items() if "layer5" not in k}
    for end in ("kernel", "bias"):
        wanted["layer5/" + end] = five["layer4/" + end]
        wanted["layer6/" + end] = five["layer5/" + end]
    holds(judge, source / "five", wanted)


HEAD = {"head/kernel": array(1, 8, 10), "head/bias": array(2, 10), "body/kernel": array(3, 8, 8)}
OTHER = {"head/kernel": array(4, 8, 3), "head/bias": array(5, 3), "rest": array(6, 2)}


@pytest.mark.parametrize("command", [
    "cp new/head/{kernel,bias}.{shape,dtype} new/head/{kernel,bias} old/head/",
    "cp -r new/head old/", "cp -a new/head old/",
    "rm -r old/head; cp -r new/head old/", "rm old/head/*; cp new/head/* old/head/"])
def test_a_head_with_another_number_of_classes(made, judge, command):
    """Another shape comes with its sidecars, and cp prints no error."""
    source, mount = made(old=HEAD, new=OTHER)
    run(mount.point, command)
    mount.unmount()
    holds(judge, source / "old", {"head/kernel": OTHER["head/kernel"],
                                  "head/bias": OTHER["head/bias"], "body/kernel": HEAD["body/kernel"]})


def test_a_head_whose_values_come_first(made, judge):
    """The shell sorts `kernel` before `kernel.dtype`: cp says EINVAL, and the result is right.

    What was refused is kept aside for ten seconds, and its sidecars come within them.
    """
    source, mount = made(old=HEAD, new=OTHER)
    status, said = jobs.sh("cp new/head/* old/head/", mount.point)
    assert status == 1
    assert [(": Invalid argument" in line, "head/" in line) for line in said.splitlines()] == [
        (True, True)] * 2, said
    mount.unmount()
    holds(judge, source / "old", {"head/kernel": OTHER["head/kernel"],
                                  "head/bias": OTHER["head/bias"], "body/kernel": HEAD["body/kernel"]})


@pytest.mark.parametrize("command", [
    "find model.ckpt-4 -name 'Adam*' -delete; rm model.ckpt-4/beta*",
    "find model.ckpt-4 -path '*.d/*' -delete; rm model.ckpt-4/beta?_power",
    "rm -r model.ckpt-4/*/*.d model.ckpt-4/beta*",
    "find model.ckpt-4 -name '*.d' -exec rm -r {} +; rm -f model.ckpt-4/beta*_power*"])
def test_drop_all_optimizer_slots(adam, judge, command, shop):
    """What is left is the model, for a Saver and for the next mount."""
    source, mount = adam
    old = disk.Snapshot(source / "model.ckpt-4").values
    run(mount.point, command)
    assert sorted(n for n in os.listdir(mount / "model.ckpt-4/dense") if not n.endswith(".d")) == [
        "bias", "bias.dtype", "bias.shape", "kernel", "kernel.dtype", "kernel.shape"]
    mount.unmount()
    holds(judge, source / "model.ckpt-4", {
        "dense/kernel": np.frombuffer(old[b"dense/kernel"], "f4").reshape(6, 4),
        "dense/bias": np.frombuffer(old[b"dense/bias"], "f4"),
        "global_step": np.frombuffer(old[b"global_step"], "i8").reshape(())})
    again = shop.mount(source)
    assert sorted(os.listdir(again / "model.ckpt-4/dense")) == [
        "bias", "bias.dtype", "bias.shape", "kernel", "kernel.dtype", "kernel.shape"]


@pytest.mark.parametrize("command", [
    "head -c 8 /dev/zero > global_step", r"printf '\0\0\0\0\0\0\0\0' > global_step",
    "dd if=/dev/zero of=global_step bs=8 count=1 conv=notrunc status=none",
    "head -c 8 /dev/zero > {0}/z; cp {0}/z global_step", "head -c 8 /dev/zero > {0}/z; mv {0}/z global_step"])
def test_reset_the_global_step(adam, judge, shop, command):
    """The scalar is 0, everything else as it was."""
    source, mount = adam
    before = disk.Snapshot(source / "model.ckpt-4")
    assert before.values[b"global_step"] != bytes(8)
    run(mount / "model.ckpt-4", command.format(shop.directory))
    mount.unmount()
    disk.assert_only_changed(before, disk.Snapshot(source / "model.ckpt-4"), {
        b"global_step": bytes(8)})
    got = judge.saver_restore(source / "model.ckpt-4", {"global_step": ("int64", [])})
    assert got == {b"global_step": ("int64", [], bytes(8))}


EMBEDDING = {"emb/table": array(1, 10, 4), "emb/table/Adam": array(2, 10, 4), "w": array(3, 3)}


@pytest.mark.parametrize("script,silent", [
    ("echo '[12, 4]' > emb/table.shape; cat {0}/rows >> emb/table", True),
    ("cat {0}/rows >> emb/table; echo '[12, 4]' > emb/table.shape", False),
    ("cat emb/table {0}/rows > {0}/all; echo '[12, 4]' > emb/table.shape; cp {0}/all emb/table", True),
    ("cat emb/table {0}/rows > {0}/all; rm emb/table; echo '[12, 4]' > emb/table.shape; "
     "cp {0}/all emb/table", True)])
def test_grow_an_embedding(made, judge, shop, script, silent):
    """Two more rows; the shape may be told before or after."""
    rows = array(9, 2, 4)
    (shop.directory / "rows").write_bytes(rows.tobytes())
    source, mount = made(model=EMBEDDING)
    script = script.format(shop.directory)
    if silent:
        run(mount / "model", script)
    else:
        assert jobs.sh(script, mount / "model")[0] == 0
    mount.unmount()
    holds(judge, source / "model", dict(EMBEDDING, **{
        "emb/table": np.concatenate([EMBEDDING["emb/table"], rows])}))


def test_shrink_an_embedding(made, judge):
    """The first rows only, by truncate."""
    source, mount = made(model=EMBEDDING)
    run(mount / "model", "echo '[6, 4]' > emb/table.shape", "truncate -s 96 emb/table")
    mount.unmount()
    holds(judge, source / "model", dict(EMBEDDING, **{"emb/table": EMBEDDING["emb/table"][:6]}))


@pytest.mark.parametrize("command", ["cp -r", "cp -a", "rsync -a"])
def test_restore_a_part(made, judge, command):
    """A checkpoint made by mkdir and a copy of some layers, which TensorFlow opens as any other."""
    whole = layers(5, 300)
    source, mount = made(whole=whole)
    run(mount.point, "mkdir part", command + " whole/layer1 whole/layer4 part/")
    mount.unmount()
    assert (source / "part.index").exists() and not (source / "part").exists()
    holds(judge, source / "part", {k: v for k, v in whole.items() if k[:6] in ("layer1", "layer4")})
    holds(judge, source / "whole", whole)


def test_a_new_checkpoint_by_numpy_and_echo(made, judge, shop):
    """Weights from elsewhere become a checkpoint: tofile, and two lines a variable."""
    source, mount = made(whole=layers(1, 400))
    kernel = array(1, 3, 2, dtype="f8")
    os.mkdir(mount / "own")
    os.mkdir(mount / "own/fc")
    kernel.tofile(mount / "own/fc/kernel")
    run(mount / "own/fc", "echo float64 > kernel.dtype", "echo '[3, 2]' > kernel.shape",
        "echo int32 > step.dtype", "echo '[]' > step.shape", r"printf '\7\0\0\0' > step")
    mount.unmount()
    holds(judge, source / "own", {"fc/kernel": kernel, "fc/step": np.int32(7)})
    assert disk.Snapshot(source / "own").header["num_shards"] == 1
    assert disk.Snapshot(source / "own").entries[b"fc/step"].dtype == sstable.DT["int32"]
