/*
 * shape.h - the shape of a tensor: in bytes, in text
 *
 * A shape is a view: whoever made it keeps the dimensions alive.  TensorFlow aborts
 * the process on a shape of more than 254 dimensions, or one whose partial
 * products, from the left, reach 2^63, even beside a 0; so none is ever written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

/* TensorShape::MaxDimensions(). */
#define SHAPE_MAX_RANK 254

struct shape {
	size_t rank;
	const int64_t *dims; /* `rank` of them */
};

/*
 * The number of elements.  False where TensorFlow would abort: a negative
 * dimension, too many of them, or a partial product that reaches 2^63.
 */
bool shape_elements(struct shape shape, uint64_t *ret);
bool shape_equal(struct shape a, struct shape b);

/* `[784, 10]` and a newline; `[]` for a scalar.  JSON and Python read it. */
void shape_print(struct shape shape, struct buf *out);

/*
 * Reads `[784, 10]`, `(784, 10)`, `(784,)`, `784,10`, `784 10`, `[]`, `()`, with
 * white space around, into `dims`.  One dimension may be -1, to be worked out by
 * shape_resolve(); beside a 0 it may not.  False for anything else and for what
 * shape_elements() refuses; what `dims` then holds means nothing.
 */
bool shape_parse(struct span text, int64_t dims[SHAPE_MAX_RANK],
		 struct shape *ret);

/*
 * Replaces the -1 in `dims`, if there is one, by what makes `elements` of them;
 * false where nothing does.
 */
bool shape_resolve(int64_t *dims, size_t rank, uint64_t elements);
