#include "core/v1_decode.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/v1_proto.h"

/* How a TensorProto has the elements of a dtype. */
struct kind {
	uint8_t field;
	uint8_t wire;
	uint8_t numbers; /* of one element; 0 where the dtype is not for V1 */
};

static const struct kind kinds[] = {
	[DT_FLOAT] = { 5, WIRE_FIXED32, 1 },
	[DT_DOUBLE] = { 6, WIRE_FIXED64, 1 },
	[DT_INT32] = { 7, WIRE_VARINT, 1 },
	[DT_UINT8] = { 7, WIRE_VARINT, 1 },
	[DT_INT16] = { 7, WIRE_VARINT, 1 },
	[DT_INT8] = { 7, WIRE_VARINT, 1 },
	[DT_STRING] = { 8, WIRE_LENGTH, 1 },
	[DT_COMPLEX64] = { 9, WIRE_FIXED32, 2 },
	[DT_INT64] = { 10, WIRE_VARINT, 1 },
	[DT_BOOL] = { 11, WIRE_VARINT, 1 },
	[DT_QINT8] = { 7, WIRE_VARINT, 1 },
	[DT_QUINT8] = { 7, WIRE_VARINT, 1 },
	[DT_QINT32] = { 7, WIRE_VARINT, 1 },
	[DT_UINT16] = { 7, WIRE_VARINT, 1 },
	[DT_COMPLEX128] = { 12, WIRE_FIXED64, 2 },
	[DT_HALF] = { 13, WIRE_VARINT, 1 },
};

struct decoding {
	struct kind kind;
	bool boolean;
	size_t width;    /* bytes of a number */
	uint64_t wanted; /* numbers, or strings */
	uint64_t count;  /* of those found */
	int fd;
	uint64_t written;
	size_t len; /* of what waits in `out` */
	uint8_t out[STREAM_BUFFER];
	struct stream in;
};

bool v1_dtype(int32_t dtype)
{
	return dtype >= 0 && (size_t)dtype < sizeof(kinds) / sizeof(*kinds) &&
	       kinds[dtype].numbers;
}

static int decoding_new(const struct v1_tensor *t, int fd,
			struct decoding **ret)
{
	struct decoding *d = malloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->kind = kinds[t->dtype];
	d->boolean = t->dtype == DT_BOOL;
	d->width = dtype_size(t->dtype) / d->kind.numbers;
	d->count = 0;
	d->fd = fd;
	d->written = 0;
	d->len = 0;
	if (__builtin_mul_overflow(t->elements, d->kind.numbers, &d->wanted)) {
		free(d);
		return -ERANGE;
	}
	stream_init(&d->in, t->fd, t->proto.offset, t->proto.size);
	*ret = d;
	return 0;
}

/* --- what goes out --------------------------------------------------------- */

static int flush(struct decoding *d)
{
	int r = d->len ? io_write_at(d->fd, d->out, d->len, d->written) : 0;

	if (r == 0) {
		d->written += d->len;
		d->len = 0;
	}
	return r;
}

static int put(struct decoding *d, const void *data, size_t n)
{
	const uint8_t *from = data;

	while (n > 0) {
		size_t room = sizeof(d->out) - d->len;
		size_t part = n < room ? n : room;
		int r;

		memcpy(d->out + d->len, from, part);
		d->len += part;
		from += part;
		n -= part;
		r = d->len == sizeof(d->out) ? flush(d) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_number(struct decoding *d, uint64_t value)
{
	uint64_t little = htole64(d->boolean ? value != 0 : value);

	if (d->count == d->wanted)
		return -ERANGE;
	d->count++;
	if (sizeof(d->out) - d->len <= sizeof(little))
		return put(d, &little, d->width);
	/* The next number goes over what of this one is too much. */
	memcpy(d->out + d->len, &little, sizeof(little));
	d->len += d->width;
	return 0;
}

/* Copies the next bytes. */
static int put_bytes(struct decoding *d, uint64_t n)
{
	while (n > 0) {
		struct span got;
		int r = stream_take(&d->in, n, &got);

		if (r == 0)
			r = put(d, got.data, got.len);
		if (r < 0)
			return r;
		n -= got.len;
	}
	return 0;
}

/* --- numbers --------------------------------------------------------------- */

static int packed_fixed(struct decoding *d, uint64_t n)
{
	if (n % d->width != 0)
		return -EBADMSG;
	if (n / d->width > d->wanted - d->count)
		return -ERANGE;
	d->count += n / d->width;
	return put_bytes(d, n);
}

static int packed_varints(struct decoding *d, uint64_t n)
{
	uint64_t end = stream_offset(&d->in) + n;
	uint64_t value;

	while (stream_offset(&d->in) < end) {
		int r = stream_get_varint(&d->in, &value);

		if (r == 0)
			r = put_number(d, value);
		if (r < 0)
			return r;
	}
	return stream_offset(&d->in) == end ? 0 : -EBADMSG;
}

static int number_field(struct decoding *d, const struct field *f)
{
	if (f->number != d->kind.field)
		return field_skip(&d->in, f);
	if (f->wire == d->kind.wire)
		return put_number(d, f->value);
	if (f->wire != WIRE_LENGTH)
		return 0;
	return d->kind.wire == WIRE_VARINT ? packed_varints(d, f->value)
					   : packed_fixed(d, f->value);
}

static int decode_numbers(struct decoding *d)
{
	struct field f;
	int r;

	while ((r = field_next(&d->in, &f)) > 0) {
		r = number_field(d, &f);
		if (r < 0)
			return r;
	}
	return r;
}

/* --- strings: first all lengths, then all bytes ----------------------------- */

static int put_length(struct decoding *d, uint64_t n, uint32_t *crc)
{
	CLEANUP(buf_release) struct buf varint = { 0 };

	if (d->count == d->wanted)
		return -ERANGE;
	d->count++;
	*crc = crc32c_extend_length(*crc, n, false, false);
	buf_put_varint(&varint, n);
	return buf_error(&varint) ? buf_error(&varint)
				  : put(d, varint.data, varint.len);
}

static int put_lengths(struct decoding *d)
{
	uint32_t crc = 0, little;
	struct field f;
	int r;

	while ((r = field_next(&d->in, &f)) > 0) {
		if (f.number == d->kind.field && f.wire == WIRE_LENGTH)
			r = put_length(d, f.value, &crc);
		if (r >= 0)
			r = field_skip(&d->in, &f);
		if (r < 0)
			return r;
	}
	little = htole32(crc32c_mask(crc));
	return r < 0 ? r : put(d, &little, sizeof(little));
}

static int put_strings(struct decoding *d)
{
	struct field f;
	int r;

	while ((r = field_next(&d->in, &f)) > 0) {
		r = f.number == d->kind.field && f.wire == WIRE_LENGTH
			    ? put_bytes(d, f.value)
			    : field_skip(&d->in, &f);
		if (r < 0)
			return r;
	}
	return r;
}

static int decode_strings(struct decoding *d, const struct v1_tensor *t)
{
	int r = put_lengths(d);

	stream_init(&d->in, t->fd, t->proto.offset, t->proto.size);
	return r < 0 ? r : put_strings(d);
}

int v1_decode(const struct v1_tensor *t, int fd, uint64_t *ret_size)
{
	CLEANUP(free_ptr) struct decoding *d = NULL;
	int r = decoding_new(t, fd, &d);

	if (r == 0)
		r = t->dtype == DT_STRING ? decode_strings(d, t)
					  : decode_numbers(d);
	if (r == 0 && d->count != d->wanted)
		r = -ERANGE;
	if (r == 0)
		r = flush(d);
	if (r == 0)
		*ret_size = d->written;
	return r;
}

int v1_in_place(const struct v1_tensor *t, struct stretch *ret)
{
	struct kind kind = kinds[t->dtype];
	uint64_t size;
	struct stream s;
	struct field f;
	bool found = false;
	int r;

	if (kind.wire == WIRE_VARINT || kind.wire == WIRE_LENGTH ||
	    __builtin_mul_overflow(t->elements, dtype_size(t->dtype), &size))
		return 0;
	stream_init(&s, t->fd, t->proto.offset, t->proto.size);
	while ((r = field_next(&s, &f)) > 0) {
		bool element = f.number == kind.field &&
			       (f.wire == kind.wire || f.wire == WIRE_LENGTH);

		if (element &&
		    (found || f.wire != WIRE_LENGTH || f.value != size))
			return 0;
		if (element)
			*ret = (struct stretch){ stream_offset(&s), size };
		found = found || element;
		r = field_skip(&s, &f);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : found;
}
