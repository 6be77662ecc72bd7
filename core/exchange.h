/*
 * exchange.h - one file that a commit puts another one in the place of
 *
 * Steps 4 to 7 of a commit (commit.c has all of them, and why), for an index or for a
 * file of a V1 checkpoint:
 *
 *	exchange_find()		which file it is, also behind a symbolic link
 *	temporary_begin() ...	the caller writes the new one to `new`
 *	exchange_open()		leases on the old one, if it is still the one we know
 *	exchange_lease()	and on the new one
 *	exchange_put()		*the* moment; then looks, and puts back if need be
 *	exchange_finish()	removes the old one
 *
 * or exchange_undo() instead of the last, where another file of the same commit failed.
 */
#pragma once

#include <stdbool.h>

#include "core/io.h"
#include "core/temporary.h"

/* While somebody has the file open for writing it is tried again: for two seconds. */
#define EXCHANGE_BUSY_TRIES 100
#define EXCHANGE_BUSY_US    20000

struct bundle;

struct exchange {
	int dirfd;          /* where the file is, also if a link leads there */
	char *name;         /* its own */
	struct file_id was; /* what the old one is known as */
	const struct bundle
		*next; /* whose shards have to be in place; NULL: no matter */
	int old_fd;
	bool old_leased;
	struct temporary new; /* ours: first by its temporary name */
	bool new_leased;
	bool put; /* by an exchange, which can be undone */
};

#define EXCHANGE_NONE \
	((struct exchange){ -1, .old_fd = -1, .new = { .fd = -1 } })

/* -EOPNOTSUPP after a log line where it is a link that leads out of the source. */
int exchange_find(struct exchange *x, int dirfd, const char *name,
		  const struct file_id *was);
/* Where it is a link, what that leads to stays, and the link itself is exchanged. */
int exchange_stay(struct exchange *x, int dirfd, const char *name);
/* -ESTALE if it is another one by now; -EAGAIN if somebody has it open for writing. */
int exchange_open(struct exchange *x);
int exchange_lease(struct exchange *x);
/* -ESTALE if somebody else was here: then nothing has happened. */
int exchange_put(struct exchange *x);
void exchange_finish(struct exchange *x);
/* -ESTALE. */
int exchange_undo(struct exchange *x);
/*
 * Whether it can be tried once more after a failure, from exchange_open() on: the new one
 * has its temporary name.
 */
bool exchange_again(struct exchange *x);
/* A new one that is not in place is removed. */
void exchange_release(struct exchange *x);
