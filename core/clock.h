/* clock.h - a clock that does not go back, for what waits; how old a file is */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
static inline uint64_t clock_ms(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * Whether the time of a file is less than so many seconds ago.  Of whole seconds the
 * difference would be up to one more than has passed.
 */
static inline bool clock_recent(struct timespec t, time_t seconds)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec -= seconds;
	return t.tv_sec > now.tv_sec ||
	       (t.tv_sec == now.tv_sec && t.tv_nsec > now.tv_nsec);
}

/* A condition whose timed waits end by that clock. */
static inline void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}
