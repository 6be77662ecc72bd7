/* core/stage: what becomes of it in the end, and of a checkpoint that is damaged. */
#include "tests/stage_support.h"

/* --- how it ends ---------------------------------------------------------- */

/* Whether that is a value is for others to judge. */
static void bytes_of_another_size_than_expected_are_stored(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		CLEANUP(pair_release) struct pair q;
		uint64_t end;

		fixture_init(&f, sizes[i]);
		end = shard_length(&f);
		pair_init(&p, &f, true);
		pair_write(&p, 0, sizes[i] - 1, 1);
		assert_stores(&p, end);
		pair_init(&q, &f, true);
		pair_write(&q, 0, sizes[i], 1);
		pair_write(&q, sizes[i], 2, 1);
		assert_stores(&q, end);
	}
}

static void bytes_of_no_known_size_are_stored(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p = { 0 };
		uint64_t end;

		fixture_init(&f, sizes[i]);
		end = shard_length(&f);
		p.bytes = calloc(1, MODEL);
		assert_int_equal(stage_new(entry_shard(f.base), NULL,
					   STAGE_UNKNOWN, &p.stage),
				 0);
		for (size_t at = 0; at < sizes[i]; at += 50000)
			pair_write(&p, at,
				   sizes[i] - at < 50000 ? sizes[i] - at
							 : 50000,
				   (uint32_t)at);
		assert_stores(&p, end);
	}
}

/* What was not needed of the room that was taken for it is free. */
static void room_that_was_not_needed_is_given_back(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(extent_unrefp) struct extent *next = NULL;
	uint32_t crc;

	(void)state;
	fixture_init(&f, LARGE);
	pair_init(&p, &f, true);
	pair_write(&p, 0, 100, 1);
	assert_int_equal(stage_store(p.stage, stage_size(p.stage), &x, &crc),
			 0);
	assert_int_equal(shard_reserve(entry_shard(f.base), 100, &next), 0);
	assert_int_equal(extent_offset(next), extent_offset(x) + 100);
}

static void what_is_expected_can_be_said_until_something_is_written(
	void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint64_t end;
	uint32_t crc;

	(void)state;
	fixture_init(&f, LARGE);
	end = shard_length(&f);
	put_random(&bytes, LARGE, 1);
	assert_int_equal(
		stage_new(entry_shard(f.base), NULL, STAGE_UNKNOWN, &s), 0);
	stage_expect(s, LARGE);
	assert_int_equal(stage_write(s, bytes.data, LIMIT, 0), 0);
	assert_true(shard_length(&f) > end); /* in its room already */
	stage_expect(s, 5);
	assert_int_equal(stage_write(s, bytes.data, LARGE, 0), 0);
	assert_int_equal(stage_store(s, stage_size(s), &x, &crc), 0);
	assert_int_equal(extent_offset(x), end);
	assert_int_equal(crc, crc32c_extend(0, bytes.data, LARGE));
}

static void emptying_is_not_writing(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, false);
	assert_false(stage_written(p.stage));
	pair_resize(&p, 0);
	assert_false(stage_written(p.stage));
	pair_resize(&p, 1);
	assert_true(stage_written(p.stage));
}

static void what_it_begins_with_is_not_written(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	char read[8];

	(void)state;
	fixture_init(&f, SMALL);
	assert_int_equal(
		stage_new(entry_shard(f.base), NULL, STAGE_UNKNOWN, &s), 0);
	assert_int_equal(stage_load(s, "abc", 3), 0);
	assert_int_equal(stage_load(s, "def", 3), 0);
	assert_false(stage_written(s));
	assert_int_equal(stage_read(s, read, sizeof(read), 0), 6);
	assert_memory_equal(read, "abcdef", 6);
	assert_int_equal(stage_write(s, "X", 1, 2), 0);
	assert_true(stage_written(s));
}

static void stored_stage_takes_nothing_more(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	struct extent *x = NULL;
	uint32_t crc;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_stores(&p, 0);
	assert_int_equal(stage_write(p.stage, "x", 1, 0), -EBUSY);
	assert_int_equal(stage_resize(p.stage, 0), -EBUSY);
	assert_int_equal(stage_store(p.stage, stage_size(p.stage), &x, &crc),
			 -EBUSY);
	assert_int_equal(stage_end(p.stage, stage_changes(p.stage)), -EBUSY);
	assert_int_equal(stage_copy(p.stage, f.base), -EBUSY);
	assert_null(x);
}

static void ended_stage_takes_nothing_more(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_int_equal(stage_end(p.stage, stage_changes(p.stage)), 0);
	assert_int_equal(stage_write(p.stage, "x", 1, 0), -EBUSY);
}

/* Who has stored something else in its place did not see the last write. */
static void stage_that_was_written_to_meanwhile_does_not_end(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	uint64_t changes;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	changes = stage_changes(p.stage);
	pair_write(&p, 3, 5, 2);
	assert_int_equal(stage_end(p.stage, changes), -EAGAIN);
	changes = stage_changes(p.stage);
	assert_int_equal(stage_resize(p.stage, SMALL - 1), 0);
	assert_int_equal(stage_end(p.stage, changes), -EAGAIN);
	assert_int_equal(stage_end(p.stage, stage_changes(p.stage)), 0);
}

static void stage_that_was_cut_meanwhile_is_not_stored(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint32_t crc;

	(void)state;
	fixture_init(&f, SMALL);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_int_equal(stage_resize(p.stage, SMALL - 1), 0);
	assert_int_equal(stage_store(p.stage, SMALL, &x, &crc), -EAGAIN);
	assert_int_equal(stage_resize(p.stage, SMALL), 0);
	assert_int_equal(stage_store(p.stage, SMALL, &x, &crc), 0);
	assert_int_equal(stage_write(p.stage, "x", 1, 0), -EBUSY);
	stage_reopen(p.stage);
	assert_int_equal(stage_write(p.stage, "x", 1, 0), 0);
}

static void copy_of_a_value_has_its_checksum(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int known = 0; known < 2; known++) {
			CLEANUP(fixture_release) struct fixture f;
			CLEANUP(pair_release) struct pair p = { 0 };

			fixture_init(&f, sizes[i]);
			p.bytes = calloc(1, MODEL);
			assert_int_equal(stage_new(entry_shard(f.base), NULL,
						   known ? sizes[i]
							 : STAGE_UNKNOWN,
						   &p.stage),
					 0);
			assert_int_equal(stage_copy(p.stage, f.base), 0);
			assert_true(stage_written(p.stage));
			memcpy(p.bytes, f.value.data, sizes[i]);
			p.size = sizes[i];
			assert_same(&p);
			assert_int_equal(stage_copy(p.stage, f.base), -EBUSY);
			pair_write(&p, 0, 1, 9);
			assert_stores(&p, 0);
		}
	}
}

static void clone_is_a_stage_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;
		CLEANUP(pair_release) struct pair q = { 0 };

		fixture_init(&f, sizes[i]);
		pair_init(&p, &f, false);
		pair_write(&p, 0, 1, 3);
		assert_int_equal(stage_clone(p.stage, &q.stage), 0);
		q.bytes = malloc(MODEL);
		memcpy(q.bytes, p.bytes, MODEL);
		q.size = p.size;
		pair_write(&p, 0, 1, 4);
		assert_same(&q);
		assert_stores(&q, 0);
		assert_stores(&p, 0);
	}
}

static void dropped_stage_gives_its_room_back(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	struct stat before, after;
	int fd;

	(void)state;
	fixture_init(&f, LARGE);
	fd = shard_fd(entry_shard(f.base));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &before), 0);
	for (int i = 0; i < 10; i++) {
		CLEANUP(pair_release) struct pair p;

		pair_init(&p, &f, false);
		pair_write(&p, 7, 1000, 1);
		if (i % 2) /* by way of an unnamed file */
			pair_write(&p, LARGE, 1000, 1);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_in_range(after.st_blocks, before.st_blocks,
			before.st_blocks + 160);
	assert_old_value_stands(&f);
}

static void dropped_small_stage_leaves_the_shard_alone(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	uint64_t before;

	(void)state;
	fixture_init(&f, SMALL);
	before = shard_length(&f);
	{
		CLEANUP(pair_release) struct pair p;

		pair_init(&p, &f, false);
		pair_write(&p, 7, 10, 1);
	}
	assert_int_equal(shard_length(&f), before);
}

static void empty_value_can_be_written(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(pair_release) struct pair q;

	(void)state;
	fixture_init(&f, 0);
	pair_init(&p, &f, true);
	assert_int_equal(stage_write(p.stage, "", 0, 0), 0);
	assert_true(stage_written(p.stage));
	assert_stores(&p, 0);
	pair_init(&q, &f, true);
	assert_stores(&q, 0); /* also if nobody wrote it */
}

static void told_once(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(stage_unrefp) struct stage *s = NULL;

	(void)state;
	fixture_init(&f, SMALL);
	assert_int_equal(stage_new(entry_shard(f.base), NULL, SMALL, &s), 0);
	assert_true(stage_tell(s));
	assert_false(stage_tell(s));
}

/* --- a checkpoint that is damaged ----------------------------------------- */

static void damage(struct fixture *f)
{
	CLEANUP(close_fd)
	int fd = openat(f->where.fd, DATA_NAME, O_WRONLY | O_CLOEXEC);

	f->value.data[5] ^= 1;
	assert_int_equal(pwrite(fd, f->value.data + 5, 1, 5), 1);
}

/* dd conv=notrunc of the whole value over one whose bytes had changed. */
static void writing_all_over_a_damaged_value_repairs_it(void **state)
{
	static const size_t both[] = { SMALL, LARGE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		CLEANUP(fixture_release) struct fixture f;
		CLEANUP(pair_release) struct pair p;

		fixture_init(&f, both[i]);
		damage(&f);
		pair_init(&p, &f, false);
		pair_write(&p, 0, both[i], 3);
		assert_stores(&p, 0);
	}
}

/* The damage of what was not written over must not get a right checksum. */
static void writing_into_a_damaged_value_does_not_hide_it(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint32_t crc;
	int r;

	(void)state;
	fixture_init(&f, SMALL);
	damage(&f);
	pair_init(&p, &f, false);
	r = stage_write(p.stage, "x", 1, SMALL - 1);
	if (r == 0)
		r = stage_store(p.stage, stage_size(p.stage), &x, &crc);
	p.bytes[SMALL - 1] = 'x';
	if (r == 0)
		assert_int_not_equal(crc, crc32c_extend(0, p.bytes, SMALL));
	else
		assert_int_equal(r, -EIO);
}

/*
 * The shard ends in the middle of `w`, as while somebody is still copying it: what
 * the index names there is not ours to write to.
 */
static void bytes_that_the_index_names_are_never_written_to(void **state)
{
	CLEANUP(fixture_release) struct fixture f;
	CLEANUP(pair_release) struct pair p;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(close_fd) int fd = -1;
	uint32_t crc;

	(void)state;
	fixture_init(&f, SMALL);
	fd = openat(f.where.fd, DATA_NAME, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, SMALL + 1), 0);
	pair_init(&p, &f, true);
	pair_write(&p, 0, SMALL, 1);
	assert_true(stage_store(p.stage, stage_size(p.stage), &x, &crc) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_of_another_size_than_expected_are_stored),
		cmocka_unit_test(bytes_of_no_known_size_are_stored),
		cmocka_unit_test(room_that_was_not_needed_is_given_back),
		cmocka_unit_test(
			what_is_expected_can_be_said_until_something_is_written),
		cmocka_unit_test(emptying_is_not_writing),
		cmocka_unit_test(what_it_begins_with_is_not_written),
		cmocka_unit_test(stored_stage_takes_nothing_more),
		cmocka_unit_test(ended_stage_takes_nothing_more),
		cmocka_unit_test(
			stage_that_was_written_to_meanwhile_does_not_end),
		cmocka_unit_test(stage_that_was_cut_meanwhile_is_not_stored),
		cmocka_unit_test(copy_of_a_value_has_its_checksum),
		cmocka_unit_test(clone_is_a_stage_of_its_own),
		cmocka_unit_test(dropped_stage_gives_its_room_back),
		cmocka_unit_test(dropped_small_stage_leaves_the_shard_alone),
		cmocka_unit_test(empty_value_can_be_written),
		cmocka_unit_test(told_once),
		cmocka_unit_test(writing_all_over_a_damaged_value_repairs_it),
		cmocka_unit_test(writing_into_a_damaged_value_does_not_hide_it),
		cmocka_unit_test(
			bytes_that_the_index_names_are_never_written_to),
	};

	return cmocka_run_group_tests_name("stage_end", tests, note_lines,
					   NULL);
}
