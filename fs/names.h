/*
 * names.h - what a name leads to, and how names come and go
 *
 * A directory is a folder, whose names are the store's business, or a scope, whose
 * names are the checkpoint's: each function here asks the right one.  What it answers
 * with is 0 or negative errno.  All that change something are to be called between
 * notify_begin() and notify_end().
 */
#pragma once

#include <fuse_lowlevel.h>

#include "core/attributes.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/inode.h"

/*
 * For the process `by`.  -ENOENT; -EAGAIN where it may be there in a moment, and nobody
 * would be told.
 */
int names_find(const struct target *dir, const char *name, pid_t by,
	       struct target *ret);

/* What the kernel is told of `t`, which is `name` in `parent`. */
int names_fill(struct fs *fs, fuse_ino_t parent, const char *name,
	       const struct target *t, struct fuse_entry_param *ret);
/* For how long `name` may be believed not to be in `dir`, which is `parent`. */
double names_absent_timeout(struct fs *fs, fuse_ino_t parent,
			    const struct target *dir, const char *name);

int names_make_file(struct fs *fs, fuse_ino_t parent, const char *name,
		    const struct attributes *owner, struct target *ret);
/* What mknod() makes besides files: -EPERM after a log line. */
int names_refuse_special(const char *name);
/* Made, unless it is there and `flags` lack O_EXCL, and opened. */
struct opened {
	struct target target;
	struct caching caching;
	struct file *file; /* may be NULL */
};
int names_create(struct fs *fs, fuse_ino_t parent, const char *name,
		 const struct attributes *owner, int flags, struct opened *ret);
int names_make_directory(struct fs *fs, fuse_ino_t parent, const char *name,
			 mode_t mode, struct target *ret);
int names_make_hard_link(struct fs *fs, fuse_ino_t node, fuse_ino_t parent,
			 const char *name, pid_t by, struct target *ret);
int names_make_link(struct fs *fs, fuse_ino_t parent, const char *name,
		    const char *link, struct target *ret);
int names_remove_file(struct fs *fs, fuse_ino_t parent, const char *name);
int names_remove_directory(struct fs *fs, fuse_ino_t parent, const char *name);
/* `flags` are those of renameat2(2). */
int names_rename(struct fs *fs, fuse_ino_t parent, const char *name,
		 fuse_ino_t newparent, const char *newname, unsigned flags);
