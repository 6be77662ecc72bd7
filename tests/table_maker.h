/* table_maker.h - tables made by hand, so that they can lie, and what is read of them */
#pragma once

#include <snappy-c.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/table.h"
#include "tests/table_support.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static unsigned lines_logged; /* since the last look */
static char last_line[256];

static inline void count_line(enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	lines_logged++;
	(void)snprintf(last_line, sizeof(last_line), "%s", line);
}

static inline int forget_lines(void **state)
{
	(void)state;
	lines_logged = 0;
	last_line[0] = '\0';
	return 0;
}

static inline int count_lines(void **state)
{
	(void)state;
	log_to(count_line, LOG_LEVEL_WARNING);
	return 0;
}

/* Asserts that since the last look this was said, and nothing else. */
static inline void assert_logged(const char *line)
{
	assert_int_equal(lines_logged, 1);
	assert_string_equal(last_line, line);
	(void)forget_lines(NULL);
}

static inline int file_of(struct span bytes)
{
	int fd = memfd_create("table", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	return fd;
}

/* A table made by hand, so that it can lie. */
struct maker {
	struct buf file;
	struct buf index_block;
	struct block_builder data;
	struct block_builder index;
	bool snappy;
};

static inline void maker_init(struct maker *m)
{
	*m = (struct maker){ 0 };
	block_builder_start(&m->index, &m->index_block, 1);
}

static inline void maker_release(struct maker *m)
{
	block_builder_release(&m->index);
	block_builder_release(&m->data);
	buf_release(&m->index_block);
	buf_release(&m->file);
}

/* Replaces the block from `start` to the end of `b` by its compressed form. */
static inline size_t compress(struct buf *b, size_t start)
{
	CLEANUP(buf_release) struct buf packed = { 0 };
	size_t raw_len = b->len - start - BLOCK_TRAILER_SIZE;
	size_t len = snappy_max_compressed_length(raw_len);
	const uint8_t type = 1;

	buf_put_zeros(&packed, len);
	assert_int_equal(snappy_compress((char *)b->data + start, raw_len,
					 (char *)packed.data, &len),
			 SNAPPY_OK);
	packed.len = len;
	buf_put(&packed, &type, 1);
	buf_put_fixed32(&packed,
			crc32c_mask(crc32c_extend(0, packed.data, packed.len)));

	b->len = start;
	buf_put(b, packed.data, packed.len);
	return len;
}

static inline void add_index(struct maker *m, const char *separator,
			     struct block_handle handle)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	block_handle_put(&value, handle);
	buf_put(&value, "ignored", 7);
	(void)block_builder_add(&m->index, span_of(separator),
				buf_span(&value));
}

/* Adds a block of the keys `keys`, a letter each; their values are the same. */
static inline struct block_handle add_block(struct maker *m, const char *keys)
{
	char separator[2] = { 0 };
	struct block_handle handle;

	block_builder_start(&m->data, &m->file, 2);
	for (const char *key = keys; *key; key++) {
		struct span letter = { (const uint8_t *)key, 1 };

		(void)block_builder_add(&m->data, letter, letter);
		separator[0] = *key;
	}
	assert_int_equal(block_builder_finish(&m->data, &handle), 0);
	if (m->snappy)
		handle.size = compress(&m->file, handle.offset);
	add_index(m, separator, handle);
	return handle;
}

static inline void add_footer(struct maker *m, struct block_handle index)
{
	size_t start = m->file.len;

	block_handle_put(&m->file, (struct block_handle){ 0, 0 });
	block_handle_put(&m->file, index);
	buf_put_zeros(&m->file, TABLE_HANDLES_SIZE - (m->file.len - start));
	buf_put_fixed64(&m->file, TABLE_MAGIC);
}

static inline struct block_handle finish(struct maker *m)
{
	struct block_handle index;

	assert_int_equal(block_builder_finish(&m->index, &index), 0);
	if (m->snappy)
		index.size = compress(&m->index_block, 0);
	index.offset = m->file.len;
	buf_put(&m->file, m->index_block.data, m->index_block.len);
	add_footer(m, index);
	return index;
}

/* Opens what was made; the file stays open in `ret_fd`. */
static inline int open_made(const struct maker *m, int *ret_fd,
			    struct table **ret)
{
	*ret_fd = file_of(buf_span(&m->file));
	return table_open(*ret_fd, "made", ret);
}

static inline void put_entry(struct buf *b, struct span key, struct span value)
{
	buf_put_varint(b, key.len);
	buf_put(b, key.data, key.len);
	buf_put_varint(b, value.len);
	buf_put(b, value.data, value.len);
}

/* Appends all entries to `ret`; the first error, if any. */
static inline int read_all(const struct table *t, struct buf *ret)
{
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	struct span key, value;
	int error = 0;
	int r;

	assert_int_equal(table_iter_new(t, &it), 0);
	while ((r = table_iter_next(it, &key, &value)) != 0) {
		if (r > 0)
			put_entry(ret, key, value);
		else if (!error)
			error = r;
	}
	assert_int_equal(table_iter_next(it, &key, &value), 0);
	return error;
}

static inline int read_bytes(struct span bytes, struct buf *ret)
{
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = file_of(bytes);
	int r = table_open(fd, "made", &t);

	return r < 0 ? r : read_all(t, ret);
}

/* Asserts that these are the keys, a letter each, and how reading ends. */
static inline void assert_keys(const struct maker *m, const char *keys,
			       int error)
{
	CLEANUP(buf_release) struct buf expected = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };

	for (; *keys; keys++) {
		struct span letter = { (const uint8_t *)keys, 1 };

		put_entry(&expected, letter, letter);
	}
	assert_int_equal(read_bytes(buf_span(&m->file), &found), error);
	assert_true(span_equal(buf_span(&found), buf_span(&expected)));
}

static inline void assert_value(const struct table *t, int fd, const char *key)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	assert_int_equal(table_value(t, fd, span_of(key), &value), 0);
	assert_true(span_equal(buf_span(&value), span_of(key)));
}

static inline void assert_no_value(const struct table *t, int fd,
				   const char *key, int error)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	assert_int_equal(table_value(t, fd, span_of(key), &value), error);
	assert_int_equal(value.len, 0);
}

/* A test that starts with no lines logged; the group needs count_lines(). */
#define TEST(name) cmocka_unit_test_setup(name, forget_lines)
