/*
 * v1.h - list a V1 checkpoint
 *
 * TensorFlow 0.x and 1.x wrote one table file PREFIX, or PREFIX-NNNNN-of-MMMMM: under
 * the empty key a SavedTensorSlices with the names, dtypes and shapes of what is in
 * the file, under the others the values.  Only the list is read here; the values
 * cannot be read yet, and entry_access() says so.
 */
#pragma once

#include "core/bundle.h"

/* As bundle_open(); the bundle cannot be written to. */
int v1_open(int dirfd, const char *prefix, struct bundle **ret);
