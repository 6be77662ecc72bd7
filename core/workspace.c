#include "core/workspace.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/name.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"

#define AWAIT_MS  UINT64_C(2000)  /* sidecars of what came with attributes */
#define LINGER_MS UINT64_C(60000) /* sidecars whose value has gone */
#define HIDDEN_MS UINT64_C(1000)  /* a sidecar that was removed */

uint64_t workspace_next_id(const struct workspace *ws)
{
	return ws->config->next_id(ws->config->arg);
}

struct tree *workspace_tree(const struct workspace *ws)
{
	return catalog_tree(ws->catalog);
}

unsigned workspace_bit(enum facet facet)
{
	return facet == FACET_SHAPE ? SHOWS_SHAPE : SHOWS_DTYPE;
}

bool workspace_is_sidecar(const struct place *p)
{
	return p->suffix == NAME_SHAPE || p->suffix == NAME_DTYPE;
}

enum facet workspace_facet_of(const struct place *p)
{
	switch (p->suffix) {
	case NAME_SHAPE:
		return FACET_SHAPE;
	case NAME_DTYPE:
		return FACET_DTYPE;
	case NAME_PLAIN:
	case NAME_SCOPE:
		break;
	}
	return FACET_VALUE;
}

int workspace_refuse_objects(const struct workspace *ws, struct span name)
{
	log_error("%s: %.*s: not changed: the object graph has no objects, and "
		  "only values can be written",
		  ws->label, (int)name.len, (const char *)name.data);
	return -EOPNOTSUPP;
}

int workspace_refuse_literal(const struct workspace *ws, struct span name)
{
	log_error("%s: %.*s: not changed: it is not the value of an object of "
		  "its own, and goes where its owner goes",
		  ws->label, (int)name.len, (const char *)name.data);
	return -EPERM;
}

int workspace_refuse_name(const struct workspace *ws, struct span name,
			  const char *why)
{
	log_error("%s: %.*s: not made: %s", ws->label, (int)name.len,
		  (const char *)name.data, why);
	return -EINVAL;
}

int workspace_refuse_link(const struct workspace *ws, struct span name)
{
	log_error("%s: %.*s: not made: only an object of an object-based "
		  "checkpoint can have another name; cp makes a copy",
		  ws->label, (int)name.len, (const char *)name.data);
	return -EPERM;
}

int workspace_new_place(const struct workspace *ws, struct node *parent,
			struct span name, struct place *ret)
{
	int r = workspace_find_place(ws, parent, name, ret);

	return r == -EINVAL
		       ? workspace_refuse_name(
				 ws, name,
				 "no key has this name: it is reserved, or "
				 "longer than 243 bytes, or has a % that is "
				 "none of our escapes (%25 stands for one)")
		       : r;
}

int workspace_find_place(const struct workspace *ws, struct node *parent,
			 struct span name, struct place *ret)
{
	int r = place_find(workspace_tree(ws), parent, name, ret);

	if (r == 0 && ret->new_slash && !workspace_graph(ws) && !ws->made) {
		place_release(ret);
		r = -EINVAL;
	}
	return r;
}

/* --- looking --------------------------------------------------------------- */

struct object workspace_object_of(struct node *n, enum facet facet)
{
	struct object o = { .facet = facet };

	switch (node_kind(n)) {
	case NODE_SCOPE:
		o.facet = FACET_SCOPE;
		o.node = node_ref(n);
		break;
	case NODE_LINK:
		o.facet = FACET_LINK;
		o.node = node_ref(n);
		break;
	case NODE_VARIABLE:
		o.variable = variable_ref(node_variable(n));
		break;
	}
	return o;
}

bool workspace_lingers(const struct node *n)
{
	return node_ghost(n) && clock_ms() - node_since(n) < LINGER_MS;
}

void workspace_await(struct workspace *ws, struct node *n, pid_t maker,
		     unsigned sidecars)
{
	node_await(n, maker, sidecars);
	node_set_since(n, clock_ms());
	ws->copier = maker;
	ws->copied = node_since(n);
}

/* Large values may come between one and its sidecars. */
bool workspace_awaits(const struct workspace *ws, const struct node *n,
		      enum facet facet, pid_t by)
{
	uint64_t since = node_since(n);

	if (by == ws->copier && ws->copied > since)
		since = ws->copied;
	return by && node_awaits(n, by) & workspace_bit(facet) &&
	       clock_ms() - since < AWAIT_MS;
}

static int lookup_sidecar(struct workspace *ws, const struct node *scope,
			  struct span stem, enum facet facet, pid_t by,
			  struct object *ret)
{
	struct node *n = tree_find_variable(workspace_tree(ws), scope, stem);
	bool shows = n && node_shows(n) & workspace_bit(facet) &&
		     !workspace_awaits(ws, n, facet, by);

	if (!n || (node_ghost(n) && !workspace_lingers(n)))
		return -ENOENT;
	/* What comes back in a moment, or goes, is not to be believed for long. */
	if (!shows)
		return -EAGAIN;
	*ret = workspace_object_of(n, facet);
	ret->brief = node_ghost(n);
	return 0;
}

int workspace_lookup(struct workspace *ws, const struct node *scope,
		     struct span name, pid_t by, struct object *ret)
{
	struct span stem;
	struct node *n;

	switch (name_split(name, &stem)) {
	case NAME_SHAPE:
		return lookup_sidecar(ws, scope, stem, FACET_SHAPE, by, ret);
	case NAME_DTYPE:
		return lookup_sidecar(ws, scope, stem, FACET_DTYPE, by, ret);
	case NAME_PLAIN:
	case NAME_SCOPE:
		break;
	}
	n = tree_find(workspace_tree(ws), scope, name);
	if (!n || (node_ghost(n) && !workspace_lingers(n)))
		return -ENOENT;
	*ret = workspace_object_of(n, FACET_VALUE);
	ret->brief = node_ghost(n);
	return 0;
}

/*
 * The first file of `n` from `which` on that shows; 3 if none does.  The sidecars come
 * first, as by their inode numbers: tar, zip and Python's shutil copy in this order, and
 * a value is judged by the shape that it finds.
 */
static unsigned next_shown(const struct node *n, unsigned which)
{
	static const unsigned bits[] = { SHOWS_SHAPE, SHOWS_DTYPE,
					 SHOWS_VALUE };

	if (node_ghost(n))
		return 3;
	/* A scope or a link has one name, where a value would have its own. */
	if (node_kind(n) != NODE_VARIABLE)
		return which < 3 ? 2 : 3;
	while (which < 3 && !(node_shows(n) & bits[which]))
		which++;
	return which;
}

int workspace_list(struct workspace *ws, const struct node *scope,
		   uint64_t *cookie, struct buf *name, struct object *ret)
{
	/* A cookie is a child's place, times the names that a child may have. */
	enum {
		NAMES = 4
	};
	static const enum facet facets[] = { FACET_SHAPE, FACET_DTYPE,
					     FACET_VALUE };
	static const enum name_suffix suffixes[] = { NAME_SHAPE, NAME_DTYPE,
						     NAME_PLAIN };
	uint64_t at = *cookie / NAMES;
	unsigned which = (unsigned)(*cookie % NAMES);

	(void)ws;
	for (;;) {
		uint64_t place;
		struct node *n = node_child_at(scope, at, &place);

		if (!n)
			return 0;
		which = next_shown(n, place == at ? which : 0);
		at = place;
		if (which < 3) {
			node_put_name(n, name);
			buf_printf(name, "%s",
				   name_suffix_text(suffixes[which]));
			*ret = workspace_object_of(n, facets[which]);
			*cookie = place * NAMES + which + 1;
			return buf_error(name) ? buf_error(name) : 1;
		}
		at++;
		which = 0;
	}
}

/* --- what is stored --------------------------------------------------------- */

bool workspace_rescue(struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf name = { 0 };
	struct node *n = workspace_graph(ws) ? workspace_live_node(ws, v)
					     : NULL;
	struct bond b = { 0 };

	if (n && !workspace_is_graph(v) &&
	    workspace_bond_of(ws, n, &name, &b) == 0 && b.kind != BOND_NONE)
		return workspace_rescue_bond(ws, &b);
	return variable_key(v, &key) == 0 &&
	       pending_rescue(ws->pending, buf_span(&key));
}

void workspace_doom(struct workspace *ws, struct span key)
{
	if (pending_doom(ws->pending, key, clock_ms() + WORKSPACE_DOOM_MS) < 0)
		log_error("%s: out of memory: a removed variable stays on disk",
			  ws->label);
}

unsigned workspace_shown(struct variable *v)
{
	unsigned shows = variable_has_value(v) ? SHOWS_VALUE : 0;

	/* What has no type yet has no sidecars but those that were made. */
	if (variable_has_value(v) && variable_stored(v) && !variable_is_new(v))
		return SHOWS_ALL;
	if (variable_declared(v, FACET_SHAPE))
		shows |= SHOWS_SHAPE;
	if (variable_declared(v, FACET_DTYPE))
		shows |= SHOWS_DTYPE;
	return shows;
}

struct node *workspace_find_node(const struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct node *n = NULL, *ghost = NULL;

	/* Where keys are paths, that is whoever has the name now. */
	if (!catalog_objects(ws->catalog))
		n = variable_key(v, &key) < 0
			    ? NULL
			    : tree_find_key(workspace_tree(ws), buf_span(&key));
	if (n)
		return n;
	while ((n = node_next_name(v, n))) {
		if (!node_ghost(n))
			return n;
		ghost = n;
	}
	return ghost;
}

struct node *workspace_live_node(const struct workspace *ws, struct variable *v)
{
	struct node *n = workspace_find_node(ws, v);

	return n && !node_ghost(n) && node_variable(n) == v ? n : NULL;
}

static void show_all_names(struct workspace *ws, struct variable *v)
{
	struct node *n = NULL;

	while ((n = node_next_name(v, n)))
		if (!node_ghost(n))
			tree_show(workspace_tree(ws), n, workspace_shown(v));
}

int workspace_take_over(struct workspace *ws, struct variable *v)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct node *n = workspace_live_node(ws, v);
	int r = 0;

	if (variable_dead(v))
		return -ESTALE;
	show_all_names(ws, v);
	if (!variable_stored(v) || variable_links(v) == 0)
		return 0;
	if (workspace_is_graph(v) && n && ws->made && !ws->config->raw &&
	    variable_loose(v))
		r = workspace_graph_came(ws, v);
	else if (workspace_is_graph(v) && n && workspace_graph(ws))
		return workspace_graph_written(ws, n);
	if (r == 0)
		r = workspace_bind(ws, v);
	if (r < 0)
		return r;
	if (n && !node_dead(n))
		node_keep(n, false); /* it is the edit's now, and the disk's */
	e = variable_entry(v);
	return pending_put(ws->pending, e, v);
}

/* The variable in whose place `v` was made has its name again, whatever that is now. */
static void restore(struct workspace *ws, struct node *n, struct variable *v,
		    struct variable *former)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(variable_unrefp) struct variable *held = variable_ref(former);
	CLEANUP(entry_unrefp) struct entry *e = NULL;

	variable_set_stored(former, true);
	(void)variable_take_aside(former, v);
	/* Sidecars may have been written since, for the bytes that were refused. */
	(void)variable_add_declared(v, former);
	tree_lead(workspace_tree(ws), n, former);
	/* In a graph it has kept its key. */
	if (!workspace_graph(ws) &&
	    (node_put_key(n, &key) < 0 ||
	     variable_rename(former, buf_span(&key)) < 0))
		return;
	e = variable_entry(former);
	(void)pending_put(ws->pending, e, former);
}

/* Whether a graph that was put in has an object whose value nobody has brought yet. */
static bool awaits_value(struct workspace *ws, size_t id,
			 const struct variable *v)
{
	struct variable *bound = workspace_bound(ws, id);

	return ws->made && (!bound || bound == v || variable_is_new(bound));
}

void workspace_doom_again(struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf name = { 0 };
	struct node *n = workspace_graph(ws) ? workspace_live_node(ws, v)
					     : NULL;
	struct bond b = { 0 };

	if (!variable_stored(v) || variable_key(v, &key) < 0)
		return;
	if (n && workspace_bond_of(ws, n, &name, &b) == 0 &&
	    b.kind != BOND_NONE) {
		if (b.id != OBJECTS_NONE && !awaits_value(ws, b.id, v))
			workspace_doom_bond(ws, &b, buf_span(&key));
		return;
	}
	workspace_doom(ws, buf_span(&key));
}

void workspace_withdraw_value(struct workspace *ws, struct variable *v)
{
	struct node *n = workspace_live_node(ws, v);
	struct variable *former = variable_former(v);
	unsigned shows = workspace_shown(v);

	if (n && !former)
		workspace_doom_again(ws, v);
	if (n && former)
		restore(ws, n, v, former);
	else if (n && shows)
		tree_show(workspace_tree(ws), n, shows);
	else if (n)
		tree_remove(workspace_tree(ws), n);
}

void workspace_keep_emptied(struct node *scope)
{
	if (node_parent(scope) && node_empty(scope))
		node_keep(scope, true);
}

uint64_t workspace_tick(struct workspace *ws, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < ws->n_hidden; i++) {
		struct node *n = ws->hidden[i];
		uint64_t due = node_since(n) + HIDDEN_MS;

		if (!node_dead(n) && !node_ghost(n) && now < due) {
			ws->hidden[kept++] = n;
			next = due < next ? due : next;
			continue;
		}
		if (!node_dead(n) && !node_ghost(n))
			tree_show(workspace_tree(ws), n,
				  workspace_shown(node_variable(n)));
		node_unref(n);
	}
	ws->n_hidden = kept;
	return next;
}

void workspace_release(struct workspace *ws)
{
	for (size_t i = 0; i < ws->n_hidden; i++)
		node_unref(ws->hidden[i]);
	free(ws->hidden);
	ws->hidden = NULL;
	ws->n_hidden = 0;
	for (size_t i = 0; i < ws->n_links; i++)
		node_unref(ws->links[i]);
	free(STEAL(ws->links));
	ws->n_links = 0;
	workspace_forget_bound(ws);
}

static int forget_one(void *arg, struct node *n)
{
	(void)arg;
	node_keep(n, false);
	variable_withdraw(node_variable(n), FACET_SHAPE);
	variable_withdraw(node_variable(n), FACET_DTYPE);
	return 0;
}

static int forget_link(void *arg, struct node *n)
{
	(void)arg;
	node_keep(n, false);
	return 0;
}

void workspace_forget(struct workspace *ws)
{
	struct node *root = tree_root(workspace_tree(ws));

	(void)node_each_variable(root, forget_one, NULL);
	(void)node_each_link(root, forget_link, NULL);
	tree_forget_scopes(workspace_tree(ws));
}
