/* core/stage: whatever is written in whatever order, it is what a file would be. */
#include "tests/stage_support.h"

static void value_written_in_order_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		uint64_t end;

		fixture_init(&f, sizes[i]);
		end = shard_length(&f);
		pair_init(&p, &f, true);
		for (size_t at = 0; at < sizes[i]; at += 131072)
			pair_write(&p, at,
				   sizes[i] - at < 131072 ? sizes[i] - at
							  : 131072,
				   77);
		assert_same(&p);
		assert_stores(&p, end);
		assert_old_value_stands(&f);
	}
}

static void value_written_backwards_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		size_t step = sizes[i] / 7 + 1;
		size_t at = sizes[i];

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, true);
		while (at > 0) {
			size_t n = at < step ? at : step;

			at -= n;
			pair_write(&p, at, n, (uint32_t)at);
		}
		assert_stores(&p, 0);
	}
}

static void overwriting_keeps_the_rest(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, false);
		pair_write(&p, sizes[i] / 2, 1, 5);
		assert_same(&p);
		assert_stores(&p, 0);
		assert_old_value_stands(&f);
	}
}

static void gap_reads_as_zeros(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, true);
		pair_write(&p, 3, 4, 1);
		pair_resize(&p, sizes[i]);
		assert_same(&p);
		pair_write(&p, sizes[i] - 9, 5, 2);
		assert_stores(&p, 0);
	}
}

/* What was cut off does not come back. */
static void cut_bytes_are_gone(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, false);
		pair_resize(&p, sizes[i] / 3);
		pair_resize(&p, sizes[i]);
		assert_same(&p);
		assert_stores(&p, 0);
	}
}

/* Any writes and cuts within `most` bytes; then it is made the right size. */
static void edit_at_random(size_t size, uint64_t most, uint32_t seed)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	uint64_t end;

	fixture_init(&f, size);
	end = shard_length(&f);
	pair_init(&p, &f, seed % 2);
	for (int i = 0; i < 12; i++) {
		uint64_t offset = next_random(&seed) % most;
		size_t n = next_random(&seed) % (most - offset);

		if (next_random(&seed) % 4 == 0)
			pair_resize(&p, offset);
		else
			pair_write(&p, offset, n, seed);
		assert_same(&p);
	}
	pair_resize(&p, size);
	assert_stores(&p, end);
	assert_old_value_stands(&f);
}

static void random_edits_are_those_of_a_file(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		edit_at_random(SMALL, SMALL, seed);
		edit_at_random(LIMIT + 1, LIMIT + 1, seed);
	}
	for (uint32_t seed = 1; seed <= 12; seed++)
		edit_at_random(LARGE, LARGE, seed);
}

/* Longer than the value in between, as a file may be until it is closed. */
static void random_edits_beyond_the_size_are_too(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 40; seed++) {
		edit_at_random(SMALL, 3000, seed);
		edit_at_random(LIMIT + 1, 131072, seed);
	}
	for (uint32_t seed = 1; seed <= 8; seed++)
		edit_at_random(LARGE, MODEL, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_written_in_order_is_taken),
		cmocka_unit_test(value_written_backwards_is_taken),
		cmocka_unit_test(overwriting_keeps_the_rest),
		cmocka_unit_test(gap_reads_as_zeros),
		cmocka_unit_test(cut_bytes_are_gone),
		cmocka_unit_test(random_edits_are_those_of_a_file),
		cmocka_unit_test(random_edits_beyond_the_size_are_too),
	};

	return cmocka_run_group_tests_name("stage", tests, note_lines, NULL);
}
