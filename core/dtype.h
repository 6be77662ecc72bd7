/*
 * dtype.h - the types of tensors
 *
 * Values are those of TensorFlow's DataType (types.proto).  A dtype that comes
 * from a file is any int32: ask dtype_known() first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

enum dtype {
	DT_INVALID = 0,
	DT_FLOAT = 1,
	DT_DOUBLE = 2,
	DT_INT32 = 3,
	DT_UINT8 = 4,
	DT_INT16 = 5,
	DT_INT8 = 6,
	DT_STRING = 7,
	DT_COMPLEX64 = 8,
	DT_INT64 = 9,
	DT_BOOL = 10,
	DT_QINT8 = 11,
	DT_QUINT8 = 12,
	DT_QINT32 = 13,
	DT_BFLOAT16 = 14,
	DT_QINT16 = 15,
	DT_QUINT16 = 16,
	DT_UINT16 = 17,
	DT_COMPLEX128 = 18,
	DT_HALF = 19,
	DT_RESOURCE = 20,
	DT_VARIANT = 21,
	DT_UINT32 = 22,
	DT_UINT64 = 23,
	DT_FLOAT8_E5M2 = 24,
	DT_FLOAT8_E4M3FN = 25,
	DT_FLOAT8_E4M3FNUZ = 26,
	DT_FLOAT8_E4M3B11FNUZ = 27,
	DT_FLOAT8_E5M2FNUZ = 28,
	DT_INT4 = 29,
	DT_UINT4 = 30,
	DT_INT2 = 31,
	DT_UINT2 = 32,
	DT_FLOAT4_E2M1FN = 33,
};

/* False for 0, resource, references (100 and above) and what is newer than us. */
bool dtype_known(int32_t dtype);

/* Whether TensorFlow reads it from shards of the other byte order. */
bool dtype_swaps(int32_t dtype);

/* TensorFlow's name, `float32` or `string`; NULL where dtype_known() is false. */
const char *dtype_name(int32_t dtype);

/*
 * Bytes an element takes in a V2 data file and in ours: 4-bit and 2-bit types take
 * a whole one.  0 for string and variant, whose elements vary, and the unknown.
 */
size_t dtype_size(int32_t dtype);

/*
 * Takes TensorFlow's name in any case, numpy's (`<f4`, `f4`, `half`; `i4` is
 * int32), the enum's (`DT_FLOAT`), with or without white space around it.  False
 * for anything else, for bare `float` and `int`, which programs do not agree on,
 * and for big-endian, reference, resource and variant types.
 */
bool dtype_parse(struct span text, enum dtype *ret);
/* Whether it is the name of the variant type. */
bool dtype_is_variant(struct span text);
