#include "core/take.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/extent.h"
#include "core/piece.h"
#include "core/shard.h"
#include "core/strings.h"
#include "core/writeout.h"

#define CHUNK (256 << 10)
#define TRIES 100

/* --- what fits ------------------------------------------------------------ */

static int read_text(struct stage *s, struct buf *ret)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	ssize_t n = chunk ? 1 : -ENOMEM;

	while (n > 0) {
		n = stage_read(s, chunk, CHUNK, ret->len);
		if (n > 0)
			buf_put(ret, chunk, (size_t)n);
	}
	return n < 0 ? (int)n : buf_error(ret);
}

/* How many elements a text of lines is; a last line without its end counts. */
static uint64_t count_lines(struct span text)
{
	uint64_t n = text.len && text.data[text.len - 1] != '\n';

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	return n;
}

/* Whether `text` is a value of `t`, whose dtype is string; then also encoded. */
static int fit_text(struct type *t, struct span text, struct buf *encoded,
		    uint32_t *ret_crc)
{
	bool scalar = t->rank == 0;
	uint64_t n = scalar ? 1 : count_lines(text);

	if (!shape_resolve(t->dims, t->rank, n))
		return 0;
	switch (strings_encode(text, n, scalar, encoded, ret_crc)) {
	case 0:
		return 1;
	case -EINVAL:
		return 0;
	default:
		return -ENOMEM;
	}
}

/* Elements that nobody here understands, as many as the shape says. */
static int fit_variant(const struct type *t, struct stage *s)
{
	struct elements_source source = {
		.read = writeout_read_stage,
		.arg = s,
		.size = stage_size(s),
		.dtype = DT_VARIANT,
		.verify = true,
		.exact = true,
	};
	uint32_t crc;
	int r = -EIO;

	if (shape_elements(type_shape(t), &source.elements))
		r = elements_check(&source, &crc);
	return r == -EIO ? 0 : r < 0 ? r : 1;
}

int take_fits(struct type *t, struct stage *s)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf encoded = { 0 };
	uint32_t crc;
	int r;

	if (!type_complete(t))
		return 0;
	if (t->dtype == DT_VARIANT)
		return fit_variant(t, s);
	if (t->dtype != DT_STRING)
		return type_fits(t, stage_size(s));
	r = read_text(s, &text);
	return r < 0 ? r : fit_text(t, buf_span(&text), &encoded, &crc);
}

/* --- the bytes of a stage -------------------------------------------------- */

bool take_same_type(const struct entry *present, const struct type *t)
{
	return present && entry_dtype(present) == t->dtype &&
	       shape_equal(entry_shape(present), type_shape(t));
}

static int make_entry(const struct entry *present, struct span key,
		      const struct type *t, struct extent *x, uint32_t crc,
		      struct entry **ret)
{
	if (take_same_type(present, t) && !entry_slices(present))
		return entry_replace(present, x, crc, ret);
	return entry_new(key, t->dtype, type_shape(t), x, crc, ret);
}

/* Written to the shard in the way it has to lie there: what has no bytes of its own yet. */
static int write_out(struct shard *shard, const struct entry *present,
		     struct span key, struct writeout *w, const struct type *t,
		     struct entry **ret)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint32_t crc;
	int r;

	w->dtype = t->dtype;
	w->shape = type_shape(t);
	if (take_same_type(present, t) && writeout_splits(present))
		return writeout_slices(w, present, shard, ret);
	r = writeout_whole(w, shard, &x, &crc);
	return r < 0 ? r : make_entry(present, key, t, x, crc, ret);
}

static int take_text(struct shard *shard, const struct entry *present,
		     struct span key, struct stage *s, struct type *t,
		     struct entry **ret)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf encoded = { 0 };
	struct span all;
	struct writeout w = { .read = writeout_read_span, .arg = &all };
	uint32_t crc;
	int r = read_text(s, &text);

	if (r == 0)
		r = fit_text(t, buf_span(&text), &encoded, &crc);
	if (r <= 0)
		return r < 0 ? r : -EINVAL;
	all = buf_span(&encoded);
	w.size = all.len;
	return write_out(shard, present, key, &w, t, ret);
}

static int take_bytes(struct shard *shard, const struct entry *present,
		      struct span key, struct stage *s, const struct type *t,
		      struct entry **ret)
{
	struct writeout w = {
		.read = writeout_read_stage,
		.arg = s,
		.size = stage_size(s),
	};

	return write_out(shard, present, key, &w, t, ret);
}

/*
 * Whether what the stage holds is what the shard is to have.  What is still on its way to
 * another shard comes here instead.
 */
static bool lies_so(struct shard *shard, const struct entry *present,
		    struct stage *s, const struct type *t)
{
	return (stage_shard(s) == shard || stage_in_shard(s)) &&
	       dtype_size(t->dtype) && !shard_big_endian(shard) &&
	       !(take_same_type(present, t) && entry_slices(present));
}

static int take_as_it_lies(const struct entry *present, struct span key,
			   struct stage *s, const struct type *t,
			   struct entry **ret)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint64_t size = 0;
	uint32_t crc = 0;
	int r = type_size(t, &size) ? stage_store(s, size, &x, &crc) : -EINVAL;

	if (r < 0)
		return r;
	r = make_entry(present, key, t, x, crc, ret);
	/* Who writes to it waits for it to be taken, or to be open again. */
	if (r < 0)
		stage_reopen(s);
	return r < 0 ? r : 1;
}

static int encode_once(struct shard *shard, const struct entry *present,
		       struct span key, struct stage *s, struct type *t,
		       struct entry **ret)
{
	uint64_t changes = stage_changes(s);
	struct entry *e = NULL;
	int r = t->dtype == DT_STRING
			? take_text(shard, present, key, s, t, &e)
			: take_bytes(shard, present, key, s, t, &e);

	if (r == 0)
		r = stage_end(s, changes);
	if (r == 0)
		*ret = e;
	else
		entry_unref(e);
	return r;
}

/* Again, if it was written to meanwhile: that is soon over, as no write can begin now. */
static int take_encoded(struct shard *shard, const struct entry *present,
			struct span key, struct stage *s, struct type *t,
			struct entry **ret)
{
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++)
		r = encode_once(shard, present, key, s, t, ret);
	return r == -EAGAIN ? -EBUSY : r < 0 ? r : 1;
}

int take_stage(struct shard *shard, const struct entry *present,
	       struct span key, struct stage *s, struct type *t,
	       struct entry **ret)
{
	return lies_so(shard, present, s, t)
		       ? take_as_it_lies(present, key, s, t, ret)
		       : take_encoded(shard, present, key, s, t, ret);
}

/* --- the present bytes ----------------------------------------------------- */

/* Whether the bytes on disk are the same under another dtype. */
bool take_stays(const struct entry *present, int32_t dtype)
{
	if (entry_slices(present))
		return false;
	return !entry_big_endian(present) ||
	       bytes_turned(entry_dtype(present)) == bytes_turned(dtype);
}

/* The present bytes, put together and written anew as one plain value. */
static int put_together(struct shard *shard, struct entry *present,
			struct span key, const struct type *t,
			struct entry **ret)
{
	CLEANUP(free_ptr)
	char *name = entry_describe(present, shard_name(shard));
	CLEANUP(content_freep) struct content *c = NULL;
	struct writeout w = { .read = writeout_read_content };
	int r = name ? content_open(present, name, true, &c) : -ENOMEM;

	if (r < 0)
		return r;
	w.arg = c;
	w.size = content_size(c);
	return write_out(shard, NULL, key, &w, t, ret);
}

int take_retyped(struct shard *shard, struct entry *present, struct span key,
		 const struct type *t, struct entry **ret)
{
	return take_stays(present, t->dtype)
		       ? entry_retype(present, t->dtype, type_shape(t), ret)
		       : put_together(shard, present, key, t, ret);
}
