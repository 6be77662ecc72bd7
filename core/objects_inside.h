/*
 * objects_inside.h - what the files of an object graph share besides objects.h
 *
 * Messages are kept as they were read, for what is unknown in them; lists of edges and
 * slots are kept beside them, and put into them only to be serialized.
 *
 * One index finds edges by parent and name, slots by variable, optimizer and name, and
 * objects by *home*: what their keys begin with, up to `/.ATTRIBUTES/`.  Those of one
 * name stand in it in their order.
 *
 * The paths of reached objects make a tree: `via` is the last edge of the path, or
 * `via_slot` the slot that it is.  Nothing is reached through a slot variable.  What lost
 * its place in that tree, with an edge or a slot, is listed in `loose` until it is tidied;
 * what hangs on it is not.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "core/list.h"
#include "core/objects.h"
#include "proto/trackable_object_graph.pb-c.h"

#define OBJECTS_SLOT "/.OPTIMIZER_SLOT/"

typedef Tensorflow__TrackableObjectGraph objects_graph;
typedef Tensorflow__TrackableObjectGraph__TrackableObject objects_message;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__ObjectReference
	objects_reference;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__SerializedTensor
	objects_attribute;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__SlotVariableReference
	objects_slot_reference;

/* What the index holds; part of an edge, a slot or an object. */
struct objects_name {
	struct objects_name *next;
	void *owner;
	uint64_t hash;
	size_t a, b; /* where the name counts: see objects_index.c */
	struct span name;
};

struct objects_index {
	struct objects_name **buckets;
	size_t n_buckets;
	size_t n;
	uint64_t seed;
};

struct edge {
	struct objects_edge shown; /* first: what is shown is the edge */
	struct objects_name name;
	objects_reference *message;
	TAILQ_ENTRY(edge) out;
	TAILQ_ENTRY(edge) in;
};

struct slot {
	struct objects_slot shown; /* first */
	struct objects_name name;
	objects_slot_reference *message;
	TAILQ_ENTRY(slot) in;
	TAILQ_ENTRY(slot) variables;
	TAILQ_ENTRY(slot) as;
};

TAILQ_HEAD(edges, edge);
TAILQ_HEAD(slots, slot);

struct objects_node {
	size_t id;
	objects_message *message;
	struct edges out;
	struct edges in;
	struct slots slots_in;  /* of this optimizer */
	struct slots slots_for; /* of this variable */
	struct slots slots_as;  /* that are this slot variable */
	struct objects_name home;
	bool has_home; /* it is in the index */
	bool placed;   /* the home is the path */
	bool leaving;  /* its keys change or go, while objects_rename() plans */
	size_t value;  /* which attribute is the value, or OBJECTS_NONE */
	bool reached;
	bool listed; /* in `loose` */
	bool hollow; /* has lost its value: goes, unless edges leave it */
	const struct edge *via;
	const struct slot *via_slot;
	size_t depth; /* of the path, where there is one */
};

struct objects {
	objects_graph *proto; /* without its nodes */
	struct list nodes;
	struct list loose;
	struct objects_index index;
	bool changed;
	bool was_edited; /* ever: then has_checkpoint_values may be wrong */
};

struct objects_node *objects_node(const struct objects *o, size_t id);
/* Whether edges lead to it by what is known now, so that what hangs on it has a path. */
bool objects_has_place(const struct objects_node *n);
/* Into the index: of those of one name the one that came last is found first. */
void objects_enter_edge(struct objects *o, struct edge *e);
void objects_enter_slot(struct objects *o, struct slot *s);

/* --- objects_index.c --- */

int objects_index_init(struct objects_index *x, size_t n);
void objects_index_release(struct objects_index *x);
/* Enters a name in front of others that are the same. */
void objects_index_put(struct objects_index *x, struct objects_name *name);
void objects_index_drop(struct objects_index *x, struct objects_name *name);
struct objects_name *objects_index_find(const struct objects_index *x, size_t a,
					size_t b, struct span name);
/* The next one that is the same. */
struct objects_name *objects_index_next(const struct objects_name *name);

struct edge *objects_find_edge(const struct objects *o, size_t parent,
			       struct span name);
struct slot *objects_find_slot(const struct objects *o, size_t variable,
			       size_t optimizer, struct span name);

/* --- objects_key.c --- */

struct span objects_bytes(ProtobufCBinaryData data);
/* A copy; false if there is no memory. */
bool objects_copy(struct span bytes, ProtobufCBinaryData *ret);
/* What stands before `/.ATTRIBUTES/`; false if there is no such. */
bool objects_split_home(struct span key, struct span *ret_home,
			struct span *ret_attribute);
/* The key of its attribute, and the home that this makes. */
void objects_find_home(struct objects_node *n);
/* Enters it in the index, and sees whether it is the path; or takes it out. */
void objects_enter_home(struct objects *o, struct objects_node *n);
void objects_leave_home(struct objects *o, struct objects_node *n);
/* Whether the home is the path. */
void objects_see_place(const struct objects *o, struct objects_node *n);
/* The objects that have a home. */
struct objects_node *objects_first_at(const struct objects *o,
				      struct span home);
struct objects_node *objects_next_at(const struct objects_node *n);
/* Appends the path: -ENOENT if it has none, -ENAMETOOLONG. */
int objects_put_path(const struct objects *o, const struct objects_node *n,
		     struct buf *out);
/* Lets the paths of objects follow their keys, as far as these can be followed. */
void objects_follow_keys(struct objects *o);

/* --- objects.c --- */

/* An object at the end, which owns the message. */
int objects_add_node(struct objects *o, objects_message *message,
		     struct objects_node **ret);
/* Frees what leaves the object, and the object; not what leads to it. */
void objects_release_node(struct objects_node *n);
void objects_release_edge(struct edge *e);
void objects_release_slot(struct slot *s);
void objects_release_message(objects_message *m);

/* --- objects_edit.c --- */

/* An empty message, as those of the graph are. */
objects_message *objects_new_message(const struct objects *o);
/* Takes it out of all lists, and frees it; what had its path by it has none then. */
void objects_drop_edge(struct objects *o, struct edge *e);
void objects_drop_slot(struct objects *o, struct slot *s);
/* Lists it, if it is not listed. */
int objects_set_loose(struct objects *o, struct objects_node *n);

/* --- objects_rename.c --- */

/*
 * Once paths are what they shall be: what is loose gets new keys, or loses all it has.
 * -ENOMEM has changed nothing.  `ret_told` is what telling came to.
 */
int objects_rename(struct objects *o, const struct objects_changes *changes,
		   int *ret_told);
