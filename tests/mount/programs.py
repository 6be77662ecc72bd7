"""Programs that save and restore objects, as users write them; run by the judge.

A program is a nested dict: attributes of tf.Modules, lists, and arrays, which are
variables with these values.  Same("a/b") is the object of another path once more.  With
`slots`, a tf.compat.v1 Adam stands at `optimizer` and has trained the variables at these
paths.  Values come back by path, slots as "PATH:SLOT".
"""
import numpy as np


class Same:
    """The object at another path."""

    def __init__(self, path):
        self.path = path


def at(program, path):
    """What stands at a path of a program."""
    for name in path.split("/"):
        program = program[int(name)] if isinstance(program, list) else program[name]
    return program


def blank(program):
    """The same program with other values: what is not restored is seen."""
    if isinstance(program, dict):
        return {k: blank(v) for k, v in program.items()}
    if isinstance(program, list):
        return [blank(v) for v in program]
    if isinstance(program, Same):
        return program
    return np.full_like(program, b"?" if program.dtype == object else 77)


# ------------------------------------------------------------- in the server
class _Built:
    """The objects of a program."""

    def __init__(self, tf, program, slots):
        self.tf, self.variables, self.later = tf, {}, []
        self.objects = {"": tf.train.Checkpoint()}
        for name, part in program.items():
            self._attach(self.objects[""], name, self._make(part, name))
        for owner, name, path in self.later:
            self._attach(owner, name, self.objects[path])
        self.adam, self.trained = None, slots
        if slots is not None:
            self.adam = tf.compat.v1.train.AdamOptimizer(0.1)
            self.objects[""].optimizer = self.adam

    @property
    def root(self):
        return self.objects[""]

    def _attach(self, owner, name, thing):
        if hasattr(owner, "_track_trackable") and not name.isidentifier():
            owner._track_trackable(thing, name)
        else:
            setattr(owner, name, thing)

    def _make(self, part, path):
        if isinstance(part, dict):
            made = self.tf.Module()
            for name, below in part.items():
                if isinstance(below, Same):
                    self.later.append((made, name, below.path))
                else:
                    self._attach(made, name, self._make(below, path + "/" + name))
        elif isinstance(part, list):
            made = [self._make(below, "%s/%d" % (path, i)) for i, below in enumerate(part)]
        else:
            made = self.tf.Variable(part, name=path.replace("/", "_"))
            self.variables[path] = made
        self.objects[path] = made
        return made

    def train(self):
        """One step, after which there are slots."""
        if self.adam is not None:
            pairs = [self.variables[p] for p in self.trained]
            self.adam.apply_gradients([(self.tf.ones_like(v), v) for v in pairs])

    def values(self, pack):
        """Everything that it holds."""
        found = {p: pack(v.dtype.name, v.numpy()) for p, v in self.variables.items()}
        for path in self.trained or ():
            for slot in "mv":
                variable = self.adam.get_slot(self.variables[path], slot)
                found[path + ":" + slot] = pack(variable.dtype.name, variable.numpy())
        return found


def save(tf, pack, prefix, program, slots=None):
    """Trains and saves it under exactly this prefix: its values."""
    built = _Built(tf, program, slots)
    built.train()
    assert built.root.save_counter is not None  # makes it, as save() would
    built.root.write(str(prefix))
    return built.values(pack)


def restore(tf, pack, prefix, program, asserting, slots=None):
    """Restores into it, with an assert of the status: its values then."""
    built = _Built(tf, program, slots)
    status = built.root.restore(str(prefix))
    if slots is not None:
        built.train()  # makes the slots, which are restored then
        getattr(status, asserting)()
        status = built.root.restore(str(prefix))
    getattr(status, asserting)()
    return built.values(pack)


def keras_weights(tf, pack, prefix, asserting):
    """The weights of the model that wrote fixture v2_tf2_keras3, without an optimizer."""
    import keras
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, name="first"),
                              keras.layers.Dense(2, name="out.put")])
    for variable in model.weights:
        variable.assign(np.full(variable.shape, 77, "f4"))
    getattr(tf.train.Checkpoint(model=model).restore(str(prefix)), asserting)()
    return {x.name: [pack("float32", w) for w in x.get_weights()] for x in model.layers}


def odd_objects(tf, pack, prefix, names, asserting):
    """A table, an iterator and Python state, under any names: what is restored.

    `names` leads from what it is to the attribute of the root; what is missing is not in
    the program.
    """
    class State(tf.train.experimental.PythonState):
        text = None

        def serialize(self):
            return "{}"

        def deserialize(self, text):
            self.text = text

    root, module = tf.train.Checkpoint(), tf.Module()
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    iterator = iter(tf.data.Dataset.range(10).batch(2))
    state = State()
    if "table" in names:
        setattr(module, names["table"], table)
    module.shared1 = tf.Variable([0., 0.])
    root.m = module
    if "iterator" in names:
        setattr(root, names["iterator"], iterator)
    if "py" in names:
        setattr(root, names["py"], state)
    getattr(root.restore(str(prefix)), asserting)()
    keys, values = table.export()
    return {"table": dict(zip(keys.numpy().tolist(), values.numpy().tolist())),
            "iterator": next(iterator).numpy().tolist(), "py": state.text,
            "shared": module.shared1.numpy().tolist()}


def describe(tf, pack, prefix):
    """The graph of a checkpoint and its values, and all that is wrong with them."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2 as pb
    key = "_CHECKPOINTABLE_OBJECT_GRAPH"
    reader = tf.train.load_checkpoint(str(prefix))
    types = reader.get_variable_to_dtype_map()
    graph = pb.TrackableObjectGraph.FromString(reader.get_tensor(key))
    values = {k: None if t == tf.variant else pack(t.name, np.asarray(reader.get_tensor(k)))
              for k, t in types.items() if k != key}
    nodes = [{"edges": {c.local_name: c.node_id for c in n.children},
              "attributes": {a.name: (a.checkpoint_key, a.full_name) for a in n.attributes},
              "slots": [(s.original_variable_node_id, s.slot_name, s.slot_variable_node_id)
                        for s in n.slot_variables],
              "has": n.has_checkpoint_values.value if n.HasField("has_checkpoint_values") else None,
              "twice": len(n.children) - len({c.local_name for c in n.children})}
             for n in graph.nodes]
    return nodes, values
