/*
 * attr.h - attributes and extended attributes, as FUSE wants them
 */
#pragma once

#include <sys/stat.h>

#include "fs/file.h"
#include "fs/fs.h"
#include "fs/inode.h"

/* Seconds, for what changes only through us: anything else sends a notification. */
#define ATTR_LONG_TIMEOUT 86400.0

/*
 * The attributes of `t`, and for how many seconds they may be believed: what changes
 * only through us, for long.
 */
int attr_get(struct fs *fs, const struct target *t, struct stat *ret,
	     double *ret_timeout);
/*
 * `to_set` are the FUSE_SET_ATTR_ bits, `uid` is who asks; `f`, an open file of `node`,
 * may be NULL.
 */
int attr_set(struct fs *fs, fuse_ino_t node, struct file *f,
	     const struct stat *st, int to_set, uid_t uid);
/* For how long a name of `t` may be believed. */
double attr_name_timeout(const struct target *t);

/* Appends the value; -ENODATA, or -EOPNOTSUPP for what is not ours to keep. */
int xattr_get(const struct target *t, const char *name, struct buf *ret);
/* Appends the names, each with a NUL. */
int xattr_list(const struct target *t, struct buf *ret);
/*
 * Dtype and shape are set as their sidecars are, the others say nothing: tools copy all
 * that they were given.  -EOPNOTSUPP for what is not ours to keep.
 */
int xattr_set(struct fs *fs, fuse_ino_t node, const char *name,
	      struct span value, pid_t by);
/* Succeeds for what is listed, and changes nothing: a variable has a type. */
int xattr_remove(const struct target *t, const char *name);
