/*
 * commit.h - the moment at which a checkpoint goes from one state to the next
 */
#pragma once

#include "core/bundle.h"
#include "core/edit.h"

/* How far it came. */
enum commit_outcome {
	COMMIT_NOTHING, /* the checkpoint on disk is as it was */
	COMMIT_LOST, /* so it is, and the values that were to come are not safe */
	COMMIT_VISIBLE, /* the new state stands, and `next` is settled */
};

/* What came of a commit. */
struct commit_report {
	enum commit_outcome outcome;
	uint64_t bytes; /* values that were written for it, and the index */
};

/*
 * Puts `next`, which is `base` with `edit`, in its place on disk: the new values are
 * already written, but not synced.  0 when the new state is durable; a state that is
 * merely visible may not outlast a loss of power.
 *
 * -ESTALE if somebody else replaced the index or a shard since `base` was read, or was
 * about to; -ENOENT if the index is gone; -EAGAIN while somebody has the index open for
 * writing; or what the disk says.  A failed sync of the values loses them, whatever a
 * later one says: the system tells of it once.
 */
int commit_bundle(int dirfd, const char *prefix, const struct bundle *base,
		  struct bundle *next, const struct edit *edit,
		  struct commit_report *ret);

/*
 * Makes the successor of `base` that has `edit` in it, and commits it, asking again for
 * two seconds while somebody has the index open for writing: then -EBUSY.  `ret_next`
 * is the successor, to be released, also where the commit failed; NULL if there is none.
 *
 * Values that a failed sync may have lost are written anew, once, to another place:
 * `edit` then has other entries than it had.  It is sorted, in any case but -ENOMEM.
 */
int commit_edit(int dirfd, const char *prefix, const struct bundle *base,
		struct edit *edit, struct bundle **ret_next,
		struct commit_report *ret);
