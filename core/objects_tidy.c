/*
 * Paths are a tree.  What has lost its place in it, and all that hangs on that, is taken
 * out of the tree; then it is put in again, breadth first, beginning where edges lead to
 * it from what is still there.  Slots come last, since nothing hangs on them.
 */
#include "core/objects_inside.h"

/* --- what is lost ------------------------------------------------------------------ */

static bool is_hollow(const struct objects_node *n)
{
	return n->hollow && n->id != OBJECTS_ROOT && TAILQ_EMPTY(&n->out) &&
	       TAILQ_EMPTY(&n->slots_in) && n->message->n_attributes == 0 &&
	       !n->message->registered_saver;
}

/* Drops all edges to what is hollow; its parents may have become so by that. */
static void drop_hollow(struct objects *o)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < o->loose.n; i++) {
			struct objects_node *n = o->loose.items[i];
			struct edge *e;

			if (!is_hollow(n))
				continue;
			while ((e = TAILQ_FIRST(&n->in)))
				objects_drop_edge(o, e);
			n->hollow = false;
			again = true;
		}
	}
	for (size_t i = 0; i < o->loose.n; i++)
		((struct objects_node *)o->loose.items[i])->hollow = false;
}

/* What is listed and has its place goes from the list. */
static void forget_placed(struct objects *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->loose.n; i++) {
		struct objects_node *node = o->loose.items[i];

		if (objects_has_place(node) || node->via_slot)
			node->listed = false;
		else
			o->loose.items[n++] = node;
	}
	o->loose.n = n;
}

static int take_out_slot(struct objects *o, const struct slot *s)
{
	struct objects_node *n = objects_node(o, s->shown.slot);

	if (n->via_slot != s)
		return 0;
	if (objects_set_loose(o, n) < 0)
		return -ENOMEM;
	n->via_slot = NULL;
	return 0;
}

/* All that hangs on `n`; the list grows by it. */
static int take_out_below(struct objects *o, const struct objects_node *n)
{
	const struct edge *e;
	const struct slot *s;
	int err = 0;

	TAILQ_FOREACH(e, &n->out, out)
	{
		struct objects_node *child = objects_node(o, e->shown.child);

		if (child->via != e)
			continue;
		if (objects_set_loose(o, child) < 0)
			return -ENOMEM;
		child->via = NULL;
	}
	TAILQ_FOREACH(s, &n->slots_for, variables)
	if (!err)
		err = take_out_slot(o, s);
	TAILQ_FOREACH(s, &n->slots_in, in)
	if (!err)
		err = take_out_slot(o, s);
	return err;
}

static int take_out(struct objects *o)
{
	int err = 0;

	forget_placed(o);
	for (size_t i = 0; i < o->loose.n && !err; i++)
		err = take_out_below(o, o->loose.items[i]);
	return err;
}

/* --- where it goes -------------------------------------------------------------------- */

/* An edge from what has its place to what has none. */
struct entrance {
	struct objects_node *node;
	const struct edge *edge;
	size_t depth;
	size_t order;
};

static int compare_entrances(const void *a, const void *b)
{
	const struct entrance *x = a;
	const struct entrance *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static bool find_entrance(const struct objects *o, struct objects_node *n,
			  struct entrance *ret)
{
	const struct edge *best = NULL, *e;
	size_t depth = OBJECTS_NONE;

	TAILQ_FOREACH(e, &n->in, in)
	{
		const struct objects_node *parent =
			objects_node(o, e->shown.parent);

		if (!objects_has_place(parent) || parent->depth >= depth)
			continue;
		best = e;
		depth = parent->depth;
	}
	*ret = (struct entrance){ .node = n, .edge = best, .depth = depth + 1 };
	return best;
}

/* Nodes that have their place, and whose edges have not been followed. */
struct ways {
	struct entrance *entrances;
	size_t n_entrances, next_entrance;
	struct list queue;
	size_t next;
};

static void ways_release(struct ways *w)
{
	free(w->entrances);
	free(w->queue.items);
}

static int enter(struct objects *o, struct ways *w, struct objects_node *n,
		 const struct edge *e, size_t depth)
{
	if (n->via || n->id == OBJECTS_ROOT)
		return 0;
	if (objects_set_loose(o, n) < 0)
		return -ENOMEM;
	n->via = e;
	n->via_slot = NULL; /* an edge is worth more */
	n->depth = depth;
	return list_add(&w->queue, n);
}

/* Those that lie no deeper than what is followed next. */
static int enter_some(struct objects *o, struct ways *w)
{
	size_t depth = OBJECTS_NONE;
	int err = 0;

	if (w->next < w->queue.n)
		depth = ((struct objects_node *)w->queue.items[w->next])->depth;
	while (w->next_entrance < w->n_entrances && !err) {
		const struct entrance *e = &w->entrances[w->next_entrance];

		if (e->depth > depth)
			break;
		/* What an edge from the queue led to is there: others may be due. */
		if (!e->node->via)
			depth = e->depth;
		err = enter(o, w, e->node, e->edge, e->depth);
		w->next_entrance++;
	}
	return err;
}

static int find_entrances(const struct objects *o, struct ways *w)
{
	w->entrances = calloc(o->loose.n + 1, sizeof(*w->entrances));
	if (!w->entrances)
		return -ENOMEM;

	for (size_t i = 0; i < o->loose.n; i++) {
		struct entrance *at = &w->entrances[w->n_entrances];

		if (!find_entrance(o, o->loose.items[i], at))
			continue;
		at->order = i;
		w->n_entrances++;
	}
	qsort(w->entrances, w->n_entrances, sizeof(*w->entrances),
	      compare_entrances);
	return 0;
}

static int put_in_by_edges(struct objects *o)
{
	CLEANUP(ways_release) struct ways w = { 0 };
	const struct edge *e;
	int err = find_entrances(o, &w);

	if (!err)
		err = enter_some(o, &w);
	while (!err && w.next < w.queue.n) {
		const struct objects_node *n = w.queue.items[w.next++];

		TAILQ_FOREACH(e, &n->out, out)
		{
			err = enter(o, &w, objects_node(o, e->shown.child), e,
				    n->depth + 1);
			if (err)
				return err;
		}
		err = enter_some(o, &w);
	}
	return err;
}

static int put_in_slot(struct objects *o, const struct slot *s)
{
	struct objects_node *n = objects_node(o, s->shown.slot);

	if (objects_has_place(n) || n->via_slot ||
	    !objects_has_place(objects_node(o, s->shown.variable)) ||
	    !objects_has_place(objects_node(o, s->shown.optimizer)))
		return 0;
	if (objects_set_loose(o, n) < 0)
		return -ENOMEM;
	n->via_slot = s;
	return 0;
}

static int put_in_by_slots(struct objects *o)
{
	const struct slot *s;
	int err = 0;

	for (size_t i = 0; i < o->loose.n && !err; i++) {
		const struct objects_node *n = o->loose.items[i];

		TAILQ_FOREACH(s, &n->slots_for, variables)
		if (!err)
			err = put_in_slot(o, s);
		TAILQ_FOREACH(s, &n->slots_in, in)
		if (!err)
			err = put_in_slot(o, s);
		TAILQ_FOREACH(s, &n->slots_as, as)
		if (!err)
			err = put_in_slot(o, s);
	}
	return err;
}

int objects_tidy(struct objects *o, const struct objects_changes *changes)
{
	int err, told = 0;

	if (o->loose.n == 0)
		return 0;
	drop_hollow(o);
	err = take_out(o);
	if (!err)
		err = put_in_by_edges(o);
	if (!err)
		err = put_in_by_slots(o);
	if (!err)
		err = objects_rename(o, changes, &told);
	if (!err)
		return told;

	/* Whatever is listed is to be put in; what is not has its place. */
	for (size_t i = 0; i < o->loose.n; i++) {
		struct objects_node *n = o->loose.items[i];

		n->via = NULL;
		n->via_slot = NULL;
	}
	return err;
}
