/* core/workspace_rename: what is exchanged, and sidecars that get another name. */
#include "tests/mount_support.h"

#define NOREPLACE 1U /* of renameat2(2) */
#define EXCHANGE  2U

/* --- two at once ------------------------------------------------------------------ */

static void variables_are_exchanged(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv_as(&m, "a", "dir/c", EXCHANGE), 0);
	assert_typed(&m, "a", "int8", "[5]", "three");
	assert_typed(&m, "dir/c", "int8", "[3]", "one");
	assert_int_equal(mv_as(&m, "a", "nothing", EXCHANGE), -ENOENT);
	assert_int_equal(mv_as(&m, "a.shape", "b.shape", EXCHANGE), -EINVAL);
	assert_int_equal(mv_as(&m, "a", "a", EXCHANGE), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_on_disk(&m, "a", "three");
	assert_on_disk(&m, "dir/c", "one");
	assert_int_equal(put(&m, "a", "THREE"), 0);
	commit(&m);
	assert_on_disk(&m, "a", "THREE");
}

static void directories_are_exchanged(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "a.d"), 0);
	put_typed(&m, "a.d/c", "int8", "[1]", "c");
	put_typed(&m, "a.d/m", "int8", "[1]", "m");
	assert_int_equal(mv_as(&m, "a.d", "dir", EXCHANGE), 0);
	assert_content(&m, "a.d/c", "three");
	assert_content(&m, "dir/m", "m");
	commit(&m);
	assert_keys(&m, "a a/c b dir/c dir/m ");
	assert_on_disk(&m, "dir/c", "c");
	assert_on_disk(&m, "a/c", "three");
}

static void variable_and_directory_are_exchanged(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv_as(&m, "a", "dir", EXCHANGE), 0);
	assert_content(&m, "dir", "one");
	assert_content(&m, "a/c", "three");
	commit(&m);
	assert_keys(&m, "a/c b dir ");
}

static void backup_exchanged_with_a_directory_is_stored(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a", "a~"), 0);
	assert_int_equal(rm(&m, "b"), 0);
	assert_int_equal(mv(&m, "dir", "b"), 0);
	assert_int_equal(mv_as(&m, "b", "a~", EXCHANGE), 0);
	assert_typed(&m, "b", "int8", "[3]", "one");
	commit(&m);
	assert_keys(&m, "a~/c b ");
	assert_on_disk(&m, "b", "one");
}

/* The directory would have the name of another. */
static void directory_is_not_exchanged_with_what_has_one_beside_it(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "a.d"), 0);
	put_typed(&m, "a.d/m", "int8", "[1]", "m");
	assert_true(mv_as(&m, "a", "dir", EXCHANGE) < 0);
	assert_true(mv_as(&m, "dir", "a", EXCHANGE) < 0);
	assert_content(&m, "a.d/m", "m");
	assert_content(&m, "a", "one");
	assert_content(&m, "dir/c", "three");
	commit(&m);
	assert_keys(&m, "a a/m b dir/c ");
}

/* --- sidecars ---------------------------------------------------------------------- */

static void file_renamed_onto_a_sidecar_writes_it(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "sedAbCdEf", "[1, 3]\n"), 0);
	assert_int_equal(mv(&m, "sedAbCdEf", "a.shape"), 0);
	assert_missing(&m, "sedAbCdEf");
	assert_typed(&m, "a", "int8", "[1, 3]", "one");
	assert_int_equal(put(&m, "tmp", "[2]\n"), 0);
	assert_int_equal(mv(&m, "tmp", "new.shape"), 0);
	assert_content(&m, "new.shape", "[2]\n");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

static void synced_file_renamed_onto_a_sidecar_writes_it(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "tmp", "[1, 3]\n"), 0);
	v = variable(&m, "tmp");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_int_equal(mv(&m, "tmp", "a.shape"), 0);
	assert_missing(&m, "tmp");
	assert_typed(&m, "a", "int8", "[1, 3]", "one");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

static void garbage_renamed_onto_a_sidecar_changes_nothing(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "tmp", "garbage"), 0);
	assert_int_equal(mv(&m, "tmp", "a.shape"), -EINVAL);
	assert_int_equal(mv(&m, "tmp", "new.shape"), -EINVAL);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_content(&m, "tmp", "garbage");
	assert_missing(&m, "new.shape");
}

static void sidecar_can_have_a_backup(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(mv(&m, "a.shape", "a.shape~"), 0);
	assert_content(&m, "a.shape~", "[3]\n");
	assert_int_equal(put(&m, "a.shape", "[1, 3]"), 0);
	assert_typed(&m, "a", "int8", "[1, 3]", "one");
	assert_int_equal(mv(&m, "a.shape~", "a.shape"), 0);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_int_equal(mv(&m, "a.shape", "b"), -EINVAL);
	assert_content(&m, "b", "two");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
}

static void text_of_a_sidecar_that_is_a_value_is_stored(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "v", "int8", "[4]", "four");
	assert_int_equal(rm(&m, "v"), 0);
	assert_int_equal(mv(&m, "a.shape", "v"), 0);
	assert_typed(&m, "v", "int8", "[4]", "[3]\n");
	commit(&m);
	assert_on_disk(&m, "v", "[3]\n");
}

static void sidecar_renamed_onto_another_writes_it(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "b.shape", "[3, 1]"), 0);
	assert_int_equal(mv_as(&m, "b.shape", "a.shape", NOREPLACE), -EEXIST);
	assert_int_equal(mv(&m, "b.shape", "a.shape"), 0);
	assert_typed(&m, "a", "int8", "[3, 1]", "one");
	assert_missing(&m, "b.shape");
	pass_time(1100);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_typed(&m, "b", "int8", "[3, 1]", "two");
	assert_int_equal(mv(&m, "no.shape", "a.shape"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_exchanged),
		cmocka_unit_test(directories_are_exchanged),
		cmocka_unit_test(variable_and_directory_are_exchanged),
		cmocka_unit_test(backup_exchanged_with_a_directory_is_stored),
		cmocka_unit_test(
			directory_is_not_exchanged_with_what_has_one_beside_it),
		cmocka_unit_test(file_renamed_onto_a_sidecar_writes_it),
		cmocka_unit_test(synced_file_renamed_onto_a_sidecar_writes_it),
		cmocka_unit_test(garbage_renamed_onto_a_sidecar_changes_nothing),
		cmocka_unit_test(sidecar_can_have_a_backup),
		cmocka_unit_test(text_of_a_sidecar_that_is_a_value_is_stored),
		cmocka_unit_test(sidecar_renamed_onto_another_writes_it),
	};

	return cmocka_run_group_tests_name("rename_more", tests, note_lines,
					   NULL);
}
