/*
 * status_text.h - the text of `.weightfs/status` (core/report.h)
 */
#pragma once

#include <time.h>

#include "core/coding.h"

struct fs;

/* Appended; `started` is when the mount began. */
int status_text(struct fs *fs, const struct timespec *started, struct buf *out);
