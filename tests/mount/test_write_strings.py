"""DESIGN 4.9: string tensors are written as text."""
import pytest

import disk
import mounts
import tree

def strings(tensor):
    """The elements of what the judge gives of a string tensor."""
    return list(tensor[2]) if isinstance(tensor[2], (list, tuple)) else [tensor[2]]


MATRIX = [b"1", b"2", b"3", b"4"]


@pytest.mark.sanitized
@pytest.mark.parametrize("name,text,elements", [
    ("matrix", b"1\n2\n3\n4\n", MATRIX), ("matrix", b"1\n2\n3\n4", MATRIX),
    ("matrix", b"a\n\nc\\nd\ne\\\\\n", [b"a", b"", b"c\nd", b"e\\"]),
    ("scalar", b"just one", [b"just one"]), ("scalar", b"two\nlines\n", [b"two\nlines\n"])])
def test_a_written_text_is_its_elements(shop, fixture_copy, judge, name, text, elements):
    """One a line, newline and backslash escaped; a scalar is its bytes."""
    source = fixture_copy("v2_strings")
    before = judge.load(source / "ckpt")
    mount = shop.mount(source)
    tree.write(mount / "ckpt" / name, text)
    mount.unmount()
    after = judge.load(source / "ckpt")
    dtype, shape, _ = before[name.encode()]
    assert after[name.encode()][:2] == (dtype, shape)
    assert strings(after[name.encode()]) == elements
    assert {k: v for k, v in after.items() if k != name.encode()} == {
        k: v for k, v in before.items() if k != name.encode()}


@pytest.mark.parametrize("text", [b"1\n2\n3\n", b"1\n2\n3\n4\n5\n", b"1\n2\n3\n\\x\n", b""])
def test_a_text_of_other_elements_is_refused(shop, fixture_copy, text):
    """Too few lines, too many, an escape that is none: EINVAL, why, and nothing changes."""
    source = fixture_copy("v2_strings")
    before = disk.digest(source)
    mount = shop.mount(source)
    old = tree.read(mount / "ckpt/matrix")
    assert tree.error_of(tree.write, mount / "ckpt/matrix", text) in (
        "EINVAL", None if not text else "EINVAL")
    assert tree.read(mount / "ckpt/matrix") == old
    assert "string [2, 2], which takes 4 lines" in mount.log()
    mount.unmount()
    assert disk.digest(source) == before


def test_a_part_of_a_text_is_written(shop, fixture_copy, judge):
    """r+: the rest of the text stays."""
    source = fixture_copy("v2_strings")
    mount = shop.mount(source)
    old = tree.read(mount / "ckpt/matrix")
    with open(mount / "ckpt/matrix", "r+b", buffering=0) as f:
        f.write(b"X")
    assert tree.read(mount / "ckpt/matrix") == b"X" + old[1:]
    mount.unmount()
    assert strings(judge.load(source / "ckpt")[b"matrix"])[0][:1] == b"X"
