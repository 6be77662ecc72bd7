"""The offline commands on files that were damaged at random: they say so, and end."""
import random
import shutil

import pytest

import mounts
from offline import path_of

V2 = ["v2_tf1_partitioned", "v2_strings", "v2_variant", "v2_hand_big_endian", "v2_merged_ops",
      "v2_hand_snappy", "v2_tf2_keras3"]
V1 = ["v1_all_dtypes", "v1_slices", "v1_hand_snappy", "v1_tf1_adam-3"]
COMMANDS = [("--check",), ("--list",), ("--list", "--json"), ("--diff",), ("--convert",),
            ("-o", "grace=0", "--compact")]


def damage(dice, path):
    """A few bytes, or the end, of one of the files."""
    whole = bytearray(path.read_bytes())
    if not whole:
        return
    kind = dice.randrange(4)
    if kind == 0:
        del whole[dice.randrange(len(whole)):]
    elif kind == 1:
        at = dice.randrange(len(whole))
        whole[at:at] = dice.randbytes(dice.randrange(1, 9))
    else:
        for _ in range(kind * 2):
            whole[dice.randrange(len(whole))] = dice.choice([0, 0xff, 0x80, dice.randrange(256)])
    path.write_bytes(whole)


def mended(path):
    """The checksums of blocks made right, so that what is inside is looked at."""
    import sstable  # pylint: disable=import-outside-toplevel
    whole = path.read_bytes()
    try:
        kv = sstable.read_table(whole)
    except Exception:  # pylint: disable=broad-except
        return
    writer = sstable.TableWriter()
    dice = random.Random(len(whole))
    for key, value in kv:
        value = bytearray(value)
        if value and dice.random() < 0.5:
            value[dice.randrange(len(value))] = dice.randrange(256)
        writer.add(key, bytes(value))
    path.write_bytes(writer.finish())


@pytest.mark.sanitized
@pytest.mark.parametrize("name", V2 + V1)
def test_damage_ends_no_command(shop, name, long):
    source = path_of(name)
    for seed in range(100 if long else 8):
        dice = random.Random("%s %d" % (name, seed))
        place = shop.directory / ("d%d" % seed)
        place.mkdir()
        for file in source.parent.glob(source.name + "*"):
            if not file.name.endswith(".meta"):
                shutil.copy(file, place)
        files = sorted(place.iterdir())
        tables = [f for f in files if ".data-" not in f.name]
        if seed % 2:
            damage(dice, dice.choice(files))
        else:
            mended(dice.choice(tables))
        for command in COMMANDS:
            words = [*command, place / source.name]
            if command == ("--diff",):
                words.append(source)
            if command == ("--convert",):
                words = ["--convert", "--to", dice.choice(["v1", "v2"]), place / source.name,
                         place / "new"]
            done = mounts.run(*words, errors="replace",
                              env=mounts.environment(shop.directory))
            assert done.returncode in (0, 1, 2, 3, 5), (name, seed, command, done.stderr)
            assert not list(shop.directory.glob("report*")), (name, seed, command)
