/*
 * parts.h - which entries of an index are slices of others
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/entry.h"

/* The entry of this key among `n` that are sorted by key; NULL if there is none. */
struct entry *entries_find(struct entry *const *all, size_t n, struct span key);

/*
 * Gives each partitioned variable its slices, as far as they are there, and tells in
 * `hidden`, which is parallel to `all`, which entries are such slices.  0 or -ENOMEM.
 */
int parts_link(struct entry *const *all, size_t n, bool *hidden);
