/* core/entry: entries that are made, renamed and retyped; and those that must not be. */
#include "core/dtype.h"
#include "tests/scene.h"

#define VECTOR(n) ((struct shape){ 1, &(const int64_t){ (n) } })

/* Room of this many bytes that no index has named. */
static struct extent *room(const struct scene *s, uint64_t n)
{
	return scene_reserve(s, NULL, n);
}

static void assert_refused(const struct scene *s, struct span key,
			   int32_t dtype, struct shape shape, uint64_t size)
{
	CLEANUP(extent_unrefp) struct extent *x = room(s, size);
	struct entry *e = NULL;

	assert_int_equal(entry_new(key, dtype, shape, x, 0, &e), -EINVAL);
	assert_null(e);
}

/* The message is TensorFlow's own, to the byte: FORMAT 4.2's example. */
static void new_entry_is_as_tensorflow_writes_it(void **state)
{
	static const uint8_t scalar[] = { 8, 6,    0x12, 0,    0x20, 8,   0x28,
					  1, 0x35, 0x46, 0xf8, 0xf7, 0x11 };
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const uint8_t value = 7;

	(void)state;
	put_file(where.fd, DATA_NAME, span_of("123456789"));
	assert_int_equal(shard_open(where.fd, "ckpt", 0, 1, &s), 0);
	assert_int_equal(extent_new(s, 8, 1, false, &x), 0);
	assert_int_equal(entry_new(span_of("w"), DT_INT8, (struct shape){ 0 },
				   x, crc32c_extend(0, &value, 1), &e),
			 0);
	assert_true(span_equal(entry_raw(e),
			       (struct span){ scalar, sizeof(scalar) }));
	assert_true(span_equal(entry_key(e), span_of("w")));
	assert_ptr_equal(entry_extent(e), x);
}

static void what_aborts_tensorflow_is_not_made(void **state)
{
	CLEANUP(scene_release) struct scene s;
	const int64_t huge[] = { INT64_C(1) << 62, INT64_C(1) << 62, 0 };
	int64_t many[255];

	(void)state;
	scene_init(&s);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = 1;
	assert_refused(&s, span_of("k"), 0, VECTOR(8), 8);
	assert_refused(&s, span_of("k"), DT_RESOURCE, VECTOR(8), 8);
	assert_refused(&s, span_of("k"), 101, VECTOR(8), 8);
	assert_refused(&s, span_of("k"), 99, VECTOR(8), 8);
	assert_refused(&s, span_of("k"), DT_INT8, VECTOR(-1), 8);
	assert_refused(&s, span_of("k"), DT_INT8, (struct shape){ 255, many },
		       1);
	assert_refused(&s, span_of("k"), DT_INT8, (struct shape){ 3, huge }, 0);
	assert_refused(&s, span_of(""), DT_INT8, VECTOR(8), 8);
}

static void size_is_that_of_dtype_and_shape(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	scene_init(&s);
	assert_refused(&s, span_of("k"), DT_FLOAT, VECTOR(3), 11);
	assert_refused(&s, span_of("k"), DT_FLOAT, VECTOR(3), 13);
	assert_refused(&s, span_of("k"), DT_INT64, VECTOR(INT64_C(1) << 61), 0);
}

static void replaced_value_has_the_right_size(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	struct entry *e = NULL;

	(void)state;
	scene_init(&s);
	x = room(&s, SIZE - 1);
	assert_int_equal(entry_replace(scene_find(&s, "a"), x, 0, &e), -EINVAL);
}

static void renamed_entry_keeps_its_message(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const struct entry *old;

	(void)state;
	scene_init(&s);
	old = scene_find(&s, "a");
	assert_int_equal(entry_rename(old, span_of("x/y"), &e), 0);
	assert_true(span_equal(entry_raw(e), entry_raw(old)));
	assert_true(span_equal(entry_key(e), span_of("x/y")));
	assert_ptr_equal(entry_extent(e), entry_extent(old));
	assert_int_equal(entry_rename(old, span_of(""), &e), -EINVAL);
}

static void retyped_entry_keeps_its_bytes(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct entry *none = NULL;
	const struct entry *old;
	const int64_t shape[] = { 2, (int64_t)SIZE / 8 };

	(void)state;
	scene_init(&s);
	old = scene_find(&s, "a");
	assert_int_equal(
		entry_retype(old, DT_FLOAT, (struct shape){ 2, shape }, &e), 0);
	assert_int_equal(entry_dtype(e), DT_FLOAT);
	assert_int_equal(entry_shape(e).rank, 2);
	assert_memory_equal(entry_shape(e).dims, shape, sizeof(shape));
	assert_ptr_equal(entry_extent(e), entry_extent(old));
	assert_int_equal(entry_offset(e), entry_offset(old));
	assert_int_equal(entry_crc32c(e), entry_crc32c(old));
	assert_int_equal(entry_retype(old, DT_FLOAT, VECTOR(3), &none),
			 -EINVAL);
	assert_int_equal(entry_retype(old, 0, entry_shape(old), &none),
			 -EINVAL);
}

/* Unknown fields stay; names of dimensions would be those of others. */
static void retyping_drops_names_of_dimensions_only(void **state)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(entry_unrefp) struct entry *old = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const int64_t n = 4;
	const char *reason;
	struct proto p;

	(void)state;
	proto_init(&p, DT_INT8, 1, &n);
	p.entry.size = 4;
	p.dims[0].name = (ProtobufCBinaryData){ 4, (uint8_t[]){ "rows" } };
	proto_pack(&p, &raw);
	buf_put(&raw, "\xf8\x07\x05", 3);
	assert_int_equal(entry_parse(span_of("k"), buf_span(&raw), ENTRY_V2,
				     &old, &reason),
			 0);
	assert_int_equal(entry_retype(old, DT_FLOAT, VECTOR(1), &e), 0);
	assert_null(memmem(entry_raw(e).data, entry_raw(e).len, "rows", 4));
	assert_non_null(memmem(entry_raw(e).data, entry_raw(e).len,
			       "\xf8\x07\x05", 3));
}

/* --- partitioned variables --------------------------------------------------- */

static struct bundle *slices_grid(const struct place *where)
{
	struct bundle *b = NULL;

	copy_fixture(where, "v2_slices_grid");
	assert_int_equal(bundle_open(where->fd, "ckpt", NULL, &b), 0);
	return b;
}

static void partitioned_variable_is_only_renamed(void **state)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(bundle_unrefp) struct bundle *b = slices_grid(&where);
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const struct entry *old = bundle_find(b, span_of("grid"));
	struct entry *none = NULL;

	(void)state;
	assert_true(entry_slices(old) > 1);
	assert_int_equal(entry_retype(old, entry_dtype(old), entry_shape(old),
				      &none),
			 -EOPNOTSUPP);
	assert_int_equal(entry_replace(old, NULL, 0, &none), -EOPNOTSUPP);
	assert_int_equal(entry_rename(old, span_of("other"), &e), 0);
	for (size_t i = 0; i < entry_slices(old); i++) {
		const struct entry *part = entry_part(e, i);

		assert_non_null(part);
		assert_ptr_equal(entry_extent(part),
				 entry_extent(entry_part(old, i)));
		assert_non_null(memmem(entry_key(part).data,
				       entry_key(part).len, "other", 5));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_entry_is_as_tensorflow_writes_it),
		cmocka_unit_test(what_aborts_tensorflow_is_not_made),
		cmocka_unit_test(size_is_that_of_dtype_and_shape),
		cmocka_unit_test(replaced_value_has_the_right_size),
		cmocka_unit_test(renamed_entry_keeps_its_message),
		cmocka_unit_test(retyped_entry_keeps_its_bytes),
		cmocka_unit_test(retyping_drops_names_of_dimensions_only),
		cmocka_unit_test(partitioned_variable_is_only_renamed),
	};

	return cmocka_run_group_tests_name("entry_new", tests, note_lines,
					   NULL);
}
