/*
 * bond.h - what ties a name in the tree to the object graph
 *
 * In an object-based checkpoint a path of the tree is a path of edges.  A bond is the last
 * step of it:
 *
 *	BOND_EDGE	an edge of the object `owner`, or one that could be made
 *	BOND_SLOT	a slot of the variable `owner` in an optimizer, or one that could
 *			be: VARIABLE.d/slots/OPTIMIZER PATH/NAME
 *	BOND_NONE	nothing of the graph: a key that stands as it is, such as those of
 *			tables, iterators and Python state, and the graph itself
 *
 * Where objects on the way are not there, the owner is OBJECTS_NONE until bond_make()
 * makes them.
 */
#pragma once

#include "core/objects.h"
#include "core/tree.h"

enum bond_kind {
	BOND_NONE,
	BOND_EDGE,
	BOND_SLOT
};

struct bond {
	enum bond_kind kind;
	size_t owner;     /* the object that has the edge; a slot's variable */
	size_t optimizer; /* of a slot */
	struct span name; /* of the edge or slot; borrowed */
	size_t id; /* what it leads to; OBJECTS_NONE if it is not there */
};

/* Of the name `component` (raw, and borrowed) in `scope`. */
int bond_find(struct objects *o, const struct node *scope,
	      struct span component, struct bond *ret);
/* The same, and the objects on the way are made: the owner is there. */
int bond_make(struct objects *o, const struct node *scope,
	      struct span component, struct bond *ret);
/* The object that `scope` is, or OBJECTS_NONE: the root, a directory, a variable. */
int bond_of_scope(struct objects *o, const struct node *scope, size_t *ret);

/* Takes the edge or slot away, if it is there. */
int bond_cut(struct objects *o, const struct bond *b);

/*
 * The key that a new variable has there, as long as it is not in the graph; appended.
 * Only its form is sure.
 */
int bond_put_key(const struct bond *b, const struct node *scope,
		 struct buf *out);

/* As a key that no variable has, for pending.h, and back; a bond without `id`. */
void bond_put(const struct bond *b, struct buf *out);
bool bond_get(struct span text, struct bond *ret);
