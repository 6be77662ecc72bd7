/*
 * partition.h - the slices that an entry lists
 *
 * A partitioned variable is an entry without bytes that lists its slices: for each a
 * start and a length in every dimension.  (Source: TensorFlow's tensor_slice.proto and
 * tensor_slice.cc; checked against 2.21.)
 */
#pragma once

#include <stddef.h>

#include "core/shape.h"
#include "core/slice.h"
#include "proto/tensor_bundle.pb-c.h"

/*
 * What makes TensorFlow abort, or refuse all of the variable: slices that overlap, or are
 * not within its shape; NULL if there is nothing of the kind.  It takes a bounded time.
 */
const char *partition_check(const Tensorflow__BundleEntryProto *p);

/*
 * Calls `each` with the extents of every slice, in their order: as many as the variable has
 * dimensions, and none that reaches beyond them.
 */
int partition_each(struct span raw,
		   int (*each)(void *arg, size_t i,
			       const struct slice_extent *extents, size_t rank),
		   void *arg);
