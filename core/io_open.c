/* Opening what is below the source, and nothing else: see io.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"

/* Links that lead to links; the kernel follows 40. */
#define LINKS_MAX 8
/* How often a folder may be moved while we look where it is. */
#define MOVES_MAX 16
/* What is busy is tried again at once, for what passes; then once a millisecond. */
#define BUSY_AT_ONCE 64
#define BUSY_US      1000
#define BUSY_TRIES   60000 /* a minute */

/*
 * Where the source ends: set before there are threads, borrowed, -1 for nowhere.  Besides
 * the log level this is the only state that belongs to the process, as the root of chroot(2)
 * does: a process has one mount, all directories of it end at the same place, and who
 * has the descriptor of one (a shard, a V1 file, a commit) need not know where that is.
 */
static atomic_int source_root = -1;

void io_set_root(int fd)
{
	atomic_store(&source_root, fd);
}

static int open_once(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV |
			   RESOLVE_NO_MAGICLINKS,
	};
	long fd = TEMP_FAILURE_RETRY(syscall(SYS_openat2, dirfd, path, &how,
					     sizeof(how)));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * -EAGAIN says two things.  A rename somewhere raced with the walk: that passes.  Or the
 * file is leased, by a file server for instance, which is told to let go of it; without
 * O_NONBLOCK the kernel would wait for that, 45 seconds at most
 * (/proc/sys/fs/lease-break-time).  So does this.
 */
static int open_beneath(int dirfd, const char *path, int flags)
{
	int fd = open_once(dirfd, path, flags);

	for (int tries = 0; fd == -EAGAIN && tries < BUSY_TRIES; tries++) {
		if (tries >= BUSY_AT_ONCE)
			(void)usleep(BUSY_US);
		fd = open_once(dirfd, path, flags);
	}
	return fd;
}

/* --- links that leave the directory, but not the source -------------------- */

/* Where the directory is at this moment, without asking any filesystem. */
static bool path_of_fd(int fd, char target[PATH_MAX])
{
	char link[32];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, PATH_MAX);
	if (n <= 0 || n == PATH_MAX)
		return false;
	target[n] = 0;
	return true;
}

/* What `path` is below `top`, "" for itself; NULL if it is not. */
static const char *below(const char *path, const char *top)
{
	size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);

	if (strncmp(path, top, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	return path + strspn(path, "/");
}

/* Where `dirfd` is below `root` now, "." for that itself; NULL if it is not. */
static char *place_of(int root, int dirfd)
{
	char top[PATH_MAX], dir[PATH_MAX];
	const char *place;

	if (!path_of_fd(root, top) || !path_of_fd(dirfd, dir))
		return NULL;
	place = below(dir, top);
	return place ? strdup(*place ? place : ".") : NULL;
}

/*
 * `path`, as it is meant in the directory at `place`, from the root.  An absolute one
 * has to begin with where the root is: what else could lead there is not known, and to
 * ask might lead into our own mount.
 */
static char *path_from_root(int root, const char *place, const char *path)
{
	char top[PATH_MAX];
	const char *rest;
	char *ret;

	if (*path != '/')
		return asprintf(&ret, "%s/%s", place, path) < 0 ? NULL : ret;
	rest = path_of_fd(root, top) ? below(path, top) : NULL;
	return rest ? strdup(*rest ? rest : ".") : NULL;
}

/* The target of the link that `path` is; NULL if it is none. */
static char *target_of(int root, const char *path)
{
	CLEANUP(close_fd)
	int fd = open_beneath(root, path, O_PATH | O_NOFOLLOW);
	char target[PATH_MAX];
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));

	return n <= 0 || n == PATH_MAX ? NULL : strndup(target, (size_t)n);
}

/* Puts the absolute target of a link, or of one that it leads to, in its place. */
static bool follow_absolute(int root, char **path)
{
	CLEANUP(free_ptr) char *target = target_of(root, *path);
	CLEANUP(free_ptr) char *dir = NULL;
	char *slash, *next;

	if (!target)
		return false;
	dir = strdup(*path);
	slash = dir ? strrchr(dir, '/') : NULL;
	if (slash)
		*slash = 0;
	next = dir ? path_from_root(root, slash ? dir : ".", target) : NULL;
	if (!next)
		return false;
	free(*path);
	*path = next;
	return true;
}

static int open_from_root(int root, char **path, int flags)
{
	int r = open_beneath(root, *path, flags);

	for (int hops = 0; r == -EXDEV && !(flags & O_NOFOLLOW) &&
			   hops < LINKS_MAX && follow_absolute(root, path);
	     hops++)
		r = open_beneath(root, *path, flags);
	return r;
}

/*
 * The same walk, from the root: so the kernel itself sees to it that whatever becomes
 * of links and directories meanwhile, nothing outside is reached.  The directory may
 * be moved between the question where it is and the walk: then once more.
 */
static int open_in_source(int root, int dirfd, const char *path, int flags)
{
	CLEANUP(free_ptr) char *place = place_of(root, dirfd);

	for (int i = 0; place && i < MOVES_MAX; i++) {
		CLEANUP(free_ptr)
		char *full = path_from_root(root, place, path);
		int fd = full ? open_from_root(root, &full, flags) : -EXDEV;
		char *now = place_of(root, dirfd);
		bool same = now && strcmp(now, place) == 0;

		free(place);
		place = now;
		if (same)
			return fd;
		if (fd >= 0)
			close_fd(&fd);
	}
	return -EXDEV;
}

int io_open(int dirfd, const char *path, int flags)
{
	int root = atomic_load(&source_root);
	int fd = open_beneath(dirfd, path, flags);

	return fd == -EXDEV ? open_in_source(root < 0 ? dirfd : root, dirfd,
					     path, flags)
			    : fd;
}

/* --- links, one after the other -------------------------------------------- */

/* Goes one link on: `*at` and `*name` become those that `target` leads to. */
static int follow_once(int *at, char **name, char *target)
{
	char *slash = strrchr(target, '/');
	char *next;
	int fd;

	if (slash)
		*slash = 0;
	fd = io_open(*at, slash ? target : ".", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	close_fd(at);
	*at = fd;
	next = strdup(slash ? slash + 1 : target);
	free(*name);
	*name = next;
	return next ? 0 : -ENOMEM;
}

int io_follow(int dirfd, const char *name, int *ret_dirfd, char **ret_name)
{
	CLEANUP(close_fd) int at = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	CLEANUP(free_ptr) char *here = strdup(name);
	char target[PATH_MAX];
	int r = here ? 0 : -ENOMEM;

	if (at < 0)
		return at;
	for (int hops = 0; r == 0 && hops < LINKS_MAX; hops++) {
		ssize_t n = readlinkat(at, here, target, sizeof(target) - 1);

		if (n < 0 && errno != EINVAL)
			return -errno;
		if (n < 0) {
			*ret_name = STEAL(here);
			*ret_dirfd = at;
			at = -1;
			return 0;
		}
		target[n] = 0;
		r = follow_once(&at, &here, target);
	}
	return r < 0 ? r : -ELOOP;
}
