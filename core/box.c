#include "core/box.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/*
 * One dimension; the last one is of bytes.  Dimensions that are not cut are part of the
 * one before them, so that there are few, and runs are long.
 */
struct side {
	uint64_t start;
	uint64_t length;
	uint64_t dim;
	uint64_t stride; /* bytes of the variable from one to the next */
	uint64_t inner;  /* the same of the slice */
};

struct box {
	uint64_t size;
	size_t n; /* 1 at least */
	struct side sides[];
};

/* --- making --------------------------------------------------------------- */

/* Whether `outer` and `inner` are one dimension, which is then in `inner`. */
static bool melt(const struct side *outer, struct side *inner)
{
	bool whole = inner->start == 0 && inner->length == inner->dim;

	if (!whole && outer->length != 1)
		return false;
	/* Of a whole one the start is 0, of a single row the length is its own. */
	inner->start += outer->start * inner->dim;
	inner->length *= outer->length;
	inner->dim *= outer->dim;
	return true;
}

static void measure(struct box *b)
{
	uint64_t stride = 1, inner = 1;

	for (size_t i = b->n; i-- > 0;) {
		b->sides[i].stride = stride;
		b->sides[i].inner = inner;
		stride *= b->sides[i].dim;
		inner *= b->sides[i].length;
	}
	b->size = inner;
}

static bool too_large(struct shape shape, size_t item)
{
	uint64_t n, bytes;

	return !shape_elements(shape, &n) ||
	       __builtin_mul_overflow(n, (uint64_t)item, &bytes) ||
	       bytes > INT64_MAX;
}

static struct side side_of(struct slice_extent x, uint64_t dim)
{
	if (x.length < 0)
		return (struct side){ .length = dim, .dim = dim };
	return (struct side){
		.start = (uint64_t)x.start,
		.length = (uint64_t)x.length,
		.dim = dim,
	};
}

static bool is_empty(struct shape shape, const struct slice_extent *extents)
{
	for (size_t i = 0; i < shape.rank; i++)
		if (side_of(extents[i], (uint64_t)shape.dims[i]).length == 0)
			return true;
	return false;
}

int box_new(struct shape shape, const struct slice_extent *extents, size_t item,
	    struct box **ret)
{
	struct box *b;
	size_t n = 0;

	if (too_large(shape, item))
		return -EIO;
	b = calloc(1, sizeof(*b) + (shape.rank + 1) * sizeof(struct side));
	if (!b)
		return -ENOMEM;
	*ret = b;
	b->n = 1;
	if (is_empty(shape, extents))
		return 0;
	for (size_t i = 0; i <= shape.rank; i++) {
		struct side side =
			i == shape.rank
				? (struct side){ .length = item, .dim = item }
				: side_of(extents[i], (uint64_t)shape.dims[i]);

		while (n > 0 && melt(&b->sides[n - 1], &side))
			n--;
		b->sides[n++] = side;
	}
	b->n = n;
	measure(b);
	return 0;
}

void box_free(struct box *b)
{
	free(b);
}

/* --- asking --------------------------------------------------------------- */

uint64_t box_size(const struct box *b)
{
	return b->size;
}

uint64_t box_first(const struct box *b)
{
	uint64_t whole = 0;

	for (size_t i = 0; b->size > 0 && i < b->n; i++)
		whole += b->sides[i].start * b->sides[i].stride;
	return whole;
}

uint64_t box_end(const struct box *b)
{
	uint64_t last = 0;

	if (b->size == 0)
		return 0;
	for (size_t i = 0; i < b->n; i++)
		last += (b->sides[i].start + b->sides[i].length - 1) *
			b->sides[i].stride;
	return last + 1;
}

uint64_t box_before(const struct box *b, uint64_t whole)
{
	uint64_t n = 0;

	if (b->size == 0)
		return 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct side *s = &b->sides[i];
		uint64_t row = whole / s->stride;

		whole %= s->stride;
		if (row < s->start)
			return n;
		if (row >= s->start + s->length)
			return n + s->length * s->inner;
		n += (row - s->start) * s->inner;
	}
	return n;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

struct run box_run(const struct box *b, uint64_t at, uint64_t n)
{
	const struct side *last = &b->sides[b->n - 1];
	struct run run = { .rows = 1, .stride = 0 };
	uint64_t rows = 1; /* that are left of the dimension before the last */

	for (size_t i = 0; i + 1 < b->n; i++) {
		const struct side *s = &b->sides[i];

		rows = s->length - at / s->inner;
		run.whole += (s->start + at / s->inner) * s->stride;
		run.stride = s->stride;
		at %= s->inner;
	}
	run.whole += last->start + at;
	run.n = smaller(last->length - at, n);
	if (at == 0 && run.n == last->length)
		run.rows = smaller(rows, n / run.n);
	return run;
}

/* --- copying -------------------------------------------------------------- */

void box_scatter(const struct box *b, uint64_t at, uint64_t n,
		 const uint8_t *slice, uint8_t *variable, uint64_t whole)
{
	while (n > 0) {
		struct run run = box_run(b, at, n);
		uint8_t *to = variable + (run.whole - whole);

		for (uint64_t i = 0; i < run.rows; i++, slice += run.n)
			memcpy(to + i * run.stride, slice, run.n);
		at += run.n * run.rows;
		n -= run.n * run.rows;
	}
}

void box_gather(const struct box *b, uint64_t at, uint64_t n, uint8_t *slice,
		const uint8_t *variable, uint64_t whole)
{
	while (n > 0) {
		struct run run = box_run(b, at, n);
		const uint8_t *from = variable + (run.whole - whole);

		for (uint64_t i = 0; i < run.rows; i++, slice += run.n)
			memcpy(slice, from + i * run.stride, run.n);
		at += run.n * run.rows;
		n -= run.n * run.rows;
	}
}
