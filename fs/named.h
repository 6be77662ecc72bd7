/*
 * named.h - the checkpoints that a path on the command line means
 *
 * A directory means all that are in it, a SavedModel the one that is inside; any other
 * path is that of one checkpoint (core/source.h).  Nothing is mounted and nothing locked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/source.h"

struct bundle;

struct named {
	int dirfd;    /* borrowed */
	char *prefix; /* in that directory */
	char *label;  /* for messages: the path to it */
	bool v1;
};

struct named_list {
	struct source source;
	struct named *all;
	size_t n;
};

/* 0, or negative errno after a line in the log: also where there is no checkpoint. */
int named_open(const char *path, struct named_list *ret);
/*
 * The same where one is wanted: of several in a directory it is the one that the state
 * file calls the latest, if `latest` allows that.
 */
int named_open_one(const char *path, bool latest, struct named_list *ret);
void named_release(struct named_list *t);

/* Reads its index, or the lists of a V1 checkpoint; after a line in the log, if it fails. */
int named_read(const struct named *t, struct bundle **ret);
/* Whether all of it could be read: an index may be shown as far as it goes. */
bool named_whole(const struct bundle *b);
/* What went wrong with one of them, for a message. */
const char *named_reason(const struct named *t, int error);
