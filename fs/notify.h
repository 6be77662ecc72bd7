/*
 * notify.h - tell the kernel what it may no longer believe
 *
 * A notification takes locks of the kernel, which may be held by a request that
 * waits for us.  So they are sent by one thread that holds no lock of ours, and
 * nobody ever waits for it.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "core/coding.h"

struct notifier;

int notifier_new(struct fuse_session *session, struct notifier **ret);
/*
 * Sends nothing more.  The notification under way may wait for a request to be
 * answered: whoever stops the notifier goes on serving until it has ended.
 */
void notifier_stop(struct notifier *n);
bool notifier_ended(struct notifier *n);
/* After notifier_ended(). */
void notifier_free(struct notifier *n);

/* The directory `parent` lists something else, and `name` in it leads elsewhere. */
void notify_name(struct notifier *n, fuse_ino_t parent, struct span name);
/* Attributes and content of `node` are not what they were. */
void notify_content(struct notifier *n, fuse_ino_t node);
