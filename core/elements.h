/*
 * elements.h - tensors whose elements vary in length: strings and variants
 *
 * How strings lie in a shard is drawn in strings.h.  Of variants it is, for each element,
 *
 *	SIZE	CONTENT
 *	...	a varint: the length
 *	length	a VariantTensorDataProto, which only TensorFlow understands
 *	4	masked CRC so far
 *
 * where the CRC, which goes on from element to element, covers the length as an integer
 * of 8 bytes, the bytes, and then the 4 stored ones.  The entry has the last one.  (Source:
 * TensorFlow's tensor_bundle.cc, WriteVariantTensor; checked against 2.21.)  In a
 * big-endian bundle the stored checksums and the integers under them are big-endian.
 *
 * A tensor is looked through, and then is a list of places; of such lists, in any order
 * and from several tensors, another one is written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

/* Where a tensor lies, and what is said of it. */
struct elements_source {
	/* As io_read_at(); where it is NULL the bytes are in `fd`, from `offset` on. */
	int (*read)(void *arg, void *buf, size_t n, uint64_t at);
	void *arg;
	int fd;
	uint64_t offset;
	uint64_t size;
	uint64_t elements;
	int32_t dtype;
	bool big_endian;
	bool verify; /* whether wrong checksums are an error */
	bool exact;  /* whether bytes that follow the last element are one */
	uint32_t crc32c;
	const char *name; /* for messages; NULL for none */
};

struct element {
	const struct elements_source *source;
	uint64_t at; /* of `source` */
	uint64_t length;
};

struct elements {
	struct element *at;
	uint64_t n;
};

int elements_alloc(struct elements *e, uint64_t n);
void elements_release(struct elements *e);

/*
 * Finds all elements of a source, which outlives them; with `verify` it is read to its
 * end.  -EIO after a log line.
 */
int elements_scan(const struct elements_source *source, struct elements *ret);
/* The same for who only wants to know, and what the checksum is; without a log line. */
int elements_check(const struct elements_source *source, uint32_t *ret_crc32c);

/* Bytes that such a tensor takes. */
uint64_t elements_size(const struct elements *e, int32_t dtype);
/* Writes it, piece by piece, in the byte order that is asked for; its checksum. */
int elements_write(const struct elements *e, int32_t dtype, bool big_endian,
		   int (*put)(void *arg, const void *data, size_t n), void *arg,
		   uint32_t *ret_crc32c);
/* Into an empty file, little-endian. */
int elements_spool(const struct elements *e, int32_t dtype, int fd,
		   uint64_t *ret_size, uint32_t *ret_crc32c);
