/*
 * compact_layout.h - where each value of a checkpoint goes when it is written anew
 *
 * Values stay in the shards that they are in.  Those of shards beyond num_shards, which
 * weightfs makes and TensorFlow does not, go to the last one before them; shards that
 * then have no value go, and the others are numbered from 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bundle.h"

struct compact_value {
	const struct entry *entry; /* borrowed from the bundle */
	size_t variable; /* in the bundle: itself, or what it is a slice of */
	int32_t shard;   /* where it goes */
};

struct compact_layout {
	struct compact_value *values; /* in the order in which they are written */
	size_t n;
	int32_t num_shards; /* at least 1 */
	uint64_t bytes;
};

/*
 * Sorted by key, the slices of a partitioned variable at its key and as it lists them; or
 * as they lie on disk.  -EIO after a log line where a slice is missing.
 */
int compact_layout_make(const struct bundle *b, bool by_offset,
			struct compact_layout *ret);
void compact_layout_release(struct compact_layout *l);

/*
 * For each variable of the bundle the first shard that has a part of it, to be freed: that
 * is what TensorFlow has the entry of a partitioned one say.  NULL without memory.
 */
int32_t *compact_layout_first_shards(const struct compact_layout *l,
				     const struct bundle *b);

/* Whether every value is already where it goes, with nothing before, between or after. */
bool compact_layout_done(const struct compact_layout *l,
			 const struct bundle *b);
