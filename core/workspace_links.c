/* Symbolic links, which are further edges to objects; and further names of variables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/scratch.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"

/*
 * The scope that a relative path leads to from `at`; NULL if none does, or not yet.
 * `outside`: it leaves the checkpoint.
 */
static struct node *walk(const struct workspace *ws, struct node *at,
			 struct span path, bool *outside)
{
	while (at && path.len) {
		const uint8_t *slash = memchr(path.data, '/', path.len);
		size_t n = slash ? (size_t)(slash - path.data) : path.len;
		struct span name = { path.data, n };

		path.data += slash ? n + 1 : n;
		path.len -= slash ? n + 1 : n;
		if (n == 0 || span_equal(name, span_of(".")))
			continue;
		at = span_equal(name, span_of(".."))
			     ? node_parent(at)
			     : tree_find(workspace_tree(ws), at, name);
		*outside |= !at && span_equal(name, span_of(".."));
		if (at && node_kind(at) == NODE_LINK)
			at = node_target(at);
		if (at && (node_kind(at) != NODE_SCOPE || node_dead(at)))
			at = NULL;
	}
	return at;
}

/* -EPERM if it can never be one. */
static int find_target(const struct workspace *ws, struct node *scope,
		       struct span text, struct node **ret)
{
	bool outside = text.len == 0 || text.data[0] == '/';

	*ret = outside ? NULL : walk(ws, scope, text, &outside);
	return outside ? -EPERM : 0;
}

/* Makes the edge: 1; 0 if the target is no object yet. */
static int make_edge(struct workspace *ws, const struct node *scope,
		     struct span component, const struct node *target)
{
	struct objects *o = workspace_graph(ws);
	struct span key;
	struct bond b = { 0 };
	size_t id;
	int r = target ? bond_of_scope(o, target, &id) : 0;

	if (r < 0 || !target || id == OBJECTS_NONE)
		return r;
	if (objects_key(o, id, &key))
		return -EPERM; /* that is a file */
	r = bond_make(o, scope, component, &b);
	if (r == 0 && b.kind != BOND_EDGE)
		r = -EPERM;
	if (r == 0 && b.id == id) {
		(void)workspace_rescue_bond(ws, &b);
		return 1;
	}
	if (r == 0)
		r = workspace_clear_bond(ws, &b);
	if (r == 0)
		r = objects_link(o, b.owner, b.name, id);
	if (r == 0)
		r = workspace_tidy(ws);
	return r < 0 ? r : 1;
}

static int wait_for_target(struct workspace *ws, struct node *link)
{
	struct node **links = reallocarray(ws->links, ws->n_links + 1,
					   sizeof(struct node *));

	if (!links)
		return -ENOMEM;
	ws->links = links;
	ws->links[ws->n_links++] = node_ref(link);
	return 0;
}

/* The edge of a link that came before what it leads to: 1 if it needs no more. */
static int resolve(struct workspace *ws, struct node *link)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };
	struct node *target;
	struct bond b = { 0 };
	int r;

	if (node_dead(link) || node_kind(link) != NODE_LINK)
		return 1;
	r = workspace_bond_of(ws, link, &name, &b);
	if (r == 0)
		r = node_put_target(link, &text);
	if (r < 0)
		return r;
	r = find_target(ws, node_parent(link), buf_span(&text), &target);
	if (r < 0)
		return 1;
	r = make_edge(ws, node_parent(link), buf_span(&name), target);
	if (r == 1 && target) {
		tree_aim(link, target);
		node_keep(link, false);
	}
	return r == -EPERM ? 1 : r;
}

struct leaving {
	struct workspace *ws;
	const struct node *scope;
};

static int wait_if_left(void *arg, struct node *link)
{
	const struct leaving *l = arg;

	return node_target(link) == l->scope ? wait_for_target(l->ws, link) : 0;
}

int workspace_leave_links(struct workspace *ws, const struct node *scope)
{
	struct leaving l = { ws, scope };
	const struct objects *o = workspace_graph(ws);
	const struct objects_edge *first = NULL;
	size_t id = OBJECTS_NONE;
	int r = o ? bond_of_scope(workspace_graph(ws), scope, &id) : 0;

	/* Most have no links: the tree need not be searched for them. */
	if (r == 0 && id != OBJECTS_NONE)
		first = objects_next_parent(o, id, NULL);
	return first && objects_next_parent(o, id, first)
		       ? node_each_link(tree_root(workspace_tree(ws)),
					wait_if_left, &l)
		       : r;
}

int workspace_resolve_links(struct workspace *ws)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < ws->n_links; i++) {
		int s = r == 0 ? resolve(ws, ws->links[i]) : 0;

		r = s < 0 ? s : r;
		if (s == 1)
			node_unref(ws->links[i]);
		else
			ws->links[kept++] = ws->links[i];
	}
	ws->n_links = kept;
	return r;
}

static int make_link(struct workspace *ws, const struct place *p,
		     struct span text, struct node **ret)
{
	struct span component = buf_span(&p->component);
	struct node *target;
	int r = find_target(ws, p->parent, text, &target);

	if (r == 0 && workspace_graph(ws))
		r = make_edge(ws, p->parent, component, target);

	if (r < 0)
		return r;
	if (p->variable && node_ghost(p->variable))
		tree_remove(workspace_tree(ws), p->variable);
	if (r == 1) {
		r = tree_make_link(workspace_tree(ws), p->parent, component,
				   target, text, ret);
		if (r == 0) /* it is what its edge is */
			node_keep(*ret, false);
		return r;
	}
	r = tree_make_link(workspace_tree(ws), p->parent, component, NULL, text,
			   ret);
	return r < 0 ? r : wait_for_target(ws, *ret);
}

int workspace_symlink(struct workspace *ws, struct node *scope,
		      struct span name, struct span text, struct object *ret)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r;

	/* Emacs tries a link for its lock, and then makes a file: no line for that. */
	if (!workspace_graph(ws) && !ws->made)
		return scratch_name(name) ? -EPERM
					  : workspace_refuse_link(ws, name);
	r = workspace_new_place(ws, scope, name, &p);
	if (r == 0 && p.suffix != NAME_PLAIN)
		r = workspace_refuse_name(ws, name,
					  p.suffix == NAME_SCOPE
						  ? WHY_SCOPE_ONLY
						  : WHY_SIDECAR_ONLY);
	if (r == 0 && (place_node(&p) ||
		       (p.variable && !node_ghost(p.variable)) || p.scope))
		r = -EEXIST;
	if (r == 0)
		r = make_link(ws, &p, text, &n);
	if (r == -EPERM)
		log_error("%s: %.*s: not made: a symbolic link leads to an "
			  "object of the checkpoint; ln without -s gives a "
			  "variable another name",
			  ws->label, (int)name.len, (const char *)name.data);
	if (r == 0)
		*ret = workspace_object_of(n, FACET_LINK);
	return r;
}

/* --- variables -------------------------------------------------------------------- */

static int link_object(struct workspace *ws, struct variable *v,
		       const struct place *p)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct objects *o = workspace_graph(ws);
	struct bond b = { 0 };
	size_t id;
	int r = variable_key(v, &key);

	if (r < 0)
		return r;
	id = objects_find_key(o, buf_span(&key));
	if (id == OBJECTS_NONE)
		return workspace_refuse_link(ws, p->name);
	r = bond_make(o, p->parent, buf_span(&p->component), &b);
	if (r == 0 && b.kind != BOND_EDGE)
		r = workspace_refuse_link(ws, p->name);
	if (r == 0 && b.id == id) {
		(void)workspace_rescue_bond(ws, &b);
		return 0;
	}
	if (r == 0)
		r = workspace_clear_bond(ws, &b);
	if (r == 0)
		r = objects_link(o, b.owner, b.name, id);
	return r < 0 ? r : workspace_tidy(ws);
}

/* Names of a variable have sidecars of their own, which say the same. */
static int link_sidecar(struct workspace *ws, const struct object *from,
			struct node *scope, struct span name, pid_t by,
			struct object *ret)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	const struct attributes owner = { .maker = by };
	struct span stem;
	enum name_suffix suffix = name_split(name, &stem);
	int r;

	if (suffix != (from->facet == FACET_SHAPE ? NAME_SHAPE : NAME_DTYPE))
		return workspace_refuse_link(ws, name);
	r = variable_sidecar(from->variable, from->facet, &text);
	if (r == 0)
		r = workspace_create(ws, scope, name, &owner, ret);
	if (r < 0)
		return r;
	r = workspace_declare(ws, ret->variable, ret->facet, buf_span(&text));
	if (r < 0)
		object_release(ret);
	return r;
}

/*
 * Who copies makes the sidecars of each name, and those of one may give the variable a type:
 * they do not show at the others before they come.
 */
static void await_sidecars(struct workspace *ws, struct variable *v, pid_t by)
{
	struct node *n = NULL;

	while ((n = node_next_name(v, n))) {
		unsigned yet = (SHOWS_SHAPE | SHOWS_DTYPE) & ~node_shows(n);

		if (yet && !node_ghost(n))
			workspace_await(ws, n, by, yet | node_awaits(n, by));
	}
}

/* What sidecars of the new name say that came first, where no others have said it yet. */
static int take_sidecars(struct workspace *ws, struct variable *from,
			 struct variable *v)
{
	static const enum facet facets[] = { FACET_SHAPE, FACET_DTYPE };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		CLEANUP(buf_release) struct buf text = { 0 };

		if (!variable_declared(from, facets[i]) ||
		    variable_declared(v, facets[i]) || !variable_is_new(v))
			continue;
		r = variable_sidecar(from, facets[i], &text);
		if (r == 0)
			r = workspace_declare(ws, v, facets[i],
					      buf_span(&text));
	}
	return r;
}

/* The name; sidecars of it may have come first, and say the same, or are yet to come. */
static int add_name(struct workspace *ws, struct variable *v, struct place *p,
		    pid_t by, struct node **ret)
{
	CLEANUP(variable_unrefp) struct variable *said = NULL;
	unsigned yet = SHOWS_SHAPE | SHOWS_DTYPE;
	int r;

	if (p->variable && !node_ghost(p->variable)) {
		yet &= ~node_shows(p->variable);
		said = variable_ref(node_variable(p->variable));
		tree_remove(workspace_tree(ws), p->variable);
	}
	if (ws->made)
		await_sidecars(ws, v, by);
	r = tree_make_variable(workspace_tree(ws), p->parent,
			       buf_span(&p->component), v, workspace_shown(v),
			       ret);
	if (r == 0 && said)
		r = take_sidecars(ws, said, v);
	if (r < 0)
		return r;
	tree_show(workspace_tree(ws), *ret, workspace_shown(v));
	if (yet && ws->made)
		workspace_await(ws, *ret, by, yet);
	return 0;
}

int workspace_link(struct workspace *ws, const struct object *from,
		   struct node *scope, struct span name, pid_t by,
		   struct object *ret)
{
	struct variable *v = from->variable;
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r;

	if ((!workspace_graph(ws) && !ws->made) || variable_dead(v) ||
	    variable_links(v) == 0)
		return workspace_refuse_link(ws, name);
	if (workspace_is_in_companion(ws, v, scope)) {
		(void)workspace_refuse_name(ws, name, WHY_OWN_COMPANION);
		return -EPERM;
	}
	if (from->facet != FACET_VALUE)
		return link_sidecar(ws, from, scope, name, by, ret);
	r = workspace_new_place(ws, scope, name, &p);
	if (r == 0 && p.suffix != NAME_PLAIN)
		r = workspace_refuse_link(ws, name);
	if (r == 0 && place_node(&p))
		r = -EEXIST;
	/* What is loose gets all its edges with its value. */
	if (r == 0 && workspace_graph(ws) && !variable_loose(v))
		r = link_object(ws, v, &p);
	if (r == 0)
		r = add_name(ws, v, &p, by, &n);
	if (r == 0)
		*ret = workspace_object_of(n, FACET_VALUE);
	return r;
}
