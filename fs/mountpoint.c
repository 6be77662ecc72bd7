#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/cleanup.h"

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static void close_mounts(FILE **mounts)
{
	if (*mounts)
		(void)endmntent(*mounts);
}

/*
 * realpath(3), but also of a dead mount: O_PATH goes to its root without a word to
 * the daemon.  NULL with errno, which may be that of a missing /proc.
 */
static char *absolute_path(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

	if (fd < 0)
		return NULL;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return realpath(link, NULL);
}

struct owner {
	uid_t uid;
	gid_t gid;
};

/* The number after the `=` of a mount option, which the kernel wrote. */
static unsigned int option_number(const struct mntent *entry, const char *name)
{
	const char *option = hasmntopt(entry, name);
	const char *value = option ? strchr(option, '=') : NULL;

	return value ? (unsigned int)strtoul(value + 1, NULL, 10) : 0;
}

/* Whether the topmost mount on `path` is of our type, and whose it is. */
static bool find_ours(const char *path, struct owner *ret)
{
	CLEANUP(free_ptr) char *absolute = absolute_path(path);
	CLEANUP(close_mounts)
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *entry;
	bool ours = false;

	if (!absolute || !mounts)
		return false;

	while ((entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_dir, absolute) != 0)
			continue;
		ours = strcmp(entry->mnt_type, "fuse.weightfs") == 0;
		ret->uid = option_number(entry, "user_id");
		ret->gid = option_number(entry, "group_id");
	}
	return ours;
}

int mountpoint_become_owner(const char *path)
{
	struct owner owner;

	if (!find_ours(path, &owner))
		return -ENODATA;
	if (setgroups(0, NULL) < 0 ||
	    setresgid(owner.gid, owner.gid, owner.gid) < 0 ||
	    setresuid(owner.uid, owner.uid, owner.uid) < 0)
		return -errno;
	return 0;
}

int mountpoint_daemon(const char *path, pid_t *ret)
{
	char text[32] = { 0 };
	struct owner owner;
	long pid;
	int error;

	/* Asks the daemon, always: attributes may come from a cache. */
	if (getxattr(path, MOUNTPOINT_PID, text, sizeof(text) - 1) < 0) {
		error = errno;
		if (error == ENOTCONN)
			return find_ours(path, &owner) ? -ENOTCONN : -ENODATA;
		return error == EOPNOTSUPP ? -ENODATA : -error;
	}

	pid = strtol(text, NULL, 10);
	if (pid <= 0 || pid != (pid_t)pid)
		return -ENODATA;

	*ret = (pid_t)pid;
	return 0;
}

static int run_fusermount(const char *path, bool lazy)
{
	char program[] = "fusermount3", operation[] = "-u", detach[] = "-uz";
	char end[] = "--";
	CLEANUP(free_ptr) char *target = strdup(path);
	char *argv[] = { program, lazy ? detach : operation, end, target,
			 NULL };
	int r, status;
	pid_t pid;

	if (!target)
		return -ENOMEM;
	r = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 ? 0 : -ECHILD;
}

int mountpoint_detach(const char *path, int flags)
{
	if (umount2(path, flags) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(path, flags & MNT_DETACH)
			      : -errno;
}

static enum exit_code refuse(const char *path, const char *why)
{
	log_error("cannot mount on %s: %s", path, why);
	return EXIT_CODE_MOUNTPOINT;
}

/* Leaves nothing on `path` that is ours, be it dead or alive. */
static enum exit_code clear_dead(const char *path)
{
	pid_t pid;
	int r = mountpoint_daemon(path, &pid);

	if (r == 0)
		return refuse(path, "a weightfs is mounted there already; "
				    "weightfs --unmount it first");
	if (r != -ENOTCONN)
		return EXIT_CODE_OK; /* whatever else is wrong shows next */

	r = mountpoint_detach(path, MNT_DETACH);
	if (r == 0 || r == -ECHILD)
		return r ? EXIT_CODE_MOUNTPOINT : EXIT_CODE_OK;
	log_error("cannot clear away the dead mount on %s: %s", path,
		  strerror(-r));
	return EXIT_CODE_MOUNTPOINT;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* 1 if nothing is in it, 0 if something is, else negative errno. */
static int is_empty(const char *path)
{
	CLEANUP(close_dir) DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return -errno;

	errno = 0;
	while ((entry = readdir(dir)))
		if (!is_dots(entry->d_name))
			return 0;
	return errno ? -errno : 1;
}

static bool is_same(const struct stat *st, const char *path)
{
	struct stat other;

	return stat(path, &other) == 0 && st->st_dev == other.st_dev &&
	       st->st_ino == other.st_ino;
}

static enum exit_code check(const char *path, const char *source)
{
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return refuse(path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return refuse(path, "it is not a directory");
	if (is_same(&st, source))
		return EXIT_CODE_OK;

	r = is_empty(path);
	if (r < 0)
		return refuse(path, strerror(-r));
	if (r == 0)
		return refuse(path, "it is not empty; take another directory, "
				    "or the source itself");
	return EXIT_CODE_OK;
}

enum exit_code mountpoint_prepare(const struct options *options, char **ret)
{
	const char *path = options->mountpoint;
	enum exit_code code = clear_dead(path);

	if (!code)
		code = check(path, options->source);
	if (code)
		return code;

	*ret = realpath(path, NULL);
	return *ret ? EXIT_CODE_OK : refuse(path, strerror(errno));
}
