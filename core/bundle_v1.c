/* Bundles that stand for V1 checkpoints: see bundle.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle_inside.h"
#include "core/cleanup.h"

static int bundle_new_v1(int dirfd, const char *file, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new(dirfd, file, &b);

	if (r < 0)
		return r;
	b->index_name = strdup(file);
	if (!b->index_name)
		return -ENOMEM;
	b->v1 = true;
	*ret = STEAL(b);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *const *ea = a, *const *eb = b;

	return span_compare(entry_key(*ea), entry_key(*eb));
}

int bundle_of_v1(int dirfd, const char *file, const struct stat *st,
		 struct entry **entries, size_t n, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_v1(dirfd, file, &b);

	if (r < 0)
		return r;
	bundle_settle(b, st);
	qsort(entries, n, sizeof(struct entry *), by_key);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (bundle_in_order(b, entry_key(entries[i])))
			r = bundle_add(b, entries[i]);
	if (r == 0)
		r = bundle_show(b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}
