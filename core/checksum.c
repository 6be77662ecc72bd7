#include "core/checksum.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/io.h"

/* The value, and the part of it that is in memory. */
struct reader {
	const struct checksum_source *source;
	uint64_t next; /* in the file: where `left` ends */
	uint64_t end;
	struct span left;
	uint8_t *bytes;
	size_t cap;
	uint32_t crc;
	const char *reason;
};

static void reader_release(struct reader *r)
{
	free(r->bytes);
}

static int reader_init(struct reader *r, const struct checksum_source *s)
{
	*r = (struct reader){ .source = s, .next = s->offset };
	if (__builtin_add_overflow(s->offset, s->size, &r->end))
		return -EIO;
	r->cap = s->size < CHECKSUM_CHUNK ? s->size : CHECKSUM_CHUNK;
	r->bytes = malloc(r->cap ? r->cap : 1);
	return r->bytes ? 0 : -ENOMEM;
}

static int bad(struct reader *r, const char *reason)
{
	r->reason = reason;
	return -EBADMSG;
}

/* Has at least `want` bytes in memory, or all that are left. */
static int fill(struct reader *r, size_t want)
{
	uint64_t at = r->next - r->left.len;
	uint64_t rest = r->end - at;
	size_t n = rest < r->cap ? rest : r->cap;
	int err;

	if (r->left.len >= want || r->left.len == rest)
		return 0;
	/* Reading the few bytes left again is simpler than moving them. */
	err = io_read_at(r->source->fd, r->bytes, n, at);
	if (err < 0)
		return err;
	if (r->source->passed)
		r->source->passed(r->source->arg, n - r->left.len);
	r->left = (struct span){ r->bytes, n };
	r->next = at + n;
	return 0;
}

static int get_varint(struct reader *r, uint64_t *ret)
{
	int err = fill(r, VARINT_MAX);

	if (err < 0)
		return err;
	return span_get_varint(&r->left, ret)
		       ? 0
		       : bad(r, "it has no whole list of lengths");
}

/* Goes over `n` bytes with the checksum. */
static int pass(struct reader *r, uint64_t n)
{
	while (n > 0) {
		struct span part;
		int err = fill(r, 1);

		if (err < 0)
			return err;
		if (!span_take(&r->left, n < r->left.len ? n : r->left.len,
			       &part) ||
		    part.len == 0)
			return bad(r, "its elements end beyond its size");
		r->crc = crc32c_extend(r->crc, part.data, part.len);
		n -= part.len;
	}
	return 0;
}

static void add_length(struct reader *r, uint64_t length)
{
	r->crc = crc32c_extend_length(r->crc, length,
				      r->source->dtype == DT_VARIANT,
				      r->source->big_endian);
}

/* A stored checksum of all before it, which the checksum then goes on over. */
static int pass_inner(struct reader *r, const char *reason)
{
	struct span stored, copy;
	uint32_t masked;
	int err = fill(r, sizeof(masked));

	if (err < 0)
		return err;
	if (!span_take(&r->left, sizeof(masked), &stored))
		return bad(r, "it ends before a checksum inside it");
	copy = stored;
	(void)span_get_fixed32(&copy, &masked);
	if (r->source->big_endian)
		masked = __builtin_bswap32(masked);
	if (crc32c_unmask(masked) != r->crc)
		return bad(r, reason);
	r->crc = crc32c_extend(r->crc, stored.data, stored.len);
	return 0;
}

static int pass_strings(struct reader *r)
{
	uint64_t sum = 0;
	int err = 0;

	/* Each length takes a byte: no need to read on to see this lie. */
	if (r->source->elements > r->source->size)
		return bad(r, "it is too small for its elements");
	for (uint64_t i = 0; err == 0 && i < r->source->elements; i++) {
		uint64_t length = 0;

		err = get_varint(r, &length);
		if (err == 0 && __builtin_add_overflow(sum, length, &sum))
			err = bad(r, "its elements end beyond its size");
		if (err == 0)
			add_length(r, length);
	}
	if (err == 0)
		err = pass_inner(r, "the checksum of its lengths is wrong");
	return err < 0 ? err : pass(r, sum);
}

static int pass_variants(struct reader *r)
{
	int err = 0;

	if (r->source->elements > r->source->size)
		return bad(r, "it is too small for its elements");
	for (uint64_t i = 0; err == 0 && i < r->source->elements; i++) {
		uint64_t length = 0;

		err = get_varint(r, &length);
		if (err == 0)
			add_length(r, length);
		if (err == 0)
			err = pass(r, length);
		if (err == 0)
			err = pass_inner(r,
					 "the checksum of an element is wrong");
	}
	return err;
}

int checksum_value(const struct checksum_source *s, uint32_t *ret_crc32c,
		   uint64_t *ret_used, const char **ret_reason)
{
	CLEANUP(reader_release) struct reader r = { 0 };
	int err = reader_init(&r, s);

	if (err < 0)
		return err;
	if (s->dtype == DT_STRING)
		err = pass_strings(&r);
	else if (s->dtype == DT_VARIANT)
		err = pass_variants(&r);
	else
		err = pass(&r, s->size);
	if (err < 0) {
		*ret_reason = r.reason;
		return err;
	}
	*ret_crc32c = r.crc;
	*ret_used = r.next - r.left.len - s->offset;
	return 0;
}
