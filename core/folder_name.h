/*
 * folder_name.h - which names a folder may give, and what `latest` means there
 *
 * All of it with the folder's lock held.
 */
#pragma once

#include <stdbool.h>

#include "core/folder.h"

/* `name` as text, to be freed: -EINVAL, -EPERM if it is one of ours. */
int folder_name(const struct folder *f, struct span name, char **ret);

/*
 * What to answer when a name that is not shown was found taken: `r`, after a log line
 * if it is -EEXIST.
 */
int folder_name_taken(struct folder *f, const char *name, int r);

/* Whether a symbolic link of this name would say which checkpoint is the latest. */
bool folder_sets_latest_locked(struct folder *f, const char *name);
/* 0, or -EINVAL after a log line where `target` is no checkpoint of the folder. */
int folder_set_latest_locked(struct folder *f, struct span target);

/* Of folder_rmdir(): the item goes.  folder_again_locked() is still to be called. */
int folder_remove_directory_locked(struct folder *f, struct item *item);
