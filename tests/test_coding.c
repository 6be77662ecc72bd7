/* core/coding: known bytes, round trips, and what damaged input must not do. */
#include <errno.h>

#include "core/coding.h"
#include "tests/test.h"

/* A span over the bytes of a string literal, without its NUL. */
#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

/* The protobuf guide's own example, and both sides of each change of length. */
static const struct {
	uint64_t value;
	size_t len;
	uint8_t bytes[11];
} varints[] = {
	{ 0, 1, "\x00" },
	{ 127, 1, "\x7f" },
	{ 128, 2, "\x80\x01" },
	{ 300, 2, "\xac\x02" },
	{ UINT32_MAX, 5, "\xff\xff\xff\xff\x0f" },
	{ UINT64_MAX, 10, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" },
};

static void varint_has_known_bytes(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(varints); i++) {
		struct buf b = { 0 };

		buf_put_varint(&b, varints[i].value);
		assert_int_equal(buf_error(&b), 0);
		assert_int_equal(b.len, varints[i].len);
		assert_memory_equal(b.data, varints[i].bytes, b.len);
		buf_release(&b);
	}
}

static void varint_reads_back_and_stops_there(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(varints); i++) {
		struct span s = { varints[i].bytes, sizeof(varints[i].bytes) };
		uint64_t value = 0;

		assert_true(span_get_varint(&s, &value));
		assert_true(value == varints[i].value);
		assert_ptr_equal(s.data, varints[i].bytes + varints[i].len);
	}
}

static void varint_cut_short_changes_nothing(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(varints); i++) {
		for (size_t len = 0; len < varints[i].len; len++) {
			struct span s = { varints[i].bytes, len };
			uint64_t value = 42;

			assert_false(span_get_varint(&s, &value));
			assert_int_equal(s.len, len);
			assert_int_equal(value, 42);
		}
	}
}

static void varint_of_65_bits_is_refused(void **state)
{
	struct span s = SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
	uint64_t value;

	(void)state;
	assert_false(span_get_varint(&s, &value));
}

static void fixed32_is_little_endian(void **state)
{
	struct span s = SPAN("\x78\x56\x34\x12\xaa");
	struct buf b = { 0 };
	uint32_t value;

	(void)state;
	assert_true(span_get_fixed32(&s, &value));
	assert_int_equal(value, 0x12345678);
	assert_int_equal(s.len, 1);
	assert_false(span_get_fixed32(&s, &value));

	buf_put_fixed32(&b, 0x12345678);
	assert_memory_equal(b.data, "\x78\x56\x34\x12", 4);
	buf_release(&b);
}

static void fixed64_is_little_endian(void **state)
{
	struct span s = SPAN("\x88\x77\x66\x55\x44\x33\x22\x11\xaa");
	struct buf b = { 0 };
	uint64_t value;

	(void)state;
	assert_true(span_get_fixed64(&s, &value));
	assert_true(value == 0x1122334455667788);
	assert_int_equal(s.len, 1);
	assert_false(span_get_fixed64(&s, &value));
	assert_int_equal(s.len, 1);

	buf_put_fixed64(&b, 0x1122334455667788);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	buf_release(&b);
}

static void order_is_bytewise_and_shorter_first(void **state)
{
	const struct span rising[] = {
		{ NULL, 0 },  SPAN("\0"),   SPAN("\0\0"), SPAN("a"),
		SPAN("a\0"),  SPAN("aa"),   SPAN("ab"),   SPAN("b"),
		SPAN("\x7f"), SPAN("\x80"), SPAN("\xff"), SPAN("\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rising); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(rising); j++) {
			int order = span_compare(rising[i], rising[j]);

			assert_int_equal(order < 0, i < j);
			assert_int_equal(order > 0, i > j);
			assert_int_equal(span_equal(rising[i], rising[j]),
					 i == j);
		}
	}
}

static void span_of_text_ends_before_its_nul(void **state)
{
	(void)state;
	assert_true(span_equal(span_of("w/b"), SPAN("w/b")));
	assert_int_equal(span_of("").len, 0);
}

static void zeros_and_text_follow_what_is_there(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_put(&b, "x", 1);
	buf_put_zeros(&b, 3);
	buf_put_zeros(&b, 0);
	buf_printf(&b, "%s-%05d", "data", 7);
	buf_printf(&b, "%s", "");
	assert_int_equal(buf_error(&b), 0);
	assert_true(span_equal(buf_span(&b), SPAN("x\0\0\0data-00007")));
	buf_release(&b);
	assert_int_equal(buf_span(&b).len, 0);
}

static void printf_of_much_text_is_whole(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_printf(&b, "%*d", 100000, 1);
	assert_int_equal(b.len, 100000);
	assert_int_equal(b.data[0], ' ');
	assert_int_equal(b.data[b.len - 1], '1');
	buf_release(&b);
}

static void buf_remembers_a_failed_append(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_put(&b, "x", 1);
	buf_put(&b, "x", SIZE_MAX);
	buf_put(&b, "y", 1);
	buf_put_zeros(&b, 1);
	buf_printf(&b, "y");
	assert_int_equal(buf_error(&b), -ENOMEM);
	assert_int_equal(b.len, 1);
	buf_release(&b);
	assert_int_equal(buf_error(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(varint_has_known_bytes),
		cmocka_unit_test(varint_reads_back_and_stops_there),
		cmocka_unit_test(varint_cut_short_changes_nothing),
		cmocka_unit_test(varint_of_65_bits_is_refused),
		cmocka_unit_test(fixed32_is_little_endian),
		cmocka_unit_test(fixed64_is_little_endian),
		cmocka_unit_test(order_is_bytewise_and_shorter_first),
		cmocka_unit_test(span_of_text_ends_before_its_nul),
		cmocka_unit_test(zeros_and_text_follow_what_is_there),
		cmocka_unit_test(printf_of_much_text_is_whole),
		cmocka_unit_test(buf_remembers_a_failed_append),
	};

	return cmocka_run_group_tests_name("coding", tests, NULL, NULL);
}
