/* Directories and links that are renamed in an object graph; two names that change places. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/workspace_graph.h"
#include "core/workspace_move.h"

static struct tree *tree_of(const struct renaming *x)
{
	return workspace_tree(x->ws);
}

static struct objects *graph_of(const struct renaming *x)
{
	return workspace_graph(x->ws);
}

static bool same_place(const struct bond *a, const struct bond *b)
{
	return a->kind == b->kind && a->owner == b->owner &&
	       a->optimizer == b->optimizer && span_equal(a->name, b->name);
}

/* --- scopes ------------------------------------------------------------------------ */

static int is_stored(void *arg, struct node *n)
{
	struct variable *v = node_variable(n);

	(void)arg;
	return variable_stored(v) && !variable_loose(v);
}

/* Keys that stand as they are and are those of their paths, after these have changed. */
struct literals {
	struct workspace *ws;
	struct variable **all; /* counted */
	struct buf *keys;      /* of their paths */
	size_t n;
	size_t cap;
};

static void literals_release(struct literals *l)
{
	for (size_t i = 0; i < l->n; i++) {
		variable_unref(l->all[i]);
		buf_release(&l->keys[i]);
	}
	free(l->all);
	free(l->keys);
}

static int grow_literals(struct literals *l)
{
	size_t cap = l->cap ? 2 * l->cap : 16;
	void *all;

	if (l->n < l->cap)
		return 0;
	all = reallocarray(l->all, cap, sizeof(struct variable *));
	if (!all)
		return -ENOMEM;
	l->all = all;
	all = reallocarray(l->keys, cap, sizeof(struct buf));
	if (!all)
		return -ENOMEM;
	l->keys = all;
	l->cap = cap;
	return 0;
}

static int gather_literal(void *arg, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf path = { 0 };
	struct literals *l = arg;
	struct variable *v = node_variable(n);
	int r = 0;

	if (!is_stored(NULL, n) || workspace_is_object(l->ws, v))
		return 0;
	r = variable_key(v, &key);
	if (r == 0)
		r = node_put_key(n, &path);
	if (r < 0 || span_equal(buf_span(&key), buf_span(&path)) ||
	    objects_find_owner(workspace_graph(l->ws), buf_span(&key)) !=
		    OBJECTS_NONE)
		return r;
	r = grow_literals(l);
	if (r < 0)
		return r;
	l->all[l->n] = variable_ref(v);
	l->keys[l->n++] = path;
	path = (struct buf){ 0 };
	return 0;
}

/* Keys of nobody's in a scope that has moved follow it. */
static int settle_literals(struct workspace *ws, struct node *scope)
{
	CLEANUP(literals_release) struct literals l = { .ws = ws };
	int r = node_kind(scope) == NODE_SCOPE
			? node_each_variable(scope, gather_literal, &l)
			: 0;

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		CLEANUP(buf_release) struct buf key = { 0 };

		r = variable_key(l.all[i], &key);
		if (r == 0)
			r = pending_remove(ws->pending, buf_span(&key));
	}
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		CLEANUP(entry_unrefp) struct entry *e = NULL;

		r = variable_rename(l.all[i], buf_span(&l.keys[i]));
		e = variable_entry(l.all[i]);
		if (r == 0 && e)
			r = pending_put(ws->pending, e, l.all[i]);
	}
	return r;
}

/* Whether it is a directory by itself: not a variable's, and no way to slots. */
static bool is_object_scope(const struct renaming *x, const struct bond *b)
{
	struct span key;

	return b->kind == BOND_EDGE && b->id != OBJECTS_NONE &&
	       !objects_key(graph_of(x), b->id, &key);
}

static int move_scope_edge(struct renaming *x, const struct bond *from)
{
	struct bond to;
	int r = renaming_bond_to(x, &to);

	if (r == 0 && to.kind != BOND_EDGE)
		r = workspace_refuse_literal(x->ws, x->to.name);
	if (r < 0 || same_place(from, &to))
		return r;
	r = workspace_clear_bond(x->ws, &to);
	return r < 0 ? r
		     : objects_move(graph_of(x), from->owner, from->name,
				    to.owner, to.name);
}

int move_scope(struct renaming *x)
{
	struct node *scope = x->from.scope;
	struct node *left = node_parent(scope);
	struct bond from = { 0 };
	CLEANUP(route_release) struct route before = { 0 };
	CLEANUP(route_release) struct route after = { 0 };
	bool object;
	int r = renaming_bond_from(x, &from);

	if (r == 0)
		r = route_take(scope, &before);
	if (r < 0)
		return r;
	if (renaming_is_below(x->to.parent, scope))
		return -EINVAL;
	object = is_object_scope(x, &from);
	if (!object && node_each_variable(scope, is_stored, NULL))
		return workspace_refuse_literal(x->ws, x->from.name);
	r = renaming_clear_way(x);
	if (r == 0 && object)
		r = move_scope_edge(x, &from);
	if (r == 0)
		r = tree_move(tree_of(x), scope, x->to.parent,
			      buf_span(&x->to.component),
			      x->to.suffix == NAME_SCOPE);
	if (r < 0)
		return r;
	workspace_keep_emptied(left);
	r = workspace_tidy(x->ws);
	if (r == 0 && object)
		r = route_take(scope, &after);
	if (r == 0 && object)
		r = route_change(x->ws, &before, &after, false);
	return r < 0 ? r : settle_literals(x->ws, scope);
}

/* --- links --------------------------------------------------------------------------- */

static int move_link_edge(struct renaming *x)
{
	struct bond from = { 0 }, to = { 0 };
	int r = renaming_bond_to(x, &to);

	if (r == 0)
		r = renaming_bond_from(x, &from);
	if (r == 0 && to.kind != BOND_EDGE)
		r = workspace_refuse_literal(x->ws, x->to.name);
	if (r == 0)
		r = workspace_clear_bond(x->ws, &to);
	if (r < 0 || from.id == OBJECTS_NONE)
		return r;
	return objects_move(graph_of(x), from.owner, from.name, to.owner,
			    to.name);
}

int move_link(struct renaming *x)
{
	struct node *n = x->from.variable;
	struct node *there = place_node(&x->to);
	struct node *left = node_parent(n);
	int r = 0;

	if (there == n)
		return 0;
	if (there && x->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (there && node_kind(there) == NODE_SCOPE)
		return -EISDIR;
	if (x->to.suffix != NAME_PLAIN)
		return -EINVAL;
	if (graph_of(x))
		r = move_link_edge(x);
	if (r < 0)
		return r;
	if (x->to.variable && !node_ghost(x->to.variable))
		tree_remove(tree_of(x), x->to.variable);
	r = tree_move(tree_of(x), n, x->to.parent, buf_span(&x->to.component),
		      false);
	workspace_keep_emptied(left);
	return r < 0 || !graph_of(x) ? r : workspace_tidy(x->ws);
}

/* --- two at once ----------------------------------------------------------------------- */

static int exchange_companions(struct renaming *x, struct node *a,
			       struct node *b)
{
	int r = 0;

	if (a && b)
		return tree_exchange(tree_of(x), a, b);
	if (a)
		r = tree_move(tree_of(x), a, x->to.parent,
			      buf_span(&x->to.component), true);
	if (b)
		r = tree_move(tree_of(x), b, x->from.parent,
			      buf_span(&x->from.component), true);
	return r;
}

/* An object, or a link to one, that can change places. */
static bool has_edge(const struct renaming *x, struct node *n,
		     const struct bond *b)
{
	switch (node_kind(n)) {
	case NODE_SCOPE:
		return is_object_scope(x, b);
	case NODE_VARIABLE:
		return b->kind == BOND_EDGE &&
		       workspace_is_object(x->ws, node_variable(n));
	case NODE_LINK:
		break;
	}
	return b->kind == BOND_EDGE && b->id != OBJECTS_NONE;
}

/* A directory that was just made is no object before something is in it. */
static int make_empty(const struct renaming *x, const struct place *p,
		      struct bond *b)
{
	struct objects *o = graph_of(x);
	int r;

	if (b->kind != BOND_EDGE || b->id != OBJECTS_NONE ||
	    node_each_variable(p->scope, is_stored, NULL))
		return 0;
	r = bond_make(o, p->parent, buf_span(&p->component), b);
	if (r < 0 || b->kind != BOND_EDGE || b->id != OBJECTS_NONE)
		return r;
	return objects_add(o, b->owner, b->name, &b->id);
}

static int exchange_edges(struct renaming *x, struct node *a, struct node *b)
{
	struct bond from = { 0 }, to = { 0 };
	int r = renaming_bond_from(x, &from);

	if (r == 0)
		r = bond_find(graph_of(x), x->to.parent,
			      buf_span(&x->to.component), &to);
	if (r == 0 && node_kind(a) == NODE_SCOPE)
		r = make_empty(x, &x->from, &from);
	if (r == 0 && node_kind(b) == NODE_SCOPE)
		r = make_empty(x, &x->to, &to);
	if (r == 0 && (!has_edge(x, a, &from) || !has_edge(x, b, &to)))
		r = workspace_refuse_literal(x->ws, x->from.name);
	return r < 0 ? r
		     : objects_exchange(graph_of(x), from.owner, from.name,
					to.owner, to.name);
}

static bool goes_into_own(const struct renaming *x, const struct node *n,
			  const struct place *to)
{
	return node_kind(n) == NODE_VARIABLE &&
	       workspace_is_in_companion(x->ws, node_variable(n), to->parent);
}

int move_exchange(struct renaming *x)
{
	struct node *a = place_node(&x->from);
	struct node *b = place_node(&x->to);
	struct node *with_a = NULL, *with_b = NULL;
	CLEANUP(route_release) struct route before = { 0 };
	CLEANUP(route_release) struct route after = { 0 };
	int r;

	if (!a || !b)
		return -ENOENT;
	if (a == b)
		return 0;
	if (renaming_is_below(a, b) || renaming_is_below(b, a) ||
	    goes_into_own(x, a, &x->to) || goes_into_own(x, b, &x->from))
		return -EINVAL;
	if (node_kind(a) != node_kind(b) || node_dotted(a) != node_dotted(b))
		return -EINVAL;
	if (node_kind(a) == NODE_VARIABLE) {
		with_a = renaming_companion_of(x, &x->from);
		with_b = renaming_companion_of(x, &x->to);
	}
	r = route_take(a, &before);
	if (r == 0)
		r = route_take(b, &after);
	if (r == 0)
		r = exchange_edges(x, a, b);
	if (r == 0)
		r = tree_exchange(tree_of(x), a, b);
	if (r == 0)
		r = exchange_companions(x, with_a, with_b);
	if (r == 0)
		r = workspace_tidy(x->ws);
	if (r == 0 && node_kind(a) == NODE_SCOPE)
		r = route_change(x->ws, &before, &after, true);
	if (r == 0)
		r = settle_literals(x->ws, a);
	return r < 0 ? r : settle_literals(x->ws, b);
}
