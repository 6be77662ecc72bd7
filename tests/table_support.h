/* table_support.h - values of a table, read into memory */
#pragma once

#include "core/cleanup.h"
#include "core/io.h"
#include "core/table.h"

static inline int spool_memory(const void *arg, uint64_t n)
{
	(void)arg;
	(void)n;
	return io_memory();
}

/* Appends the value of `key` in the table of the file `fd`; errors of table_find(). */
static inline int table_value(const struct table *t, int fd, struct span key,
			      struct buf *ret)
{
	CLEANUP(close_fd) int unpacked = -1;
	struct stretch at;
	size_t before = ret->len;
	int r = table_find(t, key, spool_memory, NULL, &unpacked, &at);

	if (r < 0)
		return r;
	buf_put_zeros(ret, at.size);
	return io_read_at(unpacked < 0 ? fd : unpacked, ret->data + before,
			  at.size, at.offset);
}
