/*
 * convert.h - write the tensors of a checkpoint as one of another format
 *
 * V2 is what TensorFlow's SaveV2 writes for the same tensors, sorted by key, in one shard;
 * V1 what its V1 Saver writes, in one file.  Partitioned variables stay so, big-endian
 * values become little-endian ones.  The source is only read.
 */
#pragma once

#include <stdbool.h>

#include "core/bundle.h"

/* A file, made, synced and named; nothing that is there is ever written over. */
struct convert_target {
	int dirfd;
	const char *prefix;
	bool v1;
};

/*
 * 0; -EEXIST where there is such a checkpoint, or a part of one; -EOPNOTSUPP where the
 * format cannot hold it, after a line in the log for every variable that it cannot; -EIO
 * where one cannot be read; and what the disk says; all after a line in the log.
 */
int convert_checkpoint(const struct bundle *source,
		       const struct convert_target *to);
