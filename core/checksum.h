/*
 * checksum.h - the checksum of a value as it lies in a file, whatever its dtype
 *
 * That of numbers is over their bytes.  Strings (strings.h) and variants have rules of
 * their own, and checksums inside, which are checked on the way: a variant tensor of n
 * elements is, n times,
 *
 *	SIZE	CONTENT
 *	varint	length
 *	...	a VariantTensorDataProto
 *	4	masked CRC, never begun anew, over all before it: each length as an
 *		integer of 8 bytes, the protos, and the CRCs as they are stored
 *
 * and the entry's CRC is the last of these, gone on over its own 4 stored bytes.  In a
 * shard of a big-endian machine the lengths and CRCs of strings are big-endian too.
 * (Source: TensorFlow's tensor_bundle.cc; checked against 2.21.)
 *
 * The value is read once, from front to back, in pieces of CHECKSUM_CHUNK.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CHECKSUM_CHUNK (1U << 20)

struct checksum_source {
	int fd;
	uint64_t offset;
	uint64_t size;
	uint64_t elements;
	int32_t dtype;
	bool big_endian;
	/* Called now and then with how many bytes were read since; may be NULL. */
	void (*passed)(void *arg, uint64_t n);
	void *arg;
};

/*
 * 0, the checksum, unmasked, and how many bytes the value takes, which are fewer than
 * `size` where something follows it.  -EBADMSG where the bytes are no such value, with the
 * reason; else what the disk says.
 */
int checksum_value(const struct checksum_source *s, uint32_t *ret_crc32c,
		   uint64_t *ret_used, const char **ret_reason);
