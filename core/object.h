/* object.h - what has a name in a checkpoint */
#pragma once

#include <stdbool.h>

#include "core/tree.h"
#include "core/variable.h"

/* A node, and with it, for the first three facets, a variable. */
struct object {
	enum facet facet;
	struct node *node;         /* counted; of scopes and links */
	struct variable *variable; /* counted; of the others */
	bool brief; /* may be gone in a moment: to be looked up each time */
};
void object_release(struct object *o);
