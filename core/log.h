/*
 * log.h - one line for whoever runs the mount
 *
 * Who sees a fault says it, once: what happened, to which file, and what to do.
 * Lines carry no newline of their own.  Where they go is one function, set before
 * there are threads; until then they go to stderr.
 *
 * The latest lines are kept as well, up to LOG_KEPT bytes of them.
 */
#pragma once

#define LOG_KEPT (256U << 10)

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO
};

struct buf;

typedef void log_sink(enum log_level level, const char *line);

/* `sink` may be called by any thread.  Lines above `level` are dropped. */
void log_to(log_sink *sink, enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *fmt, ...);

/* Appends the latest lines, each as `TIME error|warning|info TEXT`, the oldest first. */
void log_recent(struct buf *out);
