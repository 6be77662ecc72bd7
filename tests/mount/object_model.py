"""A model of an object graph as users see it: what ln, mv, cp and rm do to edges and values."""
import itertools
import os
import shutil
import time

import jobs
import tree
from object_walks import VALUE


class Thing:
    """An object: a value or none, names below, slots of a variable."""

    def __init__(self, value=None, full_name=""):
        self.value, self.full_name = value, full_name
        self.edges = {}
        self.slots = {}  # {(optimizer, name): Thing}

    def reach(self):
        """All that edges lead to, itself first."""
        found, queue = [self], [self]
        for thing in queue:
            for child in thing.edges.values():
                if child not in found:
                    found.append(child)
                    queue.append(child)
        return found


def from_graph(nodes, values):
    """The model of a checkpoint, as programs.describe() tells of it."""
    made = [Thing() for _ in nodes]
    for thing, node in zip(made, nodes):
        if VALUE in node["attributes"]:
            key, thing.full_name = node["attributes"][VALUE]
            thing.value = values[key]
        thing.edges = {name: made[child] for name, child in node["edges"].items()}
        for variable, name, slot in node["slots"]:
            made[variable].slots[thing, name] = made[slot]
    return made[0]


def _alive(root):
    """The objects that have values or slots, or lead to one: an empty one is no matter."""
    everything = root.reach()
    found = {id(t) for t in everything if t.value is not None}
    found |= {id(o) for t in everything for o, _ in t.slots}
    while True:
        more = {id(t) for t in everything if any(id(c) in found for c in t.edges.values())}
        if more <= found:
            return found
        found |= more


def same(one, other):
    """What differs between two graphs, in names, sharing, values and slots; "" if nothing."""
    alive, pairs, queue = [_alive(one), _alive(other)], {}, [("", one, other)]
    for path, a, b in queue:
        if id(a) in pairs:
            if pairs[id(a)] is not b:
                return "%s: leads to another object" % path
            continue
        if any(known is b for known in pairs.values()):
            return "%s: is shared" % path
        pairs[id(a)] = b
        if (a.value, a.full_name) != (b.value, b.full_name):
            return "%s: %r, not %r" % (path, (b.value, b.full_name), (a.value, a.full_name))
        edges = [{n: c for n, c in t.edges.items() if id(c) in w} for t, w in zip((a, b), alive)]
        if edges[0].keys() != edges[1].keys():
            return "%s: has %s, not %s" % (path, sorted(edges[1]), sorted(edges[0]))
        queue += [(path + "/" + n, c, edges[1][n]) for n, c in edges[0].items()]
    return _same_slots(one, other, pairs)


def _same_slots(one, other, pairs):
    there = [{id(t) for t in root.reach()} for root in (one, other)]
    for a in one.reach():
        b = pairs.get(id(a))
        if b is None or a.value is None:
            continue
        slots = [{(id(pairs.get(id(o), o)) if which == 0 else id(o), n): s.value
                  for (o, n), s in t.slots.items() if id(o) in there[which]}
                 for which, t in enumerate((a, b))]
        if slots[0] != slots[1]:
            return "slots of %r: %r, not %r" % (a.full_name, slots[1], slots[0])
    return ""


class Steps:
    """One operation on the model and on the mount: step_NAME; names are never used twice."""

    def __init__(self, dice, root, top, first=0):
        self.dice, self.root, self.top = dice, root, top
        self.fresh = ("n%d" % i for i in itertools.count(first))
        self.trace = []
        self.pause = float(os.environ.get("WEIGHTFS_PAUSE", 0.01))

    # -------------------------------------------------------------- arguments
    def places(self):
        """[(object, a path to it, name, what stands there)], each edge once.

        Links to a directory that was removed lead nowhere, and what was there is empty;
        an optimizer may have slots all the same.
        """
        found, seen = [], {id(self.root)}
        queue = [(self.root, self.top)]
        for thing, path in queue:
            for name, child in thing.edges.items():
                if (not any(t.value is not None for t in child.reach())
                        and not os.path.exists(os.path.join(path, name))):
                    continue
                found.append((thing, path, name, child))
                if child.value is None and id(child) not in seen:
                    seen.add(id(child))
                    queue.append((child, os.path.join(path, name)))
        return found

    def pick(self, good=lambda place: True):
        able = [p for p in self.places() if p[2] != "save_counter" and good(p)]
        return self.dice.choice(able) if able else None

    def scope(self):
        """(object, path) of some directory."""
        able = [(self.root, self.top)] + [(c, os.path.join(p, n)) for _, p, n, c in self.places()
                                          if c.value is None]
        return self.dice.choice(able)

    def done(self, what, *paths):
        self.trace.append((what,) + tuple(os.path.relpath(p, self.top) for p in paths))

    def told(self, what=""):
        """What was done, for who reads why a walk failed."""
        return "\n".join([" ".join(x) for x in self.trace] + [what])

    # ------------------------------------------------------------------ steps
    def step_mkdir(self):
        thing, path = self.scope()
        name = next(self.fresh)
        self.done("mkdir", os.path.join(path, name))
        os.mkdir(os.path.join(path, name))
        thing.edges[name] = Thing()

    def step_rename(self):
        place, (to, to_path) = self.pick(), self.scope()
        if place is None:
            return
        thing, path, name, child = place
        if child.value is None and any(t is to for t in child.reach()):
            return
        new = next(self.fresh)
        old_path, new_path = os.path.join(path, name), os.path.join(to_path, new)
        self.done("mv", old_path, new_path)
        os.rename(old_path, new_path)
        to.edges[new] = thing.edges.pop(name)

    def step_exchange(self):
        a, b = self.pick(), self.pick()
        if a is None or b is None or a[3] is b[3]:
            return
        if any(t is y[0] or t is y[3] for x, y in ((a, b), (b, a)) for t in x[3].reach()):
            return
        paths = [os.path.join(p, n) for _, p, n, _ in (a, b)]
        if (a[3].value is None) != (b[3].value is None) or (
                os.path.islink(paths[0]) != os.path.islink(paths[1])):
            return  # one of another kind is refused
        self.done("exchange", *paths)
        jobs.exchange(*paths)
        a[0].edges[a[2]], b[0].edges[b[2]] = b[3], a[3]

    def step_copy(self):
        """cp of a variable, sidecars first."""
        place, (to, to_path) = self.pick(lambda p: p[3].value is not None), self.scope()
        if place is None:
            return
        _, path, name, child = place
        new = next(self.fresh)
        old_path, new_path = os.path.join(path, name), os.path.join(to_path, new)
        self.done("cp", old_path, new_path)
        for end in (".shape", ".dtype", ""):
            shutil.copyfile(old_path + end, new_path + end)
        to.edges[new] = Thing(child.value)

    def _copied(self, thing, path):
        """What cp -r makes of a directory; None if there are links in it."""
        made = Thing()
        for name, child in thing.edges.items():
            at = os.path.join(path, name)
            if os.path.islink(at):
                return None
            if child.value is None:
                below = self._copied(child, at)
                if below is None:
                    return None
            else:
                below = Thing(child.value)
                if os.path.isdir(at + ".d"):
                    below.slots = {k: Thing(s.value) for k, s in child.slots.items()}
            made.edges[name] = below
        return made

    def step_copy_all(self):
        place = self.pick(lambda p: p[3].value is None)
        to, to_path = self.scope()
        if place is None:
            return
        _, path, name, child = place
        old_path = os.path.join(path, name)
        made = self._copied(child, old_path)
        if made is None or os.path.islink(old_path) or any(t is to for t in child.reach()):
            return
        if not any(t.value is not None for t in made.reach()) or len(made.reach()) > 20:
            return
        new = next(self.fresh)
        self.done("cp -r", old_path, os.path.join(to_path, new))
        jobs.run(self.top, "cp -r '%s' '%s'" % (old_path, os.path.join(to_path, new)))
        to.edges[new] = made

    def step_write(self):
        place = self.pick(lambda p: p[3].value is not None)
        if place is None:
            return
        _, path, name, child = place
        content = self.dice.randbytes(len(child.value[2]))
        self.done("write", os.path.join(path, name))
        tree.write(os.path.join(path, name), content)
        child.value = (child.value[0], child.value[1], content)

    def step_symlink(self):
        """To a directory that is an object: a link to an empty one is only a text."""
        alive, (to, to_path) = _alive(self.root), self.scope()
        place = self.pick(lambda p: p[3].value is None and id(p[3]) in alive)
        if place is None:
            return
        new = next(self.fresh)
        target = os.path.relpath(os.path.realpath(os.path.join(place[1], place[2])),
                                 os.path.realpath(to_path))
        self.done("ln -s " + target, os.path.join(to_path, new))
        os.symlink(target, os.path.join(to_path, new))
        to.edges[new] = place[3]

    def step_link(self):
        place, (to, to_path) = self.pick(lambda p: p[3].value is not None), self.scope()
        if place is None:
            return
        new = next(self.fresh)
        self.done("ln", os.path.join(place[1], place[2]), os.path.join(to_path, new))
        os.link(os.path.join(place[1], place[2]), os.path.join(to_path, new))
        to.edges[new] = place[3]

    def _remove(self, thing, path):
        """As rm -r does: links are removed, not followed; the variables whose NAME.d went."""
        shown = []
        for name, child in list(thing.edges.items()):
            at = os.path.join(path, name)
            if child.value is None and not os.path.islink(at):
                shown += self._remove(child, at)
            if os.path.isdir(at + ".d"):
                shown.append(child)
            del thing.edges[name]
        return shown

    def _above(self, path):
        """The objects on the way to a directory, the root first and itself last."""
        found = [self.root]
        for part in os.path.relpath(os.path.realpath(path), self.top).split("/"):
            found += [found[-1].edges[part]] if part != "." else []
        return found

    def _pass_slots(self, variables, above):
        """Slots go to a name that is left, if it is in no directory that rm -r has listed."""
        left = [t for t in self.root.reach() if not any(t is x for x in above)]
        for variable in variables:
            if not any(c is variable for t in left for c in t.edges.values()):
                variable.slots.clear()

    def _remove_all(self, place):
        """rm -r of a directory."""
        thing, path, name, child = place
        if len(child.reach()) > 6 and self.dice.random() < 0.8:
            return
        at = os.path.join(path, name)
        self.done("rm -r", at)
        above = self._above(path)
        shown = self._remove(child, at)
        jobs.run(self.top, "rm -r '%s'" % at)
        del thing.edges[name]
        self._pass_slots(shown, above)

    def step_remove(self):
        place = self.pick()
        if place is None or self.dice.random() < 0.3:
            return
        thing, path, name, child = place
        at = os.path.join(path, name)
        if child.value is None and not os.path.islink(at):
            self._remove_all(place)
            return
        self.done("rm", at)
        if os.path.isdir(at + ".d"):
            jobs.run(self.top, "rm -r '%s.d'" % at)
            child.slots.clear()
        os.unlink(at)
        del thing.edges[name]

    def step_remove_slot(self):
        place = self.pick(lambda p: p[3].slots and os.path.isdir(
            os.path.join(p[1], p[2]) + ".d/slots"))
        if place is None:
            return
        _, path, name, child = place
        below = os.path.join(path, name) + ".d/slots"
        files = [os.path.join(r, f) for r, _, fs in os.walk(below) for f in fs if "." not in f]
        if not files:
            return
        gone = self.dice.choice(sorted(files))
        optimizer = self.root
        for part in os.path.relpath(os.path.dirname(gone), below).split("/"):
            optimizer = optimizer.edges.get(part)
            if optimizer is None:
                return  # that name of it went a moment ago
        self.done("rm", gone)
        os.unlink(gone)
        del child.slots[optimizer, os.path.basename(gone)]

    def walk(self, count):
        steps = [getattr(self, n) for n in sorted(dir(self)) if n.startswith("step_")]
        for _ in range(count):
            if self.dice.random() < self.pause:
                time.sleep(1.1)  # removals become final
            try:
                self.dice.choice(steps)()
            except (OSError, KeyError) as e:
                raise AssertionError(self.told(str(e))) from e

    def look(self):
        """The mount shows each edge: values, and names in each directory."""
        alive = _alive(self.root)
        for _, path, name, child in self.places():
            at = os.path.join(path, name)
            assert os.path.exists(at), self.told(at)
            if child.value is not None:
                assert tree.read(at) == child.value[2], self.told(at)
                continue
            names = {x for x in os.listdir(at) if "." not in x}
            lost = {n for n, c in child.edges.items() if id(c) in alive} - names
            assert not lost, self.told("%s: without %s" % (at, lost))
