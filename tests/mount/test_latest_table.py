"""DESIGN 2.10: state files of every kind, with real TensorFlow as judge.

One directory for each text below.  `latest` leads where tf.train.latest_checkpoint
does, with one exception: of a path that leads nowhere, as absolute ones of other
machines do, the last component counts.
"""
import os
import shutil

import pytest

from fixtures import FIXTURE_DIR
from tree import error_of

PATH = b'model_checkpoint_path: "model.ckpt-4"\n'
LIST = b'all_model_checkpoint_paths: "model.ckpt-3"\nall_model_checkpoint_paths: "model.ckpt-4"\n'

# TensorFlow reads these, and finds the checkpoint.
FOUND = {
    "plain": PATH,
    "list": PATH + LIST,
    "single": b"model_checkpoint_path: 'model.ckpt-4'",
    "octal": rb'model_checkpoint_path: "model\056ckpt\0554"',
    "short_octal": rb'model_checkpoint_path: "model.ckpt-\64"',
    "hex": rb'model_checkpoint_path: "model\x2eckpt\x2D4"',
    "unicode": rb'model_checkpoint_path: "mod\u00e8l-\U000000fc"',
    "octal_utf8": rb'model_checkpoint_path: "mod\303\250l-\303\274"',
    "utf8": 'model_checkpoint_path: "modèl-ü"\n'.encode(),
    "adjacent": b'model_checkpoint_path: "model." \'ckpt\'\n  # c\n "-4"',
    "adjacent_without_blanks": b'model_checkpoint_path:"model.""ckpt-4"',
    "comments": b'# hi "x"\nmodel_checkpoint_path: "model.ckpt-4" # there: "y"\n',
    "semicolons": b'model_checkpoint_path: "model.ckpt-4"; all_model_checkpoint_paths: "x";',
    "commas": b'model_checkpoint_path: "model.ckpt-4", all_model_checkpoint_paths: "x",',
    "crlf": b'# a\r\nmodel_checkpoint_path: "model.ckpt-4"\r\nall_model_checkpoint_paths: "x"\r\n',
    "cr": b'model_checkpoint_path: "model.ckpt-4"\rall_model_checkpoint_paths: "x"\r',
    "form_feed": b"\x0c\x0b" + PATH,
    "colon_apart": b'model_checkpoint_path\n:\n"model.ckpt-4"\n',
    "twice": b'model_checkpoint_path: "model.ckpt-3"\n' + PATH,
    "lists": PATH + b'all_model_checkpoint_paths: ["a", \'b\']\n'
                    b'all_model_checkpoint_timestamps: [1.5, 2, inf]\nlast_preserved_timestamp: 1e9\n',
    "numbers": PATH + b"last_preserved_timestamp: -1.5f\nlast_preserved_timestamp: nan\n",
    "underscores": PATH + b"last_preserved_timestamp: 1_0.5_0\n",
    "long_number": PATH + b"last_preserved_timestamp: " + b"1" * 100,
    "blanks_of_unicode": "\xa0model_checkpoint_path\u2003:\u3000'model.'\x1c'ckpt-4'\u2028# \xa0\n\x85".encode(),
    "dot": b'model_checkpoint_path: "./model.ckpt-4"\n',
    "round_about": b'model_checkpoint_path: "../round_about//model.ckpt-4"\n',
    "into_a_directory": b'model_checkpoint_path: "model.ckpt-3/model.ckpt-4"\n',
    "other_directory": b'model_checkpoint_path: "../plain/model.ckpt-4"\n',
    "v1": b'model_checkpoint_path: "v1"\n',
    "v1_pattern": b'model_checkpoint_path: "many-?????-of-00002"\n',
    "v1_pattern_there": b'model_checkpoint_path: "../plain/many-?????-of-00002"\n',
}
# TensorFlow reads the path, and finds nothing there: what it ends in does.
STALE = {
    "stale": b'model_checkpoint_path: "/home/x/runs/model.ckpt-4"\n'
             b'all_model_checkpoint_paths: "/home/x/runs/model.ckpt-3"\n'
             b'all_model_checkpoint_paths: "/home/x/runs/model.ckpt-4"\n',
    "stale_pattern": b'model_checkpoint_path: "/x/many-?????-of-00002"',
    "stale_relative": b'model_checkpoint_path: "runs/model.ckpt-4"\n',
}
# It reads the path, and nothing of the name is here.
MISSING = {
    "missing": b'model_checkpoint_path: "model.ckpt-99"\n',
    "slash": b'model_checkpoint_path: "model.ckpt-4/"\n',
    "hash_inside": b'model_checkpoint_path: "model.ckpt-4#x"\n',
    "long_hex": rb'model_checkpoint_path: "model.ckpt-\x344"',
    "no_escape": rb'model_checkpoint_path: "model.ckpt-4\q"',
    "nul": rb'model_checkpoint_path: "model.ckpt-4\0"',
}
# It ignores the whole file, or raises something.
IGNORED = {
    "unknown": PATH + b"note: 1\n",
    "unknown_before": b"note: 'x'\n" + PATH,
    "unknown_message": PATH + b"note { a: 1 }\n",
    "extension": PATH + b"[a.b]: 1\n",
    "number_of_field": PATH + b"9: 1\n",
    "capitals": b'Model_Checkpoint_Path: "model.ckpt-4"\n',
    "list_of_one": b'model_checkpoint_path: ["model.ckpt-4"]\n',
    "open_list": PATH + b'all_model_checkpoint_paths: ["a",]\n',
    "two_semicolons": b'model_checkpoint_path: "model.ckpt-4";;',
    "no_colon": b'model_checkpoint_path "model.ckpt-4"\n',
    "bare": b"model_checkpoint_path: model.ckpt-4\n",
    "unterminated": b'model_checkpoint_path: "model.ckpt-4\n',
    "newline": b'model_checkpoint_path: "model.\nckpt-4"\n',
    "two_quotes": b'model_checkpoint_path: "model.ckpt-4\'\n',
    "large_octal": rb'model_checkpoint_path: "model.ckpt-4\777"',
    "no_hex": rb'model_checkpoint_path: "model.ckpt-4\x"',
    "short_unicode": rb'model_checkpoint_path: "model.ckpt-4\u00"',
    "octal_number": PATH + b"last_preserved_timestamp: 017\n",
    "hex_number": PATH + b"last_preserved_timestamp: 0x10\n",
    "no_number": PATH + b"last_preserved_timestamp: abc\n",
    "underscore_twice": PATH + b"last_preserved_timestamp: 1__0\n",
    "blank_of_no_width": PATH + "\u200b".encode(),
    "byte_order_mark": b"\xef\xbb\xbf" + PATH,
    "zero_at_the_end": PATH + b"\0",
    "latin1": 'model_checkpoint_path: "modèl-ü"'.encode("latin1"),
    "latin1_comment": PATH + b"# \xe8\n",
    "latin1_escape": rb'model_checkpoint_path: "mod\350l"',
    "binary": bytes(range(256)) * 40,
    "deep": PATH + b"a{" * 100000,
    "deep_and_closed": PATH + b"a{" * 100000 + b"}" * 100000,
    "brackets": PATH + b"[" * 100000,
}
# It raises that there is no path.
NAMELESS = {
    "empty": b"",
    "blank": b"\n \t\n# only this",
    "only_a_list": LIST,
    "empty_path": b'model_checkpoint_path: ""',
}
ALL = {**FOUND, **STALE, **MISSING, **IGNORED, **NAMELESS}
DATA = ".data-00000-of-00001"


@pytest.fixture
def states(shop):
    """A directory for each text, each with checkpoints of V2 and V1; as a directory."""
    source = shop.directory / "source"
    adam, sharded = FIXTURE_DIR / "v2_tf1_adam", FIXTURE_DIR / "v1_tf1_sharded"
    shards = sorted(p for p in sharded.iterdir() if p.name.endswith("-of-00002"))
    assert len(shards) == 2
    for name, text in ALL.items():
        (source / name).mkdir(parents=True)
        for end in (".index", DATA):
            for to in ("model.ckpt-3", "model.ckpt-4", "modèl-ü"):
                shutil.copy(adam / (("modèl-ü" == to and "model.ckpt-5" or to) + end),
                            source / name / (to + end))
        shutil.copy(shards[0], source / name / "v1")
        for i, shard in enumerate(shards):
            shutil.copy(shard, source / name / ("many-%05d-of-00002" % i))
        (source / name / "checkpoint").write_bytes(text)
    there = source / "into_a_directory" / "model.ckpt-3"
    there.mkdir()
    for end in (".index", DATA):
        shutil.copy(adam / ("model.ckpt-4" + end), there)
    return source


def link_of(path):
    """Where `latest` leads, or None."""
    try:
        return os.readlink(path / "latest")
    except FileNotFoundError:
        return None


def expected(name, directory, path, latest):
    """What `latest` is to be, by what TensorFlow says."""
    if name in FOUND:
        assert latest == path, name
        stem = path[len(str(directory)) + 1:].replace("-?????-of-00002", "")
        return stem if name.startswith(("into", "other", "v1_pattern_there")) else os.path.basename(stem)
    if name in IGNORED or name in NAMELESS:
        assert path in (None, 22), name
        return None
    assert latest is None and isinstance(path, str), name
    return os.path.basename(path).replace("-?????-of-00002", "") if name in STALE else None


@pytest.mark.sanitized
def test_latest_leads_where_tensorflow_does(shop, states, judge):
    """What TensorFlow reads we read, what it ignores is ignored, and the log says so."""
    said = judge.latest_of_each([states / n for n in ALL])
    mount = shop.mount(states, "ro")
    wrong = {}
    for name, (path, latest) in zip(ALL, said):
        want = expected(name, states / name, path, latest)
        if link_of(mount / name) != want:
            wrong[name] = (want, link_of(mount / name))
        if want:
            assert os.listdir(mount / name / "latest"), name
    assert not wrong
    log = mount.log()
    for name in ALL:
        assert log.count(" %s/checkpoint: TensorFlow cannot read" % name) == (name in IGNORED), name


def test_another_latest_is_what_tensorflow_finds(shop, states, judge):
    """ln -sfn: TensorFlow finds the new one, whatever the file looked like; or is refused."""
    mount = shop.mount(states)
    for name, text in ALL.items():
        link = mount / name / "new"
        os.symlink("model.ckpt-3.d" if name == "into_a_directory" else "model.ckpt-3", link)
        got = error_of(os.rename, link, mount / name / "latest")
        assert got == ("EINVAL" if name in IGNORED else None), name
        if name in IGNORED:
            assert (states / name / "checkpoint").read_bytes() == text
    mount.unmount()
    good = [n for n in ALL if n not in IGNORED]
    for name, (_, latest) in zip(good, judge.latest_of_each([states / n for n in good])):
        assert latest and os.path.realpath(latest) == str(states / name / "model.ckpt-3"), name
        comments = [x for x in ALL[name].split(b"\n") if x.strip().startswith(b"#")]
        if name == "adjacent":  # that one is inside the path
            continue
        assert all(x in (states / name / "checkpoint").read_bytes() for x in comments), name


def test_a_huge_state_file_is_not_read(shop, fixture_copy):
    """And costs nothing; a pipe or directory of the name does not hang anything."""
    source = fixture_copy("v2_tf1_adam")
    with open(source / "checkpoint", "wb") as f:
        f.write(PATH + b"# ")
        f.truncate(5 << 30)
    for i, make in enumerate((os.mkfifo, os.mkdir)):
        shutil.copytree(FIXTURE_DIR / "v2_tf1_adam", source / ("odd%d" % i))
        (source / ("odd%d" % i) / "checkpoint").unlink()
        make(source / ("odd%d" % i) / "checkpoint")
    mount = shop.mount(source, "ro")
    assert "latest" not in os.listdir(mount.point)
    assert "model.ckpt-4" in os.listdir(mount.point)
    for i in range(2):
        assert "latest" not in os.listdir(mount / ("odd%d" % i))
