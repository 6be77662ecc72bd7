/*
 * block_scan.h - one value in a block that is not held in memory
 *
 * The blocks of a V1 file hold tensors, so one may be of 4 GiB.  These read it
 * through a buffer.  block.h has the format.
 */
#pragma once

#include <stdint.h>

#include "core/coding.h"

/* Where bytes lie in a file. */
struct stretch {
	uint64_t offset;
	uint64_t size;
};

/*
 * Checks the checksum of the stored block that lies at `at`, trailer not counted in,
 * and tells its type: 0 raw, 1 snappy.  -EIO where it is wrong, and `ret_fault` is a
 * phrase for the log line; negative errno of a read, with a phrase too.
 */
int block_check(int fd, struct stretch at, uint8_t *ret_type,
		const char **ret_fault);

/*
 * The value of `key`, or the first of them, in the contents that lie unpacked at `at`:
 * 1, or 0 if it is not there.  Errors as above.
 */
int block_scan(int fd, struct stretch at, struct span key, struct stretch *ret,
	       const char **ret_fault);
