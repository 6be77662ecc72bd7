/*
 * scratch.h - names of files that editors and other tools make for themselves
 */
#pragma once

#include <stdbool.h>

#include "core/coding.h"

/*
 * Swap, backup, lock and probe files: `.*.sw?`, `*~`, `.#*`, `#*#`, `4913`, `.nfs*`.
 * The names of variables may look the same: ask only where nothing says that it is one.
 */
bool scratch_name(struct span name);
