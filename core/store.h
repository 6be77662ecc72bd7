/*
 * store.h - a directory of checkpoints, and the directories in it
 *
 * A store is what is mounted.  Its folders mirror the directories of the source:
 * index and shards of a checkpoint become one item, everything else passes through.
 * A folder is read when somebody looks at it, and read again when its directory has
 * changed.
 *
 * Folders live as long as the store; items are counted, and a dead one (its name has
 * gone) says so.  Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/coding.h"

struct store;
struct folder;
struct item;

enum item_kind {
	ITEM_FOLDER,
	ITEM_CHECKPOINT,
	ITEM_FILE,    /* anything that is none of the others */
	ITEM_SYMLINK, /* as it stands in the source */
	ITEM_LATEST,  /* the link to what the state file names */
};

struct store_config {
	struct checkpoint_config checkpoint;
	bool read_only;
	/* The path of our own mountpoint below the source, or NULL. */
	const char *mountpoint;
	/*
	 * A folder was read for the first time, and may be watched from now on.
	 * Called with its lock held.
	 */
	void (*opened)(void *arg, struct folder *folder, int dirfd);
	/* A folder that was opened has gone: it is not to be watched any more. */
	void (*gone)(void *arg, struct folder *folder);
};

/*
 * Takes `dirfd` over, which is locked if the store is to be written to; `path` is its
 * name in messages.  The directories in it are locked when they are first read; one
 * that another daemon writes to is read-only.
 */
int store_new(const struct store_config *config, int dirfd, const char *path,
	      struct store **ret);
void store_free(struct store *s);
struct folder *store_root(const struct store *s);
int store_dirfd(const struct store *s);

/* A checkpoint in the root, without reading the directory; counted. */
int store_checkpoint(struct store *s, const char *prefix,
		     struct checkpoint **ret);

uint64_t folder_id(const struct folder *f);
int folder_stat(const struct folder *f, struct stat *ret);

/* -ENOENT, or what reading the directory says; counted. */
int folder_lookup(struct folder *f, struct span name, struct item **ret);
/*
 * The next name from `*cookie` on, 0 for the first: 1, with the name appended and the
 * item counted; 0 at the end.  Cookies hold while names come and go.
 */
int folder_list(struct folder *f, uint64_t *cookie, struct buf *name,
		struct item **ret);
/*
 * Looks at the directory and at the checkpoints in it that somebody has looked at:
 * true if something is just being written and should be looked at again soon.
 */
bool folder_check(struct folder *f);

struct item *item_ref(struct item *i);
void item_unref(struct item *i);
DEFINE_CLEANUP(struct item, item_unref)
enum item_kind item_kind(const struct item *i);
uint64_t item_id(const struct item *i);
bool item_dead(const struct item *i);
struct folder *item_folder(const struct item *i);         /* of a folder */
struct checkpoint *item_checkpoint(const struct item *i); /* of a checkpoint */

/* Of what it stands for in the source; not of a checkpoint. */
int item_stat(const struct item *i, struct stat *ret);
int item_open(const struct item *i, int flags);
int item_resize(const struct item *i, uint64_t size);
int item_set_attributes(const struct item *i, const struct attributes *a);
int item_readlink(const struct item *i, struct buf *ret);
