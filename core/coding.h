/*
 * coding.h - the byte encodings that checkpoint tables are built from
 *
 * On disk an integer is either fixed-width little-endian or a base-128 varint.
 *
 * Decoders consume a `struct span`, a borrowed view that shrinks from the front
 * as it is read.  Its length is compared in one place, span_take(), so nothing
 * above this file does arithmetic on raw pointers.  A decoder that runs out of
 * bytes, or meets bytes that no encoder writes, answers false and leaves both
 * the span and `*ret` as they were.
 *
 * Encoders append to a `struct buf`, which grows.  Running out of memory is
 * remembered in the buffer rather than returned by every append: put as much as
 * you like, then ask buf_error() once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes: 64 bits, seven to a byte */

/* Borrowed bytes: whoever made the span keeps the memory alive. */
struct span {
	const uint8_t *data;
	size_t len;
};

/* Owned bytes: all zeroes is an empty buffer, buf_release() makes it so again. */
struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	int error; /* -ENOMEM once an append has failed; `data` is then short */
};

/* Cuts the first `n` bytes off `s`. */
bool span_take(struct span *s, size_t n, struct span *ret);
bool span_get_fixed32(struct span *s, uint32_t *ret);
bool span_get_fixed64(struct span *s, uint64_t *ret);
bool span_get_varint(struct span *s, uint64_t *ret);

/* The bytes of a string, without its NUL. */
struct span span_of(const char *text);

/* Table order: unsigned bytes, the shorter first on a tie; as memcmp() answers. */
int span_compare(struct span a, struct span b);
bool span_equal(struct span a, struct span b);
bool span_ends_in(struct span s, const char *end);

void buf_put(struct buf *b, const void *data, size_t n);
void buf_put_fixed32(struct buf *b, uint32_t value);
void buf_put_fixed64(struct buf *b, uint64_t value);
void buf_put_zeros(struct buf *b, size_t n);
/* Appends as printf() would; no NUL is stored. */
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b,
						      const char *fmt, ...);
void buf_put_varint(struct buf *b, uint64_t value);
/* How many bytes that takes, VARINT_MAX at most. */
size_t varint_size(uint64_t value);

/* Returns 0, or -ENOMEM if any append since the last release has failed. */
int buf_error(const struct buf *b);
struct span buf_span(const struct buf *b);
void buf_release(struct buf *b);
