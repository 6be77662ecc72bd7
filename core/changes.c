#include "core/changes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static int changes_add(struct changes *c, struct span key, struct entry *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 16;
		struct change *at = reallocarray(c->at, cap, sizeof(*at));

		if (!at)
			return -ENOMEM;
		c->at = at;
		c->cap = cap;
	}
	c->at[c->n++] = (struct change){ key, e };
	return 0;
}

static int changes_add_parts(struct changes *c, const struct entry *e,
			     bool come)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < entry_slices(e); i++) {
		struct entry *part = entry_part(e, i);

		if (part)
			r = changes_add(c, entry_key(part), come ? part : NULL);
	}
	return r;
}

/* By key; of two with one key the one that comes is the later. */
static int by_change(const void *a, const void *b)
{
	const struct change *ca = a, *cb = b;
	int order = span_compare(ca->key, cb->key);

	return order ? order : (ca->entry != NULL) - (cb->entry != NULL);
}

/* The last one of each key stands. */
static void drop_doubles(struct changes *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++)
		if (i + 1 == c->n ||
		    !span_equal(c->at[i].key, c->at[i + 1].key))
			c->at[kept++] = c->at[i];
	c->n = kept;
}

int changes_init(struct changes *c, const struct bundle *base,
		 const struct change *changes, size_t n)
{
	int r = 0;

	*c = (struct changes){ 0 };

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct entry *old = bundle_find(base, changes[i].key);

		r = changes_add(c, changes[i].key, changes[i].entry);
		if (r == 0 && old)
			r = changes_add_parts(c, old, false);
		if (r == 0 && changes[i].entry)
			r = changes_add_parts(c, changes[i].entry, true);
	}
	if (c->n > 0)
		qsort(c->at, c->n, sizeof(*c->at), by_change);
	drop_doubles(c);
	return r;
}

void changes_release(struct changes *c)
{
	free(c->at);
	*c = (struct changes){ 0 };
}
