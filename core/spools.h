/*
 * spools.h - which values have a file of their own, and must let go of it
 *
 * A value that had to be decoded takes a file without a name: a descriptor, and room on
 * the disk.  Readers come and go without a word (a mount that is read-only hears of no
 * open and no close), so those that were used last keep theirs, and others are told to
 * let go.  One that was used a moment ago is being read, and decoding it anew for each
 * read would never end: it is told only where there are very many.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct spools;

/* Who has a spool: part of that, and not moved. */
struct spool_user {
	struct spool_user *newer, *older;
	bool listed;
	uint64_t bytes;
	time_t used;
	/* Lets go, unless it is in use right now; calls nothing of this file. */
	void (*drop)(struct spool_user *u);
};

int spools_new(struct spools **ret);
/* No user is left by then. */
void spools_free(struct spools *s);

/* It has a spool of so many bytes and reads in it: others may have to let go. */
void spools_use(struct spools *s, struct spool_user *u, uint64_t bytes);
/* It is about to go. */
void spools_forget(struct spools *s, struct spool_user *u);
