/* table_support.h - values of a table, read into memory; the tables of the fixtures */
#pragma once

#include <glob.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/table.h"
#include "tests/test.h"

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

/* Calls `each` with the path of every index, and of every file of V1, in the fixtures. */
static inline void each_fixture(void (*each)(const char *path))
{
	static const char *const patterns[] = {
		"tests/fixtures/v2_*/*.index",
		"tests/fixtures/savedmodel_*/variables/*.index",
		"tests/fixtures/v1_*/ckpt.v1",
		"tests/fixtures/v1_tf1_*/model.ckpt-?",
		"tests/fixtures/v1_tf1_*/model.ckpt-*-of-*",
	};
	glob_t found = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		assert_int_equal(glob(patterns[i], i ? GLOB_APPEND : 0, NULL,
				      &found),
				 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		each(found.gl_pathv[i]);
	globfree(&found);
}
