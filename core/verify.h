/*
 * verify.h - the checksum of a value, from reads in any order
 *
 * Readers come in parallel and out of order, but each part need only be looked at
 * once.  What was seen is a list of ranges with their CRCs; neighbours melt into
 * one; when one range is the whole value, its CRC tells.  Whoever reads at random
 * leaves too many ranges: beyond a bound the shorter one of every two neighbours is
 * forgotten, so memory does not grow with the value.
 *
 * Not locked: the caller keeps two threads from using one at once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"

struct verify;

/* `size` is not 0: there is nothing to add to an empty value, nor to verify. */
int verify_new(uint64_t size, uint32_t crc32c, struct verify **ret);
void verify_free(struct verify *v);
DEFINE_CLEANUP(struct verify, verify_free)

/*
 * Notes that the value has `data` at `offset`, all within its size: 0 while parts
 * are missing, 1 when all were seen and are right, -EIO when all were seen and the
 * sum is wrong; it then starts anew, so that the next full read finds it again.
 */
int verify_add(struct verify *v, uint64_t offset, const void *data, size_t n);
