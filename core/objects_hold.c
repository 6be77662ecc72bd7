/* Whether one graph says nothing that another does not say. */
#include <errno.h>
#include <stdlib.h>

#include "core/objects.h"

/* Objects of `said`, and what they are in `o`: as far as paths have led to both. */
struct pairing {
	const struct objects *o;
	const struct objects *said;
	size_t *own;   /* for each of `said`, or OBJECTS_NONE */
	bool *taken;   /* for each of `o`: it is one of them */
	size_t *queue; /* of `said`, in the order they were found */
	size_t n;
};

static void pairing_release(struct pairing *p)
{
	free(p->own);
	free(p->taken);
	free(p->queue);
}

static int pairing_init(struct pairing *p)
{
	size_t n = objects_count(p->said);

	p->own = reallocarray(NULL, n, sizeof(*p->own));
	p->queue = reallocarray(NULL, n, sizeof(*p->queue));
	p->taken = calloc(objects_count(p->o), sizeof(*p->taken));
	if (!p->own || !p->queue || !p->taken)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		p->own[i] = OBJECTS_NONE;
	return 0;
}

/* False if they are not the same: one of them is another already, or has more to it. */
static bool pair(struct pairing *p, size_t said, size_t own)
{
	struct span key;

	if (p->own[said] != OBJECTS_NONE || own == OBJECTS_NONE)
		return own != OBJECTS_NONE && p->own[said] == own;
	if (p->taken[own] ||
	    objects_key(p->said, said, &key) != objects_key(p->o, own, &key) ||
	    objects_has_state(p->said, said) != objects_has_state(p->o, own))
		return false;
	p->own[said] = own;
	p->taken[own] = true;
	p->queue[p->n++] = said;
	return true;
}

static bool pair_children(struct pairing *p, size_t said)
{
	const struct objects_edge *e = NULL;

	while ((e = objects_next_child(p->said, said, e)))
		if (!pair(p, e->child,
			  objects_child(p->o, p->own[said], e->name)))
			return false;
	return true;
}

static bool pair_slots(struct pairing *p, size_t optimizer)
{
	const struct objects_slot *s = NULL;

	while ((s = objects_next_slot_in(p->said, optimizer, s)))
		if (p->own[s->variable] != OBJECTS_NONE &&
		    !pair(p, s->slot,
			  objects_slot(p->o, p->own[s->variable],
				       p->own[optimizer], s->name)))
			return false;
	return true;
}

int objects_hold(const struct objects *o, const struct objects *said)
{
	CLEANUP(pairing_release)
	struct pairing p = { .o = o, .said = said };
	size_t n;
	bool held;
	int r = pairing_init(&p);

	if (r < 0)
		return r;
	held = pair(&p, OBJECTS_ROOT, OBJECTS_ROOT);
	for (size_t i = 0; held && i < p.n; i++)
		held = pair_children(&p, p.queue[i]);
	n = p.n;
	for (size_t i = 0; held && i < n; i++)
		held = pair_slots(&p, p.queue[i]);
	return held;
}
