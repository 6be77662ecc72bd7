/*
 * dir.h - an open directory, shared
 *
 * Files are reached from the directory they were found in, wherever that is moved.  It
 * stays open for as long as anybody may still commit into it.
 */
#pragma once

#include "core/cleanup.h"

struct dir;

/* Takes `fd` over, also when it fails, which is -ENOMEM. */
int dir_new(int fd, struct dir **ret);
struct dir *dir_ref(struct dir *d);
void dir_unref(struct dir *d);
DEFINE_CLEANUP(struct dir, dir_unref)
int dir_fd(const struct dir *d);
