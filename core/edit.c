#include "core/edit.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

struct edit {
	void *by_key; /* of tsearch(3): entries, counted */
	size_t n;
	struct entry *
		*sorted; /* borrowed from `by_key`; NULL until edit_sort() */
};

static int compare_keys(const void *a, const void *b)
{
	return span_compare(entry_key(a), entry_key(b));
}

static void unref(void *entry)
{
	entry_unref(entry);
}

int edit_new(struct edit **ret)
{
	struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	*ret = e;
	return 0;
}

void edit_free(struct edit *e)
{
	if (!e)
		return;
	tdestroy(e->by_key, unref);
	free(e->sorted);
	free(e);
}

size_t edit_count(const struct edit *e)
{
	return e->n;
}

int edit_add(struct edit *e, struct entry *entry)
{
	struct entry **at = tfind(entry, &e->by_key, compare_keys);
	struct entry *old = at ? *at : NULL;

	if (!at)
		at = tsearch(entry, &e->by_key, compare_keys);
	if (!at)
		return -ENOMEM;
	if (!old)
		e->n++;
	*at = entry_ref(entry);
	entry_unref(old);
	return 0;
}

struct gathering {
	struct entry **at;
};

static void gather(const void *node, VISIT visit, void *arg)
{
	struct gathering *g = arg;

	if (visit == postorder || visit == leaf)
		*g->at++ = *(struct entry *const *)node;
}

int edit_sort(struct edit *e)
{
	struct gathering g;

	free(e->sorted);
	e->sorted = calloc(e->n + 1, sizeof(struct entry *));
	if (!e->sorted)
		return -ENOMEM;
	g.at = e->sorted;
	twalk_r(e->by_key, gather, &g);
	return 0;
}

int edit_add_older(struct edit *e, struct edit *older)
{
	if (edit_sort(older) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < older->n; i++) {
		int r = 0;

		if (!tfind(older->sorted[i], &e->by_key, compare_keys))
			r = edit_add(e, older->sorted[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

bool edit_has(const struct edit *e, const struct entry *entry)
{
	struct entry *const *at = tfind(entry, &e->by_key, compare_keys);

	return at && *at == entry;
}

struct entry *const *edit_sorted(const struct edit *e)
{
	return e->sorted;
}
