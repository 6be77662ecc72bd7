#include "core/v1_proto.h"

#include <errno.h>
#include <stdbool.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/shape.h"
#include "core/slice.h"
#include "proto/tensor_bundle.pb-c.h"

/* The highest number a protobuf field may have. */
#define FIELD_MAX ((UINT64_C(1) << 29) - 1)

/* An extent is two numbers and their tags; 254 of them are far below this. */
#define SLICE_MAX (UINT64_C(64) << 10)

enum {
	SLICES_DATA = 2,
	SLICE_NAME = 1,
	SLICE_SLICE = 2,
	SLICE_DATA = 3
};

static int get_fixed(struct stream *s, size_t n, uint64_t *ret)
{
	uint8_t bytes[sizeof(uint64_t)] = { 0 };
	struct span all = { bytes, sizeof(bytes) };
	int r = stream_read(s, bytes, n);

	if (r == 0)
		(void)span_get_fixed64(&all, ret);
	return r;
}

int field_next(struct stream *s, struct field *ret)
{
	uint64_t tag;
	int r;

	if (stream_left(s) == 0)
		return 0;
	r = stream_get_varint(s, &tag);
	if (r < 0)
		return r;
	ret->number = tag >> 3;
	ret->wire = tag & 7;
	if (ret->number == 0 || ret->number > FIELD_MAX)
		return -EBADMSG;
	switch (ret->wire) {
	case WIRE_FIXED32:
		r = get_fixed(s, sizeof(uint32_t), &ret->value);
		break;
	case WIRE_FIXED64:
		r = get_fixed(s, sizeof(uint64_t), &ret->value);
		break;
	case WIRE_VARINT:
	case WIRE_LENGTH:
		r = stream_get_varint(s, &ret->value);
		break;
	default:
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	return ret->wire == WIRE_LENGTH && ret->value > stream_left(s)
		       ? -EBADMSG
		       : 1;
}

int field_skip(struct stream *s, const struct field *f)
{
	return f->wire == WIRE_LENGTH ? stream_skip(s, f->value) : 0;
}

/* The one field of this number; a stretch of no bytes where there is none. */
static int find_one(int fd, struct stretch message, uint64_t number,
		    struct stretch *ret)
{
	bool found = false;
	struct stream s;
	struct field f;
	int r;

	*ret = (struct stretch){ message.offset, 0 };
	stream_init(&s, fd, message.offset, message.size);
	while ((r = field_next(&s, &f)) > 0) {
		if (f.number == number && f.wire == WIRE_LENGTH) {
			if (found)
				return -EBADMSG;
			found = true;
			*ret = (struct stretch){ stream_offset(&s), f.value };
		}
		r = field_skip(&s, &f);
		if (r < 0)
			return r;
	}
	return r;
}

static int read_stretch(int fd, struct stretch at, struct buf *out)
{
	buf_put_zeros(out, at.size);
	if (buf_error(out))
		return buf_error(out);
	return io_read_at(fd, out->data, out->len, at.offset);
}

/* Appends what `slice` says; its bytes are a serialized TensorSliceProto. */
static int put_key(struct span name, struct span slice, struct buf *out)
{
	Tensorflow__TensorSliceProto *p =
		tensorflow__tensor_slice_proto__unpack(NULL, slice.len,
						       slice.data);
	struct slice_extent extents[SHAPE_MAX_RANK];
	size_t n = p ? p->n_extent : 0;
	bool fits = p && n <= SHAPE_MAX_RANK;

	for (size_t i = 0; fits && i < n; i++) {
		const Tensorflow__TensorSliceProto__Extent *x = p->extent[i];

		extents[i] = (struct slice_extent){ 0, -1 };
		if (x->has_length_case ==
		    TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH)
			extents[i] = (struct slice_extent){ x->start,
							    x->length };
	}
	if (fits)
		slice_put_key(name, extents, n, out);
	if (p)
		tensorflow__tensor_slice_proto__free_unpacked(p, NULL);
	return fits ? buf_error(out) : -EBADMSG;
}

/* Whether name and slice of a SavedSlice are those of the key that led to it. */
static int check_key(int fd, struct stretch saved, struct span key)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(buf_release) struct buf slice = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };
	struct stretch at;
	int r = find_one(fd, saved, SLICE_NAME, &at);

	if (r == 0 && at.size > key.len)
		return -ENOKEY;
	if (r == 0)
		r = read_stretch(fd, at, &name);
	if (r == 0)
		r = find_one(fd, saved, SLICE_SLICE, &at);
	if (r == 0 && at.size > SLICE_MAX)
		return -EBADMSG;
	if (r == 0)
		r = read_stretch(fd, at, &slice);
	if (r == 0)
		r = put_key(buf_span(&name), buf_span(&slice), &found);
	if (r < 0)
		return r;
	return span_equal(buf_span(&found), key) ? 0 : -ENOKEY;
}

int v1_proto_find(int fd, struct stretch record, struct span key,
		  struct stretch *ret)
{
	struct stretch saved;
	int r = find_one(fd, record, SLICES_DATA, &saved);

	if (r == 0)
		r = check_key(fd, saved, key);
	return r < 0 ? r : find_one(fd, saved, SLICE_DATA, ret);
}
