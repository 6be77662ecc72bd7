/* core/type: what is known of a tensor, and whether bytes fit it. */
#include "core/dtype.h"
#include "core/type.h"
#include "tests/support.h"

static struct type read_type(const char *dtype, const char *shape)
{
	struct type t = { 0 };

	if (dtype)
		assert_int_equal(type_read_dtype(&t, span_of(dtype)), 0);
	if (shape)
		assert_int_equal(type_read_shape(&t, span_of(shape)), 0);
	return t;
}

static void nothing_is_known_of_zeroes(void **state)
{
	struct type t = { 0 };

	(void)state;
	assert_true(type_empty(&t));
	assert_false(type_complete(&t));
	type_release(&t);
}

static void both_parts_make_it_complete(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		CLEANUP(type_release)
		struct type t = read_type(i & 1 ? "int8" : NULL,
					  i & 2 ? "[]" : NULL);

		assert_int_equal(type_complete(&t), i == 3);
		assert_int_equal(type_empty(&t), i == 0);
	}
}

static void text_that_is_none_changes_nothing(void **state)
{
	CLEANUP(type_release) struct type t = read_type("int8", "[2, 3]");
	CLEANUP(type_release) struct type same = read_type("int8", "[2, 3]");

	(void)state;
	assert_int_equal(type_read_dtype(&t, span_of("float")), -EINVAL);
	assert_int_equal(type_read_dtype(&t, span_of("")), -EINVAL);
	assert_int_equal(type_read_shape(&t, span_of("[2, x]")), -EINVAL);
	assert_int_equal(type_read_shape(&t, span_of("[-1, -1]")), -EINVAL);
	assert_int_equal(type_read_shape(&t, span_of("")), -EINVAL);
	assert_true(type_equal(&t, &same));
}

static void copy_is_equal_and_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		CLEANUP(type_release)
		struct type t = read_type(i & 1 ? "int8" : NULL,
					  i & 2 ? "[4, 5]" : NULL);
		CLEANUP(type_release) struct type copy = { 0 };

		assert_int_equal(type_copy(&t, &copy), 0);
		assert_true(type_equal(&t, &copy));
		if (i & 2) {
			assert_ptr_not_equal(t.dims, copy.dims);
			copy.dims[0]++;
			assert_false(type_equal(&t, &copy));
		}
	}
}

static void equal_types_are_alike_in_all_parts(void **state)
{
	CLEANUP(type_release) struct type a = read_type("int8", "[4]");
	CLEANUP(type_release) struct type b = read_type("uint8", "[4]");
	CLEANUP(type_release) struct type c = read_type("int8", "[4, 1]");
	CLEANUP(type_release) struct type d = read_type("int8", NULL);
	CLEANUP(type_release) struct type e = read_type("int8", "[]");

	(void)state;
	assert_true(type_equal(&a, &a));
	assert_false(type_equal(&a, &b));
	assert_false(type_equal(&a, &c));
	assert_false(type_equal(&a, &d));
	assert_false(type_equal(&d, &e));
}

static void type_of_a_tensor_is_complete(void **state)
{
	const int64_t dims[] = { 3, 4 };
	CLEANUP(type_release) struct type t = { 0 };
	CLEANUP(type_release) struct type scalar = { 0 };

	(void)state;
	assert_int_equal(type_from(DT_HALF, (struct shape){ 2, dims }, &t), 0);
	assert_true(type_complete(&t));
	assert_ptr_not_equal(t.dims, dims);
	assert_true(shape_equal(type_shape(&t), (struct shape){ 2, dims }));
	assert_int_equal(type_from(DT_HALF, (struct shape){ 0 }, &scalar), 0);
	assert_true(type_complete(&scalar));
	assert_int_equal(type_shape(&scalar).rank, 0);
}

static void only_what_is_not_known_is_filled_in(void **state)
{
	static const struct {
		const char *dtype, *shape, *want_dtype, *want_shape;
	} cases[] = {
		{ NULL, NULL, "int16", "[7]" },
		{ "int8", NULL, "int8", "[7]" },
		{ NULL, "[]", "int16", "[]" },
		{ "int8", "[2]", "int8", "[2]" },
	};
	CLEANUP(type_release) struct type from = read_type("int16", "[7]");
	const struct type nothing = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(type_release)
		struct type t = read_type(cases[i].dtype, cases[i].shape);
		CLEANUP(type_release)
		struct type want = read_type(cases[i].want_dtype,
					     cases[i].want_shape);

		assert_int_equal(type_complete_from(&t, &from), 0);
		assert_int_equal(type_complete_from(&t, &nothing), 0);
		assert_true(type_equal(&t, &want));
	}
}

static void bytes_fit_where_the_product_is_right(void **state)
{
	static const struct {
		const char *dtype, *shape;
		uint64_t n;
		bool fits;
	} cases[] = {
		{ "float32", "[2, 3]", 24, true },
		{ "float32", "[2, 3]", 23, false },
		{ "float32", "[2, 3]", 28, false },
		{ "float32", "[]", 4, true },
		{ "float32", "[0, 3]", 0, true },
		{ "float32", "[0, 3]", 4, false },
		{ "float32", "[-1, 3]", 24, true },
		{ "float32", "[-1, 3]", 20, false },
		{ "float32", "[-1]", 3, false },
		{ "float32", "[-1]", 0, true },
		{ "int4", "[3]", 3, true }, /* a whole byte each */
		{ "string", "[3]", 3, false },
		{ "float32", NULL, 4, false },
		{ NULL, "[4]", 4, false },
		{ "complex128", "[576460752303423488]", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(type_release)
		struct type t = read_type(cases[i].dtype, cases[i].shape);

		if (type_fits(&t, cases[i].n) != cases[i].fits)
			fail_msg("%s %s %d", cases[i].dtype, cases[i].shape,
				 (int)cases[i].n);
	}
}

static void fitting_bytes_settle_the_unknown_dimension(void **state)
{
	CLEANUP(type_release) struct type t = read_type("int16", "[2, -1, 3]");

	(void)state;
	assert_false(type_fits(&t, 25));
	assert_int_equal(t.dims[1], -1);
	assert_true(type_fits(&t, 24));
	assert_int_equal(t.dims[1], 2);
}

static void size_is_known_of_fixed_types(void **state)
{
	CLEANUP(type_release) struct type t = read_type("int16", "[2, 3]");
	CLEANUP(type_release) struct type open = read_type("int16", "[-1]");
	CLEANUP(type_release) struct type text = read_type("string", "[2]");
	CLEANUP(type_release) struct type half = read_type("int16", NULL);
	CLEANUP(type_release)
	struct type huge = read_type("int16", "[9223372036854775807]");
	uint64_t n = 77;

	(void)state;
	assert_false(type_size(&open, &n));
	assert_false(type_size(&text, &n));
	assert_false(type_size(&half, &n));
	assert_false(type_size(&huge, &n));
	assert_int_equal(n, 77);
	assert_true(type_size(&t, &n));
	assert_int_equal(n, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_of_zeroes),
		cmocka_unit_test(both_parts_make_it_complete),
		cmocka_unit_test(text_that_is_none_changes_nothing),
		cmocka_unit_test(copy_is_equal_and_its_own),
		cmocka_unit_test(equal_types_are_alike_in_all_parts),
		cmocka_unit_test(type_of_a_tensor_is_complete),
		cmocka_unit_test(only_what_is_not_known_is_filled_in),
		cmocka_unit_test(bytes_fit_where_the_product_is_right),
		cmocka_unit_test(fitting_bytes_settle_the_unknown_dimension),
		cmocka_unit_test(size_is_known_of_fixed_types),
	};

	return cmocka_run_group_tests_name("type", tests, note_lines, NULL);
}
