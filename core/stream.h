/*
 * stream.h - a stretch of a file, read from front to back through a small buffer
 *
 * For what may be of any length and is looked at once: memory is one buffer.  All
 * answer 0 (or a count), -EBADMSG where the stretch ends too early or there is no
 * varint, or the negative errno of a read that failed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

#define STREAM_BUFFER 32768

struct stream {
	int fd;           /* borrowed */
	uint64_t next;    /* where in the file `left` ends */
	uint64_t end;     /* of the stretch */
	struct span left; /* read, and not yet taken */
	uint8_t buffer[STREAM_BUFFER];
};

void stream_init(struct stream *s, int fd, uint64_t offset, uint64_t n);

/* Where in the file the next byte is, and how many follow. */
uint64_t stream_offset(const struct stream *s);
uint64_t stream_left(const struct stream *s);

/* At least one byte and at most `max`, which hold until the next call; none for 0. */
int stream_take(struct stream *s, uint64_t max, struct span *ret);
int stream_read(struct stream *s, void *buf, size_t n);
int stream_get_varint(struct stream *s, uint64_t *ret);
/* Without reading what is not in memory yet. */
int stream_skip(struct stream *s, uint64_t n);
