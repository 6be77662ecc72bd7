/* core/draft: what is kept aside, strings, and bytes that nobody gave a type. */
#include "core/clock.h"
#include "tests/draft_support.h"

/* --- aside ---------------------------------------------------------------------------- */

static void refused_bytes_are_taken_by_a_sidecar_that_fits(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(write_and_close(&d, "123456"), -EINVAL);
	assert_in_range(d.draft.aside_until, clock_ms() + 5000,
			clock_ms() + 10000);
	assert_int_equal(dtype(&d, "int8"), 0);
	assert_int_equal(shape(&d, "[6]"), 1);
	assert_value(&d, DT_INT8, "[6]", "123456", 6);
	assert_null(d.draft.aside);
}

static void refused_bytes_are_gone_after_their_time(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(write_and_close(&d, "123456"), -EINVAL);
	d.draft.aside_until = clock_ms() - 1;
	assert_int_equal(shape(&d, "[3]"), 0);
	assert_null(d.draft.aside);
	assert_value(&d, DT_INT16, "[2, 1]", "ABCD", 4);
}

static void bytes_refused_elsewhere_are_copied(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(desk_release) struct desk other;

	(void)state;
	desk_init(&d, true);
	desk_init(&other, false);
	start(&other, "12");
	assert_int_equal(draft_set_aside(&d.draft, other.draft.stage), 0);
	assert_int_equal(stage_write(other.draft.stage, "xy", 2, 0), 0);
	assert_int_equal(shape(&d, "[1, 1]"), 1);
	assert_value(&d, DT_INT16, "[1, 1]", "12", 2);
}

/* --- strings ----------------------------------------------------------------------------- */

static void text_becomes_strings(void **state)
{
	static const struct {
		const char *shape, *text;
		bool fits;
	} cases[] = {
		{ "[]", "a\nb\n", true },   { "[]", "", true },
		{ "[2]", "a\nb\n", true },  { "[2]", "a\nb", true },
		{ "[2]", "a\n", false },    { "[1, -1]", "a\nb\n", true },
		{ "[0]", "", true },        { "[0]", "a", false },
		{ "[1]", "", false },       { "[1]", "\n", true },
		{ "[1]", "a\\nb\n", true }, { "[1]", "a\\xb\n", false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const size_t c = i / 2;
		CLEANUP(desk_release) struct desk d;
		int r;

		desk_init(&d, false);
		if (i % 2) { /* the value first */
			assert_int_equal(write_and_close(&d, cases[c].text), 0);
			assert_int_equal(dtype(&d, "string"), 0);
			r = shape(&d, cases[c].shape);
		} else {
			assert_int_equal(dtype(&d, "string"), 0);
			assert_int_equal(shape(&d, cases[c].shape), 0);
			r = write_and_close(&d, cases[c].text);
		}
		if ((r == 1) != cases[c].fits)
			fail_msg("%s %s: %d", cases[c].shape, cases[c].text, r);
		if (r == 1)
			assert_text(&d,
				    cases[c].shape[1] == '1' &&
						    cases[c].shape[2] == ','
					    ? "[1, 2]"
					    : cases[c].shape,
				    cases[c].text);
	}
}

/* How many strings that is, nobody has said. */
static void dtype_string_alone_waits_for_the_shape(void **state)
{
	static const char *const texts[] = { "", "\n\n", "text" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(desk_release) struct desk d;

		desk_init(&d, false);
		assert_int_equal(dtype(&d, "string"), 0);
		assert_int_equal(write_and_close(&d, texts[i]), 0);
		assert_int_equal(shape(&d, "[]"), 1);
		assert_text(&d, "[]", texts[i]);
	}
}

static void strings_and_numbers_are_no_retypes_of_one_another(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(dtype(&d, "string"), 0);
	assert_value(&d, DT_INT16, "[2, 1]", "ABCD", 4);
	assert_int_equal(write_and_close(&d, "one\ntwo\n"), 1);
	assert_text(&d, "[2, 1]", "one\ntwo\n");
	assert_int_equal(dtype(&d, "int8"), 0);
	assert_text(&d, "[2, 1]", "one\ntwo\n");
	assert_int_equal(write_and_close(&d, "12"), 1);
	assert_value(&d, DT_INT8, "[2, 1]", "12", 2);
}

static void copy_that_was_a_value_of_the_old_type_is_what_its_sidecars_say(
	void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, true);
	assert_int_equal(write_and_close(&d, "a\nb\n"), 1);
	assert_int_equal(shape(&d, "[2]"), 1); /* of another time */
	d.draft.said[SIDECAR_SHAPE] = clock_ms() - 10000;
	assert_int_equal(dtype(&d, "string"), 0);
	assert_value(&d, DT_INT16, "[2]", "a\nb\n", 4);
	assert_int_equal(shape(&d, "[2, 1]"), 1);
	assert_text(&d, "[2, 1]", "a\nb\n");
	assert_int_equal(shape(&d, "[]"), 1);
	assert_text(&d, "[]", "a\nb\n");
	assert_int_equal(shape(&d, "[4]"), 0);
	assert_int_equal(dtype(&d, "uint8"), 1);
	assert_value(&d, DT_UINT8, "[4]", "a\nb\n", 4);

	assert_int_equal(write_and_close(&d, "abcd"), 1);
	d.draft.taken = clock_ms() - 10000; /* it stands */
	assert_int_equal(dtype(&d, "string"), 0);
	assert_int_equal(shape(&d, "[1]"), 0);
	assert_value(&d, DT_UINT8, "[4]", "abcd", 4);
}

/* Its text has a line's end and escapes that nobody wrote. */
static void numbers_that_were_lines_are_read_back_as_written(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(desk_release) struct desk e;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(dtype(&d, "string"), 0);
	assert_int_equal(shape(&d, "[2]"), 0);
	assert_int_equal(write_and_close(&d, "a\nbc"), 1);
	assert_text(&d, "[2]", "a\nbc");
	assert_int_equal(dtype(&d, "int16"), 1);
	assert_value(&d, DT_INT16, "[2]", "a\nbc", 4);

	desk_init(&e, false);
	assert_int_equal(dtype(&e, "string"), 0);
	assert_int_equal(shape(&e, "[]"), 0);
	assert_int_equal(write_and_close(&e, "a\n\\\n"), 1);
	assert_int_equal(shape(&e, "[1]"), 1);
	assert_text(&e, "[1]", "a\\n\\\\\\n\n");
	assert_int_equal(dtype(&e, "float32"), 1);
	assert_value(&e, DT_FLOAT, "[1]", "a\n\\\n", 4);
}

static void strings_keep_their_elements_under_a_reshape(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(stage_unrefp) struct stage *s = NULL;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(dtype(&d, "string"), 0);
	assert_int_equal(shape(&d, "[2]"), 0);
	assert_int_equal(write_and_close(&d, "one\ntwo\n"), 1);
	assert_int_equal(shape(&d, "[-1, 1]"), 1);
	assert_text(&d, "[2, 1]", "one\ntwo\n");
	assert_int_equal(shape(&d, "[3]"), 0);
	assert_text(&d, "[2, 1]", "one\ntwo\n");
	draft_withdraw(&d.draft, SIDECAR_SHAPE);
	/* Who writes into a part of it finds the text. */
	assert_int_equal(draft_begin(&d.draft, d.present, false, "label", &s),
			 0);
	assert_int_equal(stage_write(s, "T", 1, 4), 0);
	assert_int_equal(judge(&d, JUDGE_CLOSE), 1);
	assert_text(&d, "[2, 1]", "one\nTwo\n");
}

/* --- without a type ----------------------------------------------------------------------- */

static void what_has_no_type_is_bytes_until_it_has_one(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	start(&d, "1234");
	assert_int_equal(judge(&d, JUDGE_ANYHOW), 1);
	assert_value(&d, DT_UINT8, "[4]", "1234", 4);
	assert_true(d.draft.assumed);
	assert_int_equal(write_and_close(&d, "123456"), 1);
	assert_value(&d, DT_UINT8, "[6]", "123456", 6);
	assert_int_equal(dtype(&d, "int16"), 0);
	assert_int_equal(shape(&d, "[3]"), 1);
	assert_value(&d, DT_INT16, "[3]", "123456", 6);
	assert_false(d.draft.assumed);
	assert_int_equal(write_and_close(&d, "1234"), -EINVAL);
}

static void bytes_that_were_stored_become_strings(void **state)
{
	CLEANUP(desk_release) struct desk d;

	(void)state;
	desk_init(&d, false);
	start(&d, "one\ntwo\n");
	assert_int_equal(judge(&d, JUDGE_ANYHOW), 1);
	assert_int_equal(dtype(&d, "string"), 0);
	assert_int_equal(shape(&d, "[2]"), 1);
	assert_text(&d, "[2]", "one\ntwo\n");
}

static void what_is_known_is_not_forgotten_by_storing_bytes(void **state)
{
	CLEANUP(desk_release) struct desk d;
	CLEANUP(desk_release) struct desk e;

	(void)state;
	desk_init(&d, false);
	assert_int_equal(remember(&d, "int16", "[3]"), 0);
	start(&d, "12");
	assert_int_equal(judge(&d, JUDGE_ANYHOW), 1);
	assert_value(&d, DT_UINT8, "[2]", "12", 2);
	assert_int_equal(write_and_close(&d, "123456"), 1);
	assert_value(&d, DT_INT16, "[3]", "123456", 6);

	desk_init(&e, false);
	assert_int_equal(dtype(&e, "int16"), 0);
	assert_int_equal(shape(&e, "[3]"), 0);
	start(&e, "12");
	assert_int_equal(judge(&e, JUDGE_SYNC), 0); /* more follows */
	assert_int_equal(write_and_close(&e, "123456"), 1);
	assert_value(&e, DT_INT16, "[3]", "123456", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_bytes_are_taken_by_a_sidecar_that_fits),
		cmocka_unit_test(refused_bytes_are_gone_after_their_time),
		cmocka_unit_test(bytes_refused_elsewhere_are_copied),
		cmocka_unit_test(text_becomes_strings),
		cmocka_unit_test(dtype_string_alone_waits_for_the_shape),
		cmocka_unit_test(
			strings_and_numbers_are_no_retypes_of_one_another),
		cmocka_unit_test(
			copy_that_was_a_value_of_the_old_type_is_what_its_sidecars_say),
		cmocka_unit_test(
			numbers_that_were_lines_are_read_back_as_written),
		cmocka_unit_test(strings_keep_their_elements_under_a_reshape),
		cmocka_unit_test(what_has_no_type_is_bytes_until_it_has_one),
		cmocka_unit_test(bytes_that_were_stored_become_strings),
		cmocka_unit_test(
			what_is_known_is_not_forgotten_by_storing_bytes),
	};

	return cmocka_run_group_tests_name("draft_kept", tests, note_lines,
					   NULL);
}
