/*
 * ops.h - the operations of FUSE, translated
 *
 * Each takes apart what the kernel sent, calls one function of core or of this
 * directory, and replies: fuse_reply_*() is called here and in hidden_ops.c only, and that
 * is where negative errno becomes errno.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

/*
 * A read-only mount has no open, opendir and flush: the kernel then does without
 * them, and reads what it has cached without asking.
 */
const struct fuse_lowlevel_ops *ops_for(bool read_only);
