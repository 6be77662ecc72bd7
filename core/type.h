/*
 * type.h - dtype and shape, as far as they are known
 *
 * A tensor on disk has both.  What is written through a mount gets them one after
 * the other, from sidecars, from attributes, from what had the name before: a type
 * is what is known so far, and says whether a number of bytes fits it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"
#include "core/shape.h"

/* All zeroes: nothing is known. */
struct type {
	int32_t dtype; /* DT_INVALID: not known */
	bool has_shape;
	size_t rank;
	int64_t *dims; /* `rank` of them, owned; one may be -1 */
};

void type_release(struct type *t);
int type_copy(const struct type *from, struct type *ret);
int type_from(int32_t dtype, struct shape shape, struct type *ret);

bool type_complete(const struct type *t);
bool type_empty(const struct type *t);
/* Borrowed from `t`. */
struct shape type_shape(const struct type *t);
bool type_equal(const struct type *a, const struct type *b);

/* Reads the text of a sidecar: -EINVAL, and `t` as it was, if it is none. */
int type_read_dtype(struct type *t, struct span text);
int type_read_shape(struct type *t, struct span text);

/* Fills in from `from` what `t` does not know. */
int type_complete_from(struct type *t, const struct type *from);

/*
 * Whether `n` bytes are a value of this dtype and shape, both known and the dtype of
 * fixed size; -1 is then replaced by what makes them one.
 */
bool type_fits(struct type *t, uint64_t n);
/* Its bytes, where that can be said: a dtype of fixed size, and no -1. */
bool type_size(const struct type *t, uint64_t *ret);
