/* core/block: each lie that a block can tell. */

#include "tests/block_maker.h"

static void every_prefix_and_every_damaged_bit_is_noticed(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;
	struct block block;
	const char *fault;

	(void)state;
	build(&out, 5, 2, &handle);
	for (size_t len = 0; len < out.len; len++) {
		struct buf part = { 0 };

		buf_put(&part, out.data, len);
		assert_int_equal(block_open(&part, &block, &fault), -EIO);
		assert_null(part.data);
	}

	for (size_t bit = 0; bit < 8 * out.len; bit++) {
		struct buf copy = { 0 };

		buf_put(&copy, out.data, out.len);
		copy.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(block_open(&copy, &block, &fault), -EIO);
		assert_string_equal(fault, "block with a wrong checksum");
	}
}

/* Reads and seeks as far as it goes: never more entries than bytes. */
static void exercise(const struct block *block)
{
	static const char *const keys[] = { "", "key00003", "key00006", "z" };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span key, value;
	size_t steps = 0;
	int r;

	block_iter_init(&it, block);
	do
		r = block_iter_next(&it, &key, &value);
	while (r > 0 && ++steps <= block->contents.len);
	assert_true(r == 0 || r == -EIO);
	assert_int_equal(block_iter_next(&it, &key, &value), 0);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		r = block_iter_seek(&it, span_of(keys[i]), &key, &value);
		assert_true(r == 0 || r == 1 || r == -EIO);
	}
}

static void any_byte_under_a_right_checksum_is_survived(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	struct block_handle handle;
	const char *fault;

	(void)state;
	build(&out, 5, 2, &handle);
	for (size_t i = 0; i < handle.size; i++) {
		uint8_t was = out.data[i];

		for (unsigned now = 0; now < 256; now++) {
			CLEANUP(block_release) struct block block = { 0 };
			struct span contents = { out.data, handle.size };

			out.data[i] = (uint8_t)now;
			if (open_as(contents, RAW, &block, &fault) == 0)
				exercise(&block);
		}
		out.data[i] = was;
	}
}

static void contents_without_restarts_are_refused(void **state)
{
	(void)state;
	assert_refused(SPAN(""), RAW, "block without restarts");
	assert_refused(SPAN("\1\0\0"), RAW, "block without restarts");
}

static void wrong_count_of_restarts_is_refused(void **state)
{
	static const char wrong[] = "block with a wrong count of restarts";

	(void)state;
	assert_refused(SPAN("\0\0\0\0"), RAW, wrong);
	assert_refused(SPAN("\1\0\0\0"), RAW, wrong);
	assert_refused(SPAN("\0\0\0\1\0\0\0"), RAW, wrong);
	assert_refused(SPAN("\0\0\0\0\2\0\0\0"), RAW, wrong);
	assert_refused(SPAN("\0\0\0\0\0\0\0\0"), RAW, wrong);
	assert_refused(SPAN("\0\0\0\0\xff\xff\xff\xff"), RAW, wrong);
	/* Times four, this is 4 again in 32 bits. */
	assert_refused(SPAN("\0\0\0\0\1\0\0\x40"), RAW, wrong);
}

static void unknown_type_is_refused(void **state)
{
	(void)state;
	assert_refused(SPAN(ONE_RESTART), 2, "block of unknown type");
	assert_refused(SPAN(ONE_RESTART), 0xff, "block of unknown type");
}

/* Asserts that after `good` sound entries comes a damaged one. */
static void assert_bad_entry(struct span contents, unsigned good)
{
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span key = SPAN("untouched");
	struct span value = key;

	open_raw(contents, &block);
	block_iter_init(&it, &block);
	for (unsigned i = 0; i < good; i++)
		assert_int_equal(block_iter_next(&it, &key, &value), 1);

	key = value = SPAN("untouched");
	assert_int_equal(block_iter_next(&it, &key, &value), -EIO);
	assert_true(span_equal(key, SPAN("untouched")));
	assert_true(span_equal(value, SPAN("untouched")));
	assert_int_equal(block_iter_next(&it, &key, &value), 0);
}

static void first_entry_that_shares_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\1\1\1ab" ONE_RESTART), 0);
}

static void sharing_more_than_the_last_key_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\0\2\1abc\3\1\1xy" ONE_RESTART), 1);
}

static void key_past_the_end_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\0\2\0a" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\xff\xff\xff\xff\x0f\0a" ONE_RESTART), 0);
}

static void value_past_the_end_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\0\1\2ab" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\1\xff\xff\xff\xff\x0f"
			      "ab" ONE_RESTART),
			 0);
}

static void length_above_32_bits_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\x80\x80\x80\x80\x10\0\0" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\x81\x80\x80\x80\x10\0a" ONE_RESTART), 0);
	assert_bad_entry(
		SPAN("\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1" ONE_RESTART),
		0);
}

static void entry_cut_by_the_restarts_is_damage(void **state)
{
	(void)state;
	assert_bad_entry(SPAN("\0" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\0" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\0\x80" ONE_RESTART), 0);
	assert_bad_entry(SPAN("\0\1\1ab\0" ONE_RESTART), 1);
}

/* Entries "a" at 0, "ab" at 4 (sharing "a") and "c" at 8. */
#define THREE_ENTRIES "\0\1\0a\1\1\0b\0\1\0c"

static int seek_with_restarts(struct span restarts)
{
	CLEANUP(buf_release) struct buf contents = { 0 };
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span key, value;
	int r;

	buf_put(&contents, THREE_ENTRIES, sizeof(THREE_ENTRIES) - 1);
	buf_put(&contents, restarts.data, restarts.len);
	buf_put_fixed32(&contents, (uint32_t)(restarts.len / 4));
	open_raw(buf_span(&contents), &block);

	block_iter_init(&it, &block);
	r = block_iter_seek(&it, SPAN("c"), &key, &value);
	if (r == 1)
		assert_true(span_equal(key, SPAN("c")));
	else
		assert_int_equal(block_iter_next(&it, &key, &value), 0);
	return r;
}

static void restart_outside_the_entries_is_damage(void **state)
{
	(void)state;
	assert_int_equal(seek_with_restarts(SPAN("\0\0\0\0\x08\0\0\0")), 1);
	assert_int_equal(seek_with_restarts(SPAN("\0\0\0\0\x0c\0\0\0")), -EIO);
	assert_int_equal(seek_with_restarts(SPAN("\0\0\0\0\xff\xff\xff\xff")),
			 -EIO);
	assert_int_equal(seek_with_restarts(SPAN("\x0c\0\0\0")), -EIO);
}

static void restart_that_shares_is_damage(void **state)
{
	(void)state;
	assert_int_equal(seek_with_restarts(SPAN("\0\0\0\0\4\0\0\0")), -EIO);
}

static void restart_within_an_entry_is_damage(void **state)
{
	(void)state;
	assert_int_equal(seek_with_restarts(SPAN("\0\0\0\0\x0b\0\0\0")), -EIO);
}

static void snappy_that_claims_too_much_is_refused(void **state)
{
	static const char wrong[] = "snappy data of impossible length";

	(void)state;
	assert_refused(SPAN("\xff\xff\xff\xff\x0f\0a"), SNAPPY, wrong);
	/* 3 bytes may claim 3 * 32 + 64, and no more. */
	assert_refused(SPAN("\xa1\1\0"), SNAPPY, wrong);
	assert_refused(SPAN("\xa0\1\0"), SNAPPY, "damaged snappy data");
}

static void damaged_snappy_is_refused(void **state)
{
	(void)state;
	assert_refused(SPAN(""), SNAPPY, "no snappy data");
	assert_refused(SPAN("\xff\xff\xff\xff\xff\xff"), SNAPPY,
		       "no snappy data");
	/* Eight bytes promised: seven come; nine come; a copy from before. */
	assert_refused(SPAN("\x08\x18\0\0\0\0\1\0\0"), SNAPPY,
		       "damaged snappy data");
	assert_refused(SPAN("\x08\x20\0\0\0\0\1\0\0\0\0"), SNAPPY,
		       "damaged snappy data");
	assert_refused(SPAN("\x08\x11\1"), SNAPPY, "damaged snappy data");
	assert_refused(SPAN("\0"), SNAPPY, "block without restarts");
}

static void handle_cut_short_changes_nothing(void **state)
{
	CLEANUP(buf_release) struct buf b = { 0 };
	struct block_handle handle = { 1ULL << 40, 300 };
	struct span s;

	(void)state;
	block_handle_put(&b, handle);
	for (size_t len = 0; len < b.len; len++) {
		s = (struct span){ b.data, len };
		handle = (struct block_handle){ 1, 2 };
		assert_false(block_handle_get(&s, &handle));
		assert_int_equal(s.len, len);
		assert_int_equal(handle.offset, 1);
	}

	s = buf_span(&b);
	assert_true(block_handle_get(&s, &handle));
	assert_int_equal(s.len, 0);
	assert_true(handle.offset == 1ULL << 40);
	assert_int_equal(handle.size, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_prefix_and_every_damaged_bit_is_noticed),
		cmocka_unit_test(any_byte_under_a_right_checksum_is_survived),
		cmocka_unit_test(contents_without_restarts_are_refused),
		cmocka_unit_test(wrong_count_of_restarts_is_refused),
		cmocka_unit_test(unknown_type_is_refused),
		cmocka_unit_test(first_entry_that_shares_is_damage),
		cmocka_unit_test(sharing_more_than_the_last_key_is_damage),
		cmocka_unit_test(key_past_the_end_is_damage),
		cmocka_unit_test(value_past_the_end_is_damage),
		cmocka_unit_test(length_above_32_bits_is_damage),
		cmocka_unit_test(entry_cut_by_the_restarts_is_damage),
		cmocka_unit_test(restart_outside_the_entries_is_damage),
		cmocka_unit_test(restart_that_shares_is_damage),
		cmocka_unit_test(restart_within_an_entry_is_damage),
		cmocka_unit_test(snappy_that_claims_too_much_is_refused),
		cmocka_unit_test(damaged_snappy_is_refused),
		cmocka_unit_test(handle_cut_short_changes_nothing),
	};

	return cmocka_run_group_tests_name("block damage", tests, NULL, NULL);
}
