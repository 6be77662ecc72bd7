/*
 * notify.h - tell the kernel what it may no longer believe
 *
 * There are two ways, and this is the only file that knows them.
 *
 * A notification with a name or a range of bytes takes locks of the kernel, which may
 * be held by a request that waits for us.  So they are sent by one thread that holds no
 * lock of ours, and nobody ever waits for it: what others did to the source, and what
 * the page cache holds.
 *
 * What a request itself changed must be right at once, before anybody can ask.  Names
 * that follow from others (`kernel.shape` after `mv kernel k2`) are not named in the
 * request, so the kernel is told, before the reply, that all names are to be looked up
 * again (FUSE_NOTIFY_INC_EPOCH); and attributes, without a range.  Neither takes a lock
 * that a request can hold.  A request is what lies between notify_begin() and
 * notify_end() of one thread.
 *
 * Kernels before 6.16 know no epoch.  There, names go to the thread, too, and those
 * that follow from others must be given out for no time (notify_at_once()).
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "core/coding.h"

struct notifier;

/* Without `epochs` it does as if the kernel knew none. */
int notifier_new(struct fuse_session *session, bool epochs,
		 struct notifier **ret);
/* Asks whether the kernel knows epochs; before the first request. */
void notifier_probe(struct notifier *n);
/*
 * Sends nothing more.  The notification under way may wait for a request to be
 * answered: whoever stops the notifier goes on serving until it has ended.
 */
void notifier_stop(struct notifier *n);
bool notifier_ended(struct notifier *n);
/* After notifier_ended(). */
void notifier_free(struct notifier *n);

/* This thread serves a request that may change names, until notify_end(). */
void notify_begin(struct notifier *n);
/* Before its reply: names that changed since are looked up again from now on. */
void notify_end(struct notifier *n);
/* Whether names that change in a request are right at once. */
bool notify_at_once(const struct notifier *n);

/* The directory `parent` lists something else, and `name` in it leads elsewhere. */
void notify_name(struct notifier *n, fuse_ino_t parent, struct span name);
/* Attributes and content of `node` are not what they were. */
void notify_content(struct notifier *n, fuse_ino_t node);
/* Its attributes are not, and that is known when this returns. */
void notify_attributes(struct notifier *n, fuse_ino_t node);
