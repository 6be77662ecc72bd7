/* core/verify: any order of parts tells right from wrong, once all were seen. */
#include <stdbool.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/verify.h"
#include "tests/test.h"

static uint8_t value[20000];

static int fill_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(i * i / 7 + i);
	return 0;
}

/* A verify of the first `size` bytes of `value`. */
static struct verify *verify_value(size_t size)
{
	struct verify *v = NULL;

	assert_int_equal(verify_new(size, crc32c_extend(0, value, size), &v),
			 0);
	return v;
}

static int add(struct verify *v, size_t start, size_t end)
{
	return verify_add(v, start, value + start, end - start);
}

static void value_read_at_once_is_right(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(10);

	(void)state;
	assert_int_equal(add(v, 0, 10), 1);
	assert_int_equal(add(v, 3, 5), 1);
}

static void parts_count_in_any_order(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(10);

	(void)state;
	assert_int_equal(add(v, 7, 10), 0);
	assert_int_equal(add(v, 0, 2), 0);
	assert_int_equal(add(v, 4, 5), 0);
	assert_int_equal(add(v, 5, 7), 0);
	assert_int_equal(add(v, 2, 4), 1);
}

static void part_seen_twice_counts_once(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(10);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(v, 0, 5), 0);
	assert_int_equal(add(v, 2, 9), 0);
	assert_int_equal(add(v, 9, 10), 1);
}

static void empty_read_changes_nothing(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(10);

	(void)state;
	assert_int_equal(verify_add(v, 4, NULL, 0), 0);
	assert_int_equal(add(v, 0, 10), 1);
}

/* What was seen is not looked at again: other bytes there are no damage. */
static void only_the_unseen_part_is_summed(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(12);
	uint8_t other[12] = { 0 };

	(void)state;
	assert_int_equal(add(v, 2, 4), 0);
	assert_int_equal(add(v, 6, 9), 0);
	for (size_t i = 1; i < 11; i++)
		if (i == 1 || i == 4 || i == 5 || i >= 9)
			other[i] = value[i];
	assert_int_equal(verify_add(v, 1, other + 1, 10), 0);
	assert_int_equal(add(v, 0, 1), 0);
	assert_int_equal(add(v, 11, 12), 1);
}

static void damage_is_found_each_time_all_was_read(void **state)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(10);

	(void)state;
	value[4] ^= 1;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(add(v, 5, 10), 0);
		assert_int_equal(add(v, 0, 5), -EIO);
	}
	value[4] ^= 1;
	assert_int_equal(add(v, 5, 10), 0);
	assert_int_equal(add(v, 0, 5), 1);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/*
 * Adds random parts until all bytes were seen, and checks that the answer comes
 * then and not before.
 */
static void read_at_random(size_t size, size_t longest, uint32_t seed, int want)
{
	CLEANUP(verify_freep) struct verify *v = verify_value(size);
	bool seen[300] = { false };
	size_t missing = size;

	value[seed % size] ^= want < 0 ? 0x10 : 0;
	while (missing > 0) {
		size_t start = next_random(&seed) % size;
		size_t end = start + 1 + next_random(&seed) % longest;
		int got;

		end = end < size ? end : size;
		got = add(v, start, end);
		for (size_t i = start; i < end; i++) {
			missing -= !seen[i];
			seen[i] = true;
		}
		assert_int_equal(got, missing > 0 ? 0 : want);
	}
}

static void random_reads_tell_at_the_last_byte(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 300; seed++) {
		read_at_random(seed, 1 + seed % 40, seed, 1);
		read_at_random(seed, 1 + seed % 40, seed, -EIO);
		(void)fill_value(NULL);
	}
}

/* More ranges than are remembered; then a full read in order. */
static void too_many_ranges_do_not_hide_the_value(void **state)
{
	for (int damaged = 0; damaged < 2; damaged++) {
		CLEANUP(verify_freep)
		struct verify *v = verify_value(sizeof(value));
		int got = 0;

		value[9999] ^= damaged;
		for (size_t i = 1; i < sizeof(value); i += 2)
			assert_int_equal(add(v, i, i + 1), 0);
		for (size_t i = 0; i < sizeof(value) && got == 0; i += 10)
			got = add(v, i, i + 10);
		assert_int_equal(got, damaged ? -EIO : 1);
		(void)fill_value(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_read_at_once_is_right),
		cmocka_unit_test(parts_count_in_any_order),
		cmocka_unit_test(part_seen_twice_counts_once),
		cmocka_unit_test(empty_read_changes_nothing),
		cmocka_unit_test(only_the_unseen_part_is_summed),
		cmocka_unit_test(damage_is_found_each_time_all_was_read),
		cmocka_unit_test(random_reads_tell_at_the_last_byte),
		cmocka_unit_test(too_many_ranges_do_not_hide_the_value),
	};

	return cmocka_run_group_tests_name("verify", tests, fill_value, NULL);
}
