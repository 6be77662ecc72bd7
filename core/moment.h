/*
 * moment.h - points in time as text
 */
#pragma once

#include <time.h>

#define MOMENT_SIZE 32

/* `2026-11-21T12:00:00.123Z`, in UTC: sorts as it reads, and means the same everywhere. */
void moment_print(struct timespec t, char ret[MOMENT_SIZE]);
