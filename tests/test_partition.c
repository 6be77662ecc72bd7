/* core/partition: slices that may be believed, and each lie that they tell. */
#include "core/partition.h"
#include "tests/grid.h"

/* A BundleEntryProto of any number of slices, in any number of dimensions. */
struct listing {
	struct proto p;
	size_t rank;
	Tensorflow__TensorSliceProto *slices;
	Tensorflow__TensorSliceProto **list;
	extent_proto *extents;
	extent_proto **extent_list;
};

static void listing_init(struct listing *l, size_t rank, const int64_t *dims,
			 size_t n)
{
	*l = (struct listing){ .rank = rank };
	proto_init(&l->p, DT_FLOAT, rank, dims);
	l->slices = calloc(n, sizeof(*l->slices));
	l->list = calloc(n, sizeof(*l->list));
	l->extents = calloc(n * rank, sizeof(*l->extents));
	l->extent_list = calloc(n * rank, sizeof(*l->extent_list));
	for (size_t i = 0; i < n; i++) {
		tensorflow__tensor_slice_proto__init(&l->slices[i]);
		l->slices[i].n_extent = rank;
		l->slices[i].extent = &l->extent_list[i * rank];
		l->list[i] = &l->slices[i];
	}
	for (size_t i = 0; i < n * rank; i++) {
		tensorflow__tensor_slice_proto__extent__init(&l->extents[i]);
		l->extent_list[i] = &l->extents[i];
	}
	l->p.entry.n_slices = n;
	l->p.entry.slices = l->list;
}

static void listing_release(struct listing *l)
{
	free(l->slices);
	free(l->list);
	free(l->extents);
	free(l->extent_list);
}

static void listing_set(struct listing *l, size_t slice, size_t dim,
			int64_t start, int64_t length)
{
	extent_proto *x = &l->extents[slice * l->rank + dim];

	x->start = start;
	x->length = length;
	x->has_length_case =
		TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;
}

static const int64_t square[] = { 6, 6 };

/* The two slices of a 6 by 6 variable that these are in the first dimension. */
static const char *check_two(int64_t start, int64_t length, int64_t start2,
			     int64_t length2)
{
	CLEANUP(listing_release) struct listing l;

	listing_init(&l, 2, square, 2);
	listing_set(&l, 0, 0, start, length);
	listing_set(&l, 1, 0, start2, length2);
	return partition_check(&l.p.entry);
}

static void good_slices_are_believed(void **state)
{
	(void)state;
	assert_null(check_two(0, 2, 2, 4));
	assert_null(check_two(3, 3, 0, 1));
	assert_null(check_two(0, 0, 0, 6));
}

static void corrupt_extents_are_refused(void **state)
{
	(void)state;
	assert_string_equal(check_two(-1, 2, 2, 2),
			    "a slice begins before its variable");
	assert_string_equal(check_two(0, 2, 2, 5),
			    "a slice ends beyond its variable");
	assert_string_equal(check_two(0, 2, 7, 0),
			    "a slice ends beyond its variable");
	assert_string_equal(check_two(0, 2, INT64_MAX, INT64_MAX),
			    "a slice ends beyond its variable");
	assert_string_equal(check_two(0, 2, 0, INT64_MAX),
			    "a slice ends beyond its variable");
	assert_string_equal(check_two(0, 2, 2, -2), "a slice has no length");
	assert_string_equal(check_two(0, 2, 2, INT64_MIN),
			    "a slice has no length");
	assert_string_equal(check_two(0, 2, 2, -1), "a slice has no length");
}

static void overlapping_slices_are_refused(void **state)
{
	(void)state;
	assert_string_equal(check_two(0, 3, 2, 4), "its slices overlap");
	assert_string_equal(check_two(1, 2, 1, 2), "its slices overlap");
	assert_string_equal(check_two(0, -1, 5, 1), "its slices overlap");
	assert_string_equal(check_two(0, -1, 0, -1), "its slices overlap");
}

static void slice_of_another_rank_is_refused(void **state)
{
	CLEANUP(listing_release) struct listing l;

	(void)state;
	listing_init(&l, 2, square, 1);
	l.slices[0].n_extent = 1;
	assert_non_null(partition_check(&l.p.entry));
	l.slices[0].n_extent = 2;
	assert_null(partition_check(&l.p.entry));
	l.p.entry.shape = NULL;
	assert_non_null(partition_check(&l.p.entry));
}

static bool share(const struct listing *l, size_t a, size_t b)
{
	for (size_t d = 0; d < l->rank; d++) {
		const extent_proto *x = &l->extents[a * l->rank + d];
		const extent_proto *y = &l->extents[b * l->rank + d];

		if (x->start + x->length <= y->start ||
		    y->start + y->length <= x->start)
			return false;
	}
	return true;
}

/* Slices at random: what is said of them is what a comparison of all pairs says. */
static void overlaps_are_those_of_all_pairs(void **state)
{
	const int64_t dims[] = { 9, 9, 9 };
	struct grid g = { .seed = 7 };
	int good = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = 2 + grid_random(&g, 4);
		CLEANUP(listing_release) struct listing l;
		bool any = false;

		listing_init(&l, 3, dims, n);
		for (size_t i = 0; i < n * 3; i++) {
			int64_t start = grid_random(&g, 9);

			listing_set(&l, i / 3, i % 3, start,
				    1 + grid_random(&g, 9 - (unsigned)start));
		}
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < i; j++)
				any |= share(&l, i, j);
		assert_int_equal(partition_check(&l.p.entry) != NULL, any);
		good += !any;
	}
	assert_in_range(good, 1000, 19000);
}

static void grids_of_thousands_are_believed(void **state)
{
	const int64_t dims[] = { 180, 180 };
	CLEANUP(listing_release) struct listing l;

	(void)state;
	listing_init(&l, 2, dims, 8100);
	for (size_t i = 0; i < 8100; i++) {
		listing_set(&l, i, 0, (int64_t)(i % 90) * 2, 2);
		listing_set(&l, i, 1, (int64_t)(i / 90) * 2, 2);
	}
	assert_null(partition_check(&l.p.entry));
	listing_set(&l, 8099, 0, 177, 2);
	assert_string_equal(partition_check(&l.p.entry), "its slices overlap");
}

/* Each pair is alike but for one bit of thirteen dimensions, and in 200 others. */
static void slices_that_take_forever_to_compare_are_refused(void **state)
{
	int64_t dims[SHAPE_MAX_RANK];
	CLEANUP(listing_release) struct listing l;

	(void)state;
	for (size_t d = 0; d < SHAPE_MAX_RANK; d++)
		dims[d] = 2;
	listing_init(&l, SHAPE_MAX_RANK, dims, 8192);
	for (size_t i = 0; i < 8192; i++)
		for (size_t d = 0; d < 60; d++)
			listing_set(&l, i, d, 0,
				    d < 47 ? 1 + (int64_t)((i >> (d % 13)) & 1)
					   : 1);
	for (size_t i = 0; i < 8192; i++)
		for (size_t d = 0; d < 13; d++)
			listing_set(&l, i, 47 + d, (int64_t)(i >> d) & 1, 1);
	assert_string_equal(partition_check(&l.p.entry),
			    "its slices are too many to compare");
}

static void too_many_slices_are_refused(void **state)
{
	const int64_t dims[] = { 8193 };
	CLEANUP(listing_release) struct listing l;

	(void)state;
	listing_init(&l, 1, dims, 8193);
	for (size_t i = 0; i < 8193; i++)
		listing_set(&l, i, 0, (int64_t)i, 1);
	assert_non_null(partition_check(&l.p.entry));
	l.p.entry.n_slices--;
	assert_null(partition_check(&l.p.entry));
}

static void slices_are_printed_as_tensorflow_does(void **state)
{
	const struct slice_extent x[] = { { 3, 4 }, { 0, -1 }, { 0, 2 } };
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	slice_print(x, 3, &text);
	assert_true(span_equal(buf_span(&text), span_of("3,4:-:0,2")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_slices_are_believed),
		cmocka_unit_test(corrupt_extents_are_refused),
		cmocka_unit_test(overlapping_slices_are_refused),
		cmocka_unit_test(slice_of_another_rank_is_refused),
		cmocka_unit_test(overlaps_are_those_of_all_pairs),
		cmocka_unit_test(grids_of_thousands_are_believed),
		cmocka_unit_test(
			slices_that_take_forever_to_compare_are_refused),
		cmocka_unit_test(too_many_slices_are_refused),
		cmocka_unit_test(slices_are_printed_as_tensorflow_does),
	};

	return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
