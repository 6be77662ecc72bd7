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

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/item_kind.h"

struct store;
struct folder;
struct item;

struct store_config {
	struct checkpoint_config checkpoint;
	bool read_only;
	/* One checkpoint is shown: nothing is said of the files around it. */
	bool single;
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
/* Below the source, "." for the root; to be freed. */
char *folder_path(struct folder *f);
int folder_stat(struct folder *f, struct stat *ret);

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
/* Whether files of checkpoints are links, so that they may change where nobody watches. */
bool folder_linked(struct folder *f);

/*
 * --- names that change ---
 *
 * Each of these is on disk when it answers.  The observer has been told of all names
 * that came, went, or lead elsewhere by it, but for its own arguments where they are
 * what one would think: so of `latest`, of a checkpoint that shows as another name, of
 * a file that became a part of a checkpoint.  An item that is renamed stays who it is,
 * and so does what is in a folder or checkpoint.
 *
 * Errors are those of the disk; and in all of them -EROFS, also where another daemon
 * writes to the directory; -EPERM in a directory on which something is mounted; -EINVAL
 * for names that end in `.weightfs-tmp`, -EPERM for `.weightfs` at the top; -EEXIST for
 * names that files of a checkpoint have on disk (`P.index`), which are not shown.
 */

/*
 * A plain file, and a descriptor of it; `flags` as of open(2).  One that is there is
 * opened, unless O_EXCL is asked for.  A file that would make a checkpoint (a raw copy
 * of an index) stays a file until it is closed.
 */
int folder_create(struct folder *f, struct span name, mode_t mode, int flags,
		  struct item **ret, int *ret_fd);

/*
 * A directory, which is *undecided* while nothing but links is in it.  A variable, sidecar
 * or scope that is to be put in makes it a checkpoint, to which the links go along:
 * folder_decide() says which item it then is, one whose root has the number of the folder.
 * -ENOTEMPTY if somebody put something in meanwhile, or links lead out of it or have names
 * that no key has, and it is a plain directory; -EINVAL where a checkpoint cannot have the
 * name.  Files, directories and checkpoints that are made here or moved in make it a plain
 * directory.
 */
int folder_mkdir(struct folder *f, struct span name, mode_t mode,
		 struct item **ret);
bool folder_undecided(struct folder *f);
/* By a file of this name it becomes a plain directory: a raw copy of checkpoints begins. */
bool folder_made_plain_by(struct span name);
int folder_decide(struct folder *f, struct item **ret);

/*
 * A symbolic link, as it is on disk.  `latest`, in a directory of checkpoints, is the
 * other one: its target has to be one of them, by its name as it shows (-EINVAL after a
 * log line), and the state file is changed (state_set_latest()).
 */
int folder_symlink(struct folder *f, struct span name, const char *target,
		   struct item **ret);

/*
 * A plain file or link; -EISDIR.  `latest` is not shown any more until the state file
 * changes, or the mount ends: what TensorFlow takes for the latest stays, since a state
 * file without one is an error to it.  So `ln -sf` may remove it first.
 */
int folder_unlink(struct folder *f, struct span name);

/*
 * A directory, or a checkpoint in which nothing has a name any more: its index and
 * shards go, the state file stays.  -ENOTEMPTY, -ENOTDIR.
 */
int folder_rmdir(struct folder *f, struct span name);

/*
 * As renameat2(2), with RENAME_NOREPLACE and RENAME_EXCHANGE.
 *
 * A checkpoint is committed, and then renamed as files.h says, with `PREFIX.meta`;
 * within its directory the state file follows.  Onto an empty directory or checkpoint
 * it takes the place of that.  After a log line: -EINVAL where it cannot have the name;
 * -EEXIST where a file is in the way of one of its own; -EOPNOTSUPP where one is to be
 * exchanged.  -EXDEV where only a copy does it, which mv(1) then makes: no hard links,
 * or symbolic ones that would lead elsewhere in another directory.
 *
 * A symbolic link that is renamed onto `latest` sets it, as folder_symlink(), and goes.
 * `latest` itself keeps its name: -EPERM.
 */
int folder_rename(struct folder *f, struct span name, struct folder *to,
		  struct span newname, unsigned flags);

/* Of the directory: -EROFS and -EPERM as above. */
int folder_set_attributes(struct folder *f, const struct attributes *a);
/* Names that were made, changed or removed in it outlast a loss of power. */
int folder_sync(struct folder *f);

/*
 * Every checkpoint of the folders that were read, by its path below the source, until
 * one answers something else than 0.  No lock is held.
 */
int store_each(struct store *s,
	       int (*each)(void *arg, const char *path, struct checkpoint *cp),
	       void *arg);

struct item *item_ref(struct item *i);
void item_unref(struct item *i);
DEFINE_CLEANUP(struct item, item_unref)
enum item_kind item_kind(const struct item *i);
uint64_t item_id(const struct item *i);
bool item_dead(const struct item *i);
struct folder *item_folder(const struct item *i);         /* of a folder */
struct checkpoint *item_checkpoint(const struct item *i); /* of a checkpoint */

/* Of what it stands for in the source; not of a checkpoint. */
int item_stat(struct item *i, struct stat *ret);
int item_open(struct item *i, int flags);
int item_resize(struct item *i, uint64_t size);
/* Of a link itself; those of `latest` are not kept. */
int item_set_attributes(struct item *i, const struct attributes *a);
int item_readlink(struct item *i, struct buf *ret);

/* --- for folder.c and item.c ---------------------------------------------- */

const struct store_config *store_config(const struct store *s);
uint64_t store_next_id(const struct store *s);
pthread_mutex_t *store_rename_lock(struct store *s);
int store_add_folder(struct store *s, struct folder *f);
/* What is at `from` or below it is at `to` now. */
int store_repath(struct store *s, const char *from, const char *to);
