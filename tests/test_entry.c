/* core/entry: what an entry says, keeps, and each lie that it may tell. */
#include "core/dtype.h"
#include "core/entry.h"
#include "core/extent.h"
#include "core/shard.h"
#include "core/slice.h"
#include "tests/support.h"

typedef Tensorflow__TensorSliceProto slice_proto;
typedef Tensorflow__TensorSliceProto__Extent extent_proto;

static const int64_t grid[] = { 3, 4 };

/* A float32 matrix of 3 by 4 at byte 100. */
static void good_proto(struct proto *p)
{
	proto_init(p, DT_FLOAT, 2, grid);
	p->entry.offset = 100;
	p->entry.size = 48;
	p->entry.crc32c = crc32c_mask(7);
}

static int parse(struct span raw, struct entry **ret, const char **ret_reason)
{
	return entry_parse(span_of("a/b"), raw, ENTRY_V2, ret, ret_reason);
}

static struct entry *parsed(const struct proto *p)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct entry *e = NULL;
	const char *reason;

	proto_pack(p, &raw);
	assert_int_equal(parse(buf_span(&raw), &e, &reason), 0);
	return e;
}

static void assert_refused(const struct proto *p, const char *why)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct entry *e = NULL;
	const char *reason = NULL;

	proto_pack(p, &raw);
	assert_int_equal(parse(buf_span(&raw), &e, &reason), -EBADMSG);
	assert_null(e);
	assert_string_equal(reason, why);
}

static void fields_read_back(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct proto p;

	(void)state;
	good_proto(&p);
	p.entry.shard_id = 5;
	e = parsed(&p);
	assert_true(span_equal(entry_key(e), span_of("a/b")));
	assert_int_equal(entry_dtype(e), DT_FLOAT);
	assert_int_equal(entry_shape(e).rank, 2);
	assert_memory_equal(entry_shape(e).dims, grid, sizeof(grid));
	assert_int_equal(entry_elements(e), 12);
	assert_int_equal(entry_size(e), 48);
	assert_int_equal(entry_offset(e), 100);
	assert_int_equal(entry_shard_id(e), 5);
	assert_int_equal(entry_crc32c(e), 7);
	assert_int_equal(entry_slices(e), 0);
	assert_null(entry_shard(e));
}

static void missing_shape_is_a_scalar(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct proto p;

	(void)state;
	good_proto(&p);
	p.entry.shape = NULL;
	e = parsed(&p);
	assert_int_equal(entry_shape(e).rank, 0);
	assert_int_equal(entry_elements(e), 1);
}

static void raw_bytes_are_kept_with_unknown_fields(void **state)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const char *reason;
	struct proto p;

	(void)state;
	buf_put(&raw, "\xf8\x07\x05", 3); /* field 127, before the others */
	good_proto(&p);
	proto_pack(&p, &raw);
	assert_int_equal(parse(buf_span(&raw), &e, &reason), 0);
	assert_true(span_equal(entry_raw(e), buf_span(&raw)));
}

static void every_prefix_is_refused_or_read(void **state)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct proto p;

	(void)state;
	good_proto(&p);
	proto_pack(&p, &raw);
	for (size_t len = 0; len < raw.len; len++) {
		/* In memory of its own, so that a look beyond it is seen. */
		CLEANUP(free_ptr) uint8_t *copy = malloc(len + 1);
		CLEANUP(entry_unrefp) struct entry *e = NULL;
		const char *reason;
		int r;

		memcpy(copy, raw.data, len);
		r = parse((struct span){ copy, len }, &e, &reason);
		assert_true(r == 0 || (r == -EBADMSG && !e && reason));
	}
}

static void every_damaged_bit_is_refused_or_read(void **state)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	struct proto p;

	(void)state;
	good_proto(&p);
	proto_pack(&p, &raw);
	for (size_t bit = 0; bit < 8 * raw.len; bit++) {
		CLEANUP(entry_unrefp) struct entry *e = NULL;
		const char *reason;
		int r;

		raw.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = parse(buf_span(&raw), &e, &reason);
		raw.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(r == 0 || (r == -EBADMSG && !e && reason));
	}
}

static void unknown_dtype_is_refused(void **state)
{
	static const int32_t dtypes[] = { 0, 20, 34, 101, -1, INT32_MIN };
	struct proto p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dtypes); i++) {
		good_proto(&p);
		p.entry.dtype = dtypes[i];
		assert_refused(&p, "its dtype is unknown");
	}
}

static void unknown_rank_is_refused(void **state)
{
	struct proto p;

	(void)state;
	good_proto(&p);
	p.shape.unknown_rank = true;
	assert_refused(&p, "its rank is unknown");
}

static void more_than_254_dimensions_are_refused(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int64_t dims[255];
	struct proto p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dims); i++)
		dims[i] = 1;
	proto_init(&p, DT_INT8, 255, dims);
	assert_refused(&p, "it has more than 254 dimensions");
	proto_init(&p, DT_INT8, 254, dims);
	e = parsed(&p);
	assert_int_equal(entry_shape(e).rank, 254);
}

static void dimensions_that_abort_tensorflow_are_refused(void **state)
{
	static const int64_t shapes[][3] = {
		{ -1, 2, 3 },
		{ 2, INT64_MIN, 0 },
		{ INT64_MAX, 2, 1 },
		{ INT64_C(1) << 32, INT64_C(1) << 31, 0 },
		{ INT64_C(1) << 62, INT64_C(1) << 62, 0 },
	};
	struct proto p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		proto_init(&p, DT_INT8, 3, shapes[i]);
		assert_refused(&p, "its shape has a negative or too large "
				   "dimension");
	}
}

static void negative_place_is_refused(void **state)
{
	struct proto p;

	(void)state;
	good_proto(&p);
	p.entry.offset = -1;
	assert_refused(&p, "its place is negative");
	good_proto(&p);
	p.entry.size = INT64_MIN;
	assert_refused(&p, "its place is negative");
	good_proto(&p);
	p.entry.shard_id = -1;
	assert_refused(&p, "its place is negative");
}

static void place_beyond_any_file_is_refused(void **state)
{
	struct proto p;

	(void)state;
	good_proto(&p);
	p.entry.offset = INT64_MAX - 47;
	assert_refused(&p, "its place is beyond the end of any file");
	p.entry.offset = INT64_MAX - 48;
	entry_unref(parsed(&p));
}

/* --- slices -------------------------------------------------------------- */

/* Rows `start` to `start + length` of the 3 by 4 matrix; all its columns. */
struct rows {
	extent_proto extents[2];
	extent_proto *list[2];
	slice_proto slice;
};

static slice_proto *rows_init(struct rows *r, int64_t start, int64_t length)
{
	for (size_t i = 0; i < 2; i++) {
		tensorflow__tensor_slice_proto__extent__init(&r->extents[i]);
		r->list[i] = &r->extents[i];
	}
	r->extents[0].start = start;
	r->extents[0].length = length;
	r->extents[0].has_length_case =
		TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;
	tensorflow__tensor_slice_proto__init(&r->slice);
	r->slice.n_extent = 2;
	r->slice.extent = r->list;
	return &r->slice;
}

static int collect(void *arg, struct span key)
{
	struct buf *all = arg;

	buf_put(all, key.data, key.len);
	return 0;
}

static int stop(void *arg, struct span key)
{
	(void)key;
	++*(int *)arg;
	return -ENOTTY;
}

static void slices_have_keys(void **state)
{
	static const struct slice_extent first[] = { { 0, 1 }, { 0, -1 } };
	static const struct slice_extent second[] = { { 1, 2 }, { 0, -1 } };
	CLEANUP(buf_release) struct buf want = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct rows rows[2];
	slice_proto *list[] = { rows_init(&rows[0], 0, 1),
				rows_init(&rows[1], 1, 2) };
	struct proto p;
	int calls = 0;

	(void)state;
	proto_init(&p, DT_FLOAT, 2, grid);
	p.entry.n_slices = 2;
	p.entry.slices = list;
	e = parsed(&p);
	assert_int_equal(entry_slices(e), 2);

	slice_put_key(span_of("a/b"), first, 2, &want);
	slice_put_key(span_of("a/b"), second, 2, &want);
	assert_int_equal(entry_slice_keys(e, collect, &found), 0);
	assert_true(span_equal(buf_span(&found), buf_span(&want)));

	assert_int_equal(entry_slice_keys(e, stop, &calls), -ENOTTY);
	assert_int_equal(calls, 1);
}

static void slice_of_another_rank_is_refused(void **state)
{
	struct rows rows;
	slice_proto *list[] = { rows_init(&rows, 0, 1) };
	struct proto p;

	(void)state;
	rows.slice.n_extent = 1;
	proto_init(&p, DT_FLOAT, 2, grid);
	p.entry.n_slices = 1;
	p.entry.slices = list;
	assert_refused(&p, "a slice has another rank than its variable");
}

static void slices_that_overlap_are_refused(void **state)
{
	struct rows rows[2];
	slice_proto *list[] = { rows_init(&rows[0], 0, 2),
				rows_init(&rows[1], 1, 2) };
	struct proto p;

	(void)state;
	proto_init(&p, DT_FLOAT, 2, grid);
	p.entry.n_slices = 2;
	p.entry.slices = list;
	assert_refused(&p, "its slices overlap");
}

/* --- access -------------------------------------------------------------- */

static struct shard *make_shard(const struct place *where, size_t size)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	struct shard *s = NULL;

	buf_put_zeros(&bytes, size);
	put_file(where->fd, DATA_NAME, buf_span(&bytes));
	assert_int_equal(shard_open(where->fd, "ckpt", 0, 1, &s), 0);
	return s;
}

static void assert_access(const struct proto *p, struct shard *s,
			  enum entry_format format, int want)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const char *reason = NULL;

	proto_pack(p, &raw);
	assert_int_equal(entry_parse(span_of("k"), buf_span(&raw), format, &e,
				     &reason),
			 0);
	if (s)
		assert_int_equal(entry_attach(e, s), 0);
	reason = NULL;
	assert_int_equal(entry_access(e, &reason), want);
	assert_int_equal(reason != NULL, want < 0);
}

static void access_tells_what_cannot_be_read(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(shard_unrefp) struct shard *s = make_shard(&where, 148);
	struct rows rows;
	slice_proto *list[] = { rows_init(&rows, 0, 1) };
	struct proto p;

	(void)state;
	good_proto(&p);
	assert_access(&p, s, ENTRY_V2, 0);
	assert_access(&p, NULL, ENTRY_V2, -EIO);
	assert_access(&p, NULL, ENTRY_V1, -EIO);
	p.entry.dtype = DT_BFLOAT16;
	p.entry.size = 24;
	assert_access(&p, NULL, ENTRY_V1, -EOPNOTSUPP);
	p.entry.dtype = DT_FLOAT;
	p.entry.size = 47;
	assert_access(&p, s, ENTRY_V2, -EIO);
	p.entry.size = 48;
	p.entry.dtype = DT_VARIANT;
	assert_access(&p, s, ENTRY_V2, 0);
	p.entry.dtype = DT_FLOAT;
	p.entry.size = 0;
	p.entry.n_slices = 1;
	p.entry.slices = list;
	assert_access(&p, NULL, ENTRY_V2, 0);
	p.dims[0].size = INT64_MAX / 4;
	assert_access(&p, NULL, ENTRY_V2, -EIO);
}

static void shard_that_ends_before_the_value_is_damage(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(shard_unrefp) struct shard *s = make_shard(&where, 147);
	struct proto p;

	(void)state;
	good_proto(&p);
	assert_access(&p, s, ENTRY_V2, -EIO);
}

static void replacing_keeps_all_but_the_place(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(shard_unrefp) struct shard *s = make_shard(&where, 200);
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(buf_release) struct buf want = { 0 };
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(entry_unrefp) struct entry *old = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const char *reason;
	struct proto p;

	(void)state;
	good_proto(&p);
	p.dims[0].name = (ProtobufCBinaryData){ 4, (uint8_t[]){ "rows" } };
	proto_pack(&p, &raw);
	buf_put(&raw, "\xf8\x07\x05", 3);
	assert_int_equal(parse(buf_span(&raw), &old, &reason), 0);
	assert_int_equal(extent_new(s, 152, 48, false, &x), 0);
	assert_int_equal(entry_replace(old, x, 9, &e), 0);

	p.entry.offset = 152;
	p.entry.crc32c = crc32c_mask(9);
	proto_pack(&p, &want);
	buf_put(&want, "\xf8\x07\x05", 3);
	assert_true(span_equal(entry_raw(e), buf_span(&want)));
	assert_true(span_equal(entry_key(e), entry_key(old)));
	assert_ptr_equal(entry_shard(e), s);
	assert_ptr_equal(entry_extent(e), x);
	assert_int_equal(entry_offset(old), 100);
}

static void key_is_described_without_control_bytes(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(free_ptr) char *text = NULL;
	const struct span key = { (const uint8_t *)"a\n\0\x1b[m", 6 };
	const char *reason;

	(void)state;
	assert_int_equal(
		entry_parse(key, (struct span){ (const uint8_t *)"\x08\1", 2 },
			    ENTRY_V2, &e, &reason),
		0);
	text = entry_describe(e, "model");
	assert_string_equal(text, "model/a\\x0a\\x00\\x1b[m");
}

static void long_key_is_described_by_its_beginning(void **state)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(free_ptr) char *text = NULL;
	CLEANUP(buf_release) struct buf key = { 0 };
	const char *reason;

	(void)state;
	for (size_t i = 0; i < 1000000; i++)
		buf_put(&key, "k", 1);
	assert_int_equal(
		entry_parse(buf_span(&key),
			    (struct span){ (const uint8_t *)"\x08\1", 2 },
			    ENTRY_V2, &e, &reason),
		0);
	text = entry_describe(e, "model");
	assert_true(strlen(text) < 300);
	assert_string_equal(text + strlen(text) - 4, "k...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_read_back),
		cmocka_unit_test(missing_shape_is_a_scalar),
		cmocka_unit_test(raw_bytes_are_kept_with_unknown_fields),
		cmocka_unit_test(every_prefix_is_refused_or_read),
		cmocka_unit_test(every_damaged_bit_is_refused_or_read),
		cmocka_unit_test(unknown_dtype_is_refused),
		cmocka_unit_test(unknown_rank_is_refused),
		cmocka_unit_test(more_than_254_dimensions_are_refused),
		cmocka_unit_test(dimensions_that_abort_tensorflow_are_refused),
		cmocka_unit_test(negative_place_is_refused),
		cmocka_unit_test(place_beyond_any_file_is_refused),
		cmocka_unit_test(slices_have_keys),
		cmocka_unit_test(slice_of_another_rank_is_refused),
		cmocka_unit_test(slices_that_overlap_are_refused),
		cmocka_unit_test(access_tells_what_cannot_be_read),
		cmocka_unit_test(shard_that_ends_before_the_value_is_damage),
		cmocka_unit_test(replacing_keeps_all_but_the_place),
		cmocka_unit_test(key_is_described_without_control_bytes),
		cmocka_unit_test(long_key_is_described_by_its_beginning),
	};

	return cmocka_run_group_tests_name("entry", tests, note_lines, NULL);
}
