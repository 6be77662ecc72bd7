/*
 * v1_encode.h - a value as the TensorProto of a V1 checkpoint
 *
 * Nothing but the list of its type, and nothing at all where that is empty:
 *
 *	DTYPE				FIELD	CONTENT
 *	float32, float64		5, 6	packed, as they are
 *	complex64, complex128		9, 12	packed: real, imaginary
 *	int8, int16, int32, qint8, qint32	7	packed varints, of 10 bytes where negative
 *	uint8, uint16, quint8		7	packed varints
 *	int64				10	packed varints
 *	bool				11	packed varints, 0 or 1
 *	float16				13	packed varints of its 16 bits
 *	string				8	one field for each element
 *
 * (Source: TensorFlow's saved_tensor_slice_util.h; checked against 2.21.)
 */
#pragma once

#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct table_writer;
struct v1_encoder;

/*
 * How many bytes an element takes at most, as TensorFlow counts; of a string without its
 * own.  0 for a dtype that V1 does not have.
 */
uint64_t v1_encode_most(int32_t dtype);

/*
 * Measures the value of `e`, which is not partitioned and which `label` names in messages.
 * -EIO after a log line where it cannot be read.
 */
int v1_encoder_new(struct entry *e, const char *label, struct v1_encoder **ret);
void v1_encoder_free(struct v1_encoder *e);
DEFINE_CLEANUP(struct v1_encoder, v1_encoder_free)

/* How long the message is. */
uint64_t v1_encoder_size(const struct v1_encoder *e);
/* Puts it, all of it or an error: in parts, so memory is a few chunks. */
int v1_encode(struct v1_encoder *e, struct table_writer *w);
