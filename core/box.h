/*
 * box.h - where the bytes of a slice lie within its variable
 *
 * Both are in C order, so a slice is a number of runs of bytes that are neighbours in
 * the variable too, and the bytes of the slice within any range of the variable are a
 * range of the slice.  That holds for any rank and for any number of dimensions that are cut.
 *
 * `whole` is an offset in the variable, `at` one in the slice, both in bytes.  (Or in
 * whatever a box was made for: `item` is how many an element takes.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/shape.h"
#include "core/slice.h"

struct box;

/*
 * The slice is within the shape.  -EIO where that many elements are more bytes than any
 * file has.
 */
int box_new(struct shape shape, const struct slice_extent *extents, size_t item,
	    struct box **ret);
void box_free(struct box *b);
DEFINE_CLEANUP(struct box, box_free)

uint64_t box_size(const struct box *b);
/* Where it begins in the variable, and where its last byte ends; 0, 0 of an empty one. */
uint64_t box_first(const struct box *b);
uint64_t box_end(const struct box *b);

/* How many bytes of the slice lie before `whole`. */
uint64_t box_before(const struct box *b, uint64_t whole);

/* `rows` runs of `n` bytes, neighbours in the slice, and `stride` apart in the variable. */
struct run {
	uint64_t whole;
	uint64_t n;
	uint64_t rows;
	uint64_t stride;
};
/* The first runs of the `n` bytes from `at` on. */
struct run box_run(const struct box *b, uint64_t at, uint64_t n);

/*
 * Copies the `n` bytes from `at` on between the slice and the variable: `slice` is their
 * first, `variable` the one at `whole` of it.
 */
void box_scatter(const struct box *b, uint64_t at, uint64_t n,
		 const uint8_t *slice, uint8_t *variable, uint64_t whole);
void box_gather(const struct box *b, uint64_t at, uint64_t n, uint8_t *slice,
		const uint8_t *variable, uint64_t whole);
