/*
 * A hash table with a secret, since names come from files.  What a name counts in:
 *
 *	edge		a: the parent		b: OBJECTS_NONE
 *	slot		a: the variable		b: the optimizer
 *	home		a: OBJECTS_NONE		b: OBJECTS_NONE
 */
#include <string.h>
#include <sys/random.h>

#include "core/objects_inside.h"

/* Both halves of a product of 128 bits. */
static uint64_t fold(uint64_t x, uint64_t y)
{
	__extension__ unsigned __int128 product = x;

	product *= y;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const struct objects_index *x, size_t a, size_t b,
		     struct span name)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t secret = x->seed | 1;
	uint64_t h = fold(a ^ secret, odd) ^ fold(b ^ odd, secret);
	struct span word;

	h = fold(h ^ name.len, secret);
	while (name.len) {
		uint64_t value = 0;

		(void)span_take(&name, name.len < 8 ? name.len : 8, &word);
		memcpy(&value, word.data, word.len);
		h = fold(h ^ value, secret) ^ odd;
	}
	return fold(h, odd);
}

int objects_index_init(struct objects_index *x, size_t n)
{
	size_t n_buckets = 16;

	while (n_buckets < n && n_buckets < SIZE_MAX / 2)
		n_buckets *= 2;
	x->buckets = calloc(n_buckets, sizeof(struct objects_name *));
	if (!x->buckets)
		return -ENOMEM;
	x->n_buckets = n_buckets;
	/* Without it only hostile names are slow. */
	(void)getrandom(&x->seed, sizeof(x->seed), GRND_NONBLOCK);
	return 0;
}

void objects_index_release(struct objects_index *x)
{
	free(x->buckets);
	*x = (struct objects_index){ 0 };
}

static void push(struct objects_index *x, struct objects_name *name)
{
	struct objects_name **bucket =
		&x->buckets[name->hash & (x->n_buckets - 1)];

	name->next = *bucket;
	*bucket = name;
}

/* Twice as many; without memory it stays as it is, only slower. */
static void grow(struct objects_index *x)
{
	struct objects_index larger = { .n_buckets = 2 * x->n_buckets };

	larger.buckets = calloc(larger.n_buckets,
				sizeof(struct objects_name *));
	if (!larger.buckets)
		return;
	for (size_t i = 0; i < x->n_buckets; i++) {
		struct objects_name *backwards = NULL, *name;

		while ((name = x->buckets[i])) {
			x->buckets[i] = name->next;
			name->next = backwards;
			backwards = name;
		}
		while ((name = backwards)) {
			backwards = name->next;
			push(&larger, name);
		}
	}
	free(x->buckets);
	x->buckets = larger.buckets;
	x->n_buckets = larger.n_buckets;
}

void objects_index_put(struct objects_index *x, struct objects_name *name)
{
	if (x->n++ >= x->n_buckets)
		grow(x);
	name->hash = hash(x, name->a, name->b, name->name);
	push(x, name);
}

void objects_index_drop(struct objects_index *x, struct objects_name *name)
{
	struct objects_name **at = &x->buckets[name->hash & (x->n_buckets - 1)];

	while (*at != name)
		at = &(*at)->next;
	*at = name->next;
	x->n--;
}

static bool is_same(const struct objects_name *n, uint64_t h, size_t a,
		    size_t b, struct span name)
{
	return n->hash == h && n->a == a && n->b == b &&
	       span_equal(n->name, name);
}

struct objects_name *objects_index_find(const struct objects_index *x, size_t a,
					size_t b, struct span name)
{
	uint64_t h = hash(x, a, b, name);
	struct objects_name *n = x->buckets[h & (x->n_buckets - 1)];

	while (n && !is_same(n, h, a, b, name))
		n = n->next;
	return n;
}

struct objects_name *objects_index_next(const struct objects_name *name)
{
	struct objects_name *n = name->next;

	while (n && !is_same(n, name->hash, name->a, name->b, name->name))
		n = n->next;
	return n;
}

struct edge *objects_find_edge(const struct objects *o, size_t parent,
			       struct span name)
{
	struct objects_name *n = objects_index_find(&o->index, parent,
						    OBJECTS_NONE, name);

	return n ? n->owner : NULL;
}

struct slot *objects_find_slot(const struct objects *o, size_t variable,
			       size_t optimizer, struct span name)
{
	struct objects_name *n = objects_index_find(&o->index, variable,
						    optimizer, name);

	return n ? n->owner : NULL;
}
