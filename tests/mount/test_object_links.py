"""Further names in object-based checkpoints: ln, ln -s, and what tools make of them."""
import os
import subprocess

import disk
import tree

VALUE = b"/.ATTRIBUTES/VARIABLE_VALUE"


def shell(where, command):
    done = subprocess.run(["sh", "-c", command], cwd=where, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_ln_adds_an_edge_and_rm_takes_one(shop, fixture_copy, judge):
    """The key is made of the path that is left; the value stays where it is."""
    source = fixture_copy("v2_tf2_odd_objects")
    before = judge.load(source / "ckpt-1")[b"m/shared1" + VALUE]
    mount = shop.mount(source)
    assert shell(mount / "ckpt-1", "ln m/shared2 third && rm m/shared1 m/shared2") == (0, "")
    assert os.stat(mount / "ckpt-1/third").st_nlink == 1
    mount.unmount()
    after = judge.load(source / "ckpt-1")
    assert after[b"third" + VALUE] == before
    assert b"m/shared1" + VALUE not in after and b"m/shared2" + VALUE not in after


def test_ln_s_is_an_edge_to_an_object(shop, fixture_copy):
    """After a remount the link is there, and leads to the same variables."""
    source = fixture_copy("v2_tf2_manager")
    mount = shop.mount(source)
    assert shell(mount / "ckpt-3", "ln -s ../model/dense optimizer/d") == (0, "")
    assert shell(mount / "ckpt-3", "ln -s /tmp x")[0] == 1
    assert shell(mount / "ckpt-3", "ln -s ../../ckpt-2 x")[0] == 1
    mount.unmount()
    again = shop.mount(source)
    one, other = (os.stat(again / "ckpt-3" / p) for p in ("model/dense/kernel", "optimizer/d/kernel"))
    assert one.st_ino == other.st_ino
    assert shell(again / "ckpt-3", "rm optimizer/d; ls model") == (0, "dense\nlayers\n")


def test_a_name_that_is_made_anew_is_the_same_variable(shop, fixture_copy):
    """As `install` and `tar` do it: both names have the new value."""
    source = fixture_copy("v2_tf2_odd_objects")
    mount = shop.mount(source)
    done = shell(mount / "ckpt-1/m", "printf 12345678 > ../../x; install -m 644 ../../x shared1; rm ../../x; cat shared2")
    assert done == (0, "12345678")
    mount.unmount()
    assert disk.Snapshot(source / "ckpt-1").values[b"m/shared1" + VALUE] == b"12345678"


def test_a_list_of_files_for_tar(shop, fixture_copy, judge):
    """tar takes files of one inode for links, sidecars too."""
    source = fixture_copy("v2_tf2_keras3")
    mount = shop.mount(source)
    files = "find . | sort -r > ../list; tar cf ../all.tar --no-recursion -T ../list"
    assert shell(mount / "k-1", files) == (0, "")
    assert shell(mount / ".", "mkdir clone && tar xf all.tar -C clone && rm all.tar list") == (0, "")
    mount.unmount()
    assert judge.load(source / "clone") == judge.load(source / "k-1")


def test_what_belongs_to_an_object_does_not_move_alone(shop, fixture_copy):
    """Slots, and the state of tables."""
    source = fixture_copy("v2_tf2_odd_objects")
    mount = shop.mount(source)
    assert shell(mount / "ckpt-1", "mv m/table/.ATTRIBUTES x")[0] == 1
    assert shell(mount / "ckpt-1", "mv py/.ATTRIBUTES/py_state x")[0] == 1
    assert shell(mount / "ckpt-1/m/table/.ATTRIBUTES", "mv table-values table-keys")[0] == 1
    assert shell(mount / "ckpt-1/m/table/.ATTRIBUTES", "ls table-values") == (0, "table-values\n")
    assert shell(mount / "ckpt-1", "mv m/table t2 && ls t2/.ATTRIBUTES | head -1") == (0, "table-keys\n")


def test_no_name_in_the_own_companion(shop, fixture_copy):
    """With the other name it would go out of reach, and the variable with it."""
    mount = shop.mount(fixture_copy("v2_tf2_manager"))
    dense = mount / "ckpt-3/model/dense"
    os.link(dense / "kernel", dense / "other")
    for name in "kernel", "other":
        mount.mark()
        assert tree.error_of(os.link, dense / name, dense / "kernel.d/alpha") == "EPERM"
        assert tree.error_of(os.rename, dense / name, dense / "kernel.d/alpha") == "EINVAL"
        assert all("alpha" in x and "out of reach" in x for x in mount.news(expect=2))
