/*
 * workspace_graph.h - names of an object-based checkpoint, and what they do to its graph
 *
 * The catalog has the present graph, and the tree shows its edges.  Tree, graph, variables
 * and pending changes go together:
 *
 *  - A name is a bond (bond.h), found by walking the tree's path along the edges.  Nothing
 *    in the tree remembers objects, so nothing can be stale.
 *  - A *loose* variable is in no graph: it is new, or an editor's backup.  It becomes an
 *    object, at all its names, when its first value is taken over (workspace_bind()); if
 *    the graph has an object there already, it is that one, and takes its key.
 *  - Who removes a name dooms its bond.  Until that is due the edge stays in the graph, so
 *    that a commit meanwhile loses nothing, and who makes the name anew finds the object
 *    with its key, its slots and its other names.
 *  - Who renames a name moves the edge.
 *  - objects_tidy() tells which keys go and change by that, and workspace_tidy() does so
 *    to variables and pending changes.  No byte moves.
 *  - A commit encodes the graph, if it was changed, into a new value of GRAPH_KEY, in the
 *    same edit (workspace_put_graph()).  What fails leaves that edit pending; what is given
 *    up is followed by catalog_adopt(), which reads the graph of the disk.
 *
 * The graph itself is read-only where it stands: what is written there has to say nothing new
 * (workspace_graph_written()).  Removed, it is written no more, and names stay what they are.
 * In a checkpoint that this mount has made it can come: then the paths that are there are
 * looked up in it, and get its keys (workspace_graph_came()).
 */
#pragma once

#include "core/bond.h"
#include "core/workspace.h"

/* NULL where names are keys. */
struct objects *workspace_graph(const struct workspace *ws);

/* Whether the variable's key is that of an object. */
bool workspace_is_object(const struct workspace *ws, struct variable *v);
/* The bond of a node's name; `component` gets the name, which the bond borrows. */
int workspace_bond_of(const struct workspace *ws, const struct node *n,
		      struct buf *component, struct bond *ret);
/* The key that a new variable has at a place; appended. */
int workspace_put_key(const struct workspace *ws, const struct place *p,
		      struct buf *out);

/* A loose variable becomes an object. */
int workspace_bind(struct workspace *ws, struct variable *v);
/* The object `id` has `v` for a value, from now on. */
int workspace_set_bound(struct workspace *ws, size_t id, struct variable *v);
struct variable *workspace_bound(struct workspace *ws, size_t id);
/* Looks them up, once for every graph. */
int workspace_find_bound(struct workspace *ws);
/* Whether a key that stands as it is has that name already. */
bool workspace_is_literal(const struct workspace *ws, struct span key);

/* What the object had for a value is `v` now, under all its names. */
int workspace_take_place(struct workspace *ws, struct variable *v, size_t id);
/*
 * Appends a key for the value of an object that neither another one nor anything else has:
 * that of its path, or with a number at the end of that.
 */
int workspace_free_key(struct workspace *ws, const struct bond *b, size_t id,
		       const struct node *scope, struct buf *ret);
/* The object has no value any more, and what shows that goes. */
int workspace_remove_value(struct workspace *ws, size_t id, struct span key);
/* As variable_rename(), unless that is its key. */
int workspace_give_key(struct variable *v, struct span key);

/* The companion directory of a place, NAME.d, if it is there; workspace_companion.c. */
struct node *workspace_companion(const struct workspace *ws,
				 const struct node *parent,
				 struct span component);
/*
 * Whether `scope` is in that of any name of `v`.  A name of `v` does not go there: when the
 * one beside it is removed, nothing leads to the other any more, and `v` is lost.
 */
bool workspace_is_in_companion(const struct workspace *ws, struct variable *v,
			       const struct node *scope);
/*
 * It goes elsewhere, unless something stands there.  Who removes or moves it next, where it
 * was, finds it empty and need do nothing.
 */
int workspace_move_companion(struct workspace *ws, struct node *scope,
			     struct node *parent, struct span component);
/*
 * `v` has just lost the name, and has others: the companion goes to one of these, as far as
 * it can without being in the way of `rm -r`.  Or the name is there again: it comes back.
 */
int workspace_pass_companion(struct workspace *ws, struct variable *v,
			     const struct node *parent, struct span component);
int workspace_fetch_companion(struct workspace *ws, struct variable *v,
			      struct node *parent, struct span component);

/* After edits of the graph: keys follow. */
int workspace_tidy(struct workspace *ws);
/* The bond goes soon; `key` with it, if it is the last of a variable. */
void workspace_doom_bond(struct workspace *ws, const struct bond *b,
			 struct span key);
bool workspace_rescue_bond(struct workspace *ws, const struct bond *b);
/*
 * Takes the edge or slot of a variable away.  What is below it stays: if that was the last
 * edge, it is below an object without a value.
 */
int workspace_cut_bond(struct workspace *ws, const struct bond *b);
/* What leads to a place is cut at once, since something else comes there. */
int workspace_clear_bond(struct workspace *ws, const struct bond *b);

/* A scope goes, or makes way: links to it are those of what gets its name next. */
int workspace_leave_links(struct workspace *ws, const struct node *scope);
/* Links that came before what they lead to become edges. */
int workspace_resolve_links(struct workspace *ws);
/* `v`, which has just got a value, is an object graph. */
int workspace_graph_came(struct workspace *ws, struct variable *v);
/* The same where there is a graph already: -EPERM if it says anything else than that. */
int workspace_graph_written(struct workspace *ws, struct node *n);
/* As workspace_graph_written(), of bytes that are anywhere; nothing is changed. */
int workspace_check_written(const struct workspace *ws, struct variable *v);
bool workspace_is_graph(struct variable *v);
/* May a graph be put in? */
bool workspace_takes_graph(const struct workspace *ws);
/* -EPERM after a log line. */
int workspace_refuse_graph(const struct workspace *ws);
/*
 * Where names are keys, `n` cannot have the name of a graph either; nor, anywhere, in exchange
 * for something, since then nothing looks the other names up in it.
 */
int workspace_check_name(const struct workspace *ws, const struct node *n,
			 const struct place *to, bool exchanged);
