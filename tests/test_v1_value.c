/* core/v1_value: the values of a V1 file, as a V2 shard would have them. */
#include "core/io.h"
#include "core/strings.h"
#include "core/v1_file.h"
#include "core/v1_value.h"
#include "tests/v1_support.h"

static const struct dims scalar = { 0, { 0 } };
static const struct dims pair = { 1, { 2 } };
static const struct dims three = { 1, { 3 } };

/* A directory with one V1 file that is being made, and what it lists then. */
struct scene {
	struct place where;
	struct v1_maker m;
	struct bundle *b;
};

static struct scene scene_make(void)
{
	return (struct scene){ .where = place_make() };
}

static void scene_release(struct scene *s)
{
	bundle_unref(s->b);
	v1_release(&s->m);
	place_release(&s->where);
}

static void scene_open(struct scene *s)
{
	v1_write_file(&s->m, s->where.fd, "ckpt");
	forget_lines();
	assert_int_equal(v1_open(s->where.fd, "ckpt", &s->b), 0);
}

static struct v1_record *record_of(const struct scene *s, const char *key)
{
	struct entry *e = bundle_find(s->b, span_of(key));

	assert_non_null(e);
	return entry_v1(entry_slices(e) ? entry_part(e, 0) : e);
}

static int open_value(const struct scene *s, const char *key,
		      struct v1_value **ret)
{
	return v1_value_open(record_of(s, key), key, ret);
}

static void get_value(const struct v1_value *v, struct buf *out)
{
	buf_put_zeros(out, v1_value_size(v));
	assert_int_equal(io_read_at(v1_value_fd(v), out->data, out->len,
				    v1_value_offset(v)),
			 0);
}

static void assert_value(const struct scene *s, const char *key,
			 const void *want, size_t n)
{
	CLEANUP(v1_value_unrefp) struct v1_value *v = NULL;
	CLEANUP(buf_release) struct buf got = { 0 };

	assert_int_equal(open_value(s, key, &v), 0);
	assert_int_equal(v1_value_size(v), n);
	get_value(v, &got);
	if (n)
		assert_memory_equal(got.data, want, n);
}

/* One tensor whose TensorProto is these bytes; its value. */
static void assert_decodes(int32_t dtype, const struct dims *shape,
			   struct span proto, const void *want, size_t n)
{
	CLEANUP(scene_release) struct scene s = scene_make();

	v1_tensor(&s.m, "w", dtype, shape, proto);
	scene_open(&s);
	assert_value(&s, "w", want, n);
	assert_int_equal(logged()->lines, 0);
}

static void assert_refused(int32_t dtype, const struct dims *shape,
			   struct span proto, const char *why)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	struct v1_value *v = NULL;
	const float one = 1;
	CLEANUP(buf_release) struct buf good = { 0 };

	put_bytes(&good, 5, (struct span){ (const uint8_t *)&one, 4 });
	v1_tensor(&s.m, "bad", dtype, shape, proto);
	v1_tensor(&s.m, "good", DT_FLOAT, &scalar, buf_span(&good));
	scene_open(&s);
	assert_int_equal(open_value(&s, "bad", &v), -EIO);
	assert_null(v);
	assert_said(why);
	assert_value(&s, "good", &one, 4);
}

/* --- what is there ----------------------------------------------------------- */

static void floats_lie_in_the_file_as_they_are(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf proto = { 0 };
	CLEANUP(v1_value_unrefp) struct v1_value *v = NULL;
	CLEANUP(v1_value_unrefp) struct v1_value *again = NULL;
	const float values[2] = { 1.5F, -0.0F };

	(void)state;
	put_bytes(&proto, 5, (struct span){ (const uint8_t *)values, 8 });
	v1_tensor(&s.m, "w", DT_FLOAT, &pair, buf_span(&proto));
	scene_open(&s);
	assert_int_equal(open_value(&s, "w", &v), 0);
	assert_false(v1_value_spooled(v));
	assert_int_equal(v1_value_fd(v),
			 v1_file_fd(v1_record_file(record_of(&s, "w"))));
	assert_value(&s, "w", values, 8);
	assert_int_equal(open_value(&s, "w", &again), 0);
	assert_int_equal(v1_value_offset(again), v1_value_offset(v));
}

static void doubles_and_complex_numbers_are_pairs_of_bytes(void **state)
{
	CLEANUP(buf_release) struct buf proto = { 0 };
	const double values[4] = { 1, -2, 3, 4e300 };

	(void)state;
	put_bytes(&proto, 12, (struct span){ (const uint8_t *)values, 32 });
	assert_decodes(DT_COMPLEX128, &pair, buf_span(&proto), values, 32);
	proto.len = 0;
	put_bytes(&proto, 6, (struct span){ (const uint8_t *)values, 16 });
	assert_decodes(DT_DOUBLE, &pair, buf_span(&proto), values, 16);
	proto.len = 0;
	put_bytes(&proto, 9, (struct span){ (const uint8_t *)values, 16 });
	assert_decodes(DT_COMPLEX64, &pair, buf_span(&proto), values, 16);
}

static void integers_are_varints(void **state)
{
	static const struct {
		int32_t dtype;
		unsigned field;
		int64_t values[3];
		const char *want;
		size_t n;
	} cases[] = {
		{ DT_INT8, 7, { -128, 127, -1 }, "\x80\x7f\xff", 3 },
		{ DT_QINT8, 7, { -128, 127, -1 }, "\x80\x7f\xff", 3 },
		{ DT_UINT8, 7, { 0, 255, 128 }, "\x00\xff\x80", 3 },
		{ DT_QUINT8, 7, { 0, 255, 128 }, "\x00\xff\x80", 3 },
		{ DT_INT16,
		  7,
		  { -32768, 32767, -2 },
		  "\x00\x80\xff\x7f\xfe\xff",
		  6 },
		{ DT_UINT16,
		  7,
		  { 0, 65535, 256 },
		  "\x00\x00\xff\xff\x00\x01",
		  6 },
		{ DT_INT32,
		  7,
		  { INT32_MIN, INT32_MAX, -1 },
		  "\x00\x00\x00\x80\xff\xff\xff\x7f\xff\xff\xff\xff",
		  12 },
		{ DT_QINT32,
		  7,
		  { INT32_MIN, 1, -1 },
		  "\x00\x00\x00\x80\x01\x00\x00\x00\xff\xff\xff\xff",
		  12 },
		{ DT_INT64,
		  10,
		  { INT64_MIN, INT64_MAX, -1 },
		  "\0\0\0\0\0\0\0\x80\xff\xff\xff\xff\xff\xff\xff\x7f"
		  "\xff\xff\xff\xff\xff\xff\xff\xff",
		  24 },
		{ DT_BOOL, 11, { 0, 1, 1 }, "\0\1\1", 3 },
		{ DT_HALF,
		  13,
		  { 0x3c00, 0xffff, 0 },
		  "\x00\x3c\xff\xff\x00\x00",
		  6 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_release) struct buf proto = { 0 };

		put_ints(&proto, cases[i].field, 3, cases[i].values);
		assert_decodes(cases[i].dtype, &three, buf_span(&proto),
			       cases[i].want, cases[i].n);
	}
}

/* As protobuf and TensorFlow narrow them. */
static void numbers_that_do_not_fit_lose_their_high_bits(void **state)
{
	const int64_t wide[3] = { 0x123456789, 256 + 7, -129 };
	CLEANUP(buf_release) struct buf ints = { 0 };
	CLEANUP(buf_release) struct buf bools = { 0 };

	(void)state;
	put_ints(&ints, 7, 3, wide);
	assert_decodes(DT_INT32, &three, buf_span(&ints),
		       "\x89\x67\x45\x23\x07\x01\x00\x00\x7f\xff\xff\xff", 12);
	assert_decodes(DT_INT8, &three, buf_span(&ints), "\x89\x07\x7f", 3);
	put_ints(&bools, 11, 3, wide);
	assert_decodes(DT_BOOL, &three, buf_span(&bools), "\1\1\1", 3);
}

static void lists_may_come_unpacked_or_in_pieces(void **state)
{
	CLEANUP(buf_release) struct buf ints = { 0 };
	CLEANUP(buf_release) struct buf floats = { 0 };
	const float values[3] = { 1, 2, 3 };
	const int64_t five = 5;

	(void)state;
	put_int(&ints, 7, -1);
	put_ints(&ints, 7, 1, &five);
	put_bytes(&ints, 7, (struct span){ 0 });
	put_int(&ints, 7, 6);
	assert_decodes(DT_INT16, &three, buf_span(&ints),
		       "\xff\xff\x05\x00\x06\x00", 6);
	put_tag(&floats, 5, 5);
	buf_put(&floats, values, 4);
	put_bytes(&floats, 5,
		  (struct span){ (const uint8_t *)(values + 1), 8 });
	assert_decodes(DT_FLOAT, &three, buf_span(&floats), values, 12);
}

static void fields_that_mean_nothing_are_skipped(void **state)
{
	CLEANUP(buf_release) struct buf proto = { 0 };
	const int64_t values[2] = { 1, 2 };
	const uint64_t eight = 8;

	(void)state;
	put_int(&proto, 1, DT_STRING);
	put_bytes(&proto, 2, span_of("\x12\0"));
	put_bytes(&proto, 4, span_of("tensor_content"));
	put_ints(&proto, 7, 2, values);
	put_tag(&proto, 99, 1);
	buf_put(&proto, &eight, 8);
	put_tag(&proto, 98, 5);
	buf_put(&proto, &eight, 4);
	put_tag(&proto, 7, 5); /* a wire type that the list does not have */
	buf_put(&proto, &eight, 4);
	assert_decodes(DT_INT8, &pair, buf_span(&proto), "\1\2", 2);
}

static void empty_tensors_have_no_bytes(void **state)
{
	const struct dims none = { 2, { 0, 3 } };
	CLEANUP(buf_release) struct buf empty = { 0 };

	(void)state;
	assert_decodes(DT_FLOAT, &none, (struct span){ 0 }, NULL, 0);
	assert_decodes(DT_INT32, &none, (struct span){ 0 }, NULL, 0);
	put_bytes(&empty, 5, (struct span){ 0 });
	assert_decodes(DT_FLOAT, &none, buf_span(&empty), NULL, 0);
	assert_decodes(DT_STRING, &none, (struct span){ 0 }, "\xd8\xea\x82\xa2",
		       4);
}

static void strings_become_those_of_a_shard(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(v1_value_unrefp) struct v1_value *v = NULL;
	CLEANUP(buf_release) struct buf proto = { 0 };
	CLEANUP(buf_release) struct buf want = { 0 };
	struct span text = { (const uint8_t *)"hi\n\na\0b\n", 8 };
	uint32_t crc;

	(void)state;
	put_bytes(&proto, 8, span_of("hi"));
	put_bytes(&proto, 8, span_of(""));
	put_bytes(&proto, 8, (struct span){ (const uint8_t *)"a\0b", 3 });
	v1_tensor(&s.m, "w", DT_STRING, &three, buf_span(&proto));
	scene_open(&s);
	assert_int_equal(strings_encode(text, 3, false, &want, &crc), 0);
	assert_value(&s, "w", want.data, want.len);
	assert_int_equal(open_value(&s, "w", &v), 0);
	assert_true(v1_value_spooled(v));
}

static void slice_is_found_by_its_extents(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf proto = { 0 };
	const struct slice_extent part[] = { { 1, 2 } };
	const int64_t values[2] = { 3, 4 };

	(void)state;
	put_ints(&proto, 7, 2, values);
	v1_list(&s.m, span_of("w"), DT_INT8, &three, 1, part);
	v1_slice(&s.m, "w", 1, part, buf_span(&proto));
	scene_open(&s);
	assert_value(&s, "w", "\3\4", 2);
}

static void latest_values_are_decoded_once(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(v1_value_unrefp) struct v1_value *first = NULL;
	CLEANUP(v1_value_unrefp) struct v1_value *second = NULL;
	CLEANUP(buf_release) struct buf proto = { 0 };
	const int64_t values[3] = { 1, 2, 3 };

	(void)state;
	put_ints(&proto, 7, 3, values);
	for (char name[] = "a"; name[0] < 'a' + 20; name[0]++)
		v1_tensor(&s.m, name, DT_INT8, &three, buf_span(&proto));
	scene_open(&s);
	assert_int_equal(open_value(&s, "a", &first), 0);
	assert_int_equal(open_value(&s, "a", &second), 0);
	assert_ptr_equal(first, second);
	v1_value_unref(STEAL(second));
	for (char name[] = "b"; name[0] < 'a' + 20; name[0]++)
		assert_value(&s, name, "\1\2\3", 3);
	assert_int_equal(open_value(&s, "a", &second), 0);
	assert_ptr_not_equal(first, second);
}

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void few_files_stay_open(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf proto = { 0 };
	const int64_t values[3] = { 1, 2, 3 };
	size_t before;

	(void)state;
	put_ints(&proto, 7, 3, values);
	for (char name[] = "A"; name[0] < 'A' + 50; name[0]++)
		v1_tensor(&s.m, name, DT_INT8, &three, buf_span(&proto));
	scene_open(&s);
	before = open_files();
	for (char name[] = "A"; name[0] < 'A' + 50; name[0]++)
		assert_value(&s, name, "\1\2\3", 3);
	assert_true(open_files() <= before + 8);
}

/* What is held outlives the file that it came from. */
static void value_outlives_its_checkpoint(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(v1_value_unrefp) struct v1_value *ints = NULL;
	CLEANUP(v1_value_unrefp) struct v1_value *floats = NULL;
	CLEANUP(buf_release) struct buf proto = { 0 };
	CLEANUP(buf_release) struct buf other = { 0 };
	CLEANUP(buf_release) struct buf got = { 0 };
	const int64_t values[2] = { 1, 2 };
	const float two[2] = { 1, 2 };

	(void)state;
	put_ints(&proto, 7, 2, values);
	put_bytes(&other, 5, (struct span){ (const uint8_t *)two, 8 });
	v1_tensor(&s.m, "i", DT_INT8, &pair, buf_span(&proto));
	v1_tensor(&s.m, "f", DT_FLOAT, &pair, buf_span(&other));
	scene_open(&s);
	assert_int_equal(open_value(&s, "i", &ints), 0);
	assert_int_equal(open_value(&s, "f", &floats), 0);
	bundle_unref(STEAL(s.b));
	get_value(ints, &got);
	assert_memory_equal(got.data, "\1\2", 2);
	got.len = 0;
	get_value(floats, &got);
	assert_memory_equal(got.data, two, 8);
}

static void proto_is_given_as_it_lies(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf proto = { 0 };
	CLEANUP(buf_release) struct buf got = { 0 };
	CLEANUP(close_fd) int fd = -1;
	const int64_t values[2] = { -1, 2 };
	uint64_t offset, size;

	(void)state;
	put_ints(&proto, 7, 2, values);
	v1_tensor(&s.m, "w", DT_INT8, &pair, buf_span(&proto));
	scene_open(&s);
	assert_int_equal(v1_value_proto(record_of(&s, "w"), "w", &fd, &offset,
					&size),
			 0);
	buf_put_zeros(&got, size);
	assert_int_equal(io_read_at(fd, got.data, size, offset), 0);
	assert_true(span_equal(buf_span(&got), buf_span(&proto)));
}

/* --- lies --------------------------------------------------------------------- */

static void wrong_count_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf ints = { 0 };
	CLEANUP(buf_release) struct buf floats = { 0 };
	CLEANUP(buf_release) struct buf strings = { 0 };
	const int64_t values[3] = { 1, 2, 3 };

	(void)state;
	put_ints(&ints, 7, 2, values);
	assert_refused(DT_INT8, &three, buf_span(&ints), "many elements");
	assert_refused(DT_INT8, &scalar, buf_span(&ints), "many elements");
	put_bytes(&floats, 5, (struct span){ (const uint8_t *)values, 8 });
	assert_refused(DT_FLOAT, &three, buf_span(&floats), "many elements");
	assert_refused(DT_FLOAT, &scalar, buf_span(&floats), "many elements");
	put_bytes(&strings, 8, span_of("a"));
	put_bytes(&strings, 8, span_of("b"));
	assert_refused(DT_STRING, &three, buf_span(&strings), "many elements");
	assert_refused(DT_STRING, &scalar, buf_span(&strings), "many elements");
	/* The list of another type is not the one that is looked at. */
	assert_refused(DT_INT64, &pair, buf_span(&ints), "many elements");
}

static void tensor_content_is_not_accepted(void **state)
{
	CLEANUP(buf_release) struct buf proto = { 0 };

	(void)state;
	put_bytes(&proto, 4, (struct span){ (const uint8_t *)"\0\0\0\0", 4 });
	assert_refused(DT_FLOAT, &scalar, buf_span(&proto), "many elements");
}

static void messages_that_do_not_parse_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} lies[] = {
		{ "\x3a\x02\x01", 3 },     /* ends before its length */
		{ "\x3a\x01\x80", 3 },     /* a varint without an end */
		{ "\x3a\x01\xff\x01", 4 }, /* one that goes beyond the list */
		{ "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
		{ "\x3b", 1 },     /* a group */
		{ "\x3f", 1 },     /* no wire type */
		{ "\x02\x00", 2 }, /* field 0 */
		{ "\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 },
		{ "\x3d\x01\x02", 3 }, /* half a fixed32 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		assert_refused(DT_INT8, &scalar,
			       (struct span){ (const uint8_t *)lies[i].bytes,
					      lies[i].n },
			       "does not parse");
}

static void list_of_half_a_number_is_refused(void **state)
{
	(void)state;
	assert_refused(DT_FLOAT, &scalar,
		       (struct span){ (const uint8_t *)"\x2a\x03\1\2\3", 5 },
		       "does not parse");
}

static void missing_record_is_refused(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	struct v1_value *v = NULL;

	(void)state;
	v1_list(&s.m, span_of("w"), DT_FLOAT, &pair, 1, NULL);
	scene_open(&s);
	assert_int_equal(open_value(&s, "w", &v), -EIO);
	assert_said("no record");
}

/* Lists `w`, and has `record` under its key. */
static void assert_record_refused(struct span record, const char *why)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf key = { 0 };
	struct v1_value *v = NULL;

	v1_list(&s.m, span_of("w"), DT_INT8, &scalar, 1, NULL);
	v1_key(span_of("w"), 0, NULL, &key);
	v1_put(&s.m, buf_span(&key), record);
	scene_open(&s);
	assert_int_equal(open_value(&s, "w", &v), -EIO);
	assert_said(why);
}

static void record_of_another_tensor_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf named = { 0 };
	CLEANUP(buf_release) struct buf sliced = { 0 };
	CLEANUP(buf_release) struct buf record = { 0 };

	(void)state;
	put_bytes(&named, 1, span_of("v"));
	put_bytes(&record, 2, buf_span(&named));
	assert_record_refused(buf_span(&record), "of another tensor");
	record.len = 0;
	put_bytes(&sliced, 1, span_of("w"));
	put_slice(&sliced, 2, 1, NULL);
	put_bytes(&record, 2, buf_span(&sliced));
	assert_record_refused(buf_span(&record), "of another tensor");
	assert_record_refused((struct span){ 0 }, "of another tensor");
}

static void record_that_says_it_twice_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf saved = { 0 };
	CLEANUP(buf_release) struct buf record = { 0 };

	(void)state;
	put_bytes(&saved, 1, span_of("w"));
	put_bytes(&saved, 3, span_of("\x38\x01"));
	put_bytes(&saved, 3, span_of("\x38\x01"));
	put_bytes(&record, 2, buf_span(&saved));
	assert_record_refused(buf_span(&record), "does not parse");
	put_bytes(&record, 2, buf_span(&saved));
	assert_record_refused(buf_span(&record), "does not parse");
}

static void record_with_a_huge_name_or_slice_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf huge = { 0 };
	CLEANUP(buf_release) struct buf saved = { 0 };
	CLEANUP(buf_release) struct buf record = { 0 };

	(void)state;
	buf_put_zeros(&huge, 1 << 20);
	put_bytes(&saved, 1, buf_span(&huge));
	put_bytes(&record, 2, buf_span(&saved));
	assert_record_refused(buf_span(&record), "of another tensor");
	saved.len = 0;
	record.len = 0;
	put_bytes(&saved, 1, span_of("w"));
	put_bytes(&saved, 2, buf_span(&huge));
	put_bytes(&record, 2, buf_span(&saved));
	assert_record_refused(buf_span(&record), "does not parse");
}

static void file_cut_while_open_is_damage(void **state)
{
	CLEANUP(scene_release) struct scene s = scene_make();
	CLEANUP(buf_release) struct buf proto = { 0 };
	struct v1_value *v = NULL;
	const int64_t one = 1;

	(void)state;
	put_ints(&proto, 7, 1, &one);
	v1_tensor(&s.m, "w", DT_INT8, &scalar, buf_span(&proto));
	scene_open(&s);
	put_file(s.where.fd, "ckpt", span_of("short"));
	assert_int_equal(open_value(&s, "w", &v), -EIO);
	assert_true(logged()->lines >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floats_lie_in_the_file_as_they_are),
		cmocka_unit_test(doubles_and_complex_numbers_are_pairs_of_bytes),
		cmocka_unit_test(integers_are_varints),
		cmocka_unit_test(numbers_that_do_not_fit_lose_their_high_bits),
		cmocka_unit_test(lists_may_come_unpacked_or_in_pieces),
		cmocka_unit_test(fields_that_mean_nothing_are_skipped),
		cmocka_unit_test(empty_tensors_have_no_bytes),
		cmocka_unit_test(strings_become_those_of_a_shard),
		cmocka_unit_test(slice_is_found_by_its_extents),
		cmocka_unit_test(latest_values_are_decoded_once),
		cmocka_unit_test(few_files_stay_open),
		cmocka_unit_test(value_outlives_its_checkpoint),
		cmocka_unit_test(proto_is_given_as_it_lies),
		cmocka_unit_test(wrong_count_is_refused),
		cmocka_unit_test(tensor_content_is_not_accepted),
		cmocka_unit_test(messages_that_do_not_parse_are_refused),
		cmocka_unit_test(list_of_half_a_number_is_refused),
		cmocka_unit_test(missing_record_is_refused),
		cmocka_unit_test(record_of_another_tensor_is_refused),
		cmocka_unit_test(record_that_says_it_twice_is_refused),
		cmocka_unit_test(record_with_a_huge_name_or_slice_is_refused),
		cmocka_unit_test(file_cut_while_open_is_damage),
	};

	return cmocka_run_group_tests_name("v1_value", tests, note_lines, NULL);
}
