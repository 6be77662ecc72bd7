#include <string.h>

#include "core/objects_inside.h"

static void note(struct objects *o)
{
	o->changed = true;
	o->was_edited = true;
}

int objects_set_loose(struct objects *o, struct objects_node *n)
{
	if (n->listed)
		return 0;
	if (list_add(&o->loose, n) < 0)
		return -ENOMEM;
	n->listed = true;
	return 0;
}

/* --- messages ---------------------------------------------------------------------- */

objects_message *objects_new_message(const struct objects *o)
{
	objects_message *m = malloc(sizeof(*m));

	if (!m)
		return NULL;
	tensorflow__trackable_object_graph__trackable_object__init(m);
	if (!objects_node(o, OBJECTS_ROOT)->message->has_checkpoint_values)
		return m;

	m->has_checkpoint_values = malloc(sizeof(*m->has_checkpoint_values));
	if (!m->has_checkpoint_values) {
		free(m);
		return NULL;
	}
	tensorflow__bool_value__init(m->has_checkpoint_values);
	return m;
}

static struct edge *new_edge(size_t parent, size_t child, struct span name)
{
	struct edge *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->message = malloc(sizeof(*e->message));
	if (e->message) {
		tensorflow__trackable_object_graph__trackable_object__object_reference__init(
			e->message);
		e->message->node_id = (int32_t)child;
	}
	if (!e->message || !objects_copy(name, &e->message->local_name)) {
		objects_release_edge(e);
		return NULL;
	}
	e->shown.parent = parent;
	e->shown.child = child;
	e->shown.name = objects_bytes(e->message->local_name);
	return e;
}

static struct slot *new_slot(size_t variable, size_t optimizer,
			     struct span name, size_t slot)
{
	struct slot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->message = malloc(sizeof(*s->message));
	if (s->message) {
		tensorflow__trackable_object_graph__trackable_object__slot_variable_reference__init(
			s->message);
		s->message->original_variable_node_id = (int32_t)variable;
		s->message->slot_variable_node_id = (int32_t)slot;
	}
	if (!s->message || !objects_copy(name, &s->message->slot_name)) {
		objects_release_slot(s);
		return NULL;
	}
	s->shown.variable = variable;
	s->shown.optimizer = optimizer;
	s->shown.slot = slot;
	s->shown.name = objects_bytes(s->message->slot_name);
	return s;
}

static int new_object(struct objects *o, struct objects_node **ret)
{
	objects_message *m;
	int err;

	if (o->nodes.n >= INT32_MAX)
		return -EFBIG;
	m = objects_new_message(o);
	if (!m)
		return -ENOMEM;
	err = objects_add_node(o, m, ret);
	if (err)
		objects_release_message(m);
	return err;
}

/* Undoes new_object(). */
static void forget_object(struct objects *o, struct objects_node *n)
{
	o->nodes.n--;
	objects_release_node(n);
}

/* --- edges --------------------------------------------------------------------------- */

static void list_edge(struct objects *o, struct edge *e)
{
	TAILQ_INSERT_TAIL(&objects_node(o, e->shown.parent)->out, e, out);
	TAILQ_INSERT_TAIL(&objects_node(o, e->shown.child)->in, e, in);
	objects_enter_edge(o, e);
}

static void lose_via(struct objects_node *n, const struct edge *e)
{
	if (n->via == e)
		n->via = NULL;
}

void objects_drop_edge(struct objects *o, struct edge *e)
{
	struct objects_node *child = objects_node(o, e->shown.child);

	lose_via(child, e);
	TAILQ_REMOVE(&objects_node(o, e->shown.parent)->out, e, out);
	TAILQ_REMOVE(&child->in, e, in);
	objects_index_drop(&o->index, &e->name);
	objects_release_edge(e);
}

static bool is_reached_by_edges(const struct objects_node *n)
{
	return n->reached && objects_has_place(n);
}

/* The object has its path by the edge, if the parent has one; else it is loose. */
static void hang(struct objects_node *parent, struct objects_node *child,
		 const struct edge *e)
{
	if (!is_reached_by_edges(parent))
		return;
	child->via = e;
	child->depth = parent->depth + 1;
	child->reached = true;
}

int objects_add(struct objects *o, size_t parent, struct span name, size_t *ret)
{
	struct objects_node *n;
	struct edge *e;
	int err;

	if (objects_find_edge(o, parent, name))
		return -EEXIST;
	err = new_object(o, &n);
	if (err)
		return err;
	e = new_edge(parent, n->id, name);
	if (!e || objects_set_loose(o, n) < 0) {
		objects_release_edge(e);
		forget_object(o, n);
		return -ENOMEM;
	}
	list_edge(o, e);
	hang(objects_node(o, parent), n, e);
	note(o);
	*ret = n->id;
	return 0;
}

int objects_link(struct objects *o, size_t parent, struct span name, size_t id)
{
	struct objects_node *n = objects_node(o, id);
	struct edge *e;

	if (objects_find_edge(o, parent, name))
		return -EEXIST;
	e = new_edge(parent, id, name);
	if (!e || objects_set_loose(o, n) < 0) {
		objects_release_edge(e);
		return -ENOMEM;
	}
	list_edge(o, e);
	n->via_slot = NULL; /* an edge is worth more */
	note(o);
	return 0;
}

static int set_child_loose(struct objects *o, const struct edge *e)
{
	return objects_set_loose(o, objects_node(o, e->shown.child));
}

int objects_unlink(struct objects *o, size_t parent, struct span name)
{
	struct edge *e = objects_find_edge(o, parent, name);
	int err = e ? 0 : -ENOENT;

	while (e && !err) {
		err = set_child_loose(o, e);
		if (err)
			break;
		objects_drop_edge(o, e);
		note(o);
		e = objects_find_edge(o, parent, name);
	}
	return err;
}

/* Others of the name would be found where it was. */
static int drop_others(struct objects *o, const struct edge *e)
{
	struct objects_name *other;

	while ((other = objects_index_next(&e->name))) {
		struct edge *d = other->owner;

		if (set_child_loose(o, d) < 0)
			return -ENOMEM;
		objects_drop_edge(o, d);
	}
	return 0;
}

int objects_move(struct objects *o, size_t parent, struct span name,
		 size_t new_parent, struct span new_name)
{
	struct edge *e = objects_find_edge(o, parent, name);
	ProtobufCBinaryData copy;

	if (!e)
		return -ENOENT;
	if (parent == new_parent && span_equal(name, new_name))
		return 0;
	if (objects_find_edge(o, new_parent, new_name))
		return -EEXIST;
	if (set_child_loose(o, e) < 0 || drop_others(o, e) < 0 ||
	    !objects_copy(new_name, &copy))
		return -ENOMEM;

	objects_index_drop(&o->index, &e->name);
	free(e->message->local_name.data);
	e->message->local_name = copy;
	e->shown.name = objects_bytes(copy);
	if (parent != new_parent) {
		TAILQ_REMOVE(&objects_node(o, parent)->out, e, out);
		TAILQ_INSERT_TAIL(&objects_node(o, new_parent)->out, e, out);
		e->shown.parent = new_parent;
	}
	objects_enter_edge(o, e);
	lose_via(objects_node(o, e->shown.child), e);
	objects_node(o, e->shown.child)->via_slot = NULL;
	note(o);
	return 0;
}

static void lead_to(struct objects *o, struct edge *e, size_t child)
{
	struct objects_node *before = objects_node(o, e->shown.child);

	lose_via(before, e);
	TAILQ_REMOVE(&before->in, e, in);
	e->shown.child = child;
	e->message->node_id = (int32_t)child;
	objects_node(o, child)->via_slot = NULL;
	TAILQ_INSERT_TAIL(&objects_node(o, child)->in, e, in);
}

int objects_exchange(struct objects *o, size_t parent_a, struct span name_a,
		     size_t parent_b, struct span name_b)
{
	struct edge *a = objects_find_edge(o, parent_a, name_a);
	struct edge *b = objects_find_edge(o, parent_b, name_b);
	size_t was_a;

	if (!a || !b)
		return -ENOENT;
	if (a->shown.child == b->shown.child)
		return 0;
	if (set_child_loose(o, a) < 0 || set_child_loose(o, b) < 0)
		return -ENOMEM;
	was_a = a->shown.child;
	lead_to(o, a, b->shown.child);
	lead_to(o, b, was_a);
	note(o);
	return 0;
}

/* --- slots ---------------------------------------------------------------------------- */

void objects_drop_slot(struct objects *o, struct slot *s)
{
	struct objects_node *n = objects_node(o, s->shown.slot);

	if (n->via_slot == s)
		n->via_slot = NULL;
	TAILQ_REMOVE(&objects_node(o, s->shown.optimizer)->slots_in, s, in);
	TAILQ_REMOVE(&objects_node(o, s->shown.variable)->slots_for, s,
		     variables);
	TAILQ_REMOVE(&n->slots_as, s, as);
	objects_index_drop(&o->index, &s->name);
	objects_release_slot(s);
}

static void list_slot(struct objects *o, struct slot *s)
{
	TAILQ_INSERT_TAIL(&objects_node(o, s->shown.optimizer)->slots_in, s,
			  in);
	TAILQ_INSERT_TAIL(&objects_node(o, s->shown.variable)->slots_for, s,
			  variables);
	TAILQ_INSERT_TAIL(&objects_node(o, s->shown.slot)->slots_as, s, as);
	objects_enter_slot(o, s);
}

int objects_add_slot(struct objects *o, size_t variable, size_t optimizer,
		     struct span name, size_t *ret)
{
	struct objects_node *n;
	struct slot *s;
	int err;

	if (objects_find_slot(o, variable, optimizer, name))
		return -EEXIST;
	err = new_object(o, &n);
	if (err)
		return err;
	s = new_slot(variable, optimizer, name, n->id);
	if (!s || objects_set_loose(o, n) < 0) {
		objects_release_slot(s);
		forget_object(o, n);
		return -ENOMEM;
	}
	list_slot(o, s);
	if (is_reached_by_edges(objects_node(o, variable)) &&
	    is_reached_by_edges(objects_node(o, optimizer))) {
		n->via_slot = s;
		n->reached = true;
	}
	note(o);
	*ret = n->id;
	return 0;
}

int objects_remove_slot(struct objects *o, size_t variable, size_t optimizer,
			struct span name)
{
	struct slot *s = objects_find_slot(o, variable, optimizer, name);
	int err = s ? 0 : -ENOENT;

	while (s && !err) {
		err = objects_set_loose(o, objects_node(o, s->shown.slot));
		if (err)
			break;
		objects_drop_slot(o, s);
		note(o);
		s = objects_find_slot(o, variable, optimizer, name);
	}
	return err;
}

/* --- values ---------------------------------------------------------------------------- */

static int add_attribute(objects_message *m)
{
	objects_attribute **grown = reallocarray(m->attributes,
						 m->n_attributes + 1,
						 sizeof(objects_attribute *));
	objects_attribute *a;

	if (!grown)
		return -ENOMEM;
	m->attributes = grown;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	tensorflow__trackable_object_graph__trackable_object__serialized_tensor__init(
		a);
	if (!objects_copy(span_of(OBJECTS_VALUE), &a->name)) {
		free(a);
		return -ENOMEM;
	}
	m->attributes[m->n_attributes++] = a;
	return 0;
}

/* The bytes of a key may be the home. */
static int replace_value(struct objects *o, struct objects_node *n,
			 ProtobufCBinaryData key, ProtobufCBinaryData full_name)
{
	objects_attribute *a;

	objects_leave_home(o, n);
	if (n->value == OBJECTS_NONE && add_attribute(n->message) < 0) {
		objects_enter_home(o, n);
		objects_see_place(o, n);
		return -ENOMEM;
	}
	a = n->message->attributes[n->value == OBJECTS_NONE
					   ? n->message->n_attributes - 1
					   : n->value];
	free(a->checkpoint_key.data);
	free(a->full_name.data);
	a->checkpoint_key = key;
	a->full_name = full_name;
	objects_find_home(n);
	objects_enter_home(o, n);
	objects_see_place(o, n);
	return 0;
}

int objects_set_value(struct objects *o, size_t id, struct span key,
		      struct span full_name)
{
	size_t other = objects_find_key(o, key);
	ProtobufCBinaryData key_copy = { 0 }, name_copy = { 0 };
	int err = -ENOMEM;

	if (other != OBJECTS_NONE && other != id)
		return -EEXIST;
	if (objects_copy(key, &key_copy) && objects_copy(full_name, &name_copy))
		err = replace_value(o, objects_node(o, id), key_copy,
				    name_copy);
	if (err) {
		free(key_copy.data);
		free(name_copy.data);
		return err;
	}
	objects_node(o, id)->hollow = false;
	note(o);
	return 0;
}

static void drop_attribute(objects_message *m, size_t i)
{
	protobuf_c_message_free_unpacked(&m->attributes[i]->base, NULL);
	m->n_attributes--;
	memmove(m->attributes + i, m->attributes + i + 1,
		(m->n_attributes - i) * sizeof(*m->attributes));
}

/* All that objects_clear_value() will loosen, so that it cannot fail. */
static int prepare_to_clear(struct objects *o, struct objects_node *n)
{
	struct slot *s;
	int err = objects_set_loose(o, n);

	TAILQ_FOREACH(s, &n->slots_for, variables)
	if (!err)
		err = objects_set_loose(o, objects_node(o, s->shown.slot));
	return err;
}

int objects_clear_value(struct objects *o, size_t id)
{
	struct objects_node *n = objects_node(o, id);
	struct slot *s;
	int err;

	if (n->value == OBJECTS_NONE)
		return -ENOENT;
	err = prepare_to_clear(o, n);
	if (err)
		return err;
	while ((s = TAILQ_FIRST(&n->slots_for)))
		objects_drop_slot(o, s);
	while ((s = TAILQ_FIRST(&n->slots_as)))
		objects_drop_slot(o, s);
	objects_leave_home(o, n);
	drop_attribute(n->message, n->value);
	objects_find_home(n);
	objects_enter_home(o, n);
	objects_see_place(o, n);
	n->hollow = true;
	note(o);
	return 0;
}

int objects_abandon(struct objects *o, size_t id)
{
	struct objects_node *n = objects_node(o, id);
	int err = objects_set_loose(o, n);

	if (err)
		return err;
	n->hollow = n->value == OBJECTS_NONE;
	note(o);
	return 0;
}
