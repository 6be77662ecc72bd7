/* core/edit: one entry a key, the later one, in the order of the keys. */
#include "core/edit.h"
#include "core/variable.h"
#include "tests/support.h"

static struct edit *new_edit(void)
{
	struct edit *e = NULL;

	assert_int_equal(edit_new(&e), 0);
	return e;
}

static struct entry *entry_of(const char *key)
{
	struct entry *e = NULL;
	const char *reason;

	assert_int_equal(entry_parse(span_of(key), span_of("\x08\1"), ENTRY_V2,
				     &e, &reason),
			 0);
	return e;
}

static void entries_are_sorted_by_key(void **state)
{
	static const char *const keys[] = { "b", "c", "a", "b/c" };
	static const char *const sorted[] = { "a", "b", "b/c", "c" };
	CLEANUP(edit_freep) struct edit *e = new_edit();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		CLEANUP(entry_unrefp) struct entry *entry = entry_of(keys[i]);

		assert_int_equal(edit_put(e, entry, NULL), 0);
		assert_true(edit_has(e, entry));
	}
	assert_int_equal(edit_count(e), 4);
	assert_int_equal(edit_sort(e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		assert_true(span_equal(edit_sorted(e)[i].key,
				       span_of(sorted[i])));
}

static void later_entry_takes_the_place_of_the_earlier(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *first = entry_of("a");
	CLEANUP(entry_unrefp) struct entry *second = entry_of("a");

	(void)state;
	assert_int_equal(edit_put(e, first, NULL), 0);
	assert_int_equal(edit_put(e, second, NULL), 0);
	assert_int_equal(edit_count(e), 1);
	assert_false(edit_has(e, first));
	assert_true(edit_has(e, second));
}

/* Two flushes of one variable, one after the other, may both find the last one. */
static void entry_added_twice_counts_once(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *entry = entry_of("a");

	(void)state;
	assert_int_equal(edit_put(e, entry, NULL), 0);
	assert_int_equal(edit_put(e, entry, NULL), 0);
	assert_int_equal(edit_count(e), 1);
}

static void older_edit_yields_to_a_newer_one(void **state)
{
	CLEANUP(edit_freep) struct edit *older = new_edit();
	CLEANUP(edit_freep) struct edit *newer = new_edit();
	CLEANUP(entry_unrefp) struct entry *old = entry_of("a");
	CLEANUP(entry_unrefp) struct entry *new = entry_of("a");
	CLEANUP(entry_unrefp) struct entry *other = entry_of("b");

	(void)state;
	assert_int_equal(edit_put(older, old, NULL), 0);
	assert_int_equal(edit_put(older, other, NULL), 0);
	assert_int_equal(edit_sort(older), 0);
	assert_int_equal(edit_put(newer, new, NULL), 0);
	assert_int_equal(edit_add_older(newer, older), 0);
	assert_int_equal(edit_count(newer), 2);
	assert_true(edit_has(newer, new));
	assert_true(edit_has(newer, other));
}

static void removal_takes_the_place_of_an_entry(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *entry = entry_of("a");

	(void)state;
	assert_int_equal(edit_put(e, entry, NULL), 0);
	assert_int_equal(edit_remove(e, span_of("a")), 0);
	assert_int_equal(edit_count(e), 1);
	assert_false(edit_has(e, entry));
	assert_int_equal(edit_sort(e), 0);
	assert_null(edit_sorted(e)[0].entry);
	assert_null(edit_variable(e, 0));
	assert_true(span_equal(edit_sorted(e)[0].key, span_of("a")));
}

static void older_removal_yields_to_a_newer_entry(void **state)
{
	CLEANUP(edit_freep) struct edit *older = new_edit();
	CLEANUP(edit_freep) struct edit *newer = new_edit();
	CLEANUP(entry_unrefp) struct entry *new = entry_of("a");

	(void)state;
	assert_int_equal(edit_remove(older, span_of("a")), 0);
	assert_int_equal(edit_remove(older, span_of("b")), 0);
	assert_int_equal(edit_put(newer, new, NULL), 0);
	assert_int_equal(edit_add_older(newer, older), 0);
	assert_int_equal(edit_count(newer), 2);
	assert_true(edit_has(newer, new));
}

static void variable_of_an_entry_is_held(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *a = entry_of("a");
	struct variable *v = NULL;

	(void)state;
	assert_int_equal(variable_new(a, entry_key(a), "ckpt", true, 1, &v), 0);
	assert_int_equal(edit_put(e, a, v), 0);
	variable_unref(v); /* a use after free, if the edit did not hold it */
	assert_int_equal(edit_sort(e), 0);
	assert_ptr_equal(edit_variable(e, 0), v);
	assert_int_equal(variable_id(edit_variable(e, 0)), 1);
}

static void replaced_entry_keeps_its_place(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *a = entry_of("a");
	CLEANUP(entry_unrefp) struct entry *b = entry_of("b");
	CLEANUP(entry_unrefp) struct entry *other = entry_of("a");

	(void)state;
	assert_int_equal(edit_put(e, b, NULL), 0);
	assert_int_equal(edit_put(e, a, NULL), 0);
	assert_int_equal(edit_sort(e), 0);
	assert_int_equal(edit_replace(e, 0, other), 0);
	assert_ptr_equal(edit_sorted(e)[0].entry, other);
	assert_true(edit_has(e, other));
	assert_int_equal(edit_count(e), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_sorted_by_key),
		cmocka_unit_test(later_entry_takes_the_place_of_the_earlier),
		cmocka_unit_test(entry_added_twice_counts_once),
		cmocka_unit_test(older_edit_yields_to_a_newer_one),
		cmocka_unit_test(removal_takes_the_place_of_an_entry),
		cmocka_unit_test(older_removal_yields_to_a_newer_entry),
		cmocka_unit_test(variable_of_an_entry_is_held),
		cmocka_unit_test(replaced_entry_keeps_its_place),
	};

	return cmocka_run_group_tests_name("edit", tests, note_lines, NULL);
}
