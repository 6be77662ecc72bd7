/* stage_support.h - a stage beside a plain buffer, and a bundle it goes to. */
#pragma once

#include "core/bundle.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/stage.h"
#include "tests/support.h"

#define SMALL 1000    /* staged in memory */
#define LIMIT 65536   /* the most that is */
#define LARGE 600000  /* staged in the shard, in several chunks */
#define MODEL 1200000 /* how far tests write */

/* A bundle of one variable `v` of this many bytes, and one behind it. */
struct fixture {
	struct place where;
	struct bundle *bundle;
	struct entry *base;
	struct buf value;
};

static inline uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static inline void put_random(struct buf *b, size_t n, uint32_t seed)
{
	size_t start = b->len;

	buf_put_zeros(b, n);
	for (size_t i = 0; i < n; i++)
		b->data[start + i] = (uint8_t)next_random(&seed);
}

static inline void fixture_init(struct fixture *f, size_t size)
{
	CLEANUP(maker_release) struct maker m;
	const struct stat like = { .st_mode = 0644 };
	const char *reason;

	*f = (struct fixture){ .where = place_make() };
	put_random(&f->value, size, (uint32_t)size);
	maker_init(&m, HEADER);
	maker_add(&m, "v", buf_span(&f->value));
	maker_add(&m, "w", span_of("next"));
	maker_write(&m, f->where.fd);
	assert_int_equal(bundle_open(f->where.fd, "ckpt", NULL, &f->bundle), 0);
	f->base = bundle_find(f->bundle, span_of("v"));
	assert_int_equal(shard_edit(entry_shard(f->base), &like, &reason), 0);
}

static inline void fixture_release(struct fixture *f)
{
	bundle_unref(f->bundle);
	buf_release(&f->value);
	place_release(&f->where);
}

static inline uint64_t shard_length(const struct fixture *f)
{
	uint64_t size = 0;

	assert_int_equal(io_size(shard_fd(entry_shard(f->base)), &size), 0);
	return size;
}

/* --- a stage beside a plain buffer ----------------------------------------- */

struct pair {
	struct stage *stage;
	uint8_t *bytes; /* MODEL of them */
	uint64_t size;
};

static inline void pair_init(struct pair *p, const struct fixture *f,
			     bool truncated)
{
	assert_int_equal(stage_new(entry_shard(f->base),
				   truncated ? NULL : f->base, f->value.len,
				   &p->stage),
			 0);
	p->bytes = calloc(1, MODEL);
	p->size = truncated ? 0 : f->value.len;
	if (p->size)
		memcpy(p->bytes, f->value.data, p->size);
}

static inline void pair_release(struct pair *p)
{
	stage_unref(p->stage);
	free(p->bytes);
}

static inline void pair_write(struct pair *p, uint64_t offset, size_t n,
			      uint32_t seed)
{
	CLEANUP(buf_release) struct buf data = { 0 };

	put_random(&data, n, seed);
	assert_int_equal(stage_write(p->stage, data.data, n, offset), 0);
	if (n > 0)
		memcpy(p->bytes + offset, data.data, n);
	if (p->size < offset + n)
		p->size = offset + n;
}

static inline void pair_resize(struct pair *p, uint64_t size)
{
	assert_int_equal(stage_resize(p->stage, size), 0);
	if (size < p->size)
		memset(p->bytes + size, 0, p->size - size);
	p->size = size;
}

static inline void assert_same(const struct pair *p)
{
	CLEANUP(free_ptr) uint8_t *read = malloc(MODEL + 1);

	assert_int_equal(stage_size(p->stage), p->size);
	assert_int_equal(stage_read(p->stage, read, MODEL + 1, 0), p->size);
	assert_memory_equal(read, p->bytes, p->size);
	assert_int_equal(stage_read(p->stage, read, 1, p->size), 0);
}

/* What is stored is the model's bytes, and lies where nothing was before. */
static inline void assert_stores(const struct pair *p, uint64_t end_before)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(free_ptr) uint8_t *read = malloc(p->size + 1);
	uint32_t crc = 1;

	assert_int_equal(stage_store(p->stage, stage_size(p->stage), &x, &crc),
			 0);
	assert_int_equal(extent_size(x), p->size);
	assert_int_equal(crc, crc32c_extend(0, p->bytes, p->size));
	assert_true(extent_offset(x) >= end_before);
	assert_int_equal(io_read_at(shard_fd(extent_shard(x)), read, p->size,
				    extent_offset(x)),
			 0);
	assert_memory_equal(read, p->bytes, p->size);
	assert_same(p);
}

static inline void assert_old_value_stands(const struct fixture *f)
{
	CLEANUP(free_ptr) uint8_t *read = malloc(f->value.len);

	assert_int_equal(io_read_at(shard_fd(entry_shard(f->base)), read,
				    f->value.len, entry_offset(f->base)),
			 0);
	assert_memory_equal(read, f->value.data, f->value.len);
}

static const size_t sizes[] = { 1, SMALL, LIMIT, LIMIT + 1, LARGE };
