/*
 * watch.h - see what others do to the source
 *
 * A training job goes on writing beside the mount.  inotify tells of each directory
 * that was looked at; where it cannot (a network filesystem, too many watches), they
 * are looked at once a second.
 */
#pragma once

#include "core/store.h"

struct watch;

/* `extra` is a checkpoint that is looked at with the folders; NULL for none. */
int watch_new(struct checkpoint *extra, struct watch **ret);
void watch_free(struct watch *w);

/* From now on `f` is watched; its lock may be held. */
void watch_add(struct watch *w, struct folder *f, int dirfd);
void watch_remove(struct watch *w, struct folder *f);
