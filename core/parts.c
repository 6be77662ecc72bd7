#include "core/parts.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"

/* Its place; `n` if it is not there. */
static size_t find(struct entry *const *all, size_t n, struct span key)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (span_compare(entry_key(all[mid]), key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && span_equal(entry_key(all[low]), key) ? low : n;
}

struct entry *entries_find(struct entry *const *all, size_t n, struct span key)
{
	size_t i = find(all, n, key);

	return i < n ? all[i] : NULL;
}

struct linking {
	struct entry *const *all;
	size_t n;
	bool *hidden;
	struct entry **parts; /* of one variable */
	size_t n_parts;
};

static int add_part(void *arg, struct span key)
{
	struct linking *l = arg;
	size_t i = find(l->all, l->n, key);
	struct entry *part = i < l->n ? l->all[i] : NULL;

	if (part)
		l->hidden[i] = true;
	/* A slice that lists slices is none that can be read. */
	if (part && entry_slices(part))
		part = NULL;
	l->parts[l->n_parts++] = part;
	return 0;
}

static int link_parts(struct linking *l, struct entry *e)
{
	CLEANUP(free_ptr)
	struct entry **parts = calloc(entry_slices(e), sizeof(struct entry *));
	int r;

	if (!parts)
		return -ENOMEM;
	l->parts = parts;
	l->n_parts = 0;
	r = entry_slice_keys(e, add_part, l);
	/* Entries of an earlier state have theirs, and do not change. */
	if (r == 0 && !entry_has_parts(e))
		r = entry_attach_parts(e, parts);
	return r;
}

/* It is written to through `l`. */
// NOLINTNEXTLINE(readability-non-const-parameter)
int parts_link(struct entry *const *all, size_t n, bool *hidden)
{
	struct linking l = { all, n, hidden, NULL, 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (entry_slices(all[i]))
			r = link_parts(&l, all[i]);
	return r;
}
