/*
 * compact_names.h - for compact.c: the names that shards have in between
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/compact_mark.h"

/*
 * The M of compact.h, for a checkpoint of `now` shards that is to have `num_shards`: that
 * itself, if they differ, or one for which no file has any of the names.  -EEXIST where
 * files have names that the new shards are to have, and the index names none of them.
 */
int compact_find_names(int dirfd, const char *prefix, int32_t now,
		       int32_t num_shards, int32_t *ret);

/* NAME of that shard and COMPACT_TEMPORARY, to be freed; NULL without memory. */
char *compact_temporary(const char *prefix, int32_t id, int32_t num_shards);

/*
 * Gives shard `id` of `through` shards the name that it has among `num_shards`, for good.
 * -ESTALE after a log line if a file has that name that is not the old shard as it was: it
 * is somebody else's, and keeps it.
 */
int compact_link(int dirfd, const char *prefix, int32_t id,
		 const struct compact_mark *mark);

/*
 * Removes all files of the prefix that are shards of so many, with `suffix` after that, and
 * that `gone` answers true for; and nothing that somebody puts in their place meanwhile.
 */
typedef bool compact_gone(const void *arg, const char *name,
			  const struct stat *st);
int compact_drop_all(int dirfd, const char *prefix, int32_t num_shards,
		     const char *suffix, compact_gone *gone, const void *arg);
/* What a crash in that has left has this at its end; gives back all of it. */
#define COMPACT_GONE ".gone" TEMPORARY_END
int compact_drop_undo(int dirfd, const char *prefix);
