/*
 * compact_mark.h - what a compaction says of itself before it makes anything
 *
 * A crash leaves files of the names that shards have; so does somebody who is copying a
 * checkpoint to the same prefix, the index last.  What is removed afterwards has to be
 * known for certain:
 *
 *	an old shard	is in the mark: inode, size, and both times, which a copy over
 *			it cannot bring back
 *	a new shard	has a second name, that of its first one and COMPACT_TEMPORARY, and
 *			with it its inode; and the mtime of the mark, which was given to it
 *			when it was whole, and which it loses when somebody writes to it
 *
 * The mark is PREFIX and COMPACT_TEMPORARY, and text:
 *
 *	"weightfs compaction" M K before
 *	id inode size mtime ctime	of each old shard; times as seconds and nanoseconds
 *	"end"
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "core/bundle.h"
#include "core/temporary.h"

#define COMPACT_TEMPORARY ".compact" TEMPORARY_END
#define COMPACT_SHARDS    99999 /* as many as five digits can say */

struct compact_old;

struct compact_mark {
	int32_t through;    /* M */
	int32_t num_shards; /* K */
	int32_t before;     /* how many there were */
	struct timespec made;
	struct compact_old *old; /* shards, by id */
	size_t n;
};

void compact_mark_release(struct compact_mark *m);
/* Makes it, of the numbers in `m` and the shards of `base`; the rest is filled in. */
int compact_mark_make(int dirfd, const struct bundle *base,
		      struct compact_mark *m);
/*
 * To be released.  -ENOENT if there is none, -EBADMSG if it is not whole: then it was made
 * just before a crash, and nothing after it.  -EINVAL if it is none of ours.
 */
int compact_mark_read(int dirfd, const char *prefix, struct compact_mark *ret);
int compact_mark_remove(int dirfd, const char *prefix);
/* The length of the prefix whose mark this is; 0 if it is none. */
size_t compact_mark_prefix(const char *name);

/* Whether it is the old shard `id`, and nobody has touched it since. */
bool compact_is_old(const struct compact_mark *m, int32_t id,
		    const struct stat *st);
/* The same of one that was renamed since, by the exchange. */
bool compact_was_old(const struct compact_mark *m, int32_t id,
		     const struct stat *st);
/* Whether a file with the inode of a new shard is that, as it was written. */
bool compact_is_new(const struct compact_mark *m, const struct stat *st);
/* Makes it so. */
int compact_set_new(const struct compact_mark *m, int fd);
