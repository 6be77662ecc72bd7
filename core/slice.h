/*
 * slice.h - the keys of partitioned variables
 *
 * A variable that was saved in parts has one entry under its name, with the list
 * of its slices and no bytes, and one entry for each slice under a key that packs
 * name and extents in an order-preserving code.  Such keys begin with a NUL byte,
 * so they sort before all ordinary names.
 *
 *	NUM(0) STR(name) NUM(ndims), then SNUM(start) SNUM(length) per dimension
 *
 *	NUM(v)	one byte n, then the n significant bytes of v, big-endian
 *	STR(s)	00 as 00 ff, ff as ff 00, other bytes as they are; then 00 01
 *	SNUM(v)	a signed varint of 1 to 10 bytes whose byte order is its order
 *
 * An extent without a length covers the dimension and is coded as 0, -1.
 * (Source: tensorflow/core/util/saved_tensor_slice_util.cc and
 * lib/strings/ordered_code.cc; checked against 2.21.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

/* One dimension of a slice; `length` is -1 where the whole dimension is meant. */
struct slice_extent {
	int64_t start;
	int64_t length;
};

/* Appends the key of the slice of `name` with these `n` extents. */
void slice_put_key(struct span name, const struct slice_extent *extents,
		   size_t n, struct buf *out);

/* The extents as TensorFlow writes them in a slice specification, `0,10:-`; appended. */
void slice_print(const struct slice_extent *extents, size_t n, struct buf *out);
