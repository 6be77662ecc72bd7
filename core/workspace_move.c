#include "core/workspace_move.h"

#include <errno.h>
#include <stdio.h>

#include "core/cleanup.h"
#include "core/workspace_graph.h"

static struct tree *tree_of(const struct renaming *x)
{
	return workspace_tree(x->ws);
}

static struct objects *graph_of(const struct renaming *x)
{
	return workspace_graph(x->ws);
}

int renaming_bond_from(struct renaming *x, struct bond *ret)
{
	struct node *n = place_node(&x->from);

	x->name.len = 0;
	return n ? workspace_bond_of(x->ws, n, &x->name, ret) : -ENOENT;
}

int renaming_bond_to(const struct renaming *x, struct bond *ret)
{
	int r = bond_make(graph_of(x), x->to.parent, buf_span(&x->to.component),
			  ret);

	return r == 0 && ret->kind == BOND_NONE
		       ? workspace_refuse_literal(x->ws, x->to.name)
		       : r;
}

struct node *renaming_companion_of(const struct renaming *x,
				   const struct place *p)
{
	return workspace_companion(x->ws, p->parent, buf_span(&p->component));
}

/* It goes along with its variable.  Who moves it next finds it, and need do nothing. */
static int move_companion(const struct renaming *x)
{
	struct node *scope = renaming_companion_of(x, &x->from);

	return scope ? workspace_move_companion(x->ws, scope, x->to.parent,
						buf_span(&x->to.component))
		     : 0;
}

bool move_lingering(struct renaming *x)
{
	struct node *n = x->from.scope;

	if (!n || !node_ghost(n) || x->from.suffix != NAME_SCOPE ||
	    x->to.suffix != NAME_SCOPE || !renaming_companion_of(x, &x->to))
		return false;
	tree_remove(tree_of(x), n);
	return true;
}

static bool is_literal(const struct workspace *ws, struct variable *v)
{
	return !variable_loose(v) && !workspace_is_object(ws, v) &&
	       !workspace_is_graph(v);
}

/* Without it its object could not be restored. */
static bool is_state(const struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	return variable_key(v, &key) < 0 ||
	       objects_names_state(workspace_graph(ws), buf_span(&key));
}

bool move_brings_literal(const struct renaming *x)
{
	struct variable *w = renaming_standing(&x->to);
	struct bond b = { 0 };

	return x->from.parent == x->to.parent &&
	       is_literal(x->ws, node_variable(x->from.variable)) &&
	       !is_state(x->ws, node_variable(x->from.variable)) &&
	       (w ? is_literal(x->ws, w) : x->ws->made) &&
	       bond_find(workspace_graph(x->ws), x->to.parent,
			 buf_span(&x->to.component), &b) == 0 &&
	       b.kind == BOND_NONE;
}

/* --- variables ----------------------------------------------------------------- */

static int make_way_for_file(const struct renaming *x, const struct bond *to)
{
	struct node *n = x->to.variable;

	if (n && !node_ghost(n))
		tree_remove(tree_of(x), n);
	return workspace_clear_bond(x->ws, to);
}

/* It is in no graph: a new file, an editor's copy. */
static int move_loose(struct renaming *x, struct variable *v)
{
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct variable *w = renaming_standing(&x->to);
	bool stored = w ? variable_stored(w)
			: !workspace_is_scratch(x->ws, &x->to);
	int r = w ? variable_key(w, &key)
		  : workspace_put_key(x->ws, &x->to, &key);

	if (r == 0)
		r = renaming_make_rest(x->ws, v, &rest);
	if (r == 0)
		r = variable_untyped(v) ? renaming_fit_in(x, v, buf_span(&key))
					: workspace_give_key(v, buf_span(&key));
	if (r >= 0) /* 1: it fits, and is taken over below */
		r = workspace_ghost(x->ws, x->from.variable, rest);
	if (r < 0)
		return r;
	if (w) {
		variable_set_stored(w, false);
		variable_set_stored(v, stored);
		tree_lead_all(tree_of(x), w, v);
	} else {
		r = renaming_put_at(x, v, stored);
	}
	if (r < 0 || !stored)
		return r;
	(void)workspace_rescue(x->ws, v);
	e = variable_entry(v);
	return e ? workspace_take_over(x->ws, v) : 0;
}

/* An editor's backup: soon the object goes, unless the name comes back. */
static int move_to_scratch(struct renaming *x, struct variable *v)
{
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	CLEANUP(buf_release) struct buf key = { 0 };
	bool last = variable_links(v) == 1;
	struct bond b = { 0 };
	int r = renaming_bond_from(x, &b);

	if (r == 0)
		r = variable_key(v, &key);
	if (r == 0)
		r = renaming_make_rest(x->ws, v, &rest);
	if (r == 0 && last)
		r = workspace_set_bound(x->ws, b.id, NULL);
	if (r < 0)
		return r;
	workspace_doom_bond(x->ws, &b,
			    last ? buf_span(&key) : (struct span){ 0 });
	/* With other names it stays what it is, and a copy is the backup. */
	variable_set_loose(last ? v : rest, true);
	r = workspace_ghost(x->ws, x->from.variable, last ? rest : v);
	if (r == 0 && !last)
		r = workspace_pass_companion(x->ws, v, x->from.parent,
					     buf_span(&x->from.component));
	return r < 0 ? r : renaming_put_at(x, last ? v : rest, false);
}

/* Whether nothing but its one name and its value is to be said of the object. */
static bool is_plain(const struct renaming *x, struct variable *v, size_t id)
{
	const struct objects *o = graph_of(x);

	return variable_links(v) == 1 && !objects_next_child(o, id, NULL) &&
	       !objects_slot_for(o, id);
}

/* The object of what is renamed goes, with the name it had. */
static int drop_object(struct renaming *x)
{
	struct bond from = { 0 };
	int r = renaming_bond_from(x, &from);

	if (r == 0)
		r = workspace_set_bound(x->ws, from.id, NULL);
	if (r == 0)
		r = workspace_clear_bond(x->ws, &from);
	return r < 0 ? r : workspace_tidy(x->ws);
}

/*
 * A copy that was changed is moved over what it was copied from: that gets its value, and
 * keeps its names, its slots and its full name.
 */
static int replace_value(struct renaming *x, struct variable *v,
			 struct span its_key)
{
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	size_t id;
	int r;

	buf_put(&key, its_key.data, its_key.len);
	r = buf_error(&key);
	if (r == 0)
		r = renaming_make_rest(x->ws, v, &rest);
	if (r == 0)
		r = drop_object(x);
	if (r == 0)
		r = workspace_give_key(v, buf_span(&key));
	if (r == 0)
		r = workspace_ghost(x->ws, x->from.variable, rest);
	if (r < 0)
		return r;
	id = objects_find_key(graph_of(x), buf_span(&key));
	r = workspace_take_place(x->ws, v, id);
	e = variable_entry(v);
	return r < 0 || !e ? r : pending_put(x->ws->pending, e, v);
}

/* Whether the graph, which was put in, has an object there that nobody has brought yet. */
static bool is_to_come(const struct renaming *x, struct bond *ret,
		       struct span *ret_key)
{
	return x->ws->made && !place_node(&x->to) &&
	       renaming_bond_to(x, ret) == 0 && ret->id != OBJECTS_NONE &&
	       objects_key(graph_of(x), ret->id, ret_key) &&
	       !workspace_rescue_bond(x->ws, ret);
}

/* As rsync brings it, under a temporary name. */
static int bring_value(struct renaming *x, struct variable *v, struct span key)
{
	int r = replace_value(x, v, key);

	return r < 0 ? r : renaming_put_at(x, v, true);
}

/* A slot is an object of its own: its value goes to another one. */
static int move_to_slot(struct renaming *x, struct variable *v,
			const struct bond *from, const struct bond *to)
{
	struct objects *o = graph_of(x);
	struct span full_name = objects_full_name(o, from->id);
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf old = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	size_t id;
	int r = variable_key(v, &old);

	buf_put(&name, full_name.data, full_name.len);
	if (r == 0)
		r = buf_error(&name);
	if (r == 0)
		r = pending_remove(x->ws->pending, buf_span(&old));
	if (r == 0)
		r = workspace_set_bound(x->ws, from->id, NULL);
	if (r == 0)
		r = objects_clear_value(o, from->id);
	if (r == 0)
		r = bond_cut(o, from);
	if (r == 0)
		r = objects_add_slot(o, to->owner, to->optimizer, to->name,
				     &id);
	if (r == 0)
		r = workspace_tidy(x->ws);
	if (r == 0)
		r = workspace_free_key(x->ws, to, id, x->to.parent, &key);
	if (r == 0)
		r = objects_set_value(o, id, buf_span(&key), buf_span(&name));
	if (r == 0)
		r = workspace_give_key(v, buf_span(&key));
	if (r == 0)
		r = workspace_set_bound(x->ws, id, v);
	e = variable_entry(v);
	return r < 0 || !e ? r : pending_put(x->ws->pending, e, v);
}

/* A slot has one name, and nothing below it. */
static bool can_be(const struct renaming *x, struct variable *v,
		   const struct bond *from, const struct bond *to)
{
	const struct objects *o = graph_of(x);

	return to->kind != BOND_SLOT ||
	       (variable_links(v) == 1 &&
		!objects_next_child(o, from->id, NULL) &&
		!objects_slot_for(o, from->id));
}

static int move_bond(struct renaming *x, struct variable *v,
		     const struct bond *from, const struct bond *to)
{
	struct objects *o = graph_of(x);
	int r;

	if (to->kind == BOND_SLOT)
		return move_to_slot(x, v, from, to);
	if (from->kind == BOND_EDGE)
		return objects_move(o, from->owner, from->name, to->owner,
				    to->name);
	r = objects_link(o, to->owner, to->name, from->id);
	return r < 0 ? r : bond_cut(o, from);
}

/*
 * What stood below the variable that was replaced: it goes where that has another name, or
 * is no more.
 */
static int clear_companion(struct renaming *x, struct node *scope,
			   struct variable *w)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct node *n = NULL;
	int r;

	if (!scope || node_dead(scope))
		return 0;
	while ((n = node_next_name(w, n)))
		if (!node_ghost(n))
			break;
	if (!n || renaming_is_below(node_parent(n), scope)) {
		tree_drop(tree_of(x), scope);
		return 0;
	}
	r = node_put_component(n, &name);
	if (r == 0)
		r = tree_move(tree_of(x), scope, node_parent(n),
			      buf_span(&name), true);
	if (r == -EEXIST)
		tree_drop(tree_of(x), scope);
	return r == -EEXIST ? 0 : r;
}

static int move_edge(struct renaming *x, struct variable *v)
{
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	CLEANUP(node_unrefp) struct node *below = NULL;
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	struct bond from = { 0 }, to = { 0 };
	int r = workspace_is_in_companion(x->ws, v, x->to.parent)
			? workspace_refuse_name(x->ws, x->to.name,
						WHY_OWN_COMPANION)
			: renaming_bond_to(x, &to);

	if (r == 0)
		r = renaming_bond_from(x, &from);
	if (r == 0 && !can_be(x, v, &from, &to))
		r = workspace_refuse_literal(x->ws, x->to.name);
	if (r == 0)
		r = renaming_make_rest(x->ws, v, &rest);
	if (r == 0 && renaming_standing(&x->to)) {
		w = variable_ref(renaming_standing(&x->to));
		below = renaming_companion_of(x, &x->to);
		below = below ? node_ref(below) : NULL;
	}
	if (r == 0)
		r = make_way_for_file(x, &to);
	if (r == 0)
		r = move_bond(x, v, &from, &to);
	if (r == 0)
		r = workspace_ghost(x->ws, x->from.variable, rest);
	if (r < 0)
		return r;
	/* What was there is gone, and the place is found anew. */
	x->to.variable = tree_find_file(tree_of(x), x->to.parent, x->to.name);
	r = renaming_put_at(x, v, true);
	if (r == 0)
		r = workspace_tidy(x->ws);
	if (r == 0 && w)
		r = clear_companion(x, below, w);
	return r < 0 || node_dead(x->from.parent) ? r : move_companion(x);
}

/* A graph over the one that is there: it has nothing to say that is not so already. */
static int move_onto_graph(struct renaming *x, struct variable *v, bool plain)
{
	int r = variable_loose(v) || plain ? workspace_check_written(x->ws, v)
					   : -EPERM;

	if (r == 0 && plain)
		r = drop_object(x);
	if (r == 0 && plain)
		variable_set_stored(v, false);
	if (r == 0)
		tree_remove(tree_of(x), x->from.variable);
	return r;
}

/* Not where it shows under its key: it is too deep in the graph, or not reached. */
static bool has_bond(struct renaming *x)
{
	struct bond b = { 0 };

	return renaming_bond_from(x, &b) == 0 && b.id != OBJECTS_NONE;
}

int move_object(struct renaming *x)
{
	CLEANUP(variable_unrefp)
	struct variable *v = variable_ref(node_variable(x->from.variable));
	CLEANUP(buf_release) struct buf key = { 0 };
	struct variable *w = renaming_standing(&x->to);
	struct node *there = place_node(&x->to);
	struct bond to = { 0 };
	struct span its_key;
	bool plain;
	int r = variable_key(v, &key);

	if (r < 0 || there == x->from.variable || w == v)
		return r;
	if (there && x->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (there && node_kind(there) == NODE_SCOPE)
		return -EISDIR;
	plain = workspace_is_object(x->ws, v) &&
		is_plain(x, v, objects_find_key(graph_of(x), buf_span(&key)));
	if (w && workspace_is_graph(w))
		return move_onto_graph(x, v, plain);
	if (variable_loose(v))
		return move_loose(x, v);
	if (!workspace_is_object(x->ws, v) || !has_bond(x))
		return workspace_refuse_literal(x->ws, x->from.name);
	if (!there && workspace_is_scratch(x->ws, &x->to))
		return move_to_scratch(x, v);
	if (plain && w && workspace_is_object(x->ws, w)) {
		key.len = 0;
		r = variable_key(w, &key);
		return r < 0 ? r : replace_value(x, v, buf_span(&key));
	}
	if (plain && is_to_come(x, &to, &its_key))
		return bring_value(x, v, its_key);
	return move_edge(x, v);
}
