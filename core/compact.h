/*
 * compact.h - rewrite a checkpoint in TensorFlow's own layout
 *
 * Index and shards become those that TensorFlow would write for the same tensors in that
 * order: no dead bytes, no padding, no shards beyond num_shards.  At every moment there
 * is a checkpoint that can be read, also for a TensorFlow that has opened an index and
 * comes back to the data within the grace time.  The number of shards is a part of their
 * names, so new shards can stand beside the old ones:
 *
 *	1. a mark, which says what is about to be done (compact_mark.h)
 *	2. the new shards under temporary names; when they are whole, linked to the names
 *	   of M shards, which no file has; fsync
 *	3. an index that says M, by the exchange of commit.h (where it is longer than
 *	   the old one, by way of compact_grow.h); the grace time
 *	4. the new shards linked over the names of K shards; fsync
 *	5. an index that says K, which is as long; the grace time
 *	6. the names of M shards unlinked, those of old shards, and the temporary ones; the
 *	   mark; fsync
 *
 * Where the number of shards changes, M is K and 4 and 5 fall away.  After a crash the
 * next compaction finds the mark, and goes on with 4 if the index says M; else it removes
 * what is known to be its own (compact_leftovers.h).
 *
 * A V1 checkpoint is written anew by a commit (commit_v1.h): each file for itself, sorted,
 * with its records as they are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct compact_options {
	bool by_offset; /* values stay in the order in which they lie */
	unsigned grace; /* seconds */
};

struct compact_result {
	bool done_before; /* it was as it should be, and nothing was done */
	uint64_t before;  /* bytes of its files */
	uint64_t after;
};

/*
 * In a directory that is locked (lock.h).  -EIO where the checkpoint is damaged, -ENOSPC,
 * -EOPNOTSUPP, -ESTALE where somebody else replaced it, and others; all after a log line.
 */
int compact_checkpoint(int dirfd, const char *prefix, bool v1,
		       const struct compact_options *o,
		       struct compact_result *ret);

/*
 * Removes what a compaction has left that was broken off, and says so; but one that is to
 * be gone on with, by the next compaction, stays as it is.  `name` is any in the directory.
 */
void compact_clean(int dirfd, const char *name);
