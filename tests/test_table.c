/* core/table: known bytes, and the files of TensorFlow. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/table_maker.h"

/* SaveV2(["w/b" f32[[1,2]], "w" int8 7, "e" f32[0,3], "s" ["hi",""]]) */
static const uint8_t saved[] = {
	"\0\0\6\x08\1\x1a\2\x08\1"
	"\0\1\x11"
	"e\x08\1\x12\6\x12\0\x12\2\x08\3\x20\x09\x35\xd8\xea\x82\xa2"
	"\0\1\x11"
	"s\x08\7\x12\4\x12\2\x08\2\x20\x09\x28\x08\x35\x9e\x9e\x48\xed"
	"\0\1\x0dw\x08\6\x12\0\x20\x08\x28\1\x35\x46\xf8\xf7\x11"
	"\1\2\x13/b\x08\1\x12\x08\x12\2\x08\1\x12\2\x08\2\x28\x08\x35\x59\x3c"
	"\xe5\x35"
	"\0\0\0\0\1\0\0\0\0\x0f\x46\x75\xaa"
	"\0\0\0\0\1\0\0\0\0\xc0\xf2\xa1\xb0"
	"\0\1\2x\0\x64\0\0\0\0\1\0\0\0\0\xa4\x2a\x4c\x5a"
	"\x69\x08\x76\x0e\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	"\0\0\0\0\0\0\0\0\0\x57\xfb\x80\x8b\x24\x75\x47\xdb"
};
#define SAVED SPAN(saved)

static void known_bytes_read_back(void **state)
{
	CLEANUP(buf_release) struct buf expected = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };

	(void)state;
	put_entry(&expected, SPAN(""), SPAN("\x08\1\x1a\2\x08\1"));
	put_entry(&expected, SPAN("e"),
		  SPAN("\x08\1\x12\6\x12\0\x12\2\x08\3\x20\x09\x35\xd8\xea\x82"
		       "\xa2"));
	put_entry(&expected, SPAN("s"),
		  SPAN("\x08\7\x12\4\x12\2\x08\2\x20\x09\x28\x08\x35\x9e\x9e"
		       "\x48\xed"));
	put_entry(&expected, SPAN("w"),
		  SPAN("\x08\6\x12\0\x20\x08\x28\1\x35\x46\xf8\xf7\x11"));
	put_entry(&expected, SPAN("w/b"),
		  SPAN("\x08\1\x12\x08\x12\2\x08\1\x12\2\x08\2\x28\x08\x35\x59"
		       "\x3c\xe5\x35"));

	assert_int_equal(read_bytes(SAVED, &found), 0);
	assert_true(span_equal(buf_span(&found), buf_span(&expected)));
}

static void no_prefix_is_taken_for_a_table(void **state)
{
	CLEANUP(buf_release) struct buf found = { 0 };

	(void)state;
	for (size_t len = 0; len < SAVED.len; len++)
		assert_int_equal(read_bytes((struct span){ saved, len },
					    &found),
				 -EINVAL);
	assert_int_equal(lines_logged, 0);
}

static void bytes_after_the_footer_make_it_no_table(void **state)
{
	CLEANUP(buf_release) struct buf longer = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };

	(void)state;
	buf_put(&longer, SAVED.data, SAVED.len);
	buf_put(&longer, "\n", 1);
	assert_int_equal(read_bytes(buf_span(&longer), &found), -EINVAL);
}

static void damaged_bit_is_an_error_or_harmless(void **state)
{
	CLEANUP(buf_release) struct buf good = { 0 };
	CLEANUP(buf_release) struct buf copy = { 0 };
	size_t footer = SAVED.len - TABLE_FOOTER_SIZE;

	(void)state;
	assert_int_equal(read_bytes(SAVED, &good), 0);
	buf_put(&copy, SAVED.data, SAVED.len);
	for (size_t bit = 0; bit < 8 * copy.len; bit++) {
		CLEANUP(buf_release) struct buf found = { 0 };
		uint8_t *byte = &copy.data[bit / 8];
		int r;

		(void)forget_lines(NULL);
		*byte ^= (uint8_t)(1 << bit % 8);
		r = read_bytes(buf_span(&copy), &found);
		*byte ^= (uint8_t)(1 << bit % 8);

		if (r == 0)
			assert_true(span_equal(buf_span(&found),
					       buf_span(&good)));
		else
			assert_int_equal(found.len, 0);
		assert_int_equal(lines_logged, r == -EIO);
		/* Only the metaindex block, its handle, and padding are. */
		assert_true(r != 0 || bit / 8 >= footer ||
			    (bit / 8 >= 0x69 && bit / 8 < 0x76));
	}
}

static void tables_of_several_blocks_read_back(void **state)
{
	(void)state;
	for (int snappy = 0; snappy <= 1; snappy++) {
		CLEANUP(maker_release) struct maker m;

		maker_init(&m);
		m.snappy = snappy;
		add_block(&m, "abcde");
		buf_put(&m.file, "junk", 4);
		add_block(&m, "f");
		add_block(&m, "");
		add_block(&m, "gh");
		finish(&m);
		assert_keys(&m, "abcdefgh", 0);
		assert_int_equal(lines_logged, 0);
	}
}

static void table_without_blocks_is_empty(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	maker_init(&m);
	finish(&m);
	assert_keys(&m, "", 0);
	assert_int_equal(open_made(&m, &fd, &t), 0);
	assert_no_value(t, fd, "a", -ENOENT);
}

static void values_are_found_by_key(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;
	const char *present[] = { "b", "d", "f", "h", "j", "l" };
	const char *absent[] = { "", "a", "c", "dd", "e", "g", "k", "m" };

	(void)state;
	maker_init(&m);
	add_block(&m, "bdf");
	add_block(&m, "h");
	add_block(&m, "jl");
	finish(&m);

	assert_int_equal(open_made(&m, &fd, &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(present); i++)
		assert_value(t, fd, present[i]);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_no_value(t, fd, absent[i], -ENOENT);
	assert_int_equal(lines_logged, 0);
}

static void value_is_appended(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(buf_release) struct buf values = { 0 };

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	finish(&m);
	assert_int_equal(open_made(&m, &fd, &t), 0);
	assert_int_equal(table_value(t, fd, SPAN("b"), &values), 0);
	assert_int_equal(table_value(t, fd, SPAN("a"), &values), 0);
	assert_true(span_equal(buf_span(&values), SPAN("ba")));
}

/* Every value must be found again; where there are many, every 50th. */
static void read_fixture(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	CLEANUP(buf_release) struct buf last = { 0 };
	struct span key, value;
	size_t n = 0;
	int r;

	assert_int_equal(table_open(fd, path, &t), 0);
	assert_int_equal(table_iter_new(t, &it), 0);
	for (; (r = table_iter_next(it, &key, &value)) > 0; n++) {
		CLEANUP(buf_release) struct buf found = { 0 };

		if (n == 0)
			assert_int_equal(key.len, 0);
		else
			assert_true(span_compare(buf_span(&last), key) < 0);
		last.len = 0;
		buf_put(&last, key.data, key.len);

		if (n >= 50 && n % 50 != 0)
			continue;
		assert_int_equal(table_value(t, fd, key, &found), 0);
		assert_true(span_equal(buf_span(&found), value));
	}
	assert_int_equal(r, 0);
	assert_true(n >= 2);
}

static void fixtures_read_whole(void **state)
{
	(void)state;
	each_fixture(read_fixture);
	assert_int_equal(lines_logged, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(known_bytes_read_back),
		TEST(no_prefix_is_taken_for_a_table),
		TEST(bytes_after_the_footer_make_it_no_table),
		TEST(damaged_bit_is_an_error_or_harmless),
		TEST(tables_of_several_blocks_read_back),
		TEST(table_without_blocks_is_empty),
		TEST(values_are_found_by_key),
		TEST(value_is_appended),
		TEST(fixtures_read_whole),
	};

	return cmocka_run_group_tests_name("table", tests, count_lines, NULL);
}
