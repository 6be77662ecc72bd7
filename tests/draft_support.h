/* draft_support.h - a draft of one variable, beside its bundle. */
#pragma once

#include "core/bundle.h"
#include "core/draft.h"
#include "core/dtype.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/strings.h"
#include "tests/support.h"

/* A draft of `v`, which is new or an int16 [2, 1] of the bytes `ABCD`. */
struct desk {
	struct place where;
	struct bundle *bundle;
	struct entry *present;
	struct draft draft;
};

static const struct span key
	__attribute__((unused)) = { (const uint8_t *)"v", 1 };

static inline void desk_init(struct desk *d, bool present)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	const int64_t dims[] = { 2, 1 };
	struct proto p;

	*d = (struct desk){ .where = place_make() };
	maker_init(&m, HEADER);
	proto_init(&p, DT_INT16, 2, dims);
	p.entry.size = 4;
	p.entry.crc32c = crc32c_mask(crc32c_extend(0, "ABCD", 4));
	buf_put(&m.data, "ABCD", 4);
	maker_put(&m, "v", &p);
	maker_write(&m, d->where.fd);
	assert_int_equal(bundle_open(d->where.fd, "ckpt", NULL, &d->bundle), 0);
	if (present)
		d->present = entry_ref(bundle_find(d->bundle, key));
	assert_int_equal(bundle_shard(d->bundle, NULL, &shard), 0);
	draft_set_shard(&d->draft, shard);
	forget_lines();
}

static inline void desk_release(struct desk *d)
{
	draft_release(&d->draft);
	entry_unref(d->present);
	bundle_unref(d->bundle);
	place_release(&d->where);
}

/* What was taken over is the present value. */
static inline int taken(struct desk *d, int r, struct entry *e)
{
	if (r != 1)
		return r;
	assert_non_null(e);
	entry_unref(d->present);
	d->present = e;
	return r;
}

static inline void start(struct desk *d, const char *bytes)
{
	CLEANUP(stage_unrefp) struct stage *s = NULL;

	assert_int_equal(draft_begin(&d->draft, d->present, true, "label", &s),
			 0);
	assert_int_equal(stage_resize(s, 0), 0);
	if (*bytes)
		assert_int_equal(stage_write(s, bytes, strlen(bytes), 0), 0);
}

static inline int judge(struct desk *d, enum judgement how)
{
	struct entry *e = NULL;
	int r = draft_judge(&d->draft, d->present, key, how, &e);

	return taken(d, r, e);
}

static inline int declare(struct desk *d, enum sidecar which, const char *text)
{
	struct entry *e = NULL;
	int r = draft_declare(&d->draft, d->present, key, which, span_of(text),
			      &e);

	return taken(d, r, e);
}

static inline int dtype(struct desk *d, const char *text)
{
	return declare(d, SIDECAR_DTYPE, text);
}

static inline int shape(struct desk *d, const char *text)
{
	return declare(d, SIDECAR_SHAPE, text);
}

/* Writes, closes, and nobody has it open any more. */
static inline int write_and_close(struct desk *d, const char *bytes)
{
	int r;

	start(d, bytes);
	r = judge(d, JUDGE_CLOSE);
	if (r == 0)
		r = judge(d, JUDGE_LAST);
	(void)draft_close(&d->draft, d->present);
	return r;
}

static inline int remember(struct desk *d, const char *dtype_text,
			   const char *shape_text)
{
	CLEANUP(type_release) struct type t = { 0 };

	if (dtype_text)
		assert_int_equal(type_read_dtype(&t, span_of(dtype_text)), 0);
	if (shape_text)
		assert_int_equal(type_read_shape(&t, span_of(shape_text)), 0);
	return draft_remember(&d->draft, &t);
}

static inline void assert_sidecar(struct desk *d, enum sidecar which,
				  uint64_t n, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	assert_int_equal(draft_sidecar(&d->draft, d->present, which, n, &text),
			 0);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, want);
}

/* The present value, with its bytes as they lie in the shard. */
static inline void assert_value(struct desk *d, enum dtype want_dtype,
				const char *want_shape, const char *bytes,
				size_t n)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	char found[100];

	assert_non_null(d->present);
	assert_int_equal(entry_dtype(d->present), want_dtype);
	shape_print(entry_shape(d->present), &text);
	text.data[text.len - 1] = 0;
	assert_string_equal((char *)text.data, want_shape);
	assert_true(span_equal(entry_key(d->present), key));
	assert_int_equal(entry_size(d->present), n);
	assert_int_equal(io_read_at(shard_fd(entry_shard(d->present)), found, n,
				    entry_offset(d->present)),
			 0);
	assert_memory_equal(found, bytes, n);
	if (want_dtype != DT_STRING)
		assert_int_equal(entry_crc32c(d->present),
				 crc32c_extend(0, bytes, n));
}

static inline void assert_text(struct desk *d, const char *want_shape,
			       const char *text)
{
	CLEANUP(buf_release) struct buf encoded = { 0 };
	uint64_t n = entry_elements(d->present);
	uint32_t crc;

	assert_int_equal(strings_encode(span_of(text), n,
					entry_shape(d->present).rank == 0,
					&encoded, &crc),
			 0);
	assert_value(d, DT_STRING, want_shape, (char *)encoded.data,
		     encoded.len);
	assert_int_equal(entry_crc32c(d->present), crc);
}
