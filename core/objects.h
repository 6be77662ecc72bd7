/*
 * objects.h - the object graph of a TF2 checkpoint, to be changed
 *
 * A TrackableObjectGraph has nodes, here called objects, which are numbered; 0 is the
 * root.  An object has edges with names to others, attributes (a variable's is
 * VARIABLE_VALUE) with the key of what is stored, and, if it is an optimizer, slots: for
 * a variable and a name, the object of the slot variable.  TensorFlow restores along
 * edges and slots; keys only say where the bytes are.
 *
 * An object is *reached* if edges, and then slots of reached variables in reached
 * optimizers, lead to it from the root.  Each reached object has one *path*, from which
 * keys are made:
 *
 *	PATH/.ATTRIBUTES/ATTRIBUTE
 *	PATH of variable/.OPTIMIZER_SLOT/PATH of optimizer/SLOT/.ATTRIBUTES/ATTRIBUTE
 *
 * The path is the one that the keys already use, else a shortest one.  It changes only
 * when an edge on it goes.
 *
 * Numbers never change.  An object that goes stays as an empty node, and its number is
 * not used again.  Unknown fields of the messages are kept.
 *
 * To change a graph: any number of edits, then objects_tidy(), which tells which keys
 * have gone and which have other names now.  Between an edit and objects_tidy(), paths
 * and keys are those of before, or there are none.  An edit costs the same however large
 * the graph is, and objects_tidy() as much as what hung on the edges that were edited.
 *
 * Not locked.  All functions that return int return 0 or a negative errno, -ENOMEM where
 * nothing else is said, and have then changed nothing.  Ids must be below
 * objects_count().  Spans that are returned live until the next edit or objects_tidy().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/cleanup.h"
#include "core/coding.h"

#define OBJECTS_ROOT ((size_t)0)
#define OBJECTS_NONE ((size_t)-1)

/* In keys, as above. */
#define OBJECTS_ATTRIBUTES "/.ATTRIBUTES/"
#define OBJECTS_VALUE      "VARIABLE_VALUE"

/* Objects deeper than this, or with longer paths, keep their keys when they move. */
#define OBJECTS_MAX_DEPTH 256
#define OBJECTS_MAX_PATH  ((size_t)64 << 10)

struct objects;

/* --- a graph ------------------------------------------------------------------- */

/*
 * Reads a serialized TrackableObjectGraph, which is copied.  -EIO where it does not
 * parse, has no node, or names a node that is not there; the caller says which file it
 * was.
 */
int objects_parse(struct span bytes, struct objects **ret);
void objects_free(struct objects *o);
DEFINE_CLEANUP(struct objects, objects_free)

/*
 * Appends the serialized graph to `out`: that of a graph from TensorFlow which was not
 * changed is the same bytes.  What was changed must have been tidied.
 */
int objects_encode(struct objects *o, struct buf *out);

/* Whether something was changed since objects_parse() or the last objects_settle(). */
bool objects_changed(const struct objects *o);
void objects_settle(struct objects *o);

/* --- looking --------------------------------------------------------------------- */

/* An edge, and a slot, as they are shown; they live until they are removed. */
struct objects_edge {
	size_t parent;
	size_t child;
	struct span name; /* raw: not escaped */
};

struct objects_slot {
	size_t optimizer;
	size_t variable; /* the original one */
	size_t slot;     /* the slot variable */
	struct span name;
};

/* How many objects there are, empty nodes included. */
size_t objects_count(const struct objects *o);

/*
 * The edges that leave an object, in order, and those that lead to it: the one after
 * `after`, or the first if that is NULL; NULL after the last.  Of several edges of one
 * name in one object only the first is found by name; they go together.
 */
const struct objects_edge *objects_next_child(
	const struct objects *o, size_t id, const struct objects_edge *after);
const struct objects_edge *objects_next_parent(
	const struct objects *o, size_t id, const struct objects_edge *after);
/* Where the edge leads, or OBJECTS_NONE. */
size_t objects_child(const struct objects *o, size_t parent, struct span name);

/* The slots of an optimizer. */
const struct objects_slot *objects_next_slot_in(
	const struct objects *o, size_t optimizer,
	const struct objects_slot *after);
/* The first slot for a variable, and the first that a slot variable is; NULL for none. */
const struct objects_slot *objects_slot_for(const struct objects *o,
					    size_t variable);
const struct objects_slot *objects_slot_as(const struct objects *o,
					   size_t slot);
/* The slot variable, or OBJECTS_NONE. */
size_t objects_slot(const struct objects *o, size_t variable, size_t optimizer,
		    struct span name);

/* The key of its value; false if it has none. */
bool objects_key(const struct objects *o, size_t id, struct span *ret);
/* The name that a TF1 Saver knows the value by; empty if there is none. */
struct span objects_full_name(const struct objects *o, size_t id);
/* Whether it has attributes other than a value: a table, an iterator, Python state. */
bool objects_has_state(const struct objects *o, size_t id);
/* Whether the key is such an attribute's, or begins so: tables have several. */
bool objects_names_state(const struct objects *o, struct span key);
/* The object whose value has the key, or OBJECTS_NONE. */
size_t objects_find_key(const struct objects *o, struct span key);
/* The object that an attribute's key begins as: whose `.../.ATTRIBUTES/` it is. */
size_t objects_find_owner(const struct objects *o, struct span key);

/*
 * 1 if `o` has, by the same names, every edge, slot and value that `said` has, and what is
 * one or two in `said` is so in `o`.  0 if not; numbers and keys do not count.
 */
int objects_hold(const struct objects *o, const struct objects *said);

/* --- keys -------------------------------------------------------------------------- */

/*
 * Appends the key that an attribute of the object has by its path, such as
 * OBJECTS_VALUE.  -ENOENT if it has no path now, -ENAMETOOLONG beyond the limits above.
 */
int objects_make_key(const struct objects *o, size_t id, const char *attribute,
		     struct buf *out);

/* Appends a component as it stands in keys: `.` is `..`, and `/` is `.S`. */
void objects_escape(struct span name, struct buf *out);
/* Appends what a component of a key stands for; false if it stands for nothing. */
bool objects_unescape(struct span component, struct buf *out);

struct objects_key_parts {
	struct span path;      /* escaped, of the object or of the variable */
	bool is_slot;          /* then: */
	struct span optimizer; /* its path, escaped */
	struct span slot;      /* its name, escaped */
	struct span attribute; /* escaped */
};

/* Takes a key apart; false if it is not one of those above. */
bool objects_split_key(struct span key, struct objects_key_parts *ret);
/* Where the path or slot of the key leads from the root, or OBJECTS_NONE. */
size_t objects_resolve_key(const struct objects *o, struct span key);

/* --- edits ------------------------------------------------------------------------- */

/* Makes an empty object at the end of `parent`.  -EEXIST if there is such an edge. */
int objects_add(struct objects *o, size_t parent, struct span name,
		size_t *ret);
/* One more edge to an object.  -EEXIST. */
int objects_link(struct objects *o, size_t parent, struct span name, size_t id);
/* Takes an edge away; what cannot be reached any more goes when tidied.  -ENOENT. */
int objects_unlink(struct objects *o, size_t parent, struct span name);
/* Gives an edge another name and place.  -ENOENT, -EEXIST. */
int objects_move(struct objects *o, size_t parent, struct span name,
		 size_t new_parent, struct span new_name);
/* Lets two edges lead to each other's objects.  -ENOENT. */
int objects_exchange(struct objects *o, size_t parent_a, struct span name_a,
		     size_t parent_b, struct span name_b);

/*
 * The object has a value, stored under `key` (usually from objects_make_key()); a copy
 * has an empty full name.  -EEXIST if another object's value has that key.
 */
int objects_set_value(struct objects *o, size_t id, struct span key,
		      struct span full_name);
/*
 * Its value goes, and with it all its slots; if it is a slot variable, that slot.  All
 * edges to it go when tidied, if no edge leaves it.  -ENOENT if it has none.
 */
int objects_clear_value(struct objects *o, size_t id);
/* If it has no value, edges to it go as if it had lost one, unless edges leave it. */
int objects_abandon(struct objects *o, size_t id);

/*
 * A slot of a variable in an optimizer: a new empty object, whose path is the slot's.
 * -EEXIST.
 */
int objects_add_slot(struct objects *o, size_t variable, size_t optimizer,
		     struct span name, size_t *ret);
/* -ENOENT */
int objects_remove_slot(struct objects *o, size_t variable, size_t optimizer,
			struct span name);

/* --- afterwards -------------------------------------------------------------------- */

/*
 * What objects_tidy() tells.  With `prefix`, all keys of the checkpoint that begin so are
 * meant: the graph does not know the keys of tables and iterators whole.  The value of
 * such an object is told by the prefix, too.
 *
 * Renames are to be done together, since keys can trade places; removals come first.
 * What a callback returns does not stop the others; objects_tidy() returns the first
 * error.
 */
struct objects_changes {
	void *arg;
	/* Whether a key that the graph does not know is in use; may be NULL. */
	bool (*taken)(void *arg, struct span key);
	int (*removed)(void *arg, size_t id, struct span key, bool prefix);
	int (*renamed)(void *arg, size_t id, struct span key, struct span now,
		       bool prefix);
};

/*
 * Ends some edits:
 *
 *  - edges to objects that have lost their value, and have no edges, go;
 *  - what is not reached any more loses all it has: attributes, edges, slots;
 *  - what has another path now gets the keys of that.  If such a key is another's, a
 *    number is appended to the path.  A key that was not that of the path before stays,
 *    and so does one beyond the limits above.
 *
 * What was not reached before the edits is left as it is.  Callbacks must not call
 * anything here but what looks.  May be called at any time; -ENOMEM leaves the edits to
 * be tidied.
 */
int objects_tidy(struct objects *o, const struct objects_changes *changes);
