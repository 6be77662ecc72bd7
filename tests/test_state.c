/* core/state: `checkpoint` as TensorFlow writes it, and as people edit it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/state.h"
#include "tests/test.h"

#define FIXTURES "tests/fixtures/"

static int latest_of(struct span text, struct buf *ret)
{
	int r = state_latest(text, ret);

	/* Outputs stay as they were on failure. */
	if (r < 0)
		assert_int_equal(ret->len, 0);
	return r;
}

static bool names(const char *text, const char *want)
{
	struct buf b = { 0 };
	bool same = latest_of(span_of(text), &b) == 0 &&
		    span_equal(buf_span(&b), span_of(want));

	buf_release(&b);
	return same;
}

static int error_of(const char *text)
{
	struct buf b = { 0 };
	int r = latest_of(span_of(text), &b);

	buf_release(&b);
	return r;
}

static struct buf read_fixture(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf text = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(io_read_file(fd, 4096, &text), 0);
	return text;
}

static void files_of_tensorflow_name_their_latest(void **state)
{
	static const struct {
		const char *path, *latest;
	} files[] = {
		{ FIXTURES "v1_tf1_adam/checkpoint", "model.ckpt-3" },
		{ FIXTURES "v2_tf1_adam/checkpoint", "model.ckpt-5" },
		{ FIXTURES "v2_tf1_adam_abs/checkpoint", "model.ckpt-5" },
		{ FIXTURES "v1_tf1_sharded/checkpoint", "model.ckpt" },
		{ FIXTURES "v2_tf1_sharded/checkpoint", "model.ckpt-0" },
		{ FIXTURES "v2_tf2_manager/checkpoint", "ckpt-3" },
		{ FIXTURES "v2_tf2_keras3/checkpoint", "k-1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct buf text = read_fixture(files[i].path);
		struct buf latest = { 0 };

		assert_int_equal(latest_of(buf_span(&text), &latest), 0);
		assert_true(span_equal(buf_span(&latest),
				       span_of(files[i].latest)));
		buf_release(&text);
		buf_release(&latest);
	}
}

static void directory_of_the_path_does_not_matter(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: '/gone/m-1'", "m-1"));
	assert_true(names("model_checkpoint_path: '../x/m-1'", "m-1"));
	assert_true(names("model_checkpoint_path: 'm-1'", "m-1"));
}

static void shard_pattern_of_v1_is_cut_off(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: '/a/m-?\?\?\?\?-of-00002'",
			  "m"));
	assert_true(names("model_checkpoint_path: 'm-?\?\?\?\?-of-123456'",
			  "m"));
	/* Not the pattern: */
	assert_true(names("model_checkpoint_path: 'm-?\?\?\?\?-of-2'",
			  "m-?\?\?\?\?-of-2"));
	assert_true(names("model_checkpoint_path: 'm-00001-of-00002'",
			  "m-00001-of-00002"));
	assert_true(names("model_checkpoint_path: '00002'", "00002"));
}

static void either_quote_and_neighbours_make_one_string(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: 'a\"b'", "a\"b"));
	assert_true(names("model_checkpoint_path: \"a'b\"", "a'b"));
	assert_true(names("model_checkpoint_path: 'a' \"b\"\n# and\n'c'",
			  "abc"));
}

static void escapes_mean_what_they_mean_in_c(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: '\\303\\274'", "\xc3\xbc"));
	assert_true(names("model_checkpoint_path: '\\xc3\\xBC'", "\xc3\xbc"));
	assert_true(names("model_checkpoint_path: '\\1411'", "a1"));
	assert_true(names("model_checkpoint_path: '\\x9z'", "\tz"));
	assert_true(names("model_checkpoint_path: '\\a\\b\\f\\n\\r\\t\\v'",
			  "\a\b\f\n\r\t\v"));
	assert_true(names("model_checkpoint_path: '\\\\ \\' \\\"'", "\\ ' \""));
	assert_true(names("model_checkpoint_path: '\\57m'", "m"));
}

static void escapes_of_characters_are_utf8(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: '\\u0041\\u00e8\\u20AC'",
			  "A\xc3\xa8\xe2\x82\xac"));
	assert_true(names("model_checkpoint_path: '\\U0001F600x'",
			  "\xf0\x9f\x98\x80x"));
	assert_int_equal(error_of("model_checkpoint_path: '\\u12'"), -EINVAL);
	assert_int_equal(error_of("model_checkpoint_path: '\\ud800'"), -EINVAL);
	assert_int_equal(error_of("model_checkpoint_path: '\\U00110000'"),
			 -EINVAL);
}

static void what_is_not_utf8_is_refused(void **state)
{
	static const char *const bad[] = { "\xe8",
					   "\x80",
					   "\xc3",
					   "\xc0\x80",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\xff",
					   "\xf0\x80\x80\x80" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[64];

		(void)snprintf(text, sizeof(text),
			       "model_checkpoint_path: 'a' # %s\n", bad[i]);
		assert_int_equal(error_of(text), -EINVAL);
	}
	assert_int_equal(error_of("model_checkpoint_path: '\\350'"), -EINVAL);
	assert_true(names("model_checkpoint_path: 'a' # \xc3\xa8 "
			  "\xe2\x82\xac \xf4\x8f\xbf\xbf",
			  "a"));
}

/* So Python's library has it; people write such paths on Windows. */
static void backslash_before_another_letter_stays(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: 'C:\\models'", "C:\\models"));
	assert_true(names("model_checkpoint_path: '\\8'", "\\8"));
}

static void fields_stand_in_any_order_and_layout(void **state)
{
	(void)state;
	assert_true(names("# by hand\n"
			  "all_model_checkpoint_paths: 'x/m-1'\n"
			  "last_preserved_timestamp:1.5 # s\n"
			  "model_checkpoint_path\n:\n'm-2';"
			  "all_model_checkpoint_paths: \"m-2\",\n",
			  "m-2"));
	assert_true(names("all_model_checkpoint_timestamps: [1, -2.5e3, inf]\n"
			  "all_model_checkpoint_paths: ['a', 'b' 'c']\n"
			  "all_model_checkpoint_paths: []\n"
			  "model_checkpoint_path: 'm'",
			  "m"));
}

static void last_of_two_paths_counts(void **state)
{
	(void)state;
	assert_true(names("model_checkpoint_path: 'a'\n"
			  "model_checkpoint_path: 'b'\n",
			  "b"));
}

static int error_of_number(const char *number)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf latest = { 0 };

	buf_printf(&text, "last_preserved_timestamp: %s\n", number);
	return latest_of(buf_span(&text), &latest);
}

static void numbers_are_those_of_python(void **state)
{
	static const char *const good[] = {
		"1",     "+1",   "-1",  ".5",        "5.",
		"1e-9",  "1f",   "1F",  "nan",       "-inf",
		"0",     "-0.5", "1_0", "0_1",       "1_0.5_0",
		"1e1_0", "1_0f", "1ff", "+Infinity", "infinityf",
	};
	static const char *const bad[] = {
		"",      "-",    "x",    "0x10", "5x",    "1.5e",
		"\"5\"", "- 1",  ",",    "017",  "-00.5", "_1",
		"1_",    "1__0", "1_.5", "1._5", "1_e5",  "1e_5",
		".",     "-.",   "infi", "in",   "1e+",   "--1",
	};
	static const char digits[] = "1234567890123456789012345678901234567890"
				     "1234567890123456789012345678901234567890";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(error_of_number(good[i]), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(error_of_number(bad[i]), -EINVAL);
	assert_int_equal(error_of_number(digits), -ENOENT);
}

static void blanks_are_those_of_python(void **state)
{
	static const char *const good[] = {
		"\t",     "\v",       "\x1c",
		"\x1f",   "\u00a0",   "\u1680",
		"\u2000", "\u200a",   "\u2028",
		"\u2029", "\u202f",   "\u205f",
		"\u3000", "\xc2\x85", "\u00a0# comment\n\u3000",
	};
	static const char *const bad[] = {
		"\x1b", "\u180e", "\u200b", "\u2060", "\ufeff", "\x7f",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
		bool is_good = i < ARRAY_SIZE(good);
		const char *blank = is_good ? good[i]
					    : bad[i - ARRAY_SIZE(good)];
		CLEANUP(buf_release) struct buf text = { 0 };
		CLEANUP(buf_release) struct buf latest = { 0 };

		buf_printf(&text, "%smodel_checkpoint_path%s:%s'a'%s'b'%s",
			   blank, blank, blank, blank, blank);
		assert_int_equal(latest_of(buf_span(&text), &latest),
				 is_good ? 0 : -EINVAL);
		assert_int_equal(latest.len, is_good ? 2 : 0);
	}
}

static void missing_or_empty_path_is_enoent(void **state)
{
	(void)state;
	assert_int_equal(error_of(""), -ENOENT);
	assert_int_equal(error_of("# nothing here"), -ENOENT);
	assert_int_equal(error_of("all_model_checkpoint_paths: 'a'"), -ENOENT);
	assert_int_equal(error_of("model_checkpoint_path: ''"), -ENOENT);
	assert_int_equal(error_of("model_checkpoint_path: 'a'"
				  "model_checkpoint_path: ''"),
			 -ENOENT);
}

static void path_that_ends_in_no_name_is_enoent(void **state)
{
	(void)state;
	assert_int_equal(error_of("model_checkpoint_path: 'a/'"), -ENOENT);
	assert_int_equal(error_of("model_checkpoint_path: '.'"), -ENOENT);
	assert_int_equal(error_of("model_checkpoint_path: 'a/..'"), -ENOENT);
	assert_int_equal(error_of("model_checkpoint_path: 'a\\0b'"), -ENOENT);
	assert_int_equal(
		error_of("model_checkpoint_path: '-?\?\?\?\?-of-00002'"),
		-ENOENT);
}

static void unknown_field_spoils_the_file(void **state)
{
	(void)state;
	assert_int_equal(error_of("model_checkpoint_path: 'a' note: 'b'"),
			 -EINVAL);
	assert_int_equal(error_of("Model_checkpoint_path: 'a'"), -EINVAL);
	assert_int_equal(error_of("model_checkpoint_path2: 'a'"), -EINVAL);
	assert_int_equal(error_of("1: 'a'"), -EINVAL);
}

static void text_that_does_not_parse_is_refused(void **state)
{
	static const char *const texts[] = {
		"model_checkpoint_path",
		"model_checkpoint_path:",
		"model_checkpoint_path 'a'",
		"model_checkpoint_path: a",
		"model_checkpoint_path: 1",
		"model_checkpoint_path: 'a",
		"model_checkpoint_path: 'a\"",
		"model_checkpoint_path: 'a\nb'",
		"model_checkpoint_path: 'a\\",
		"model_checkpoint_path: '\\x'",
		"model_checkpoint_path: '\\777'",
		"model_checkpoint_path: 'a',,",
		"model_checkpoint_path: ['a']",
		"all_model_checkpoint_paths: ['a'",
		"all_model_checkpoint_paths: ['a',]",
		"all_model_checkpoint_paths: ['a' 1]",
		"model_checkpoint_path: 'a' }",
		"{ model_checkpoint_path: 'a' }",
		"\x89HDF\r\n\x1a\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(error_of(texts[i]), -EINVAL);
}

static const char everything[] =
	"# comment\n"
	"model_checkpoint_path: '/a/b\\x41\\101\\n' \"-?\?\?\?\?-of-00002\";\n"
	"all_model_checkpoint_paths: ['a', \"b\"],\n"
	"all_model_checkpoint_timestamps: 1795221722.4491463\n"
	"last_preserved_timestamp: -1e9f\n";

/* Each in a copy that ends where the text does, so that reading on is seen. */
static void every_prefix_is_read_or_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(everything); len++) {
		CLEANUP(free_ptr) uint8_t *copy = malloc(len + !len);
		struct buf b = { 0 };

		assert_non_null(copy);
		memcpy(copy, everything, len);
		(void)latest_of((struct span){ copy, len }, &b);
		buf_release(&b);
	}
	assert_true(names(everything, "bAA\n"));
}

static void every_damaged_byte_is_read_or_refused(void **state)
{
	uint8_t text[sizeof(everything) - 1];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
			struct buf b = { 0 };

			memcpy(text, everything, sizeof(text));
			text[i] = (uint8_t)byte;
			(void)latest_of((struct span){ text, sizeof(text) },
					&b);
			buf_release(&b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_tensorflow_name_their_latest),
		cmocka_unit_test(directory_of_the_path_does_not_matter),
		cmocka_unit_test(shard_pattern_of_v1_is_cut_off),
		cmocka_unit_test(either_quote_and_neighbours_make_one_string),
		cmocka_unit_test(escapes_mean_what_they_mean_in_c),
		cmocka_unit_test(escapes_of_characters_are_utf8),
		cmocka_unit_test(what_is_not_utf8_is_refused),
		cmocka_unit_test(backslash_before_another_letter_stays),
		cmocka_unit_test(fields_stand_in_any_order_and_layout),
		cmocka_unit_test(last_of_two_paths_counts),
		cmocka_unit_test(numbers_are_those_of_python),
		cmocka_unit_test(blanks_are_those_of_python),
		cmocka_unit_test(missing_or_empty_path_is_enoent),
		cmocka_unit_test(path_that_ends_in_no_name_is_enoent),
		cmocka_unit_test(unknown_field_spoils_the_file),
		cmocka_unit_test(text_that_does_not_parse_is_refused),
		cmocka_unit_test(every_prefix_is_read_or_refused),
		cmocka_unit_test(every_damaged_byte_is_read_or_refused),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
