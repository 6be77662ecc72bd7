#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/cleanup.h"

#define COPY_CHUNK (1U << 20)

bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static struct file_id id_of(const struct stat *st)
{
	return (struct file_id){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime = st->st_mtim,
	};
}

int io_stat(int dirfd, const char *path, struct stat *ret)
{
	CLEANUP(close_fd) int fd = io_open(dirfd, path, O_PATH);

	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

int io_id(int dirfd, const char *path, struct file_id *ret)
{
	struct stat st;
	int r = io_stat(dirfd, path, &st);

	if (r == 0)
		*ret = id_of(&st);
	return r;
}

int io_fd_id(int fd, struct file_id *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = id_of(&st);
	return 0;
}

int io_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int io_read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	char *at = buf;

	if (offset > INT64_MAX - n)
		return -EIO;
	while (n > 0) {
		ssize_t got = pread(fd, at, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		at += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

int io_write_at(int fd, const void *buf, size_t n, uint64_t offset)
{
	const char *at = buf;

	if (offset > INT64_MAX - n)
		return -EFBIG;
	while (n > 0) {
		ssize_t put = pwrite(fd, at, n, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		n -= (size_t)put;
		offset += (uint64_t)put;
	}
	return 0;
}

int64_t io_read_some(int fd, void *buf, size_t n, uint64_t offset)
{
	ssize_t got;

	do
		got = pread(fd, buf, n, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int io_resize(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int io_set_attributes(int fd, const struct attributes *a)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, a->mtime };
	uid_t uid = a->set & ATTRIBUTE_UID ? a->uid : (uid_t)-1;
	gid_t gid = a->set & ATTRIBUTE_GID ? a->gid : (gid_t)-1;

	if (a->set & (ATTRIBUTE_UID | ATTRIBUTE_GID) &&
	    fchown(fd, uid, gid) < 0)
		return -errno;
	if (a->set & ATTRIBUTE_MODE && fchmod(fd, a->mode & 07777) < 0)
		return -errno;
	if (a->set & ATTRIBUTE_MTIME && futimens(fd, times) < 0)
		return -errno;
	return 0;
}

int io_read_file(int fd, uint64_t max, struct buf *ret)
{
	CLEANUP(free_ptr) uint8_t *data = NULL;
	uint64_t size = 0;
	int r = io_size(fd, &size);

	if (r < 0)
		return r;
	if (size > max)
		return -EFBIG;
	data = malloc(size ? size : 1);
	if (!data)
		return -ENOMEM;
	r = io_read_at(fd, data, size, 0);
	if (r < 0)
		return r;
	buf_put(ret, data, size);
	return buf_error(ret);
}

/* For filesystems whose copy_file_range() cannot do it. */
static int copy_by_hand(int fd_in, uint64_t from, int fd_out, uint64_t to,
			uint64_t n)
{
	CLEANUP(free_ptr) void *chunk = malloc(COPY_CHUNK);

	if (!chunk)
		return -ENOMEM;
	while (n > 0) {
		size_t part = n < COPY_CHUNK ? n : COPY_CHUNK;
		int r = io_read_at(fd_in, chunk, part, from);

		if (r == 0)
			r = io_write_at(fd_out, chunk, part, to);
		if (r < 0)
			return r;
		from += part;
		to += part;
		n -= part;
	}
	return 0;
}

int io_copy(int fd_in, uint64_t from, int fd_out, uint64_t to, uint64_t n)
{
	off_t in = (off_t)from, out = (off_t)to;

	while (n > 0) {
		ssize_t done = copy_file_range(fd_in, &in, fd_out, &out, n, 0);

		if (done <= 0)
			return copy_by_hand(fd_in, (uint64_t)in, fd_out,
					    (uint64_t)out, n);
		n -= (uint64_t)done;
	}
	return 0;
}

int io_reserve(int fd, uint64_t offset, uint64_t n)
{
	int r;

	if (n == 0)
		return 0;
	do
		r = fallocate(fd, 0, (off_t)offset, (off_t)n);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : 0;
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = -posix_fallocate(fd, (off_t)offset, (off_t)n);
	/* What there was room for stays allocated otherwise. */
	if (r < 0)
		io_punch(fd, offset, n);
	return r;
}

void io_punch(int fd, uint64_t offset, uint64_t n)
{
	if (n > 0)
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)offset, (off_t)n);
}

int io_sync_data(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

int io_sync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

/* The directory of `path`, open, and its last component. */
static int open_parent(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(free_ptr) char *parent = NULL;

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		return io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	parent = strndup(path, (size_t)(slash - path));
	return parent ? io_open(dirfd, parent, O_RDONLY | O_DIRECTORY)
		      : -ENOMEM;
}

int io_sync_parent(int dirfd, const char *path)
{
	const char *name;
	CLEANUP(close_fd) int fd = open_parent(dirfd, path, &name);

	return fd < 0 ? fd : io_sync(fd);
}

void io_write_back(int fd, uint64_t offset, uint64_t n)
{
	(void)sync_file_range(fd, (off_t)offset, (off_t)n,
			      SYNC_FILE_RANGE_WRITE);
}

int io_memory(void)
{
	int fd = memfd_create("weightfs", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int io_spool(int dirfd)
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* In memory where the filesystem has no unnamed files. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return io_memory();
	return fd < 0 ? -errno : fd;
}

int io_take_after(int fd, const struct stat *like)
{
	if (fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM)
		return -errno;
	return fchmod(fd, like->st_mode & 07777) < 0 ? -errno : 0;
}

int io_create(int dirfd, const char *path, const struct stat *like)
{
	const char *name;
	CLEANUP(close_fd) int parent = open_parent(dirfd, path, &name);
	int fd, r;

	if (parent < 0)
		return parent;
	fd = openat(parent, name,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_take_after(fd, like);
	if (r < 0) {
		(void)unlinkat(parent, name, 0);
		close_fd(&fd);
	}
	return r < 0 ? r : fd;
}

/* What the kernel calls the file; linkat() of an empty path is for root alone. */
static void path_of(int fd, char path[32])
{
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
}

int io_create_unnamed(int dirfd, const struct stat *like)
{
	CLEANUP(close_fd)
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[32];
	int r;

	if (fd < 0)
		return errno == EISDIR ? -EOPNOTSUPP : -errno;
	path_of(fd, path);
	if (access(path, F_OK) < 0)
		return -EOPNOTSUPP;
	r = io_take_after(fd, like);
	return r < 0 ? r : steal_fd(&fd);
}

int io_name_new(int fd, int dirfd, const char *name)
{
	char path[32];

	path_of(fd, path);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

int io_exchange(int dirfd, const char *a, const char *b)
{
	return renameat2(dirfd, a, dirfd, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

int io_rename(int dirfd, const char *from, const char *to)
{
	return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

int io_rename_new(int dirfd, const char *from, const char *to)
{
	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	/* A filesystem that cannot: a second name is as careful. */
	if (linkat(dirfd, from, dirfd, to, 0) < 0)
		return -errno;
	return io_unlink(dirfd, from);
}

int io_unlink(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

int io_lease(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return 0;
	return errno == EAGAIN ? -EAGAIN : -EOPNOTSUPP;
}

bool io_lease_broken(int fd)
{
	return fcntl(fd, F_GETLEASE) != F_RDLCK;
}

void io_lease_drop(int fd)
{
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
}

/* A lease that is broken raises SIGIO, whose default is to end the process. */
__attribute__((constructor)) static void ignore_sigio(void)
{
	(void)signal(SIGIO, SIG_IGN);
}

/* --- names in a mirrored directory ---------------------------------------- */

int io_make_file(int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = openat(dirfd, name,
			flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			mode & 07777);

	if (fd < 0)
		return -errno;
	(void)fchmod(fd, mode & 07777);
	return fd;
}

int io_mkdir(int dirfd, const char *name, mode_t mode)
{
	struct stat st;

	if (mkdirat(dirfd, name, mode & 07777) < 0)
		return -errno;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		(void)fchmodat(dirfd, name,
			       (st.st_mode & 07000) | (mode & 07777), 0);
	return 0;
}

int io_rmdir(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int io_symlink(const char *target, int dirfd, const char *name)
{
	return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
}

int io_readlink(int dirfd, const char *name, struct buf *ret)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0)
		return -errno;
	buf_put(ret, target, (size_t)n);
	return buf_error(ret);
}

int io_link(int dirfd, const char *name, int to_dirfd, const char *to)
{
	return linkat(dirfd, name, to_dirfd, to, 0) < 0 ? -errno : 0;
}

int io_stat_link(int dirfd, const char *name, struct stat *ret)
{
	return fstatat(dirfd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int io_set_link_attributes(int fd, const struct attributes *a)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, a->mtime };
	uid_t uid = a->set & ATTRIBUTE_UID ? a->uid : (uid_t)-1;
	gid_t gid = a->set & ATTRIBUTE_GID ? a->gid : (gid_t)-1;

	if (a->set & (ATTRIBUTE_UID | ATTRIBUTE_GID) &&
	    fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (a->set & ATTRIBUTE_MTIME &&
	    utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int io_rename_to(int dirfd, const char *name, int to_dirfd, const char *to,
		 unsigned flags)
{
	return renameat2(dirfd, name, to_dirfd, to, flags) < 0 ? -errno : 0;
}
