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
/* Of a file that has no name any more, and is open: -ESTALE if it is not. */
int files_stat(struct files *files, const struct item *item, struct stat *ret);

/* How the kernel is to treat the file: fields of fuse_file_info. */
struct caching {
	bool direct_io;
	bool keep_cache;
	bool noflush;
};

/*
 * Opens `node`, which is `t`, with the `flags` of open(2); O_CREAT says that it was
 * made just now.  `ret` is NULL where no handle is needed.  -ESTALE where the variable
 * was replaced, or the sidecar has gone: the kernel then looks its name up anew.
 */
int file_open(struct fs *fs, fuse_ino_t node, const struct target *t, int flags,
	      struct caching *ret_caching, struct file **ret);
/* Of `item`, which passes through; takes `fd` over. */
int file_adopt(struct fs *fs, const struct item *item, int fd,
	       struct file **ret);
/* Judges what was not judged yet; the handle is gone afterwards. */
void file_release(struct fs *fs, fuse_ino_t node, const struct target *t,
		  struct file *f);

/* Up to `n` bytes from `offset`; `f` may be NULL. */
int file_read(const struct target *t, struct file *f, size_t n, uint64_t offset,
	      struct reading *ret);
/* Without a handle, the size is judged at once. */
int file_resize(struct fs *fs, fuse_ino_t node, const struct target *t,
		struct file *f, uint64_t size);
/* A handle, what it is one of, and a place in it. */
struct spot {
	fuse_ino_t node;
	struct target target;
	struct file *file;
	uint64_t offset;
};
int file_write(struct fs *fs, const struct spot *to, const void *data,
	       size_t n);
/* Room for `n` bytes, which read as zeros. */
int file_allocate(const struct spot *at, uint64_t n);
/*
 * Bytes copied; -EOPNOTSUPP where the kernel is to read and write by itself.  Of what
 * is only read, the file may be NULL.
 */
int64_t file_copy(struct fs *fs, const struct spot *from, const struct spot *to,
		  uint64_t n);

int file_flush(struct fs *fs, fuse_ino_t node, const struct target *t,
	       struct file *f);
/* Durable when it returns 0. */
int file_sync(struct fs *fs, fuse_ino_t node, const struct target *t,
	      struct file *f);

/*
 * Value, dtype or shape of a variable are not what they were: what the kernel has of
 * the three files is not to be believed.  `node` is any of them.
 */
void file_changed(struct fs *fs, fuse_ino_t node);
