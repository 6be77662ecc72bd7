/*
 * v1.h - list a V1 checkpoint
 *
 * TensorFlow 0.x and 1.x wrote one table file PREFIX, or PREFIX-NNNNN-of-MMMMM: under
 * the empty key a SavedTensorSlices with the names, dtypes and shapes of what is in
 * the file, under the others the values.  Only the list is read here; v1_value.h reads
 * the values.
 *
 * Slices of one variable may lie in several files.  One whose extents are explicit is
 * a slice even if it is all there is: that is how its record is called.  Tensors that
 * TensorFlow would not understand are left out, and the bundle is then not writable.
 */
#pragma once

#include "core/bundle.h"

/* As bundle_open(). */
int v1_open(int dirfd, const char *prefix, struct bundle **ret);

/*
 * The name of the file that stands for it, to be freed: PREFIX, or the first of several;
 * PREFIX, too, where there is neither.  NULL without memory.
 */
char *v1_first_name(int dirfd, const char *prefix);
