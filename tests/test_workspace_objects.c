/* core/workspace in object-based checkpoints: names, graph and keys go together. */
#include "tests/object_names.h"

#define KERNEL "model/dense/kernel"
#define SLOT_M "/.OPTIMIZER_SLOT/optimizer/m" VALUE

static struct object object_of_link(struct mount *m, const char *path)
{
	struct object o = object(m, path);

	assert_int_equal(o.facet, FACET_LINK);
	return o;
}

static void assert_leads_to(struct mount *m, const char *path, const char *want)
{
	CLEANUP(object_release) struct object o = object_of_link(m, path);
	CLEANUP(buf_release) struct buf text = { 0 };

	assert_int_equal(checkpoint_readlink(m->cp, o.node, &text), 0);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, want);
}

/* --- renaming ----------------------------------------------------------------- */

static void scope_that_is_renamed_takes_its_edge_keys_and_slots_along(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, "model/dense", "model/encoder"), 0);
	assert_missing(&m, "model/dense");
	commit(&m);
	assert_restores(&m, "model/encoder/kernel",
			"model/encoder/kernel" VALUE);
	assert_true(has_key(&m, "model/encoder/kernel" SLOT_M));
	assert_false(has_key(&m, KERNEL VALUE));
	assert_false(has_key(&m, KERNEL SLOT_M));
	assert_no_object(&m, "model/dense");
	assert_consistent(&m);
}

static void companion_goes_with_its_variable_and_lingers(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(make_dir(&m, "other"), 0);
	assert_int_equal(mv(&m, KERNEL, "other/kernel"), 0);
	assert_listed(&m, "model/dense", "bias.shape bias.dtype bias bias.d ");
	assert_listed(&m, "other",
		      "kernel.shape kernel.dtype kernel kernel.d ");
	/* A shell goes on with what its glob has found. */
	assert_int_equal(mv(&m, KERNEL ".d", "other/kernel.d"), 0);
	assert_int_equal(mv(&m, KERNEL ".dtype", "other/kernel.dtype"), 0);
	assert_int_equal(mv(&m, KERNEL ".shape", "other/kernel.shape"), 0);
	assert_missing(&m, KERNEL ".d");
	commit(&m);
	assert_restores(&m, "other/kernel", "other/kernel" VALUE);
	assert_true(has_key(&m, "other/kernel" SLOT_M));
	assert_consistent(&m);
}

static void lingering_companion_goes_after_a_minute_or_when_removed(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, KERNEL, "kernel"), 0);
	assert_listed(&m, KERNEL ".d", "");
	assert_int_equal(remove_dir(&m, KERNEL ".d"), 0);
	assert_missing(&m, KERNEL ".d");
	assert_int_equal(mv(&m, "model/dense/bias", "bias"), 0);
	pass_time(61000);
	assert_missing(&m, "model/dense/bias.d");
	assert_int_equal(remove_dir(&m, "model/dense"), 0);
	commit(&m);
	assert_consistent(&m);
}

static void two_variables_change_places_with_their_slots(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv_as(&m, KERNEL, "model/dense/bias", 2), 0);
	assert_content(&m, "model/dense/bias.shape", "[6, 4]\n");
	assert_content(&m, "model/dense/bias.d/slots/optimizer/m.shape",
		       "[6, 4]\n");
	commit(&m);
	assert_restores(&m, KERNEL, KERNEL VALUE);
	assert_restores(&m, "model/dense/bias", "model/dense/bias" VALUE);
	assert_consistent(&m);
	assert_int_equal(mv_as(&m, "model/dense", "model/layers", 2), 0);
	assert_content(&m, "model/layers/bias.shape", "[6, 4]\n");
	commit(&m);
	assert_restores(&m, "model/layers/bias", "model/layers/bias" VALUE);
	assert_restores(&m, "model/dense/0/v", "model/dense/0/v" VALUE);
	assert_consistent(&m);
	assert_int_equal(mv_as(&m, "model/dense", "save_counter", 2), -EINVAL);
}

static void copy_that_is_renamed_over_its_model_gives_it_its_value(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	put_typed(&m, "step2", "int64", "[]", "12345678");
	commit(&m);
	assert_restores(&m, "step2", "step2" VALUE);
	assert_int_equal(mv(&m, "step2", "step"), 0);
	commit(&m);
	assert_on_disk(&m, "step" VALUE, "12345678");
	assert_false(has_key(&m, "step2" VALUE));
	assert_no_object(&m, "step2");
	assert_consistent(&m);
}

static void editor_that_renames_the_old_value_away_keeps_the_object(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, "step", "step~"), 0);
	assert_int_equal(put(&m, "step", "12345678"), 0);
	assert_int_equal(rm(&m, "step~"), 0);
	pass_time(2000);
	commit(&m);
	assert_on_disk(&m, "step" VALUE, "12345678");
	assert_restores(&m, "step", "step" VALUE);
	assert_int_equal(mv(&m, "step", "step~"), 0);
	pass_time(2000);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_no_object(&m, "step");
	assert_int_equal(mv(&m, "step~", "step"), 0);
	commit(&m);
	assert_restores(&m, "step", "step" VALUE);
	assert_on_disk(&m, "step" VALUE, "12345678");
	assert_consistent(&m);
}

static void slot_can_be_renamed_into_an_object_and_back(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, KERNEL ".d/slots/optimizer/m", "plain"), 0);
	commit(&m);
	assert_restores(&m, "plain", "plain" VALUE);
	assert_false(has_key(&m, KERNEL SLOT_M));
	assert_consistent(&m);
	assert_int_equal(mv(&m, "plain", KERNEL ".d/slots/optimizer/m"), 0);
	commit(&m);
	assert_no_object(&m, "plain");
	assert_true(has_key(&m, KERNEL SLOT_M));
	assert_consistent(&m);
}

/* --- removing ------------------------------------------------------------------- */

static void variable_that_is_removed_goes_after_a_second_with_its_slots(
	void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(rm(&m, KERNEL), 0);
	assert_int_equal(put(&m, "step", "12345678"), 0);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_restores(&m, KERNEL, KERNEL VALUE);
	pass_time(2000);
	assert_int_equal(checkpoint_commit_background(m.cp), 0);
	assert_no_object(&m, KERNEL);
	assert_false(has_key(&m, KERNEL VALUE));
	assert_false(has_key(&m, KERNEL SLOT_M));
	assert_listed(&m, "model/dense", "bias.shape bias.dtype bias bias.d ");
	assert_consistent(&m);
}

static void name_that_comes_back_is_the_same_object(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(rm(&m, "step"), 0);
	assert_int_equal(put(&m, "step", "12345678"), 0);
	pass_time(2000);
	commit(&m);
	assert_on_disk(&m, "step" VALUE, "12345678");
	assert_restores(&m, "step", "step" VALUE);
	assert_consistent(&m);
}

static void directory_that_is_removed_and_made_anew_is_the_same_object(
	void **state)
{
	CLEANUP(objects_freep) struct objects *before = NULL, *after = NULL;
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	before = graph_on_disk(&m);
	assert_int_equal(rm(&m, "model/layers/0/v"), 0);
	assert_int_equal(remove_dir(&m, "model/layers/0"), 0);
	assert_int_equal(make_dir(&m, "model/layers/0"), 0);
	put_typed(&m, "model/layers/0/v", "float32", "[2]", "12345678");
	pass_time(2000);
	commit(&m);
	after = graph_on_disk(&m);
	assert_int_equal(object_at(before, "model/layers/0/v"),
			 object_at(after, "model/layers/0/v"));
	assert_consistent(&m);
}

static void scope_that_is_removed_whole_leaves_nothing(void **state)
{
	static const char *const files[] = {
		KERNEL,
		KERNEL ".shape",
		KERNEL ".dtype",
		KERNEL ".d/slots/optimizer/m",
		KERNEL ".d/slots/optimizer/v",
		"model/dense/bias",
		"model/dense/bias.d/slots/optimizer/m",
		"model/dense/bias.d/slots/optimizer/v",
	};
	static const char *const dirs[] = {
		KERNEL ".d/slots/optimizer",
		KERNEL ".d/slots",
		KERNEL ".d",
		"model/dense/bias.d/slots/optimizer",
		"model/dense/bias.d/slots",
		"model/dense/bias.d",
		"model/dense",
	};
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(rm(&m, files[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(remove_dir(&m, dirs[i]), 0);
	commit(&m);
	assert_no_object(&m, "model/dense");
	assert_false(has_key(&m, KERNEL VALUE));
	assert_false(has_key(&m, KERNEL SLOT_M));
	assert_consistent(&m);
}

static void removed_graph_is_not_written_again(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(rm(&m, GRAPH_KEY), 0);
	assert_int_equal(mv(&m, "step", "steps"), 0);
	pass_time(2000);
	commit(&m);
	assert_false(has_key(&m, GRAPH_KEY));
	assert_true(has_key(&m, "steps" VALUE));
	assert_listed(&m, "",
		      "model optimizer save_counter.shape save_counter.dtype "
		      "save_counter steps.shape steps.dtype steps ");
}

/* --- making ----------------------------------------------------------------------- */

static void new_variable_gets_objects_on_its_way(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(make_dir(&m, "new"), 0);
	assert_int_equal(make_dir(&m, "new/scope"), 0);
	put_typed(&m, "new/scope/x%2Fy.z", "int8", "[3]", "abc");
	commit(&m);
	assert_on_disk(&m, "new/scope/x.Sy..z" VALUE, "abc");
	assert_consistent(&m);
}

static void new_slot_is_one(void **state)
{
	CLEANUP(objects_freep) struct objects *o = NULL;
	CLEANUP(mount_release) struct mount m;
	size_t slot;

	(void)state;
	mount_program(&m);
	put_typed(&m, KERNEL ".d/slots/optimizer/new", "int8", "[3]", "abc");
	commit(&m);
	assert_on_disk(&m, KERNEL "/.OPTIMIZER_SLOT/optimizer/new" VALUE,
		       "abc");
	o = graph_on_disk(&m);
	slot = objects_slot(o, object_at(o, KERNEL), object_at(o, "optimizer"),
			    span_of("new"));
	assert_int_not_equal(slot, OBJECTS_NONE);
	assert_int_equal(objects_full_name(o, slot).len, 0);
	assert_consistent(&m);
}

static void slot_of_a_variable_that_never_came_is_not_stored(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(make_dir(&m, "new.d"), 0);
	assert_int_equal(make_dir(&m, "new.d/slots"), 0);
	assert_int_equal(make_dir(&m, "new.d/slots/optimizer"), 0);
	put_typed(&m, "new.d/slots/optimizer/m", "int8", "[3]", "abc");
	commit(&m);
	assert_true(has_key(&m, "new/.OPTIMIZER_SLOT/optimizer/m" VALUE));
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_said("has no value");
	assert_false(has_key(&m, "new/.OPTIMIZER_SLOT/optimizer/m" VALUE));
	assert_true(has_key(&m, KERNEL SLOT_M));
	assert_consistent(&m);
}

static void key_of_a_name_that_was_left_is_free(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, "step", "step2"), 0);
	put_typed(&m, "step", "int8", "[3]", "abc");
	assert_int_equal(mv(&m, "step", "step3"), 0);
	put_typed(&m, "step", "int8", "[2]", "xy");
	commit(&m);
	assert_on_disk(&m, "step" VALUE, "xy");
	assert_on_disk(&m, "step3" VALUE, "abc");
	assert_restores(&m, "step2", "step2" VALUE);
	assert_consistent(&m);
}

static void commit_without_changes_of_names_leaves_the_graph(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct checkpoint_status s;

	(void)state;
	mount_program(&m);
	assert_int_equal(put(&m, "step", "12345678"), 0);
	commit(&m);
	assert_int_equal(checkpoint_status(m.cp, &s), 0);
	assert_on_disk(&m, "step" VALUE, "12345678");
	assert_true(s.last_commit_bytes < 8192);
}

static void abort_brings_the_graph_back(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(mv(&m, "model", "m2"), 0);
	assert_int_equal(checkpoint_abort(m.cp), 0);
	assert_missing(&m, "m2");
	assert_int_equal(mv(&m, "model/dense", "d"), 0);
	commit(&m);
	assert_restores(&m, "d/kernel", "d/kernel" VALUE);
	assert_no_object(&m, "m2");
	assert_consistent(&m);
}

/* --- several names ------------------------------------------------------------------ */

static void name_of_several_can_go_and_be_added(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_fixture(&m, "v2_tf2_odd_objects", "ckpt-1");
	assert_int_equal(rm(&m, "m/shared1"), 0);
	assert_int_equal(ln(&m, "m/shared2", "third"), 0);
	assert_int_equal(ln(&m, "m/shared2", "third"), -EEXIST);
	pass_time(2000);
	commit(&m);
	assert_restores(&m, "m/shared2", "third" VALUE);
	assert_restores(&m, "third", "third" VALUE);
	assert_no_object(&m, "m/shared1");
	assert_int_equal(mv(&m, "m", "mm"), 0);
	assert_int_equal(mv(&m, "py", "python"), 0);
	assert_int_equal(rm(&m, "third"), 0);
	commit(&m);
	assert_restores(&m, "mm/shared2", "mm/shared2" VALUE);
	assert_true(has_key(&m, "mm/table/.ATTRIBUTES/table-keys"));
	assert_true(has_key(&m, "python/.ATTRIBUTES/py_state"));
	assert_consistent(&m);
}

static void name_that_comes_back_to_a_shared_variable_writes_all(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_fixture(&m, "v2_tf2_odd_objects", "ckpt-1");
	assert_int_equal(rm(&m, "m/shared1"), 0);
	assert_int_equal(put(&m, "m/shared1", "12345678"), 0);
	assert_content(&m, "m/shared2", "12345678");
	pass_time(2000);
	commit(&m);
	assert_restores(&m, "m/shared2", "m/shared1" VALUE);
	assert_on_disk(&m, "m/shared1" VALUE, "12345678");
	assert_consistent(&m);
}

static void state_without_a_value_stays_with_its_owner(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_fixture(&m, "v2_tf2_odd_objects", "ckpt-1");
	assert_int_equal(mv(&m, "py/.ATTRIBUTES/py_state", "x"), -EPERM);
	assert_said("owner");
	assert_int_equal(mv(&m, "py/.ATTRIBUTES", "x"), -EPERM);
	assert_int_equal(mv(&m, "step", "py/.ATTRIBUTES/x"), -ENOENT);
	assert_int_equal(mv(&m, "save_counter", "py/.ATTRIBUTES/x"), -EPERM);
	assert_int_equal(rm(&m, "m/table/.ATTRIBUTES/table-keys"), 0);
	assert_int_equal(rm(&m, "m/table/.ATTRIBUTES/table-values"), 0);
	assert_int_equal(remove_dir(&m, "m/table/.ATTRIBUTES"), 0);
	assert_int_equal(remove_dir(&m, "m/table"), 0);
	commit(&m);
	assert_no_object(&m, "m/table");
	assert_false(has_key(&m, "m/table/.ATTRIBUTES/table-keys"));
	assert_consistent(&m);
}

static void symbolic_link_is_an_edge(void **state)
{
	CLEANUP(objects_freep) struct objects *o = NULL;
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_program(&m);
	assert_int_equal(ln_s(&m, "../model/dense", "optimizer/d"), 0);
	assert_leads_to(&m, "optimizer/d", "../model/dense");
	assert_int_equal(ln_s(&m, "later/x", "early"), 0);
	assert_int_equal(ln_s(&m, "model/dense/kernel", "v"), 0);
	assert_int_equal(ln_s(&m, "../out", "v2"), -EPERM);
	assert_said("symbolic link");
	assert_int_equal(ln_s(&m, "/out", "v2"), -EPERM);
	assert_int_equal(make_dir(&m, "later"), 0);
	assert_int_equal(make_dir(&m, "later/x"), 0);
	put_typed(&m, "later/x/v", "int8", "[3]", "abc");
	assert_int_equal(mv(&m, "model/dense", "d2"), 0);
	assert_leads_to(&m, "optimizer/d", "../d2");
	commit(&m);
	o = graph_on_disk(&m);
	assert_int_equal(object_at(o, "optimizer/d"), object_at(o, "d2"));
	assert_int_equal(object_at(o, "early"), object_at(o, "later/x"));
	assert_int_equal(object_at(o, "v"), OBJECTS_NONE);
	assert_int_equal(mv(&m, "optimizer/d", "again"), 0);
	assert_int_equal(rm(&m, "early"), 0);
	commit(&m);
	assert_restores(&m, "again/kernel", "d2/kernel" VALUE);
	assert_no_object(&m, "early");
	assert_consistent(&m);
}

/* --- many ------------------------------------------------------------------------------- */

static void five_thousand_variables_are_moved_at_once(void **state)
{
	CLEANUP(mount_release) struct mount m;
	char name[32];

	(void)state;
	mount_program(&m);
	assert_int_equal(make_dir(&m, "many"), 0);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "many/%d", i);
		put_typed(&m, name, "int8", "[1]", "x");
	}
	commit(&m);
	assert_int_equal(mv(&m, "many", "model/lots"), 0);
	commit(&m);
	assert_restores(&m, "model/lots/4999", "model/lots/4999" VALUE);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "model/lots/%d", i);
		assert_int_equal(rm(&m, name), 0);
	}
	assert_int_equal(remove_dir(&m, "model/lots"), 0);
	commit(&m);
	assert_no_object(&m, "model/lots");
	assert_consistent(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			scope_that_is_renamed_takes_its_edge_keys_and_slots_along),
		cmocka_unit_test(companion_goes_with_its_variable_and_lingers),
		cmocka_unit_test(
			lingering_companion_goes_after_a_minute_or_when_removed),
		cmocka_unit_test(two_variables_change_places_with_their_slots),
		cmocka_unit_test(
			copy_that_is_renamed_over_its_model_gives_it_its_value),
		cmocka_unit_test(
			editor_that_renames_the_old_value_away_keeps_the_object),
		cmocka_unit_test(slot_can_be_renamed_into_an_object_and_back),
		cmocka_unit_test(
			variable_that_is_removed_goes_after_a_second_with_its_slots),
		cmocka_unit_test(name_that_comes_back_is_the_same_object),
		cmocka_unit_test(
			directory_that_is_removed_and_made_anew_is_the_same_object),
		cmocka_unit_test(scope_that_is_removed_whole_leaves_nothing),
		cmocka_unit_test(removed_graph_is_not_written_again),
		cmocka_unit_test(new_variable_gets_objects_on_its_way),
		cmocka_unit_test(new_slot_is_one),
		cmocka_unit_test(
			slot_of_a_variable_that_never_came_is_not_stored),
		cmocka_unit_test(key_of_a_name_that_was_left_is_free),
		cmocka_unit_test(
			commit_without_changes_of_names_leaves_the_graph),
		cmocka_unit_test(abort_brings_the_graph_back),
		cmocka_unit_test(name_of_several_can_go_and_be_added),
		cmocka_unit_test(
			name_that_comes_back_to_a_shared_variable_writes_all),
		cmocka_unit_test(state_without_a_value_stays_with_its_owner),
		cmocka_unit_test(symbolic_link_is_an_edge),
		cmocka_unit_test(five_thousand_variables_are_moved_at_once),
	};

	return cmocka_run_group_tests_name("workspace objects", tests,
					   note_lines, NULL);
}
