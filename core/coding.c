#include "core/coding.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

bool span_take(struct span *s, size_t n, struct span *ret)
{
	if (n > s->len)
		return false;

	*ret = (struct span){ .data = s->data, .len = n };
	s->data += n;
	s->len -= n;
	return true;
}

bool span_get_fixed32(struct span *s, uint32_t *ret)
{
	struct span raw;
	uint32_t le;

	if (!span_take(s, sizeof(le), &raw))
		return false;

	memcpy(&le, raw.data, sizeof(le));
	*ret = le32toh(le);
	return true;
}

bool span_get_fixed64(struct span *s, uint64_t *ret)
{
	struct span raw;
	uint64_t le;

	if (!span_take(s, sizeof(le), &raw))
		return false;

	memcpy(&le, raw.data, sizeof(le));
	*ret = le64toh(le);
	return true;
}

bool span_get_varint(struct span *s, uint64_t *ret)
{
	struct span rest = *s;
	struct span byte;
	uint64_t value = 0;

	for (unsigned shift = 0; span_take(&rest, 1, &byte); shift += 7) {
		uint64_t bits = *byte.data & 0x7f;

		/* The tenth byte has room for one bit, and must be the last. */
		if (shift == 63 && *byte.data > 1)
			return false;

		value |= bits << shift;
		if (*byte.data < 0x80) {
			*s = rest;
			*ret = value;
			return true;
		}
	}
	return false;
}

struct span span_of(const char *text)
{
	return (struct span){ (const uint8_t *)text, strlen(text) };
}

int span_compare(struct span a, struct span b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	/* memcmp() wants pointers even for no bytes; empty spans have none. */
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && span_compare(a, b) == 0;
}

bool span_ends_in(struct span s, const char *end)
{
	size_t n = strlen(end);

	return s.len >= n && memcmp(s.data + s.len - n, end, n) == 0;
}

/* Makes room for `n` more bytes; doubles, so that appends stay cheap. */
static bool buf_reserve(struct buf *b, size_t n)
{
	size_t need, cap;
	uint8_t *data;

	if (__builtin_add_overflow(b->len, n, &need))
		return false;
	if (need <= b->cap)
		return true;

	cap = need > 2 * b->cap ? need : 2 * b->cap;
	data = realloc(b->data, cap);
	if (!data)
		return false;

	b->data = data;
	b->cap = cap;
	return true;
}

/* Lengthens `b` by `n` bytes, yet to be set: the first of them, or NULL. */
static uint8_t *buf_extend(struct buf *b, size_t n)
{
	uint8_t *added;

	if (n == 0 || b->error)
		return NULL;

	if (!buf_reserve(b, n)) {
		b->error = -ENOMEM;
		return NULL;
	}

	added = b->data + b->len;
	b->len += n;
	return added;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	uint8_t *added = buf_extend(b, n);

	if (added)
		memcpy(added, data, n);
}

void buf_put_zeros(struct buf *b, size_t n)
{
	uint8_t *added = buf_extend(b, n);

	if (added)
		memset(added, 0, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	CLEANUP(free_ptr) char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);

	if (n < 0) {
		text = NULL; /* POSIX leaves open what a failure stores */
		b->error = -ENOMEM;
		return;
	}
	buf_put(b, text, (size_t)n);
}

void buf_put_fixed32(struct buf *b, uint32_t value)
{
	uint32_t le = htole32(value);

	buf_put(b, &le, sizeof(le));
}

void buf_put_fixed64(struct buf *b, uint64_t value)
{
	uint64_t le = htole64(value);

	buf_put(b, &le, sizeof(le));
}

void buf_put_varint(struct buf *b, uint64_t value)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;

	buf_put(b, bytes, n);
}

size_t varint_size(uint64_t value)
{
	return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

int buf_error(const struct buf *b)
{
	return b->error;
}

struct span buf_span(const struct buf *b)
{
	return (struct span){ b->data, b->len };
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}
