#include "fs/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/name.h"
#include "fs/mountpoint.h"

static enum exit_code say_why_not(const char *path, int error)
{
	switch (error) {
	case -ECHILD: /* fusermount3 has said it; it is hardly ever anything else */
		return EXIT_CODE_BUSY;
	case -EBUSY:
		log_error("%s is in use: close what has files or a working "
			  "directory in it, then unmount again",
			  path);
		return EXIT_CODE_BUSY;
	case -ENOENT:
		log_error("cannot unmount %s: it takes a program that is not "
			  "installed, fusermount3",
			  path);
		return EXIT_CODE_FUSE;
	default:
		log_error("cannot unmount %s: %s", path, strerror(-error));
		return EXIT_CODE_FAILURE;
	}
}

static enum exit_code clear_dead(const char *path)
{
	int r = mountpoint_detach(path, MNT_DETACH);

	if (r)
		return say_why_not(path, r);
	log_warning(
		"the daemon of %s had died before; its mount is cleared away",
		path);
	return EXIT_CODE_OK;
}

static enum exit_code say_not_ours(const char *path, int error)
{
	if (error == -EACCES)
		log_error("%s belongs to another user: unmount it as that user",
			  path);
	else if (error == -ENODATA)
		log_error("%s is not the mountpoint of a weightfs", path);
	else
		log_error("%s: %s", path, strerror(-error));
	return EXIT_CODE_MOUNTPOINT;
}

/*
 * When this returns, all that the end of the mount would store is in its checkpoint;
 * or somebody has to hear that it cannot be, while it can still be saved elsewhere.
 */
static int sync_all(const char *path)
{
	static const char order[] = "settle\n";
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_fd)
	int control = fd < 0 ? -1
			     : openat(fd, NAME_HIDDEN_DIR "/control",
				      O_WRONLY | O_CLOEXEC);

	if (control >= 0 && write(control, order, strlen(order)) < 0)
		return -errno;
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Readable is what a pidfd becomes when its process has ended. */
static void wait_for_end(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
}

static enum exit_code unmount_live(const char *path, bool lazy, pid_t pid)
{
	/* Before the mount goes: afterwards the number may be another's. */
	CLEANUP(close_fd) int pidfd = pidfd_open(pid, 0);
	int r = sync_all(path);

	if (r) {
		log_error("%s stays mounted, because not all changes could be "
			  "written to disk: %s; the log says which, a plain "
			  "`umount` drops them",
			  path, strerror(-r));
		return EXIT_CODE_NOT_DURABLE;
	}

	r = mountpoint_detach(path, lazy ? MNT_DETACH : 0);
	if (r)
		return say_why_not(path, r);
	/* Detached while in use, it ends with its last user; do not wait for that. */
	if (!lazy && pidfd >= 0)
		wait_for_end(pidfd);
	return EXIT_CODE_OK;
}

enum exit_code unmount_run(const struct options *options)
{
	pid_t pid;
	const char *path = options->mountpoint;
	int r = mountpoint_daemon(path, &pid);

	if (r == -EACCES && geteuid() == 0 && !mountpoint_become_owner(path))
		r = mountpoint_daemon(path, &pid);
	if (r == -ENOTCONN)
		return clear_dead(path);
	if (r)
		return say_not_ours(path, r);
	return unmount_live(path, options->lazy, pid);
}
