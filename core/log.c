#include "core/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/moment.h"

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

/* --- the latest lines ------------------------------------------------------ */

static struct {
	pthread_mutex_t lock;
	char bytes[LOG_KEPT]; /* the end of all that was said, in a circle */
	uint64_t said;        /* bytes, ever */
} recent = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep_bytes_locked(const char *bytes, size_t n)
{
	size_t at = recent.said % LOG_KEPT;
	size_t first = n < LOG_KEPT - at ? n : LOG_KEPT - at;

	memcpy(recent.bytes + at, bytes, first);
	memcpy(recent.bytes, bytes + first, n - first);
	recent.said += n;
}

static void keep_line(enum log_level level, const char *line)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
	};
	char text[MOMENT_SIZE + LINE_SIZE + 16];
	char time[MOMENT_SIZE];
	struct timespec now;
	int n;
	LOCK_SCOPE(&recent.lock);

	/* With the lock, so that the lines are in the order of their times. */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	moment_print(now, time);
	n = snprintf(text, sizeof(text), "%s %s %s\n", time, names[level],
		     line);
	keep_bytes_locked(text, (size_t)n);
}

void log_recent(struct buf *out)
{
	LOCK_SCOPE(&recent.lock);
	uint64_t from = 0;
	size_t at, first;

	/* What begins with the second half of a line begins with the next one. */
	if (recent.said > LOG_KEPT) {
		from = recent.said - LOG_KEPT;
		while (recent.bytes[from++ % LOG_KEPT] != '\n')
			;
	}
	at = from % LOG_KEPT;
	first = LOG_KEPT - at;
	if (first > recent.said - from)
		first = recent.said - from;
	buf_put(out, recent.bytes + at, first);
	buf_put(out, recent.bytes, recent.said - from - first);
}

/* --- one line ------------------------------------------------------------ */

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
		keep_line(level, line);
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
