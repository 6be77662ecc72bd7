/* block_maker.h - blocks made by hand, and what is in them */
#pragma once

#include <snappy-c.h>
#include <stdio.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/crc32c.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

/* One restart, at 0. */
#define ONE_RESTART "\0\0\0\0\1\0\0\0"

enum {
	RAW = 0,
	SNAPPY = 1
};

/* The block that `stored` and the right trailer make. */
static inline int open_as(struct span stored, uint8_t type, struct block *ret,
			  const char **ret_fault)
{
	CLEANUP(buf_release) struct buf b = { 0 };

	buf_put(&b, stored.data, stored.len);
	buf_put(&b, &type, 1);
	buf_put_fixed32(&b, crc32c_mask(crc32c_extend(0, b.data, b.len)));
	return block_open(&b, ret, ret_fault);
}

static inline void open_raw(struct span contents, struct block *ret)
{
	const char *fault;

	assert_int_equal(open_as(contents, RAW, ret, &fault), 0);
}

/* Asserts that no block is made, for this reason. */
static inline void assert_refused(struct span stored, uint8_t type,
				  const char *reason)
{
	struct block block = { .restarts = 42 };
	const char *fault = "";

	assert_int_equal(open_as(stored, type, &block, &fault), -EIO);
	assert_string_equal(fault, reason);
	assert_int_equal(block.restarts, 42);
	assert_null(block.contents.data);
}

/* Key and value `i` of the blocks that are made here. */
static inline struct span key_of(unsigned i, char text[static 16])
{
	return (struct span){ (const uint8_t *)text,
			      (size_t)snprintf(text, 16, "key%05u", 2 * i) };
}

static inline struct span value_of(unsigned i, char text[static 16])
{
	return (struct span){ (const uint8_t *)text,
			      (size_t)snprintf(text, 16, "%u", i * i) };
}

/* Builds a block of `n` entries, trailer and all, at the end of `out`. */
static inline void build(struct buf *out, unsigned n, unsigned interval,
			 struct block_handle *ret)
{
	CLEANUP(block_builder_release) struct block_builder b = { 0 };

	block_builder_start(&b, out, interval);
	for (unsigned i = 0; i < n; i++) {
		char key[16], value[16];

		assert_int_equal(block_builder_add(&b, key_of(i, key),
						   value_of(i, value)),
				 0);
	}
	assert_int_equal(block_builder_finish(&b, ret), 0);
}

static inline void assert_entry(struct span key, struct span value, unsigned i)
{
	char text[16];

	assert_true(span_equal(key, key_of(i, text)));
	assert_true(span_equal(value, value_of(i, text)));
}

static inline void assert_holds(const struct block *block, unsigned n)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span key, value;

	block_iter_init(&it, block);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(block_iter_next(&it, &key, &value), 1);
		assert_entry(key, value, i);
	}
	assert_int_equal(block_iter_next(&it, &key, &value), 0);
	assert_int_equal(block_iter_next(&it, &key, &value), 0);
}

static inline void compress(struct span raw, struct buf *ret)
{
	size_t len = snappy_max_compressed_length(raw.len);

	buf_put_zeros(ret, len);
	assert_int_equal(snappy_compress((const char *)raw.data, raw.len,
					 (char *)ret->data, &len),
			 SNAPPY_OK);
	ret->len = len;
}
