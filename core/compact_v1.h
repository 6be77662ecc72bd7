/*
 * compact_v1.h - for compact.c: the same of a V1 checkpoint, whose files are written anew
 * as a whole
 */
#pragma once

#include "core/compact.h"

/* As compact_checkpoint(). */
int compact_v1(int dirfd, const char *prefix, struct compact_result *ret);
