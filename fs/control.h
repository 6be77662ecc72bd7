/*
 * control.h - commands to a running mount
 *
 * One a line, each with the path of a checkpoint in the mount after it, or for all:
 *
 *	commit [PATH]   makes durable what was written and waits
 *	abort [PATH]    with -o commit=manual: drops what no commit has made durable
 *
 *	settle          as the end of the mount: stores what has no type, commits all
 *
 * Commands are run while they are written, so that whoever writes hears of a failure:
 * `echo commit > control` fails as the commit does.  Each write holds whole lines; the
 * last one needs no newline.
 */
#pragma once

#include "core/coding.h"

struct fs;

/*
 * Runs them up to the first that fails: -EINVAL for what is no command, -ENOENT if there is
 * no such checkpoint, each after a line in the log; or why the command failed.
 */
int control_run(struct fs *fs, struct span commands);
