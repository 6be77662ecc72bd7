/*
 * pending.h - what was changed and is not on disk yet
 *
 * An edit, for what the next commit takes along; and keys whose variable was removed a
 * moment ago, which wait: many tools remove a file to make it anew, and a commit and a
 * crash in between would leave the checkpoint without it.
 *
 * In an object-based checkpoint it is a bond (bond.h) that goes: an edge, and with the last
 * one to a variable its key.
 *
 * The checkpoint's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/edit.h"

struct pending;

int pending_new(struct pending **ret);
void pending_free(struct pending *p);
DEFINE_CLEANUP(struct pending, pending_free)

struct edit *pending_edit(const struct pending *p);
/* Hands the edit over, and begins an empty one; NULL if there is no memory. */
struct edit *pending_take(struct pending *p);
/* How many changes there were so far; one more, which comes to the edit later. */
uint64_t pending_changes(const struct pending *p);
void pending_touch(struct pending *p);
/* All of it is void: what is on disk is what counts. */
void pending_clear(struct pending *p);

/* `entry` of `v` comes under its key, from the next commit on. */
int pending_put(struct pending *p, struct entry *entry, struct variable *v);
/* The key goes with the next commit. */
int pending_remove(struct pending *p, struct span key);
/* The key goes when `due` has come, unless the name comes back before. */
int pending_doom(struct pending *p, struct span key, uint64_t due);
/* The same of a bond; `key` is what goes with it, or empty. */
int pending_doom_bond(struct pending *p, struct span bond, struct span key,
		      uint64_t due);
/* True if it was doomed: a key or a bond. */
bool pending_rescue(struct pending *p, struct span key);

size_t pending_doomed(const struct pending *p);
/*
 * Puts what is due by `now` into the edit, as far as `disk` or the edit has the key; not
 * while removals follow each other, unless the first has waited for some seconds.  Bonds
 * are handed to `cut`, which changes nothing here.
 */
void pending_ripen(struct pending *p, const struct bundle *disk, uint64_t now,
		   void (*cut)(void *arg, struct span bond), void *arg);
/* Calls `each` for every key that waits. */
int pending_each_doomed(struct pending *p,
			int (*each)(void *arg, struct span key), void *arg);
