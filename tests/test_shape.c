/* core/shape: what people write for a shape, and what TensorFlow would die of. */
#include <string.h>

#include "core/shape.h"
#include "tests/test.h"

#define SHAPE(...)                                                             \
	((struct shape){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
			 (const int64_t[]){ __VA_ARGS__ } })
#define SCALAR ((struct shape){ 0 })

/* A text of `rank` ones, `1,1,1`: too long a shape, if it is. */
static struct span ones(size_t rank, char text[static 2 * SHAPE_MAX_RANK + 2])
{
	for (size_t i = 0; i < 2 * rank; i++)
		text[i] = i % 2 ? ',' : '1';
	return (struct span){ (const uint8_t *)text, 2 * rank - 1 };
}

static bool reads_as(const char *text, struct shape want)
{
	int64_t dims[SHAPE_MAX_RANK];
	struct shape got;

	return shape_parse(span_of(text), dims, &got) && shape_equal(got, want);
}

static bool refuses(const char *text)
{
	int64_t dims[SHAPE_MAX_RANK];
	struct shape got = { .rank = 42 };

	return !shape_parse(span_of(text), dims, &got) && got.rank == 42;
}

static bool counts(struct shape shape, uint64_t want)
{
	uint64_t n;

	return shape_elements(shape, &n) && n == want;
}

static bool overflows(struct shape shape)
{
	uint64_t n = 42;

	return !shape_elements(shape, &n) && n == 42;
}

static void elements_are_the_product(void **state)
{
	(void)state;
	assert_true(counts(SCALAR, 1));
	assert_true(counts(SHAPE(784, 10), 7840));
	assert_true(counts(SHAPE(0, 3), 0));
	assert_true(counts(SHAPE(INT64_MAX), INT64_MAX));
	assert_true(counts(SHAPE(0, INT64_MAX, INT64_MAX), 0));
}

static void negative_dimension_is_refused(void **state)
{
	(void)state;
	assert_true(overflows(SHAPE(3, -1)));
	assert_true(overflows(SHAPE(INT64_MIN)));
	assert_true(overflows(SHAPE(0, -2)));
}

static void partial_product_of_2_to_the_63_is_refused_even_beside_a_0(
	void **state)
{
	(void)state;
	assert_true(overflows(SHAPE(INT64_C(1) << 32, INT64_C(1) << 31)));
	assert_true(overflows(SHAPE(INT64_C(1) << 62, 2, 0)));
	assert_true(refuses("[4611686018427387904, 2, 0]"));
}

static void rank_254_is_the_last_that_works(void **state)
{
	int64_t dims[SHAPE_MAX_RANK + 1];
	char text[2 * SHAPE_MAX_RANK + 2];
	struct shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dims); i++)
		dims[i] = 1;
	assert_true(counts((struct shape){ SHAPE_MAX_RANK, dims }, 1));
	assert_true(overflows((struct shape){ SHAPE_MAX_RANK + 1, dims }));

	assert_true(shape_parse(ones(SHAPE_MAX_RANK, text), dims, &shape));
	assert_int_equal(shape.rank, SHAPE_MAX_RANK);
	assert_false(shape_parse(ones(SHAPE_MAX_RANK + 1, text), dims, &shape));
}

static void shapes_differ_by_rank_and_by_dimension(void **state)
{
	(void)state;
	assert_true(shape_equal(SCALAR, SCALAR));
	assert_true(shape_equal(SHAPE(2, 3), SHAPE(2, 3)));
	assert_false(shape_equal(SHAPE(2, 3), SHAPE(3, 2)));
	assert_false(shape_equal(SHAPE(2), SHAPE(2, 1)));
	assert_false(shape_equal(SCALAR, SHAPE(1)));
}

static void print_is_python_and_json(void **state)
{
	static const char want[] = "[]\n[5]\n[784, 10]\n";
	struct buf b = { 0 };

	(void)state;
	shape_print(SCALAR, &b);
	shape_print(SHAPE(5), &b);
	shape_print(SHAPE(784, 10), &b);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.data, want, b.len);
	buf_release(&b);
}

static void what_is_printed_reads_back(void **state)
{
	const struct shape shapes[] = { SCALAR, SHAPE(0), SHAPE(INT64_MAX),
					SHAPE(1, 2, 3, 4, 5) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		int64_t dims[SHAPE_MAX_RANK];
		struct buf b = { 0 };
		struct shape got;

		shape_print(shapes[i], &b);
		assert_true(shape_parse(buf_span(&b), dims, &got));
		assert_true(shape_equal(got, shapes[i]));
		buf_release(&b);
	}
}

static void every_way_to_write_a_shape_is_read(void **state)
{
	(void)state;
	assert_true(reads_as("[784, 10]\n", SHAPE(784, 10)));
	assert_true(reads_as("(784, 10)", SHAPE(784, 10)));
	assert_true(reads_as("784,10", SHAPE(784, 10)));
	assert_true(reads_as("784 10\n", SHAPE(784, 10)));
	assert_true(reads_as("784", SHAPE(784)));
	assert_true(reads_as("(784,)", SHAPE(784)));
	assert_true(reads_as("[784,10,]", SHAPE(784, 10)));
	assert_true(reads_as(" [ 784 , 10 ] \r\n", SHAPE(784, 10)));
	assert_true(reads_as("[  3 14]", SHAPE(3, 14)));
	assert_true(reads_as("[\n  3,\n  4\n]\n", SHAPE(3, 4)));
	assert_true(reads_as("[]", SCALAR));
	assert_true(reads_as("()\n", SCALAR));
	assert_true(reads_as(" [ ] ", SCALAR));
	assert_true(reads_as("9223372036854775807", SHAPE(INT64_MAX)));
}

static void brackets_must_match(void **state)
{
	(void)state;
	assert_true(refuses("[3, 4)"));
	assert_true(refuses("(3, 4]"));
	assert_true(refuses("[3, 4"));
	assert_true(refuses("3, 4]"));
	assert_true(refuses("[[3, 4]]"));
	assert_true(refuses("[3, [4]]"));
	assert_true(refuses("]"));
	assert_true(refuses("["));
}

static void separators_must_separate(void **state)
{
	(void)state;
	assert_true(refuses("3,,4"));
	assert_true(refuses(",3"));
	assert_true(refuses("[,]"));
	assert_true(refuses("3, 4,,"));
	assert_true(refuses("3, 4 5"));
	assert_true(refuses("3 4, 5"));
	assert_true(refuses("3;4"));
	assert_true(refuses("3x4"));
	assert_true(refuses("3-1"));
}

static void what_follows_the_shape_is_refused(void **state)
{
	const struct span nul = { (const uint8_t *)"3\0", 2 };
	int64_t dims[SHAPE_MAX_RANK];
	struct shape shape;

	(void)state;
	assert_true(refuses("[3, 4] 5"));
	assert_true(refuses("[3, 4],"));
	assert_true(refuses("[3, 4]]"));
	assert_true(refuses("[3, 4] [5]"));
	assert_true(refuses("[3, 4] # rows, columns"));
	assert_false(shape_parse(nul, dims, &shape));
}

static void what_is_no_number_is_refused(void **state)
{
	(void)state;
	assert_true(refuses(""));
	assert_true(refuses(" \n"));
	assert_true(refuses("None"));
	assert_true(refuses("[None, 3]"));
	assert_true(refuses("+3"));
	assert_true(refuses("3.0"));
	assert_true(refuses("0x10"));
	assert_true(refuses("1e3"));
	assert_true(refuses("-"));
	assert_true(refuses("- 1"));
	assert_true(refuses("-0"));
	assert_true(refuses("-2"));
}

static void number_of_64_bits_is_refused(void **state)
{
	(void)state;
	assert_true(refuses("9223372036854775808"));
	assert_true(refuses("18446744073709551617"));
	assert_true(refuses("99999999999999999999999999"));
	assert_true(refuses("-18446744073709551615"));
}

static void one_dimension_may_be_left_open(void **state)
{
	(void)state;
	assert_true(reads_as("[-1]", SHAPE(-1)));
	assert_true(reads_as("[-1, 10]", SHAPE(-1, 10)));
	assert_true(reads_as("784 -1", SHAPE(784, -1)));
	assert_true(refuses("[-1, -1]"));
	assert_true(refuses("[-1, 0]"));
	assert_true(refuses("[0, -1]"));
	assert_true(refuses("[4611686018427387904, 2, -1]"));
}

static void open_dimension_follows_from_the_elements(void **state)
{
	int64_t front[] = { -1, 10 }, back[] = { 784, -1 }, alone[] = { -1 };
	int64_t none[] = { 5, -1 };

	(void)state;
	assert_true(shape_resolve(front, 2, 7840));
	assert_int_equal(front[0], 784);
	assert_true(shape_resolve(back, 2, 7840));
	assert_int_equal(back[1], 10);
	assert_true(shape_resolve(alone, 1, INT64_MAX));
	assert_true(alone[0] == INT64_MAX);
	assert_true(shape_resolve(none, 2, 0));
	assert_int_equal(none[1], 0);
}

static void open_dimension_that_nothing_fits_stays_open(void **state)
{
	int64_t dims[] = { -1, 10 }, zero[] = { -1, 0 }, two[] = { -1, -1 };
	int64_t wide[] = { -1 };

	(void)state;
	assert_false(shape_resolve(dims, 2, 7841));
	assert_false(shape_resolve(dims, 2, 9));
	assert_int_equal(dims[0], -1);
	assert_false(shape_resolve(zero, 2, 0));
	assert_false(shape_resolve(zero, 2, 5));
	assert_int_equal(zero[0], -1);
	assert_false(shape_resolve(two, 2, 4));
	assert_false(shape_resolve(wide, 1, UINT64_C(1) << 63));
	assert_int_equal(wide[0], -1);
}

static void complete_shape_resolves_if_the_elements_agree(void **state)
{
	int64_t dims[] = { 2, 3 };

	(void)state;
	assert_true(shape_resolve(dims, 2, 6));
	assert_false(shape_resolve(dims, 2, 7));
	assert_true(shape_resolve(dims, 0, 1));
	assert_false(shape_resolve(dims, 0, 0));
	assert_int_equal(dims[0], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_are_the_product),
		cmocka_unit_test(negative_dimension_is_refused),
		cmocka_unit_test(
			partial_product_of_2_to_the_63_is_refused_even_beside_a_0),
		cmocka_unit_test(rank_254_is_the_last_that_works),
		cmocka_unit_test(shapes_differ_by_rank_and_by_dimension),
		cmocka_unit_test(print_is_python_and_json),
		cmocka_unit_test(what_is_printed_reads_back),
		cmocka_unit_test(every_way_to_write_a_shape_is_read),
		cmocka_unit_test(brackets_must_match),
		cmocka_unit_test(separators_must_separate),
		cmocka_unit_test(what_follows_the_shape_is_refused),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(number_of_64_bits_is_refused),
		cmocka_unit_test(one_dimension_may_be_left_open),
		cmocka_unit_test(open_dimension_follows_from_the_elements),
		cmocka_unit_test(open_dimension_that_nothing_fits_stays_open),
		cmocka_unit_test(complete_shape_resolves_if_the_elements_agree),
	};

	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
