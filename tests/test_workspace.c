/* core/workspace: names that are made and removed, and what becomes of their keys. */
#include "core/name.h"
#include "tests/mount_support.h"

/* --- making ------------------------------------------------------------------- */

static void sidecars_before_the_value_make_its_type(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v.shape", "[2, -1]\n"), 0);
	assert_missing(&m, "v");
	assert_listed(&m, "",
		      "a.shape a.dtype a b.shape b.dtype b dir v.shape ");
	assert_content(&m, "v.shape", "[2, -1]\n");
	assert_int_equal(put(&m, "v.dtype", "int16"), 0);
	assert_int_equal(put(&m, "v", "12345678"), 0);
	assert_typed(&m, "v", "int16", "[2, 2]", "12345678");
	commit(&m);
	assert_on_disk(&m, "v", "12345678");
	assert_keys(&m, "a b dir/c v ");
	assert_int_equal(logged()->lines, 0);
}

static void sidecars_after_the_value_make_its_type(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "12345678"), 0);
	assert_content(&m, "v", "12345678");
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir v ");
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_int_equal(put(&m, "v.dtype", "float32"), 0);
	commit(&m);
	assert_keys(&m, "a b dir/c ");
	assert_int_equal(put(&m, "v.shape", "[1, 2]"), 0);
	assert_typed(&m, "v", "float32", "[1, 2]", "12345678");
	commit(&m);
	assert_on_disk(&m, "v", "12345678");
}

static void value_of_another_size_than_was_declared_is_refused(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v.shape", "[2]"), 0);
	assert_int_equal(put(&m, "v.dtype", "float32"), 0);
	assert_int_equal(put(&m, "v", "123"), -EINVAL);
	assert_int_equal(logged()->lines, 1);
	assert_missing(&m, "v");
	assert_content(&m, "v.shape", "[2]\n");
	/* Within ten seconds a sidecar that fits brings it back. */
	assert_int_equal(put(&m, "v.shape", "[3]"), 0);
	assert_missing(&m, "v");
	assert_int_equal(put(&m, "v.dtype", "int8"), 0);
	assert_typed(&m, "v", "int8", "[3]", "123");
}

static void refused_value_brings_back_nothing_that_was_removed(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(put(&m, "a.shape", "[2]"), 0);
	assert_int_equal(put(&m, "a.dtype", "int8"), 0);
	assert_int_equal(put(&m, "a", "ONE"), -EINVAL);
	assert_missing(&m, "a");
	commit(&m);
	assert_keys(&m, "b dir/c ");
}

static void refused_value_is_forgotten_after_ten_seconds(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a", "four"), -EINVAL);
	assert_content(&m, "a", "one");
	pass_time(11000);
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_typed(&m, "a", "int8", "[4]", "one"); /* a declaration */
	assert_int_equal(put(&m, "a", "four"), 0);
	assert_typed(&m, "a", "int8", "[4]", "four");
}

static void refused_value_is_taken_when_its_shape_comes(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a", "four"), -EINVAL);
	assert_int_equal(put(&m, "a.shape", "[2, 2]"), 0);
	assert_typed(&m, "a", "int8", "[2, 2]", "four");
	commit(&m);
	assert_on_disk(&m, "a", "four");
}

static void names_that_no_key_maps_to_are_refused(void **state)
{
	static const char *const bad[] = {
		"a%", "%41", "%", "%2e", "v.d", "a%2Fb", "%00x", ".weightfs"
	};
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = create(&m, bad[i]);

		if (r != -EINVAL)
			fail_msg("%s: %d", bad[i], r);
		r = mv(&m, "a", bad[i]);
		if (r != -EINVAL)
			fail_msg("mv a %s: %d", bad[i], r);
	}
	assert_int_equal(make_dir(&m, "x.shape"), -EINVAL);
	assert_int_equal(make_dir(&m, "a%"), -EINVAL);
	assert_int_equal(rm(&m, "a%"), -ENOENT);
	assert_int_equal(remove_dir(&m, "a%"), -ENOENT);
	assert_int_equal(mv(&m, "a%", "x"), -ENOENT);
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir ");
}

static void what_is_there_is_not_made_again(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(create(&m, "a"), -EEXIST);
	assert_int_equal(create(&m, "a.shape"), -EEXIST);
	assert_int_equal(create(&m, "dir"), -EEXIST);
	assert_int_equal(make_dir(&m, "dir"), -EEXIST);
	assert_int_equal(make_dir(&m, "a"), -EEXIST);
}

static void directory_beside_a_variable_is_called_d(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(make_dir(&m, "a.d"), 0);
	assert_missing(&m, "dir.d");
	put_typed(&m, "a.d/Adam", "int8", "[2]", "ad");
	commit(&m);
	assert_on_disk(&m, "a/Adam", "ad");
	/* And a variable that comes later makes room for itself. */
	assert_int_equal(make_dir(&m, "k.d"), 0);
	put_typed(&m, "k", "int8", "[1]", "k");
	put_typed(&m, "k.d/m", "int8", "[1]", "m");
	commit(&m);
	assert_keys(&m, "a a/Adam b dir/c k k/m ");
}

static void scratch_is_never_stored(void **state)
{
	static const char *const names[] = { ".a.swp", "a~",   ".#a",
					     "#a#",    "4913", ".nfs0001" };
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(put(&m, names[i], "text"), 0);
		assert_content(&m, names[i], "text");
	}
	assert_missing(&m, "a~.shape");
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_keys(&m, "a b dir/c ");
	assert_int_equal(rm(&m, "4913"), 0);
	assert_missing(&m, "4913");
}

static void scratch_with_a_sidecar_is_a_variable(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "4913", "text"), 0);
	assert_int_equal(put(&m, "4913.dtype", "int8"), 0);
	assert_int_equal(put(&m, "4913.shape", "[4]"), 0);
	put_typed(&m, "x~", "int8", "[1]", "x"); /* sidecars first */
	commit(&m);
	assert_keys(&m, "4913 a b dir/c x~ ");
}

/* --- removing ----------------------------------------------------------------- */

static void removed_variable_goes_from_the_disk_after_a_second(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_listed(&m, "", "b.shape b.dtype b dir ");
	assert_int_equal(checkpoint_sync(m.cp, NULL), 0);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_on_disk(&m, "a", "one");
	assert_in_range(m.delay, 1, 1000);
	pass_time(1100);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_keys(&m, "b dir/c ");
}

static void removed_variable_goes_with_fsync_of_a_directory(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "dir/c"), 0);
	commit(&m);
	assert_keys(&m, "a b ");
	assert_listed(&m, "dir", "");
	assert_int_equal(remove_dir(&m, "dir"), 0);
	assert_missing(&m, "dir");
}

static void name_that_comes_back_keeps_type_and_place_on_disk(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(create(&m, "a"), 0);
	pass_time(1100);
	commit(&m);
	assert_on_disk(&m, "a", "one"); /* nothing has taken its place yet */
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_typed(&m, "a", "int8", "[3]", "ONE");
	commit(&m);
	assert_on_disk(&m, "a", "ONE");
}

/* rm dense/kernel* prints no error, and leaves nothing. */
static void sidecars_linger_for_who_removes_them_one_by_one(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(lookup(&m, "a.shape", &o), 0);
	assert_true(o.brief);
	object_release(&o);
	assert_int_equal(rm(&m, "a.dtype"), 0);
	assert_int_equal(rm(&m, "a.dtype"), -ENOENT);
	assert_int_equal(rm(&m, "a.shape"), 0);
	assert_int_equal(rm(&m, "a.shape"), -ENOENT);
	assert_int_equal(lookup(&m, "a.shape", &o), -EAGAIN);
	assert_int_equal(rm(&m, "b"), 0);
	pass_time(61000);
	assert_int_equal(rm(&m, "b.shape"), -ENOENT);
	assert_int_equal(lookup(&m, "b.shape", &o), -ENOENT);
}

static void directory_of_lingering_sidecars_is_empty(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(remove_dir(&m, "dir"), -ENOTEMPTY);
	assert_int_equal(rm(&m, "dir"), -EISDIR);
	assert_int_equal(remove_dir(&m, "a"), -ENOTDIR);
	assert_int_equal(rm(&m, "dir/c"), 0);
	assert_int_equal(remove_dir(&m, "dir"), 0);
	assert_int_equal(remove_dir(&m, "dir"), -ENOENT);
	assert_int_equal(rm(&m, "nothing"), -ENOENT);
}

static void removed_sidecar_is_back_after_a_second(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a.shape"), 0);
	assert_int_equal(rm(&m, "a.dtype"), 0);
	assert_listed(&m, "", "a b.shape b.dtype b dir ");
	assert_in_range(m.delay, 0, 1000);
	pass_time(1100);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir ");
}

static void removed_sidecar_can_be_made_anew(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a.shape"), 0);
	assert_int_equal(put(&m, "a.shape", "[3, 1]"), 0);
	assert_typed(&m, "a", "int8", "[3, 1]", "one");
}

static void value_made_anew_has_to_fit_what_was_removed(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(put(&m, "a", "four"), -EINVAL);
	assert_typed(&m, "a", "int8", "[3]", "one");
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(put(&m, "a", "ONE"), 0);
	assert_typed(&m, "a", "int8", "[3]", "ONE");
}

static void value_renamed_while_it_is_made_anew_replaces_nothing(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(create(&m, "a"), 0);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), 0);
	assert_int_equal(variable_write(v, "four", 4, 0), 0);
	assert_int_equal(mv(&m, "a", "v"), 0);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	(void)checkpoint_close_writer(m.cp, v);
	assert_missing(&m, "a");
	assert_content(&m, "v", "four");
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_keys(&m, "b dir/c v ");
	assert_on_disk(&m, "v", "four");
}

static void bytes_that_both_sidecars_do_not_fit_are_stored(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "three"), 0);
	assert_int_equal(put(&m, "v.dtype", "int32"), 0);
	assert_int_equal(put(&m, "v.shape", "[7]"), 0);
	assert_content(&m, "v", "three");
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_on_disk(&m, "v", "three");
}

static void bytes_of_no_type_leave_nothing_to_fit(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v", "three"), 0);
	v = variable(&m, "v");
	assert_int_equal(checkpoint_sync(m.cp, v), 0);
	assert_int_equal(rm(&m, "v"), 0);
	assert_int_equal(put(&m, "v", "longer"), 0);
	assert_content(&m, "v", "longer");
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_on_disk(&m, "v", "longer");
}

static void removed_declaration_is_void(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "v.shape", "[3]"), 0);
	assert_int_equal(rm(&m, "v.shape"), 0);
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir ");
	assert_int_equal(put(&m, "a.shape", "[4]"), 0);
	assert_int_equal(rm(&m, "a.shape"), 0);
	assert_int_equal(create(&m, "a.shape"), 0);
	assert_content(&m, "a.shape", "[3]\n");
	assert_int_equal(put(&m, "a", "ONE"), 0);
}

static void unlinked_file_is_written_to_in_vain(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(rm(&m, "a"), 0);
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	assert_reads(v, "ONE");
	commit(&m);
	assert_keys(&m, "b dir/c ");
	assert_missing(&m, "a");
}

static void garbage_in_a_lingering_sidecar_leaves_nothing(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(object_release) struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "dir/c"), 0);
	o = object(&m, "dir/c.shape");
	assert_int_equal(checkpoint_set_sidecar(m.cp, o.variable, FACET_SHAPE,
						span_of("garbage"), 0),
			 -EINVAL);
	assert_int_equal(rm(&m, "dir/c.shape"), 0);
	assert_int_equal(rm(&m, "dir/c.dtype"), 0);
	assert_listed(&m, "dir", "");
	assert_int_equal(remove_dir(&m, "dir"), 0);
}

/* As tar x, which opens the sidecar that lingers and writes it. */
static void lingering_sidecar_that_is_written_declares(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(object_release) struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	assert_int_equal(rm(&m, "a"), 0);
	o = object(&m, "a.shape");
	assert_int_equal(checkpoint_set_sidecar(m.cp, o.variable, FACET_SHAPE,
						span_of("[2, 2]"), 0),
			 0);
	assert_content(&m, "a.shape", "[2, 2]\n");
	assert_int_equal(put(&m, "a", "four"), 0);
	assert_typed(&m, "a", "int8", "[2, 2]", "four");
	commit(&m);
	assert_on_disk(&m, "a", "four");
}

/* --- sidecars ------------------------------------------------------------------ */

static void sidecar_that_fits_takes_effect_at_once(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "3 1"), 0);
	assert_int_equal(put(&m, "a.dtype", "DT_UINT8\n"), 0);
	assert_typed(&m, "a", "uint8", "[3, 1]", "one");
	assert_int_equal(put(&m, "a.shape", "no"), -EINVAL);
	assert_int_equal(put(&m, "a.dtype", "float"), -EINVAL);
	assert_typed(&m, "a", "uint8", "[3, 1]", "one");
	commit(&m);
	assert_on_disk(&m, "a", "one");
}

static void sidecar_that_does_not_fit_waits_for_the_value(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.dtype", "int16"), 0);
	assert_content(&m, "a.dtype", "int16\n");
	commit(&m);
	assert_on_disk(&m, "a", "one");
	assert_int_equal(put(&m, "a", "123456"), 0);
	assert_typed(&m, "a", "int16", "[3]", "123456");
	commit(&m);
	assert_on_disk(&m, "a", "123456");
}

static void strings_are_lines(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "s", "string", "[2]", "one\ntwo\n");
	assert_typed(&m, "s", "string", "[2]", "one\ntwo\n");
	put_typed(&m, "t", "string", "[]", "one\ntwo\n");
	assert_typed(&m, "t", "string", "[]", "one\ntwo\n");
	assert_int_equal(put(&m, "s", "three\nfour"), 0);
	assert_content(&m, "s", "three\nfour\n");
	assert_int_equal(put(&m, "s", "one\n"), -EINVAL);
	assert_int_equal(put(&m, "s", "on\\e\ntwo\n"), -EINVAL);
	commit(&m);
	assert_int_equal(put(&m, "s.shape", "[1, 2]"), 0);
	assert_typed(&m, "s", "string", "[1, 2]", "three\nfour\n");
	assert_int_equal(put(&m, "s.dtype", "int8"), 0); /* a declaration */
	assert_int_equal(put(&m, "s", "xy"), 0);
	assert_typed(&m, "s", "int8", "[1, 2]", "xy");
}

static void scalar_string_can_be_emptied(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "s", "string", "[]", "text");
	assert_int_equal(put(&m, "s", ""), 0);
	assert_content(&m, "s", "");
	assert_int_equal(logged()->lines, 0);
	put_typed(&m, "e", "string", "[]", "");
	assert_typed(&m, "e", "string", "[]", "");
	commit(&m);
	assert_keys(&m, "a b dir/c e s ");
}

static void cut_names_can_be_made_where_the_mount_has_shown_them(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(buf_release) struct buf name = { 0 };
	char key[400], path[900];
	const char *const long_pairs[][2] = { { key, "one" } };

	(void)state;
	memset(key, 'x', sizeof(key));
	key[399] = 0;
	mount_init(&m);
	make_bundle(m.where.fd, 1, long_pairs);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	name_encode(span_of(key), true, 0, &name);
	buf_put(&name, "", 1);
	assert_content(&m, (char *)name.data, "one");
	assert_int_equal(make_dir(&m, "copy"), 0);
	(void)snprintf(path, sizeof(path), "copy/%s", (char *)name.data);
	put_typed(&m, path, "int8", "[3]", "two");
	commit(&m);
	(void)snprintf(path, sizeof(path), "copy/%s %s ", key, key);
	assert_keys(&m, path);
	name.data[name.len - 2] = name.data[name.len - 2] == '0' ? '1' : '0';
	assert_int_equal(create(&m, (char *)name.data), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sidecars_before_the_value_make_its_type),
		cmocka_unit_test(sidecars_after_the_value_make_its_type),
		cmocka_unit_test(
			value_of_another_size_than_was_declared_is_refused),
		cmocka_unit_test(
			refused_value_brings_back_nothing_that_was_removed),
		cmocka_unit_test(refused_value_is_forgotten_after_ten_seconds),
		cmocka_unit_test(refused_value_is_taken_when_its_shape_comes),
		cmocka_unit_test(names_that_no_key_maps_to_are_refused),
		cmocka_unit_test(what_is_there_is_not_made_again),
		cmocka_unit_test(directory_beside_a_variable_is_called_d),
		cmocka_unit_test(scratch_is_never_stored),
		cmocka_unit_test(scratch_with_a_sidecar_is_a_variable),
		cmocka_unit_test(
			removed_variable_goes_from_the_disk_after_a_second),
		cmocka_unit_test(
			removed_variable_goes_with_fsync_of_a_directory),
		cmocka_unit_test(
			name_that_comes_back_keeps_type_and_place_on_disk),
		cmocka_unit_test(
			sidecars_linger_for_who_removes_them_one_by_one),
		cmocka_unit_test(directory_of_lingering_sidecars_is_empty),
		cmocka_unit_test(removed_sidecar_is_back_after_a_second),
		cmocka_unit_test(removed_sidecar_can_be_made_anew),
		cmocka_unit_test(value_made_anew_has_to_fit_what_was_removed),
		cmocka_unit_test(
			value_renamed_while_it_is_made_anew_replaces_nothing),
		cmocka_unit_test(bytes_that_both_sidecars_do_not_fit_are_stored),
		cmocka_unit_test(bytes_of_no_type_leave_nothing_to_fit),
		cmocka_unit_test(removed_declaration_is_void),
		cmocka_unit_test(unlinked_file_is_written_to_in_vain),
		cmocka_unit_test(garbage_in_a_lingering_sidecar_leaves_nothing),
		cmocka_unit_test(lingering_sidecar_that_is_written_declares),
		cmocka_unit_test(sidecar_that_fits_takes_effect_at_once),
		cmocka_unit_test(sidecar_that_does_not_fit_waits_for_the_value),
		cmocka_unit_test(strings_are_lines),
		cmocka_unit_test(scalar_string_can_be_emptied),
		cmocka_unit_test(
			cut_names_can_be_made_where_the_mount_has_shown_them),
	};

	return cmocka_run_group_tests_name("workspace", tests, note_lines,
					   NULL);
}
