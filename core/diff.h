/*
 * diff.h - what differs between two checkpoints, of whatever formats
 *
 * Variables are the same where key, dtype, shape and value are.  Values are compared by
 * the checksums of the indexes where both have comparable ones: two V2 values, or slices
 * of one partition, in one byte order.  Where they have not (partitioned against plain,
 * big against little-endian, V1), both are read.
 */
#pragma once

#include <stdint.h>

#include "core/bundle.h"
#include "core/entry.h"

enum difference {
	DIFFERENCE_ADDED,   /* only in the second */
	DIFFERENCE_REMOVED, /* only in the first */
	DIFFERENCE_RETYPED, /* another dtype, and perhaps shape */
	DIFFERENCE_RESHAPED,
	DIFFERENCE_CHANGED,
	DIFFERENCE_UNKNOWN, /* one of the values cannot be read: see the log */
};

struct diff_result {
	uint64_t different; /* variables */
	uint64_t unknown;
};

/*
 * Calls `each` with every difference, sorted by key; of what was added or removed one of
 * the entries is NULL.  0, or -ENOMEM.
 */
typedef void diff_each(enum difference what, const struct entry *a,
		       const struct entry *b);
int diff_bundles(const struct bundle *a, const struct bundle *b,
		 diff_each *each, struct diff_result *ret);
