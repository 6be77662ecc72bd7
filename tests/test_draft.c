/* core/draft: bytes, dtype and shape in any order, until the three agree. */
#include "tests/draft_support.h"

/* --- a new value ---------------------------------------------------------------- */

static void new_bytes_wait_for_a_type(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(write_and_close(&d, "1234"), 0);
	assert_non_null(d.draft.stage);
	assert_sidecar(&d, SIDECAR_DTYPE, 4, "uint8\n");
	assert_sidecar(&d, SIDECAR_SHAPE, 4, "[4]\n");
	assert_int_equal(dtype(&d, "int16"), 0);
	assert_sidecar(&d, SIDECAR_DTYPE, 4, "int16\n");
	assert_int_equal(shape(&d, "[2]"), 1);
	assert_value(&d, DT_INT16, "[2]", "1234", 4);
	assert_null(d.draft.stage);
	assert_true(type_empty(&d.draft.declared));
}

static void new_bytes_of_a_declared_type_are_taken(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(shape(&d, "[-1, 2]"), 0);
	assert_int_equal(dtype(&d, "int8"), 0);
	assert_true(draft_declared(&d.draft, SIDECAR_SHAPE));
	assert_true(draft_declared(&d.draft, SIDECAR_DTYPE));
	assert_int_equal(write_and_close(&d, "1234"), 1);
	assert_value(&d, DT_INT8, "[2, 2]", "1234", 4);
	assert_false(draft_declared(&d.draft, SIDECAR_SHAPE));
	assert_false(draft_declared(&d.draft, SIDECAR_DTYPE));
}

static void shape_alone_waits_for_the_dtype_also_if_bytes_fit(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(shape(&d, "[2, 2]"), 0);
	assert_int_equal(write_and_close(&d, "1234"), 0);
	assert_int_equal(dtype(&d, "uint8"), 1);
	assert_value(&d, DT_UINT8, "[2, 2]", "1234", 4);
}

static void shape_alone_that_does_not_fit_waits_for_the_dtype(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(shape(&d, "[2]"), 0);
	assert_int_equal(write_and_close(&d, "1234"), 0);
	assert_int_equal(dtype(&d, "float32"), 0);
	assert_int_equal(dtype(&d, "float16"), 1);
	assert_value(&d, DT_HALF, "[2]", "1234", 4);
}

static void dtype_alone_waits_for_the_shape(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(desk_release) struct desk e;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(dtype(&d, "bool"), 0);
	assert_int_equal(write_and_close(&d, "123"), 0);
	assert_int_equal(shape(&d, "[3]"), 1);
	assert_value(&d, DT_BOOL, "[3]", "123", 3);
	desk_init(&e, false);
	assert_int_equal(dtype(&e, "float16"), 0);
	assert_int_equal(write_and_close(&e, "1234"), 0);
	assert_int_equal(shape(&e, "[1, 2]"), 1);
	assert_value(&e, DT_HALF, "[1, 2]", "1234", 4);
}

static void new_bytes_that_do_not_fit_are_refused(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(shape(&d, "[2]"), 0);
	assert_int_equal(dtype(&d, "int16"), 0);
	start(&d, "123");
	assert_int_equal(judge(&d, JUDGE_CLOSE), -EINVAL);
	assert_non_null(d.draft.stage); /* for now */
	assert_true(draft_close(&d.draft, d.present));
	assert_null(d.draft.stage);
	assert_non_null(d.draft.aside);
	assert_null(d.present);
}

static void new_file_is_empty_when_nobody_writes_any_more(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(dtype(&d, "float32"), 0);
	assert_int_equal(shape(&d, "[0, 3]"), 0);
	start(&d, "");
	assert_int_equal(judge(&d, JUDGE_CLOSE), 0);
	assert_int_equal(judge(&d, JUDGE_LAST), 1);
	assert_value(&d, DT_FLOAT, "[0, 3]", "", 0);
}

static void new_file_without_a_byte_waits_too(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(write_and_close(&d, ""), 0);
	assert_int_equal(dtype(&d, "float32"), 0);
	assert_int_equal(shape(&d, "[3, 0]"), 1);
	assert_value(&d, DT_FLOAT, "[3, 0]", "", 0);
}

/* Nobody has made the file yet: it is not taken for an empty one. */
static void sidecars_alone_make_no_value(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(dtype(&d, "float32"), 0);
	assert_int_equal(shape(&d, "[0]"), 0);
	assert_int_equal(judge(&d, JUDGE_LAST), 0);
	assert_int_equal(judge(&d, JUDGE_ANYHOW), 0);
	assert_null(d.present);
}

/* --- what had the name before --------------------------------------------------- */

static void remembered_type_is_taken_where_it_fits(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(remember(&d, "int16", "[1, 2]"), 0);
	assert_int_equal(write_and_close(&d, "1234"), 1);
	assert_value(&d, DT_INT16, "[1, 2]", "1234", 4);
	assert_true(type_empty(&d.draft.remembered));
}

static void remembered_type_that_does_not_fit_refuses_nothing(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(remember(&d, "int16", "[3]"), 0);
	assert_int_equal(write_and_close(&d, "1234"), 0);
	assert_sidecar(&d, SIDECAR_DTYPE, 4, "uint8\n");
	assert_int_equal(shape(&d, "[2]"), 1); /* with the dtype of before */
	assert_value(&d, DT_INT16, "[2]", "1234", 4);
}

static void declared_type_goes_before_a_remembered_one(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(type_release) struct type t = { 0 };

	(void)state;
	desk_init(&d, false);
	assert_int_equal(remember(&d, "int16", "[2]"), 0);
	assert_int_equal(dtype(&d, "int8"), 0);
	assert_int_equal(draft_wanted(&d.draft, NULL, &t), 0);
	assert_int_equal(t.dtype, DT_INT8);
	assert_int_equal(t.dims[0], 2);
	assert_int_equal(write_and_close(&d, "12"), 1);
	assert_value(&d, DT_INT8, "[2]", "12", 2);
}

/* --- a value that stands ----------------------------------------------------------- */

static void present_type_judges_what_is_written(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(write_and_close(&d, "123"), -EINVAL);
	assert_value(&d, DT_INT16, "[2, 1]", "ABCD", 4);
	assert_int_equal(write_and_close(&d, "1234"), 1);
	assert_value(&d, DT_INT16, "[2, 1]", "1234", 4);
}

static void emptied_file_is_not_judged_before_something_is_written(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	start(&d, "");
	assert_int_equal(judge(&d, JUDGE_CLOSE), 0);
	assert_int_equal(judge(&d, JUDGE_LAST), 0);
	assert_true(draft_close(&d.draft, d.present));
	assert_null(d.draft.stage);
	assert_value(&d, DT_INT16, "[2, 1]", "ABCD", 4);
	assert_int_equal(shape(&d, "[-1]"), 1);
	assert_value(&d, DT_INT16, "[2]", "ABCD", 4);
	start(&d, "");
	assert_true(draft_close(&d.draft, d.present));
	assert_int_equal(shape(&d, "[0, 2]"), 1); /* what a copy of this is */
	assert_value(&d, DT_INT16, "[0, 2]", "", 0);
}

static void part_that_is_written_keeps_the_rest(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(stage_unrefp) struct stage *s = NULL;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(draft_begin(&d.draft, d.present, false, "label", &s),
			 0);
	assert_int_equal(stage_write(s, "x", 1, 1), 0);
	assert_int_equal(judge(&d, JUDGE_CLOSE), 1);
	assert_value(&d, DT_INT16, "[2, 1]", "AxCD", 4);
	assert_false(draft_close(&d.draft, d.present));
}

static void sidecar_that_fits_present_bytes_takes_effect(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(shape(&d, "[1, -1]"), 1);
	assert_value(&d, DT_INT16, "[1, 2]", "ABCD", 4);
	assert_int_equal(dtype(&d, "bfloat16"), 1);
	assert_value(&d, DT_BFLOAT16, "[1, 2]", "ABCD", 4);
	assert_int_equal(dtype(&d, "bfloat16"), 0);
	assert_int_equal(shape(&d, "[1, 2]"), 0);
	assert_false(draft_declared(&d.draft, SIDECAR_DTYPE));
	assert_false(draft_declared(&d.draft, SIDECAR_SHAPE));
}

static void dtype_and_shape_take_effect_when_both_fit(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(dtype(&d, "float32"), 0);
	assert_sidecar(&d, SIDECAR_DTYPE, 4, "float32\n");
	assert_value(&d, DT_INT16, "[2, 1]", "ABCD", 4);
	assert_int_equal(shape(&d, "[]"), 1);
	assert_value(&d, DT_FLOAT, "[]", "ABCD", 4);
}

static void what_is_declared_judges_the_next_value(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(shape(&d, "[3, -1]"), 0);
	assert_sidecar(&d, SIDECAR_SHAPE, 4, "[3, -1]\n");
	assert_int_equal(write_and_close(&d, "1234"), -EINVAL);
	assert_int_equal(write_and_close(&d, "123456"), 1);
	assert_value(&d, DT_INT16, "[3, 1]", "123456", 6);
}

static void withdrawn_declaration_is_void(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(shape(&d, "[3]"), 0);
	assert_int_equal(dtype(&d, "float64"), 0);
	draft_withdraw(&d.draft, SIDECAR_SHAPE);
	assert_false(draft_declared(&d.draft, SIDECAR_SHAPE));
	assert_true(draft_declared(&d.draft, SIDECAR_DTYPE));
	draft_withdraw(&d.draft, SIDECAR_DTYPE);
	assert_sidecar(&d, SIDECAR_SHAPE, 4, "[2, 1]\n");
	assert_sidecar(&d, SIDECAR_DTYPE, 4, "int16\n");
	assert_int_equal(write_and_close(&d, "1234"), 1);
}

static void text_that_is_no_sidecar_changes_nothing(void **state)
{
	(void)state;
	for (int present = 0; present < 2; present++) {
		CLEANUP(desk_release) struct desk d;

		desk_init(&d, present);
		assert_int_equal(shape(&d, "[3]"), 0);
		assert_int_equal(shape(&d, "[x]"), -EINVAL);
		assert_int_equal(dtype(&d, "float"), -EINVAL);
		assert_sidecar(&d, SIDECAR_SHAPE, 0, "[3]\n");
		assert_false(draft_declared(&d.draft, SIDECAR_DTYPE));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_bytes_wait_for_a_type),
		cmocka_unit_test(new_bytes_of_a_declared_type_are_taken),
		cmocka_unit_test(
			shape_alone_waits_for_the_dtype_also_if_bytes_fit),
		cmocka_unit_test(
			shape_alone_that_does_not_fit_waits_for_the_dtype),
		cmocka_unit_test(dtype_alone_waits_for_the_shape),
		cmocka_unit_test(new_bytes_that_do_not_fit_are_refused),
		cmocka_unit_test(new_file_is_empty_when_nobody_writes_any_more),
		cmocka_unit_test(new_file_without_a_byte_waits_too),
		cmocka_unit_test(sidecars_alone_make_no_value),
		cmocka_unit_test(remembered_type_is_taken_where_it_fits),
		cmocka_unit_test(
			remembered_type_that_does_not_fit_refuses_nothing),
		cmocka_unit_test(declared_type_goes_before_a_remembered_one),
		cmocka_unit_test(present_type_judges_what_is_written),
		cmocka_unit_test(
			emptied_file_is_not_judged_before_something_is_written),
		cmocka_unit_test(part_that_is_written_keeps_the_rest),
		cmocka_unit_test(sidecar_that_fits_present_bytes_takes_effect),
		cmocka_unit_test(dtype_and_shape_take_effect_when_both_fit),
		cmocka_unit_test(what_is_declared_judges_the_next_value),
		cmocka_unit_test(withdrawn_declaration_is_void),
		cmocka_unit_test(text_that_is_no_sidecar_changes_nothing),
	};

	return cmocka_run_group_tests_name("draft", tests, note_lines, NULL);
}
