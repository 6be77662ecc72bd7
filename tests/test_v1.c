/* core/v1: what a V1 checkpoint lists. */
#include <pthread.h>
#include <stdatomic.h>

#include "core/v1_file.h"
#include "core/v1_record.h"
#include "tests/v1_support.h"

static const struct dims scalar = { 0, { 0 } };
static const struct dims four = { 1, { 4 } };
static const struct dims grid = { 2, { 4, 3 } };
static const struct slice_extent halves[] = { { 0, 2 }, { 2, 2 } };

static struct bundle *open_it(const struct place *where)
{
	struct bundle *b = NULL;

	assert_int_equal(v1_open(where->fd, "ckpt", &b), 0);
	return b;
}

static struct bundle *make_and_open(const struct place *where,
				    struct v1_maker *m)
{
	v1_write_file(m, where->fd, "ckpt");
	return open_it(where);
}

static const struct entry *find(const struct bundle *b, const char *key)
{
	return bundle_find(b, span_of(key));
}

static void assert_writable(const struct bundle *b, bool want)
{
	const char *reason = NULL;

	assert_true(want ? bundle_writable(b, &reason) != -EIO
			 : bundle_writable(b, &reason) < 0);
}

static void tensors_are_listed_by_name(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct entry *e;

	(void)state;
	v1_list(&m, span_of("z"), DT_FLOAT, &grid, 1, NULL);
	v1_list(&m, span_of("a"), DT_STRING, &scalar, 1, NULL);
	v1_list(&m, (struct span){ (const uint8_t *)"n\0\xff", 3 }, DT_INT8,
		&four, 1, NULL);
	b = make_and_open(&where, &m);
	assert_int_equal(bundle_count(b), 3);
	assert_true(span_equal(entry_key(bundle_entry(b, 0)), span_of("a")));
	e = find(b, "z");
	assert_int_equal(entry_dtype(e), DT_FLOAT);
	assert_int_equal(entry_size(e), 48);
	assert_int_equal(entry_elements(e), 12);
	assert_int_equal(entry_slices(e), 0);
	assert_int_equal(entry_size(find(b, "a")), 0);
	assert_non_null(entry_v1(e));
	assert_writable(b, true);
}

static void tensor_without_a_name_is_one(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	v1_list(&m, span_of(""), DT_INT32, &scalar, 1, NULL);
	b = make_and_open(&where, &m);
	assert_int_equal(bundle_count(b), 1);
	assert_int_equal(entry_key(bundle_entry(b, 0)).len, 0);
	assert_true(
		span_equal(v1_record_key(entry_v1(bundle_entry(b, 0))),
			   (struct span){ (const uint8_t *)"\0\0\1\0", 4 }));
}

static void files_of_2016_have_no_version(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	v1_list(&m, span_of("w"), DT_FLOAT, &four, 1, NULL);
	b = make_and_open(&where, &m);
	assert_int_equal(bundle_count(b), 1);
}

static void put_version(struct v1_maker *m, unsigned field, int64_t value)
{
	CLEANUP(buf_release) struct buf version = { 0 };

	put_int(&version, 1, 1);
	put_int(&version, field, value);
	put_bytes(&m->list, 2, buf_span(&version));
}

/* As by TensorFlow, whose bundles have the same. */
static void version_of_no_known_format_is_refused(void **state)
{
	static const int64_t values[] = { -1, 2, 1 };
	static const char *const reasons[] = { "negative", "newer reader",
					       "forbids" };
	CLEANUP(place_release) struct place where = place_make();
	struct bundle *b = NULL;

	(void)state;
	for (unsigned field = 1; field <= 3; field++) {
		CLEANUP(v1_release) struct v1_maker m = { 0 };

		v1_list(&m, span_of("w"), DT_FLOAT, &four, 1, NULL);
		put_version(&m, field, values[field - 1]);
		v1_write_file(&m, where.fd, "ckpt");
		forget_lines();
		assert_int_equal(v1_open(where.fd, "ckpt", &b), -EIO);
		assert_said(reasons[field - 1]);
	}
}

static void slices_are_parts(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct entry *e, *part;

	(void)state;
	v1_list(&m, span_of("w"), DT_INT32, &four, 2, halves);
	b = make_and_open(&where, &m);
	assert_int_equal(bundle_count(b), 1);
	e = find(b, "w");
	assert_int_equal(entry_slices(e), 2);
	assert_null(entry_v1(e));
	part = entry_part(e, 1);
	assert_non_null(part);
	assert_int_equal(entry_shape(part).dims[0], 2);
	assert_int_equal(entry_size(part), 8);
	assert_non_null(entry_v1(part));
	assert_true(span_equal(v1_record_key(entry_v1(part)), entry_key(part)));
	assert_writable(b, true);
}

static void one_slice_with_extents_is_a_part(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct slice_extent all[] = { { 0, 4 }, WHOLE };

	(void)state;
	v1_list(&m, span_of("w"), DT_INT32, &grid, 1, all);
	b = make_and_open(&where, &m);
	assert_int_equal(entry_slices(find(b, "w")), 1);
	assert_int_equal(entry_size(entry_part(find(b, "w"), 0)), 48);
}

/* --- several files ----------------------------------------------------------- */

static void write_shards(const struct place *where)
{
	CLEANUP(v1_release) struct v1_maker first = { 0 };
	CLEANUP(v1_release) struct v1_maker second = { 0 };

	v1_list(&first, span_of("b"), DT_FLOAT, &four, 1, NULL);
	v1_list(&first, span_of("w"), DT_INT32, &four, 1, &halves[0]);
	v1_list(&second, span_of("a"), DT_FLOAT, &four, 1, NULL);
	v1_list(&second, span_of("w"), DT_INT32, &four, 1, &halves[1]);
	v1_write_file(&first, where->fd, "ckpt-00000-of-00002");
	v1_write_file(&second, where->fd, "ckpt-00001-of-00002");
}

static void files_make_one_checkpoint(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct entry *w;
	size_t n;

	(void)state;
	write_shards(&where);
	b = open_it(&where);
	(void)bundle_v1_files(b, &n);
	assert_int_equal(n, 2);
	assert_int_equal(bundle_count(b), 3);
	w = find(b, "w");
	assert_int_equal(entry_slices(w), 2);
	assert_string_equal(
		v1_file_name(v1_record_file(entry_v1(entry_part(w, 0)))),
		"ckpt-00000-of-00002");
	assert_string_equal(
		v1_file_name(v1_record_file(entry_v1(entry_part(w, 1)))),
		"ckpt-00001-of-00002");
	assert_int_equal(bundle_current(b), 1);
	assert_true(bundle_in_place(b));
}

static void assert_first(const struct place *where, const char *want)
{
	CLEANUP(free_ptr) char *name = v1_first_name(where->fd, "ckpt");

	assert_string_equal(name, want);
}

static void directory_of_the_name_is_not_in_the_way(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	assert_first(&where, "ckpt");
	write_shards(&where);
	assert_first(&where, "ckpt-00000-of-00002");
	assert_int_equal(mkdirat(where.fd, "ckpt", 0755), 0);
	assert_first(&where, "ckpt-00000-of-00002");
	b = open_it(&where);
	assert_int_equal(bundle_count(b), 3);
}

static void replacing_any_file_is_a_change(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	static const char *const names[] = { "ckpt-00000-of-00002",
					     "ckpt-00001-of-00002" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(bundle_unrefp) struct bundle *b = NULL;
		CLEANUP(buf_release) struct buf bytes = { 0 };

		write_shards(&where);
		b = open_it(&where);
		get_file(where.fd, names[i], &bytes);
		replace_file(where.fd, names[i], buf_span(&bytes));
		assert_int_equal(bundle_current(b), 0);
		assert_false(bundle_in_place(b));
		assert_int_equal(unlinkat(where.fd, names[i], 0), 0);
		assert_int_equal(bundle_current(b), -ENOENT);
	}
}

static void missing_file_is_said_and_noticed_when_it_comes(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	write_shards(&where);
	get_file(where.fd, "ckpt-00001-of-00002", &bytes);
	assert_int_equal(unlinkat(where.fd, "ckpt-00001-of-00002", 0), 0);
	forget_lines();
	b = open_it(&where);
	assert_said("missing");
	assert_int_equal(bundle_count(b), 2);
	assert_writable(b, false);
	assert_int_equal(bundle_current(b), 1);
	put_file(where.fd, "ckpt-00001-of-00002", buf_span(&bytes));
	assert_int_equal(bundle_current(b), 0);
}

static void moved_checkpoint_knows_its_files(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(bundle_unrefp) struct bundle *moved = NULL;

	(void)state;
	write_shards(&where);
	b = open_it(&where);
	assert_int_equal(renameat(where.fd, "ckpt-00000-of-00002", where.fd,
				  "best-00000-of-00002"),
			 0);
	assert_int_equal(renameat(where.fd, "ckpt-00001-of-00002", where.fd,
				  "best-00001-of-00002"),
			 0);
	assert_int_equal(bundle_move(b, where.fd, "best", &moved), 0);
	assert_int_equal(bundle_current(moved), 1);
	assert_int_equal(bundle_count(moved), 3);
}

struct namer {
	struct v1_file *file;
	atomic_bool done;
};

static void *name_it(void *arg)
{
	struct namer *n = arg;

	while (!atomic_load(&n->done)) {
		const char *name = v1_file_name(n->file);

		assert_true(strcmp(name, "ckpt") == 0 ||
			    strcmp(name, "best") == 0);
	}
	return NULL;
}

/* What thread sanitizer looks at: a log line names it while somebody renames it. */
static void file_is_named_while_it_is_moved(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(v1_file_unrefp) struct v1_file *f = NULL;
	struct namer n = { 0 };
	pthread_t thread;

	(void)state;
	v1_list(&m, span_of("a"), DT_FLOAT, &four, 1, NULL);
	v1_write_file(&m, where.fd, "ckpt");
	assert_int_equal(v1_file_open(where.fd, "ckpt", &f), 0);
	n.file = f;
	assert_int_equal(pthread_create(&thread, NULL, name_it, &n), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
			v1_file_move(f, where.fd, i % 2 ? "ckpt" : "best"), 0);
	atomic_store(&n.done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* --- lies -------------------------------------------------------------------- */

/* Lists `good` and whatever else `m` has: only that is shown, and one line is said. */
static void assert_left_out(struct v1_maker *m, const char *why)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	v1_list(m, span_of("good"), DT_FLOAT, &four, 1, NULL);
	forget_lines();
	b = make_and_open(&where, m);
	assert_said(why);
	assert_non_null(find(b, "good"));
	assert_null(find(b, "bad"));
	assert_writable(b, false);
}

static void lie(int32_t dtype, const struct dims *shape, size_t n,
		const struct slice_extent *slices, const char *why)
{
	CLEANUP(v1_release) struct v1_maker m = { 0 };

	v1_list(&m, span_of("bad"), dtype, shape, n, slices);
	assert_left_out(&m, why);
}

static void negative_dimension_is_left_out(void **state)
{
	const struct dims shape = { 2, { 4, -1 } };

	(void)state;
	lie(DT_FLOAT, &shape, 1, NULL, "negative or too large");
}

static void too_many_elements_are_left_out(void **state)
{
	const struct dims shape = { 3,
				    { INT64_C(1) << 31, INT64_C(1) << 31, 4 } };

	(void)state;
	lie(DT_FLOAT, &shape, 1, NULL, "negative or too large");
}

static void unknown_dtype_is_left_out(void **state)
{
	(void)state;
	lie(101, &four, 1, NULL, "dtype");
	lie(0, &four, 1, NULL, "dtype");
}

static void overlapping_slices_are_left_out(void **state)
{
	const struct slice_extent slices[] = { { 0, 3 }, { 2, 2 } };

	(void)state;
	lie(DT_FLOAT, &four, 2, slices, "overlap");
}

static void slice_and_whole_overlap(void **state)
{
	const struct slice_extent slices[] = { WHOLE, { 2, 2 } };

	(void)state;
	lie(DT_FLOAT, &four, 2, slices, "overlap");
}

static void slices_outside_are_left_out(void **state)
{
	static const struct slice_extent slices[][1] = {
		{ { 3, 2 } },
		{ { -1, 2 } },
		{ { 5, 0 } },
		{ { 1, INT64_MAX } },
		{ { INT64_MAX, INT64_MAX } },
		{ { 0, -2 } },
		{ { 1, -1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(slices); i++)
		lie(DT_FLOAT, &four, 1, slices[i], "does not fit");
}

/* TensorFlow then opens no tensor of the file, also where the slice is all there is. */
static void slice_of_another_rank_is_left_out(void **state)
{
	static const struct slice_extent whole[] = { WHOLE };
	const struct slice_extent *const slices[] = { halves, whole };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(slices); i++) {
		CLEANUP(v1_release) struct v1_maker m = { 0 };
		CLEANUP(buf_release) struct buf meta = { 0 };

		put_bytes(&meta, 1, span_of("bad"));
		put_int(&meta, 3, DT_FLOAT);
		put_slice(&meta, 4, 1, slices[i]);
		put_bytes(&m.list, 1, buf_span(&meta));
		assert_left_out(&m, "does not fit");
	}
}

static void more_than_254_dimensions_are_left_out(void **state)
{
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(buf_release) struct buf dims = { 0 };
	CLEANUP(buf_release) struct buf meta = { 0 };

	(void)state;
	for (int i = 0; i < 255; i++)
		put_bytes(&dims, 2, span_of("\x08\x01"));
	put_bytes(&meta, 1, span_of("bad"));
	put_bytes(&meta, 2, buf_span(&dims));
	put_int(&meta, 3, DT_FLOAT);
	put_bytes(&m.list, 1, buf_span(&meta));
	assert_left_out(&m, "254");
}

static void whole_tensor_listed_twice_is_left_out(void **state)
{
	CLEANUP(v1_release) struct v1_maker m = { 0 };

	(void)state;
	v1_list(&m, span_of("bad"), DT_FLOAT, &four, 1, NULL);
	v1_list(&m, span_of("bad"), DT_FLOAT, &four, 1, NULL);
	assert_left_out(&m, "overlap");
}

/* The first one stands; what does not agree with it is left out. */
static void second_opinion_is_left_out(void **state)
{
	static const int32_t dtypes[] = { DT_INT32, DT_FLOAT };
	static const struct dims *const shapes[] = { &four, &grid };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(place_release) struct place where = place_make();
		CLEANUP(v1_release) struct v1_maker m = { 0 };
		CLEANUP(bundle_unrefp) struct bundle *b = NULL;

		v1_list(&m, span_of("w"), DT_FLOAT, &four, 1, halves);
		v1_list(&m, span_of("w"), dtypes[i], shapes[i], 1,
			shapes[i] == &four ? halves + 1 : NULL);
		forget_lines();
		b = make_and_open(&where, &m);
		assert_said("different");
		assert_int_equal(entry_slices(find(b, "w")), 1);
		assert_int_equal(entry_dtype(find(b, "w")), DT_FLOAT);
		assert_writable(b, false);
	}
}

static void name_that_is_the_key_of_a_slice_is_noticed(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(buf_release) struct buf key = { 0 };

	(void)state;
	v1_key(span_of("w"), 1, halves, &key);
	v1_list(&m, span_of("w"), DT_FLOAT, &four, 2, halves);
	v1_list(&m, buf_span(&key), DT_FLOAT, &four, 1, NULL);
	forget_lines();
	b = make_and_open(&where, &m);
	assert_said("one key");
	assert_writable(b, false);
}

static void table_without_a_list_is_no_checkpoint(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	CLEANUP(buf_release) struct buf bytes = { 0 };
	struct table_writer *w = NULL;
	struct bundle *b = NULL;

	(void)state;
	assert_int_equal(table_writer_new(&bytes, &w), 0);
	table_writer_add(w, span_of("k"), span_of("v"));
	assert_int_equal(table_writer_finish(w, 0), 0);
	table_writer_free(w);
	put_file(where.fd, "ckpt", buf_span(&bytes));
	forget_lines();
	assert_int_equal(v1_open(where.fd, "ckpt", &b), -EIO);
	assert_said("no list");
	put_file(where.fd, "ckpt", span_of("no table at all"));
	assert_int_equal(v1_open(where.fd, "ckpt", &b), -EBADMSG);
	assert_int_equal(v1_open(where.fd, "none", &b), -ENOENT);
}

static void list_that_does_not_parse_is_damage(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(v1_release) struct v1_maker m = { 0 };
	struct bundle *b = NULL;

	(void)state;
	put_bytes(&m.list, 1, span_of("\x0a\x7f"));
	v1_write_file(&m, where.fd, "ckpt");
	forget_lines();
	assert_int_equal(v1_open(where.fd, "ckpt", &b), -EIO);
	assert_said("does not parse");
}

/* Whatever is cut off or damaged: no crash, and no tensor that is not there. */
static void every_prefix_and_every_damaged_byte_is_survived(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf bytes = { 0 };
	struct bundle *b = NULL;

	(void)state;
	copy_fixture(&where, "v1_slices");
	get_file(where.fd, "ckpt.v1", &bytes);
	for (size_t i = 0; i < bytes.len; i++) {
		put_file(where.fd, "ckpt", (struct span){ bytes.data, i });
		assert_true(v1_open(where.fd, "ckpt", &b) < 0);
	}
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= 0x41;
		put_file(where.fd, "ckpt", buf_span(&bytes));
		if (v1_open(where.fd, "ckpt", &b) == 0) {
			assert_true(bundle_count(b) <= 4);
			bundle_unref(STEAL(b));
		}
		bytes.data[i] ^= 0x41;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tensors_are_listed_by_name),
		cmocka_unit_test(tensor_without_a_name_is_one),
		cmocka_unit_test(files_of_2016_have_no_version),
		cmocka_unit_test(version_of_no_known_format_is_refused),
		cmocka_unit_test(slices_are_parts),
		cmocka_unit_test(one_slice_with_extents_is_a_part),
		cmocka_unit_test(files_make_one_checkpoint),
		cmocka_unit_test(directory_of_the_name_is_not_in_the_way),
		cmocka_unit_test(replacing_any_file_is_a_change),
		cmocka_unit_test(missing_file_is_said_and_noticed_when_it_comes),
		cmocka_unit_test(moved_checkpoint_knows_its_files),
		cmocka_unit_test(file_is_named_while_it_is_moved),
		cmocka_unit_test(negative_dimension_is_left_out),
		cmocka_unit_test(too_many_elements_are_left_out),
		cmocka_unit_test(unknown_dtype_is_left_out),
		cmocka_unit_test(overlapping_slices_are_left_out),
		cmocka_unit_test(slice_and_whole_overlap),
		cmocka_unit_test(slices_outside_are_left_out),
		cmocka_unit_test(slice_of_another_rank_is_left_out),
		cmocka_unit_test(more_than_254_dimensions_are_left_out),
		cmocka_unit_test(whole_tensor_listed_twice_is_left_out),
		cmocka_unit_test(second_opinion_is_left_out),
		cmocka_unit_test(name_that_is_the_key_of_a_slice_is_noticed),
		cmocka_unit_test(table_without_a_list_is_no_checkpoint),
		cmocka_unit_test(list_that_does_not_parse_is_damage),
		cmocka_unit_test(
			every_prefix_and_every_damaged_byte_is_survived),
	};

	return cmocka_run_group_tests_name("v1", tests, note_lines, NULL);
}
