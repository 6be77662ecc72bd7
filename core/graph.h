/*
 * graph.h - the object graph of a TF2 checkpoint, laid out as a tree
 *
 * An object-based checkpoint carries a TrackableObjectGraph: nodes, named edges
 * between them, and for each variable the key of its value.  Keys follow the
 * shortest path to a variable, which in Keras 3 runs through the optimizer; what a
 * person looks for are the edges.  So:
 *
 *  - an object is a directory at its first path, breadth first from node 0, and a
 *    link at every further edge;
 *  - a variable (a node with the attribute VARIABLE_VALUE) is a file in the
 *    directory of every object with an edge to it; edges of its own stand in its
 *    companion directory, at the first edge to it;
 *  - a variable's slots stand there too, below `slots`, below the path of the
 *    optimizer (none if that is the root), under the slot's name.
 *
 * Variables that several edges name appear several times with one key.  Of two
 * edges, or two slots, of one name in one directory the first wins.  A graph without
 * nodes has no items.
 *
 * Some values are not laid out, and their keys show as they are: the root's own,
 * those deeper than GRAPH_MAX_DEPTH, and slots
 *
 *  - of a variable or an optimizer that no edge reaches;
 *  - of a variable with an edge called `slots`;
 *  - of an optimizer whose path leads through the name of another slot;
 *  - that would make more items than the graph has bytes.
 */
#pragma once

#include <stddef.h>

#include "core/cleanup.h"
#include "core/coding.h"

#define GRAPH_KEY       "_CHECKPOINTABLE_OBJECT_GRAPH"
#define GRAPH_MAX_DEPTH 256
#define GRAPH_ROOT      ((size_t)-1)

enum graph_kind {
	GRAPH_DIRECTORY,
	GRAPH_VARIABLE,
	GRAPH_LINK
};

/* What stands under one name; parents come before their children. */
struct graph_item {
	enum graph_kind kind;
	/*
	 * The item it stands in, by position, or GRAPH_ROOT.  If that is a
	 * variable, it stands in the variable's companion directory.
	 */
	size_t parent;
	struct span name;      /* of the edge, raw */
	struct span key;       /* a variable's: where its value is */
	struct span full_name; /* a variable's: what the program called it */
	size_t target; /* a link's: the directory it leads to, or GRAPH_ROOT */
};

struct graph;

/*
 * Reads a serialized TrackableObjectGraph, which is copied.  -EIO where it does not
 * parse or names a node that is not there; the caller says which file it was.
 */
int graph_parse(struct span bytes, struct graph **ret);
void graph_free(struct graph *g);
DEFINE_CLEANUP(struct graph, graph_free)

/* Its items, which live as long as the graph. */
const struct graph_item *graph_items(const struct graph *g, size_t *ret_n);
