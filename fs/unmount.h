/*
 * unmount.h - `weightfs --unmount`, and what umount(8) calls
 *
 * umount(2) alone does not wait for a FUSE daemon, which may still have to commit.
 * Here the changes are made durable first, and the daemon has ended when it returns.
 */
#pragma once

#include "fs/options.h"

/* An exit code; a line in the log has said why if it is not EXIT_CODE_OK. */
enum exit_code unmount_run(const struct options *options);
