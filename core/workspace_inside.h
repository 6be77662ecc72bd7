/*
 * workspace_inside.h - what the files of a workspace share besides workspace.h
 *
 *	workspace.c		what is there: lookups, listings, what is taken over
 *	workspace_change.c	names that are made and removed
 *	workspace_rename.c	names that change; workspace_move.h has how
 *
 * and where names are the edges of an object graph (workspace_graph.h):
 *
 *	workspace_graph.c	from names to objects, and to keys
 *	workspace_keys.c	keys that follow the paths
 *	workspace_links.c	further edges
 *	workspace_companion.c	where the slots of a variable stand
 *	workspace_mirror.c	the paths below `slots`
 *	workspace_commit.c	the graph as a value
 */
#pragma once

#include "core/workspace.h"

#define WORKSPACE_DOOM_MS UINT64_C(1000) /* a variable that was removed */

uint64_t workspace_next_id(const struct workspace *ws);

struct tree *workspace_tree(const struct workspace *ws);

unsigned workspace_bit(enum facet facet);

bool workspace_is_sidecar(const struct place *p);

enum facet workspace_facet_of(const struct place *p);

struct object workspace_object_of(struct node *n, enum facet facet);

bool workspace_lingers(const struct node *n);

/*
 * A copy whose type came in extended attributes is a variable, with sidecars, before
 * those are copied: to who makes them they are not there yet, until it has copied
 * nothing for a while, and everybody else sees them.
 */
void workspace_await(struct workspace *ws, struct node *n, pid_t maker,
		     unsigned sidecars);
bool workspace_awaits(const struct workspace *ws, const struct node *n,
		      enum facet facet, pid_t by);

/* As place_find(), for what is to be made there: -EINVAL also for what no key here can have. */
int workspace_find_place(const struct workspace *ws, struct node *parent,
			 struct span name, struct place *ret);

/* The same, after a log line. */
int workspace_new_place(const struct workspace *ws, struct node *parent,
			struct span name, struct place *ret);

#define WHY_SCOPE_ONLY "what ends in .d is the scope of a variable"
#define WHY_SIDECAR_ONLY                                                 \
	"what ends in .shape or .dtype is a sidecar (write %2E for the " \
	"dot of a key that ends so)"
#define WHY_OWN_COMPANION                                                \
	"a variable has no name below its own NAME.d: with the name of " \
	"that it would go out of reach"
/* -EINVAL after a log line. */
int workspace_refuse_name(const struct workspace *ws, struct span name,
			  const char *why);
/* -EOPNOTSUPP after a log line: the graph cannot be changed. */
int workspace_refuse_objects(const struct workspace *ws, struct span name);
/* -EPERM after a log line: it is no value of an object. */
int workspace_refuse_literal(const struct workspace *ws, struct span name);
/* -EPERM after a log line. */
int workspace_refuse_link(const struct workspace *ws, struct span name);

int workspace_check_graph(const struct workspace *ws, struct span name);

void workspace_forget_bound(struct workspace *ws);

/* The node of `v`, one of them; perhaps its ghost. */
struct node *workspace_find_node(const struct workspace *ws,
				 struct variable *v);

struct node *workspace_live_node(const struct workspace *ws,
				 struct variable *v);

/* What is on disk under the name of `v` was spared for it, and goes after all. */
void workspace_doom_again(struct workspace *ws, struct variable *v);

/* Whether nothing says that what has such a name is a variable. */
bool workspace_is_scratch(const struct workspace *ws, const struct place *p);
/* The files of a variable that are to be seen now. */
unsigned workspace_shown(struct variable *v);
/* What is on disk under the key goes soon, unless the name comes back. */
void workspace_doom(struct workspace *ws, struct span key);
/* The name of `v` came back; true if something of that name was about to go. */
bool workspace_rescue(struct workspace *ws, struct variable *v);
/* The name of a variable goes, and `rest` is remembered. */
int workspace_ghost(struct workspace *ws, struct node *n,
		    struct variable *rest);
/* A sidecar goes: for good if it was all there is, else until it is missed. */
void workspace_drop_sidecar(struct workspace *ws, struct node *n,
			    enum facet facet);
/* A scope that has lost its last name stays until somebody removes it. */
void workspace_keep_emptied(struct node *scope);
