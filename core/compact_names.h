/*
 * compact_names.h - for compact.c: the names that shards have in between, and the mark
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

/*
 * The M of compact.h, for a checkpoint of `now` shards that is to have `num_shards`: that
 * itself, if they differ, or one for which no file has any of the names.  -EEXIST where
 * files have names that the new shards are to have, and the index names none of them.
 */
int compact_find_names(int dirfd, const char *prefix, int32_t now,
		       int32_t num_shards, int32_t *ret);

/* What the mark says, and when it was made. */
struct compact_mark {
	int32_t through;    /* M */
	int32_t num_shards; /* K */
	int32_t before;     /* how many there were */
	struct timespec made;
};

/* Makes it of the numbers in `m`, and says when. */
int compact_mark_make(int dirfd, const char *prefix, struct compact_mark *m);
/* -ENOENT if there is none. */
int compact_mark_read(int dirfd, const char *prefix, struct compact_mark *ret);
/* The length of the prefix whose mark this is; 0 if it is none. */
size_t compact_mark_prefix(const char *name);
/* With what a crash has left beside the shards. */
void compact_mark_remove(int dirfd, const char *prefix,
			 const struct compact_mark *mark);

/*
 * Gives shard `id` of `through` shards the name that it has among `num_shards`, for good.
 * -ESTALE if a file had that name that is not `known`: it belongs to a save that is going
 * on, and keeps it.
 */
typedef bool compact_known(const void *arg, const struct stat *st);
int compact_link(int dirfd, const char *prefix, int32_t id,
		 const struct compact_mark *mark, compact_known *known,
		 const void *arg);
/* Whether a file is no younger than the mark: all that is known after a crash. */
bool compact_is_older(const void *mark, const struct stat *st);

/* Removes shard `id` of `num_shards`, if that name leads to the file that `fd` has open. */
int compact_drop(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
		 int fd);
/* Removes all shards of a save of `num_shards` that `gone` answers true for. */
typedef bool compact_gone(const void *arg, const char *name,
			  const struct stat *st);
int compact_drop_all(int dirfd, const char *prefix, int32_t num_shards,
		     compact_gone *gone, const void *arg);
