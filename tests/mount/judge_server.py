"""The server that judge.py starts: what TensorFlow reads, restores and saves."""
import functools
import os
import random
import sys
import time

import numpy as np
import tensorflow as tf

import programs
from judge import OURS, receive, send

tf1 = tf.compat.v1
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


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


def latest_of_each(directories):
    """For each directory the path in its state file, and tf.train.latest_checkpoint of it.

    None is what TensorFlow gives for a file that it ignores; what it raises is a number.
    """
    def ask(question, directory):
        try:
            return question(str(directory))
        except ValueError:  # no path at all, or no UTF-8
            return 22
    return [(getattr(s, "model_checkpoint_path", s), ask(tf.train.latest_checkpoint, d))
            for d in directories for s in [ask(tf.train.get_checkpoint_state, d)]]


def _object_graph(prefix):
    from tensorflow.core.protobuf import trackable_object_graph_pb2 as pb
    reader = tf.train.load_checkpoint(str(prefix))
    return reader, pb.TrackableObjectGraph.FromString(reader.get_tensor(GRAPH_KEY))


def _slot(objects, node, variable, name):
    return next(objects[s.slot_variable_node_id] for s in node.slot_variables
                if objects[s.original_variable_node_id] is variable and s.slot_name == name)


def _optimizer_class():
    """Made when TensorFlow is there: an object whose slots are variables made before."""
    class Optimizer(tf.Module):
        slot = None

        def _create_or_restore_slot_variable(self, slot_variable_position, slot_name, variable):
            slot_variable_position.restore(self.slot(variable, slot_name))
    return Optimizer


def _object_for(node, reader, made):
    for attribute in node.attributes:
        if attribute.name == "VARIABLE_VALUE":
            key = attribute.checkpoint_key
            dtype = reader.get_variable_to_dtype_map()[key]
            shape = reader.get_variable_to_shape_map()[key]
            start = tf.fill(shape, "") if dtype == tf.string else tf.zeros(shape, dtype)
            made[key] = tf.Variable(start)
            return made[key]
    return _optimizer_class()() if node.slot_variables else tf.Module()


def checkpoint_restore(prefix):
    """Every variable that edges lead to, through tf.train.Checkpoint.restore, by key."""
    reader, graph = _object_graph(prefix)
    made = {}
    objects = [_object_for(n, reader, made) for n in graph.nodes]
    objects[0] = tf.train.Checkpoint()
    for node, thing in zip(graph.nodes, objects):
        if node.slot_variables:
            thing.slot = functools.partial(_slot, objects, node)
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

# ------------------------------------------------------------------------- V1
QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16",
             "qint32": "int32"}


def _v1_names(prefix):
    reader = tf1.train.NewCheckpointReader(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    return {k: (t, shapes[k]) for k, t in reader.get_variable_to_dtype_map().items()}


def v1_load(prefix):
    """All tensors of a V1 checkpoint, through RestoreSlice; the glob of one in several files."""
    loaded = {}
    for key, (dtype, _) in _v1_names(prefix).items():
        value = tf.raw_ops.RestoreSlice(file_pattern=str(prefix), tensor_name=key,
                                        shape_and_slice="", dt=dtype)
        if dtype.name in QUANTIZED:
            value = tf.bitcast(value, QUANTIZED[dtype.name])
        loaded[key.encode()] = _pack(dtype.name, value.numpy())
    return loaded


def v1_save(prefix, items):
    """What TensorFlow's V1 writer makes of {key: (dtype, shape, content)}, as v1_load() has it."""
    save_slices(prefix, "V1", [(k, "", v) for k, v in items.items()])


def v1_saver(prefix, items, step=None, sharded=False):
    """A TF1 Saver with write_version=V1: the path that it answers."""
    with tf.Graph().as_default(), tf1.Session() as session:
        made = {k: tf1.Variable(tf.constant(v)) for k, v in items.items()}
        session.run(tf1.global_variables_initializer())
        saver = tf1.train.Saver(made, write_version=tf1.train.SaverDef.V1, sharded=sharded)
        return saver.save(session, str(prefix), global_step=step)


# ------------------------------------------------------- partitioned variables
def save_partitioned(prefix, items):
    """SaveV2 of {key: (numpy array, specs)}: each spec "0,2:-" is a slice, none the whole."""
    names, specs, tensors = [], [], []
    for key, (value, slices) in items.items():
        for spec in slices or [""]:
            part = value
            if spec:
                for axis, extent in enumerate(spec.split(":")):
                    if extent != "-":
                        start, length = map(int, extent.split(","))
                        part = part.take(range(start, start + length), axis)
            names.append(key)
            specs.append(spec and "%s %s" % (" ".join(map(str, value.shape)), spec))
            tensors.append(tf.constant(part))
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=specs,
                      tensors=tensors)


def restore_part(prefix, key, dtype, shape, spec):
    """One slice through RestoreV2, which cuts it out of whatever is stored."""
    got, = tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=[key], dtypes=[dtype],
                                shape_and_slices=["%s %s" % (" ".join(map(str, shape)), spec)])
    return _pack(dtype, got.numpy())


def shape_map(prefix):
    """{key: shape} as TensorFlow lists it: an orphan of a slice makes it raise."""
    return tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()


def partitioned_restore(prefix, name, shape, dtype, parts, axis):
    """A TF1 program whose variable is partitioned: its Saver restores; the whole."""
    with tf.Graph().as_default(), tf1.Session() as session:
        cuts = [1] * len(shape)
        cuts[axis] = parts
        scope, _, leaf = name.rpartition("/")
        with tf1.variable_scope(scope, partitioner=lambda **_: cuts):
            v = tf1.get_variable(leaf, shape, tf.as_dtype(dtype), use_resource=False,
                                 initializer=tf1.zeros_initializer())
        tf1.train.Saver().restore(session, str(prefix))
        return session.run(tf.convert_to_tensor(v)).tobytes()


def tensor_list(prefix, key):
    """What is in a TensorList of float32, which is stored as a variant."""
    got, = tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=[key], shape_and_slices=[""],
                                dtypes=[tf.variant])
    return [tf.raw_ops.TensorListGetItem(input_handle=got, index=i, element_shape=-1,
                                         element_dtype=tf.float32).numpy().tolist()
            for i in range(int(tf.raw_ops.TensorListLength(input_handle=got)))]


def _tensor(value):
    """A tensor of an array, of a list of bytes, or of (dtype, shape, content)."""
    if not isinstance(value, tuple):
        return tf.constant(value)
    dtype, shape, content = value
    if dtype in ("string", "variant"):
        return tf.reshape(tf.constant(content, tf.string), shape)
    plain = tf.as_dtype(QUANTIZED.get(dtype, dtype))
    made = tf.constant(np.frombuffer(content, plain.as_numpy_dtype).reshape(shape), plain)
    return tf.bitcast(made, tf.as_dtype(dtype)) if dtype in QUANTIZED else made


def save_slices(prefix, kind, parts):
    """SaveV2 or V1's SaveSlices of [(name, shape and slice, value)], in that order."""
    names, specs = [p[0] for p in parts], [p[1] for p in parts]
    values = [_tensor(p[2]) for p in parts]
    if kind == "V1":
        tf.raw_ops.SaveSlices(filename=str(prefix), tensor_names=names, shapes_and_slices=specs,
                              data=values)
    else:
        tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=specs,
                          tensors=values)


def restore_slices(prefix, wanted):
    """RestoreV2, which also reads V1, of [(key, shape and slice, dtype)]: values in that order."""
    got = tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=[w[0] for w in wanted],
                               shape_and_slices=[w[1] for w in wanted],
                               dtypes=[tf.as_dtype(w[2]) for w in wanted])
    flat = [tf.reshape(t, [-1]) if len(t.shape) > 64 else t for t in got]  # numpy's limit
    return [_pack(w[2], t.numpy())[2] for w, t in zip(wanted, flat)]


def restore_slice(pattern, wanted):
    """The same through V1's own op, one after the other."""
    got = [tf.raw_ops.RestoreSlice(file_pattern=str(pattern), tensor_name=key,
                                   shape_and_slice=spec, dt=tf.as_dtype(dtype))
           for key, spec, dtype in wanted]
    return [_pack(w[2], t.numpy())[2] for w, t in zip(wanted, got)]


def names(prefix):
    """{key: (dtype, shape)} as a CheckpointReader lists them; it dies of keys that are orphans."""
    reader = tf.train.load_checkpoint(str(prefix))
    types = reader.get_variable_to_dtype_map()
    return {k.encode(): (types[k].name, s) for k, s in reader.get_variable_to_shape_map().items()}


def resave(prefix, keys, dtype, to):
    """Tensors restored and saved again by V2, for what numpy cannot hold (variants)."""
    got = tf.raw_ops.RestoreV2(prefix=str(prefix), tensor_names=keys,
                               shape_and_slices=[""] * len(keys),
                               dtypes=[tf.as_dtype(dtype)] * len(keys))
    tf.raw_ops.SaveV2(prefix=str(to), tensor_names=keys, tensors=got,
                      shape_and_slices=[""] * len(keys))


# ------------------------------------------------------------------- training
STEPS = 20000  # elements of the variable that a training loop counts in


def _trainer(kind, directory):
    """Saves a step as a program of this kind does, under a new prefix; and onto one."""
    if kind == "manager":
        w, z = tf.Variable(tf.zeros([STEPS], tf.int32)), tf.Variable(tf.zeros([3], tf.int32))
        made = tf.train.Checkpoint(w=w, z=z)
        manager = tf.train.CheckpointManager(made, directory, max_to_keep=3)

        def save(step):
            for v in (w, z):
                v.assign(tf.fill(v.shape, step))
            manager.save(checkpoint_number=step)
            made.write(directory + "/same")
        return save
    session = tf1.Session(graph=tf.Graph())
    with session.graph.as_default():
        number = tf1.placeholder(tf.int32, [])
        made = {k: tf1.Variable(tf.zeros([n], tf.int32)) for k, n in (("w", STEPS), ("z", 3))}
        assign = [v.assign(tf.fill(v.shape, number)) for v in made.values()]
        version = {"saver_v1": tf1.train.SaverDef.V1, "saver_v2": tf1.train.SaverDef.V2}[kind]
        savers = [tf1.train.Saver(made, max_to_keep=3, write_version=version) for _ in range(2)]

    def save_in_session(step):
        with session.graph.as_default():
            session.run(assign, {number: step})
            savers[0].save(session, directory + "/model.ckpt", step, write_meta_graph=step == 1)
            savers[1].save(session, directory + "/same", latest_filename="state_of_same",
                           write_meta_graph=False)
    return save_in_session


def train(kind, directory, progress, enough, seconds, pause=0.03):
    """Saves step after step for a while; `progress` has the last and when it was saved.

    On a busy machine it goes on until a file `enough` is there, at most half a minute.
    """
    save, step, end = _trainer(kind, str(directory)), 0, None
    while end is None or time.monotonic() < (end if os.path.exists(enough) else end + 30):
        step += 1
        save(step)
        end = end or time.monotonic() + seconds
        with open(str(progress) + ".new", "w", encoding="ascii") as f:
            f.write("%d %f" % (step, time.monotonic()))
        os.rename(str(progress) + ".new", progress)
        time.sleep(pause)
    return step


# ------------------------------------------------------ saving in competition
SHORT = 0.006  # seconds between a save and a look, in which a commit may come


def stamps(value):
    """The tensors that races save: all filled with one number."""
    return {"a": np.full(64, value, "i4"), "b": np.full(1000, value, "i4"),
            "w": np.full(256, value, "i4")}


def write_stamps(prefix, value, merge):
    """Saves stamps() by SaveV2, by tf.train.Checkpoint with its merge, or ("V1") by SaveSlices."""
    if merge == "V1":
        save_slices(prefix, "V1", [(k, "", x) for k, x in stamps(value).items()])
    elif merge:
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

    Returns (faults, how often the other side's value was met).  On a busy machine, or a
    slow disk, no commit may fit between two saves: the pauses grow until one has, and it
    goes on that long, at most ten times as long as else.
    """
    faults, met, pause = [], 0, SHORT
    for value in range(first, first + 10 * rounds):
        if met and value >= first + rounds:
            break
        if (value - first) % 20 == 19:
            pause = SHORT if met else min(2 * pause, 2)
        write_stamps(prefix, value, merge)
        end = time.monotonic() + 2
        fault = _stamp_fault(prefix, value)
        while fault and time.monotonic() < end:
            time.sleep(0.02)
            fault = _stamp_fault(prefix, value)
        if fault:
            faults.append((value, fault))
        time.sleep(random.random() * pause)
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


# ------------------------------------------------------- what is written anew
def save_anew(source, shards, to, v1=False):
    """Restores [(key, shape and slice, dtype)] of each shard, and saves them in that order.

    By SaveV2, and MergeV2Checkpoints where there are several shards, or by V1's SaveSlices.
    """
    parts = []
    for i, wanted in enumerate(shards):
        keys, specs = [w[0] for w in wanted], [w[1] for w in wanted]
        got = tf.raw_ops.RestoreV2(prefix=str(source), tensor_names=keys, shape_and_slices=specs,
                                   dtypes=[tf.as_dtype(w[2]) for w in wanted])
        if v1:
            tf.raw_ops.SaveSlices(filename=str(to), tensor_names=keys, shapes_and_slices=specs,
                                  data=got)
            return
        parts.append("%s_temp/part-%05d" % (to, i) if len(shards) > 1 else str(to))
        tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=keys, shape_and_slices=specs, tensors=got)
    if len(shards) > 1:
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(to),
                                      delete_old_dirs=True)


NOT_IN_V1 = ["bfloat16", "qint16", "quint16", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn",
             "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4", "uint4", "int2",
             "uint2"]
IN_V1 = ["float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64",
         "bool", "qint8", "quint8", "qint32", "uint16", "complex128", "float16"]


def _random_tensor(dice, dtype):
    shape = dice.choice([[], [dice.randrange(40)], [dice.randrange(5) for _ in range(2)],
                         [dice.randrange(3) for _ in range(dice.randrange(3, 7))]])
    count = int(np.prod(shape))
    if dtype == "string":
        value = [dice.randbytes(dice.choice([0, 1, 5, 127, 128, 300])) for _ in range(count)]
        return _tensor((dtype, shape, value))
    if dtype == "bool":
        return tf.reshape(tf.constant([dice.random() < 0.5 for _ in range(count)], tf.bool), shape)
    bits = np.frombuffer(dice.randbytes(count * tf.as_dtype(dtype).size), np.uint8)
    if dtype in ("int4", "uint4"):
        bits = bits & 15
    elif dtype in ("int2", "uint2"):
        bits = bits & 3
    return _tensor((dtype, shape, bits.tobytes()))


def save_random(prefix, seed, count, v1=False):
    """SaveV2, or SaveSlices, of so many random tensors in a random order: {key: dtype}."""
    dice = random.Random(seed)
    made = {}
    while len(made) < count:
        key = "/".join(dice.choice(["dense", "kernel", "m", "a b", "\u00fc", "%", "x" * 40])
                       + str(dice.randrange(1000)) for _ in range(dice.randrange(1, 4)))
        dtype = dice.choice(IN_V1 if v1 else IN_V1 + NOT_IN_V1)
        made[key] = (dtype, _random_tensor(dice, dtype))
    keys, values = list(made), [made[k][1] for k in made]
    if v1:
        order = sorted(range(count), key=lambda i: keys[i].encode())
        tf.raw_ops.SaveSlices(filename=str(prefix), tensor_names=[keys[i] for i in order],
                              shapes_and_slices=[""] * count, data=[values[i] for i in order])
    else:
        tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=keys, shape_and_slices=[""] * count,
                          tensors=values)
    return {k: d for k, (d, _) in made.items()}


def read_for(prefix, seconds):
    """Opens and reads a checkpoint over and over: how often, and the errors."""
    end, count, faults = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        try:
            reader = tf.train.load_checkpoint(str(prefix))
            for key in reader.get_variable_to_shape_map():
                reader.get_tensor(key)
        except Exception as e:  # pylint: disable=broad-except
            faults.append(str(e))
        count += 1
    return count, faults


def _function(name):
    """One of this file, or one of programs.py: `program_NAME`."""
    if name.startswith("program_"):
        return functools.partial(getattr(programs, name[8:]), tf, _pack)
    return globals()[name]


def _serve():
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what TensorFlow prints is no answer
    while True:
        try:
            name, arguments, keywords = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, _function(name)(*arguments, **keywords))
        except Exception as e:  # pylint: disable=broad-except
            answer = (False, "%s: %s" % (type(e).__name__, e))
        send(answers, answer)


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _serve()
