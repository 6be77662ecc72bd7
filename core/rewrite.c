#include "core/rewrite.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/strings.h"

#define CHUNK (UINT64_C(1) << 20)

/* Copies, and sums up what was copied. */
static int copy(const struct entry *e, const struct extent *x,
		uint32_t *ret_crc)
{
	CLEANUP(free_ptr) void *chunk = malloc(CHUNK);
	uint64_t size = entry_size(e);
	uint32_t crc = 0;

	if (!chunk)
		return -ENOMEM;
	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;
		int r = io_read_at(shard_fd(entry_shard(e)), chunk, n,
				   entry_offset(e) + at);

		if (r == 0)
			r = shard_write(extent_shard(x), chunk, n,
					extent_offset(x) + at);
		if (r < 0)
			return r;
		crc = crc32c_extend(crc, chunk, n);
	}
	*ret_crc = crc;
	return 0;
}

/* The checksum of strings is not that of their bytes: they are looked through. */
static int check_strings(const struct entry *e, const struct extent *x)
{
	const struct strings_source source = {
		.fd = shard_fd(extent_shard(x)),
		.offset = extent_offset(x),
		.size = extent_size(x),
		.elements = entry_elements(e),
		.crc32c = entry_crc32c(e),
		.scalar = entry_shape(e).rank == 0,
		.verify = true,
		.name = shard_name(extent_shard(x)),
	};
	struct strings *s = NULL;
	int r = strings_open(&source, &s);

	strings_free(s);
	return r;
}

int rewrite_value(const struct entry *e, struct shard *to, struct entry **ret)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	const char *reason;
	uint32_t crc = 0;
	int r;

	if (entry_slices(e))
		return -EOPNOTSUPP;
	if (!entry_shard(e) ||
	    (entry_dtype(e) != DT_VARIANT && entry_access(e, &reason) < 0))
		return -EIO;
	r = shard_reserve(to, entry_size(e), &x);
	if (r == 0)
		r = copy(e, x, &crc);
	if (r == 0 && entry_dtype(e) == DT_STRING)
		r = check_strings(e, x);
	else if (r == 0 && entry_dtype(e) != DT_VARIANT &&
		 crc != entry_crc32c(e))
		r = -EIO;
	return r < 0 ? r : entry_replace(e, x, entry_crc32c(e), ret);
}
