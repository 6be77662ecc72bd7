/*
 * strings.h - string tensors as text
 *
 * In a shard, a string tensor of n elements is
 *
 *	SIZE	CONTENT
 *	...	n varints: the lengths
 *	4	masked CRC over the lengths, each as a little-endian integer of
 *		4 bytes, or of 8 where it exceeds 2^32 - 1
 *	...	the bytes of all elements, with nothing between them
 *
 * and the entry's CRC goes on from that one: over its 4 stored bytes, then over
 * all bytes of the elements.  (Source: TensorFlow's tensor_bundle.cc,
 * WriteStringTensor; checked against 2.21.)
 *
 * As a file, a scalar is its bytes.  Anything else is a line for each element,
 * newline and backslash escaped by a backslash, each line ended by a newline.
 *
 * The text is made as it is read: opening scans the tensor once, checks it, and
 * remembers a place every so often, so memory stays a small part of its size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/cleanup.h"
#include "core/coding.h"

struct strings;

/* Where the tensor lies.  `fd` is borrowed and must outlive the strings. */
struct strings_source {
	int fd;
	uint64_t offset;
	uint64_t size;
	uint64_t elements;
	uint32_t crc32c; /* as the entry has it, unmasked */
	bool scalar;
	bool verify;      /* whether a wrong checksum is an error */
	const char *name; /* of the file, for messages; used while opening only */
};

/*
 * -EIO after a log line where the tensor is damaged or cannot be read.  Bytes that
 * follow the elements within `size` are no damage: TensorFlow accepts them.
 */
int strings_open(const struct strings_source *source, struct strings **ret);
void strings_free(struct strings *s);
DEFINE_CLEANUP(struct strings, strings_free)

/* The length of the text in bytes. */
uint64_t strings_size(const struct strings *s);

/*
 * Up to `n` bytes of text from `offset`, fewer only at its end: their number, or
 * negative errno, which nobody has logged: -EIO too where the tensor is no longer
 * the one that was opened.  Any number of threads may read at once.
 */
ssize_t strings_read(const struct strings *s, void *buf, size_t n,
		     uint64_t offset);

/*
 * The other way: appends to `out` what a shard holds for `text`, and gives the
 * checksum of the entry, unmasked.  -EINVAL where `text` is not `elements`
 * elements, or holds an escape that is none.
 */
int strings_encode(struct span text, uint64_t elements, bool scalar,
		   struct buf *out, uint32_t *ret_crc32c);
