#include "core/workspace_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/workspace_inside.h"

struct objects *workspace_graph(const struct workspace *ws)
{
	return catalog_graph(ws->catalog);
}

bool workspace_is_object(const struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct objects *o = workspace_graph(ws);

	return o && !variable_loose(v) && variable_key(v, &key) == 0 &&
	       objects_find_key(o, buf_span(&key)) != OBJECTS_NONE;
}

/* What shows below `slots` may show under a path that its optimizer had before. */
static int find_slot(const struct workspace *ws, struct variable *v,
		     struct buf *name, struct bond *ret)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	const struct objects *o = workspace_graph(ws);
	const struct objects_slot *slot = NULL;
	size_t id = OBJECTS_NONE;
	int r = variable_key(v, &key);

	if (r == 0 && !variable_loose(v))
		id = objects_find_key(o, buf_span(&key));
	if (id != OBJECTS_NONE)
		slot = objects_slot_as(o, id);
	if (!slot)
		return r;
	name->len = 0;
	buf_put(name, slot->name.data, slot->name.len);
	*ret = (struct bond){ .kind = BOND_SLOT,
			      .owner = slot->variable,
			      .optimizer = slot->optimizer,
			      .name = buf_span(name),
			      .id = id };
	return buf_error(name);
}

int workspace_bond_of(const struct workspace *ws, const struct node *n,
		      struct buf *component, struct bond *ret)
{
	int r = node_put_component(n, component);

	if (r == 0)
		r = bond_find(workspace_graph(ws), node_parent(n),
			      buf_span(component), ret);
	return r == 0 && ret->id == OBJECTS_NONE && node_variable(n)
		       ? find_slot(ws, node_variable(n), component, ret)
		       : r;
}

int workspace_put_key(const struct workspace *ws, const struct place *p,
		      struct buf *out)
{
	struct objects *o = workspace_graph(ws);
	struct span key;
	struct bond b = { 0 };
	int r;

	if (!o)
		return place_put_key(p, out);
	r = bond_find(o, p->parent, buf_span(&p->component), &b);
	if (r < 0)
		return r;
	if (b.id == OBJECTS_NONE || !objects_key(o, b.id, &key))
		return bond_put_key(&b, p->parent, out);
	buf_put(out, key.data, key.len);
	return buf_error(out);
}

/* --- which variable an object is ------------------------------------------------- */

static int grow_bound(struct workspace *ws, size_t n)
{
	struct variable **bound;
	size_t cap = ws->n_bound ? ws->n_bound : 16;

	if (n <= ws->n_bound)
		return 0;
	while (cap < n)
		cap *= 2;
	bound = reallocarray(ws->bound, cap, sizeof(struct variable *));
	if (!bound)
		return -ENOMEM;
	memset(bound + ws->n_bound, 0,
	       (cap - ws->n_bound) * sizeof(struct variable *));
	ws->bound = bound;
	ws->n_bound = cap;
	return 0;
}

static int put_bound(struct workspace *ws, size_t id, struct variable *v)
{
	struct variable *old;
	int r = grow_bound(ws, id + 1);

	if (r < 0)
		return r;
	old = ws->bound[id];
	ws->bound[id] = v ? variable_ref(v) : NULL;
	variable_unref(old);
	return 0;
}

static int bind_one(void *arg, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct workspace *ws = arg;
	struct variable *v = node_variable(n);
	size_t id;
	int r = variable_key(v, &key);

	if (r < 0 || variable_loose(v) || !variable_stored(v))
		return r;
	id = objects_find_key(workspace_graph(ws), buf_span(&key));
	return id == OBJECTS_NONE ? 0 : put_bound(ws, id, v);
}

void workspace_forget_bound(struct workspace *ws)
{
	for (size_t i = 0; i < ws->n_bound; i++)
		variable_unref(ws->bound[i]);
	free(STEAL(ws->bound));
	ws->n_bound = 0;
}

/* Once for every graph: later changes keep it up. */
int workspace_find_bound(struct workspace *ws)
{
	int r;

	if (ws->bound_for == catalog_adoptions(ws->catalog))
		return 0;
	workspace_forget_bound(ws);
	r = grow_bound(ws, objects_count(workspace_graph(ws)));
	if (r == 0)
		r = node_each_variable(tree_root(workspace_tree(ws)), bind_one,
				       ws);
	if (r == 0)
		ws->bound_for = catalog_adoptions(ws->catalog);
	return r;
}

int workspace_set_bound(struct workspace *ws, size_t id, struct variable *v)
{
	int r = workspace_find_bound(ws);

	return r < 0 ? r : put_bound(ws, id, v);
}

struct variable *workspace_bound(struct workspace *ws, size_t id)
{
	return workspace_find_bound(ws) == 0 && id < ws->n_bound ? ws->bound[id]
								 : NULL;
}

bool workspace_is_literal(const struct workspace *ws, struct span key)
{
	struct node *n = tree_find_key(workspace_tree(ws), key);
	CLEANUP(buf_release) struct buf its = { 0 };

	return n && !node_ghost(n) && !variable_loose(node_variable(n)) &&
	       variable_key(node_variable(n), &its) == 0 &&
	       span_equal(buf_span(&its), key);
}

/* --- bonds that go ------------------------------------------------------------------- */

void workspace_doom_bond(struct workspace *ws, const struct bond *b,
			 struct span key)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	bond_put(b, &text);
	if (buf_error(&text) ||
	    pending_doom_bond(ws->pending, buf_span(&text), key,
			      clock_ms() + WORKSPACE_DOOM_MS) < 0)
		log_error("%s: out of memory: a removed name stays on disk",
			  ws->label);
}

bool workspace_rescue_bond(struct workspace *ws, const struct bond *b)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	bond_put(b, &text);
	return !buf_error(&text) &&
	       pending_rescue(ws->pending, buf_span(&text));
}

int workspace_clear_bond(struct workspace *ws, const struct bond *b)
{
	(void)workspace_rescue_bond(ws, b);
	return b->id == OBJECTS_NONE ? 0 : bond_cut(workspace_graph(ws), b);
}

int workspace_cut_bond(struct workspace *ws, const struct bond *b)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct objects *o = workspace_graph(ws);
	size_t id = OBJECTS_NONE;
	struct span key;
	int r;

	if (b->kind == BOND_EDGE && b->owner < objects_count(o))
		id = objects_child(o, b->owner, b->name);
	if (id == OBJECTS_NONE || !objects_next_child(o, id, NULL) ||
	    !objects_key(o, id, &key) ||
	    objects_next_parent(o, id, objects_next_parent(o, id, NULL)))
		return bond_cut(o, b);
	/* It is the same object still: what is below it may be doomed as well. */
	buf_put(&name, key.data, key.len);
	r = buf_error(&name);
	if (r == 0)
		r = objects_clear_value(o, id);
	return r < 0 ? r : workspace_remove_value(ws, id, buf_span(&name));
}

static void cut_doomed(void *arg, struct span text)
{
	struct workspace *ws = arg;
	struct objects *o = workspace_graph(ws);
	struct bond b = { 0 };

	if (o && bond_get(text, &b) && workspace_cut_bond(ws, &b) < 0)
		log_error("%s: out of memory: a removed name stays on disk",
			  ws->label);
}

int workspace_ripen(struct workspace *ws, uint64_t until)
{
	struct objects *o;

	pending_ripen(ws->pending, catalog_bundle(ws->catalog), until,
		      cut_doomed, ws);
	o = workspace_graph(ws);
	return o && objects_changed(o) ? workspace_tidy(ws) : 0;
}

/* --- variables that come ---------------------------------------------------------------- */

int workspace_free_key(struct workspace *ws, const struct bond *b, size_t id,
		       const struct node *scope, struct buf *ret)
{
	const struct objects *o = workspace_graph(ws);
	const size_t tail = strlen(OBJECTS_ATTRIBUTES OBJECTS_VALUE);
	size_t len;
	int r = objects_make_key(o, id, OBJECTS_VALUE, ret);

	if (r < 0 && r != -ENOMEM) {
		ret->len = 0;
		r = bond_put_key(b, scope, ret);
	}
	len = r < 0 ? 0 : ret->len - tail;
	for (unsigned i = 1;
	     r == 0 && (objects_find_key(o, buf_span(ret)) != OBJECTS_NONE ||
			workspace_is_literal(ws, buf_span(ret)));
	     i++) {
		ret->len = len;
		buf_printf(ret, "_%u" OBJECTS_ATTRIBUTES OBJECTS_VALUE, i);
		r = buf_error(ret);
	}
	return r;
}

static int make_object(struct objects *o, const struct bond *b, size_t *ret)
{
	*ret = b->id;
	if (b->id != OBJECTS_NONE)
		return 0;
	return b->kind == BOND_SLOT
		       ? objects_add_slot(o, b->owner, b->optimizer, b->name,
					  ret)
		       : objects_add(o, b->owner, b->name, ret);
}

/* Its other names, which came before it had a value. */
static int link_others(struct workspace *ws, struct variable *v,
		       const struct node *first, size_t id)
{
	struct objects *o = workspace_graph(ws);
	struct node *n = NULL;
	int r = 0;

	while (r == 0 && (n = node_next_name(v, n))) {
		CLEANUP(buf_release) struct buf name = { 0 };
		struct bond b = { 0 };

		if (n == first || node_ghost(n))
			continue;
		r = node_put_component(n, &name);
		if (r == 0)
			r = bond_make(o, node_parent(n), buf_span(&name), &b);
		if (r == 0 && b.kind == BOND_EDGE && b.id == OBJECTS_NONE)
			r = objects_link(o, b.owner, b.name, id);
	}
	return r;
}

int workspace_take_place(struct workspace *ws, struct variable *v, size_t id)
{
	struct variable *old = workspace_bound(ws, id);

	if (old && old != v) {
		variable_set_stored(old, false);
		tree_lead_all(workspace_tree(ws), old, v);
	}
	return workspace_set_bound(ws, id, v);
}

int workspace_give_key(struct variable *v, struct span key)
{
	CLEANUP(buf_release) struct buf now = { 0 };
	CLEANUP(buf_release) struct buf copy = { 0 };
	int r = variable_key(v, &now);

	if (r < 0 || span_equal(buf_span(&now), key))
		return r;
	buf_put(&copy, key.data, key.len);
	r = buf_error(&copy);
	return r < 0 ? r : variable_rename(v, buf_span(&copy));
}

static int bind_object(struct workspace *ws, struct variable *v,
		       const struct node *n, const struct bond *b)
{
	CLEANUP(buf_release) struct buf made = { 0 };
	struct objects *o = workspace_graph(ws);
	struct span key;
	size_t id = OBJECTS_NONE;
	int r = make_object(o, b, &id);

	if (r == 0)
		r = link_others(ws, v, n, id);
	if (r == 0)
		r = workspace_tidy(ws);
	if (r < 0)
		return r;
	if (!objects_key(o, id, &key)) {
		r = workspace_free_key(ws, b, id, node_parent(n), &made);
		key = buf_span(&made);
		if (r == 0)
			r = objects_set_value(o, id, key, (struct span){ 0 });
		pending_touch(ws->pending);
	}
	if (r == 0)
		r = workspace_give_key(v, key);
	return r < 0 ? r : workspace_take_place(ws, v, id);
}

int workspace_bind(struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct objects *o = workspace_graph(ws);
	struct node *n = o ? workspace_live_node(ws, v) : NULL;
	struct bond b = { 0 };
	int r;

	if (!n || !variable_loose(v))
		return 0;
	r = node_put_component(n, &name);
	if (r == 0)
		r = bond_make(o, node_parent(n), buf_span(&name), &b);
	if (r < 0)
		return r;
	(void)workspace_rescue_bond(ws, &b);
	if (b.kind != BOND_NONE)
		r = bind_object(ws, v, n, &b);
	if (r == 0)
		variable_set_loose(v, false);
	return r;
}
