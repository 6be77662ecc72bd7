/*
 * unpack.h - snappy data, unpacked from one file to another
 *
 * libsnappy wants both ends in memory; a block of a V1 file may have 4 GiB.  Here it
 * goes through a buffer.
 *
 *	varint		length of what it unpacks to
 *	elements	the low two bits of the first byte tell the kind:
 *	  00		literal: length - 1 in the upper six bits if below 60, else in
 *			as many bytes as it is above 59; then the bytes
 *	  01		copy: length - 4 in three bits, distance in 3 + 8 bits
 *	  10, 11	copy: length - 1 in six bits, distance in 2 or 4 bytes
 *
 * A copy repeats what was unpacked `distance` bytes ago, and may overlap itself.
 * (Source: snappy's format_description.txt; checked against libsnappy.)
 */
#pragma once

#include <stdint.h>

#include "core/stream.h"

/*
 * No snappy data unpacks to more: three bytes make at most 64.  So a file cannot ask
 * for much more room than it takes up itself.
 */
#define SNAPPY_EXPANSION_MAX 32
#define SNAPPY_SLACK         64

/*
 * All of `in` into `fd`, from its beginning.  -EBADMSG where that is no snappy data, or
 * says that it is of more than `max` bytes; the negative errno of a read or write.
 */
int unpack_stream(struct stream *in, int fd, uint64_t max, uint64_t *ret_size);
