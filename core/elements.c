#include "core/elements.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/log.h"

#define WINDOW (UINT64_C(32) << 10)
#define STORED 4 /* bytes of a stored checksum */

int elements_alloc(struct elements *e, uint64_t n)
{
	*e = (struct elements){ 0 };
	if (n > SIZE_MAX / sizeof(*e->at))
		return -ENOMEM;
	e->at = calloc(n ? n : 1, sizeof(*e->at));
	e->n = n;
	return e->at ? 0 : -ENOMEM;
}

void elements_release(struct elements *e)
{
	free(e->at);
	*e = (struct elements){ 0 };
}

static int read_source(const struct elements_source *s, void *buf, size_t n,
		       uint64_t at)
{
	return s->read ? s->read(s->arg, buf, n, at)
		       : io_read_at(s->fd, buf, n, s->offset + at);
}

/* --- looking through ------------------------------------------------------ */

/* Goes over a source, a window at a time. */
struct scan {
	const struct elements_source *source;
	uint64_t at;      /* of the next byte */
	struct span left; /* of what is in memory, from there on */
	uint32_t crc;
	uint8_t bytes[WINDOW];
};

/* Has `want` bytes in memory, or all that are left. */
static int fill(struct scan *s, size_t want)
{
	uint64_t rest = s->source->size - s->at;
	size_t n = rest < WINDOW ? rest : WINDOW;
	int r;

	if (s->left.len >= want || s->left.len == rest)
		return 0;
	r = read_source(s->source, s->bytes, n, s->at);
	if (r < 0)
		return r;
	s->left = (struct span){ s->bytes, n };
	return 0;
}

static int take(struct scan *s, size_t n, struct span *ret)
{
	int r = fill(s, n);

	if (r < 0)
		return r;
	if (!span_take(&s->left, n, ret))
		return -EIO;
	s->at += n;
	return 0;
}

static int take_varint(struct scan *s, uint64_t *ret)
{
	size_t before;
	int r = fill(s, VARINT_MAX);

	if (r < 0)
		return r;
	before = s->left.len;
	if (!span_get_varint(&s->left, ret))
		return -EIO;
	s->at += before - s->left.len;
	return 0;
}

/* Goes over `n` bytes, which are summed up if anybody cares. */
static int skip(struct scan *s, uint64_t n)
{
	if (n > s->source->size - s->at)
		return -EIO;
	while (s->source->verify && n > 0) {
		struct span bytes;
		int r = fill(s, 1);

		if (r == 0)
			r = take(s, n < s->left.len ? n : s->left.len, &bytes);
		if (r < 0)
			return r;
		s->crc = crc32c_extend(s->crc, bytes.data, bytes.len);
		n -= bytes.len;
	}
	if (n == 0)
		return 0;
	s->at += n;
	s->left.len = 0;
	return 0;
}

/* A checksum that is stored between the bytes, and is itself summed up. */
static int take_stored(struct scan *s)
{
	struct span bytes;
	uint32_t masked;
	int r = take(s, STORED, &bytes);

	if (r < 0)
		return r;
	memcpy(&masked, bytes.data, sizeof(masked));
	masked = s->source->big_endian ? be32toh(masked) : le32toh(masked);
	if (s->source->verify && crc32c_unmask(masked) != s->crc)
		return -EIO;
	s->crc = crc32c_extend(s->crc, bytes.data, bytes.len);
	return 0;
}

/* `ret` may be NULL, as in all of these. */
static void note(struct elements *ret, const struct scan *s, uint64_t i,
		 uint64_t length)
{
	if (ret)
		ret->at[i] = (struct element){ s->source, s->at, length };
}

static int scan_variants(struct scan *s, struct elements *ret)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < s->source->elements; i++) {
		uint64_t length = 0;

		r = take_varint(s, &length);
		if (r < 0)
			return r;
		note(ret, s, i, length);
		s->crc = crc32c_extend_length(s->crc, length, true,
					      s->source->big_endian);
		r = skip(s, length);
		if (r == 0)
			r = take_stored(s);
	}
	return r;
}

static int scan_strings(struct scan *s, struct elements *ret)
{
	uint64_t sum = 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < s->source->elements; i++) {
		uint64_t length = 0;

		r = take_varint(s, &length);
		if (r == 0 && __builtin_add_overflow(sum, length, &sum))
			r = -EIO;
		note(ret, s, i, length);
		s->crc = crc32c_extend_length(s->crc, length, false,
					      s->source->big_endian);
	}
	if (r == 0)
		r = take_stored(s);
	for (uint64_t i = 0, at = s->at; r == 0 && ret && i < ret->n; i++) {
		ret->at[i].at = at;
		at += ret->at[i].length;
	}
	return r < 0 ? r : skip(s, sum);
}

static int scan(const struct elements_source *source, struct elements *ret,
		uint32_t *ret_crc)
{
	CLEANUP(free_ptr) struct scan *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->source = source;
	r = source->dtype == DT_STRING ? scan_strings(s, ret)
				       : scan_variants(s, ret);
	if (r == 0 && source->exact && s->at != source->size)
		r = -EIO;
	*ret_crc = s->crc;
	return r;
}

int elements_check(const struct elements_source *source, uint32_t *ret_crc32c)
{
	/* Each takes a byte: no need to read on to see this lie. */
	if (source->elements > source->size)
		return -EIO;
	return scan(source, NULL, ret_crc32c);
}

int elements_scan(const struct elements_source *source, struct elements *ret)
{
	CLEANUP(elements_release) struct elements found = { 0 };
	uint32_t crc = 0;
	int r = source->elements > source->size
			? -EIO
			: elements_alloc(&found, source->elements);

	if (r == 0)
		r = scan(source, &found, &crc);
	if (r == 0 && source->verify && crc != source->crc32c)
		r = -EIO;
	if (r == -EIO && source->name)
		log_error("%s: the %s tensor at offset %" PRIu64
			  " is damaged: its elements are not what its "
			  "checksums say, or not as many",
			  source->name, dtype_name(source->dtype),
			  source->offset);
	if (r < 0)
		return r;
	*ret = found;
	found = (struct elements){ 0 };
	return 0;
}

/* --- writing -------------------------------------------------------------- */

uint64_t elements_size(const struct elements *e, int32_t dtype)
{
	uint64_t stored = dtype == DT_STRING ? 1 : e->n;
	uint64_t n = stored * STORED;

	for (uint64_t i = 0; i < e->n; i++)
		n += varint_size(e->at[i].length) + e->at[i].length;
	return n;
}

/* What goes out, gathered to pieces of some size. */
struct out {
	int (*put)(void *arg, const void *data, size_t n);
	void *arg;
	int32_t dtype;
	bool big_endian;
	int error;
	uint32_t crc;
	size_t n;
	uint8_t bytes[2 * WINDOW];
};

static void flush(struct out *o)
{
	if (o->n > 0 && o->error == 0)
		o->error = o->put(o->arg, o->bytes, o->n);
	o->n = 0;
}

static void put(struct out *o, const void *data, size_t n)
{
	if (n > sizeof(o->bytes) - o->n)
		flush(o);
	memcpy(o->bytes + o->n, data, n);
	o->n += n;
}

static void put_length(struct out *o, uint64_t length)
{
	CLEANUP(buf_release) struct buf varint = { 0 };

	buf_put_varint(&varint, length);
	if (buf_error(&varint))
		o->error = -ENOMEM;
	else
		put(o, varint.data, varint.len);
	o->crc = crc32c_extend_length(o->crc, length, o->dtype == DT_VARIANT,
				      o->big_endian);
}

static void put_stored(struct out *o)
{
	uint32_t masked = crc32c_mask(o->crc);

	masked = o->big_endian ? htobe32(masked) : htole32(masked);
	put(o, &masked, sizeof(masked));
	o->crc = crc32c_extend(o->crc, &masked, sizeof(masked));
}

/* The bytes of elements that are neighbours where they lie. */
static void put_bytes(struct out *o, const struct elements_source *source,
		      uint64_t at, uint64_t n)
{
	while (n > 0 && o->error == 0) {
		size_t part = n < WINDOW ? n : WINDOW;

		if (part > sizeof(o->bytes) - o->n)
			flush(o);
		o->error = o->error ? o->error
				    : read_source(source, o->bytes + o->n, part,
						  at);
		if (o->error)
			return;
		o->crc = crc32c_extend(o->crc, o->bytes + o->n, part);
		o->n += part;
		at += part;
		n -= part;
	}
}

static void write_strings(struct out *o, const struct elements *e)
{
	for (uint64_t i = 0; i < e->n && o->error == 0; i++)
		put_length(o, e->at[i].length);
	put_stored(o);
	for (uint64_t i = 0; i < e->n && o->error == 0;) {
		const struct element *first = &e->at[i];
		uint64_t n = first->length;

		for (i++; i < e->n && e->at[i].source == first->source &&
			  e->at[i].at == first->at + n;
		     i++)
			n += e->at[i].length;
		put_bytes(o, first->source, first->at, n);
	}
}

static void write_variants(struct out *o, const struct elements *e)
{
	for (uint64_t i = 0; i < e->n && o->error == 0; i++) {
		put_length(o, e->at[i].length);
		put_bytes(o, e->at[i].source, e->at[i].at, e->at[i].length);
		put_stored(o);
	}
}

int elements_write(const struct elements *e, int32_t dtype, bool big_endian,
		   int (*put_piece)(void *arg, const void *data, size_t n),
		   void *arg, uint32_t *ret_crc32c)
{
	CLEANUP(free_ptr) struct out *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->put = put_piece;
	o->arg = arg;
	o->dtype = dtype;
	o->big_endian = big_endian;
	if (dtype == DT_STRING)
		write_strings(o, e);
	else
		write_variants(o, e);
	flush(o);
	*ret_crc32c = o->crc;
	return o->error;
}

struct spool {
	int fd;
	uint64_t at;
};

static int put_file(void *arg, const void *data, size_t n)
{
	struct spool *s = arg;
	int r = io_write_at(s->fd, data, n, s->at);

	s->at += n;
	return r;
}

int elements_spool(const struct elements *e, int32_t dtype, int fd,
		   uint64_t *ret_size, uint32_t *ret_crc32c)
{
	struct spool s = { fd, 0 };
	int r = elements_write(e, dtype, false, put_file, &s, ret_crc32c);

	*ret_size = s.at;
	return r;
}
