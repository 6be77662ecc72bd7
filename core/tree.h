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
 * The node of a variable says which of its three files show: only a sidecar, before
 * somebody made the value.  When a variable loses its name, the node stays as a ghost,
 * which nothing lists: what had the name is remembered, and its sidecars can still be
 * found for a while.  Whoever puts something else under the name takes its place.
 *
 * What was made through the mount, and is not on disk, is to be kept: a new state does
 * not sweep it away.
 *
 * Not locked: the checkpoint's lock covers tree and nodes, but for references.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/cuts.h"
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
 * `next_id` hands out numbers, unique in all that is mounted; `root_id` is that of the
 * root, or 0 for a new one; `cuts`, borrowed, is told of names that are cut, and may
 * be NULL.  Nothing is told until
 * the first tree_end(): before that, nobody has looked.
 */
int tree_new(uint64_t (*next_id)(void *arg), tree_observer *observer, void *arg,
	     struct cuts *cuts, uint64_t root_id, struct tree **ret);
void tree_free(struct tree *t);
struct node *tree_root(const struct tree *t);
struct cuts *tree_cuts(const struct tree *t);

void tree_begin(struct tree *t);
/* Everything that was not put since tree_begin() is removed. */
void tree_end(struct tree *t);
/* Scopes that were made, or have become empty, are not kept by the next tree_end(). */
void tree_forget_scopes(struct tree *t);

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

/* Makes a scope, as NAME.d if `dotted`; -EEXIST. */
int tree_make_scope(struct tree *t, struct node *parent, struct span component,
		    bool dotted, struct node **ret);
/* As tree_put_variable(), for a name that is made through the mount; it is kept. */
int tree_make_variable(struct tree *t, struct node *parent,
		       struct span component, struct variable *v,
		       unsigned shows, struct node **ret);
/*
 * As tree_put_link(), for a link that is made through the mount and kept; `target` may be
 * NULL, and while it is the link holds `text`.  -EEXIST.
 */
int tree_make_link(struct tree *t, struct node *parent, struct span component,
		   struct node *target, struct span text, struct node **ret);
/* A link that was made leads to `target`, which had not been there. */
void tree_aim(struct node *link, struct node *target);
/* The name goes: of a scope that has no live children, of a link, of a ghost. */
void tree_remove(struct tree *t, struct node *n);
/*
 * The variable of `n` loses the name.  It stays as a ghost, of `rest`: that variable or
 * one that looks like it.
 */
void tree_bury(struct tree *t, struct node *n, struct variable *rest);
/* A scope goes with all that is below it, live or not. */
void tree_drop(struct tree *t, struct node *scope);
/*
 * An empty scope that nothing lists, as NAME.d, at a place that a scope has just left: who
 * moves all names one by one finds it.  A ghost, like that of a variable.
 */
void tree_linger(struct tree *t, struct node *parent, struct span component);
/* A scope, or a link, goes elsewhere, with all that is in it; the name there is free. */
int tree_move(struct tree *t, struct node *n, struct node *parent,
	      struct span component, bool dotted);
/*
 * Each of two nodes gets the place of the other; -EINVAL where a variable would have to
 * show as NAME.d; -EEXIST where there would be two scopes, or two files, of a name.
 */
int tree_exchange(struct tree *t, struct node *a, struct node *b);
/* The name leads to `v`, all of which shows. */
void tree_lead(struct tree *t, struct node *n, struct variable *v);
/* Every name that leads to `from` leads to `to`. */
void tree_lead_all(struct tree *t, struct variable *from, struct variable *to);

/* Which files of a variable show. */
#define SHOWS_VALUE 1U
#define SHOWS_SHAPE 2U
#define SHOWS_DTYPE 4U
#define SHOWS_ALL   7U
unsigned node_shows(const struct node *n);
void tree_show(struct tree *t, struct node *n, unsigned shows);
bool node_ghost(const struct node *n);
/* The sidecars that show, and that who has copied the value may yet make. */
unsigned node_awaits(const struct node *n, pid_t maker);
void node_await(struct node *n, pid_t maker, unsigned sidecars);
/*
 * Milliseconds, as the caller counts them: when it became a ghost, hid a sidecar, or was
 * made.
 */
uint64_t node_since(const struct node *n);
void node_set_since(struct node *n, uint64_t since);
/* It is not on disk: a new state of that does not remove it. */
void node_keep(struct node *n, bool keep);

/* Whether a scope shows as NAME.d. */
bool node_dotted(const struct node *n);
/* What it adds to a key; appended. */
int node_put_component(const struct node *n, struct buf *out);
/* Whether something in the scope lives: no ghosts. */
bool node_empty(const struct node *scope);
/* The key that a name-based checkpoint has at this place; appended. */
int node_put_key(const struct node *n, struct buf *out);
/*
 * Calls `each` for every live variable below `scope`; stops at what is not 0, and returns
 * it.  `each` may not change names.
 */
int node_each_variable(struct node *scope,
		       int (*each)(void *arg, struct node *n), void *arg);
/* The same for links. */
int node_each_link(struct node *scope, int (*each)(void *arg, struct node *n),
		   void *arg);

struct node *node_ref(struct node *n);
void node_unref(struct node *n);
DEFINE_CLEANUP(struct node, node_unref)
enum node_kind node_kind(const struct node *n);
uint64_t node_id(const struct node *n);
struct variable *node_variable(const struct node *n);
/* NULL for the root, and for what has gone. */
struct node *node_parent(const struct node *n);
bool node_dead(const struct node *n);

/*
 * The nodes that have the variable, ghosts among them, the latest first: the one after
 * `after`, or the first if that is NULL.
 */
struct node *node_next_name(struct variable *v, struct node *after);
/* Where a link leads; NULL if it was made and leads nowhere yet. */
struct node *node_target(const struct node *link);

/* The name as it shows, with `.d` where it has that. */
void node_put_name(const struct node *n, struct buf *out);
/*
 * The path a link holds: relative, from its own directory.  If what it leads to has gone,
 * where that was.
 */
int node_put_target(const struct node *link, struct buf *out);
/* The path from the root of the tree; empty for the root. */
int node_put_path(const struct node *n, struct buf *out);

/* The node whose value, directory or link shows as `name`, or NULL. */
struct node *tree_find(const struct tree *t, const struct node *scope,
		       struct span name);
/* The variable `stem`, whatever of it shows, or its ghost; or NULL. */
struct node *tree_find_variable(const struct tree *t, const struct node *scope,
				struct span stem);

/* The same, and links. */
struct node *tree_find_file(const struct tree *t, const struct node *scope,
			    struct span stem);
/* The node of a variable that has this path for a key, or its ghost; or NULL. */
struct node *tree_find_key(const struct tree *t, struct span key);
/* The scope of the component, however it shows, or NULL. */
struct node *tree_find_scope(const struct tree *t, const struct node *parent,
			     struct span component);

/*
 * The first child of `scope` whose place is `place` or later, and its place in
 * `ret_place`: places rise and are never given twice.  NULL at the end.
 */
struct node *node_child_at(const struct node *scope, uint64_t place,
			   uint64_t *ret_place);
