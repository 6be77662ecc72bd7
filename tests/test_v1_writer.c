/* core/v1_writer, core/v1_encode: the bytes that TensorFlow's V1 writer writes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/v1.h"
#include "core/v1_writer.h"
#include "tests/table_support.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
#define MANY    64

/* Values in a file without a name, and what is made of them. */
struct scene {
	struct shard *shard;
	struct entry *entries[MANY];
	size_t n;
	int fd; /* the V1 file */
};

static int scene_begin(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(shard_unnamed(AT_FDCWD, "test", &s->shard), 0);
	s->fd = memfd_create("v1", MFD_CLOEXEC);
	assert_true(s->fd >= 0);
	*state = s;
	return 0;
}

static int scene_end(void **state)
{
	struct scene *s = *state;

	for (size_t i = 0; i < s->n; i++)
		entry_unref(s->entries[i]);
	shard_unref(s->shard);
	close_fd(&s->fd);
	free(s);
	return 0;
}

static void add(struct scene *s, const char *name, int32_t dtype,
		struct shape shape, struct span bytes, uint32_t crc)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;

	assert_int_equal(shard_reserve(s->shard, bytes.len, &x), 0);
	assert_int_equal(shard_write(s->shard, bytes.data, bytes.len,
				     extent_offset(x)),
			 0);
	assert_int_equal(entry_new(span_of(name), dtype, shape, x, crc,
				   &s->entries[s->n++]),
			 0);
}

static void add_numbers(struct scene *s, const char *name, int32_t dtype,
			int64_t n, struct span bytes)
{
	add(s, name, dtype, (struct shape){ 1, &n }, bytes,
	    crc32c_extend(0, bytes.data, bytes.len));
}

/* The value of a key in the file that is written of all there is. */
static struct span written(struct scene *s, struct span key, struct buf *ret)
{
	CLEANUP(table_freep) struct table *t = NULL;

	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(v1_write(s->fd, s->entries, s->n), 0);
	assert_int_equal(table_open(s->fd, "made", &t), 0);
	assert_int_equal(table_value(t, s->fd, key, ret), 0);
	return buf_span(ret);
}

static void assert_bytes(struct span got, struct span expected)
{
	if (!span_equal(got, expected)) {
		for (size_t i = 0; i < got.len; i++)
			(void)fprintf(stderr, "%02x ", got.data[i]);
		(void)fprintf(stderr, "\n");
	}
	assert_true(span_equal(got, expected));
}

/* The example of FORMAT 7. */
static void a_list_and_a_record_are_those_of_tensorflow(void **state)
{
	static const uint8_t all_ones[] = { 255, 255, 255, 255 };
	int64_t dims[] = { 1, 2 };
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf list = { 0 };
	CLEANUP(buf_release) struct buf record = { 0 };
	uint8_t zeros[8] = { 0 };

	add(s, "n", DT_INT32, (struct shape){ 0 }, (struct span){ all_ones, 4 },
	    crc32c_extend(0, all_ones, 4));
	add(s, "w", DT_FLOAT, (struct shape){ 2, dims },
	    (struct span){ zeros, 8 }, crc32c_extend(0, zeros, 8));
	assert_bytes(written(s, SPAN(""), &list),
		     SPAN("\x0a\x26\x0a\x09\x0a\x01n\x12\x00\x18\x03\x22\x00"
			  "\x0a\x15\x0a\x01w\x12\x08\x12\x02\x08\x01\x12\x02"
			  "\x08\x02\x18\x01\x22\x04\x0a\x00\x0a\x00"
			  "\x12\x02\x08\x01"));
	assert_bytes(written(s, SPAN("\0n\0\1\0"), &record),
		     SPAN("\x12\x13\x0a\x01n\x12\x00\x1a\x0c\x3a\x0a"
			  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
}

static void numbers_are_varints_of_their_sign(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };

	add_numbers(s, "a", DT_UINT8, 2, SPAN("\x7f\xff"));
	assert_bytes(written(s, SPAN("\0a\0\1\1\1\x80\x7f"), &b),
		     SPAN("\x12\x0e\x0a\x01"
			  "a\x12\x02\x0a\x00\x1a\x05\x3a\x03\x7f\xff\x01"));
}

static void half_is_its_bits(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };

	add_numbers(s, "a", DT_HALF, 1, SPAN("\x00\x3c"));
	assert_bytes(written(s, SPAN("\0a\0\1\1\1\x80\x7f"), &b),
		     SPAN("\x12\x0d\x0a\x01"
			  "a\x12\x02\x0a\x00\x1a\x04\x6a\x02\x80\x78"));
}

static void truth_is_one(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };

	add_numbers(s, "a", DT_BOOL, 3, SPAN("\x00\x01\x80"));
	assert_bytes(written(s, SPAN("\0a\0\1\1\1\x80\x7f"), &b),
		     SPAN("\x12\x0e\x0a\x01"
			  "a\x12\x02\x0a\x00\x1a\x05\x5a\x03\x00\x01\x01"));
}

static void an_empty_tensor_has_a_record_without_a_list(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };

	add_numbers(s, "a", DT_FLOAT, 0, SPAN(""));
	assert_bytes(written(s, SPAN("\0a\0\1\1\1\x80\x7f"), &b),
		     SPAN("\x12\x09\x0a\x01"
			  "a\x12\x02\x0a\x00\x1a\x00"));
}

static void strings_are_a_field_each(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };
	CLEANUP(buf_release) struct buf encoded = { 0 };
	int64_t two = 2;
	uint32_t crc;

	assert_int_equal(
		strings_encode(SPAN("hi\n\n"), 2, false, &encoded, &crc), 0);
	add(s, "a", DT_STRING, (struct shape){ 1, &two }, buf_span(&encoded),
	    crc);
	assert_bytes(written(s, SPAN("\0a\0\1\1\1\x80\x7f"), &b),
		     SPAN("\x12\x0f\x0a\x01"
			  "a\x12\x02\x0a\x00\x1a\x06\x42\x02hi\x42\x00"));
}

/* As tests/fixtures/v1_* have it: `build` is how the checkpoint got its entries. */
static void rewrite_fixture(struct scene *s, const char *dir, const char *name)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(close_fd) int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(buf_release) struct buf was = { 0 };
	CLEANUP(buf_release) struct buf is = { 0 };
	CLEANUP(free_ptr) struct entry **all = NULL;

	assert_true(dirfd >= 0);
	assert_int_equal(v1_open(dirfd, name, &b), 0);
	all = calloc(bundle_count(b) + 1, sizeof(struct entry *));
	for (size_t i = 0; i < bundle_count(b); i++)
		all[i] = bundle_entry(b, i);
	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(v1_write(s->fd, all, bundle_count(b)), 0);
	fd = openat(dirfd, name, O_RDONLY);
	assert_int_equal(io_read_file(fd, 1U << 30, &was), 0);
	assert_int_equal(io_read_file(s->fd, 1U << 30, &is), 0);
	assert_true(span_equal(buf_span(&is), buf_span(&was)));
}

static void what_tensorflow_wrote_is_written_again(void **state)
{
	struct scene *s = *state;

	rewrite_fixture(s, "tests/fixtures/v1_all_dtypes", "ckpt.v1");
	rewrite_fixture(s, "tests/fixtures/v1_big_blocks", "ckpt.v1");
	rewrite_fixture(s, "tests/fixtures/v1_names", "ckpt.v1");
	rewrite_fixture(s, "tests/fixtures/v1_slices", "ckpt.v1");
}

static void what_v1_cannot_hold_is_refused(void **state)
{
	struct scene *s = *state;

	add_numbers(s, "a", DT_BFLOAT16, 1, SPAN("\0\0"));
	assert_non_null(v1_refuses(s->entries[0]));
	assert_int_equal(v1_write(s->fd, s->entries, 1), -EOPNOTSUPP);
}

/* FORMAT 7: 2,147,482,560 bytes of float32 can be saved, 2 GiB cannot. */
static void the_size_limit_is_that_of_tensorflow(void **state)
{
	int64_t most = 2147482560 / 4, more = (INT64_C(1) << 31) / 4;
	int64_t ints = 200000000, too_many = 220000000;

	(void)state;
	assert_null(v1_refuses_value(SPAN("w"), DT_FLOAT,
				     (struct shape){ 1, &most }, 0));
	assert_non_null(v1_refuses_value(SPAN("w"), DT_FLOAT,
					 (struct shape){ 1, &more }, 0));
	assert_null(v1_refuses_value(SPAN("w"), DT_INT32,
				     (struct shape){ 1, &ints }, 0));
	assert_non_null(v1_refuses_value(SPAN("w"), DT_INT32,
					 (struct shape){ 1, &too_many }, 0));
}

static void an_empty_checkpoint_is_a_list_of_nothing(void **state)
{
	struct scene *s = *state;
	CLEANUP(buf_release) struct buf b = { 0 };

	assert_bytes(written(s, SPAN(""), &b),
		     SPAN("\x0a\x04\x12\x02\x08\x01"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_begin, scene_end)
	const struct CMUnitTest tests[] = {
		TEST(a_list_and_a_record_are_those_of_tensorflow),
		TEST(numbers_are_varints_of_their_sign),
		TEST(half_is_its_bits),
		TEST(truth_is_one),
		TEST(an_empty_tensor_has_a_record_without_a_list),
		TEST(strings_are_a_field_each),
		TEST(what_tensorflow_wrote_is_written_again),
		TEST(what_v1_cannot_hold_is_refused),
		TEST(the_size_limit_is_that_of_tensorflow),
		TEST(an_empty_checkpoint_is_a_list_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
