/* The slices that an entry lists, their keys, and what their entries say. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/entry.h"
#include "core/partition.h"
#include "core/slice.h"

int entry_each_slice(const struct entry *e,
		     int (*each)(void *arg, size_t i,
				 const struct slice_extent *extents,
				 size_t rank),
		     void *arg)
{
	return entry_slices(e) ? partition_each(entry_raw(e), each, arg) : 0;
}

struct slice_keys {
	struct span key;
	int (*each)(void *arg, struct span key);
	void *arg;
};

static int slice_key(void *arg, size_t i, const struct slice_extent *extents,
		     size_t rank)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	const struct slice_keys *keys = arg;

	(void)i;
	slice_put_key(keys->key, extents, rank, &key);
	return buf_error(&key) ? buf_error(&key)
			       : keys->each(keys->arg, buf_span(&key));
}

int entry_slice_keys(const struct entry *e,
		     int (*each)(void *arg, struct span key), void *arg)
{
	struct slice_keys keys = { entry_key(e), each, arg };

	return entry_each_slice(e, slice_key, &keys);
}

/* Whether the shape of the slice's entry is that of the slice. */
static bool right_shape(const struct entry *e, const struct entry *part,
			const struct slice_extent *extents)
{
	struct shape whole = entry_shape(e), shape = entry_shape(part);

	if (shape.rank != whole.rank)
		return false;
	for (size_t i = 0; i < shape.rank; i++)
		if (shape.dims[i] !=
		    (extents[i].length < 0 ? whole.dims[i] : extents[i].length))
			return false;
	return true;
}

const char *entry_part_fault(const struct entry *e, size_t i,
			     const struct slice_extent *extents)
{
	const struct entry *part = entry_part(e, i);

	if (!part)
		return "it is not in the index";
	if (entry_dtype(part) != entry_dtype(e))
		return "it is of another dtype than its variable";
	if (!right_shape(e, part, extents))
		return "its entry has another shape";
	return NULL;
}

struct slice_check {
	const struct entry *variable;
	const char *reason;
};

static int check_slice(void *arg, size_t i, const struct slice_extent *extents,
		       size_t rank)
{
	struct slice_check *c = arg;

	(void)rank;
	if (!entry_part_fault(c->variable, i, extents))
		return 0;
	c->reason = entry_part(c->variable, i)
			    ? "a slice of it has another dtype or shape"
			    : "a slice of it is missing";
	return -EIO;
}

int entry_readable(const struct entry *e, const char **ret_reason)
{
	struct slice_check c = { .variable = e };
	int r = entry_each_slice(e, check_slice, &c);

	if (r < 0) {
		*ret_reason = c.reason ? c.reason : strerrordesc_np(-r);
		return r;
	}
	return entry_access(e, ret_reason);
}
