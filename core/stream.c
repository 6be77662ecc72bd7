#include "core/stream.h"

#include <errno.h>
#include <string.h>

#include "core/io.h"

void stream_init(struct stream *s, int fd, uint64_t offset, uint64_t n)
{
	s->fd = fd;
	s->next = offset;
	s->end = offset + n;
	s->left = (struct span){ 0 };
}

uint64_t stream_offset(const struct stream *s)
{
	return s->next - s->left.len;
}

uint64_t stream_left(const struct stream *s)
{
	return s->end - stream_offset(s);
}

/* Has at least `want` bytes in memory, or all that are left. */
static int fill(struct stream *s, size_t want)
{
	uint64_t offset = stream_offset(s);
	uint64_t rest = s->end - offset;
	size_t n = rest < sizeof(s->buffer) ? rest : sizeof(s->buffer);
	int r;

	if (s->left.len >= want || s->left.len == rest)
		return 0;
	/* Reading the few bytes left again is simpler than moving them. */
	r = io_read_at(s->fd, s->buffer, n, offset);
	if (r < 0)
		return r;
	s->left = (struct span){ s->buffer, n };
	s->next = offset + n;
	return 0;
}

int stream_take(struct stream *s, uint64_t max, struct span *ret)
{
	int r = fill(s, max > 0 ? 1 : 0);

	if (r < 0)
		return r;
	if (max > 0 && s->left.len == 0)
		return -EBADMSG;
	(void)span_take(&s->left, max < s->left.len ? max : s->left.len, ret);
	return 0;
}

int stream_read(struct stream *s, void *buf, size_t n)
{
	uint8_t *to = buf;

	while (n > 0) {
		struct span got;
		int r = stream_take(s, n, &got);

		if (r < 0)
			return r;
		memcpy(to, got.data, got.len);
		to += got.len;
		n -= got.len;
	}
	return 0;
}

int stream_get_varint(struct stream *s, uint64_t *ret)
{
	int r = fill(s, VARINT_MAX);

	if (r < 0)
		return r;
	return span_get_varint(&s->left, ret) ? 0 : -EBADMSG;
}

int stream_skip(struct stream *s, uint64_t n)
{
	struct span skipped;

	if (n > stream_left(s))
		return -EBADMSG;
	if (span_take(&s->left, n, &skipped))
		return 0;
	s->next = stream_offset(s) + n;
	s->left = (struct span){ 0 };
	return 0;
}
