/* core/workspace_rename: files and directories that get another name. */
#include "tests/mount_support.h"

#define NOREPLACE 1U /* of renameat2(2) */
#define EXCHANGE  2U

/* --- variables ---------------------------------------------------------------- */

static void variable_takes_its_sidecars_along(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(mv(&m, "a", "dir/z"), 0);
	assert_listed(&m, "", "b.shape b.dtype b dir ");
	assert_typed(&m, "dir/z", "int8", "[3]", "one");
	w = variable(&m, "dir/z");
	assert_ptr_equal(v, w);
	commit(&m);
	assert_keys(&m, "b dir/c dir/z ");
	assert_on_disk(&m, "dir/z", "one");
	assert_int_equal(logged()->lines, 0);
}

/* mv dense/kernel* other/ */
static void sidecars_that_follow_their_value_are_moved_in_vain(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv_as(&m, "a", "dir/a", NOREPLACE), 0);
	assert_int_equal(mv_as(&m, "a.dtype", "dir/a.dtype", NOREPLACE), 0);
	assert_int_equal(mv_as(&m, "a.shape", "dir/a.shape", NOREPLACE), 0);
	assert_missing(&m, "a.shape");
	assert_missing(&m, "a.dtype");
	assert_typed(&m, "dir/a", "int8", "[3]", "one");
	commit(&m);
	assert_keys(&m, "b dir/a dir/c ");
}

static void sidecars_that_go_before_their_value_are_declarations(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a.dtype", "dir/a.dtype"), 0);
	assert_int_equal(mv(&m, "a.shape", "dir/a.shape"), 0);
	assert_int_equal(mv(&m, "a", "dir/a"), 0);
	assert_typed(&m, "dir/a", "int8", "[3]", "one");
	assert_listed(&m, "", "b.shape b.dtype b dir ");
	commit(&m);
	assert_keys(&m, "b dir/a dir/c ");
}

static void typed_variable_replaces_another_whatever_its_shape(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv_as(&m, "dir/c", "a", NOREPLACE), -EEXIST);
	assert_int_equal(mv(&m, "dir/c", "a"), 0);
	assert_typed(&m, "a", "int8", "[5]", "three");
	commit(&m);
	assert_keys(&m, "a b ");
	assert_on_disk(&m, "a", "three");
	assert_listed(&m, "dir", "");
}

/* As rsync, sed -i and every other tool that makes a file and renames it. */
static void untyped_file_takes_the_type_of_what_it_replaces(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), 0);
	assert_int_equal(put(&m, ".a.X1y2z3", "ONE"), 0);
	assert_int_equal(mv(&m, ".a.X1y2z3", "a"), 0);
	assert_typed(&m, "a", "int8", "[3, 1]", "ONE");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "ONE");
}

static void untyped_file_that_does_not_fit_is_refused_and_kept_aside(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "tmp", "four"), 0);
	assert_int_equal(mv(&m, "tmp", "a"), -EINVAL);
	assert_int_equal(logged()->lines, 1);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_content(&m, "tmp", "four");
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_typed(&m, "a", "int8", "[4]", "four");
	assert_int_equal(rm(&m, "tmp"), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "four");
}

/* What rsync does where the sidecars came first. */
static void untyped_file_takes_the_type_that_was_declared(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "[2]"), 0);
	assert_int_equal(put(&m, "v.shape", "[2]"), 0);
	assert_int_equal(put(&m, "v.dtype", "int16"), 0);
	assert_int_equal(put(&m, ".a.tmp", "AB"), 0);
	assert_int_equal(put(&m, ".v.tmp", "1234"), 0);
	assert_int_equal(mv(&m, ".a.tmp", "a"), 0);
	assert_int_equal(mv(&m, ".v.tmp", "v"), 0);
	assert_typed(&m, "a", "int8", "[2]", "AB");
	assert_typed(&m, "v", "int16", "[2]", "1234");
	commit(&m);
	assert_keys(&m, "a b dir/c v ");
}

static void untyped_file_takes_the_type_of_what_was_removed(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(put(&m, "tmp", "ONE"), 0);
	assert_int_equal(mv(&m, "tmp", "a"), 0);
	assert_typed(&m, "a", "int8", "[3]", "ONE");
	pass_time(1100);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "ONE");
}

/* gedit, and every library that writes atomically. */
static void file_that_was_synced_takes_the_type_of_what_it_replaces(
	void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "tmp", "ONE"), 0);
	v = variable(&m, "tmp");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_int_equal(mv(&m, "tmp", "a"), 0);
	assert_typed(&m, "a", "int8", "[3]", "ONE");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "ONE");
}

static void synced_file_that_does_not_fit_is_refused_and_kept_aside(
	void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "tmp", "four"), 0);
	v = variable(&m, "tmp");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	forget_lines();
	assert_int_equal(mv(&m, "tmp", "a"), -EINVAL);
	assert_said("4 bytes are no value of int8 [3]");
	assert_content(&m, "tmp", "four");
	assert_content(&m, "a", "one");
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_typed(&m, "a", "int8", "[4]", "four");
}

/* An editor moves the old file away, and writes a new one. */
static void name_of_a_backup_leaves_its_type_behind(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a", "a~"), 0);
	assert_content(&m, "a~", "one");
	assert_missing(&m, "a");
	assert_int_equal(checkpoint_sync(m.cp, NULL), 0);
	assert_on_disk(&m, "a", "one");
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_typed(&m, "a", "int8", "[3]", "ONE");
	assert_int_equal(rm(&m, "a~"), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "ONE");
}

static void backup_can_be_moved_back(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a", "a~"), 0);
	pass_time(1100);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_keys(&m, "b dir/c ");
	assert_int_equal(mv(&m, "a~", "a"), 0);
	assert_typed(&m, "a", "int8", "[3]", "one");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "one");
	assert_int_equal(put(&m, "a", "ONE"), 0);
	commit(&m);
	assert_on_disk(&m, "a", "ONE");
}

static void variable_renamed_before_its_first_commit_is_stored_once(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "v", "int8", "[1]", "v");
	assert_int_equal(mv(&m, "v", "w"), 0);
	assert_int_equal(mv(&m, "w", "x"), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c x ");
}

static void variable_is_not_renamed_to_what_it_cannot_be(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a", "dir"), -EISDIR);
	assert_int_equal(mv(&m, "a", "x.d"), -EINVAL);
	assert_int_equal(mv(&m, "a", "b.shape"), -EINVAL);
	assert_int_equal(mv(&m, "nothing", "b"), -ENOENT);
	assert_int_equal(mv(&m, "a", "a"), 0);
	assert_typed(&m, "a", "int8", "[3]", "one");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

static void open_writer_follows_the_name(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, v, false), 0);
	assert_int_equal(variable_write(v, "O", 1, 0), 0);
	assert_int_equal(mv(&m, "a", "z"), 0);
	commit(&m);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	assert_false(checkpoint_close_writer(m.cp, v));
	assert_content(&m, "z", "One");
	commit(&m);
	assert_keys(&m, "b dir/c z ");
	assert_on_disk(&m, "z", "One");
}

/* --- directories ---------------------------------------------------------------- */

static void keys_below_a_directory_follow_its_name(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "dir/sub"), 0);
	put_typed(&m, "dir/sub/d", "int8", "[1]", "d");
	assert_int_equal(put(&m, "dir/untyped", "xyz"), 0);
	v = variable(&m, "dir/c");
	assert_int_equal(mv(&m, "dir", "other"), 0);
	w = variable(&m, "other/c");
	assert_ptr_equal(v, w);
	assert_missing(&m, "dir");
	commit(&m);
	assert_keys(&m, "a b other/c other/sub/d ");
	assert_int_equal(put(&m, "other/untyped.dtype", "int8"), 0);
	assert_int_equal(put(&m, "other/untyped.shape", "[3]"), 0);
	assert_int_equal(put(&m, "other/c", "THREE"), 0);
	commit(&m);
	assert_keys(&m, "a b other/c other/sub/d other/untyped ");
	assert_on_disk(&m, "other/c", "THREE");
}

static void directory_moves_beside_its_variable_and_back(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "dir", "a.d"), 0);
	assert_int_equal(mv(&m, "a.d", "a"), -ENOTDIR);
	commit(&m);
	assert_keys(&m, "a a/c b ");
	assert_int_equal(mv(&m, "a.d", "k.d"), 0);
	assert_missing(&m, "k");
	assert_int_equal(mv(&m, "k.d", "k"), 0);
	assert_missing(&m, "k.d");
	assert_content(&m, "k/c", "three");
	commit(&m);
	assert_keys(&m, "a b k/c ");
}

static void directory_replaces_an_empty_one_only(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "empty"), 0);
	assert_int_equal(make_dir(&m, "full"), 0);
	put_typed(&m, "full/x", "int8", "[1]", "x");
	assert_int_equal(mv(&m, "dir", "full"), -ENOTEMPTY);
	assert_int_equal(mv(&m, "dir", "a"), -ENOTDIR);
	assert_int_equal(mv(&m, "dir", "x.shape"), -EINVAL);
	assert_int_equal(mv_as(&m, "dir", "empty", NOREPLACE), -EEXIST);
	assert_int_equal(mv(&m, "dir", "empty"), 0);
	assert_content(&m, "empty/c", "three");
	commit(&m);
	assert_keys(&m, "a b empty/c full/x ");
}

static void directory_is_not_moved_into_itself(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "dir/sub"), 0);
	assert_int_equal(mv(&m, "dir", "dir/sub/x"), -EINVAL);
	assert_int_equal(mv(&m, "dir", "dir/x"), -EINVAL);
	assert_int_equal(mv_as(&m, "dir", "dir/sub", EXCHANGE), -EINVAL);
	assert_int_equal(mv(&m, "dir", "dir"), 0);
	assert_content(&m, "dir/c", "three");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

static void directory_that_was_left_stays(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "dir/c", "c"), 0);
	commit(&m);
	assert_keys(&m, "a b c ");
	assert_listed(&m, "dir", "");
	assert_int_equal(mv(&m, "c", "dir/c"), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variable_takes_its_sidecars_along),
		cmocka_unit_test(
			sidecars_that_follow_their_value_are_moved_in_vain),
		cmocka_unit_test(
			sidecars_that_go_before_their_value_are_declarations),
		cmocka_unit_test(
			typed_variable_replaces_another_whatever_its_shape),
		cmocka_unit_test(
			untyped_file_takes_the_type_of_what_it_replaces),
		cmocka_unit_test(
			untyped_file_that_does_not_fit_is_refused_and_kept_aside),
		cmocka_unit_test(untyped_file_takes_the_type_that_was_declared),
		cmocka_unit_test(
			untyped_file_takes_the_type_of_what_was_removed),
		cmocka_unit_test(
			file_that_was_synced_takes_the_type_of_what_it_replaces),
		cmocka_unit_test(
			synced_file_that_does_not_fit_is_refused_and_kept_aside),
		cmocka_unit_test(name_of_a_backup_leaves_its_type_behind),
		cmocka_unit_test(backup_can_be_moved_back),
		cmocka_unit_test(
			variable_renamed_before_its_first_commit_is_stored_once),
		cmocka_unit_test(variable_is_not_renamed_to_what_it_cannot_be),
		cmocka_unit_test(open_writer_follows_the_name),
		cmocka_unit_test(keys_below_a_directory_follow_its_name),
		cmocka_unit_test(directory_moves_beside_its_variable_and_back),
		cmocka_unit_test(directory_replaces_an_empty_one_only),
		cmocka_unit_test(directory_is_not_moved_into_itself),
		cmocka_unit_test(directory_that_was_left_stays),
	};

	return cmocka_run_group_tests_name("rename", tests, note_lines, NULL);
}
