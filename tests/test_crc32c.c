/* core/crc32c: the RFC's vectors, then the definition itself, bit by bit. */
#include "core/crc32c.h"
#include "tests/test.h"

/* What CRC-32C means, with nothing done for speed. */
static uint32_t reference(const uint8_t *data, size_t n)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < 8 * n; i++) {
		uint32_t bit = (crc ^ data[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ (bit ? 0x82f63b78U : 0);
	}
	return ~crc;
}

static void matches_rfc_3720(void **state)
{
	uint8_t bytes[32] = { 0 };

	(void)state;
	assert_int_equal(crc32c_extend(0, bytes, sizeof(bytes)), 0x8a9136aa);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c_extend(0, bytes, sizeof(bytes)), 0x46dd794e);
}

static void matches_definition_at_every_alignment(void **state)
{
	uint8_t bytes[80];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);

	for (size_t start = 0; start < 8; start++)
		for (size_t n = 0; n <= sizeof(bytes) - start; n++)
			assert_int_equal(crc32c_extend(0, bytes + start, n),
					 reference(bytes + start, n));
}

static void extends_over_any_split(void **state)
{
	const char text[] = "dense/kernel/.ATTRIBUTES/VARIABLE_VALUE";
	uint32_t whole = crc32c_extend(0, text, sizeof(text));

	(void)state;
	for (size_t i = 0; i <= sizeof(text); i++)
		assert_int_equal(crc32c_extend(crc32c_extend(0, text, i),
					       text + i, sizeof(text) - i),
				 whole);
}

static void length_is_four_bytes_or_eight(void **state)
{
	static const struct {
		uint64_t length;
		bool wide, big_endian;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ 0x0102, false, false, "\2\1\0\0", 4 },
		{ 0x0102, false, true, "\0\0\1\2", 4 },
		{ 0x0102, true, false, "\2\1\0\0\0\0\0\0", 8 },
		{ 0x0102, true, true, "\0\0\0\0\0\0\1\2", 8 },
		{ UINT32_MAX, false, false, "\377\377\377\377", 4 },
		{ UINT64_C(1) << 32, false, false, "\0\0\0\0\1\0\0\0", 8 },
		{ UINT64_C(1) << 32, false, true, "\0\0\0\1\0\0\0\0", 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(crc32c_extend_length(7, cases[i].length,
						      cases[i].wide,
						      cases[i].big_endian),
				 crc32c_extend(7, cases[i].bytes, cases[i].n));
}

static void shift_is_that_many_zero_bytes(void **state)
{
	static const uint8_t zeros[300];
	const uint32_t crc = crc32c_extend(0, "weights", 7);

	(void)state;
	assert_int_equal(crc32c_shift(crc, 0), crc);
	/* A CRC is affine: what zeros add to that of nothing is taken off. */
	for (size_t n = 0; n <= sizeof(zeros); n++)
		assert_int_equal(crc32c_shift(crc, n),
				 crc32c_extend(crc, zeros, n) ^
					 crc32c_extend(0, zeros, n));
}

static void shifts_add_up_beyond_32_bits(void **state)
{
	static const uint64_t lengths[] = {
		1, 5, UINT32_MAX, 1ULL << 32, (1ULL << 32) + 12345, 1ULL << 62,
	};
	const uint32_t crc = 0xe3069283;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		for (size_t j = 0; j < ARRAY_SIZE(lengths); j++)
			assert_int_equal(
				crc32c_shift(crc, lengths[i] + lengths[j]),
				crc32c_shift(crc32c_shift(crc, lengths[i]),
					     lengths[j]));
}

/* x^(2^31 - 1) is 1 modulo this polynomial, and so is its eighth power. */
static void shift_by_the_order_of_the_polynomial_is_none(void **state)
{
	const uint32_t crc = 0xe3069283;

	(void)state;
	assert_int_equal(crc32c_shift(crc, (1ULL << 31) - 1), crc);
	assert_int_not_equal(crc32c_shift(crc, 1ULL << 30), crc);
}

static void parts_combine_to_the_whole(void **state)
{
	uint8_t bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 73 + 5);

	for (size_t n = 0; n <= sizeof(bytes); n++) {
		size_t rest = sizeof(bytes) - n;
		uint32_t a = crc32c_extend(0, bytes, n);
		uint32_t b = crc32c_extend(0, bytes + n, rest);

		assert_int_equal(crc32c_combine(a, b, rest),
				 reference(bytes, sizeof(bytes)));
	}
}

static void patch_knows_what_a_second_look_would_find(void **state)
{
	uint8_t bytes[200] = { 0 };
	uint32_t crc = reference(bytes, sizeof(bytes));

	(void)state;
	for (size_t start = 0; start < sizeof(bytes); start += 3) {
		size_t n = (sizeof(bytes) - start) / 2;
		uint32_t old = crc32c_extend(0, bytes + start, n);

		for (size_t i = 0; i < n; i++)
			bytes[start + i] ^= (uint8_t)(start + 7 * i + 1);
		crc = crc32c_patch(crc, old, crc32c_extend(0, bytes + start, n),
				   sizeof(bytes) - start - n);
		assert_int_equal(crc, reference(bytes, sizeof(bytes)));
	}
}

static void mask_is_undone_by_unmask(void **state)
{
	(void)state;
	assert_int_equal(crc32c_mask(0), 0xa282ead8);
	for (uint32_t bit = 1; bit; bit <<= 1) {
		assert_int_not_equal(crc32c_mask(bit), bit);
		assert_int_equal(crc32c_unmask(crc32c_mask(bit)), bit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_rfc_3720),
		cmocka_unit_test(matches_definition_at_every_alignment),
		cmocka_unit_test(extends_over_any_split),
		cmocka_unit_test(length_is_four_bytes_or_eight),
		cmocka_unit_test(shift_is_that_many_zero_bytes),
		cmocka_unit_test(shifts_add_up_beyond_32_bits),
		cmocka_unit_test(shift_by_the_order_of_the_polynomial_is_none),
		cmocka_unit_test(parts_combine_to_the_whole),
		cmocka_unit_test(patch_knows_what_a_second_look_would_find),
		cmocka_unit_test(mask_is_undone_by_unmask),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
