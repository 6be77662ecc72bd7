#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_SIZE 1024 /* what is longer is cut */

static void log_to_stderr(enum log_level level, const char *line)
{
	(void)level;
	/* One call, so that lines of several threads do not mix. */
	fprintf(stderr, "weightfs: %s\n", line);
}

/* Set before there are threads, only read after that. */
static log_sink *current_sink = log_to_stderr;
static enum log_level current_level = LOG_LEVEL_WARNING;

void log_to(log_sink *sink, enum log_level level)
{
	current_sink = sink;
	current_level = level;
}

/* Names of files and keys are anybody's bytes: they must not begin a line. */
static void blank_control_characters(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < ' ' || *line == 0x7f)
			*line = '?';
}

__attribute__((format(printf, 2, 0))) static void log_line(
	enum log_level level, const char *fmt, va_list args)
{
	int saved = errno; /* whoever reports a failure still returns it */
	char line[LINE_SIZE];

	if (level > current_level)
		return;

	if (vsnprintf(line, sizeof(line), fmt, args) >= 0) {
		blank_control_characters(line);
		current_sink(level, line);
	}
	errno = saved;
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, args);
	va_end(args);
}

void log_warning(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_WARNING, fmt, args);
	va_end(args);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_INFO, fmt, args);
	va_end(args);
}
