/*
 * edit.h - values that were taken over and wait for their commit
 *
 * At most one entry a key: a later one takes the place of an earlier one, whose
 * bytes then never get a name.  The checkpoint's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/entry.h"

struct edit;

int edit_new(struct edit **ret);
void edit_free(struct edit *e);

size_t edit_count(const struct edit *e);
int edit_add(struct edit *e, struct entry *entry);
/* Adds what `older` has of other keys than `e`: for a commit that failed. */
int edit_add_older(struct edit *e, struct edit *older);
bool edit_has(const struct edit *e, const struct entry *entry);

/*
 * edit_sort() puts the entries in the order of their keys, for edit_sorted(): an array
 * of edit_count(), borrowed, and good until something is added.
 */
int edit_sort(struct edit *e);
struct entry *const *edit_sorted(const struct edit *e);
