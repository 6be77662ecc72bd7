/* core/slice: keys as TensorFlow wrote them, and the order that they keep. */
#include "core/slice.h"
#include "tests/test.h"

/* A span over the bytes of a string literal, without its NUL. */
#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
#define WHOLE         \
	{             \
		0, -1 \
	} /* the dimension is not sliced */

static void assert_key(struct span name, const struct slice_extent *extents,
		       size_t n, struct span want)
{
	struct buf b = { 0 };

	slice_put_key(name, extents, n, &b);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, want.len);
	assert_memory_equal(b.data, want.data, want.len);
	buf_release(&b);
}

/* From the fixture v2_slices_grid. */
static void keys_are_those_of_tensorflow(void **state)
{
	const struct slice_extent grid[] = { { 3, 4 }, { 2, 5 }, WHOLE };
	const struct slice_extent row[] = { { 8200, 100 } };
	const struct slice_extent binary[] = { { 2, 2 } };

	(void)state;
	assert_key(SPAN("grid"), grid, 3,
		   SPAN("\x00grid\x00\x01\x01\x03\x83\x84\x82\x85\x80\x7f"));
	assert_key(SPAN("long/row"), row, 1,
		   SPAN("\x00long/row\x00\x01\x01\x01\xe0\x20\x08\xc0\x64"));
	assert_key(SPAN("na\0me\xc3\xbf/\xc3\xbc"), binary, 1,
		   SPAN("\x00na\x00\xffme\xc3\xbf/\xc3\xbc\x00\x01"
			"\x01\x01\x82\x82"));
}

/* From FORMAT.md, section 7: a V1 table keeps whole tensors under such keys. */
static void whole_tensors_of_v1_have_known_keys(void **state)
{
	const struct slice_extent whole[] = { WHOLE, WHOLE };

	(void)state;
	assert_key(SPAN("w"), whole, 2,
		   SPAN("\x00w\x00\x01\x01\x02\x80\x7f\x80\x7f"));
	assert_key(SPAN("n"), NULL, 0, SPAN("\x00n\x00\x01\x00"));
	assert_key(SPAN(""), NULL, 0, SPAN("\x00\x00\x01\x00"));
}

static void byte_ff_in_a_name_is_escaped(void **state)
{
	(void)state;
	assert_key(SPAN("\xff\x00"), NULL, 0,
		   SPAN("\x00\xff\x00\x00\xff\x00\x01\x00"));
}

static void many_dimensions_take_as_many_bytes_as_they_need(void **state)
{
	struct slice_extent extents[256] = { { 0, 1 } };
	struct buf b = { 0 };

	(void)state;
	slice_put_key(SPAN("n"), extents, 256, &b);
	assert_memory_equal(b.data, "\x00n\x00\x01\x02\x01\x00\x80\x81", 9);
	buf_release(&b);
}

static void whole_dimension_has_no_start(void **state)
{
	const struct slice_extent odd = { 7, -1 };

	(void)state;
	assert_key(SPAN("w"), &odd, 1, SPAN("\x00w\x00\x01\x01\x01\x80\x7f"));
}

/* From FORMAT.md, section 4.6, and both sides of each change of length. */
static const struct {
	int64_t value;
	size_t len;
	uint8_t code[11];
} numbers[] = {
	{ INT64_MIN, 10, "\x00\x3f\x80\x00\x00\x00\x00\x00\x00\x00" },
	{ -8193, 3, "\x1f\xdf\xff" },
	{ -8192, 2, "\x20\x00" },
	{ -65, 2, "\x3f\xbf" },
	{ -64, 1, "\x40" },
	{ -1, 1, "\x7f" },
	{ 0, 1, "\x80" },
	{ 1, 1, "\x81" },
	{ 63, 1, "\xbf" },
	{ 64, 2, "\xc0\x40" },
	{ 100, 2, "\xc0\x64" },
	{ 8191, 2, "\xdf\xff" },
	{ 8192, 3, "\xe0\x20\x00" },
	{ 8200, 3, "\xe0\x20\x08" },
	{ 1 << 20, 4, "\xf0\x10\x00\x00" },
	{ 134217733, 5, "\xf8\x08\x00\x00\x05" },
	{ INT64_C(1) << 55, 9, "\xff\x80\x80\x00\x00\x00\x00\x00\x00" },
	{ INT64_C(1) << 62, 10, "\xff\xc0\x40\x00\x00\x00\x00\x00\x00\x00" },
	{ INT64_MAX, 10, "\xff\xc0\x7f\xff\xff\xff\xff\xff\xff\xff" },
};

static void put_start(int64_t start, struct buf *b)
{
	const struct slice_extent e = { start, 1 };

	slice_put_key(SPAN(""), &e, 1, b);
}

/* After 00, 00 01 and 01 01; before the 81 of a length of 1. */
static struct span code_of(const struct buf *b)
{
	return (struct span){ b->data + 5, b->len - 6 };
}

static void numbers_have_known_codes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct buf b = { 0 };

		put_start(numbers[i].value, &b);
		assert_int_equal(code_of(&b).len, numbers[i].len);
		assert_memory_equal(code_of(&b).data, numbers[i].code,
				    numbers[i].len);
		buf_release(&b);
	}
}

static void codes_sort_as_their_numbers(void **state)
{
	struct buf last = { 0 };

	(void)state;
	put_start(-70000, &last);
	for (int64_t value = -69999; value <= 70000; value += 7) {
		struct buf next = { 0 };

		put_start(value, &next);
		assert_true(span_compare(buf_span(&last), buf_span(&next)) < 0);
		buf_release(&last);
		last = next;
	}
	buf_release(&last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_those_of_tensorflow),
		cmocka_unit_test(whole_tensors_of_v1_have_known_keys),
		cmocka_unit_test(byte_ff_in_a_name_is_escaped),
		cmocka_unit_test(
			many_dimensions_take_as_many_bytes_as_they_need),
		cmocka_unit_test(whole_dimension_has_no_start),
		cmocka_unit_test(numbers_have_known_codes),
		cmocka_unit_test(codes_sort_as_their_numbers),
	};

	return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
