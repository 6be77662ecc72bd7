/* core/scratch: which names tools make for themselves. */
#include "core/scratch.h"
#include "tests/support.h"

static void names_of_tools_are_scratch(void **state)
{
	static const char *const names[] = {
		".kernel.swp", ".kernel.swx", ".kernel.swo",   "kernel~",
		"~",           ".#kernel",    "#kernel#",      "##",
		"4913",        ".nfs0000a",   "kernel.shape~", ".a.b.swp",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!scratch_name(span_of(names[i])))
			fail_msg("%s", names[i]);
}

static void other_names_are_not(void **state)
{
	static const char *const names[] = {
		"",           "kernel",     "0",         "4912",    "49130",
		"kernel.swp", "a~b",        ".kernel.X", "#a",      "a#",
		".nf",        ".kernel.sw", "nfs1",      ".a.swpx", "14913",
		"kernel~1",   "sedABC",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (scratch_name(span_of(names[i])))
			fail_msg("%s", names[i]);
}

/* No file is called so. */
static void names_too_long_are_not(void **state)
{
	char name[301];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[299] = '~';
	name[300] = 0;
	assert_false(scratch_name(span_of(name)));
	assert_true(scratch_name((struct span){ (uint8_t *)name + 45, 255 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_tools_are_scratch),
		cmocka_unit_test(other_names_are_not),
		cmocka_unit_test(names_too_long_are_not),
	};

	return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
