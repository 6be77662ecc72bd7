/* The slices that an entry lists, and their keys. */
#include "core/cleanup.h"
#include "core/entry.h"
#include "core/partition.h"

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
