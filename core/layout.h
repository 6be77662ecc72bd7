/*
 * layout.h - from the keys of a checkpoint to a tree of names
 *
 * By key: `dense/kernel` is the variable `kernel` in the scope `dense`.  By object
 * graph, where there is one: the names of its edges are the tree, and what the graph
 * does not reach as the value of a variable stands under its literal key.
 */
#pragma once

#include "core/bundle.h"
#include "core/graph.h"
#include "core/tree.h"

/*
 * Puts all entries of `bundle` into `tree`; `variables` are theirs, in the same
 * order.  `graph` is NULL for the literal keys.
 */
int layout_put(struct tree *tree, const struct bundle *bundle,
	       struct variable *const *variables, const struct graph *graph);
