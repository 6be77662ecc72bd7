/* core/table: known bytes, files of TensorFlow, each lie a table can tell. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <snappy-c.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/table.h"
#include "tests/table_support.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static unsigned lines_logged;
static char last_line[256];

static void count_line(enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	lines_logged++;
	(void)snprintf(last_line, sizeof(last_line), "%s", line);
}

static int forget_lines(void **state)
{
	(void)state;
	lines_logged = 0;
	last_line[0] = '\0';
	return 0;
}

static int count_lines(void **state)
{
	(void)state;
	log_to(count_line, LOG_LEVEL_WARNING);
	return 0;
}

/* Asserts that since the last look this was said, and nothing else. */
static void assert_logged(const char *line)
{
	assert_int_equal(lines_logged, 1);
	assert_string_equal(last_line, line);
	(void)forget_lines(NULL);
}

static int file_of(struct span bytes)
{
	int fd = memfd_create("table", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	return fd;
}

/* A table made by hand, so that it can lie. */
struct maker {
	struct buf file;
	struct buf index_block;
	struct block_builder data;
	struct block_builder index;
	bool snappy;
};

static void maker_init(struct maker *m)
{
	*m = (struct maker){ 0 };
	block_builder_start(&m->index, &m->index_block, 1);
}

static void maker_release(struct maker *m)
{
	block_builder_release(&m->index);
	block_builder_release(&m->data);
	buf_release(&m->index_block);
	buf_release(&m->file);
}

/* Replaces the block from `start` to the end of `b` by its compressed form. */
static size_t compress(struct buf *b, size_t start)
{
	CLEANUP(buf_release) struct buf packed = { 0 };
	size_t raw_len = b->len - start - BLOCK_TRAILER_SIZE;
	size_t len = snappy_max_compressed_length(raw_len);
	const uint8_t type = 1;

	buf_put_zeros(&packed, len);
	assert_int_equal(snappy_compress((char *)b->data + start, raw_len,
					 (char *)packed.data, &len),
			 SNAPPY_OK);
	packed.len = len;
	buf_put(&packed, &type, 1);
	buf_put_fixed32(&packed,
			crc32c_mask(crc32c_extend(0, packed.data, packed.len)));

	b->len = start;
	buf_put(b, packed.data, packed.len);
	return len;
}

static void add_index(struct maker *m, const char *separator,
		      struct block_handle handle)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	block_handle_put(&value, handle);
	buf_put(&value, "ignored", 7);
	(void)block_builder_add(&m->index, span_of(separator),
				buf_span(&value));
}

/* Adds a block of the keys `keys`, a letter each; their values are the same. */
static struct block_handle add_block(struct maker *m, const char *keys)
{
	char separator[2] = { 0 };
	struct block_handle handle;

	block_builder_start(&m->data, &m->file, 2);
	for (const char *key = keys; *key; key++) {
		struct span letter = { (const uint8_t *)key, 1 };

		(void)block_builder_add(&m->data, letter, letter);
		separator[0] = *key;
	}
	assert_int_equal(block_builder_finish(&m->data, &handle), 0);
	if (m->snappy)
		handle.size = compress(&m->file, handle.offset);
	add_index(m, separator, handle);
	return handle;
}

static void add_footer(struct maker *m, struct block_handle index)
{
	size_t start = m->file.len;

	block_handle_put(&m->file, (struct block_handle){ 0, 0 });
	block_handle_put(&m->file, index);
	buf_put_zeros(&m->file, TABLE_HANDLES_SIZE - (m->file.len - start));
	buf_put_fixed64(&m->file, TABLE_MAGIC);
}

static struct block_handle finish(struct maker *m)
{
	struct block_handle index;

	assert_int_equal(block_builder_finish(&m->index, &index), 0);
	if (m->snappy)
		index.size = compress(&m->index_block, 0);
	index.offset = m->file.len;
	buf_put(&m->file, m->index_block.data, m->index_block.len);
	add_footer(m, index);
	return index;
}

/* Opens what was made; the file stays open in `ret_fd`. */
static int open_made(const struct maker *m, int *ret_fd, struct table **ret)
{
	*ret_fd = file_of(buf_span(&m->file));
	return table_open(*ret_fd, "made", ret);
}

static void put_entry(struct buf *b, struct span key, struct span value)
{
	buf_put_varint(b, key.len);
	buf_put(b, key.data, key.len);
	buf_put_varint(b, value.len);
	buf_put(b, value.data, value.len);
}

/* Appends all entries to `ret`; the first error, if any. */
static int read_all(const struct table *t, struct buf *ret)
{
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	struct span key, value;
	int error = 0;
	int r;

	assert_int_equal(table_iter_new(t, &it), 0);
	while ((r = table_iter_next(it, &key, &value)) != 0) {
		if (r > 0)
			put_entry(ret, key, value);
		else if (!error)
			error = r;
	}
	assert_int_equal(table_iter_next(it, &key, &value), 0);
	return error;
}

static int read_bytes(struct span bytes, struct buf *ret)
{
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(close_fd) int fd = file_of(bytes);
	int r = table_open(fd, "made", &t);

	return r < 0 ? r : read_all(t, ret);
}

/* Asserts that these are the keys, a letter each, and how reading ends. */
static void assert_keys(const struct maker *m, const char *keys, int error)
{
	CLEANUP(buf_release) struct buf expected = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };

	for (; *keys; keys++) {
		struct span letter = { (const uint8_t *)keys, 1 };

		put_entry(&expected, letter, letter);
	}
	assert_int_equal(read_bytes(buf_span(&m->file), &found), error);
	assert_true(span_equal(buf_span(&found), buf_span(&expected)));
}

static void assert_value(const struct table *t, int fd, const char *key)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	assert_int_equal(table_value(t, fd, span_of(key), &value), 0);
	assert_true(span_equal(buf_span(&value), span_of(key)));
}

static void assert_no_value(const struct table *t, int fd, const char *key,
			    int error)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	assert_int_equal(table_value(t, fd, span_of(key), &value), error);
	assert_int_equal(value.len, 0);
}

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
	static const char *const patterns[] = {
		"tests/fixtures/v2_*/*.index",
		"tests/fixtures/savedmodel_*/variables/*.index",
		"tests/fixtures/v1_*/ckpt.v1",
		"tests/fixtures/v1_tf1_*/model.ckpt-?",
		"tests/fixtures/v1_tf1_*/model.ckpt-*-of-*",
	};
	glob_t found = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		assert_int_equal(glob(patterns[i], i ? GLOB_APPEND : 0, NULL,
				      &found),
				 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		read_fixture(found.gl_pathv[i]);
	assert_int_equal(lines_logged, 0);
	globfree(&found);
}

#define TEST(name) cmocka_unit_test_setup(name, forget_lines)

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
		TEST(fixtures_read_whole),
	};

	return cmocka_run_group_tests_name("table", tests, count_lines, NULL);
}
