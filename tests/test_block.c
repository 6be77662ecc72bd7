/* core/block: known bytes, and round trips. */
#include <errno.h>

#include "tests/block_maker.h"

static void data_block_has_known_bytes(void **state)
{
	static const struct {
		const char *key;
		size_t len;
		const char *value;
	} entries[] = {
		{ "", 6, "\x08\1\x1a\2\x08\1" },
		{ "e", 17,
		  "\x08\1\x12\6\x12\0\x12\2\x08\3\x20\x09\x35\xd8\xea\x82\xa2" },
		{ "s", 17,
		  "\x08\7\x12\4\x12\2\x08\2\x20\x09\x28\x08\x35\x9e\x9e\x48\xed" },
		{ "w", 13, "\x08\6\x12\0\x20\x08\x28\1\x35\x46\xf8\xf7\x11" },
		{ "w/b", 19,
		  "\x08\1\x12\x08\x12\2\x08\1\x12\2\x08\2\x28\x08\x35\x59\x3c\xe5"
		  "\x35" },
	};
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;

	(void)state;
	block_builder_start(&b, &out, 16);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		struct span value = { (const uint8_t *)entries[i].value,
				      entries[i].len };

		assert_int_equal(block_builder_add(&b, span_of(entries[i].key),
						   value),
				 0);
	}
	assert_int_equal(block_builder_size(&b), 0x64);
	assert_int_equal(block_builder_finish(&b, &handle), 0);

	assert_int_equal(handle.offset, 0);
	assert_int_equal(handle.size, 0x64);
	assert_int_equal(out.len, 0x69);
	/* The last entry shares "w"; then restarts, type and checksum. */
	assert_memory_equal(out.data + 0x69 - 37, "\1\2\x13/b\x08\1", 7);
	assert_memory_equal(out.data + 0x69 - 13,
			    ONE_RESTART "\0\x0f\x46\x75\xaa", 13);
}

static void empty_block_has_one_restart_and_no_entries(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct block_handle handle;
	struct span key, value;
	const char *fault;

	(void)state;
	build(&out, 0, 16, &handle);
	assert_true(span_equal(buf_span(&out),
			       SPAN(ONE_RESTART "\0\xc0\xf2\xa1\xb0")));

	assert_int_equal(block_open(&out, &block, &fault), 0);
	assert_holds(&block, 0);
	block_iter_init(&it, &block);
	assert_int_equal(block_iter_seek(&it, SPAN("a"), &key, &value), 0);
}

static void blocks_read_back_with_any_interval(void **state)
{
	static const unsigned intervals[] = { 1, 2, 3, 16, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(intervals); i++) {
		for (unsigned n = 0; n < 70; n++) {
			CLEANUP(buf_release) struct buf out = { 0 };
			CLEANUP(block_release) struct block block = { 0 };
			unsigned restarts = (n + intervals[i] - 1) /
					    intervals[i];
			struct block_handle handle;
			const char *fault;

			build(&out, n, intervals[i], &handle);
			assert_int_equal(block_open(&out, &block, &fault), 0);
			assert_int_equal(block.restarts, n ? restarts : 1);
			assert_holds(&block, n);
		}
	}
}

static void size_is_foretold(void **state)
{
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;
	uint64_t size;

	(void)state;
	buf_put(&out, "before", 6);
	block_builder_start(&b, &out, 2);
	assert_true(block_builder_empty(&b));
	assert_int_equal(block_builder_size(&b), 8);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(
			block_builder_add(&b, SPAN("key"), SPAN("value")), 0);
	assert_false(block_builder_empty(&b));

	size = block_builder_size(&b);
	assert_int_equal(block_builder_finish(&b, &handle), 0);
	assert_int_equal(handle.offset, 6);
	assert_int_equal(handle.size, size);
	assert_int_equal(out.len, 6 + size + BLOCK_TRAILER_SIZE);
}

static void next_block_shares_nothing_with_the_one_before(void **state)
{
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;

	(void)state;
	block_builder_start(&b, &out, 16);
	assert_int_equal(block_builder_add(&b, SPAN("aaa"), SPAN("1")), 0);
	assert_int_equal(block_builder_finish(&b, &handle), 0);

	block_builder_start(&b, &out, 16);
	assert_true(span_equal(block_builder_last_key(&b), SPAN("aaa")));
	assert_int_equal(block_builder_add(&b, SPAN("aab"), SPAN("2")), 0);
	assert_int_equal(block_builder_finish(&b, &handle), 0);
	assert_memory_equal(out.data + handle.offset, "\0\3\1aab2" ONE_RESTART,
			    handle.size);
}

static void entry_beyond_the_format_is_refused(void **state)
{
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	struct span huge = { (const uint8_t *)"", BLOCK_SIZE_MAX };

	(void)state;
	block_builder_start(&b, &out, 16);
	assert_int_equal(block_builder_add(&b, huge, SPAN("")), -EINVAL);
	assert_int_equal(block_builder_add(&b, SPAN(""), huge), -EINVAL);
	huge.len = SIZE_MAX;
	assert_int_equal(block_builder_add(&b, SPAN(""), huge), -EINVAL);
	assert_int_equal(out.len, 0);
	assert_true(block_builder_empty(&b));
}

static void failed_memory_is_not_forgotten(void **state)
{
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;

	(void)state;
	buf_put(&out, "x", 1);
	block_builder_start(&b, &out, 16);
	buf_put_zeros(&out, SIZE_MAX); /* more than there are addresses */
	assert_int_equal(block_builder_add(&b, SPAN("a"), SPAN("1")), -ENOMEM);
	assert_int_equal(block_builder_finish(&b, &handle), -ENOMEM);
}

/* The entries have even numbers: odd ones fall between them. */
static void seek_all(const struct block *block, unsigned n)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span key, value;

	block_iter_init(&it, block);
	for (unsigned i = 0; i < 2 * n; i++) {
		unsigned expected = (i + 1) / 2;
		char text[16];
		int r;

		(void)snprintf(text, sizeof(text), "key%05u", i);
		r = block_iter_seek(&it, span_of(text), &key, &value);
		assert_int_equal(r, expected < n);
		if (r)
			assert_entry(key, value, expected);
	}
	assert_int_equal(block_iter_seek(&it, SPAN(""), &key, &value), n > 0);
	assert_int_equal(block_iter_seek(&it, SPAN("l"), &key, &value), 0);
}

static void seek_finds_the_first_key_not_below(void **state)
{
	(void)state;
	for (unsigned interval = 1; interval < 6; interval++) {
		for (unsigned n = 0; n < 20; n++) {
			CLEANUP(buf_release) struct buf out = { 0 };
			CLEANUP(block_release) struct block block = { 0 };
			struct block_handle handle;
			const char *fault;

			build(&out, n, interval, &handle);
			assert_int_equal(block_open(&out, &block, &fault), 0);
			seek_all(&block, n);
		}
	}
}

static void seek_goes_on_from_what_it_found(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct block_handle handle;
	struct span key, value;
	const char *fault;

	(void)state;
	build(&out, 40, 16, &handle);
	assert_int_equal(block_open(&out, &block, &fault), 0);
	block_iter_init(&it, &block);
	assert_int_equal(block_iter_seek(&it, SPAN("key00040"), &key, &value),
			 1);
	for (unsigned i = 21; i < 40; i++) {
		assert_int_equal(block_iter_next(&it, &key, &value), 1);
		assert_entry(key, value, i);
	}
	assert_int_equal(block_iter_next(&it, &key, &value), 0);
}

static void first_of_equal_keys_is_found(void **state)
{
	const uint8_t values[] = "0123456789";
	CLEANUP(block_builder_release) struct block_builder b = { 0 };
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct block_handle handle;
	struct span key, value;
	const char *fault;

	(void)state;
	block_builder_start(&b, &out, 2);
	for (size_t i = 0; i < sizeof(values); i++)
		(void)block_builder_add(&b, SPAN("same"),
					(struct span){ &values[i], 1 });
	assert_int_equal(block_builder_finish(&b, &handle), 0);
	assert_int_equal(block_open(&out, &block, &fault), 0);

	block_iter_init(&it, &block);
	assert_int_equal(block_iter_seek(&it, SPAN("same"), &key, &value), 1);
	assert_true(span_equal(value, SPAN("0")));
}

static void snappy_block_reads_back(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf packed = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	struct block_handle handle;
	const char *fault;

	(void)state;
	build(&out, 1000, 16, &handle);
	compress((struct span){ out.data, handle.size }, &packed);
	assert_true(packed.len < handle.size);
	assert_int_equal(open_as(buf_span(&packed), SNAPPY, &block, &fault), 0);
	assert_holds(&block, 1000);
}

static void best_case_of_snappy_is_within_bounds(void **state)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(buf_release) struct buf packed = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	const char *fault;

	(void)state;
	buf_put_zeros(&raw, 1000000);
	buf_put(&raw, ONE_RESTART, 8);
	compress(buf_span(&raw), &packed);
	assert_int_equal(open_as(buf_span(&packed), SNAPPY, &block, &fault), 0);
	assert_int_equal(block.contents.len, raw.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_block_has_known_bytes),
		cmocka_unit_test(empty_block_has_one_restart_and_no_entries),
		cmocka_unit_test(blocks_read_back_with_any_interval),
		cmocka_unit_test(size_is_foretold),
		cmocka_unit_test(next_block_shares_nothing_with_the_one_before),
		cmocka_unit_test(entry_beyond_the_format_is_refused),
		cmocka_unit_test(failed_memory_is_not_forgotten),
		cmocka_unit_test(seek_finds_the_first_key_not_below),
		cmocka_unit_test(seek_goes_on_from_what_it_found),
		cmocka_unit_test(first_of_equal_keys_is_found),
		cmocka_unit_test(snappy_block_reads_back),
		cmocka_unit_test(best_case_of_snappy_is_within_bounds),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
