/*
 * io.h - the system calls that core makes, each made whole
 *
 * Nothing above this file writes, syncs, renames or unlinks, so what a crash can
 * leave behind is decided by the callers of these few functions.
 *
 * Paths are relative to a directory that was opened before anything was mounted,
 * and never leave the source: neither by `..`, nor by a symbolic link, nor into another
 * mount (which might be our own, and would have us wait for ourselves).  A link may lead
 * out of its directory to another one of the source.
 *
 * All answer 0 (or a descriptor) or negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "core/attributes.h"
#include "core/coding.h"

/* What tells one state of a file from another. */
struct file_id {
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime;
};

bool file_id_equal(const struct file_id *a, const struct file_id *b);

/*
 * Where the source ends: its directory, borrowed, or -1.  Without it each directory is a
 * source of its own, which no link leaves.  For the whole process, before it has threads.
 */
void io_set_root(int fd);

/*
 * Opens `path` below `dirfd`; O_CLOEXEC is added.  Links in it are followed as far as
 * the root reaches, wherever `dirfd` is moved meanwhile; absolute ones, and an absolute
 * path, where they begin with the path of the root as the kernel has it, and for links
 * only as the last component.  Anything else is -EXDEV.
 */
int io_open(int dirfd, const char *path, int flags);

/* As fstatat(2) without AT_SYMLINK_NOFOLLOW, below `dirfd` as io_open(). */
int io_stat(int dirfd, const char *path, struct stat *ret);
int io_id(int dirfd, const char *path, struct file_id *ret);
int io_fd_id(int fd, struct file_id *ret);
int io_size(int fd, uint64_t *ret);

/* All `n` bytes: a file that ends before them is -EIO. */
int io_read_at(int fd, void *buf, size_t n, uint64_t offset);
int io_write_at(int fd, const void *buf, size_t n, uint64_t offset);

/* Up to `n` bytes, as pread(2): how many, 0 at the end. */
int64_t io_read_some(int fd, void *buf, size_t n, uint64_t offset);
int io_resize(int fd, uint64_t size);
int io_set_attributes(int fd, const struct attributes *a);

/* Appends the whole file to `ret`; -EFBIG if it is longer than `max`. */
int io_read_file(int fd, uint64_t max, struct buf *ret);

/* Copies `n` bytes that do not overlap, in the kernel where it can. */
int io_copy(int fd_in, uint64_t from, int fd_out, uint64_t to, uint64_t n);

/* Allocates `n` bytes at `offset`, growing the file: they read as zeros. */
int io_reserve(int fd, uint64_t offset, uint64_t n);

/*
 * Gives back what io_reserve() allocated; best effort.  The file keeps its length,
 * since an index of somebody else may be about to name its end.
 */
void io_punch(int fd, uint64_t offset, uint64_t n);

int io_sync_data(int fd);
int io_sync(int fd);
/* Syncs the directory that `path` is in, so that its name outlasts a loss of power. */
int io_sync_parent(int dirfd, const char *path);
/* Starts writing dirty pages back, so that a sync to come has less to do. */
void io_write_back(int fd, uint64_t offset, uint64_t n);

/* A file without a name in the directory, to be closed: it goes with that. */
int io_spool(int dirfd);
/* One in memory. */
int io_memory(void);

/*
 * Makes a file that was not there, open for reading and writing; owner and mode are
 * those of `like`, as far as we may set them.
 */
int io_create(int dirfd, const char *path, const struct stat *like);
/*
 * The same without a name, of which a crash leaves nothing; -EOPNOTSUPP where there is no
 * such thing, or it could not be named later.
 */
int io_create_unnamed(int dirfd, const struct stat *like);
/* It belongs to whom the other one does, where we have the right, and has its mode. */
int io_take_after(int fd, const struct stat *like);
/* Gives it a name that nothing has yet, else -EEXIST. */
int io_name_new(int fd, int dirfd, const char *name);

/*
 * Follows `name`, where it is a symbolic link, to the directory and name of the file
 * that it leads to, both to be released: what is renamed is then the file and not
 * the link.  -EXDEV where it leads out of `dirfd`.
 */
int io_follow(int dirfd, const char *name, int *ret_dirfd, char **ret_name);

/* renameat2(2) with RENAME_EXCHANGE, within one directory. */
int io_exchange(int dirfd, const char *a, const char *b);
int io_rename(int dirfd, const char *from, const char *to);
/* -EEXIST where `to` is there. */
int io_rename_new(int dirfd, const char *from, const char *to);
int io_unlink(int dirfd, const char *name);

/*
 * A read lease tells whether somebody opens the file for writing while we hold it:
 * they wait, and io_lease_broken() says so.  Refused (-EAGAIN) while somebody has
 * it open for writing already; -EOPNOTSUPP where there are no leases.
 */
int io_lease(int fd);
bool io_lease_broken(int fd);
void io_lease_drop(int fd);

/*
 * --- names in a mirrored directory ---
 *
 * `name` is one component.  Modes are as given, whatever our umask; a directory keeps
 * the bits that it has from the one it is in.
 */
/* A file that was not there, open. */
int io_make_file(int dirfd, const char *name, int flags, mode_t mode);
int io_mkdir(int dirfd, const char *name, mode_t mode);
int io_rmdir(int dirfd, const char *name);
int io_symlink(const char *target, int dirfd, const char *name);
/* Appends the target of a link. */
int io_readlink(int dirfd, const char *name, struct buf *ret);
/* Not of what a symbolic link leads to, but of itself. */
int io_link(int dirfd, const char *name, int to_dirfd, const char *to);
int io_stat_link(int dirfd, const char *name, struct stat *ret);
/* As io_set_attributes(), of a link that is open with O_PATH: it has no mode. */
int io_set_link_attributes(int fd, const struct attributes *a);
/* renameat2(2). */
int io_rename_to(int dirfd, const char *name, int to_dirfd, const char *to,
		 unsigned flags);
