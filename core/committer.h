/*
 * committer.h - the thread that commits what nobody waits for
 *
 * close() starts a commit and does not wait for it.  The thread takes one checkpoint
 * after the other; what is closed while it works on one goes into the next commit of
 * that checkpoint.  One that fails is tried again after a while.
 */
#pragma once

#include "core/checkpoint.h"

struct committer;

int committer_new(struct committer **ret);
/* Finishes all checkpoints it was told of, and ends the thread: 0, or the first failure. */
int committer_free(struct committer *c);

/*
 * There is something to do for `cp` when so many milliseconds have passed; takes no lock
 * of a checkpoint.
 */
void committer_add(struct committer *c, struct checkpoint *cp,
		   unsigned delay_ms);

/*
 * Calls `each` for all checkpoints that it was told of, in the thread of the caller: 0, or
 * the first failure.
 */
int committer_each(struct committer *c, int (*each)(struct checkpoint *cp));
