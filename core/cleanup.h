/*
 * cleanup.h - let go of a local variable when its scope ends
 *
 * CLEANUP(fn) calls fn(&var) on the way out, so a function may return from
 * anywhere and owns nothing afterwards.  To hand the resource on instead, return
 * or store STEAL(var), which leaves the variable empty.
 *
 *	CLEANUP(close_fd) int fd = -1;
 *	CLEANUP(buf_release) struct buf index = { 0 };
 *	CLEANUP(bundle_unrefp) struct bundle *bundle = NULL;
 *
 * Whatever releases something therefore accepts the empty value of its type
 * (NULL, -1, all zeroes) and does nothing with it.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Makes fn##p for use with CLEANUP of `void fn(type *)`: stands below it in its header. */
#define DEFINE_CLEANUP(type, fn)           \
	static inline void fn##p(type **p) \
	{                                  \
		fn(*p);                    \
	}

/* Evaluates to the pointer `p` and leaves NULL in its place. */
#define STEAL(p)                          \
	__extension__({                   \
		__typeof__(p) held = (p); \
		(p) = NULL;               \
		held;                     \
	})

static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

/* Keeps errno: it often runs between a failure and its report. */
static inline void close_fd(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

/* STEAL() of a descriptor. */
static inline int steal_fd(int *fd)
{
	int held = *fd;

	*fd = -1;
	return held;
}

static inline void unlock_mutex(pthread_mutex_t *const *mutex)
{
	(void)pthread_mutex_unlock(*mutex);
}

/* Holds a mutex from here to the end of the scope; once in each. */
#define LOCK_SCOPE(mutex)                                             \
	CLEANUP(unlock_mutex)                                         \
	__attribute__((unused)) pthread_mutex_t *const locked_mutex = \
		((void)pthread_mutex_lock(mutex), (mutex))
