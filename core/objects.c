
#include <string.h>

#include "core/objects_inside.h"

struct objects_node *objects_node(const struct objects *o, size_t id)
{
	return o->nodes.items[id];
}

bool objects_has_place(const struct objects_node *n)
{
	return n->id == OBJECTS_ROOT || n->via;
}

/* --- a graph ------------------------------------------------------------------- */

int objects_add_node(struct objects *o, objects_message *message,
		     struct objects_node **ret)
{
	struct objects_node *n = calloc(1, sizeof(*n));

	if (!n || list_add(&o->nodes, n) < 0) {
		free(n);
		return -ENOMEM;
	}
	n->id = o->nodes.n - 1;
	n->message = message;
	n->value = OBJECTS_NONE;
	TAILQ_INIT(&n->out);
	TAILQ_INIT(&n->in);
	TAILQ_INIT(&n->slots_in);
	TAILQ_INIT(&n->slots_for);
	TAILQ_INIT(&n->slots_as);
	*ret = n;
	return 0;
}

static void free_reference(objects_reference *message)
{
	protobuf_c_message_free_unpacked(&message->base, NULL);
}

static void free_slot_reference(objects_slot_reference *message)
{
	protobuf_c_message_free_unpacked(&message->base, NULL);
}

void objects_release_edge(struct edge *e)
{
	if (e && e->message)
		free_reference(e->message);
	free(e);
}

void objects_release_slot(struct slot *s)
{
	if (s && s->message)
		free_slot_reference(s->message);
	free(s);
}

void objects_release_message(objects_message *m)
{
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
}

void objects_release_node(struct objects_node *n)
{
	struct edge *e;
	struct slot *s;

	while ((e = TAILQ_FIRST(&n->out))) {
		TAILQ_REMOVE(&n->out, e, out);
		objects_release_edge(e);
	}
	while ((s = TAILQ_FIRST(&n->slots_in))) {
		TAILQ_REMOVE(&n->slots_in, s, in);
		objects_release_slot(s);
	}
	objects_release_message(n->message);
	free(n);
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nodes.n; i++)
		objects_release_node(objects_node(o, i));
	free(o->nodes.items);
	free(o->loose.items);
	objects_index_release(&o->index);
	if (o->proto)
		tensorflow__trackable_object_graph__free_unpacked(o->proto,
								  NULL);
	free(o);
}

static bool is_node(const struct objects *o, int32_t id)
{
	return id >= 0 && (size_t)id < o->nodes.n;
}

static int take_edge(struct objects *o, struct objects_node *n,
		     objects_reference **message)
{
	struct edge *e;

	if (!is_node(o, (*message)->node_id))
		return -EIO;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->message = STEAL(*message);
	e->shown.parent = n->id;
	e->shown.child = (size_t)e->message->node_id;
	e->shown.name = objects_bytes(e->message->local_name);
	TAILQ_INSERT_TAIL(&n->out, e, out);
	return 0;
}

static int take_slot(struct objects *o, struct objects_node *n,
		     objects_slot_reference **message)
{
	struct slot *s;

	if (!is_node(o, (*message)->original_variable_node_id) ||
	    !is_node(o, (*message)->slot_variable_node_id))
		return -EIO;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->message = STEAL(*message);
	s->shown.optimizer = n->id;
	s->shown.variable = (size_t)s->message->original_variable_node_id;
	s->shown.slot = (size_t)s->message->slot_variable_node_id;
	s->shown.name = objects_bytes(s->message->slot_name);
	TAILQ_INSERT_TAIL(&n->slots_in, s, in);
	return 0;
}

/* Takes edges and slots out of the message of an object. */
static int take_references(struct objects *o, struct objects_node *n)
{
	objects_message *m = n->message;
	int err = 0;

	for (size_t i = 0; i < m->n_children && !err; i++)
		err = take_edge(o, n, &m->children[i]);
	for (size_t i = 0; i < m->n_slot_variables && !err; i++)
		err = take_slot(o, n, &m->slot_variables[i]);

	/* What is left after an error; usually only the arrays. */
	for (size_t i = 0; i < m->n_children; i++)
		if (m->children[i])
			free_reference(m->children[i]);
	for (size_t i = 0; i < m->n_slot_variables; i++)
		if (m->slot_variables[i])
			free_slot_reference(m->slot_variables[i]);
	free(m->children);
	free(m->slot_variables);
	m->children = NULL;
	m->slot_variables = NULL;
	m->n_children = 0;
	m->n_slot_variables = 0;
	return err;
}

static int take_nodes(struct objects *o)
{
	objects_graph *g = o->proto;
	struct objects_node *n;
	int err = g->n_nodes && g->n_nodes <= INT32_MAX ? 0 : -EIO;

	for (size_t i = 0; i < g->n_nodes && !err; i++) {
		err = objects_add_node(o, g->nodes[i], &n);
		if (!err)
			g->nodes[i] = NULL;
	}
	for (size_t i = 0; i < o->nodes.n && !err; i++)
		err = take_references(o, objects_node(o, i));

	for (size_t i = 0; i < g->n_nodes; i++)
		objects_release_message(g->nodes[i]);
	free(g->nodes);
	g->nodes = NULL;
	g->n_nodes = 0;
	return err;
}

/* Lists all that leads somewhere, there. */
static void list_ends(struct objects *o)
{
	for (size_t i = 0; i < o->nodes.n; i++) {
		struct edge *e;
		struct slot *s;

		TAILQ_FOREACH(e, &objects_node(o, i)->out, out)
		TAILQ_INSERT_TAIL(&objects_node(o, e->shown.child)->in, e, in);
		TAILQ_FOREACH(s, &objects_node(o, i)->slots_in, in)
		{
			TAILQ_INSERT_TAIL(
				&objects_node(o, s->shown.variable)->slots_for,
				s, variables);
			TAILQ_INSERT_TAIL(
				&objects_node(o, s->shown.slot)->slots_as, s,
				as);
		}
	}
}

void objects_enter_edge(struct objects *o, struct edge *e)
{
	e->name.owner = e;
	e->name.a = e->shown.parent;
	e->name.b = OBJECTS_NONE;
	e->name.name = e->shown.name;
	objects_index_put(&o->index, &e->name);
}

void objects_enter_slot(struct objects *o, struct slot *s)
{
	s->name.owner = s;
	s->name.a = s->shown.variable;
	s->name.b = s->shown.optimizer;
	s->name.name = s->shown.name;
	objects_index_put(&o->index, &s->name);
}

/* Backwards, so that the first of a name is found first. */
static int make_index(struct objects *o)
{
	size_t n = o->nodes.n;

	if (objects_index_init(&o->index, n) < 0)
		return -ENOMEM;
	while (n-- > 0) {
		struct objects_node *node = objects_node(o, n);
		struct edge *e;
		struct slot *s;

		TAILQ_FOREACH_REVERSE(e, &node->out, edges, out)
		objects_enter_edge(o, e);
		TAILQ_FOREACH_REVERSE(s, &node->slots_in, slots, in)
		objects_enter_slot(o, s);
		objects_find_home(node);
		objects_enter_home(o, node);
	}
	return 0;
}

static int find_paths(struct objects *o)
{
	static const struct objects_changes nobody = { 0 };
	int err = 0;

	objects_follow_keys(o);
	for (size_t i = 1; i < o->nodes.n && !err; i++)
		if (!objects_node(o, i)->via)
			err = objects_set_loose(o, objects_node(o, i));
	if (!err)
		err = objects_tidy(o, &nobody);
	objects_node(o, OBJECTS_ROOT)->reached = true;
	for (size_t i = 0; i < o->nodes.n; i++)
		objects_see_place(o, objects_node(o, i));
	o->changed = false;
	o->was_edited = false;
	return err;
}

static int build(struct objects *o)
{
	int err = take_nodes(o);

	if (!err)
		list_ends(o);
	if (!err)
		err = make_index(o);
	return err ? err : find_paths(o);
}

int objects_parse(struct span bytes, struct objects **ret)
{
	CLEANUP(objects_freep) struct objects *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->proto = tensorflow__trackable_object_graph__unpack(NULL, bytes.len,
							      bytes.data);
	err = o->proto ? build(o) : -EIO;
	if (!err)
		*ret = STEAL(o);
	return err;
}

bool objects_changed(const struct objects *o)
{
	return o->changed;
}

void objects_settle(struct objects *o)
{
	o->changed = false;
}

/* --- looking --------------------------------------------------------------------- */

size_t objects_count(const struct objects *o)
{
	return o->nodes.n;
}

const struct objects_edge *objects_next_child(
	const struct objects *o, size_t id, const struct objects_edge *after)
{
	const struct edge *e = (const struct edge *)after;

	e = e ? TAILQ_NEXT(e, out) : TAILQ_FIRST(&objects_node(o, id)->out);
	return e ? &e->shown : NULL;
}

const struct objects_edge *objects_next_parent(
	const struct objects *o, size_t id, const struct objects_edge *after)
{
	const struct edge *e = (const struct edge *)after;

	e = e ? TAILQ_NEXT(e, in) : TAILQ_FIRST(&objects_node(o, id)->in);
	return e ? &e->shown : NULL;
}

size_t objects_child(const struct objects *o, size_t parent, struct span name)
{
	const struct edge *e = objects_find_edge(o, parent, name);

	return e ? e->shown.child : OBJECTS_NONE;
}

const struct objects_slot *objects_next_slot_in(
	const struct objects *o, size_t optimizer,
	const struct objects_slot *after)
{
	const struct slot *s = (const struct slot *)after;

	s = s ? TAILQ_NEXT(s, in)
	      : TAILQ_FIRST(&objects_node(o, optimizer)->slots_in);
	return s ? &s->shown : NULL;
}

const struct objects_slot *objects_slot_for(const struct objects *o,
					    size_t variable)
{
	const struct slot *s =
		TAILQ_FIRST(&objects_node(o, variable)->slots_for);

	return s ? &s->shown : NULL;
}

const struct objects_slot *objects_slot_as(const struct objects *o, size_t slot)
{
	const struct slot *s = TAILQ_FIRST(&objects_node(o, slot)->slots_as);

	return s ? &s->shown : NULL;
}

size_t objects_slot(const struct objects *o, size_t variable, size_t optimizer,
		    struct span name)
{
	const struct slot *s = objects_find_slot(o, variable, optimizer, name);

	return s ? s->shown.slot : OBJECTS_NONE;
}

static const objects_attribute *value_of(const struct objects *o, size_t id)
{
	const struct objects_node *n = objects_node(o, id);

	return n->value == OBJECTS_NONE ? NULL
					: n->message->attributes[n->value];
}

bool objects_key(const struct objects *o, size_t id, struct span *ret)
{
	const objects_attribute *value = value_of(o, id);

	if (value)
		*ret = objects_bytes(value->checkpoint_key);
	return value;
}

struct span objects_full_name(const struct objects *o, size_t id)
{
	const objects_attribute *value = value_of(o, id);

	return value ? objects_bytes(value->full_name) : (struct span){ 0 };
}

bool objects_has_state(const struct objects *o, size_t id)
{
	const struct objects_node *n = objects_node(o, id);

	return n->message->n_attributes > (n->value != OBJECTS_NONE);
}

bool objects_names_state(const struct objects *o, struct span key)
{
	size_t id = objects_find_owner(o, key);
	const struct objects_node *n;

	if (id == OBJECTS_NONE)
		return false;
	n = objects_node(o, id);
	for (size_t i = 0; i < n->message->n_attributes; i++) {
		struct span state = objects_bytes(
			n->message->attributes[i]->checkpoint_key);

		if (i != n->value && state.len <= key.len &&
		    memcmp(state.data, key.data, state.len) == 0)
			return true;
	}
	return false;
}
