#!/usr/bin/env python3
"""Real TensorFlow as judge, in a process of its own.

TensorFlow aborts the process on some damaged checkpoints: here that costs the
test, not the run.  Judge() starts this file once more as a server; each public
function below can be asked for by name, and its answer comes back pickled.

A tensor travels as (dtype, shape, content): the content is bytes in memory order,
for strings a list of bytes.
"""
import os
import pickle
import random
import select
import subprocess
import sys
import time

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Refused(Exception):
    """TensorFlow raised something: its class and text."""


class Judge:
    """A server with TensorFlow in it; started at the first question."""

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def begin(self, name, *arguments, **keywords):
        """Asks without waiting for the answer."""
        if self.process is None:
            env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1",
                       TF_ENABLE_ONEDNN_OPTS="0")
            self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, env=env)
        _send(self.process.stdin, (name, arguments, keywords))

    def ready(self):
        """Whether the answer is there."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def finish(self):
        """Waits for the answer."""
        try:
            good, answer = _receive(self.process.stdout)
        except EOFError:
            status = self.process.wait()
            self.process = None
            raise AssertionError("TensorFlow ended with status %d" % status) from None
        if not good:
            raise Refused(answer)
        return answer

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(*arguments, **keywords):
            self.begin(name, *arguments, **keywords)
            return self.finish()
        return ask


def _send(stream, thing):
    body = pickle.dumps(thing)
    stream.write(len(body).to_bytes(8, "little") + body)
    stream.flush()


def _receive(stream):
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(stream.read(int.from_bytes(size, "little")))


# ------------------------------------------------------------- in the server
def _pack(dtype, value):
    if dtype == "string":
        value = np.asarray(value, object)  # a session gives a scalar as bytes
        return dtype, list(value.shape), [bytes(x) for x in value.ravel()]
    return dtype, list(value.shape), np.ascontiguousarray(value).tobytes()


def load(prefix):
    """All tensors but variants, through tf.train.load_checkpoint."""
    reader = tf.train.load_checkpoint(str(prefix))
    types = reader.get_variable_to_dtype_map()
    return {k.encode(): _pack(t.name, np.asarray(reader.get_tensor(k)))
            for k, t in types.items() if t != tf.variant}


HELD = []


def hold(prefix):
    """Opens a reader that held() asks later."""
    HELD[:] = [tf.train.load_checkpoint(str(prefix))]


def held(key):
    """What the reader of hold() has under a key."""
    return _pack(HELD[0].get_variable_to_dtype_map()[key].name,
                 np.asarray(HELD[0].get_tensor(key)))


def restore_v2(prefix, wanted):
    """The tensors `wanted`, {key: dtype}, through RestoreV2."""
    keys = list(wanted)
    got = tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=keys,
                               shape_and_slices=[""] * len(keys),
                               dtypes=[tf.as_dtype(wanted[k]) for k in keys])
    flat = [tf.reshape(t, [-1]) if len(t.shape) > 64 else t for t in got]  # numpy's limit
    return {k: _pack(wanted[k], t.numpy()) for k, t in zip(keys, flat)}


def saver_restore(prefix, wanted):
    """The tensors `wanted`, {key: (dtype, shape)}, through a TF1 Saver."""
    with tf.Graph().as_default(), tf1.Session() as session:
        made = {k: tf1.Variable(tf.zeros(s, tf.as_dtype(d))) for k, (d, s) in wanted.items()}
        tf1.train.Saver(made).restore(session, str(prefix))
        return {k.encode(): _pack(wanted[k][0], v) for k, v in session.run(made).items()}


def saver_save(prefix, items, step=None):
    """What a training script does: variables and a Saver; index, data, .meta and state file."""
    with tf.Graph().as_default(), tf1.Session() as session:
        made = {k: tf1.Variable(tf.constant(v)) for k, v in items.items()}
        session.run(tf1.global_variables_initializer())
        return tf1.train.Saver(made).save(session, str(prefix), global_step=step)


def latest_checkpoint(directory):
    """What tf.train.latest_checkpoint finds."""
    return tf.train.latest_checkpoint(str(directory))


def _object_graph(prefix):
    from tensorflow.core.protobuf import trackable_object_graph_pb2 as pb
    reader = tf.train.load_checkpoint(str(prefix))
    return reader, pb.TrackableObjectGraph.FromString(reader.get_tensor(GRAPH_KEY))


def _object_for(node, reader, made):
    for attribute in node.attributes:
        if attribute.name == "VARIABLE_VALUE":
            key = attribute.checkpoint_key
            dtype = reader.get_variable_to_dtype_map()[key]
            shape = reader.get_variable_to_shape_map()[key]
            start = tf.fill(shape, "") if dtype == tf.string else tf.zeros(shape, dtype)
            made[key] = tf.Variable(start)
            return made[key]
    return tf.Module()


def checkpoint_restore(prefix):
    """Every variable that edges lead to, through tf.train.Checkpoint.restore, by key."""
    reader, graph = _object_graph(prefix)
    made = {}
    objects = [_object_for(n, reader, made) for n in graph.nodes]
    objects[0] = tf.train.Checkpoint()
    for node, thing in zip(graph.nodes, objects):
        for child in node.children:
            if child.local_name != "save_counter":
                thing._track_trackable(objects[child.node_id], child.local_name, overwrite=True)
    objects[0].restore(str(prefix)).assert_existing_objects_matched()
    reached, queue = {0}, [0]
    while queue:
        for child in graph.nodes[queue.pop()].children:
            if child.local_name != "save_counter" and child.node_id not in reached:
                reached.add(child.node_id)
                queue.append(child.node_id)
    return {k.encode(): _pack(v.dtype.name, v.numpy()) for k, v in made.items()
            if any(objects[i] is v for i in reached)}


def manager_restore(prefix):
    """The program that wrote fixture v2_tf2_manager, restored with all asserts."""
    class Holder(tf.Module):
        pass
    model = Holder(name="net")
    model.dense = Holder()
    model.dense.kernel = tf.Variable(tf.zeros([6, 4]), name="kernel")
    model.dense.bias = tf.Variable(tf.zeros([4]), name="bias")
    model.layers = [Holder(), Holder()]
    model.layers[0].v = tf.Variable([0, 0], name="l0")
    model.layers[1].v = tf.Variable(0.0, dtype=tf.float64, name="l1")
    adam = tf1.train.AdamOptimizer(0.1)
    root = tf.train.Checkpoint(model=model, optimizer=adam, step=tf.Variable(0, dtype=tf.int64))
    status = root.restore(str(prefix))
    pair = [model.dense.kernel, model.dense.bias]
    before = [v.numpy() for v in pair]
    adam.apply_gradients(zip([tf.zeros_like(v) for v in pair], pair))
    status.assert_consumed()
    root.restore(str(prefix)).assert_consumed()
    return {"kernel": before[0].tobytes(), "bias": before[1].tobytes(),
            "kernel/m": adam.get_slot(model.dense.kernel, "m").numpy().tobytes(),
            "step": int(root.step)}


def keras_restore(prefix):
    """The model that wrote fixture v2_tf2_keras3, restored: {layer: (kernel, bias)}."""
    import keras
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, name="first"),
                              keras.layers.Dense(2, name="out.put")])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    model.optimizer.build(model.trainable_variables)
    status = tf.train.Checkpoint(model=model, optimizer=model.optimizer).restore(str(prefix))
    status.assert_existing_objects_matched()
    return {x.name: tuple(np.asarray(w).tobytes() for w in x.get_weights()) for x in model.layers}


def saved_model(directory, attributes):
    """Attributes of a SavedModel loaded with tf.saved_model.load, and its answer to ones."""
    model = tf.saved_model.load(str(directory))
    found = {a: _pack(getattr(model, a).dtype.name, getattr(model, a).numpy())
             for a in attributes}
    found["answer"] = model(tf.ones([1, 3])).numpy().tolist()
    return found


def save(prefix, items):
    """SaveV2 of {key: numpy array or list of bytes}, in that order."""
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(items),
                      shape_and_slices=[""] * len(items),
                      tensors=[tf.constant(x) for x in items.values()])


# ------------------------------------------------------ saving in competition
OURS = 1 << 20  # values from here on were not written by TensorFlow


def stamps(value):
    """The tensors that races save: all filled with one number."""
    return {"a": np.full(64, value, "i4"), "b": np.full(1000, value, "i4"),
            "w": np.full(256, value, "i4")}


def write_stamps(prefix, value, merge):
    """Saves stamps() by SaveV2, or by tf.train.Checkpoint with its merge."""
    if merge:
        made = {k: tf.Variable(x) for k, x in stamps(value).items()}
        tf.train.Checkpoint(**made).write(str(prefix))
    else:
        save(prefix, stamps(value))


def _stamp_fault(prefix, value):
    """What is wrong with the checkpoint after `value` was saved, or None."""
    try:
        found = {k.split(b"/")[0].decode(): x[2] for k, x in load(prefix).items()}
    except Exception as e:  # pylint: disable=broad-except
        return repr(e)[:300]
    for name in ("a", "b"):
        if found[name] != stamps(value)[name].tobytes():
            return "%s holds %d" % (name, int.from_bytes(found[name][:4], "little"))
    w = np.frombuffer(found["w"], "i4")
    if w.min() != w.max() or (w[0] != value and w[0] < OURS):
        return "w holds %s" % sorted(set(w.tolist()))
    return None


def _load_patiently(prefix):
    """TensorFlow stats an index before it opens it: a commit in between that makes the
    index grow fails that load, and the next one is right."""
    for _ in range(20):
        try:
            return load(prefix)
        except Exception:  # pylint: disable=broad-except
            time.sleep(0.02)
    return load(prefix)


def race(prefix, rounds, merge, first=1):
    """Saves again and again; what stays damaged for two seconds is a fault.

    Returns (faults, how often the other side's value was met).
    """
    faults, met = [], 0
    for value in range(first, first + rounds):
        write_stamps(prefix, value, merge)
        end = time.monotonic() + 2
        fault = _stamp_fault(prefix, value)
        while fault and time.monotonic() < end:
            time.sleep(0.02)
            fault = _stamp_fault(prefix, value)
        if fault:
            faults.append((value, fault))
        time.sleep(random.random() * 0.006)
        last = _load_patiently(prefix)
        w = next(x[2] for k, x in last.items() if k.split(b"/")[0] == b"w") if not fault else b""
        met += int.from_bytes(w[:4], "little") >= OURS
    return faults, met


def save_for(prefix, seconds, first=1, pause=0.02):
    """SaveV2 of stamps() onto one prefix for a while; the last number saved."""
    value, end = first, time.monotonic() + seconds
    while time.monotonic() < end:
        save(prefix, stamps(value))
        value += 1
        time.sleep(pause)
    return value - 1


def _serve():
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what TensorFlow prints is no answer
    while True:
        try:
            name, arguments, keywords = _receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, globals()[name](*arguments, **keywords))
        except Exception as e:  # pylint: disable=broad-except
            answer = (False, "%s: %s" % (type(e).__name__, e))
        _send(answers, answer)


if __name__ == "__main__":
    import numpy as np
    import tensorflow as tf
    tf1 = tf.compat.v1
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _serve()
