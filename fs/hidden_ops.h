/*
 * hidden_ops.h - the operations of FUSE for `.weightfs`, before those of all else
 */
#pragma once

#include <fuse_lowlevel.h>

/*
 * The operations of all `others`, with those for the hidden directory in front: what is not
 * in it, is handed on.  An operation that they have not is not in `ret` either.  The
 * session's user data is the fs.
 */
void hidden_ops(const struct fuse_lowlevel_ops *others,
		struct fuse_lowlevel_ops *ret);
