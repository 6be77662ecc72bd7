#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/list.h"
#include "core/scratch.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"
#include "core/workspace_move.h"

#define TEXT_MAX (UINT64_C(64) << 10) /* a sidecar is a line */

static void renaming_release(struct renaming *r)
{
	place_release(&r->from);
	place_release(&r->to);
	buf_release(&r->name);
}

static struct tree *tree_of(const struct renaming *x)
{
	return catalog_tree(x->ws->catalog);
}

/* --- keys of what was moved -------------------------------------------------- */

/* Into a list of nodes whose names change, borrowed. */
static int gather(void *arg, struct node *n)
{
	return list_add(arg, n);
}

static void moved_release(struct list *m)
{
	free(m->items);
}

/* A node and all variables below it. */
static int gather_below(struct list *m, struct node *n)
{
	return node_kind(n) == NODE_SCOPE ? node_each_variable(n, gather, m)
					  : gather(m, n);
}

/* The old key of `v` is free. */
static int free_key(struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	int r = variable_key(v, &key);

	if (r < 0)
		return r;
	if (variable_stored(v) && !variable_is_new(v))
		return pending_remove(ws->pending, buf_span(&key));
	workspace_doom(ws, buf_span(&key));
	return 0;
}

/* `v` has the key, from now on and after the next commit. */
static int take_key(struct workspace *ws, struct variable *v, struct span key)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int r = variable_rename(v, key);

	if (r < 0)
		return r;
	if (!variable_stored(v))
		return 0;
	workspace_rescue(ws, v);
	e = variable_entry(v);
	return e ? pending_put(ws->pending, e, v) : 0;
}

static int take_key_of_node(struct workspace *ws, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	int r = node_put_key(n, &key);

	return r < 0 ? r : take_key(ws, node_variable(n), buf_span(&key));
}

/* All leave their keys before any gets a new one, which another may just have left. */
static int free_keys(struct workspace *ws, const struct list *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = free_key(ws, node_variable(m->items[i]));
	return r;
}

static int take_keys(struct workspace *ws, const struct list *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = take_key_of_node(ws, m->items[i]);
	return r;
}

/* --- variables ---------------------------------------------------------------- */

/* What a value that is renamed to such a name has to be, if that is known. */
static int type_at(const struct place *p, struct type *ret)
{
	if (!p->variable || node_kind(p->variable) != NODE_VARIABLE)
		return 0;
	return variable_type(node_variable(p->variable), ret);
}

struct variable *renaming_standing(const struct place *p)
{
	struct node *n = place_node(p);

	return n && node_kind(n) == NODE_VARIABLE ? node_variable(n) : NULL;
}

int renaming_fit_in(const struct renaming *x, struct variable *v,
		    struct span key)
{
	CLEANUP(type_release) struct type before = { 0 };
	CLEANUP(type_release) struct type t = { 0 };
	CLEANUP(buf_release) struct buf old = { 0 };
	struct variable *w = renaming_standing(&x->to);
	int r = variable_type(v, &before);

	if (r == 0)
		r = variable_key(v, &old);
	if (r == 0)
		r = type_at(&x->to, &t);
	if (r == 0 && !type_empty(&t))
		r = variable_remember(v, &t);
	if (r == 0 && w)
		variable_pass_told(w, v);
	if (r == 0)
		r = variable_rename(v, key);
	if (r == 0)
		r = variable_is_new(v) ? variable_flush(v, true)
				       : variable_refit(v);
	if (r < 0 && r != -EINVAL)
		return r;
	if (r == 1 || !w || variable_untyped(w))
		return r == -EINVAL ? 0 : r;
	/* It stays where it is, and what it was to replace stands. */
	(void)variable_set_aside(w, v);
	(void)variable_rename(v, buf_span(&old));
	(void)variable_remember(v, &before);
	variable_tell_misfit(v, w);
	return -EINVAL;
}

int renaming_make_rest(const struct workspace *ws, struct variable *v,
		       struct variable **ret)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	uint64_t id = ws->config->next_id(ws->config->arg);
	int r = variable_key(v, &key);

	if (r == 0)
		r = variable_new(e, buf_span(&key), ws->label,
				 ws->config->verify, id, ret);
	return r < 0 ? r : variable_copy_declared(v, *ret);
}

/* The node of what is replaced is free for another variable. */
static int replace(const struct renaming *x)
{
	struct variable *w = renaming_standing(&x->to);

	if (!w)
		return 0;
	variable_set_stored(w, false); /* while a name holds it */
	tree_bury(tree_of(x), x->to.variable, w);
	return 0;
}

int renaming_put_at(struct renaming *x, struct variable *v, bool stored)
{
	struct node *n;
	int r;

	variable_set_stored(v, stored);
	if (x->to.variable && !node_ghost(x->to.variable))
		tree_remove(tree_of(x), x->to.variable);
	r = tree_make_variable(tree_of(x), x->to.parent,
			       buf_span(&x->to.component), v,
			       workspace_shown(v), &n);
	if (r == 0)
		node_keep(n, variable_is_new(v) || !stored);
	return r;
}

/* The disk hears of it: of the old key at once, unless the new one is scratch. */
static int settle_keys(struct renaming *x, struct variable *v,
		       struct span old_key, bool was_stored, bool was_new)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	struct workspace *ws = x->ws;
	int r = 0;

	if (was_stored && !was_new && variable_stored(v))
		r = pending_remove(ws->pending, old_key);
	else
		workspace_doom(ws, old_key);
	if (r < 0 || !variable_stored(v))
		return r;
	workspace_rescue(ws, v);
	/* A graph under a temporary name, as of rsync, comes with its own. */
	if (e && workspace_is_graph(v))
		return workspace_take_over(ws, v);
	return e ? pending_put(ws->pending, e, v) : 0;
}

static int move_variable(struct renaming *x, struct variable *v,
			 struct span key, bool stored)
{
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	CLEANUP(buf_release) struct buf old = { 0 };
	bool was_stored = variable_stored(v);
	bool was_new = variable_is_new(v);
	int r = variable_key(v, &old);

	if (r == 0)
		r = renaming_make_rest(x->ws, v, &rest);
	if (r == 0)
		r = variable_untyped(v) ? renaming_fit_in(x, v, key)
					: variable_rename(v, key);
	if (r < 0)
		return r;
	r = workspace_ghost(x->ws, x->from.variable, rest);
	if (r == 0)
		r = replace(x);
	if (r == 0)
		r = renaming_put_at(x, v, stored);
	if (r == 0)
		r = settle_keys(x, v, buf_span(&old), was_stored, was_new);
	return r;
}

static int rename_variable(struct renaming *x)
{
	struct variable *v = node_variable(x->from.variable);
	CLEANUP(variable_unrefp) struct variable *held = variable_ref(v);
	CLEANUP(buf_release) struct buf key = { 0 };
	struct node *there = place_node(&x->to);
	bool stored = !workspace_is_scratch(x->ws, &x->to);
	int r = place_put_key(&x->to, &key);

	if (r < 0)
		return r;
	if (there == x->from.variable)
		return 0;
	if (there && x->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (there && node_kind(there) != NODE_VARIABLE)
		return -EISDIR;
	r = workspace_check_name(x->ws, x->from.variable, &x->to, false);
	return r < 0 ? r : move_variable(x, held, buf_span(&key), stored);
}

/* --- scopes -------------------------------------------------------------------- */

bool renaming_is_below(const struct node *n, const struct node *scope)
{
	while (n && n != scope)
		n = node_parent(n);
	return n;
}

int renaming_clear_way(const struct renaming *x)
{
	struct node *there = place_node(&x->to);
	int r;

	if (!there || there == x->from.scope)
		return 0;
	if (x->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (node_kind(there) != NODE_SCOPE)
		return -ENOTDIR;
	if (!node_empty(there))
		return -ENOTEMPTY;
	r = workspace_leave_links(x->ws, there);
	if (r == 0)
		tree_remove(tree_of(x), there);
	return r;
}

static int rename_scope(struct renaming *x)
{
	CLEANUP(moved_release) struct list m = { 0 };
	struct node *scope = x->from.scope;
	struct node *left = node_parent(scope);
	int r;

	if (renaming_is_below(x->to.parent, scope))
		return -EINVAL;
	r = renaming_clear_way(x);
	if (r == 0)
		r = gather_below(&m, scope);
	if (r == 0)
		r = tree_move(tree_of(x), scope, x->to.parent,
			      buf_span(&x->to.component),
			      x->to.suffix == NAME_SCOPE);
	if (r < 0)
		return r;
	workspace_keep_emptied(left);
	r = free_keys(x->ws, &m);
	return r < 0 ? r : take_keys(x->ws, &m);
}

/* --- two at once ----------------------------------------------------------------- */

/* A backup that took the place of a directory is one no more. */
static void store_by_name(const struct renaming *x, struct node *n)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct variable *v = node_variable(n);

	if (!v || variable_stored(v))
		return;
	node_put_name(n, &name);
	variable_set_stored(v, !scratch_name(buf_span(&name)));
	tree_show(tree_of(x), n, workspace_shown(v));
}

/* What is stored is the name's: one of them may be an editor's backup. */
static void swap_stored(const struct renaming *x, struct node *a,
			struct node *b)
{
	struct variable *va = node_variable(a), *vb = node_variable(b);
	bool stored;

	if (!va || !vb) {
		store_by_name(x, a);
		store_by_name(x, b);
		return;
	}
	stored = variable_stored(va);
	variable_set_stored(va, variable_stored(vb));
	variable_set_stored(vb, stored);
	tree_show(tree_of(x), a, workspace_shown(va));
	tree_show(tree_of(x), b, workspace_shown(vb));
}

static int exchange(struct renaming *x)
{
	CLEANUP(moved_release) struct list m = { 0 };
	struct node *a = place_node(&x->from);
	struct node *b = place_node(&x->to);
	int r;

	if (!a || !b)
		return -ENOENT;
	if (a == b)
		return 0;
	if (renaming_is_below(a, b) || renaming_is_below(b, a))
		return -EINVAL;
	r = workspace_check_name(x->ws, a, &x->to, true);
	if (r == 0)
		r = workspace_check_name(x->ws, b, &x->from, true);
	if (r == 0)
		r = gather_below(&m, a);
	if (r == 0)
		r = gather_below(&m, b);
	if (r == 0)
		r = tree_exchange(tree_of(x), a, b);
	if (r == 0)
		r = free_keys(x->ws, &m);
	if (r == 0)
		swap_stored(x, a, b);
	return r < 0 ? r : take_keys(x->ws, &m);
}

/* --- sidecars ---------------------------------------------------------------------- */

/* -EINVAL after a log line. */
static int refuse(const struct renaming *x, const char *why)
{
	return workspace_refuse_name(x->ws, x->to.name, why);
}

static int read_all(struct variable *v, struct buf *ret)
{
	struct reading part = { 0 };
	int r = variable_read(v, TEXT_MAX + 1, 0, &part);

	if (r < 0)
		return r;
	buf_put(ret, part.data, part.n);
	reading_release(&part);
	return ret->len > TEXT_MAX ? -EINVAL : buf_error(ret);
}

/* Writes a sidecar, which is made if it is not there. */
static int write_sidecar(struct renaming *x, struct span text)
{
	struct object o = { 0 };
	bool made;
	int r = workspace_create(x->ws, x->to.parent, x->to.name, NULL, &o);

	if (r == -EEXIST)
		o.variable = variable_ref(node_variable(x->to.variable));
	if (r < 0 && r != -EEXIST)
		return r;
	made = r == 0;
	r = workspace_declare(x->ws, o.variable, workspace_facet_of(&x->to),
			      text);
	if (r < 0 && made)
		(void)workspace_unlink(x->ws, x->to.parent, x->to.name);
	object_release(&o);
	return r;
}

/* A file that was made elsewhere becomes what a sidecar says. */
static int variable_to_sidecar(struct renaming *x)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf key = { 0 };
	struct variable *v = node_variable(x->from.variable);
	int r;

	/* Of its own it cannot be one, and would go with the name it leaves. */
	if (!variable_untyped(v) || x->to.variable == x->from.variable)
		return refuse(x, "a variable with a type is no text of a "
				 "sidecar");
	r = read_all(v, &text);
	if (r == 0)
		r = variable_key(v, &key);
	if (r == 0)
		r = write_sidecar(x, buf_span(&text));
	if (r < 0)
		return r;
	if (workspace_graph(x->ws))
		workspace_doom_again(x->ws, v);
	else if (variable_stored(v) && !variable_is_new(v))
		r = pending_remove(x->ws->pending, buf_span(&key));
	else
		workspace_doom(x->ws, buf_span(&key));
	tree_remove(tree_of(x), x->from.variable);
	return r;
}

/* The text of a sidecar becomes a file of its own, as an editor's backup does. */
static int sidecar_to_variable(struct renaming *x, struct span text)
{
	struct attributes none = { 0 };
	struct variable *w = renaming_standing(&x->to);
	struct object o = { 0 };
	int r;

	if (w && variable_stored(w) && !variable_is_new(w))
		return refuse(x, "the text of a sidecar is no value of this "
				 "variable");
	if (w)
		(void)workspace_unlink(x->ws, x->to.parent, x->to.name);
	r = workspace_create(x->ws, x->to.parent, x->to.name, &none, &o);
	if (r < 0)
		return r;
	r = variable_open_writer(o.variable, x->ws->shard, true);
	if (r == 0) {
		r = variable_write(o.variable, text.data, text.len, 0);
		if (r == 0 && variable_flush(o.variable, true) == 1)
			r = workspace_take_over(x->ws, o.variable);
		(void)variable_close_writer(o.variable);
	}
	object_release(&o);
	return r;
}

static int rename_sidecar(struct renaming *x)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	struct node *n = x->from.variable;
	bool there = x->to.variable && !node_ghost(x->to.variable) &&
		     node_shows(x->to.variable) &
			     workspace_bit(workspace_facet_of(&x->to));
	int r;

	if (!n || node_kind(n) != NODE_VARIABLE ||
	    !(node_shows(n) & workspace_bit(workspace_facet_of(&x->from))))
		return -ENOENT;
	/* Its value has gone to that name, and took it along. */
	if (node_ghost(n) && workspace_is_sidecar(&x->to) && there) {
		workspace_drop_sidecar(x->ws, n, workspace_facet_of(&x->from));
		return 0;
	}
	if (workspace_is_sidecar(&x->to) && there &&
	    x->flags & RENAME_NOREPLACE)
		return -EEXIST;
	r = variable_sidecar(node_variable(n), workspace_facet_of(&x->from),
			     &text);
	if (r == 0)
		r = workspace_is_sidecar(&x->to)
			    ? write_sidecar(x, buf_span(&text))
			    : sidecar_to_variable(x, buf_span(&text));
	if (r == 0)
		workspace_drop_sidecar(x->ws, n, workspace_facet_of(&x->from));
	return r;
}

/* --- which of them ------------------------------------------------------------------ */

static int rename_any(struct renaming *x)
{
	struct node *n = place_node(&x->from);

	bool graph = workspace_graph(x->ws);

	if (x->flags & RENAME_EXCHANGE &&
	    (workspace_is_sidecar(&x->from) || workspace_is_sidecar(&x->to)))
		return refuse(x, "sidecars go with their values, and cannot "
				 "be exchanged");
	if (x->flags & RENAME_EXCHANGE)
		return graph ? move_exchange(x) : exchange(x);
	if (workspace_is_sidecar(&x->from))
		return rename_sidecar(x);
	if (!n && graph && move_lingering(x))
		return 0;
	if (!n)
		return -ENOENT;
	switch (node_kind(n)) {
	case NODE_SCOPE:
		if (workspace_is_sidecar(&x->to))
			return refuse(x, WHY_SIDECAR_ONLY);
		return graph ? move_scope(x) : rename_scope(x);
	case NODE_LINK:
		return workspace_is_sidecar(&x->to)
			       ? refuse(x, WHY_SIDECAR_ONLY)
			       : move_link(x);
	case NODE_VARIABLE:
		break;
	}
	if (x->to.suffix == NAME_SCOPE)
		return refuse(x, WHY_SCOPE_ONLY);
	if (workspace_is_sidecar(&x->to))
		return variable_to_sidecar(x);
	return graph && !move_brings_literal(x) ? move_object(x)
						: rename_variable(x);
}

int workspace_rename(struct workspace *ws, struct node *from,
		     struct span from_name, struct node *to,
		     struct span to_name, unsigned flags)
{
	CLEANUP(renaming_release)
	struct renaming x = { .ws = ws, .flags = flags };
	int r = place_find(catalog_tree(ws->catalog), from, from_name, &x.from);

	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	r = workspace_new_place(ws, to, to_name, &x.to);
	if (r == 0)
		r = workspace_check_graph(ws, from_name);
	return r < 0 ? r : rename_any(&x);
}

bool workspace_goes_back(const struct workspace *ws, struct node *from,
			 struct span from_name, struct node *to,
			 struct span to_name, unsigned flags)
{
	CLEANUP(place_release) struct place a = { 0 };
	CLEANUP(place_release) struct place b = { 0 };
	const struct tree *t = catalog_tree(ws->catalog);

	if (place_find(t, from, from_name, &a) < 0 ||
	    place_find(t, to, to_name, &b) < 0 || workspace_is_sidecar(&a) ||
	    workspace_is_sidecar(&b))
		return false;
	return flags & RENAME_EXCHANGE || !place_node(&b);
}
