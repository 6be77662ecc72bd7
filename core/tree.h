/*
 * tree.h - the names in a checkpoint
 *
 * A tree has three kinds of nodes: scopes (directories), variables, and links to
 * scopes.  Nodes live until their name goes, so that who holds one (and the number
 * it is known by) keeps it through every change of the checkpoint: a new state is
 * put over the old one, between tree_begin() and tree_end(), and what was not put
 * again goes.
 *
 * A variable and a scope may have one name: the scope then shows as NAME.d, and does
 * so until it goes, whatever becomes of the variable.
 *
 * Not locked: the checkpoint's lock covers tree and nodes, but for references.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"
#include "core/variable.h"

struct tree;
struct node;

enum node_kind {
	NODE_SCOPE,
	NODE_VARIABLE,
	NODE_LINK
};

/*
 * Is told of each change of a name that could have been looked up: `name` came to or
 * went from the scope of number `scope`, or leads elsewhere now.  Called with the
 * checkpoint's lock held: it may only take a note.
 */
typedef void tree_observer(void *arg, uint64_t scope, struct span name);

/*
 * `next_id` hands out numbers, unique in all that is mounted.  Nothing is told until
 * the first tree_end(): before that, nobody has looked.
 */
int tree_new(uint64_t (*next_id)(void *arg), tree_observer *observer, void *arg,
	     struct tree **ret);
void tree_free(struct tree *t);
struct node *tree_root(const struct tree *t);

void tree_begin(struct tree *t);
/* Everything that was not put since tree_begin() is removed. */
void tree_end(struct tree *t);

/*
 * Put what stands under `component` (raw) in `parent`.  A scope that is there is
 * the answer; a variable or link whose name was put since tree_begin() by another
 * one is -EEXIST, and the caller finds another name.  `escape` percent-encodes the
 * first byte: the name that one finds.
 */
int tree_put_scope(struct tree *t, struct node *parent, struct span component,
		   struct node **ret);
int tree_put_variable(struct tree *t, struct node *parent,
		      struct span component, bool escape, struct variable *v,
		      struct node **ret);
int tree_put_link(struct tree *t, struct node *parent, struct span component,
		  struct node *target);

struct node *node_ref(struct node *n);
void node_unref(struct node *n);
enum node_kind node_kind(const struct node *n);
uint64_t node_id(const struct node *n);
struct variable *node_variable(const struct node *n);
/* NULL for the root, and for what has gone. */
struct node *node_parent(const struct node *n);
bool node_dead(const struct node *n);
size_t node_children(const struct node *n); /* of a scope */

/* The name as it shows, with `.d` where it has that. */
void node_put_name(const struct node *n, struct buf *out);
/* The path a link holds: relative, from its own directory. */
int node_put_target(const struct node *link, struct buf *out);
/* The path from the root of the tree; empty for the root. */
int node_put_path(const struct node *n, struct buf *out);

/* The node that shows as `name`, or NULL. */
struct node *tree_find(const struct tree *t, const struct node *scope,
		       struct span name);
/* The variable `stem`, for a sidecar; or NULL. */
struct node *tree_find_variable(const struct tree *t, const struct node *scope,
				struct span stem);

/*
 * The first child of `scope` whose place is `place` or later, and its place in
 * `ret_place`: places rise and are never given twice.  NULL at the end.
 */
struct node *node_child_at(const struct node *scope, uint64_t place,
			   uint64_t *ret_place);
