/*
 * v1_proto.h - the messages of a V1 file, read from where they lie
 *
 * A record may be of 2 GiB, so its messages are walked through in the file.  What
 * protobuf would merge (a message that stands there twice) is refused: no writer
 * makes it.
 *
 *	SavedTensorSlices	2 SavedSlice data
 *	SavedSlice		1 string name, 2 TensorSliceProto slice, 3 TensorProto data
 */
#pragma once

#include <stdint.h>

#include "core/block_scan.h"
#include "core/stream.h"

enum wire {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_LENGTH = 2,
	WIRE_FIXED32 = 5
};

struct field {
	uint64_t number;
	enum wire wire;
	uint64_t value; /* of WIRE_LENGTH: how many bytes follow */
};

/*
 * The next field of a message: 1, or 0 at its end.  The bytes of WIRE_LENGTH come next in
 * the stream, and are all there; they are the caller's to take or skip.  -EBADMSG, and
 * errors of the stream.
 */
int field_next(struct stream *s, struct field *ret);
/* Skips the bytes that come next, if there are any. */
int field_skip(struct stream *s, const struct field *f);

/*
 * The TensorProto of a record; an absent one is empty.  -EBADMSG where the record does
 * not parse; -ENOKEY where it is that of another key.
 */
int v1_proto_find(int fd, struct stretch record, struct span key,
		  struct stretch *ret);
