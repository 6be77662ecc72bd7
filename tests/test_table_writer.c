/* core/table_writer: the bytes that TensorFlow writes for the same entries. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/table.h"
#include "core/table_writer.h"
#include "tests/table_support.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct table_writer *new_writer(struct buf *out)
{
	struct table_writer *w = NULL;

	assert_int_equal(table_writer_new(out, &w), 0);
	return w;
}

/* The table in `bytes`, over a file that `ret_fd` keeps. */
static struct table *open_bytes(const struct buf *bytes, int *ret_fd)
{
	struct table *t = NULL;

	*ret_fd = memfd_create("table", MFD_CLOEXEC);
	assert_true(*ret_fd >= 0);
	assert_int_equal(write(*ret_fd, bytes->data, bytes->len), bytes->len);
	assert_int_equal(table_open(*ret_fd, "made", &t), 0);
	return t;
}

static void add_all(struct table_writer *w, const struct table *t)
{
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	struct span key, value;
	int r;

	assert_int_equal(table_iter_new(t, &it), 0);
	while ((r = table_iter_next(it, &key, &value)) > 0)
		table_writer_add(w, key, value);
	assert_int_equal(r, 0);
}

/* Writes the entries of `bytes` anew, `extra` bytes longer than need be. */
static void rewrite(const struct buf *bytes, uint64_t extra, struct buf *ret)
{
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(table_freep) struct table *t = open_bytes(bytes, &fd);
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(ret);
	uint64_t size;

	add_all(w, t);
	size = table_writer_seal(w);
	assert_int_equal(table_writer_finish(w, size + extra), 0);
	assert_int_equal(ret->len, size + extra);
}

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_true(span_equal(buf_span(a), buf_span(b)));
}

static void known_entries_make_known_bytes(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	(void)state;
	table_writer_add(w, SPAN(""), SPAN("\x08\1\x1a\2\x08\1"));
	table_writer_add(w, SPAN("e"),
			 SPAN("\x08\1\x12\6\x12\0\x12\2\x08\3\x20\x09\x35\xd8"
			      "\xea\x82\xa2"));
	table_writer_add(w, SPAN("s"),
			 SPAN("\x08\7\x12\4\x12\2\x08\2\x20\x09\x28\x08\x35"
			      "\x9e\x9e\x48\xed"));
	table_writer_add(w, SPAN("w"),
			 SPAN("\x08\6\x12\0\x20\x08\x28\1\x35\x46\xf8\xf7"
			      "\x11"));
	table_writer_add(w, SPAN("w/b"),
			 SPAN("\x08\1\x12\x08\x12\2\x08\1\x12\2\x08\2\x28\x08"
			      "\x35\x59\x3c\xe5\x35"));
	assert_int_equal(table_writer_seal(w), 0x76 + 14 + 5 + 48);
	assert_int_equal(table_writer_finish(w, 0), 0);
	assert_int_equal(out.len, 0x76 + 14 + 5 + 48);

	assert_memory_equal(out.data, "\0\0\6\x08\1\x1a\2\x08\1\0\1\x11", 12);
	assert_memory_equal(out.data + 0x5c,
			    "\0\0\0\0\1\0\0\0\0\x0f\x46\x75\xaa"
			    "\0\0\0\0\1\0\0\0\0\xc0\xf2\xa1\xb0"
			    "\0\1\2x\0\x64\0\0\0\0\1\0\0\0\0\xa4\x2a\x4c\x5a"
			    "\x69\x08\x76\x0e\0\0\0\0\0\0\0\0",
			    13 + 13 + 19 + 12);
	assert_memory_equal(out.data + out.len - 10,
			    "\0\0\x57\xfb\x80\x8b\x24\x75\x47\xdb", 10);
}

static void rebuild_fixture(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf original = { 0 };
	CLEANUP(buf_release) struct buf copy = { 0 };

	/* Those were not written by TensorFlow. */
	if (fnmatch("*/v?_hand_*", path, 0) == 0)
		return;
	assert_int_equal(io_read_file(fd, UINT32_MAX, &original), 0);
	rewrite(&original, 0, &copy);
	assert_same(&original, &copy);
}

static void files_of_tensorflow_are_rebuilt_byte_for_byte(void **state)
{
	(void)state;
	each_fixture(rebuild_fixture);
}

/*
 * Two entries, of which the first fills its block: the index then starts with
 * the separator between their keys, and the successor of the second follows.
 */
static void assert_separators(struct span first, struct span second,
			      struct span separator, struct span successor)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf large = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);
	CLEANUP(block_release) struct block index = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct buf stored = { 0 };
	struct span key, value;
	const char *fault;
	size_t len;

	buf_put_zeros(&large, 262144);
	table_writer_add(w, first, buf_span(&large));
	table_writer_add(w, second, SPAN("v"));
	len = table_writer_seal(w) - out.len - 13 - TABLE_FOOTER_SIZE;
	assert_int_equal(table_writer_finish(w, 0), 0);

	buf_put(&stored, out.data + out.len - TABLE_FOOTER_SIZE - len, len);
	assert_int_equal(block_open(&stored, &index, &fault), 0);
	block_iter_init(&it, &index);
	assert_int_equal(block_iter_next(&it, &key, &value), 1);
	assert_true(span_equal(key, separator));
	assert_int_equal(block_iter_next(&it, &key, &value), 1);
	assert_true(span_equal(key, successor));
	assert_int_equal(block_iter_next(&it, &key, &value), 0);
}

static void separators_are_as_short_as_leveldb_makes_them(void **state)
{
	(void)state;
	/* Cut where they differ, one up. */
	assert_separators(SPAN("abcde"), SPAN("abz"), SPAN("abd"), SPAN("b"));
	assert_separators(SPAN("a\x7fzz"), SPAN("a\x81"), SPAN("a\x80"),
			  SPAN("b"));
	/* No room between c and d, or only past the end. */
	assert_separators(SPAN("abcde"), SPAN("abd"), SPAN("abcde"), SPAN("b"));
	assert_separators(SPAN("abc"), SPAN("abcde"), SPAN("abc"), SPAN("b"));
	assert_separators(SPAN(""), SPAN("w"), SPAN(""), SPAN("x"));
	/* 0xfe is not raised to what follows; nothing is above 0xff. */
	assert_separators(SPAN("\xfe"
			       "a"),
			  SPAN("\xff"),
			  SPAN("\xfe"
			       "a"),
			  SPAN("\xff"));
}

static void successor_skips_what_cannot_be_raised(void **state)
{
	(void)state;
	assert_separators(SPAN("a"), SPAN("\xff\xff\1\2"), SPAN("b"),
			  SPAN("\xff\xff\2"));
	assert_separators(SPAN("a"), SPAN("\xff\xff"), SPAN("b"),
			  SPAN("\xff\xff"));
}

static void table_of_the_empty_key_reads_back(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf value = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(table_freep) struct table *t = NULL;

	(void)state;
	table_writer_add(w, SPAN(""), SPAN("header"));
	assert_int_equal(table_writer_finish(w, 0), 0);
	t = open_bytes(&out, &fd);
	assert_int_equal(table_value(t, fd, SPAN(""), &value), 0);
	assert_true(span_equal(buf_span(&value), SPAN("header")));
}

static void table_of_nothing_reads_back(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf copy = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	(void)state;
	assert_int_equal(table_writer_seal(w), 13 + 13 + 48);
	assert_int_equal(table_writer_finish(w, 0), 0);
	assert_int_equal(out.len, 13 + 13 + 48);
	rewrite(&out, 0, &copy);
	assert_same(&out, &copy);
}

/* Sets the handles of the footer: { metaindex, index }. */
static void read_handles(const struct buf *table, struct block_handle ret[2])
{
	struct span footer = { table->data + table->len - TABLE_FOOTER_SIZE,
			       TABLE_FOOTER_SIZE };

	assert_true(block_handle_get(&footer, &ret[0]));
	assert_true(block_handle_get(&footer, &ret[1]));
}

static void padding_moves_only_what_the_footer_points_to(void **state)
{
	static const uint64_t extras[] = { 1, 7, 48, 4096, 1000000 };
	CLEANUP(close_fd)
	int fd = open("tests/fixtures/v2_5000_variables/ckpt.index",
		      O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf plain = { 0 };
	struct block_handle before[2], after[2];

	(void)state;
	assert_int_equal(io_read_file(fd, UINT32_MAX, &plain), 0);
	read_handles(&plain, before);
	for (size_t i = 0; i < ARRAY_SIZE(extras); i++) {
		CLEANUP(buf_release) struct buf padded = { 0 };
		CLEANUP(buf_release) struct buf again = { 0 };
		uint64_t moved = before[0].offset + extras[i];

		rewrite(&plain, extras[i], &padded);
		read_handles(&padded, after);
		assert_int_equal(after[0].offset, moved);
		assert_int_equal(after[1].offset, before[1].offset + extras[i]);
		assert_int_equal(after[0].size, before[0].size);
		assert_int_equal(after[1].size, before[1].size);
		assert_memory_equal(padded.data, plain.data, before[0].offset);
		assert_memory_equal(
			padded.data + moved, plain.data + before[0].offset,
			before[1].offset + before[1].size + BLOCK_TRAILER_SIZE -
				before[0].offset);
		for (uint64_t zero = before[0].offset; zero < moved; zero++)
			assert_int_equal(padded.data[zero], 0);

		rewrite(&padded, 0, &again);
		assert_same(&again, &plain);
	}
}

static void smaller_size_than_needed_is_no_matter(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);
	uint64_t size;

	(void)state;
	table_writer_add(w, SPAN("a"), SPAN("1"));
	size = table_writer_seal(w);
	assert_int_equal(table_writer_seal(w), size);
	assert_int_equal(table_writer_finish(w, size - 1), 0);
	assert_int_equal(out.len, size);
}

static void assert_order_refused(struct span first, struct span second)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	table_writer_add(w, first, SPAN("1"));
	table_writer_add(w, second, SPAN("2"));
	table_writer_add(w, SPAN("zzz"), SPAN("3"));
	(void)table_writer_seal(w);
	assert_int_equal(table_writer_finish(w, 0), -EINVAL);
}

static void keys_that_do_not_rise_are_remembered(void **state)
{
	(void)state;
	assert_order_refused(SPAN("b"), SPAN("a"));
	assert_order_refused(SPAN("b"), SPAN("b"));
	assert_order_refused(SPAN("b"), SPAN(""));
	assert_order_refused(SPAN(""), SPAN(""));
	assert_order_refused(SPAN("\x80"), SPAN("\x7f"));
}

static void keys_rise_across_blocks_too(void **state)
{
	CLEANUP(buf_release) struct buf large = { 0 };

	(void)state;
	buf_put(&large, "b", 1);
	buf_put_zeros(&large, 600000);
	assert_order_refused(buf_span(&large), SPAN("a"));
}

static void entry_after_the_seal_is_remembered(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	(void)state;
	(void)table_writer_seal(w);
	table_writer_add(w, SPAN("a"), SPAN("1"));
	assert_int_equal(table_writer_finish(w, 0), -EINVAL);
}

static void failed_memory_is_remembered(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	(void)state;
	table_writer_add(w, SPAN("a"), SPAN("1"));
	buf_put_zeros(&out, SIZE_MAX); /* more than there are addresses */
	assert_int_equal(table_writer_finish(w, 0), -ENOMEM);
}

/* How many data blocks these sizes of values make, the keys being one byte. */
static size_t count_blocks(const size_t *sizes, size_t n)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf zeros = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);
	struct block_handle handles[2];
	struct span rest;
	uint32_t blocks;

	buf_put_zeros(&zeros, 600000);
	for (size_t i = 0; i < n; i++) {
		uint8_t key = (uint8_t)('a' + i);

		table_writer_add(w, (struct span){ &key, 1 },
				 (struct span){ zeros.data, sizes[i] });
	}
	assert_int_equal(table_writer_finish(w, 0), 0);

	/* Each is a restart of the index, whose contents end in their count. */
	read_handles(&out, handles);
	rest = (struct span){
		out.data + handles[1].offset + handles[1].size - 4, 4
	};
	assert_true(span_get_fixed32(&rest, &blocks));
	return blocks;
}

static void blocks_end_where_tensorflow_ends_them(void **state)
{
	/* An entry alone: 3 lengths in 5 bytes, key, value, restart, count. */
	const size_t fills = 262144 - 5 - 1 - 8;
	const size_t large = 524288 - 1;

	(void)state;
	assert_int_equal(count_blocks((size_t[]){ fills, 1 }, 2), 2);
	assert_int_equal(count_blocks((size_t[]){ fills - 1, 1 }, 2), 1);
	assert_int_equal(count_blocks((size_t[]){ 1, large }, 2), 2);
	assert_int_equal(count_blocks((size_t[]){ 1, large - 1 }, 2), 1);
	assert_int_equal(count_blocks((size_t[]){ large, large, 1 }, 3), 3);
}

/* Sizes around those at which blocks end and parts go to the file. */
static const size_t sizes[] = { 0,      100,     262100,  262144, 524280,
				524288, 1000000, 3000000, 5,      1048576 };

static void add_sizes(struct table_writer *w, size_t part)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };

	buf_put_zeros(&bytes, 3000000);
	for (size_t i = 0; i < bytes.len; i++)
		bytes.data[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const uint8_t name[] = { 'k', (uint8_t)i };

		table_writer_begin(w, (struct span){ name, 2 }, sizes[i]);
		for (size_t at = 0; at < sizes[i]; at += part)
			table_writer_put(w, bytes.data + at,
					 sizes[i] - at < part ? sizes[i] - at
							      : part);
	}
}

static void a_table_in_a_file_is_that_in_memory(void **state)
{
	static const size_t parts[] = { 1000, 262144, 1U << 21, 3000000 };
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);

	(void)state;
	add_sizes(w, 3000000);
	assert_int_equal(table_writer_finish(w, 0), 0);
	for (size_t i = 0; i < 4; i++) {
		CLEANUP(close_fd) int fd = memfd_create("table", MFD_CLOEXEC);
		CLEANUP(table_writer_freep) struct table_writer *f = NULL;
		CLEANUP(buf_release) struct buf found = { 0 };

		assert_int_equal(table_writer_new_file(fd, &f), 0);
		add_sizes(f, parts[i]);
		assert_int_equal(table_writer_finish(f, 0), 0);
		assert_int_equal(io_read_file(fd, 1U << 30, &found), 0);
		assert_same(&found, &out);
	}
}

static void a_value_of_another_length_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	CLEANUP(buf_release) struct buf again = { 0 };
	CLEANUP(table_writer_freep) struct table_writer *w = new_writer(&out);
	CLEANUP(table_writer_freep) struct table_writer *v = new_writer(&again);

	(void)state;
	table_writer_begin(w, SPAN("k"), 3);
	table_writer_put(w, "ab", 2);
	assert_int_equal(table_writer_finish(w, 0), -EINVAL);
	table_writer_begin(v, SPAN("k"), 3);
	table_writer_put(v, "abcd", 4);
	assert_int_equal(table_writer_finish(v, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_entries_make_known_bytes),
		cmocka_unit_test(files_of_tensorflow_are_rebuilt_byte_for_byte),
		cmocka_unit_test(separators_are_as_short_as_leveldb_makes_them),
		cmocka_unit_test(successor_skips_what_cannot_be_raised),
		cmocka_unit_test(table_of_the_empty_key_reads_back),
		cmocka_unit_test(table_of_nothing_reads_back),
		cmocka_unit_test(padding_moves_only_what_the_footer_points_to),
		cmocka_unit_test(smaller_size_than_needed_is_no_matter),
		cmocka_unit_test(keys_that_do_not_rise_are_remembered),
		cmocka_unit_test(keys_rise_across_blocks_too),
		cmocka_unit_test(entry_after_the_seal_is_remembered),
		cmocka_unit_test(failed_memory_is_remembered),
		cmocka_unit_test(blocks_end_where_tensorflow_ends_them),
		cmocka_unit_test(a_table_in_a_file_is_that_in_memory),
		cmocka_unit_test(a_value_of_another_length_is_refused),
	};

	return cmocka_run_group_tests_name("table_writer", tests, NULL, NULL);
}
