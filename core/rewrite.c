#include "core/rewrite.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/extent.h"
#include "core/writeout.h"

static int copy(struct entry *e, struct shard *to, struct extent **ret,
		uint32_t *ret_crc)
{
	CLEANUP(free_ptr) char *name = entry_describe(e, shard_name(to));
	CLEANUP(content_freep) struct content *c = NULL;
	struct writeout w = {
		.read = writeout_read_content,
		.dtype = entry_dtype(e),
		.shape = entry_shape(e),
	};
	uint32_t crc;
	int r = name ? content_open(e, name, true, &c) : -ENOMEM;

	if (r < 0)
		return r;
	w.arg = c;
	w.size = content_size(c);
	r = writeout_whole(&w, to, ret, ret_crc);
	/* Strings that do not parse are damage here. */
	if (r == -EINVAL)
		return -EIO;
	if (r == 0 && !shard_big_endian(to) && content_crc32c(c, &crc) &&
	    crc != *ret_crc) {
		extent_unref(STEAL(*ret));
		r = -EIO;
	}
	return r;
}

int rewrite_value(struct entry *e, struct shard *to, struct entry **ret)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint32_t crc = 0;
	int r = copy(e, to, &x, &crc);

	if (r < 0)
		return r;
	return entry_slices(e) ? entry_new(entry_key(e), entry_dtype(e),
					   entry_shape(e), x, crc, ret)
			       : entry_replace(e, x, crc, ret);
}

static int rewrite_part(struct entry *part, struct shard *to,
			bool (*moves)(const void *arg,
				      const struct entry *part),
			const void *arg, struct entry **ret)
{
	if (part && moves(arg, part))
		return rewrite_value(part, to, ret);
	*ret = part ? entry_ref(part) : NULL;
	return 0;
}

int rewrite_slices(struct entry *e, struct shard *to,
		   bool (*moves)(const void *arg, const struct entry *part),
		   const void *arg, struct entry **ret)
{
	size_t n = entry_slices(e);
	CLEANUP(free_ptr)
	struct entry **parts = calloc(n + 1, sizeof(struct entry *));
	int r = parts ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = rewrite_part(entry_part(e, i), to, moves, arg, &parts[i]);
	if (r == 0)
		r = entry_with_parts(e, parts, ret);
	for (size_t i = 0; parts && i < n; i++)
		entry_unref(parts[i]);
	return r;
}
