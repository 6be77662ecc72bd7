/*
 * mountpoint.h - the directory that a mount covers, seen from outside
 *
 * A daemon that was killed leaves a dead mount behind: every look into it is
 * ENOTCONN until it is detached.
 */
#pragma once

#include <sys/types.h>

#include "fs/options.h"

/* The attribute of the root of a mount that says which process serves it. */
#define MOUNTPOINT_PID "user.weightfs.pid"

/*
 * The daemon that serves the mount whose root is `path`.  -ENOTCONN if it died,
 * -ENODATA if no mount of ours is there, -EACCES if it may be another user's; else why
 * it cannot be told.
 */
int mountpoint_daemon(const char *path, pid_t *ret);

/*
 * Makes this process that of the user whose mount is at `path`, for good: not even
 * root may look into it otherwise.
 */
int mountpoint_become_owner(const char *path);

/*
 * Unmounts `path`, which need not be alive, with the `flags` of umount2(2): by the
 * system call, or by fusermount3 where that is a matter of rights.  -ECHILD after
 * fusermount3 has said why not; else negative errno, and nothing was said.
 */
int mountpoint_detach(const char *path, int flags);

/*
 * Makes sure that something can be mounted on options->mountpoint: an empty
 * directory, or the source itself; a dead mount of ours is cleared away.  An exit
 * code, after a line in the log if it is not EXIT_CODE_OK; `ret` is its absolute
 * path, for free().
 */
enum exit_code mountpoint_prepare(const struct options *options, char **ret);
