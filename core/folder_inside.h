/*
 * folder_inside.h - what the files that make up a folder know of it
 *
 *	folder.c	its life, its paths, the list of items
 *	folder_read.c	from the directory to the items
 */
#pragma once

#include "core/folder.h"
#include "core/io.h"
#include "core/linger.h"
#include "core/scan.h"

/* `latest` comes first, so that `rm -r` finds it before the state file goes. */
enum {
	PLACE_LATEST = 1,
	PLACE_OTHERS
};

struct folder {
	struct store *store;
	uint64_t id;
	struct folder *above; /* the store's rename lock */
	pthread_mutex_t path_lock;
	char *path; /* below the source; "." for the root */

	pthread_mutex_t lock; /* for all that follows */
	bool closed;          /* our own mountpoint: never looked into */
	bool gone;
	bool shown;      /* it was read, so that somebody may know its names */
	bool undecided;  /* made in this mount, and there are links at most */
	struct dir *dir; /* NULL until it was read, and when it has gone */
	bool linked;     /* there are links among the files of checkpoints */
	bool read_only;  /* as asked for, or because somebody else writes */
	struct folder_state state; /* of the directory when it was read */
	struct file_id hidden; /* the state file whose `latest` was removed */
	struct file_id bad_state; /* the one that was complained of */
	struct item **items;      /* counted, by place */
	size_t n_items;
	uint64_t next_place;
	struct linger linger; /* parts of checkpoints that were just made */
};

/* Opens the directory where that is due, and reads it again where it has changed. */
int folder_refresh_locked(struct folder *f);
/* It has gone, or is a checkpoint now: it is not looked into any more. */
void folder_close(struct folder *f);
/* The name of an item has gone with what it stood for; takes the reference over. */
void folder_bury(struct item *item);
