/* core/bundle_room: which shard a new value goes to, and what a shard is made for. */
#include "tests/scene.h"

#define SECOND "ckpt.data-00001-of-00001"

static int32_t chosen(const struct scene *s, const struct entry *old)
{
	CLEANUP(shard_unrefp) struct shard *shard = NULL;

	assert_int_equal(bundle_shard(s->b, old, &shard), 0);
	return shard_id(shard);
}

static bool exists(const struct scene *s, const char *name)
{
	return faccessat(s->where.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* `ckpt` of a value in each of three shards, of which `num` is written. */
static void scene_init_shards(struct scene *s)
{
	static const char *const keys[] = { "a", "b", "c" };
	CLEANUP(maker_release) struct maker m;
	const int64_t one = 1;

	*s = (struct scene){ .where = place_make() };
	maker_init(&m, ((struct span){ (const uint8_t *)"\x08\3", 2 }));
	for (int32_t i = 0; i < 3; i++) {
		char name[64];
		struct proto p;

		(void)snprintf(name, sizeof(name), "ckpt.data-%05d-of-00003",
			       i);
		put_file(s->where.fd, name, span_of(keys[i]));
		proto_init(&p, INT8, 1, &one);
		p.entry.shard_id = i;
		p.entry.size = 1;
		p.entry.crc32c = crc32c_mask(crc32c_extend(0, keys[i], 1));
		maker_put(&m, keys[i], &p);
	}
	maker_finish(&m);
	put_file(s->where.fd, INDEX_NAME, buf_span(&m.index));
	scene_open(s);
}

static void value_stays_in_its_shard(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init_shards(&s);
	assert_int_equal(chosen(&s, scene_find(&s, "a")), 0);
	assert_int_equal(chosen(&s, scene_find(&s, "b")), 1);
	assert_int_equal(chosen(&s, NULL), 2);
}

static void last_shard_that_may_be_edited_is_next(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init_shards(&s);
	assert_int_equal(linkat(s.where.fd, "ckpt.data-00000-of-00003",
				s.where.fd, "x", 0),
			 0);
	assert_int_equal(linkat(s.where.fd, "ckpt.data-00002-of-00003",
				s.where.fd, "y", 0),
			 0);
	assert_int_equal(chosen(&s, scene_find(&s, "a")), 1);
	assert_int_equal(chosen(&s, NULL), 1);
}

/* The file comes with the first value, and is named past all the others. */
static void assert_goes_to_a_second_shard(struct scene *s)
{
	CLEANUP(buf_release) struct buf before = { 0 };
	CLEANUP(buf_release) struct buf after = { 0 };
	struct stat st;

	get_file(s->where.fd, DATA_NAME, &before);
	assert_int_equal(fchmodat(s->where.fd, INDEX_NAME, 0604, 0), 0);
	scene_open(s);
	assert_int_equal(chosen(s, scene_find(s, "a")), 1);
	assert_false(exists(s, SECOND));
	(void)scene_put(s, "a", 'x');
	assert_int_equal(fstatat(s->where.fd, SECOND, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	assert_int_equal(bundle_num_shards(s->b), 1);
	assert_letter(s, "a", 'x');
	assert_letter(s, "b", 'b');

	/* There is one of them, in this state and in those that follow. */
	assert_int_equal(chosen(s, scene_find(s, "b")), 1);
	(void)scene_put(s, "b", 'y');
	assert_int_equal(chosen(s, scene_find(s, "a")), 1);
	bundle_reclaim_all(s->b);
	get_file(s->where.fd, DATA_NAME, &after);
	assert_true(span_equal(buf_span(&before), buf_span(&after)));
}

static void linked_shard_is_not_edited(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "backup", 0),
			 0);
	assert_goes_to_a_second_shard(&s);
}

static void shard_behind_a_symbolic_link_is_not_edited(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(
		renameat(s.where.fd, DATA_NAME, s.where.fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", s.where.fd, DATA_NAME), 0);
	assert_goes_to_a_second_shard(&s);
}

static void shard_that_another_checkpoint_links_to_is_not_edited(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(symlinkat(DATA_NAME, s.where.fd,
				   "copy.data-00000-of-00001"),
			 0);
	assert_goes_to_a_second_shard(&s);
}

static void new_shard_is_past_files_that_are_there(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	put_file(s.where.fd, SECOND, span_of("theirs"));
	assert_int_equal(chosen(&s, NULL), 2);
}

static void new_shard_is_found_again_by_a_new_index(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(buf_release) struct buf index = { 0 };
	CLEANUP(shard_unrefp) struct shard *first = NULL;
	CLEANUP(shard_unrefp) struct shard *second = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	(void)scene_put(&s, "a", 'x');
	assert_int_equal(bundle_shard(s.b, NULL, &first), 0);
	get_file(s.where.fd, INDEX_NAME, &index);
	replace_file(s.where.fd, INDEX_NAME, buf_span(&index));
	scene_open(&s);
	assert_int_equal(bundle_shard(s.b, NULL, &second), 0);
	assert_ptr_equal(first, second);
}

static void new_shard_that_nothing_came_to_goes_at_the_end(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	extent_unref(scene_reserve(&s, NULL, SIZE));
	assert_true(exists(&s, SECOND));
	bundle_reclaim_all(s.b);
	assert_false(exists(&s, SECOND));
	assert_true(exists(&s, DATA_NAME));
}

/* Also when its values have gone: who opened that index may still read them. */
static void new_shard_that_was_named_stays(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	(void)scene_put(&s, "c", 'x');
	scene_commit(&s, "c", NULL);
	bundle_reclaim_all(s.b);
	assert_true(exists(&s, SECOND));
}

/* An index must never name a file that has gone: its values are in another one then. */
static void values_of_a_new_shard_that_was_deleted_are_written_anew(
	void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	e = scene_write(&s, "a", 'x');
	assert_int_equal(unlinkat(s.where.fd, SECOND, 0), 0);
	assert_int_equal(edit_new(&edit), 0);
	assert_int_equal(edit_put(edit, e, NULL), 0);
	assert_int_equal(scene_try(&s, edit), 0);
	assert_int_equal(s.report.outcome, COMMIT_VISIBLE);
	assert_letter(&s, "a", 'x');
	assert_true(exists(&s, SECOND));
}

static void ids_without_end_leave_no_room(void **state)
{
	CLEANUP(scene_release) struct scene s = { .where = place_make() };
	CLEANUP(maker_release) struct maker m;
	struct shard *shard = NULL;
	struct proto p;

	(void)state;
	maker_init(&m, HEADER);
	proto_init(&p, INT8, 0, NULL);
	p.entry.shard_id = INT32_MAX;
	p.entry.size = 1;
	maker_put(&m, "a", &p);
	maker_write(&m, s.where.fd);
	scene_open(&s);
	forget_lines();
	assert_int_equal(bundle_shard(s.b, NULL, &shard), -EOPNOTSUPP);
	assert_said("no number for a new shard");
}

static void replaced_shard_is_stale(void **state)
{
	CLEANUP(scene_release) struct scene s;
	struct shard *shard = NULL;

	(void)state;
	scene_init(&s);
	replace_file(s.where.fd, DATA_NAME, span_of("new"));
	assert_int_equal(bundle_shard(s.b, scene_find(&s, "a"), &shard),
			 -ESTALE);
}

static void missing_shard_with_values_may_still_come(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(unlinkat(s.where.fd, DATA_NAME, 0), 0);
	scene_open(&s);
	assert_int_equal(chosen(&s, scene_find(&s, "a")), 1);
}

/* --- checkpoints that are made ---------------------------------------------- */

static void scene_create(struct scene *s)
{
	const struct stat like = { .st_mode = 0640 };

	*s = (struct scene){ .where = place_make() };
	assert_int_equal(bundle_create(s->where.fd, "ckpt", &like), 0);
	scene_open(s);
}

static void made_checkpoint_is_an_index(void **state)
{
	CLEANUP(scene_release) struct scene s;
	const struct stat like = { .st_mode = 0640 };
	const char *reason;
	struct stat st;

	(void)state;
	scene_create(&s);
	assert_int_equal(bundle_count(s.b), 0);
	assert_int_equal(bundle_num_shards(s.b), 1);
	assert_int_equal(bundle_writable(s.b, &reason), 0);
	assert_int_equal(fstatat(s.where.fd, INDEX_NAME, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(bundle_create(s.where.fd, "ckpt", &like), -EEXIST);
	assert_int_equal(place_count(&s.where), 1);
}

static void first_value_makes_the_shard(void **state)
{
	CLEANUP(scene_release) struct scene s;
	struct stat st;

	(void)state;
	scene_create(&s);
	assert_int_equal(chosen(&s, NULL), 0);
	assert_false(exists(&s, DATA_NAME));
	(void)scene_put(&s, "v", 'v');
	assert_int_equal(fstatat(s.where.fd, DATA_NAME, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	(void)scene_put(&s, "w", 'w');
	assert_letter(&s, "v", 'v');
	assert_letter(&s, "w", 'w');
}

/* TensorFlow wants to open the file even of a value that has no bytes. */
static void empty_value_makes_the_shard(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_create(&s);
	extent_unref(scene_reserve(&s, NULL, 0));
	assert_true(exists(&s, DATA_NAME));
}

static void shard_that_somebody_else_made_is_not_taken(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	CLEANUP(buf_release) struct buf data = { 0 };
	struct extent *x = NULL;

	(void)state;
	scene_create(&s);
	assert_int_equal(bundle_shard(s.b, NULL, &shard), 0);
	put_file(s.where.fd, DATA_NAME, span_of("theirs"));
	assert_int_equal(shard_reserve(shard, SIZE, &x), -ESTALE);
	get_file(s.where.fd, DATA_NAME, &data);
	assert_true(span_equal(buf_span(&data), span_of("theirs")));
}

static void emptied_checkpoint_is_filled_again(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_create(&s);
	(void)scene_put(&s, "v", 'v');
	scene_commit(&s, "v", NULL);
	assert_int_equal(bundle_count(s.b), 0);
	bundle_unref(STEAL(s.b));
	scene_open(&s);
	(void)scene_put(&s, "v", 'w');
	assert_letter(&s, "v", 'w');
}

/* --- status ----------------------------------------------------------------- */

static void bytes_are_data_or_dead(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(bundle_data_bytes(s.b), 2 * SIZE);
	assert_int_equal(bundle_dead_bytes(s.b), 0);
	(void)scene_put(&s, "a", 'x');
	assert_int_equal(bundle_data_bytes(s.b), 2 * SIZE);
	assert_int_equal(bundle_dead_bytes(s.b), SIZE);
	bundle_reclaim_all(s.b);
	assert_int_equal(bundle_dead_bytes(s.b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_stays_in_its_shard),
		cmocka_unit_test(last_shard_that_may_be_edited_is_next),
		cmocka_unit_test(linked_shard_is_not_edited),
		cmocka_unit_test(shard_behind_a_symbolic_link_is_not_edited),
		cmocka_unit_test(
			shard_that_another_checkpoint_links_to_is_not_edited),
		cmocka_unit_test(new_shard_is_past_files_that_are_there),
		cmocka_unit_test(new_shard_is_found_again_by_a_new_index),
		cmocka_unit_test(new_shard_that_nothing_came_to_goes_at_the_end),
		cmocka_unit_test(new_shard_that_was_named_stays),
		cmocka_unit_test(
			values_of_a_new_shard_that_was_deleted_are_written_anew),
		cmocka_unit_test(ids_without_end_leave_no_room),
		cmocka_unit_test(replaced_shard_is_stale),
		cmocka_unit_test(missing_shard_with_values_may_still_come),
		cmocka_unit_test(made_checkpoint_is_an_index),
		cmocka_unit_test(first_value_makes_the_shard),
		cmocka_unit_test(empty_value_makes_the_shard),
		cmocka_unit_test(shard_that_somebody_else_made_is_not_taken),
		cmocka_unit_test(emptied_checkpoint_is_filled_again),
		cmocka_unit_test(bytes_are_data_or_dead),
	};

	return cmocka_run_group_tests_name("bundle_room", tests, note_lines,
					   NULL);
}
