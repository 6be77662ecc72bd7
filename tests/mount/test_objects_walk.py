"""Random edits of an object graph agree with a model; TensorFlow's reader checks the rest."""
import pytest

import object_model
import object_walks
from jobs import array
from programs import Same

PROGRAM = {
    "net": {"dense": {"kernel": array(1, 3, 2), "bias": array(2, 2)},
            "conv": {"w": array(3, 4), "inner": {"a": array(4, 2), "b": array(5, 3)}}},
    "ema": {"dense": Same("net/dense"), "w": Same("net/conv/w"), "own": array(6, 2)},
    "layers": [array(i, 2) for i in range(3)],
}
SLOTS = ["net/dense/kernel", "net/dense/bias", "net/conv/inner/a", "layers/1"]


def walk(judge, dice, shop, prefix, rounds, count):
    """Rounds of random edits, each in a mount of its own."""
    root = object_model.from_graph(*judge.program_describe(prefix))
    for turn in range(rounds):
        mount = shop.mount(prefix.parent)
        steps = object_model.Steps(dice, root, str(mount / prefix.name), 1000 * turn)
        for _ in range(4):
            steps.walk(count)
            steps.look()
        mount.unmount()
        nodes, values = judge.program_describe(prefix)
        assert not object_walks.faults(nodes, values), steps.told()
        found = object_model.from_graph(nodes, values)
        assert object_model.same(steps.root, found) == "", steps.told()
        restored = judge.checkpoint_restore(prefix)
        assert all(values[k.decode()] == v for k, v in restored.items())
        root = found


def test_random_edits_agree_with_a_model(saved_program, shop, judge, dice, long):
    """Names, sharing, values, slots and full names; every key leads back, and none is lost."""
    prefix, _, _, mount = saved_program(PROGRAM, SLOTS)
    mount.unmount()
    walk(judge, dice, shop, prefix, 40 if long else 6, 12)


@pytest.mark.parametrize("name, prefix", [("v2_tf2_keras3", "k-1"), ("v2_tf2_manager", "ckpt-3")])
def test_in_checkpoints_of_tensorflow(fixture_copy, shop, judge, dice, long, name, prefix):
    """Where most variables have several names, and most directories are links."""
    source = fixture_copy(name)
    walk(judge, dice, shop, source / prefix, 20 if long else 3, 12)
