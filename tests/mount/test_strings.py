"""DESIGN 4.9: string tensors as text."""
import pytest

import fixtures
import tree


@pytest.fixture
def strings(shop):
    return shop.mount(fixtures.FIXTURE_DIR / "v2_strings", "ro") / "ckpt"


def test_a_scalar_is_its_bytes(strings):
    """No newline is added to the one element."""
    assert tree.read(strings / "scalar") == b"just one"
    assert tree.read(strings / "scalar_empty") == b""


def test_a_vector_is_a_line_for_each_element(strings):
    """Every line ends in a newline, and grep finds an element."""
    lines = tree.read(strings / "vocab").split(b"\n")
    assert lines[:3] == [b"<pad>", b"<unk>", b"word0"] and lines[-1] == b""
    assert len(lines) == 1005


def test_newline_and_backslash_are_escaped(strings):
    """The four elements a, empty, ccc and d<newline>e."""
    assert tree.read(strings / "matrix") == b"a\n\nccc\nd\\ne\n"


def test_empty_elements_are_empty_lines(strings):
    """Seven empty elements; and no element is no line."""
    assert tree.read(strings / "all_empty") == b"\n" * 7
    assert tree.read(strings / "empty_vec") == b""
    assert tree.read(strings / "empty_2d.shape") == b"[0, 4]\n"


def test_any_part_of_the_text_reads_alike(strings):
    """Reads at odd offsets give the same bytes as one read of all."""
    whole = tree.read(strings / "big")
    with open(strings / "big", "rb", buffering=0) as f:
        for offset in (0, 1, 4095, 4097, 99999, 300001, len(whole) - 1, len(whole)):
            f.seek(offset)
            assert f.read(777) == whole[offset:offset + 777]
