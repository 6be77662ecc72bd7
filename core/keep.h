/*
 * keep.h - values that cannot go where they were meant to
 *
 * When somebody else has replaced a checkpoint, what was written to it is kept as one
 * of its own: PREFIX.kept-TIME, a V2 checkpoint of these values only.  These are what
 * waited for a commit, and later what is closed that was open meanwhile.
 */
#pragma once

#include "core/edit.h"

/*
 * Copies the values that `edit` has, checks them, and syncs them; the index comes last.
 * `prefix` is that of the checkpoint, `ret_prefix` that of the new one, to be freed.
 * Partitioned variables are put together.  What is damaged is left out with a log line.
 * -ENODATA if there is nothing to keep.
 */
int keep_values(int dirfd, const char *prefix, struct edit *edit,
		char **ret_prefix);
