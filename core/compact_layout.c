#include "core/compact_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/shard.h"

void compact_layout_release(struct compact_layout *l)
{
	free(l->values);
	*l = (struct compact_layout){ 0 };
}

static int missing_slice(const struct entry *e)
{
	CLEANUP(free_ptr) char *name = entry_describe(e, "");

	log_error("%s: a slice of it is not in the index",
		  name ? name + 1 : "a variable");
	return -EIO;
}

static void add(struct compact_layout *l, const struct entry *e,
		size_t variable)
{
	l->values[l->n++] = (struct compact_value){ e, variable,
						    entry_shard_id(e) };
	/* Hostile sizes stop at the largest number. */
	if (__builtin_add_overflow(l->bytes, entry_size(e), &l->bytes))
		l->bytes = UINT64_MAX;
}

static int add_variable(struct compact_layout *l, const struct entry *e,
			size_t variable)
{
	if (!entry_slices(e))
		add(l, e, variable);
	for (size_t i = 0; i < entry_slices(e); i++) {
		if (!entry_part(e, i))
			return missing_slice(e);
		add(l, entry_part(e, i), variable);
	}
	return 0;
}

static int add_all(const struct bundle *b, struct compact_layout *l)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < bundle_count(b); i++)
		n += 1 + entry_slices(bundle_entry(b, i));
	l->values = calloc(n + 1, sizeof(*l->values));
	if (!l->values)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < bundle_count(b); i++)
		r = add_variable(l, bundle_entry(b, i), i);
	return r;
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* What is empty was written before what has the same offset. */
static int by_place(const void *a, const void *b)
{
	const struct entry *ea = ((const struct compact_value *)a)->entry;
	const struct entry *eb = ((const struct compact_value *)b)->entry;
	int order = entry_shard_id(ea) - entry_shard_id(eb);

	if (!order)
		order = compare(entry_offset(ea), entry_offset(eb));
	if (!order)
		order = compare(entry_size(ea), entry_size(eb));
	return order ? order : span_compare(entry_key(ea), entry_key(eb));
}

/* The last shard that is below `num_shards` and has a value; 0 if there is none. */
static int32_t last_regular(const struct compact_layout *l, int32_t num_shards)
{
	int32_t last = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->values[i].shard < num_shards &&
		    l->values[i].shard > last)
			last = l->values[i].shard;
	return last;
}

static int by_number(const void *a, const void *b)
{
	int32_t na = *(const int32_t *)a, nb = *(const int32_t *)b;

	return (na > nb) - (na < nb);
}

/* Numbers the shards that have values from 0. */
static int number(struct compact_layout *l)
{
	CLEANUP(free_ptr) int32_t *ids = calloc(l->n + 1, sizeof(*ids));
	size_t n = 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		ids[i] = l->values[i].shard;
	if (l->n)
		qsort(ids, l->n, sizeof(*ids), by_number);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || ids[n - 1] != ids[i])
			ids[n++] = ids[i];
	for (size_t i = 0; i < l->n; i++) {
		int32_t *at = bsearch(&l->values[i].shard, ids, n, sizeof(*ids),
				      by_number);

		l->values[i].shard = at ? (int32_t)(at - ids) : 0;
	}
	l->num_shards = n ? (int32_t)n : 1;
	return 0;
}

int compact_layout_make(const struct bundle *b, bool by_offset,
			struct compact_layout *ret)
{
	CLEANUP(compact_layout_release) struct compact_layout l = { 0 };
	int32_t last;
	int r = add_all(b, &l);

	if (r < 0)
		return r;
	if (by_offset && l.n)
		qsort(l.values, l.n, sizeof(*l.values), by_place);
	last = last_regular(&l, bundle_num_shards(b));
	for (size_t i = 0; i < l.n; i++)
		if (l.values[i].shard >= bundle_num_shards(b))
			l.values[i].shard = last;
	r = number(&l);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct compact_layout){ 0 };
	return 0;
}

int32_t *compact_layout_first_shards(const struct compact_layout *l,
				     const struct bundle *b)
{
	int32_t *first = calloc(bundle_count(b) + 1, sizeof(*first));

	/* One more than it is, so that 0 is none yet. */
	for (size_t i = 0; first && i < l->n; i++) {
		int32_t *at = &first[l->values[i].variable];

		if (*at == 0 || *at > l->values[i].shard + 1)
			*at = l->values[i].shard + 1;
	}
	for (size_t i = 0; first && i < bundle_count(b); i++)
		first[i] -= first[i] > 0;
	return first;
}

bool compact_layout_done(const struct compact_layout *l, const struct bundle *b)
{
	CLEANUP(free_ptr)
	uint64_t *ends = calloc((size_t)l->num_shards, sizeof(*ends));
	struct shard *const *shards;
	size_t n;

	if (!ends || l->num_shards != bundle_num_shards(b))
		return false;
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = l->values[i].entry;

		if (entry_shard_id(e) != l->values[i].shard ||
		    entry_offset(e) != ends[l->values[i].shard])
			return false;
		ends[l->values[i].shard] += entry_size(e);
	}
	shards = bundle_shards(b, &n);
	for (size_t i = 0; i < n; i++)
		if (shard_missing(shards[i]) ||
		    shard_end(shards[i]) != ends[shard_id(shards[i])])
			return false;
	return true;
}
