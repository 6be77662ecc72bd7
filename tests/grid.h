/* grid.h - random partitions, and what is in them, element by element. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "core/dtype.h"
#include "core/entry.h"
#include "core/extent.h"
#include "core/shard.h"
#include "core/slice.h"
#include "tests/support.h"

#define GRID_RANK  4
#define GRID_PARTS 24

struct grid_part {
	struct slice_extent extents[GRID_RANK];
};

struct grid {
	size_t rank;
	int64_t dims[GRID_RANK];
	size_t n;
	struct grid_part parts[GRID_PARTS];
	unsigned seed;
};

static inline unsigned grid_random(struct grid *g, unsigned below)
{
	g->seed = g->seed * 1103515245U + 12345U;
	return (g->seed >> 8) % below;
}

/* Cuts a part in two, if it can be. */
static inline void grid_cut(struct grid *g, size_t part, size_t dim)
{
	struct slice_extent *x = &g->parts[part].extents[dim];
	int64_t first;

	if (g->n == GRID_PARTS || x->length < 2)
		return;
	first = 1 + grid_random(g, (unsigned)x->length - 1);
	g->parts[g->n] = g->parts[part];
	g->parts[g->n].extents[dim].start += first;
	g->parts[g->n].extents[dim].length -= first;
	x->length = first;
	g->n++;
}

/* Not only grids: each part is cut on its own. */
static inline struct grid grid_make(unsigned seed)
{
	struct grid g = { .seed = seed, .n = 1 };
	unsigned cuts;

	g.rank = 1 + grid_random(&g, GRID_RANK);
	for (size_t i = 0; i < g.rank; i++) {
		g.dims[i] = 1 + grid_random(&g, 6);
		g.parts[0].extents[i] = (struct slice_extent){ 0, g.dims[i] };
	}
	cuts = grid_random(&g, 30);
	for (unsigned i = 0; i < cuts; i++)
		grid_cut(&g, grid_random(&g, (unsigned)g.n),
			 grid_random(&g, (unsigned)g.rank));
	return g;
}

static inline struct shape grid_shape(const struct grid *g)
{
	return (struct shape){ g->rank, g->dims };
}

static inline uint64_t grid_elements(const struct grid *g)
{
	uint64_t n;

	assert_true(shape_elements(grid_shape(g), &n));
	return n;
}

static inline bool grid_owns(const struct grid *g, size_t part, uint64_t i)
{
	for (size_t d = g->rank; d-- > 0;) {
		const struct slice_extent *x = &g->parts[part].extents[d];
		int64_t at = (int64_t)(i % (uint64_t)g->dims[d]);

		i /= (uint64_t)g->dims[d];
		if (at < x->start || at >= x->start + x->length)
			return false;
	}
	return true;
}

/* The elements of a part in their order, one after another. */
static inline void grid_take(const struct grid *g, size_t part,
			     const uint8_t *whole, size_t item, struct buf *ret)
{
	for (uint64_t i = 0; i < grid_elements(g); i++)
		if (grid_owns(g, part, i))
			buf_put(ret, whole + i * item, item);
}

static inline void grid_fill(struct grid *g, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)grid_random(g, 256);

		buf_put(ret, &byte, 1);
	}
	assert_int_equal(buf_error(ret), 0);
}

/* --- entries --------------------------------------------------------------- */

typedef Tensorflow__TensorSliceProto__Extent extent_proto;

struct slice_proto {
	Tensorflow__TensorSliceProto slice;
	extent_proto extents[GRID_RANK];
	extent_proto *list[GRID_RANK];
};

static inline struct entry *grid_parse(struct span key, const struct proto *p)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct entry *e = NULL;
	const char *reason = "";

	proto_pack(p, &raw);
	if (entry_parse(key, buf_span(&raw), ENTRY_V2, &e, &reason) < 0)
		fail_msg("not parsed: %s", reason);
	return e;
}

/* The entry `v` of a variable in these parts, none of which is attached. */
static inline struct entry *grid_entry(const struct grid *g, int32_t dtype)
{
	struct slice_proto slices[GRID_PARTS];
	Tensorflow__TensorSliceProto *list[GRID_PARTS];
	struct proto p;

	proto_init(&p, dtype, g->rank, g->dims);
	for (size_t i = 0; i < g->n; i++) {
		struct slice_proto *s = &slices[i];

		tensorflow__tensor_slice_proto__init(&s->slice);
		for (size_t d = 0; d < g->rank; d++) {
			extent_proto *x = &s->extents[d];

			tensorflow__tensor_slice_proto__extent__init(x);
			x->start = g->parts[i].extents[d].start;
			x->length = g->parts[i].extents[d].length;
			x->has_length_case =
				TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;
			s->list[d] = x;
		}
		s->slice.n_extent = g->rank;
		s->slice.extent = s->list;
		list[i] = &s->slice;
	}
	p.entry.n_slices = g->n;
	p.entry.slices = list;
	return grid_parse(span_of("v"), &p);
}

/* One of its slices, `n` bytes at `offset` of a shard. */
static inline struct entry *grid_slice(const struct grid *g, size_t part,
				       int32_t dtype, struct shard *s,
				       uint64_t offset, uint64_t n,
				       uint32_t crc32c)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	int64_t dims[GRID_RANK];
	struct proto p;
	struct entry *e;

	for (size_t d = 0; d < g->rank; d++)
		dims[d] = g->parts[part].extents[d].length;
	slice_put_key(span_of("v"), g->parts[part].extents, g->rank, &key);
	proto_init(&p, dtype, g->rank, dims);
	p.entry.offset = (int64_t)offset;
	p.entry.size = (int64_t)n;
	p.entry.crc32c = crc32c_mask(crc32c);
	e = grid_parse(buf_span(&key), &p);
	assert_int_equal(entry_attach(e, s), 0);
	return e;
}
