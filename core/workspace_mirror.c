/*
 * Below NAME.d/slots stands the path of the optimizer.  When that directory, or one it is
 * in, gets another name, these paths follow.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/list.h"
#include "core/workspace_graph.h"
#include "core/workspace_move.h"

/* All directories `slots` in which something stands. */
struct mirrors {
	struct workspace *ws;
	struct list nodes; /* counted */
};

static void mirrors_release(struct mirrors *m)
{
	for (size_t i = 0; i < m->nodes.n; i++)
		node_unref(m->nodes.items[i]);
	free(m->nodes.items);
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

static int gather_mirror(struct mirrors *m, struct variable *v)
{
	struct node *n = node_next_name(v, NULL);
	struct node *at;
	int r;

	while (n && node_ghost(n))
		n = node_next_name(v, n);
	at = n ? node_parent(n) : NULL;
	while (at && node_parent(at) && !node_dotted(node_parent(at)))
		at = node_parent(at);
	if (!at || !node_parent(at))
		return 0;
	r = list_add(&m->nodes, at);
	if (r == 0)
		(void)node_ref(at);
	return r;
}

static int gather_mirrors(struct mirrors *m)
{
	const struct objects *o = workspace_graph(m->ws);
	int r = 0;

	for (size_t id = 0; r == 0 && id < objects_count(o); id++) {
		const struct objects_slot *s = NULL;

		while (r == 0 && (s = objects_next_slot_in(o, id, s))) {
			struct variable *v = workspace_bound(m->ws, s->slot);

			r = v ? gather_mirror(m, v) : 0;
		}
	}
	if (r == 0 && m->nodes.n)
		qsort(m->nodes.items, m->nodes.n, sizeof(struct node *),
		      compare_nodes);
	return r;
}

int route_take(const struct node *n, struct route *ret)
{
	int r = 0;

	for (const struct node *at = n; node_parent(at); at = node_parent(at))
		ret->n++;
	ret->names = calloc(ret->n + 1, sizeof(*ret->names));
	if (!ret->names)
		return -ENOMEM;
	for (size_t i = ret->n; r == 0 && i > 0; n = node_parent(n))
		r = node_put_component(n, &ret->names[--i]);
	return r;
}

void route_release(struct route *route)
{
	for (size_t i = 0; route->names && i < route->n; i++)
		buf_release(&route->names[i]);
	free(route->names);
}

static struct node *follow(const struct workspace *ws, struct node *at,
			   const struct route *route)
{
	for (size_t i = 0; at && i < route->n; i++)
		at = tree_find_scope(workspace_tree(ws), at,
				     buf_span(&route->names[i]));
	return at && !node_ghost(at) ? at : NULL;
}

/* The directories on the way, without the last, are made. */
static int make_way(struct workspace *ws, struct node *at,
		    const struct route *route, struct node **ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i + 1 < route->n; i++)
		r = tree_put_scope(workspace_tree(ws), at,
				   buf_span(&route->names[i]), &at);
	*ret = at;
	return r;
}

static int move_one(struct workspace *ws, struct node *mirror,
		    struct node *scope, const struct route *to)
{
	struct node *left = node_parent(scope);
	struct node *parent;
	int r = make_way(ws, mirror, to, &parent);

	if (r == 0 && !renaming_is_below(parent, scope))
		r = tree_move(workspace_tree(ws), scope, parent,
			      buf_span(&to->names[to->n - 1]), false);
	while (r == 0 && left != mirror && node_empty(left)) {
		struct node *up = node_parent(left);

		tree_remove(workspace_tree(ws), left);
		left = up;
	}
	return r == -EEXIST ? 0 : r; /* it shows there after the next mount */
}

static int change_one(struct workspace *ws, struct node *mirror,
		      const struct route *from, const struct route *to,
		      bool exchange)
{
	struct node *a = follow(ws, mirror, from);
	struct node *b = exchange ? follow(ws, mirror, to) : NULL;

	if (a && b)
		return tree_exchange(workspace_tree(ws), a, b);
	if (a)
		return move_one(ws, mirror, a, to);
	return b ? move_one(ws, mirror, b, from) : 0;
}

int route_change(struct workspace *ws, const struct route *from,
		 const struct route *to, bool exchange)
{
	CLEANUP(mirrors_release) struct mirrors m = { .ws = ws };
	int r = gather_mirrors(&m);

	for (size_t i = 0; r == 0 && i < m.nodes.n; i++)
		if ((i == 0 || m.nodes.items[i] != m.nodes.items[i - 1]) &&
		    !node_dead(m.nodes.items[i]))
			r = change_one(ws, m.nodes.items[i], from, to,
				       exchange);
	return r;
}
