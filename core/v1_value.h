/*
 * v1_value.h - the values of a V1 checkpoint
 *
 * A record is a SavedTensorSlices message with the name, the slice and a TensorProto
 * (v1_proto.h, v1_decode.h).  Nothing here holds a record in memory: blocks are checked
 * and messages decoded as they are read.  (Source: TensorFlow's
 * saved_tensor_slice_util.h and tensor_slice_reader.cc; checked against 2.21.)
 *
 * A value is counted.  Floats lie in the V1 file as they are; anything else is decoded
 * into a file without a name, which goes with the last who holds the value.  The latest
 * of these are kept for the next who asks (v1_cache.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/v1_record.h"

struct v1_value;

/*
 * The value of a record as a V2 shard would have it: little-endian, nothing between
 * the elements, strings as in strings.h.  `name` is what messages call it.
 * -EOPNOTSUPP where V1 has no such dtype; -EIO after a log line where the record is
 * missing or damaged, or is not what the list says; then only this value suffers.
 */
int v1_value_open(struct v1_record *r, const char *name, struct v1_value **ret);
struct v1_value *v1_value_ref(struct v1_value *v);
void v1_value_unref(struct v1_value *v);
DEFINE_CLEANUP(struct v1_value, v1_value_unref)

/* Where its bytes lie; the value keeps the descriptor, which is for reading. */
int v1_value_fd(const struct v1_value *v);
uint64_t v1_value_offset(const struct v1_value *v);
uint64_t v1_value_size(const struct v1_value *v);
/* Whether that is a file of its own: not to be held longer than it is read. */
bool v1_value_spooled(const struct v1_value *v);

/*
 * For the writer: the serialized TensorProto of a record as it lies on disk, its block
 * checked, itself not decoded; in `*ret_fd`, which is to be closed.  It has neither name
 * nor slice in it, so it can be copied into a record of another name or shape, if the
 * dtype is v1_record_dtype().
 */
int v1_value_proto(struct v1_record *r, const char *name, int *ret_fd,
		   uint64_t *ret_offset, uint64_t *ret_size);
