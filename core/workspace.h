/*
 * workspace.h - the names in a checkpoint, and what is done to them
 *
 * A workspace is the present state of a checkpoint as a mount shows it: the tree of its
 * catalog, with what was changed since, and the changes that the disk has not got yet.
 * Keys follow names: where the keys are the tree, a name that changes changes the keys
 * of all that is below it, and no byte moves.
 *
 * The names of files are these:
 *
 *	NAME		the value of a variable
 *	NAME.shape	its sidecars; before there is a value, what it has to fit;
 *	NAME.dtype	  after it has gone, for a minute, so that who removes or renames
 *			  all of them one by one finds them
 *	NAME.d		the scope, where NAME is a variable
 *
 * A name like those of editors' swap and backup files is scratch: what is made under it
 * is never stored, unless something says that it is a variable.
 *
 * In an object-based checkpoint names are edges of the graph, and change that:
 * workspace_graph.h.
 *
 * Not locked: the checkpoint's locks cover all of it.
 */
#pragma once

#include "core/attributes.h"
#include "core/catalog.h"
#include "core/checkpoint_config.h"
#include "core/object.h"
#include "core/pending.h"
#include "core/place.h"

struct workspace {
	const struct checkpoint_config *config;
	const char *label;
	struct catalog *catalog;
	struct pending *pending;
	struct shard *
		shard; /* where new bytes go; borrowed, and only during a call */
	bool made;     /* by this mount: a graph can be put in */
	struct variable **bound; /* counted; by object: whose value it is */
	size_t n_bound;
	struct node **links; /* counted: of those that lead nowhere yet */
	size_t n_links;
	uint64_t bound_for; /* which graph: see catalog_adoptions() */
	struct node **
		hidden; /* counted: of sidecars that were removed, and come back */
	size_t n_hidden;
	pid_t copier; /* who brought types in attributes last, and when */
	uint64_t copied;
};

/* Whether it is the object graph, and stands. */
bool workspace_holds_graph(struct variable *v);
/* Whether names are those of an object graph, which is known. */
bool workspace_has_graph(const struct workspace *ws);
/* As the functions of checkpoint.h of the same names. */
int workspace_lookup(struct workspace *ws, const struct node *scope,
		     struct span name, pid_t by, struct object *ret);
int workspace_list(struct workspace *ws, const struct node *scope,
		   uint64_t *cookie, struct buf *name, struct object *ret);
int workspace_create(struct workspace *ws, struct node *scope, struct span name,
		     const struct attributes *owner, struct object *ret);
int workspace_mkdir(struct workspace *ws, struct node *scope, struct span name,
		    struct object *ret);
int workspace_unlink(struct workspace *ws, struct node *scope,
		     struct span name);
int workspace_rmdir(struct workspace *ws, struct node *scope, struct span name);
int workspace_rename(struct workspace *ws, struct node *from,
		     struct span from_name, struct node *to,
		     struct span to_name, unsigned flags);
/*
 * Whether all is as it was when such a rename is followed by one back: nothing is replaced,
 * or both stay.
 */
bool workspace_goes_back(const struct workspace *ws, struct node *from,
			 struct span from_name, struct node *to,
			 struct span to_name, unsigned flags);
/* Symbolic links to objects, and further names of variables: object-based ones only. */
int workspace_symlink(struct workspace *ws, struct node *scope,
		      struct span name, struct span text, struct object *ret);
int workspace_link(struct workspace *ws, const struct object *from,
		   struct node *scope, struct span name, pid_t by,
		   struct object *ret);
/* By an extended attribute, from the process `by`, which may make the sidecars yet. */
int workspace_declare_attribute(struct workspace *ws, struct variable *v,
				enum facet facet, struct span text, pid_t by);
int workspace_declare(struct workspace *ws, struct variable *v,
		      enum facet facet, struct span text);

/* `v` has a value that it had not before: it is to be stored, and shows. */
int workspace_take_over(struct workspace *ws, struct variable *v);
/* The value of `v`, a new one, was refused and is not there any more. */
void workspace_withdraw_value(struct workspace *ws, struct variable *v);

/* Sidecars that were removed show again; when the next will, or UINT64_MAX. */
uint64_t workspace_tick(struct workspace *ws, uint64_t now);
void workspace_release(struct workspace *ws);
/* Names that were removed until `until` go from the disk with the next commit. */
int workspace_ripen(struct workspace *ws, uint64_t until);
/*
 * At the end: slots that were made for variables that never came, as by who copies what a
 * removed variable has left, go.
 */
int workspace_drop_orphans(struct workspace *ws);
/*
 * At the end: what a graph that was put in says of values that never came goes from it, or
 * nobody could restore the rest.
 */
int workspace_drop_missing(struct workspace *ws);
/* Before a commit: the graph as it is now becomes a value that is to be stored. */
int workspace_put_graph(struct workspace *ws);
/* What was made and never stored goes with the next state of the catalog; what was
 * declared is void. */
void workspace_forget(struct workspace *ws);
