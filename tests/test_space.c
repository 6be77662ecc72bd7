/* core/space: rooms that join and are cut, and those that wait. */
#include "core/space.h"
#include "tests/support.h"

#define END 64 /* of what the random test looks at */

static void assert_rooms(const struct rooms *r, size_t n,
			 const struct room *want)
{
	assert_int_equal(r->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r->at[i].offset, want[i].offset);
		assert_int_equal(r->at[i].size, want[i].size);
	}
}

static void neighbours_become_one(void **state)
{
	CLEANUP(rooms_release) struct rooms r = { 0 };
	const struct room apart[] = { { 0, 10 }, { 20, 10 } };
	const struct room one[] = { { 0, 30 } };

	(void)state;
	rooms_add(&r, apart[1]);
	rooms_add(&r, apart[0]);
	assert_rooms(&r, 2, apart);
	rooms_add(&r, (struct room){ 10, 10 });
	assert_rooms(&r, 1, one);
}

static void middle_that_is_cut_leaves_both_ends(void **state)
{
	CLEANUP(rooms_release) struct rooms r = { 0 };
	const struct room ends[] = { { 0, 10 }, { 20, 10 } };

	(void)state;
	rooms_add(&r, (struct room){ 0, 30 });
	rooms_cut(&r, (struct room){ 10, 10 });
	assert_rooms(&r, 2, ends);
}

static void first_room_that_fits_is_taken(void **state)
{
	CLEANUP(rooms_release) struct rooms r = { 0 };
	const struct room left[] = { { 0, 4 }, { 15, 3 }, { 30, 8 } };
	uint64_t offset = 0;

	(void)state;
	rooms_add(&r, (struct room){ 0, 4 });
	rooms_add(&r, (struct room){ 10, 8 });
	rooms_add(&r, (struct room){ 30, 8 });
	assert_true(rooms_take(&r, 5, &offset));
	assert_int_equal(offset, 10);
	assert_rooms(&r, 3, left);
	assert_false(rooms_take(&r, 9, &offset));
}

/* Rooms that touch or are empty would be seen as well: they have to be apart. */
static void assert_is(const struct rooms *r, const bool flags[END])
{
	size_t at = 0;

	for (size_t i = 0; i < END; i++) {
		bool in;

		if (at < r->n && i == r->at[at].offset + r->at[at].size)
			at++;
		in = at < r->n && i >= r->at[at].offset;
		assert_int_equal(in, flags[i]);
	}
	for (size_t i = 1; i < r->n; i++)
		assert_true(r->at[i].offset >
			    r->at[i - 1].offset + r->at[i - 1].size);
}

static void change_at_random(struct rooms *r, bool flags[END], unsigned random)
{
	uint64_t from = (random >> 8) % END;
	uint64_t size = (random >> 16) % 12;
	bool add = random >> 31;

	size = size < END - from ? size : END - from;
	if (add)
		rooms_add(r, (struct room){ from, size });
	else
		rooms_cut(r, (struct room){ from, size });
	memset(flags + from, add, size);
}

/* Whatever is added and cut, it is what a table of flags would say. */
static void rooms_are_what_flags_would_be(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed < 200; seed++) {
		CLEANUP(rooms_release) struct rooms r = { 0 };
		bool flags[END] = { false };
		unsigned random = seed;

		for (int step = 0; step < 100; step++) {
			random = random * 1664525 + 1013904223;
			change_at_random(&r, flags, random);
			assert_is(&r, flags);
		}
	}
}

static void only_what_waited_long_enough_is_collected(void **state)
{
	CLEANUP(space_release) struct space s = { 0 };
	CLEANUP(rooms_release) struct rooms r = { 0 };
	const struct room early[] = { { 0, 10 }, { 40, 10 } };

	(void)state;
	space_wait(&s, (struct room){ 40, 10 }, ROOM_OURS, 1000);
	space_wait(&s, (struct room){ 20, 10 }, ROOM_OURS, 2001);
	space_wait(&s, (struct room){ 0, 10 }, ROOM_OURS, 2000);
	assert_false(space_due(&s, ROOM_OURS, 999));
	assert_true(space_due(&s, ROOM_OURS, 1000));
	space_collect(&s, ROOM_OURS, 2000, &r);
	assert_rooms(&r, 2, early);
	assert_false(space_due(&s, ROOM_OURS, 2000));
	assert_true(space_due(&s, ROOM_OURS, 2001));
}

static void what_is_theirs_is_collected_apart(void **state)
{
	CLEANUP(space_release) struct space s = { 0 };
	CLEANUP(rooms_release) struct rooms r = { 0 };

	(void)state;
	space_wait(&s, (struct room){ 0, 10 }, ROOM_THEIRS, 0);
	assert_false(space_due(&s, ROOM_OURS, INT64_MAX));
	space_collect(&s, ROOM_OURS, INT64_MAX, &r);
	assert_int_equal(r.n, 0);
	assert_true(space_due(&s, ROOM_THEIRS, INT64_MAX));
	space_collect(&s, ROOM_THEIRS, INT64_MAX, &r);
	assert_int_equal(r.n, 1);
}

static void all_is_forgotten(void **state)
{
	CLEANUP(space_release) struct space s = { 0 };
	uint64_t offset;

	(void)state;
	space_wait(&s, (struct room){ 0, 10 }, ROOM_OURS, 0);
	rooms_add(&s.free, (struct room){ 20, 10 });
	space_forget(&s);
	assert_false(space_due(&s, ROOM_OURS, INT64_MAX));
	assert_false(rooms_take(&s.free, 1, &offset));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_become_one),
		cmocka_unit_test(middle_that_is_cut_leaves_both_ends),
		cmocka_unit_test(first_room_that_fits_is_taken),
		cmocka_unit_test(rooms_are_what_flags_would_be),
		cmocka_unit_test(only_what_waited_long_enough_is_collected),
		cmocka_unit_test(what_is_theirs_is_collected_apart),
		cmocka_unit_test(all_is_forgotten),
	};

	return cmocka_run_group_tests_name("space", tests, note_lines, NULL);
}
