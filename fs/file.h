/*
 * file.h - an open file
 *
 * Values are read without anything to keep between calls, so only three kinds of
 * files need a handle: one that passes through, a sidecar, and a value that may be
 * written to.  A handle is used by several threads at once.
 */
#pragma once

#include <stdbool.h>

#include "fs/fs.h"
#include "fs/inode.h"

struct file;
/* All that are open: a session that ends does not get every RELEASE. */
struct files;

int files_new(struct files **ret);
void files_free(struct files *files);

/* How the kernel is to treat the file: fields of fuse_file_info. */
struct caching {
	bool direct_io;
	bool keep_cache;
	bool noflush;
};

/*
 * Opens `node`, which is `t`, with the `flags` of open(2).  `ret` is NULL where no
 * handle is needed.  -ESTALE where the variable was replaced: the kernel then looks
 * its name up anew.
 */
int file_open(struct fs *fs, fuse_ino_t node, const struct target *t, int flags,
	      struct caching *ret_caching, struct file **ret);
/* Judges what was not judged yet; the handle is gone afterwards. */
void file_release(struct fs *fs, fuse_ino_t node, const struct target *t,
		  struct file *f);

/* Up to `n` bytes from `offset`; `f` may be NULL. */
int file_read(const struct target *t, struct file *f, size_t n, uint64_t offset,
	      struct reading *ret);
int file_write(const struct target *t, struct file *f, const void *data,
	       size_t n, uint64_t offset);
/* A change of size is judged at close, as a write is; `f` may be NULL. */
void file_touch(struct file *f);
int file_flush(struct fs *fs, fuse_ino_t node, const struct target *t,
	       struct file *f);
/* Durable when it returns 0. */
int file_sync(struct fs *fs, fuse_ino_t node, const struct target *t,
	      struct file *f);
