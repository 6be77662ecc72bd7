/* core/strings: both ways, at every offset, and whatever a shard may claim. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/strings.h"
#include "tests/test.h"

#define SPAN(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static int log_lines;
static char last_line[256];

static void count_line(enum log_level level, const char *line)
{
	(void)level;
	log_lines++;
	(void)snprintf(last_line, sizeof(last_line), "%s", line);
}

/* A file of 7 other bytes, then `bytes`, then 3 others again. */
static int file_of(struct span bytes)
{
	int fd = memfd_create("strings", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "before.", 7), 7);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	assert_int_equal(write(fd, "end", 3), 3);
	return fd;
}

static struct strings_source source_of(int fd, uint64_t size, uint64_t elements)
{
	return (struct strings_source){
		.fd = fd,
		.offset = 7,
		.size = size,
		.elements = elements,
		.name = "a shard",
	};
}

/* What strings_open() answers for `bytes`, unverified. */
static int opens(struct span bytes, uint64_t elements)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(close_fd) int fd = file_of(bytes);
	struct strings_source source = source_of(fd, bytes.len, elements);

	return strings_open(&source, &s);
}

static void assert_part_is(const struct strings *s, struct span text,
			   size_t offset, size_t n)
{
	CLEANUP(free_ptr) char *got = malloc(n + 1);
	size_t rest = offset < text.len ? text.len - offset : 0;
	size_t want = n < rest ? n : rest;

	assert_non_null(got);
	assert_int_equal(strings_read(s, got, n, offset), want);
	if (want > 0)
		assert_memory_equal(got, text.data + offset, want);
}

static void assert_every_part_is(const struct strings *s, struct span text)
{
	for (size_t offset = 0; offset <= text.len + 1; offset++)
		for (size_t n = 0; n <= text.len + 1; n++)
			assert_part_is(s, text, offset, n);
}

/* Parts about places and windows, and some others. */
static void assert_many_parts_are(const struct strings *s, struct span text)
{
	assert_part_is(s, text, 0, text.len + 1);
	for (size_t border = 32768; border < text.len; border += 32768)
		for (size_t offset = border - 3; offset < border + 3; offset++)
			for (size_t n = 1; n < 5; n++)
				assert_part_is(s, text, offset, n);

	for (size_t i = 1; i < 300; i++)
		assert_part_is(s, text, i * 999983 % text.len, i * i);
}

/* Encodes `text`, opens what came out, verified, and reads it in parts. */
static void assert_round_trip(struct span text, uint64_t elements, bool scalar)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct strings_source source;
	uint32_t crc;

	assert_int_equal(strings_encode(text, elements, scalar, &bytes, &crc),
			 0);
	fd = file_of(buf_span(&bytes));
	source = source_of(fd, bytes.len, elements);
	source.crc32c = crc;
	source.scalar = scalar;
	source.verify = true;
	assert_int_equal(strings_open(&source, &s), 0);
	assert_int_equal(strings_size(s), text.len);
	if (text.len < 100)
		assert_every_part_is(s, text);
	else
		assert_many_parts_are(s, text);
}

static void tensor_of_two_has_known_bytes(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	const char text[] = "ab\nc\\n\n";
	uint32_t lengths, crc;

	(void)state;
	assert_int_equal(strings_encode(span_of(text), 2, false, &out, &crc),
			 0);
	lengths = crc32c_extend(0, "\2\0\0\0\2\0\0\0", 8);
	assert_int_equal(out.len, 10);
	assert_memory_equal(out.data, "\2\2", 2);
	assert_int_equal(out.data[2], crc32c_mask(lengths) & 0xff);
	assert_memory_equal(out.data + 6, "abc\n", 4);
	assert_int_equal(crc, crc32c_extend(lengths, out.data + 2, 8));
}

static void tensor_without_elements_is_a_checksum(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };
	uint32_t crc;

	(void)state;
	assert_int_equal(strings_encode(SPAN(""), 0, false, &out, &crc), 0);
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, "\xd8\xea\x82\xa2", 4);
	assert_round_trip(SPAN(""), 0, false);
}

/* Every string tensor of tests/fixtures/v2_strings, by its index. */
static const struct {
	uint64_t offset, size, elements;
	uint32_t masked_crc;
	bool scalar;
	const char *text; /* NULL if it is too long to stand here */
} fixture[] = {
	{ 0, 7918, 1004, 0xb0c8beb8, false, NULL },
	{ 7918, 15, 4, 0x4c48b095, false, "a\n\nccc\nd\\ne\n" },
	{ 7933, 13, 1, 0x7971a0fd, true, "just one" },
	{ 7946, 5, 1, 0xbe0767bd, true, "" },
	{ 7951, 4, 0, 0x640cc1f6, false, "" },
	{ 7959, 11, 7, 0x5e0b6f57, false, "\n\n\n\n\n\n\n" },
	{ 7970, 275, 3, 0x441705fc, false, NULL },
	{ 8245, 132, 1, 0x687b7af5, false, NULL },
	{ 8377, 134, 1, 0xad91fc37, false, NULL },
	{ 8511, 32776, 2, 0x7f52ae93, false, NULL },
	{ 41287, 300012, 2, 0xa770a3ea, false, NULL },
};

static void assert_agrees_with_fixture(int fd, size_t i)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf stored = { 0 };
	CLEANUP(buf_release) struct buf again = { 0 };
	struct strings_source source = {
		.fd = fd,
		.offset = fixture[i].offset,
		.size = fixture[i].size,
		.elements = fixture[i].elements,
		.crc32c = crc32c_unmask(fixture[i].masked_crc),
		.scalar = fixture[i].scalar,
		.verify = true,
		.name = "v2_strings",
	};
	uint32_t crc;

	assert_int_equal(strings_open(&source, &s), 0);
	buf_put_zeros(&text, strings_size(s));
	assert_int_equal(strings_read(s, text.data, text.len, 0), text.len);
	if (fixture[i].text)
		assert_true(span_equal(buf_span(&text),
				       span_of(fixture[i].text)));

	buf_put_zeros(&stored, source.size);
	assert_int_equal(pread(fd, stored.data, stored.len,
			       (off_t)source.offset),
			 stored.len);
	assert_int_equal(strings_encode(buf_span(&text), source.elements,
					source.scalar, &again, &crc),
			 0);
	assert_int_equal(crc, source.crc32c);
	assert_true(span_equal(buf_span(&again), buf_span(&stored)));
}

static void agrees_with_tensorflow_in_both_directions(void **state)
{
	CLEANUP(close_fd)
	int fd = open("tests/fixtures/v2_strings/ckpt.data-00000-of-00001",
		      O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(fixture); i++)
		assert_agrees_with_fixture(fd, i);
}

static void small_texts_read_back_in_every_part(void **state)
{
	(void)state;
	assert_round_trip(SPAN("one\ntwo\n\nfour\n"), 4, false);
	assert_round_trip(SPAN("\n"), 1, false);
	assert_round_trip(SPAN("\\n\\\\\\\\n\n\\n\n\\\\\n"), 3, false);
	assert_round_trip(SPAN("NUL \0 and \xff\n"), 1, false);
	assert_round_trip(SPAN("a scalar \\ is \n its bytes"), 1, true);
	assert_round_trip(SPAN(""), 1, true);
}

/* Fills `ret` with `n` elements of `element`, each a line. */
static void repeat(struct span element, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		buf_put(ret, element.data, element.len);
		buf_put(ret, "\n", 1);
	}
	assert_int_equal(buf_error(ret), 0);
}

static void escapes_may_cross_every_border(void **state)
{
	CLEANUP(buf_release) struct buf element = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	/* Element borders, windows and places fall on all parts of escapes. */
	for (size_t i = 0; i < 50001; i++)
		buf_put(&element, i % 5 ? "\\\\" : "\\n.", i % 5 ? 2 : 3);
	repeat(buf_span(&element), 3, &text);
	assert_round_trip(buf_span(&text), 3, false);
}

static void many_short_elements_read_back(void **state)
{
	CLEANUP(buf_release) struct buf empty = { 0 };
	CLEANUP(buf_release) struct buf words = { 0 };

	(void)state;
	repeat(SPAN(""), 200000, &empty);
	assert_round_trip(buf_span(&empty), 200000, false);
	repeat(SPAN("w\\nd"), 50000, &words);
	assert_round_trip(buf_span(&words), 50000, false);
}

static void large_scalar_reads_back(void **state)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	repeat(SPAN("a \\ stays alone in a scalar"), 10000, &text);
	assert_round_trip(buf_span(&text), 1, true);
}

static void last_line_without_newline_counts(void **state)
{
	CLEANUP(buf_release) struct buf with = { 0 };
	CLEANUP(buf_release) struct buf without = { 0 };
	uint32_t crc;

	(void)state;
	assert_int_equal(strings_encode(SPAN("a\nb\n"), 2, false, &with, &crc),
			 0);
	assert_int_equal(strings_encode(SPAN("a\nb"), 2, false, &without, &crc),
			 0);
	assert_true(span_equal(buf_span(&with), buf_span(&without)));
}

static void wrong_text_is_refused_and_leaves_nothing(void **state)
{
	static const struct {
		const char *text;
		uint64_t elements;
		bool scalar;
	} wrong[] = {
		{ "a\nb\n", 1, false },    { "a\nb\n", 3, false },
		{ "", 1, false },          { "a\n", UINT64_MAX, false },
		{ "tab \\t\n", 1, false }, { "a \\\nb\n", 2, false },
		{ "end \\", 1, false },    { "x", 2, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct buf out = { 0 };
		uint32_t crc = 42;

		assert_int_equal(strings_encode(span_of(wrong[i].text),
						wrong[i].elements,
						wrong[i].scalar, &out, &crc),
				 -EINVAL);
		assert_int_equal(out.len, 0);
		assert_int_equal(crc, 42);
		buf_release(&out);
	}
}

static void more_elements_than_lengths(void **state)
{
	(void)state;
	assert_int_equal(opens(SPAN("\1\1....ab"), 2), 0);
	assert_int_equal(opens(SPAN("\1\1....ab"), 3), -EIO);
	assert_int_equal(opens(SPAN("\1\1....ab"), 1ULL << 62), -EIO);
	assert_int_equal(opens(SPAN("\1\1....ab"), UINT64_MAX), -EIO);
}

static void lengths_beyond_the_size(void **state)
{
	(void)state;
	assert_int_equal(opens(SPAN("\1\2....ab"), 2), -EIO);
	assert_int_equal(opens(SPAN("\xff\xff\xff\xff\x0f....ab"), 1), -EIO);
}

static void lengths_that_add_up_to_little_by_overflow(void **state)
{
	(void)state;
	assert_int_equal(opens(SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
				    "\3....ab"),
			       2),
			 -EIO);
}

static void length_that_does_not_end(void **state)
{
	(void)state;
	assert_int_equal(opens(SPAN("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"
				    "\x80\x80\x80\x80"),
			       1),
			 -EIO);
	assert_int_equal(opens(SPAN("\x80"), 1), -EIO);
}

static void no_room_for_the_checksum(void **state)
{
	(void)state;
	assert_int_equal(opens(SPAN(""), 0), -EIO);
	assert_int_equal(opens(SPAN("..."), 0), -EIO);
	assert_int_equal(opens(SPAN("\0..."), 1), -EIO);
}

static void size_beyond_the_file_or_all_files(void **state)
{
	static const uint64_t sizes[] = { 1000, INT64_MAX, UINT64_MAX - 6,
					  UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(strings_freep) struct strings *s = NULL;
		CLEANUP(close_fd) int fd = file_of(SPAN("\x80\x07....a"));
		struct strings_source source = source_of(fd, sizes[i], 1);

		log_lines = 0;
		assert_int_equal(strings_open(&source, &s), -EIO);
		assert_null(s);
		assert_int_equal(log_lines, 1);
		assert_non_null(strstr(last_line, "a shard"));
	}
}

static void bytes_after_the_elements_are_not_read(void **state)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(close_fd) int fd = file_of(SPAN("\1....a??"));
	struct strings_source source = source_of(fd, 8, 1);

	(void)state;
	assert_int_equal(strings_open(&source, &s), 0);
	assert_every_part_is(s, SPAN("a\n"));
}

/* A length above 2^32 - 1 is summed as 8 bytes; the file then ends too early. */
static void length_above_4_gib_is_summed_as_8_bytes(void **state)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct strings_source source;

	(void)state;
	buf_put_varint(&bytes, 1ULL << 32);
	buf_put_fixed32(&bytes,
			crc32c_mask(crc32c_extend(0, "\0\0\0\0\1\0\0\0", 8)));
	fd = file_of(buf_span(&bytes));
	assert_int_equal(ftruncate(fd, 8192), 0);
	source = source_of(fd, bytes.len + (1ULL << 32), 1);
	source.verify = true;
	assert_int_equal(strings_open(&source, &s), -EIO);
	assert_non_null(strstr(last_line, "read whole"));
}

static void reads_all(const struct strings_source *source)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	char text[100];

	if (strings_open(source, &s) == 0)
		assert_true(strings_read(s, text, sizeof(text), 0) >= 0);
}

static void every_damaged_bit_is_found_or_harmless(void **state)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	struct span text = SPAN("one\n\n\\\\two\\n\nthree\n");
	uint32_t crc;

	(void)state;
	assert_int_equal(strings_encode(text, 4, false, &bytes, &crc), 0);
	for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
		CLEANUP(strings_freep) struct strings *s = NULL;
		CLEANUP(close_fd) int fd = -1;
		struct strings_source source;

		bytes.data[bit / 8] ^= 1 << bit % 8;
		fd = file_of(buf_span(&bytes));
		bytes.data[bit / 8] ^= 1 << bit % 8;

		source = source_of(fd, bytes.len, 4);
		source.crc32c = crc;
		reads_all(&source);
		source.verify = true;
		assert_int_equal(strings_open(&source, &s), -EIO);
	}
}

static void wrong_checksum_of_the_entry_is_found(void **state)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct strings_source source;
	uint32_t crc;

	(void)state;
	assert_int_equal(strings_encode(SPAN("x"), 1, true, &bytes, &crc), 0);
	fd = file_of(buf_span(&bytes));
	source = source_of(fd, bytes.len, 1);
	source.scalar = true;
	source.verify = true;
	source.crc32c = ~crc;
	assert_int_equal(strings_open(&source, &s), -EIO);
}

static void every_size_too_small_is_found(void **state)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	uint32_t crc;

	(void)state;
	assert_int_equal(
		strings_encode(SPAN("one\ntwo\n"), 2, false, &bytes, &crc), 0);
	for (size_t size = 0; size < bytes.len; size++)
		assert_int_equal(opens((struct span){ bytes.data, size }, 2),
				 -EIO);
}

static void file_that_changes_after_opening_gives_eio(void **state)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(close_fd) int fd = file_of(SPAN("\2\2....abcd"));
	struct strings_source source = source_of(fd, 10, 2);
	char text[6];

	(void)state;
	assert_int_equal(strings_open(&source, &s), 0);
	assert_int_equal(strings_read(s, text, 6, 0), 6);
	assert_int_equal(pwrite(fd, "\0\0", 2, 7), 2);
	assert_int_equal(strings_read(s, text, 6, 0), -EIO);
	assert_int_equal(pwrite(fd, "\7\7", 2, 7), 2);
	assert_int_equal(strings_read(s, text, 6, 0), -EIO);
	assert_int_equal(ftruncate(fd, 15), 0);
	assert_int_equal(strings_read(s, text, 6, 0), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tensor_of_two_has_known_bytes),
		cmocka_unit_test(tensor_without_elements_is_a_checksum),
		cmocka_unit_test(agrees_with_tensorflow_in_both_directions),
		cmocka_unit_test(small_texts_read_back_in_every_part),
		cmocka_unit_test(escapes_may_cross_every_border),
		cmocka_unit_test(many_short_elements_read_back),
		cmocka_unit_test(large_scalar_reads_back),
		cmocka_unit_test(last_line_without_newline_counts),
		cmocka_unit_test(wrong_text_is_refused_and_leaves_nothing),
		cmocka_unit_test(more_elements_than_lengths),
		cmocka_unit_test(lengths_beyond_the_size),
		cmocka_unit_test(lengths_that_add_up_to_little_by_overflow),
		cmocka_unit_test(length_that_does_not_end),
		cmocka_unit_test(no_room_for_the_checksum),
		cmocka_unit_test(size_beyond_the_file_or_all_files),
		cmocka_unit_test(bytes_after_the_elements_are_not_read),
		cmocka_unit_test(length_above_4_gib_is_summed_as_8_bytes),
		cmocka_unit_test(every_damaged_bit_is_found_or_harmless),
		cmocka_unit_test(wrong_checksum_of_the_entry_is_found),
		cmocka_unit_test(every_size_too_small_is_found),
		cmocka_unit_test(file_that_changes_after_opening_gives_eio),
	};

	log_to(count_line, LOG_LEVEL_INFO);
	return cmocka_run_group_tests_name("strings", tests, NULL, NULL);
}
