"""What this version does not read is listed, and refused with one clear line."""
import os

import pytest

import fixtures
import tree

WITH_GAPS = [n for n in fixtures.names("V2")
             if any(v.content is None for v in fixtures.variables(n))]


def paths_of(mount, name):
    top = mount / fixtures.prefix_of(name)
    if fixtures.is_object_based(name):
        for root, _, files in os.walk(os.fsencode(top)):
            for f in files:
                yield os.path.join(root, f)
    else:
        yield from (p for _, p in tree.find(fixtures.variables(name), top))


@pytest.mark.sanitized
@pytest.mark.parametrize("name", WITH_GAPS)
def test_an_unsupported_value_is_refused_with_one_line(shop, name):
    """Partitioned, variant and big-endian: EOPNOTSUPP, and the log says why, once."""
    mount = shop.mount(fixtures.FIXTURE_DIR / fixtures.directory_of(name), "ro")
    gaps = {v.key for v in fixtures.variables(name) if v.content is None and 0 not in v.shape}
    met = set()
    for path in paths_of(mount, name):
        key = tree.attribute(path, "key")
        if key not in gaps:
            continue
        mount.mark()
        assert tree.error_of(tree.read, path) == "EOPNOTSUPP"
        assert len(mount.news(1, expect=1)) == 1, mount.news()
        met.add(key)
    assert met == gaps


@pytest.mark.parametrize("name", fixtures.names("V1"))
def test_a_v1_checkpoint_is_listed_and_refused(shop, name):
    """V1: its prefix stands in the directory; nothing below it reads as wrong bytes."""
    mount = shop.mount(fixtures.FIXTURE_DIR / fixtures.directory_of(name), "ro")
    prefix = fixtures.prefix_of(name).split("-?????-of-")[0]
    assert prefix in os.listdir(mount.point)
    mount.mark()
    refusals = list(refuse(mount / prefix))
    assert refusals and set(refusals) == {"EOPNOTSUPP"}
    assert prefix in "\n".join(mount.news(1, expect=1))


def refuse(path):
    """The error of reading each value at or below a path, but empty ones."""
    if not os.path.isdir(path):
        yield tree.error_of(tree.read, path)
        return
    error = tree.error_of(os.listdir, path)
    if error:
        yield error
        return
    for root, _, files in os.walk(os.fsencode(path)):
        for f in files:
            full = os.path.join(root, f)
            if not f.endswith((b".shape", b".dtype")) and os.lstat(full).st_size:
                yield tree.error_of(tree.read, full)


@pytest.mark.parametrize("name", WITH_GAPS)
def test_an_unsupported_value_cannot_be_written(shop, fixture_copy, name):
    """Writing one is EOPNOTSUPP, and no byte of the source changes."""
    import disk
    source = fixture_copy(fixtures.directory_of(name))
    before = disk.digest(source)
    mount = shop.mount(source)
    gaps = {v.key for v in fixtures.variables(name) if v.content is None}
    for path in paths_of(mount, name):
        if tree.attribute(path, "key") in gaps:
            content = bytes(os.lstat(path).st_size)
            assert tree.error_of(tree.write, path, content) == "EOPNOTSUPP"
    mount.unmount()
    assert disk.digest(source) == before
