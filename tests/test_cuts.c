/* core/cuts: what a name stood for before it was cut. */
#include <pthread.h>

#include "core/cuts.h"
#include "tests/support.h"

static void assert_finds(struct cuts *c, const char *name, const char *want)
{
	CLEANUP(buf_release) struct buf found = { 0 };

	buf_put(&found, "<", 1);
	assert_int_equal(cuts_find(c, span_of(name), &found), 0);
	buf_put(&found, "", 1);
	assert_string_equal((char *)found.data + 1, want);
}

static void names_are_remembered(void **state)
{
	CLEANUP(buf_release) struct buf none = { 0 };
	struct cuts *c = NULL;

	(void)state;
	assert_int_equal(cuts_new(&c), 0);
	assert_int_equal(cuts_find(c, span_of("x"), &none), -ENOENT);
	assert_int_equal(cuts_add(c, span_of("x"), span_of("first")), 0);
	assert_int_equal(cuts_add(c, span_of("y"), span_of("second")), 0);
	assert_finds(c, "x", "first");
	assert_finds(c, "y", "second");
	assert_int_equal(cuts_find(c, span_of("xy"), &none), -ENOENT);
	assert_int_equal(none.len, 0);
	cuts_free(c);
	cuts_free(NULL);
}

static void first_to_have_a_name_keeps_it(void **state)
{
	struct cuts *c = NULL;

	(void)state;
	assert_int_equal(cuts_new(&c), 0);
	assert_int_equal(cuts_add(c, span_of("x"), span_of("first")), 0);
	assert_int_equal(cuts_add(c, span_of("x"), span_of("second")), 0);
	assert_finds(c, "x", "first");
	cuts_free(c);
}

static void *add_many(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		CLEANUP(buf_release) struct buf out = { 0 };
		char name[16];

		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(cuts_add(arg, span_of(name), span_of(name)),
				 0);
		assert_int_equal(cuts_find(arg, span_of(name), &out), 0);
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	struct cuts *c = NULL;
	pthread_t threads[3];

	(void)state;
	assert_int_equal(cuts_new(&c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, c),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_finds(c, "n1999", "n1999");
	cuts_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_remembered),
		cmocka_unit_test(first_to_have_a_name_keeps_it),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests_name("cuts", tests, NULL, NULL);
}
