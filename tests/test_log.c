/* core/log: which lines are kept, how they look, and how many. */
#include <pthread.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/log.h"
#include "tests/support.h"

#define TIME_LENGTH 24 /* of 2026-11-21T12:00:00.123Z */

static int drop_lines(void **state)
{
	(void)state;
	log_to(drop_line, LOG_LEVEL_WARNING);
	return 0;
}

/* The kept lines as a string; to be freed. */
static char *kept(void)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	log_recent(&text);
	buf_put(&text, "", 1);
	assert_int_equal(buf_error(&text), 0);
	return (char *)STEAL(text.data);
}

/* The last line, without its newline, in `text`, which is cut there. */
static char *last_line(char *text)
{
	size_t len = strlen(text);
	char *newline;

	assert_true(len && text[len - 1] == '\n');
	text[len - 1] = '\0';
	newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

static void a_line_has_a_time_and_a_level(void **state)
{
	CLEANUP(free_ptr) char *text = NULL;
	char *line;
	unsigned year, month, day, hour, minute, second, milli;
	int end = 0;

	(void)state;
	log_warning("%s is %d", "a", 1);
	text = kept();
	line = last_line(text);
	// NOLINTNEXTLINE(cert-err34-c): the widths bound the numbers
	assert_int_equal(sscanf(line, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ%n", &year,
				&month, &day, &hour, &minute, &second, &milli,
				&end),
			 7);
	assert_int_equal(end, TIME_LENGTH);
	assert_true(year >= 2025 && month <= 12);
	assert_string_equal(line + end, " warning a is 1");
}

static void what_is_not_logged_is_not_kept(void **state)
{
	CLEANUP(free_ptr) char *text = NULL;

	(void)state;
	log_info("nobody wants to know");
	text = kept();
	assert_null(strstr(text, "nobody"));
}

static void a_line_stays_one_line(void **state)
{
	CLEANUP(free_ptr) char *text = NULL;

	(void)state;
	log_error("a\nb\033[2J\tc");
	text = kept();
	assert_string_equal(last_line(text) + TIME_LENGTH, " error a?b?[2J?c");
}

/* Each line that is kept is whole, and follows the one before. */
static void assert_numbered(char *text, unsigned last)
{
	unsigned lines = 0, first = 0;
	char *rest = text;

	for (char *line = strsep(&rest, "\n"); rest;
	     line = strsep(&rest, "\n")) {
		const char *number = strstr(line, " error line ");
		unsigned n;

		assert_non_null(number);
		assert_int_equal(number - line, TIME_LENGTH);
		n = (unsigned)strtoul(number + strlen(" error line "), NULL,
				      10);
		if (lines++ == 0)
			first = n;
		assert_int_equal(n, first + lines - 1);
	}
	assert_int_equal(first + lines - 1, last);
}

static void the_latest_lines_are_kept_whole(void **state)
{
	static const unsigned counts[] = { 10000, 10001, 10007, 20011 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		CLEANUP(free_ptr) char *text = NULL;

		for (unsigned n = 1; n <= counts[i]; n++)
			log_error("line %u", n);
		text = kept();
		assert_in_range(strlen(text), LOG_KEPT - 2048, LOG_KEPT);
		assert_numbered(text, counts[i]);
	}
}

static void a_line_that_fits_exactly_leaves_the_others(void **state)
{
	(void)state;
	/* Every position of the end of a line in the circle. */
	for (unsigned i = 0; i < 300; i++) {
		CLEANUP(free_ptr) char *text = NULL;

		log_error("line %0*u", (int)(i % 7), i);
		text = kept();
		assert_int_equal(strncmp(text + TIME_LENGTH, " error line ",
					 strlen(" error line ")),
				 0);
	}
}

static void *log_many(void *arg)
{
	(void)arg;
	for (unsigned n = 0; n < 2000; n++)
		log_error("%080u", n);
	return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
	CLEANUP(free_ptr) char *text = NULL;
	pthread_t threads[4];
	char *rest;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, log_many, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	text = kept();
	rest = text;
	for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
		assert_int_equal(strlen(line),
				 TIME_LENGTH + strlen(" error ") + 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_a_time_and_a_level),
		cmocka_unit_test(what_is_not_logged_is_not_kept),
		cmocka_unit_test(a_line_stays_one_line),
		cmocka_unit_test(the_latest_lines_are_kept_whole),
		cmocka_unit_test(a_line_that_fits_exactly_leaves_the_others),
		cmocka_unit_test(threads_do_not_mix_their_lines),
	};

	return cmocka_run_group_tests_name("log", tests, drop_lines, NULL);
}
