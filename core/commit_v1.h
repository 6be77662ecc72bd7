/*
 * commit_v1.h - the commit of a V1 checkpoint, whose values lie in its tables
 */
#pragma once

#include "core/commit.h"

/*
 * As commit_edit(), of a V1 checkpoint, with an edit that is sorted.  Each file with a
 * change in it is written anew, as a whole.  `ret_next` is what was read from the new
 * files where the commit stands: its entries lie there.
 */
int commit_v1(const struct bundle *base, struct edit *edit,
	      struct bundle **ret_next, struct commit_report *ret);
