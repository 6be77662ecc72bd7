"""String tensors cannot be written yet."""
import pytest

import disk
import tree


@pytest.mark.parametrize("name,text", [
    ("matrix", b"1\n2\n3\n4\n"), ("matrix", b"a\n\nccc\nd\\ne\n"), ("scalar", b"just one"),
    ("scalar", b"longer than it was"), ("all_empty", b"")])
def test_a_written_string_tensor_is_refused(shop, fixture_copy, name, text):
    """EOPNOTSUPP in this version, whatever is written, and nothing changes."""
    source = fixture_copy("v2_strings")
    before = disk.digest(source)
    mount = shop.mount(source)
    old = tree.read(mount / "ckpt" / name)
    assert tree.error_of(tree.write, mount / "ckpt" / name, text) == "EOPNOTSUPP"
    assert tree.read(mount / "ckpt" / name) == old
    mount.unmount()
    assert disk.digest(source) == before
