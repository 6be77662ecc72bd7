"""What must hold in an object-based checkpoint, and what its graph says by paths."""
import programs  # noqa: F401  (what the judge runs)

VALUE = "VARIABLE_VALUE"
MARK = "/.ATTRIBUTES/"


def escape(name):
    return name.replace(".", "..").replace("/", ".S")


def reach(nodes):
    """{node: path of escaped names} breadth first, slots after; slots have no path."""
    first, queue = {0: ""}, [0]
    for number in queue:
        for name, child in nodes[number]["edges"].items():
            if child not in first:
                first[child] = escape(name) if number == 0 else first[number] + "/" + escape(name)
                queue.append(child)
    reached = set(first)
    for optimizer, node in enumerate(nodes):
        for variable, _, slot in node["slots"]:
            if optimizer in first and variable in first:
                reached.add(slot)
    return reached


def _leads(nodes, path):
    """The node that escaped names lead to, or None."""
    at = 0
    for part in path.split("/") if path else ():
        name = part.replace("..", "\0").replace(".S", "/").replace("\0", ".")
        at = nodes[at]["edges"].get(name)
        if at is None:
            return None
    return at


def _leads_key(nodes, key):
    home = key.split(MARK)[0]
    if "/.OPTIMIZER_SLOT/" not in home:
        return _leads(nodes, home)
    variable, rest = home.split("/.OPTIMIZER_SLOT/")
    optimizer, slot = rest.rsplit("/", 1)
    owner, of = _leads(nodes, optimizer), _leads(nodes, variable)
    if owner is None or of is None:
        return None
    return next((s for v, n, s in nodes[owner]["slots"] if v == of and escape(n) == slot), None)


def faults(nodes, values):
    """All that is wrong: with keys, edges, slots."""
    found, named, beginnings = [], [], []
    reached = reach(nodes)
    for i, node in enumerate(nodes):
        if i not in reached:
            if node["edges"] or node["attributes"] or node["slots"]:
                found.append("%d is not reached, and not empty: %r" % (i, node))
            continue
        if node["twice"]:
            found.append("%d has edges of one name" % i)
        for name, (key, _) in node["attributes"].items():
            if name == VALUE:
                named.append(key)
            else:
                beginnings.append(key.split(MARK)[0] + MARK)
                if not any(k.startswith(beginnings[-1]) for k in values):
                    found.append("%d has nothing below %s" % (i, beginnings[-1]))
            if _leads_key(nodes, key) != i:
                found.append("%s does not lead back to %d" % (key, i))
        for variable, name, slot in node["slots"]:
            if variable not in reached or slot not in reached:
                found.append("slot %s of %d names what is not reached" % (name, i))
            elif VALUE not in nodes[variable]["attributes"] or VALUE not in nodes[slot]["attributes"]:
                found.append("slot %s of %d names what has no value" % (name, i))
        if node["attributes"] and node["has"] is False:
            found.append("%d is said to have no values" % i)
        if any(nodes[c]["has"] for c in node["edges"].values()) and node["has"] is False:
            found.append("%d is said to have no values below" % i)
    if len(set(named)) < len(named):
        found.append("keys are named twice: %r" % sorted(named))
    for key in named:
        if key not in values:
            found.append("%s is not in the index" % key)
    for key in values:
        if key not in named and not any(key.startswith(b) for b in beginnings):
            found.append("%s is in the index, and nobody's" % key)
    return found


def check(judge, prefix):
    """Asserts that nothing is wrong: nodes and values."""
    nodes, values = judge.program_describe(prefix)
    assert not faults(nodes, values)
    return nodes, values


def by_path(nodes, values, depth=8):
    """{path of names: value, or None for an object}, {(path, optimizer path, slot): value}."""
    paths, slots, of = {}, {}, {}
    queue = [((), 0)]
    for path, number in queue:
        of.setdefault(number, []).append(path)
        for name, child in nodes[number]["edges"].items():
            key = nodes[child]["attributes"].get(VALUE, (None,))[0]
            paths[path + (name,)] = values[key] if key else None
            if len(path) < depth and child not in _above(nodes, path):
                queue.append((path + (name,), child))
    for optimizer, node in enumerate(nodes):
        for variable, name, slot in node["slots"]:
            value = values[nodes[slot]["attributes"][VALUE][0]]
            for p in of.get(variable, ()):
                for q in of.get(optimizer, ()):
                    slots[p, q, name] = value
    return paths, slots


def _above(nodes, path):
    """The nodes on the way to a path: cycles end there."""
    at, found = 0, {0}
    for name in path:
        at = nodes[at]["edges"][name]
        found.add(at)
    return found
