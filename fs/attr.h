/*
 * attr.h - attributes and extended attributes, as FUSE wants them
 */
#pragma once

#include <sys/stat.h>

#include "fs/fs.h"
#include "fs/inode.h"

/*
 * The attributes of `t`, and for how many seconds they may be believed: what changes
 * only through us, for long.
 */
int attr_get(struct fs *fs, const struct target *t, struct stat *ret,
	     double *ret_timeout);
/* `to_set` are the FUSE_SET_ATTR_ bits; `uid` is who asks. */
int attr_set(struct fs *fs, const struct target *t, const struct stat *st,
	     int to_set, uid_t uid);
/* For how long a name of `t` may be believed. */
double attr_name_timeout(const struct target *t);

/* Appends the value; -ENODATA, or -EOPNOTSUPP for what is not ours to keep. */
int xattr_get(const struct target *t, const char *name, struct buf *ret);
/* Appends the names, each with a NUL. */
int xattr_list(const struct target *t, struct buf *ret);
/* 0 where it says what is already so, or is one of those that say nothing. */
int xattr_set(const struct target *t, const char *name, struct span value);
