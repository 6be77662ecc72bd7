/*
 * core/extent, and bundle_reclaim(): when room is free, and when it must not be.
 *
 * clock_gettime() is defined here as well, so that a minute need not be waited for.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/scene.h"

#define GRACE 60

static atomic_long skew; /* in seconds */

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
	int r = (int)syscall(SYS_clock_gettime, clock_id, tp);

	if (clock_id == CLOCK_MONOTONIC)
		tp->tv_sec += atomic_load(&skew);
	return r;
}

/* All of it is past its grace time then. */
static void pass_grace(const struct scene *s)
{
	atomic_fetch_add(&skew, GRACE + 1);
	bundle_reclaim(s->b, GRACE);
}

/* --- never named ------------------------------------------------------------ */

static void room_that_no_index_named_is_free_at_once(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	uint64_t offset;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	offset = entry_offset(e);
	assert_int_equal(offset, 2 * SIZE);
	assert_true(scene_has(&s, offset, 'x'));
	entry_unref(STEAL(e));
	assert_true(scene_has(&s, offset, 0));
	x = scene_reserve(&s, NULL, SIZE);
	assert_int_equal(extent_offset(x), offset);
}

static void room_is_used_as_long_as_one_entry_has_it(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(entry_unrefp) struct entry *other = NULL;
	CLEANUP(entry_unrefp) struct entry *third = NULL;
	const int64_t shape[] = { 2, (int64_t)SIZE / 2 };

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	assert_int_equal(entry_rename(e, span_of("c"), &other), 0);
	assert_int_equal(
		entry_retype(other, 4, (struct shape){ 2, shape }, &third), 0);
	assert_ptr_equal(entry_extent(e), entry_extent(third));
	entry_unref(STEAL(e));
	entry_unref(STEAL(other));
	assert_true(scene_has(&s, entry_offset(third), 'x'));
}

static void what_is_behind_a_shrunk_room_is_free(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(extent_unrefp) struct extent *y = NULL;

	(void)state;
	scene_init(&s);
	x = scene_reserve(&s, NULL, 3 * SIZE);
	extent_shrink(x, SIZE);
	assert_int_equal(extent_size(x), SIZE);
	y = scene_reserve(&s, NULL, 2 * SIZE);
	assert_int_equal(extent_offset(y), extent_offset(x) + SIZE);
}

static void room_that_is_too_small_is_left(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;

	(void)state;
	scene_init(&s);
	extent_unref(scene_reserve(&s, NULL, SIZE));
	x = scene_reserve(&s, NULL, SIZE + 1);
	assert_int_equal(extent_offset(x), 3 * SIZE);
}

static void empty_room_takes_none(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(extent_unrefp) struct extent *y = NULL;

	(void)state;
	scene_init(&s);
	x = scene_reserve(&s, NULL, 0);
	y = scene_reserve(&s, NULL, SIZE);
	assert_int_equal(extent_size(x), 0);
	assert_int_equal(extent_offset(y), 2 * SIZE);
}

/* --- named ------------------------------------------------------------------ */

static void room_of_ours_is_free_after_the_grace_time(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *early = NULL;
	CLEANUP(extent_unrefp) struct extent *late = NULL;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = scene_put(&s, "a", 'y');
	bundle_reclaim(s.b, GRACE);
	assert_true(scene_has(&s, was.offset, 'x'));
	early = scene_reserve(&s, NULL, SIZE);
	assert_true(extent_offset(early) > was.offset);

	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 0));
	late = scene_reserve(&s, NULL, SIZE);
	assert_int_equal(extent_offset(late), was.offset);
	assert_letter(&s, "a", 'y');
}

static void renamed_value_keeps_its_room(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *renamed = NULL;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	assert_int_equal(
		entry_rename(scene_find(&s, "a"), span_of("c"), &renamed), 0);
	was = (struct room){ entry_offset(renamed), entry_size(renamed) };
	scene_commit(&s, "a", renamed);
	entry_unref(STEAL(renamed));
	pass_grace(&s);
	assert_null(scene_find(&s, "a"));
	assert_letter(&s, "c", 'x');

	scene_commit(&s, "c", NULL);
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 0));
}

static void reader_of_ours_keeps_the_room(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *reader = NULL;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	reader = entry_ref(scene_find(&s, "a"));
	was = scene_put(&s, "a", 'y');
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 'x'));
	entry_unref(STEAL(reader));
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 0));
}

static void room_of_others_is_free_at_the_end(void **state)
{
	CLEANUP(scene_release) struct scene s;
	struct room was;

	(void)state;
	scene_init(&s);
	was = scene_put(&s, "a", 'x');
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 'a'));
	bundle_reclaim_all(s.b);
	assert_true(scene_has(&s, was.offset, 0));
	assert_letter(&s, "a", 'x');
	assert_letter(&s, "b", 'b');
}

static void bytes_that_another_entry_names_are_never_freed(void **state)
{
	CLEANUP(scene_release) struct scene s = { .where = place_make() };
	CLEANUP(maker_release) struct maker m;
	const int64_t n = (int64_t)SIZE;
	uint8_t letters[SIZE];
	struct proto p;

	(void)state;
	memset(letters, 'a', SIZE);
	maker_init(&m, HEADER);
	maker_add(&m, "a", (struct span){ letters, SIZE });
	proto_init(&p, INT8, 1, &n); /* the same bytes, and those before them */
	p.entry.size = n;
	p.entry.crc32c = crc32c_mask(crc32c_extend(0, letters, SIZE));
	maker_put(&m, "b", &p);
	maker_write(&m, s.where.fd);
	scene_open(&s);

	(void)scene_put(&s, "a", 'x');
	bundle_reclaim_all(s.b);
	assert_letter(&s, "b", 'a');
	(void)scene_put(&s, "b", 'y');
	bundle_reclaim_all(s.b);
	/* The other one has freed it by now, for all that it knew. */
	assert_letter(&s, "a", 'x');
	assert_letter(&s, "b", 'y');
}

static void half_that_another_entry_names_is_never_freed(void **state)
{
	CLEANUP(scene_release) struct scene s = { .where = place_make() };
	CLEANUP(maker_release) struct maker m;
	const int64_t n = (int64_t)SIZE;
	uint8_t letters[2 * SIZE];
	struct proto p;

	(void)state;
	memset(letters, 'a', 2 * SIZE);
	maker_init(&m, HEADER);
	maker_add(&m, "a", (struct span){ letters, 2 * SIZE });
	proto_init(&p, INT8, 1, &n);
	p.entry.offset = n;
	p.entry.size = n;
	p.entry.crc32c = crc32c_mask(crc32c_extend(0, letters, SIZE));
	maker_put(&m, "b", &p);
	maker_write(&m, s.where.fd);
	scene_open(&s);

	(void)scene_put(&s, "a", 'x');
	bundle_reclaim_all(s.b);
	assert_true(scene_has(&s, 0, 0));
	assert_letter(&s, "b", 'a');
}

/* --- what must not be freed ------------------------------------------------- */

static void replace_index(const struct scene *s)
{
	CLEANUP(buf_release) struct buf index = { 0 };

	get_file(s->where.fd, INDEX_NAME, &index);
	replace_file(s->where.fd, INDEX_NAME, buf_span(&index));
}

static void index_of_somebody_else_ends_all_claims(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(buf_release) struct buf backup = { 0 };
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	get_file(s.where.fd, INDEX_NAME, &backup);
	was = scene_put(&s, "a", 'y');
	/* The index of before comes back, and nobody has read it yet. */
	replace_file(s.where.fd, INDEX_NAME, buf_span(&backup));
	pass_grace(&s);
	assert_letter(&s, "a", 'x');
	scene_open(&s);
	pass_grace(&s);
	bundle_reclaim_all(s.b);
	assert_letter(&s, "a", 'x');
	x = scene_reserve(&s, NULL, SIZE);
	assert_int_not_equal(extent_offset(x), was.offset);
}

static void free_room_is_forgotten_with_the_index(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(extent_unrefp) struct extent *early = NULL;

	(void)state;
	scene_init(&s);
	early = scene_reserve(&s, NULL, SIZE);
	extent_unref(scene_reserve(&s, NULL, SIZE));
	replace_index(&s);
	scene_open(&s);
	extent_unref(STEAL(early));
	x = scene_reserve(&s, NULL, SIZE);
	assert_int_equal(extent_offset(x), 4 * SIZE);
}

static void hard_link_keeps_what_it_has(void **state)
{
	CLEANUP(scene_release) struct scene s;
	struct room ours, theirs;

	(void)state;
	scene_init(&s);
	theirs = scene_put(&s, "a", 'x');
	ours = scene_put(&s, "a", 'y');
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "backup", 0),
			 0);
	pass_grace(&s);
	bundle_reclaim_all(s.b);
	assert_true(scene_has(&s, ours.offset, 'x'));
	assert_true(scene_has(&s, theirs.offset, 'a'));
}

/* What was free before the link came is not written to, either. */
static void free_room_of_a_linked_shard_is_not_reused(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	CLEANUP(extent_unrefp) struct extent *x = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(bundle_shard(s.b, NULL, &shard), 0);
	extent_unref(scene_reserve(&s, NULL, SIZE));
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "backup", 0),
			 0);
	assert_int_equal(shard_reserve(shard, SIZE, &x), 0);
	assert_int_equal(extent_offset(x), 3 * SIZE);
}

static void assert_link_keeps(const char *prefix, bool absolute)
{
	CLEANUP(scene_release) struct scene s;
	char target[128], name[128];
	struct room was;

	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = scene_put(&s, "a", 'y');
	(void)snprintf(target, sizeof(target), "%s%s" DATA_NAME,
		       absolute ? s.where.path : "", absolute ? "/" : "");
	(void)snprintf(name, sizeof(name), "%s.data-00000-of-00001", prefix);
	assert_int_equal(symlinkat(target, s.where.fd, name), 0);
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 'x'));
}

static void symbolic_link_keeps_what_it_leads_to(void **state)
{
	(void)state;
	assert_link_keeps("backup", false);
	assert_link_keeps("backup", true);
}

static void symbolic_link_to_something_else_keeps_nothing(void **state)
{
	CLEANUP(scene_release) struct scene s;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = scene_put(&s, "a", 'y');
	assert_int_equal(symlinkat("/nowhere/else", s.where.fd,
				   "other.data-00000-of-00001"),
			 0);
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 0));
}

static void shard_that_somebody_has_lengthened_is_left_alone(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(close_fd) int fd = -1;
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = scene_put(&s, "a", 'y');
	fd = openat(s.where.fd, DATA_NAME, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "more", 4), 4);
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 'x'));
}

static void replaced_shard_is_left_alone(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(buf_release) struct buf data = { 0 };
	struct room was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = scene_put(&s, "a", 'y');
	get_file(s.where.fd, DATA_NAME, &data);
	replace_file(s.where.fd, DATA_NAME, buf_span(&data));
	pass_grace(&s);
	assert_true(scene_has(&s, was.offset, 'x'));
}

/* --- many threads ----------------------------------------------------------- */

static struct scene shared;

/* What is reserved is nobody else's: every byte stays as it was written. */
static void *use_rooms(void *arg)
{
	uint8_t mine[4096], found[4096];

	memset(mine, *(const char *)arg, sizeof(mine));
	for (int i = 0; i < 300; i++) {
		size_t n = 1000 + (size_t)(i * 7) % 3000;
		struct extent *x = scene_reserve(&shared, NULL, n);
		struct shard *s = extent_shard(x);

		assert_int_equal(shard_write(s, mine, n, extent_offset(x)), 0);
		if (i % 3 == 0)
			extent_shrink(x, n / 2);
		assert_int_equal(io_read_at(shard_fd(s), found, extent_size(x),
					    extent_offset(x)),
				 0);
		assert_memory_equal(found, mine, extent_size(x));
		extent_unref(x);
	}
	return NULL;
}

static void rooms_of_many_threads_are_apart(void **state)
{
	char letters[] = "pqrst";
	pthread_t threads[5];
	uint64_t size;

	(void)state;
	scene_init(&shared);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_rooms,
						&letters[i]),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	size = shard_end(entry_shard(scene_find(&shared, "a")));
	assert_true(size < 3 * SIZE);
	assert_letter(&shared, "b", 'b');
	scene_release(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_that_no_index_named_is_free_at_once),
		cmocka_unit_test(room_is_used_as_long_as_one_entry_has_it),
		cmocka_unit_test(what_is_behind_a_shrunk_room_is_free),
		cmocka_unit_test(room_that_is_too_small_is_left),
		cmocka_unit_test(empty_room_takes_none),
		cmocka_unit_test(room_of_ours_is_free_after_the_grace_time),
		cmocka_unit_test(renamed_value_keeps_its_room),
		cmocka_unit_test(reader_of_ours_keeps_the_room),
		cmocka_unit_test(room_of_others_is_free_at_the_end),
		cmocka_unit_test(bytes_that_another_entry_names_are_never_freed),
		cmocka_unit_test(half_that_another_entry_names_is_never_freed),
		cmocka_unit_test(index_of_somebody_else_ends_all_claims),
		cmocka_unit_test(free_room_is_forgotten_with_the_index),
		cmocka_unit_test(hard_link_keeps_what_it_has),
		cmocka_unit_test(free_room_of_a_linked_shard_is_not_reused),
		cmocka_unit_test(symbolic_link_keeps_what_it_leads_to),
		cmocka_unit_test(symbolic_link_to_something_else_keeps_nothing),
		cmocka_unit_test(
			shard_that_somebody_has_lengthened_is_left_alone),
		cmocka_unit_test(replaced_shard_is_left_alone),
		cmocka_unit_test(rooms_of_many_threads_are_apart),
	};

	return cmocka_run_group_tests_name("extent", tests, note_lines, NULL);
}
