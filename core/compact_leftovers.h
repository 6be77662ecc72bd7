/*
 * compact_leftovers.h - what a compaction has left that was broken off
 *
 * Only what is known to be its own goes (compact_mark.h); what it had just taken out of its
 * place, and is somebody else's, goes back.
 */
#pragma once

#include "core/bundle.h"
#include "core/compact_mark.h"

/* `now` is the present state, NULL without an index: then all shards stay. */
int compact_leftovers_drop(int dirfd, const char *prefix,
			   const struct compact_mark *mark,
			   const struct bundle *now);
