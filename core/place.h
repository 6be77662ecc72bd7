/*
 * place.h - what a name in a scope means
 */
#pragma once

#include "core/name.h"
#include "core/tree.h"

/*
 * A name taken apart.  `component` is what stands in the key; `variable` the node of a
 * variable or link there, whatever of it shows, or its ghost; `scope` that of a directory.
 */
struct place {
	struct node *parent;
	struct span name; /* as it was given; borrowed */
	enum name_suffix suffix;
	struct buf component;
	struct node *variable;
	struct node *scope;
	bool new_slash; /* no key has such a component: only the name of an edge */
};

/*
 * 0; -EINVAL if no key maps to the name.  A cut name is taken apart if something has it,
 * or the mount has shown it.
 */
int place_find(const struct tree *t, struct node *parent, struct span name,
	       struct place *ret);
void place_release(struct place *p);

/* The node that has the name now: a value, a link, or a scope; NULL if none does. */
struct node *place_node(const struct place *p);
/* The key that a variable has here; appended.  -EINVAL for those no index may have. */
int place_put_key(const struct place *p, struct buf *out);
