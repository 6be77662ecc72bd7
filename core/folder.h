/*
 * folder.h - a directory of the source, and what is in it
 *
 * What the files that make up the store know of a folder besides store.h.  Whoever
 * changes names holds the store's rename lock where more than one folder is touched,
 * then the locks of folders, those above first; does it on disk; does it to the items,
 * so that they stay who they are; and calls folder_again_locked(), which reads the
 * directory, finds the items as they were left, and tells of everything else that
 * follows from the change.  Of the names that a request is about itself the kernel
 * knows: to have it look them up again would take the directory from below a shell.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/store.h"

struct dir;

/* `path` is below the source, "." for the root, and is taken over. */
int folder_new(struct store *s, struct folder *above, char *path,
	       struct folder **ret);
void folder_free(struct folder *f);

/* For items: what a name in it stands for. */
int folder_add_below(struct folder *f, const char *name, struct folder **ret);
int folder_add_checkpoint(struct folder *f, const char *prefix, bool v1,
			  uint64_t root_id, struct checkpoint **ret);

struct store *folder_store(const struct folder *f);
/* Under the store's rename lock.  NULL for the root. */
struct folder *folder_above(const struct folder *f);
void folder_set_above(struct folder *f, struct folder *above);

/* The path of a name in it, as folder_path(). */
char *folder_path_of(struct folder *f, const char *name);
/* If it is at `from`, or below, it is at `to` now. */
int folder_repath(struct folder *f, const char *from, const char *to);

pthread_mutex_t *folder_lock(struct folder *f);

/*
 * Reads it where that is due, and says whether names in it can be changed: -EROFS;
 * -EPERM in a directory on which something else is mounted; -ENOENT if it has gone.
 */
int folder_begin_locked(struct folder *f);
int folder_again_locked(struct folder *f);

/* Borrowed; NULL if there is none. */
struct item *folder_find_locked(struct folder *f, struct span name);
/* The next item from `*cookie` on, borrowed; NULL at the end. */
struct item *folder_next_locked(struct folder *f, uint64_t *cookie);
bool folder_has_checkpoints_locked(const struct folder *f);
struct dir *folder_dir_locked(const struct folder *f);
uint64_t folder_next_place_locked(struct folder *f);

/* Takes the item out of the list: the reference is the caller's. */
void folder_take_locked(struct folder *f, const struct item *i);
/* At item_place(); takes the reference over, also when it fails. */
int folder_put_locked(struct folder *f, struct item *i);
/* Takes an item out whose name has gone; who asked for that need not be told. */
void folder_drop_locked(struct folder *f, struct item *i);
void folder_tell(const struct folder *f, const char *name);

void folder_set_undecided(struct folder *f, bool undecided);

/* `latest` is not shown until the state file changes; or it is again. */
void folder_hide_latest_locked(struct folder *f, bool hide);

/* The checkpoints in it: all, or those that somebody has looked at; counted. */
size_t folder_checkpoints(struct folder *f, bool loaded, char ***ret_paths,
			  struct checkpoint ***ret);
