/* core/edit: one entry a key, the later one, in the order of the keys. */
#include "core/edit.h"
#include "tests/support.h"

DEFINE_CLEANUP(struct edit, edit_free)
DEFINE_CLEANUP(struct entry, entry_unref)

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

		assert_int_equal(edit_add(e, entry), 0);
		assert_true(edit_has(e, entry));
	}
	assert_int_equal(edit_count(e), 4);
	assert_int_equal(edit_sort(e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		assert_true(span_equal(entry_key(edit_sorted(e)[i]),
				       span_of(sorted[i])));
}

static void later_entry_takes_the_place_of_the_earlier(void **state)
{
	CLEANUP(edit_freep) struct edit *e = new_edit();
	CLEANUP(entry_unrefp) struct entry *first = entry_of("a");
	CLEANUP(entry_unrefp) struct entry *second = entry_of("a");

	(void)state;
	assert_int_equal(edit_add(e, first), 0);
	assert_int_equal(edit_add(e, second), 0);
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
	assert_int_equal(edit_add(e, entry), 0);
	assert_int_equal(edit_add(e, entry), 0);
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
	assert_int_equal(edit_add(older, old), 0);
	assert_int_equal(edit_add(older, other), 0);
	assert_int_equal(edit_sort(older), 0);
	assert_int_equal(edit_add(newer, new), 0);
	assert_int_equal(edit_add_older(newer, older), 0);
	assert_int_equal(edit_count(newer), 2);
	assert_true(edit_has(newer, new));
	assert_true(edit_has(newer, other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_sorted_by_key),
		cmocka_unit_test(later_entry_takes_the_place_of_the_earlier),
		cmocka_unit_test(entry_added_twice_counts_once),
		cmocka_unit_test(older_edit_yields_to_a_newer_one),
	};

	return cmocka_run_group_tests_name("edit", tests, note_lines, NULL);
}
