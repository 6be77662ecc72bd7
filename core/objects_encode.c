/*
 * For a moment each message gets the arrays that were taken from it: all edges and all
 * slots of a graph, one object's behind another's.
 */
#include "core/objects_inside.h"

struct arrays {
	objects_message **nodes;
	objects_reference **edges;
	objects_slot_reference **slots;
};

static void arrays_release(struct arrays *a)
{
	free(a->nodes);
	free(a->edges);
	free(a->slots);
}

static int lend(const struct objects *o, struct arrays *a)
{
	size_t n_edges = 0, n_slots = 0;
	const struct edge *e;
	const struct slot *s;

	for (size_t i = 0; i < o->nodes.n; i++) {
		TAILQ_FOREACH(e, &objects_node(o, i)->out, out)
		n_edges++;
		TAILQ_FOREACH(s, &objects_node(o, i)->slots_in, in)
		n_slots++;
	}
	a->nodes = calloc(o->nodes.n + 1, sizeof(objects_message *));
	a->edges = calloc(n_edges + 1, sizeof(objects_reference *));
	a->slots = calloc(n_slots + 1, sizeof(objects_slot_reference *));
	return a->nodes && a->edges && a->slots ? 0 : -ENOMEM;
}

static void fill(const struct objects *o, struct arrays *a)
{
	objects_reference **edges = a->edges;
	objects_slot_reference **slots = a->slots;
	const struct edge *e;
	const struct slot *s;

	for (size_t i = 0; i < o->nodes.n; i++) {
		const struct objects_node *n = objects_node(o, i);
		objects_message *m = n->message;

		a->nodes[i] = m;
		m->children = edges;
		m->slot_variables = slots;
		TAILQ_FOREACH(e, &n->out, out)
		*edges++ = e->message;
		TAILQ_FOREACH(s, &n->slots_in, in)
		*slots++ = s->message;
		m->n_children = (size_t)(edges - m->children);
		m->n_slot_variables = (size_t)(slots - m->slot_variables);
	}
	o->proto->nodes = a->nodes;
	o->proto->n_nodes = o->nodes.n;
}

static void take_back(const struct objects *o)
{
	for (size_t i = 0; i < o->nodes.n; i++) {
		objects_message *m = objects_node(o, i)->message;

		m->children = NULL;
		m->slot_variables = NULL;
		m->n_children = 0;
		m->n_slot_variables = 0;
	}
	o->proto->nodes = NULL;
	o->proto->n_nodes = 0;
}

/*
 * Whether there are values in or below an object, as TensorFlow has it: where it says
 * that there are none, what a program creates later is not restored.
 */
static int find_values(const struct objects *o)
{
	CLEANUP(free_ptr) bool *has = calloc(o->nodes.n, sizeof(*has));
	CLEANUP(free_ptr) size_t *queue = calloc(o->nodes.n, sizeof(*queue));
	size_t n_queue = 0;

	if (!has || !queue)
		return -ENOMEM;
	for (size_t i = 0; i < o->nodes.n; i++) {
		const struct objects_node *n = objects_node(o, i);

		has[i] = n->message->n_attributes ||
			 n->message->registered_saver ||
			 !TAILQ_EMPTY(&n->slots_in);
		if (has[i])
			queue[n_queue++] = i;
	}
	for (size_t i = 0; i < n_queue; i++) {
		const struct edge *e;

		TAILQ_FOREACH(e, &objects_node(o, queue[i])->in, in)
		{
			if (has[e->shown.parent])
				continue;
			has[e->shown.parent] = true;
			queue[n_queue++] = e->shown.parent;
		}
	}
	for (size_t i = 0; i < o->nodes.n; i++) {
		objects_message *m = objects_node(o, i)->message;

		if (m->has_checkpoint_values)
			m->has_checkpoint_values->value = has[i];
	}
	return 0;
}

int objects_encode(struct objects *o, struct buf *out)
{
	CLEANUP(arrays_release) struct arrays a = { 0 };
	size_t at = out->len;
	int err = lend(o, &a);

	if (!err && o->was_edited)
		err = find_values(o);
	if (err)
		return err;

	fill(o, &a);
	buf_put_zeros(out, tensorflow__trackable_object_graph__get_packed_size(
				   o->proto));
	if (!buf_error(out))
		(void)tensorflow__trackable_object_graph__pack(o->proto,
							       out->data + at);
	take_back(o);
	return buf_error(out);
}
