#include "core/writeout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/box.h"
#include "core/cleanup.h"
#include "core/content.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/extent.h"
#include "core/piece.h"
#include "core/shard.h"
#include "core/slice.h"
#include "core/stage.h"

/* A multiple of the size of any number. */
#define CHUNK (UINT64_C(1) << 20)

/* --- what is read --------------------------------------------------------- */

int writeout_read_stage(void *stage, void *buf, size_t n, uint64_t at)
{
	ssize_t got = stage_read(stage, buf, n, at);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

int writeout_read_content(void *content, void *buf, size_t n, uint64_t at)
{
	return content_read(content, buf, n, at);
}

int writeout_read_span(void *span, void *buf, size_t n, uint64_t at)
{
	const struct span *s = span;

	if (at > s->len || n > s->len - at)
		return -EIO;
	memcpy(buf, s->data + at, n);
	return 0;
}

const char *shard_refuses(const struct shard *s, int32_t dtype)
{
	return shard_big_endian(s) && !dtype_swaps(dtype)
		       ? "TensorFlow cannot read this dtype from a big-endian "
			 "checkpoint"
		       : NULL;
}

static bool varies(const struct writeout *w)
{
	return dtype_size(w->dtype) == 0;
}

/* The elements of strings or variants, where they are in what is read. */
static int find_elements(const struct writeout *w,
			 struct elements_source *source, struct elements *ret)
{
	uint32_t crc;
	int r;

	*source = (struct elements_source){
		.read = w->read,
		.arg = w->arg,
		.size = w->size,
		.dtype = w->dtype,
		.verify = true,
	};
	if (!shape_elements(w->shape, &source->elements))
		return -EINVAL;
	r = elements_check(source, &crc);
	source->crc32c = crc;
	if (r == 0)
		r = elements_scan(source, ret);
	return r == -EIO ? -EINVAL : r;
}

/* Where it goes, piece after piece. */
struct sink {
	struct shard *shard;
	struct extent *room;
	uint64_t at; /* how much is there */
	uint32_t crc;
};

static int put(void *arg, const void *data, size_t n)
{
	struct sink *s = arg;
	int r = shard_write(s->shard, data, n, extent_offset(s->room) + s->at);

	s->at += n;
	return r;
}

/* Numbers, whose checksum is that of the bytes in the shard. */
static int put_numbers(struct sink *s, int32_t dtype, void *data, size_t n)
{
	if (shard_big_endian(s->shard))
		bytes_turn(dtype, data, n);
	s->crc = crc32c_extend(s->crc, data, n);
	return put(s, data, n);
}

static int put_elements(struct sink *s, int32_t dtype, const struct elements *e)
{
	int r = shard_reserve(s->shard, elements_size(e, dtype), &s->room);

	return r < 0 ? r
		     : elements_write(e, dtype, shard_big_endian(s->shard), put,
				      s, &s->crc);
}

/* --- in one piece --------------------------------------------------------- */

static int write_numbers(const struct writeout *w, struct sink *s)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	int r = chunk ? shard_reserve(s->shard, w->size, &s->room) : -ENOMEM;

	while (r == 0 && s->at < w->size) {
		size_t n = w->size - s->at < CHUNK ? w->size - s->at : CHUNK;

		r = w->read(w->arg, chunk, n, s->at);
		if (r == 0)
			r = put_numbers(s, w->dtype, chunk, n);
	}
	return r;
}

static int write_elements(const struct writeout *w, struct sink *s)
{
	CLEANUP(elements_release) struct elements e = { 0 };
	struct elements_source source;
	int r = find_elements(w, &source, &e);

	return r < 0 ? r : put_elements(s, w->dtype, &e);
}

int writeout_whole(const struct writeout *w, struct shard *to,
		   struct extent **ret, uint32_t *ret_crc32c)
{
	struct sink s = { .shard = to };
	int r = shard_refuses(to, w->dtype) ? -EOPNOTSUPP
		: varies(w)                 ? write_elements(w, &s)
					    : write_numbers(w, &s);

	if (r < 0) {
		extent_unref(s.room);
		return r;
	}
	*ret = s.room;
	*ret_crc32c = s.crc;
	return 0;
}

/* --- over slices ---------------------------------------------------------- */

struct slice {
	struct box *box;
	struct sink sink;
	struct entry *entry;
};

struct split {
	const struct writeout *w;
	const struct entry *like;
	struct shard *to;
	size_t n;
	struct slice *slices;
	uint64_t covered;
};

static void split_release(struct split *s)
{
	for (size_t i = 0; s->slices && i < s->n; i++) {
		box_free(s->slices[i].box);
		extent_unref(s->slices[i].sink.room);
		entry_unref(s->slices[i].entry);
	}
	free(s->slices);
}

static size_t item_of(const struct entry *e)
{
	size_t item = dtype_size(entry_dtype(e));

	return item ? item : 1;
}

static int add_box(void *arg, size_t i, const struct slice_extent *extents,
		   size_t rank)
{
	struct split *s = arg;
	struct slice *slice = &s->slices[i];
	int r = box_new(entry_shape(s->like), extents, item_of(s->like),
			&slice->box);

	(void)rank;
	slice->sink.shard = s->to;
	if (r == 0)
		s->covered += box_size(slice->box);
	return r;
}

static int split_init(struct split *s)
{
	s->n = entry_slices(s->like);
	s->slices = calloc(s->n + 1, sizeof(*s->slices));
	return s->slices ? entry_each_slice(s->like, add_box, s) : -ENOMEM;
}

bool writeout_splits(const struct entry *like)
{
	CLEANUP(split_release) struct split s = { .like = like };

	return entry_slices(like) > 0 && split_init(&s) == 0 &&
	       s.covered == entry_elements(like) * item_of(like);
}

/* The part of a piece of the whole that lies in one slice. */
static int put_part(const struct split *s, struct slice *slice,
		    const uint8_t *piece, uint64_t from, uint64_t end,
		    uint8_t *scratch)
{
	uint64_t first = box_before(slice->box, from);
	uint64_t n = box_before(slice->box, end) - first;

	if (n == 0)
		return 0;
	box_gather(slice->box, first, n, scratch, piece, from);
	return put_numbers(&slice->sink, s->w->dtype, scratch, n);
}

/* Once through the whole, however many slices there are. */
static int split_numbers(struct split *s)
{
	CLEANUP(free_ptr) uint8_t *piece = malloc(CHUNK);
	CLEANUP(free_ptr) uint8_t *scratch = malloc(CHUNK);
	int r = piece && scratch ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = shard_reserve(s->to, box_size(s->slices[i].box),
				  &s->slices[i].sink.room);
	for (uint64_t at = 0; r == 0 && at < s->w->size; at += CHUNK) {
		size_t n = s->w->size - at < CHUNK ? s->w->size - at : CHUNK;

		r = s->w->read(s->w->arg, piece, n, at);
		for (size_t i = 0; r == 0 && i < s->n; i++)
			r = put_part(s, &s->slices[i], piece, at, at + n,
				     scratch);
	}
	return r;
}

static int put_some_elements(struct slice *slice, int32_t dtype,
			     const struct elements *all)
{
	CLEANUP(elements_release) struct elements some = { 0 };
	int r = elements_alloc(&some, box_size(slice->box));

	if (r < 0)
		return r;
	for (uint64_t at = 0; at < some.n;) {
		struct run run = box_run(slice->box, at, some.n - at);

		for (uint64_t i = 0; i < run.rows; i++, at += run.n)
			memcpy(&some.at[at],
			       &all->at[run.whole + i * run.stride],
			       run.n * sizeof(*some.at));
	}
	return put_elements(&slice->sink, dtype, &some);
}

static int split_elements(struct split *s)
{
	CLEANUP(elements_release) struct elements all = { 0 };
	struct elements_source source;
	int r = find_elements(s->w, &source, &all);

	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = put_some_elements(&s->slices[i], s->w->dtype, &all);
	return r;
}

static int make_part(void *arg, size_t i, const struct slice_extent *extents,
		     size_t rank)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct split *s = arg;
	struct slice *slice = &s->slices[i];
	const struct entry *old = entry_part(s->like, i);
	struct shape whole = entry_shape(s->like);
	int64_t dims[SHAPE_MAX_RANK];
	struct shape shape = { rank, dims };

	for (size_t d = 0; d < rank; d++)
		dims[d] = extents[d].length < 0 ? whole.dims[d]
						: extents[d].length;
	slice_put_key(entry_key(s->like), extents, rank, &key);
	if (buf_error(&key))
		return buf_error(&key);
	if (old && entry_dtype(old) == s->w->dtype &&
	    shape_equal(entry_shape(old), shape))
		return entry_replace(old, slice->sink.room, slice->sink.crc,
				     &slice->entry);
	return entry_new(buf_span(&key), s->w->dtype, shape, slice->sink.room,
			 slice->sink.crc, &slice->entry);
}

static int make_entry(struct split *s, struct entry **ret)
{
	CLEANUP(free_ptr)
	struct entry **parts = calloc(s->n, sizeof(struct entry *));

	if (!parts)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		parts[i] = s->slices[i].entry;
	return entry_with_parts(s->like, parts, ret);
}

int writeout_slices(const struct writeout *w, const struct entry *like,
		    struct shard *to, struct entry **ret)
{
	CLEANUP(split_release)
	struct split s = { .w = w, .like = like, .to = to };
	int r = shard_refuses(to, w->dtype) ? -EOPNOTSUPP : split_init(&s);

	if (r == 0)
		r = varies(w) ? split_elements(&s) : split_numbers(&s);
	if (r == 0)
		r = entry_each_slice(like, make_part, &s);
	return r < 0 ? r : make_entry(&s, ret);
}
