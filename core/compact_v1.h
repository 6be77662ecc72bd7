/* compact_v1.h - for compact.c: the same of a V1 checkpoint */
#pragma once

#include "core/compact.h"

int compact_v1(int dirfd, const char *prefix, struct compact_result *ret);
