/*
 * fs.h - a mounted source, from the first look at it to the last commit
 *
 * Calling order: fs_open() before the daemon goes to the background, so that its
 * faults reach the terminal; the session is made with fs_ops() and the fs as its
 * user data; fs_start() once the mount exists, in the process that serves it;
 * fs_stop() when the session loop has ended; then fs_free().
 */
#pragma once

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/statvfs.h>

#include "fs/options.h"

struct fs;

/*
 * Opens the source, and locks it if it is to be written to; an exit code, after one
 * line in the log if it is not EXIT_CODE_OK.  Nothing is scanned yet.
 */
enum exit_code fs_open(const struct options *options, struct fs **ret);
void fs_free(struct fs *fs);

/* The operations for such a mount; they take the fs as the session's user data. */
const struct fuse_lowlevel_ops *fs_ops(const struct fs *fs);

/* Whether nothing can be written here: as asked for, or for want of a right. */
bool fs_read_only(const struct fs *fs);

/*
 * Starts the threads that commit, watch and notify.  `ready` is called with `arg`
 * when the kernel has begun to use the session: the tree is then usable.
 */
int fs_start(struct fs *fs, struct fuse_session *session,
	     void (*ready)(void *arg), void *arg);

/* Commits what is not yet durable and ends the threads: 0, or the failure. */
int fs_stop(struct fs *fs);

/* For the other files of this directory. */
struct checkpoint;
struct closing;
struct files;
struct hidden;
struct inode_table;
struct notifier;
struct source;
const struct options *fs_options(const struct fs *fs);
const struct source *fs_source(const struct fs *fs);
struct folder *fs_root(const struct fs *fs);
/* The checkpoint that is mounted; NULL: a directory of them is. */
struct checkpoint *fs_single(const struct fs *fs);
struct hidden *fs_hidden(struct fs *fs);
struct inode_table *fs_inodes(struct fs *fs);
struct files *fs_files(struct fs *fs);
struct closing *fs_closing(struct fs *fs);
struct notifier *fs_notifier(struct fs *fs);
/* Held while an undecided folder becomes a checkpoint. */
pthread_mutex_t *fs_decide_lock(struct fs *fs);
void fs_ready(struct fs *fs);
int fs_statvfs(const struct fs *fs, struct statvfs *ret);
/* Makes everything durable that was taken over until now. */
int fs_commit_all(struct fs *fs);
/* Calls `each` for all checkpoints that were changed in this mount; the first failure. */
int fs_each_pending(struct fs *fs, int (*each)(struct checkpoint *cp));
/*
 * Calls `each` with every checkpoint that is listed, and its path in the mount, up to
 * the first answer that is not 0, which is returned.
 */
int fs_each_checkpoint(struct fs *fs,
		       int (*each)(void *arg, const char *path,
				   struct checkpoint *cp),
		       void *arg);
