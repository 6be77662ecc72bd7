/*
 * v1_decode.h - the elements of a V1 tensor as a V2 shard has them
 *
 * A V1 file has a tensor as a TensorProto with the list of its type, and nothing else:
 *
 *	float32, complex64		5, 9	fixed32
 *	float64, complex128		6, 12	fixed64
 *	int8 .. int32, uint8, uint16,
 *	qint8, quint8, qint32		7	varint
 *	string				8	bytes
 *	int64, bool, float16		10 11 13 varint
 *
 * Lists are packed, though no reader insists on it.  Varints are of 64 bits, negative
 * ones of all ten bytes; of those that do not fit, the low bits count, as TensorFlow has
 * it.  A `tensor_content`, shape or dtype in the message means nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/block_scan.h"

/* Whether a V1 checkpoint can hold tensors of this dtype. */
bool v1_dtype(int32_t dtype);

/* A TensorProto in a file, and what it is to hold. */
struct v1_tensor {
	int fd;
	struct stretch proto;
	int32_t dtype; /* v1_dtype() */
	uint64_t elements;
};

/*
 * Whether the file has the elements just as they are, all in one place: 1 and where,
 * or 0.  -EBADMSG where the message does not parse; the negative errno of a read.
 */
int v1_in_place(const struct v1_tensor *t, struct stretch *ret);

/*
 * Writes them to `fd`, from its beginning.  -EBADMSG as above; -ERANGE where they are not
 * as many as asked for; the negative errno of a read or write.
 */
int v1_decode(const struct v1_tensor *t, int fd, uint64_t *ret_size);
