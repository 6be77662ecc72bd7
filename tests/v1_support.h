/* v1_support.h - V1 files by hand: messages, records, the list, and the table of them. */
#pragma once

#include "core/bundle.h"
#include "core/dtype.h"
#include "core/slice.h"
#include "core/v1.h"
#include "tests/support.h"

/* --- messages -------------------------------------------------------------- */

static inline void put_tag(struct buf *b, unsigned field, unsigned wire)
{
	buf_put_varint(b, field << 3 | wire);
}

static inline void put_int(struct buf *b, unsigned field, int64_t value)
{
	put_tag(b, field, 0);
	buf_put_varint(b, (uint64_t)value);
}

static inline void put_bytes(struct buf *b, unsigned field, struct span bytes)
{
	put_tag(b, field, 2);
	buf_put_varint(b, bytes.len);
	buf_put(b, bytes.data, bytes.len);
}

/* A packed list of varints, as TensorFlow has the integers of a tensor. */
static inline void put_ints(struct buf *b, unsigned field, size_t n,
			    const int64_t *values)
{
	CLEANUP(buf_release) struct buf list = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_put_varint(&list, (uint64_t)values[i]);
	put_bytes(b, field, buf_span(&list));
}

/* --- shapes and slices ------------------------------------------------------ */

struct dims {
	size_t rank;
	int64_t at[4];
};

#define WHOLE         \
	{             \
		0, -1 \
	}

static inline void put_slice(struct buf *b, unsigned field, size_t rank,
			     const struct slice_extent *extents)
{
	CLEANUP(buf_release) struct buf slice = { 0 };

	for (size_t i = 0; i < rank; i++) {
		CLEANUP(buf_release) struct buf extent = { 0 };

		if (extents && extents[i].start != 0)
			put_int(&extent, 1, extents[i].start);
		if (extents && extents[i].length != -1)
			put_int(&extent, 2, extents[i].length);
		put_bytes(&slice, 1, buf_span(&extent));
	}
	put_bytes(b, field, buf_span(&slice));
}

/* --- files ------------------------------------------------------------------ */

#define RECORDS_MAX 64

struct v1_maker {
	struct buf list; /* SavedTensorSliceMeta */
	struct {
		struct buf key, value;
	} records[RECORDS_MAX];
	size_t n;
};

static inline void v1_release(struct v1_maker *m)
{
	buf_release(&m->list);
	for (size_t i = 0; i < m->n; i++) {
		buf_release(&m->records[i].key);
		buf_release(&m->records[i].value);
	}
}

/* Lists a tensor; `slices` are `n` times the rank of it, NULL for the whole. */
static inline void v1_list(struct v1_maker *m, struct span name, int32_t dtype,
			   const struct dims *shape, size_t n,
			   const struct slice_extent *slices)
{
	CLEANUP(buf_release) struct buf dims = { 0 };
	CLEANUP(buf_release) struct buf meta = { 0 };

	for (size_t i = 0; i < shape->rank; i++) {
		CLEANUP(buf_release) struct buf dim = { 0 };

		if (shape->at[i])
			put_int(&dim, 1, shape->at[i]);
		put_bytes(&dims, 2, buf_span(&dim));
	}
	put_bytes(&meta, 1, name);
	put_bytes(&meta, 2, buf_span(&dims));
	put_int(&meta, 3, dtype);
	for (size_t i = 0; i < n; i++)
		put_slice(&meta, 4, shape->rank,
			  slices ? slices + i * shape->rank : NULL);
	put_bytes(&m->list, 1, buf_span(&meta));
}

static inline void v1_put(struct v1_maker *m, struct span key,
			  struct span value)
{
	assert_true(m->n < RECORDS_MAX);
	buf_put(&m->records[m->n].key, key.data, key.len);
	buf_put(&m->records[m->n].value, value.data, value.len);
	m->n++;
}

static inline void v1_key(struct span name, size_t rank,
			  const struct slice_extent *extents, struct buf *out)
{
	const struct slice_extent whole[4] = { WHOLE, WHOLE, WHOLE, WHOLE };

	slice_put_key(name, extents ? extents : whole, rank, out);
}

/* The record of a slice; `proto` is its TensorProto. */
static inline void v1_record(struct v1_maker *m, struct span name, size_t rank,
			     const struct slice_extent *extents,
			     struct span proto)
{
	CLEANUP(buf_release) struct buf saved = { 0 };
	CLEANUP(buf_release) struct buf record = { 0 };
	CLEANUP(buf_release) struct buf key = { 0 };

	if (name.len)
		put_bytes(&saved, 1, name);
	put_slice(&saved, 2, rank, extents);
	put_bytes(&saved, 3, proto);
	put_bytes(&record, 2, buf_span(&saved));
	v1_key(name, rank, extents, &key);
	v1_put(m, buf_span(&key), buf_span(&record));
}

/* A whole tensor: listed, and its record. */
static inline void v1_tensor(struct v1_maker *m, const char *name,
			     int32_t dtype, const struct dims *shape,
			     struct span proto)
{
	v1_list(m, span_of(name), dtype, shape, 1, NULL);
	v1_record(m, span_of(name), shape->rank, NULL, proto);
}

/* One slice of a tensor that is listed elsewhere. */
static inline void v1_slice(struct v1_maker *m, const char *name, size_t rank,
			    const struct slice_extent *extents,
			    struct span proto)
{
	v1_record(m, span_of(name), rank, extents, proto);
}

static inline int by_record(const void *a, const void *b)
{
	const struct buf *ka = a, *kb = b;

	return span_compare(buf_span(ka), buf_span(kb));
}

/* The whole file. */
static inline void v1_make(struct v1_maker *m, struct buf *out)
{
	CLEANUP(buf_release) struct buf list = { 0 };
	struct table_writer *w = NULL;

	put_bytes(&list, 1, buf_span(&m->list));
	qsort(m->records, m->n, sizeof(m->records[0]), by_record);
	assert_int_equal(table_writer_new(out, &w), 0);
	table_writer_add(w, (struct span){ 0 }, buf_span(&list));
	for (size_t i = 0; i < m->n; i++)
		table_writer_add(w, buf_span(&m->records[i].key),
				 buf_span(&m->records[i].value));
	assert_int_equal(table_writer_finish(w, 0), 0);
	table_writer_free(w);
}

static inline void v1_write_file(struct v1_maker *m, int dirfd,
				 const char *name)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };

	v1_make(m, &bytes);
	replace_file(dirfd, name, buf_span(&bytes));
}
