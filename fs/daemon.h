/*
 * daemon.h - `weightfs SOURCE MOUNTPOINT`
 *
 * Mounts, and serves until the mount goes or a signal comes.  In the background it
 * is a child that serves; the command returns when the tree is usable, or with the
 * child's exit code.
 */
#pragma once

#include "fs/options.h"

enum exit_code daemon_mount(const struct options *options);
