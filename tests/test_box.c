/* core/box: where the bytes of slices lie, against a count of elements. */
#include "core/box.h"
#include "tests/grid.h"

#define ROUNDS 400

static const size_t items[] = { 1, 2, 4, 8, 16 };

static struct box *box_of(const struct grid *g, size_t part, size_t item)
{
	struct box *b = NULL;

	assert_int_equal(
		box_new(grid_shape(g), g->parts[part].extents, item, &b), 0);
	return b;
}

/* Every offset: a box of items is one of bytes, so `item` elements are owned at once. */
static void assert_before(const struct grid *g, size_t part, size_t item,
			  const struct box *b)
{
	uint64_t before = 0, first = 0, end = 0;

	for (uint64_t at = 0; at < grid_elements(g) * item; at++) {
		assert_int_equal(box_before(b, at), before);
		if (!grid_owns(g, part, at / item))
			continue;
		if (before++ == 0)
			first = at;
		end = at + 1;
	}
	assert_int_equal(box_before(b, grid_elements(g) * item), before);
	assert_int_equal(box_size(b), before);
	assert_int_equal(box_first(b), first);
	assert_int_equal(box_end(b), end);
}

static void bytes_before_any_offset_are_counted(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		struct grid g = grid_make(seed);
		size_t item = items[seed % ARRAY_SIZE(items)];

		for (size_t i = 0; i < g.n; i++) {
			CLEANUP(box_freep) struct box *b = box_of(&g, i, item);

			assert_before(&g, i, item, b);
		}
	}
}

static void gathering_takes_the_bytes_of_the_slice(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		struct grid g = grid_make(seed);
		size_t item = items[seed % ARRAY_SIZE(items)];
		CLEANUP(buf_release) struct buf whole = { 0 };

		grid_fill(&g, grid_elements(&g) * item, &whole);
		for (size_t i = 0; i < g.n; i++) {
			CLEANUP(box_freep) struct box *b = box_of(&g, i, item);
			CLEANUP(buf_release) struct buf want = { 0 };
			CLEANUP(free_ptr) uint8_t *got = NULL;
			uint64_t at, n;

			grid_take(&g, i, whole.data, item, &want);
			at = grid_random(&g, (unsigned)want.len);
			n = 1 + grid_random(&g, (unsigned)(want.len - at));
			got = malloc(n);
			box_gather(b, at, n, got, whole.data, 0);
			assert_memory_equal(got, want.data + at, n);
		}
	}
}

static void scattering_all_slices_makes_the_whole(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		struct grid g = grid_make(seed);
		size_t item = items[seed % ARRAY_SIZE(items)];
		CLEANUP(buf_release) struct buf whole = { 0 };
		CLEANUP(buf_release) struct buf made = { 0 };

		grid_fill(&g, grid_elements(&g) * item, &whole);
		buf_put_zeros(&made, whole.len);
		for (size_t i = 0; i < g.n; i++) {
			CLEANUP(box_freep) struct box *b = box_of(&g, i, item);
			CLEANUP(buf_release) struct buf part = { 0 };

			grid_take(&g, i, whole.data, item, &part);
			box_scatter(b, 0, part.len, part.data, made.data, 0);
		}
		assert_memory_equal(made.data, whole.data, whole.len);
	}
}

static void whole_dimensions_make_long_runs(void **state)
{
	const int64_t dims[] = { 5, 7, 11 };
	const struct shape shape = { 3, dims };
	const struct slice_extent rows[] = { { 2, 2 }, { 0, -1 }, { 0, 11 } };
	const struct slice_extent columns[] = { { 0, -1 },
						{ 3, 2 },
						{ 0, -1 } };
	CLEANUP(box_freep) struct box *a = NULL;
	CLEANUP(box_freep) struct box *b = NULL;
	struct run run;

	(void)state;
	assert_int_equal(box_new(shape, rows, 4, &a), 0);
	run = box_run(a, 0, box_size(a));
	assert_int_equal(run.whole, 2 * 77 * 4);
	assert_int_equal(run.n, 2 * 77 * 4);

	assert_int_equal(box_new(shape, columns, 4, &b), 0);
	run = box_run(b, 0, box_size(b));
	assert_int_equal(run.whole, 3 * 11 * 4);
	assert_int_equal(run.n, 2 * 11 * 4);
	assert_int_equal(run.rows, 5);
	assert_int_equal(run.stride, 77 * 4);
}

static void scalars_and_empty_slices_are_boxes(void **state)
{
	const int64_t dims[] = { 3, 0 };
	const struct slice_extent none[] = { { 0, 3 }, { 0, 0 } };
	CLEANUP(box_freep) struct box *scalar = NULL;
	CLEANUP(box_freep) struct box *empty = NULL;

	(void)state;
	assert_int_equal(box_new((struct shape){ 0 }, NULL, 8, &scalar), 0);
	assert_int_equal(box_size(scalar), 8);
	assert_int_equal(box_end(scalar), 8);
	assert_int_equal(box_new((struct shape){ 2, dims }, none, 8, &empty),
			 0);
	assert_int_equal(box_size(empty), 0);
	assert_int_equal(box_end(empty), 0);
	assert_int_equal(box_before(empty, 5), 0);
}

static void shape_beyond_any_file_is_refused(void **state)
{
	const int64_t dims[] = { INT64_MAX / 4 };
	const struct slice_extent one[] = { { 0, 1 } };
	struct box *b = NULL;

	(void)state;
	assert_int_equal(box_new((struct shape){ 1, dims }, one, 16, &b), -EIO);
	assert_int_equal(box_new((struct shape){ 1, dims }, one, 1, &b), 0);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_before_any_offset_are_counted),
		cmocka_unit_test(gathering_takes_the_bytes_of_the_slice),
		cmocka_unit_test(scattering_all_slices_makes_the_whole),
		cmocka_unit_test(whole_dimensions_make_long_runs),
		cmocka_unit_test(scalars_and_empty_slices_are_boxes),
		cmocka_unit_test(shape_beyond_any_file_is_refused),
	};

	return cmocka_run_group_tests_name("box", tests, NULL, NULL);
}
