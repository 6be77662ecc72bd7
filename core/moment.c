#include "core/moment.h"

#include <stdio.h>

void moment_print(struct timespec t, char ret[MOMENT_SIZE])
{
	struct tm tm = { 0 };
	size_t n;

	(void)gmtime_r(&t.tv_sec, &tm);
	n = strftime(ret, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret + n, MOMENT_SIZE - n, ".%03uZ",
		       (unsigned)t.tv_nsec / 1000000);
}
