/*
 * extent.h - room in a shard that somebody uses
 *
 * Entries that have the same bytes share one extent, whatever their keys and types
 * say; a stage has one before any entry does.  With its last reference the room is
 * given back to the shard:
 *
 *	reserved, no index ever named it	free at once
 *	reserved, and named by an index of ours	after the grace time (bundle_reclaim())
 *	read from an index			at the end of the mount
 *						(bundle_reclaim_all())
 *
 * An extent from before shard_forget() gives nothing back: somebody else has written
 * an index since, which may name these bytes.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/cleanup.h"

struct extent;
struct shard;

struct extent *extent_ref(struct extent *x);
void extent_unref(struct extent *x);
DEFINE_CLEANUP(struct extent, extent_unref)

struct shard *extent_shard(const struct extent *x); /* borrowed */
uint64_t extent_offset(const struct extent *x);
uint64_t extent_size(const struct extent *x);

/* Gives back what is behind `size`; before any entry has it. */
void extent_shrink(struct extent *x, uint64_t size);

/*
 * For shard.c, which makes those that are reserved, and for entry.c, which makes those
 * that an index names.  The shard is referenced.
 */
int extent_new(struct shard *s, uint64_t offset, uint64_t size, bool reserved,
	       struct extent **ret);

/*
 * For commit.c.  An extent is suspect if a sync of its shard has failed since it was
 * reserved, and none that succeeded came before any index named it: its bytes may be
 * lost, and no later sync will say so.
 */
bool extent_suspect(const struct extent *x);
/* It was synced, and an index is about to name it. */
void extent_name(struct extent *x);
/* That index stands: true the first time, if the bytes were written by this mount. */
bool extent_settle(struct extent *x);
