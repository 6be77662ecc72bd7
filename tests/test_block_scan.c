/* core/block_scan: values in a block that is read through a buffer. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/block.h"
#include "core/block_scan.h"
#include "core/cleanup.h"
#include "tests/test.h"

#define KEYS 40

static struct span key_of(char text[8], unsigned i)
{
	(void)snprintf(text, 8, "k%03u", i * 2);
	return (struct span){ (const uint8_t *)text, 4 };
}

/* A block of KEYS entries whose values are 0, 1, 2 ... bytes long; the trailer too. */
static void make_block(struct buf *out)
{
	struct block_builder b = { 0 };
	struct block_handle handle;
	uint8_t value[KEYS];

	block_builder_start(&b, out, 16);
	for (unsigned i = 0; i < KEYS; i++) {
		char text[8];

		memset(value, (int)i, sizeof(value));
		assert_int_equal(block_builder_add(&b, key_of(text, i),
						   (struct span){ value, i }),
				 0);
	}
	assert_int_equal(block_builder_finish(&b, &handle), 0);
	block_builder_release(&b);
}

static int file_of(const struct buf *bytes)
{
	int fd = memfd_create("block", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes->data, bytes->len), bytes->len);
	return fd;
}

static struct stretch contents_of(const struct buf *block)
{
	return (struct stretch){ 0, block->len - BLOCK_TRAILER_SIZE };
}

static void every_value_is_found_and_nothing_between(void **state)
{
	CLEANUP(buf_release) struct buf block = { 0 };
	CLEANUP(close_fd) int fd = -1;
	const char *fault = NULL;

	(void)state;
	make_block(&block);
	fd = file_of(&block);
	for (unsigned i = 0; i < KEYS; i++) {
		struct stretch at = { 0 };
		char text[8];
		struct span key = key_of(text, i);

		assert_int_equal(block_scan(fd, contents_of(&block), key, &at,
					    &fault),
				 1);
		assert_int_equal(at.size, i);
		for (unsigned j = 0; j < i; j++)
			assert_int_equal(block.data[at.offset + j], i);
		text[3]++;
		assert_int_equal(block_scan(fd, contents_of(&block), key, &at,
					    &fault),
				 0);
	}
}

static void every_damaged_byte_is_seen_by_the_checksum(void **state)
{
	CLEANUP(buf_release) struct buf block = { 0 };
	const char *fault = NULL;
	uint8_t type;

	(void)state;
	make_block(&block);
	for (size_t i = 0; i < block.len; i++) {
		CLEANUP(close_fd) int fd = -1;

		block.data[i] ^= 0x10;
		fd = file_of(&block);
		assert_int_equal(block_check(fd, contents_of(&block), &type,
					     &fault),
				 -EIO);
		block.data[i] ^= 0x10;
	}
}

/* What lies behind a checksum that is right may still be lies. */
static void no_lie_leads_out_of_the_block(void **state)
{
	static const uint8_t lies[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	CLEANUP(buf_release) struct buf block = { 0 };
	struct stretch all;
	const char *fault = NULL;

	(void)state;
	make_block(&block);
	all = contents_of(&block);
	for (size_t i = 0; i < all.size * sizeof(lies); i++) {
		uint8_t *byte = &block.data[i / sizeof(lies)];
		uint8_t was = *byte;
		CLEANUP(close_fd) int fd = -1;

		*byte = lies[i % sizeof(lies)];
		fd = file_of(&block);
		for (unsigned k = 0; k < KEYS; k += 13) {
			struct stretch at = { 0 };
			char text[8];
			int r = block_scan(fd, all, key_of(text, k), &at,
					   &fault);

			assert_true(r == 1 || r == 0 || r == -EIO);
			if (r == 1)
				assert_true(at.offset <= all.size &&
					    at.size <= all.size - at.offset);
		}
		*byte = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_found_and_nothing_between),
		cmocka_unit_test(every_damaged_byte_is_seen_by_the_checksum),
		cmocka_unit_test(no_lie_leads_out_of_the_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
