/*
 * What is loose has its new path by now, or none.  All new keys are made before the first
 * is changed, so that nothing fails half way: keys may trade places.
 */
#include <string.h>

#include "core/objects_inside.h"

/* An object that gets other keys. */
struct move {
	struct objects_node *node;
	struct buf path;
	struct objects_name claim; /* in the index: no other may have the path */
	bool claimed;
	ProtobufCBinaryData *keys; /* of its attributes: the new, then the old */
	size_t n_keys;
};

/* An object that goes. */
struct death {
	struct objects_node *node;
	objects_message *message; /* what it has then */
	bool alone;  /* nothing else has keys that begin like its own */
	bool shared; /* something that stays has its very key */
};

struct plan {
	struct objects *o;
	const struct objects_changes *changes;
	struct move *moves;
	size_t n_moves;
	struct death *deaths;
	size_t n_deaths;
};

static void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->n_moves; i++) {
		struct move *m = &p->moves[i];

		m->node->leaving = false;
		if (m->claimed)
			objects_index_drop(&p->o->index, &m->claim);
		for (size_t k = 0; k < m->n_keys; k++)
			free(m->keys[k].data);
		free(m->keys);
		buf_release(&m->path);
	}
	for (size_t i = 0; i < p->n_deaths; i++) {
		p->deaths[i].node->leaving = false;
		objects_release_message(p->deaths[i].message);
	}
	free(p->moves);
	free(p->deaths);
}

static bool has_path(const struct objects_node *n)
{
	return objects_has_place(n) || n->via_slot;
}

static bool is_alone(const struct objects *o, const struct objects_node *n)
{
	const struct objects_node *first;

	if (!n->has_home)
		return true;
	first = objects_first_at(o, n->home.name);
	return first == n && !objects_next_at(first);
}

/* --- the plan -------------------------------------------------------------------------- */

static int plan_death(struct plan *p, struct objects_node *n)
{
	struct death *d = &p->deaths[p->n_deaths];

	d->message = objects_new_message(p->o);
	if (!d->message)
		return -ENOMEM;
	d->node = n;
	d->alone = is_alone(p->o, n);
	n->leaving = true;
	p->n_deaths++;
	return 0;
}

/* Once it is known what else goes. */
static bool is_shared(const struct objects *o, const struct objects_node *n)
{
	const struct objects_node *other;
	struct span key, others;

	if (!n->has_home || !objects_key(o, n->id, &key))
		return false;
	for (other = objects_first_at(o, n->home.name); other;
	     other = objects_next_at(other))
		if (!other->leaving && objects_key(o, other->id, &others) &&
		    span_equal(key, others))
			return true;
	return false;
}

static int plan_move(struct plan *p, struct objects_node *n)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	int err = objects_put_path(p->o, n, &path);

	if (err)
		return err == -ENOMEM ? err : 0; /* too long: keys stay */
	if (span_equal(buf_span(&path), n->home.name))
		return 0;
	p->moves[p->n_moves++] = (struct move){ .node = n, .path = path };
	path = (struct buf){ 0 };
	n->leaving = true;
	return 0;
}

static int plan_all(struct plan *p)
{
	struct objects *o = p->o;
	int err = 0;

	p->moves = calloc(o->loose.n + 1, sizeof(*p->moves));
	p->deaths = calloc(o->loose.n + 1, sizeof(*p->deaths));
	if (!p->moves || !p->deaths)
		return -ENOMEM;
	for (size_t i = 0; i < o->loose.n && !err; i++) {
		struct objects_node *n = o->loose.items[i];

		if (!n->reached)
			continue;
		if (!has_path(n))
			err = plan_death(p, n);
		else if (n->placed)
			err = plan_move(p, n);
	}
	for (size_t i = 0; i < p->n_deaths && !err; i++)
		if (!p->deaths[i].alone)
			p->deaths[i].shared = is_shared(o, p->deaths[i].node);
	return err;
}

static bool outside_takes(const struct plan *p, const struct buf *path)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	if (!p->changes->taken)
		return false;
	buf_put(&key, path->data, path->len);
	buf_put(&key, OBJECTS_ATTRIBUTES OBJECTS_VALUE,
		strlen(OBJECTS_ATTRIBUTES OBJECTS_VALUE));
	return !buf_error(&key) &&
	       p->changes->taken(p->changes->arg, buf_span(&key));
}

/* Whether anything has the path when all is done. */
static bool is_taken(const struct plan *p, const struct buf *path)
{
	const struct objects_node *n = objects_first_at(p->o, buf_span(path));
	bool known = n;

	if (objects_index_find(&p->o->index, OBJECTS_NONE, 0, buf_span(path)))
		return true;
	while (n && n->leaving)
		n = objects_next_at(n);
	return n || (!known && outside_takes(p, path));
}

static int claim_path(struct plan *p, struct move *m)
{
	size_t len = m->path.len;

	for (unsigned number = 1; is_taken(p, &m->path); number++) {
		m->path.len = len;
		buf_printf(&m->path, "_%u", number);
		if (buf_error(&m->path))
			return -ENOMEM;
	}
	m->claim.a = OBJECTS_NONE;
	m->claim.b = 0;
	m->claim.name = buf_span(&m->path);
	objects_index_put(&p->o->index, &m->claim);
	m->claimed = true;
	return buf_error(&m->path);
}

/* Its keys that begin with its home; those that do not stay. */
static int make_keys(struct move *m)
{
	const objects_message *message = m->node->message;
	struct span home, attribute;

	m->keys = calloc(message->n_attributes + 1, sizeof(*m->keys));
	if (!m->keys)
		return -ENOMEM;
	m->n_keys = message->n_attributes;
	for (size_t i = 0; i < m->n_keys; i++) {
		struct span key =
			objects_bytes(message->attributes[i]->checkpoint_key);
		CLEANUP(buf_release) struct buf made = { 0 };

		if (objects_split_home(key, &home, &attribute) &&
		    span_equal(home, m->node->home.name)) {
			buf_put(&made, m->path.data, m->path.len);
			key.data += home.len;
			key.len -= home.len;
		}
		buf_put(&made, key.data, key.len);
		if (buf_error(&made) ||
		    !objects_copy(buf_span(&made), &m->keys[i]))
			return -ENOMEM;
	}
	return 0;
}

/* --- doing it ---------------------------------------------------------------------------- */

static void swap_keys(struct move *m)
{
	for (size_t i = 0; i < m->n_keys; i++) {
		objects_attribute *a = m->node->message->attributes[i];
		ProtobufCBinaryData key = a->checkpoint_key;

		a->checkpoint_key = m->keys[i];
		m->keys[i] = key;
	}
}

static void settle_all(struct plan *p)
{
	struct objects *o = p->o;

	for (size_t i = 0; i < p->n_deaths; i++)
		objects_leave_home(o, p->deaths[i].node);
	for (size_t i = 0; i < p->n_moves; i++)
		objects_leave_home(o, p->moves[i].node);
	for (size_t i = 0; i < o->loose.n; i++) {
		struct objects_node *n = o->loose.items[i];

		n->reached = has_path(n);
		n->listed = false;
	}
	for (size_t i = 0; i < p->n_moves; i++) {
		swap_keys(&p->moves[i]);
		objects_find_home(p->moves[i].node);
		objects_enter_home(o, p->moves[i].node);
	}
	for (size_t i = 0; i < o->loose.n; i++)
		objects_see_place(o, o->loose.items[i]);
	o->loose.n = 0;
}

static void bury(struct plan *p, struct death *d)
{
	struct objects_node *n = d->node;
	objects_message *message = n->message;
	struct edge *e;
	struct slot *s;

	while ((e = TAILQ_FIRST(&n->out)))
		objects_drop_edge(p->o, e);
	while ((s = TAILQ_FIRST(&n->slots_in)))
		objects_drop_slot(p->o, s);
	while ((s = TAILQ_FIRST(&n->slots_for)))
		objects_drop_slot(p->o, s);
	while ((s = TAILQ_FIRST(&n->slots_as)))
		objects_drop_slot(p->o, s);
	n->message = d->message;
	d->message = message;
	objects_find_home(n);
}

/* --- telling ----------------------------------------------------------------------------- */

static void keep_first(int *err, int r)
{
	if (!*err && r < 0)
		*err = r;
}

static int tell_removed_keys(const struct plan *p, const struct death *d)
{
	const objects_message *m = d->node->message;
	int err = 0;

	for (size_t i = 0; i < m->n_attributes; i++)
		keep_first(
			&err,
			p->changes->removed(
				p->changes->arg, d->node->id,
				objects_bytes(m->attributes[i]->checkpoint_key),
				false));
	return err;
}

/* What a key begins with, up to the name of the attribute. */
static struct span beginning_of(struct span key)
{
	struct span home, attribute;

	if (!objects_split_home(key, &home, &attribute))
		return (struct span){ 0 };
	return (struct span){ home.data,
			      home.len + strlen(OBJECTS_ATTRIBUTES) };
}

static int tell_death(const struct plan *p, const struct death *d)
{
	const objects_message *m = d->node->message;
	struct span beginning;

	if (!p->changes->removed || d->shared)
		return 0;
	if (!objects_has_state(p->o, d->node->id) || !d->alone)
		return tell_removed_keys(p, d);
	beginning = beginning_of(objects_bytes(
		m->attributes[d->node->value == OBJECTS_NONE ? 0
							     : d->node->value]
			->checkpoint_key));
	if (!beginning.len)
		return tell_removed_keys(p, d);
	return p->changes->removed(p->changes->arg, d->node->id, beginning,
				   true);
}

static int tell_move(const struct plan *p, const struct move *m)
{
	size_t value = m->node->value;
	bool prefix = objects_has_state(p->o, m->node->id);
	struct span old =
		objects_bytes(m->keys[value == OBJECTS_NONE ? 0 : value]);
	struct span now = objects_bytes(
		m->node->message->attributes[value == OBJECTS_NONE ? 0 : value]
			->checkpoint_key);

	if (!p->changes->renamed)
		return 0;
	return p->changes->renamed(p->changes->arg, m->node->id,
				   prefix ? beginning_of(old) : old,
				   prefix ? beginning_of(now) : now, prefix);
}

static int tell_all(const struct plan *p)
{
	int err = 0;

	for (size_t i = 0; i < p->n_deaths; i++)
		keep_first(&err, tell_death(p, &p->deaths[i]));
	for (size_t i = 0; i < p->n_moves; i++)
		keep_first(&err, tell_move(p, &p->moves[i]));
	return err;
}

int objects_rename(struct objects *o, const struct objects_changes *changes,
		   int *ret_told)
{
	CLEANUP(plan_release) struct plan p = { .o = o, .changes = changes };
	int err = plan_all(&p);

	for (size_t i = 0; i < p.n_moves && !err; i++)
		err = claim_path(&p, &p.moves[i]);
	for (size_t i = 0; i < p.n_moves && !err; i++)
		err = make_keys(&p.moves[i]);
	if (err)
		return err;

	settle_all(&p);
	*ret_told = tell_all(&p);
	for (size_t i = 0; i < p.n_deaths; i++)
		bury(&p, &p.deaths[i]);
	return 0;
}
