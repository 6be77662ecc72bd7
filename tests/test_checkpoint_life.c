/* core/checkpoint: what is committed and when, what is dropped, and what is told of it. */
#include "tests/mount_support.h"
#include "tests/object_names.h"

/* --- commits ------------------------------------------------------------------ */

static void one_commit_takes_all_changes(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct checkpoint_status s;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a", "ONE"), 0);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(mv(&m, "dir", "other"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(checkpoint_status(m.cp, &s), 0);
	assert_true(s.uncommitted >= 3);
	assert_int_equal(s.removals, 1);
	commit(&m);
	assert_keys(&m, "a other/c v ");
	assert_on_disk(&m, "a", "ONE");
	assert_int_equal(checkpoint_status(m.cp, &s), 0);
	assert_int_equal(s.uncommitted, 0);
	assert_int_equal(s.removals, 0);
	assert_true(s.last_commit_bytes > 0);
	assert_in_range(s.last_commit.tv_sec, time(NULL) - 5, time(NULL) + 5);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_listed(&m, "", "a.shape a.dtype a v.shape v.dtype v other ");
	assert_int_equal(logged()->lines, 0);
}

static void next_mount_finds_what_was_committed(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "s", "string", "[2]", "x\ny\\\\\n");
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), 0);
	assert_int_equal(mv_as(&m, "a", "b", 2), 0);
	commit(&m);
	checkpoint_unref(m.cp);
	mount_open(&m, false);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_typed(&m, "b", "int8", "[3, 1]", "one");
	assert_typed(&m, "a", "int8", "[3]", "two");
	assert_typed(&m, "s", "string", "[2]", "x\ny\\\\\n");
}

static void nothing_to_commit_writes_nothing(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct stat before, after;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(fstatat(m.where.fd, INDEX_NAME, &before, 0), 0);
	assert_int_equal(make_dir(&m, "new"), 0);
	assert_int_equal(put(&m, "a.dtype", "int8"), 0);
	assert_int_equal(put(&m, "a.shape", "[7]"), 0);
	assert_int_equal(create(&m, "untyped"), 0);
	commit(&m);
	assert_int_equal(fstatat(m.where.fd, INDEX_NAME, &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void fsync_stores_what_has_no_type(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "four"), 0);
	v = variable(&m, "v");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_said("stored as uint8");
	assert_on_disk(&m, "v", "four");
	assert_int_equal(put(&m, "v.dtype", "int16"), 0);
	assert_int_equal(put(&m, "v.shape", "[2]"), 0);
	assert_typed(&m, "v", "int16", "[2]", "four");
	commit(&m);
	assert_on_disk(&m, "v", "four");
}

/* An fsync does not end a file: what is written behind it belongs to it. */
static void file_goes_on_after_an_fsync(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(create(&m, "v"), 0);
	v = variable(&m, "v");
	assert_int_equal(checkpoint_open_writer(m.cp, v, false), 0);
	assert_int_equal(variable_write(v, "one", 3, 0), 0);
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_int_equal(variable_write(v, "two", 3, 3), 0);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	assert_false(checkpoint_close_writer(m.cp, v));
	assert_content(&m, "v", "onetwo");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_on_disk(&m, "v", "onetwo");
}

static void type_that_was_declared_outlives_an_fsync(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v.dtype", "int16"), 0);
	assert_int_equal(put(&m, "v.shape", "[3]"), 0);
	assert_int_equal(create(&m, "v"), 0);
	v = variable(&m, "v");
	assert_int_equal(checkpoint_open_writer(m.cp, v, false), 0);
	assert_int_equal(variable_write(v, "one", 3, 0), 0);
	(void)checkpoint_sync(m.cp, v);
	assert_int_equal(variable_write(v, "two", 3, 3), 0);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	assert_false(checkpoint_close_writer(m.cp, v));
	assert_typed(&m, "v", "int16", "[3]", "onetwo");
}

static void end_of_the_mount_stores_what_has_no_type(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "four"), 0);
	assert_int_equal(create(&m, "empty"), 0);
	assert_int_equal(put(&m, "only.shape", "[3]"), 0);
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	forget_lines();
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_in_range(logged()->lines, 3, 4);
	assert_on_disk(&m, "v", "four");
	assert_on_disk(&m, "a", "one");
	assert_on_disk(&m, "b", NULL);
	assert_on_disk(&m, "only", NULL);
}

static void end_of_the_mount_stores_what_fits_no_declaration(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "four"), 0);
	assert_int_equal(put(&m, "v.shape", "[3]"), 0);
	assert_int_equal(put(&m, "v.dtype", "int8"), 0);
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_on_disk(&m, "v", "four");
}

/* --- commit=manual -------------------------------------------------------------- */

static void manual_commits_wait_for_a_word(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	m.config.manual = true;
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	pass_time(2000);
	commit(&m);
	assert_int_equal(checkpoint_sync(m.cp, NULL), 0);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_on_disk(&m, "a", "one");
	assert_on_disk(&m, "b", "two");
	assert_int_equal(checkpoint_commit_now(m.cp), 0);
	assert_on_disk(&m, "a", "ONE");
	assert_keys(&m, "a dir/c ");
}

/* Nor is it asked all the time whether there is anything to do. */
static void manual_commits_leave_the_thread_alone(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	m.config.manual = true;
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_true(m.delay >= 1000);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_true(m.delay >= 1000);
}

static void manual_commit_comes_at_the_end_of_the_mount(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	m.config.manual = true;
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_said("not committed by hand");
	assert_on_disk(&m, "a", "ONE");
}

/* --- abort ---------------------------------------------------------------------- */

static void abort_shows_what_is_on_disk(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	m.config.manual = true;
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(mv(&m, "dir/c", "z"), 0);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(put(&m, "untyped", "v"), 0);
	assert_int_equal(put(&m, "v2.shape", "[2]"), 0);
	assert_int_equal(checkpoint_abort(m.cp), 0);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_typed(&m, "b", "int8", "[3]", "two");
	assert_typed(&m, "dir/c", "int8", "[5]", "three");
	assert_missing(&m, "z");
	assert_missing(&m, "v");
	assert_missing(&m, "untyped");
	assert_missing(&m, "v2.shape");
	assert_int_equal(checkpoint_commit_now(m.cp), 0);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "one");
}

static void what_was_aborted_can_be_written_again(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	m.config.manual = true;
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(mv(&m, "b", "b~"), 0);
	assert_int_equal(put(&m, "tmp", "THREE"), 0);
	assert_int_equal(mv(&m, "tmp", "dir/c"), 0);
	assert_int_equal(checkpoint_abort(m.cp), 0);
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(put(&m, "b", "TWO"), 0);
	assert_int_equal(put(&m, "dir/c", "Three"), 0);
	assert_int_equal(checkpoint_commit_now(m.cp), 0);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "ONE");
	assert_on_disk(&m, "b", "TWO");
	assert_on_disk(&m, "dir/c", "Three");
}

static void declarations_are_aborted_too(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_int_equal(checkpoint_abort(m.cp), 0);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_int_equal(put(&m, "a", "ONE"), 0);
}

/* --- somebody else ---------------------------------------------------------------- */

static const char *const others[][2] = { { "a", "1111" },
					 { "dir/c", "three" } };

static void what_was_committed_goes_when_a_save_does_not_have_it(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(mv(&m, "b", "w"), 0);
	commit(&m);
	make_bundle(m.where.fd, 2, others);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_listed(&m, "", "a.shape a.dtype a dir ");
	assert_content(&m, "a", "1111");
}

static void what_was_not_committed_is_kept_beside_a_save(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(put(&m, "untyped", "xx"), 0);
	assert_int_equal(mv(&m, "b", "w"), 0);
	make_bundle(m.where.fd, 2, others);
	assert_int_equal(checkpoint_commit(m.cp), -ESTALE);
	assert_missing(&m, "v");
	assert_missing(&m, "w");
	assert_content(&m, "untyped", "xx"); /* nobody has stored it yet */
	assert_content(&m, "a", "1111");
	(void)checkpoint_commit(m.cp);
	assert_keys(&m, "a dir/c ");
	assert_int_equal(place_count(&m.where), 4); /* and PREFIX.kept-TIME */
}

/* Also where that shows before the commit begins, when its graph has no shard to go to. */
static void what_waits_for_a_graph_is_kept_beside_a_save(void **state)
{
	CLEANUP(mount_release) struct mount m;
	int files;

	(void)state;
	mount_program(&m);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(mv(&m, "model/dense", "model/encoder"), 0);
	make_bundle(m.where.fd, 2, others);
	files = place_count(&m.where);
	assert_int_equal(checkpoint_commit(m.cp), -ESTALE);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_keys(&m, "a dir/c ");
	assert_int_equal(place_count(&m.where), files + 2);
}

/* --- sizes by path ------------------------------------------------------------------ */

static void size_set_by_path_is_judged_at_once(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_truncate(m.cp, v, 3), 0);
	assert_int_equal(checkpoint_truncate(m.cp, v, 2), -EINVAL);
	assert_int_equal(checkpoint_truncate(m.cp, v, 0), -EINVAL);
	assert_content(&m, "a", "one");
	assert_false(variable_writing(v));
	assert_int_equal(put(&m, "a.shape", "[2]"), 0);
	assert_typed(&m, "a", "int8", "[2]", "on"); /* of a moment ago */
	assert_int_equal(put(&m, "a.shape", "[1]"), 0);
	assert_int_equal(checkpoint_truncate(m.cp, v, 1), 0);
	assert_typed(&m, "a", "int8", "[1]", "o");
}

static void copy_within_a_mount_takes_the_type_along(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *a = NULL;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), 0);
	assert_int_equal(create(&m, "v"), 0);
	a = variable(&m, "a");
	v = variable(&m, "v");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), 0);
	assert_int_equal(variable_copy(a, 0, v, 0, 1 << 20), 3);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	assert_false(checkpoint_close_writer(m.cp, v));
	assert_typed(&m, "v", "int8", "[3, 1]", "one");
	commit(&m);
	assert_on_disk(&m, "v", "one");
}

/* --- for who wants to know ------------------------------------------------------------ */

static int note_pending(void *arg, const char *kind, struct span path)
{
	buf_printf(arg, "%s %.*s\n", kind, (int)path.len,
		   (const char *)path.data);
	return 0;
}

static void what_is_pending_is_told(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(variable_unrefp) struct variable *a = NULL;
	struct checkpoint_status s;

	(void)state;
	mount_pairs(&m);
	a = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, a, false), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(put(&m, "dir/c.shape", "[6]"), 0);
	assert_int_equal(put(&m, "dir/u", "text"), 0);
	assert_int_equal(put(&m, "x~", "text"), 0);
	assert_int_equal(checkpoint_each_pending(m.cp, note_pending, &text), 0);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data,
			    "open a\ndeclared dir/c\nuntyped dir/u\n"
			    "scratch x~\nremoved b\n");
	assert_int_equal(checkpoint_status(m.cp, &s), 0);
	assert_string_equal(s.format, "V2");
	assert_int_equal(s.open_writes, 1);
	assert_int_equal(s.declarations, 1);
	assert_int_equal(s.untyped, 1);
	assert_int_equal(s.removals, 1);
	assert_int_equal(s.bytes, 11);
	assert_int_equal(s.dead_bytes, 0);
	(void)checkpoint_close_writer(m.cp, a);
}

static int note_entry(void *arg, const struct entry *e)
{
	buf_printf(arg, "%.*s:%d ", (int)entry_key(e).len,
		   (const char *)entry_key(e).data, (int)entry_size(e));
	return 0;
}

static void present_values_are_told_in_order(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "ab", "int8", "[1]", "x");
	assert_int_equal(mv(&m, "dir/c", "c"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(checkpoint_each_entry(m.cp, note_entry, &text), 0);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, "a:3 ab:1 c:5 ");
}

/* --- moved, and gone -------------------------------------------------------------------- */

static void moved_checkpoint_is_committed_to_where_it_is(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(dir_unrefp) struct dir *dir = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(checkpoint_hold(m.cp), 0);
	assert_on_disk(&m, "a", "ONE");
	assert_int_equal(
		linkat(m.where.fd, INDEX_NAME, m.where.fd, "best.index", 0), 0);
	assert_int_equal(linkat(m.where.fd, DATA_NAME, m.where.fd,
				"best.data-00000-of-00001", 0),
			 0);
	assert_int_equal(dir_new(dup(m.where.fd), &dir), 0);
	assert_int_equal(checkpoint_move(m.cp, dir, "best", "best"), 0);
	assert_int_equal(unlinkat(m.where.fd, INDEX_NAME, 0), 0);
	assert_int_equal(unlinkat(m.where.fd, DATA_NAME, 0), 0);
	checkpoint_resume(m.cp);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_content(&m, "a", "ONE");
	assert_int_equal(put(&m, "a", "1st"), 0);
	commit(&m);
	assert_int_equal(bundle_open(m.where.fd, "best", NULL, &b), 0);
	assert_int_equal(entry_crc32c(bundle_find(b, span_of("a"))),
			 crc32c_extend(0, "1st", 3));
	assert_int_equal(place_count(&m.where), 2);
}

static void retired_checkpoint_has_nothing_to_say(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	assert_false(checkpoint_empty(m.cp));
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	checkpoint_retire(m.cp);
	assert_int_equal(checkpoint_refresh(m.cp), -ENOENT);
	assert_true(lookup(&m, "a", &o) < 0);
	assert_true(create(&m, "x") < 0);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_on_disk(&m, "a", "one");
}

static void emptied_checkpoint_is_empty(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(rm(&m, "dir/c"), 0);
	assert_false(checkpoint_empty(m.cp));
	assert_int_equal(remove_dir(&m, "dir"), 0);
	assert_true(checkpoint_empty(m.cp));
	commit(&m);
	assert_keys(&m, "");
	put_typed(&m, "new", "int8", "[1]", "n");
	commit(&m);
	assert_keys(&m, "new ");
}

static void read_only_checkpoint_stays_as_it_is(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_init_as(&m, true);
	make_bundle(m.where.fd, ARRAY_SIZE(pairs), pairs);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_int_equal(create(&m, "x"), -EROFS);
	assert_int_equal(make_dir(&m, "x"), -EROFS);
	assert_int_equal(rm(&m, "a"), -EROFS);
	assert_int_equal(remove_dir(&m, "dir"), -EROFS);
	assert_int_equal(mv(&m, "a", "x"), -EROFS);
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), -EROFS);
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_commit_takes_all_changes),
		cmocka_unit_test(next_mount_finds_what_was_committed),
		cmocka_unit_test(nothing_to_commit_writes_nothing),
		cmocka_unit_test(fsync_stores_what_has_no_type),
		cmocka_unit_test(file_goes_on_after_an_fsync),
		cmocka_unit_test(type_that_was_declared_outlives_an_fsync),
		cmocka_unit_test(end_of_the_mount_stores_what_has_no_type),
		cmocka_unit_test(
			end_of_the_mount_stores_what_fits_no_declaration),
		cmocka_unit_test(manual_commits_wait_for_a_word),
		cmocka_unit_test(manual_commits_leave_the_thread_alone),
		cmocka_unit_test(manual_commit_comes_at_the_end_of_the_mount),
		cmocka_unit_test(abort_shows_what_is_on_disk),
		cmocka_unit_test(what_was_aborted_can_be_written_again),
		cmocka_unit_test(declarations_are_aborted_too),
		cmocka_unit_test(
			what_was_committed_goes_when_a_save_does_not_have_it),
		cmocka_unit_test(what_was_not_committed_is_kept_beside_a_save),
		cmocka_unit_test(what_waits_for_a_graph_is_kept_beside_a_save),
		cmocka_unit_test(size_set_by_path_is_judged_at_once),
		cmocka_unit_test(copy_within_a_mount_takes_the_type_along),
		cmocka_unit_test(what_is_pending_is_told),
		cmocka_unit_test(present_values_are_told_in_order),
		cmocka_unit_test(moved_checkpoint_is_committed_to_where_it_is),
		cmocka_unit_test(retired_checkpoint_has_nothing_to_say),
		cmocka_unit_test(emptied_checkpoint_is_empty),
		cmocka_unit_test(read_only_checkpoint_stays_as_it_is),
	};

	return cmocka_run_group_tests_name("checkpoint_life", tests, note_lines,
					   NULL);
}
