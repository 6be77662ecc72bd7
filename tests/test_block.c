/* core/block: known bytes, round trips, and each lie that a block can tell. */
#include <errno.h>
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
static int open_as(struct span stored, uint8_t type, struct block *ret,
		   const char **ret_fault)
{
	CLEANUP(buf_release) struct buf b = { 0 };

	buf_put(&b, stored.data, stored.len);
	buf_put(&b, &type, 1);
	buf_put_fixed32(&b, crc32c_mask(crc32c_extend(0, b.data, b.len)));
	return block_open(&b, ret, ret_fault);
}

static void open_raw(struct span contents, struct block *ret)
{
	const char *fault;

	assert_int_equal(open_as(contents, RAW, ret, &fault), 0);
}

/* Asserts that no block is made, for this reason. */
static void assert_refused(struct span stored, uint8_t type, const char *reason)
{
	struct block block = { .restarts = 42 };
	const char *fault = "";

	assert_int_equal(open_as(stored, type, &block, &fault), -EIO);
	assert_string_equal(fault, reason);
	assert_int_equal(block.restarts, 42);
	assert_null(block.contents.data);
}

/* Key and value `i` of the blocks that are made here. */
static struct span key_of(unsigned i, char text[static 16])
{
	return (struct span){ (const uint8_t *)text,
			      (size_t)snprintf(text, 16, "key%05u", 2 * i) };
}

static struct span value_of(unsigned i, char text[static 16])
{
	return (struct span){ (const uint8_t *)text,
			      (size_t)snprintf(text, 16, "%u", i * i) };
}

/* Builds a block of `n` entries, trailer and all, at the end of `out`. */
static void build(struct buf *out, unsigned n, unsigned interval,
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

static void assert_entry(struct span key, struct span value, unsigned i)
{
	char text[16];

	assert_true(span_equal(key, key_of(i, text)));
	assert_true(span_equal(value, value_of(i, text)));
}

static void assert_holds(const struct block *block, unsigned n)
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

static void compress(struct span raw, struct buf *ret)
{
	size_t len = snappy_max_compressed_length(raw.len);

	buf_put_zeros(ret, len);
	assert_int_equal(snappy_compress((const char *)raw.data, raw.len,
					 (char *)ret->data, &len),
			 SNAPPY_OK);
	ret->len = len;
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
		cmocka_unit_test(snappy_block_reads_back),
		cmocka_unit_test(best_case_of_snappy_is_within_bounds),
		cmocka_unit_test(snappy_that_claims_too_much_is_refused),
		cmocka_unit_test(damaged_snappy_is_refused),
		cmocka_unit_test(handle_cut_short_changes_nothing),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
