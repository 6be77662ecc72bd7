/* core/table: each lie a table can tell. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/table_maker.h"

static void wrong_magic_is_no_table(void **state)
{
	CLEANUP(maker_release) struct maker m;
	struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	maker_init(&m);
	finish(&m);
	m.file.data[m.file.len - 1] ^= 1;
	assert_int_equal(open_made(&m, &fd, &t), -EINVAL);
	assert_null(t);
	assert_int_equal(lines_logged, 0);
}

static void assert_index_refused(struct block_handle index, const char *line)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(close_fd) int fd = -1;
	struct table *t = NULL;

	maker_init(&m);
	buf_put_zeros(&m.file, 100);
	add_footer(&m, index);
	assert_int_equal(open_made(&m, &fd, &t), -EIO);
	assert_null(t);
	assert_logged(line);
}

static void index_outside_the_file_is_damage(void **state)
{
	(void)state;
	assert_index_refused((struct block_handle){ 0, 96 },
			     "made: damaged at byte 0: block outside the file");
	assert_index_refused(
		(struct block_handle){ 96, 0 },
		"made: damaged at byte 96: block outside the file");
	assert_index_refused((struct block_handle){ 0, UINT64_MAX },
			     "made: damaged at byte 0: block outside the file");
	assert_index_refused((struct block_handle){ UINT64_MAX, 8 },
			     "made: damaged at byte 18446744073709551615: "
			     "block outside the file");
	assert_index_refused((struct block_handle){ UINT64_MAX - 12, 8 },
			     "made: damaged at byte 18446744073709551603: "
			     "block outside the file");
}

static void damaged_index_block_is_damage(void **state)
{
	(void)state;
	assert_index_refused(
		(struct block_handle){ 7, 88 },
		"made: damaged at byte 7: block with a wrong checksum");
}

static void footer_without_handles_is_damage(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(close_fd) int fd = -1;
	struct table *t = NULL;

	(void)state;
	maker_init(&m);
	add_footer(&m, (struct block_handle){ 0, 0 });
	memset(m.file.data, 0xff, TABLE_HANDLES_SIZE);
	assert_int_equal(open_made(&m, &fd, &t), -EIO);
	assert_logged("made: damaged at byte 0: footer without handles");
}

/* A table of the keys a to f whose middle block is `handle`. */
static void make_with_middle(struct maker *m, struct block_handle handle)
{
	maker_init(m);
	add_block(m, "ab");
	add_index(m, "d", handle);
	add_block(m, "ef");
	finish(m);
}

static void assert_middle_damaged(const struct maker *m, const char *line)
{
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;

	assert_keys(m, "abef", -EIO);
	assert_logged(line);

	assert_int_equal(open_made(m, &fd, &t), 0);
	assert_value(t, fd, "b");
	assert_value(t, fd, "e");
	assert_no_value(t, fd, "c", -EIO);
	assert_logged(line);
}

static void block_outside_the_file_is_damage(void **state)
{
	static const struct block_handle handles[] = {
		{ 10, UINT64_MAX },      { UINT64_MAX, 0 }, { 10, 1ULL << 40 },
		{ 10, UINT64_MAX - 14 }, { 10, 1000 },      { 1000, 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		CLEANUP(maker_release) struct maker m;
		CLEANUP(table_freep) struct table *t = NULL;
		CLEANUP(close_fd) int fd = -1;

		make_with_middle(&m, handles[i]);
		assert_int_equal(open_made(&m, &fd, &t), 0);
		assert_no_value(t, fd, "c", -EIO);
		assert_int_equal(lines_logged, 1);
		assert_non_null(strstr(last_line, "block outside the file"));
		(void)forget_lines(NULL);
	}
}

static void reading_goes_on_after_a_damaged_block(void **state)
{
	CLEANUP(maker_release) struct maker m;
	struct block_handle middle;

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	middle = add_block(&m, "cd");
	add_block(&m, "ef");
	finish(&m);
	assert_keys(&m, "abcdef", 0);

	assert_int_equal(middle.offset, 23);
	m.file.data[middle.offset + 3] ^= 1;
	assert_middle_damaged(
		&m, "made: damaged at byte 23: block with a wrong checksum");
}

static void reading_goes_on_after_a_damaged_entry(void **state)
{
	/* The entry "c", then one that shares two bytes of it. */
	static const uint8_t block[] = "\0\1\1cc\2\1\1dd\0\0\0\0\1\0\0\0";
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	add_index(&m, "d",
		  (struct block_handle){ m.file.len, sizeof(block) - 1 });
	buf_put(&m.file, block, sizeof(block)); /* the NUL is the type */
	buf_put_fixed32(&m.file,
			crc32c_mask(crc32c_extend(0, block, sizeof(block))));
	add_block(&m, "ef");
	finish(&m);

	assert_keys(&m, "abcef", -EIO);
	assert_logged("made: damaged at byte 23: "
		      "block with an entry that does not fit into it");
	assert_int_equal(open_made(&m, &fd, &t), 0);
	assert_value(t, fd, "c");
	assert_no_value(t, fd, "d", -EIO);
	assert_int_equal(lines_logged, 1);
}

static void index_entry_without_a_handle_is_damage(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(buf_release) struct buf line = { 0 };
	struct block_handle index;

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	(void)block_builder_add(&m.index, SPAN("d"), SPAN("\x80"));
	add_block(&m, "ef");
	index = finish(&m);

	buf_printf(&line, "made: damaged at byte %d: index without a handle",
		   (int)index.offset);
	buf_put_zeros(&line, 1);
	assert_middle_damaged(&m, (const char *)line.data);
}

static void damaged_index_entry_ends_the_table(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(buf_release) struct buf contents = { 0 };
	const uint8_t type = 0;
	size_t start;

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	start = m.file.len;
	buf_put(&contents, "\0\1\2b\0", 5);
	buf_put_varint(&contents, start - BLOCK_TRAILER_SIZE);
	buf_put(&contents,
		"\0\1\x7f"
		"c",
		4); /* a handle of 127 bytes */
	buf_put(&contents, "\0\0\0\0\1\0\0\0", 8);
	buf_put(&contents, &type, 1);
	buf_put(&m.file, contents.data, contents.len);
	buf_put_fixed32(&m.file, crc32c_mask(crc32c_extend(0, contents.data,
							   contents.len)));
	add_footer(&m, (struct block_handle){ start, contents.len - 1 });

	assert_keys(&m, "ab", -EIO);
	assert_logged("made: damaged at byte 23: "
		      "block with an entry that does not fit into it");
}

static void block_named_over_and_over_is_damage(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct block_handle first;
	struct span key, value;
	size_t entries = 0;
	int r;

	(void)state;
	maker_init(&m);
	buf_put_zeros(&m.file, 1000);
	first = add_block(&m, "abcdefghijklmnopqrstuvwxyz");
	for (int i = 0; i < 10000; i++)
		add_index(&m, "z", first);
	finish(&m);

	assert_int_equal(open_made(&m, &fd, &t), 0);
	assert_int_equal(table_iter_new(t, &it), 0);
	while ((r = table_iter_next(it, &key, &value)) > 0)
		entries++;
	assert_int_equal(r, -EIO);
	assert_logged("made: damaged at byte 1000: overlapping blocks");
	assert_true(entries < m.file.len);
}

static void file_cut_while_open_is_damage(void **state)
{
	CLEANUP(maker_release) struct maker m;
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	maker_init(&m);
	add_block(&m, "ab");
	finish(&m);
	assert_int_equal(open_made(&m, &fd, &t), 0);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_no_value(t, fd, "a", -EIO);
	assert_int_equal(lines_logged, 1);
}

static void directory_is_no_table(void **state)
{
	CLEANUP(close_fd) int fd = open("/", O_RDONLY | O_CLOEXEC);
	struct table *t = NULL;

	(void)state;
	assert_true(table_open(fd, "made", &t) < 0);
	assert_null(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wrong_magic_is_no_table),
		TEST(index_outside_the_file_is_damage),
		TEST(damaged_index_block_is_damage),
		TEST(footer_without_handles_is_damage),
		TEST(block_outside_the_file_is_damage),
		TEST(reading_goes_on_after_a_damaged_block),
		TEST(reading_goes_on_after_a_damaged_entry),
		TEST(index_entry_without_a_handle_is_damage),
		TEST(damaged_index_entry_ends_the_table),
		TEST(block_named_over_and_over_is_damage),
		TEST(file_cut_while_open_is_damage),
		TEST(directory_is_no_table),
	};

	return cmocka_run_group_tests_name("table damage", tests, count_lines,
					   NULL);
}
