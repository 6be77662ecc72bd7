#include "core/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"

/* What the real compressor copies from is never further away than this. */
#define HISTORY     (UINT64_C(64) << 10)
#define BUFFER      (4 * HISTORY)
#define LITERAL_MAX 60 /* from here on the length stands in bytes of its own */

struct unpacking {
	struct stream *in;
	int fd;
	uint64_t size; /* of it all, as the data says */
	uint64_t written; /* to the file: the buffer has what came before as well */
	uint64_t start; /* what the first byte of the buffer is of the whole */
	size_t len;     /* of what is in the buffer */
	uint8_t buffer[BUFFER];
};

static uint64_t produced(const struct unpacking *u)
{
	return u->start + u->len;
}

static int flush(struct unpacking *u)
{
	size_t done = (size_t)(u->written - u->start);
	int r = io_write_at(u->fd, u->buffer + done, u->len - done, u->written);

	if (r == 0)
		u->written = produced(u);
	return r;
}

/* Has room for `n` bytes, and keeps those before. */
static int make_room(struct unpacking *u, size_t n)
{
	size_t gone;
	int r;

	if (u->len + n <= sizeof(u->buffer))
		return 0;
	r = flush(u);
	if (r < 0)
		return r;
	gone = u->len - HISTORY;
	memmove(u->buffer, u->buffer + gone, HISTORY);
	u->start += gone;
	u->len = HISTORY;
	return 0;
}

static int literal(struct unpacking *u, uint64_t n)
{
	if (n > u->size - produced(u))
		return -EBADMSG;
	while (n > 0) {
		struct span got;
		int r = stream_take(u->in, n, &got);

		if (r == 0)
			r = make_room(u, got.len);
		if (r < 0)
			return r;
		memcpy(u->buffer + u->len, got.data, got.len);
		u->len += got.len;
		n -= got.len;
	}
	return 0;
}

/* From what the buffer does not have any more; the two do not overlap. */
static int copy_from_file(struct unpacking *u, size_t n, uint64_t from)
{
	int r = flush(u);

	if (r == 0)
		r = io_read_at(u->fd, u->buffer + u->len, n, from);
	if (r == 0)
		u->len += n;
	return r;
}

static int copy(struct unpacking *u, size_t n, uint64_t distance)
{
	uint64_t from;
	int r;

	if (distance == 0 || distance > produced(u) ||
	    n > u->size - produced(u))
		return -EBADMSG;
	r = make_room(u, n);
	if (r < 0)
		return r;
	from = produced(u) - distance;
	if (from < u->start)
		return copy_from_file(u, n, from);
	for (size_t i = 0; i < n; i++, u->len++)
		u->buffer[u->len] = u->buffer[from - u->start + i];
	return 0;
}

/* An integer of `n` bytes. */
static int get_number(struct stream *in, size_t n, uint64_t *ret)
{
	uint8_t bytes[sizeof(uint64_t)] = { 0 };
	int r = stream_read(in, bytes, n);

	*ret = 0;
	for (size_t i = n; r == 0 && i-- > 0;)
		*ret = *ret << 8 | bytes[i];
	return r;
}

static int element(struct unpacking *u)
{
	uint64_t tag, number;
	int r = get_number(u->in, 1, &tag);

	if (r < 0)
		return r;
	switch (tag & 3) {
	case 0:
		number = tag >> 2;
		if (number >= LITERAL_MAX)
			r = get_number(u->in, number - LITERAL_MAX + 1,
				       &number);
		return r < 0 ? r : literal(u, number + 1);
	case 1:
		r = get_number(u->in, 1, &number);
		return r < 0 ? r
			     : copy(u, (tag >> 2 & 7) + 4,
				    (tag >> 5) << 8 | number);
	default:
		r = get_number(u->in, (tag & 3) == 2 ? 2 : 4, &number);
		return r < 0 ? r : copy(u, (tag >> 2) + 1, number);
	}
}

int unpack_stream(struct stream *in, int fd, uint64_t max, uint64_t *ret_size)
{
	CLEANUP(free_ptr) struct unpacking *u = malloc(sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->in = in;
	u->fd = fd;
	u->written = 0;
	u->start = 0;
	u->len = 0;
	r = stream_get_varint(in, &u->size);
	if (r == 0 && u->size > max)
		r = -EBADMSG;
	while (r == 0 && stream_left(in) > 0)
		r = element(u);
	if (r == 0 && produced(u) != u->size)
		r = -EBADMSG;
	if (r == 0)
		r = flush(u);
	if (r == 0)
		*ret_size = u->size;
	return r;
}
