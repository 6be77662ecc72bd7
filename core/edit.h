/*
 * edit.h - what the disk has not got yet
 *
 * For each key at most one thing: an entry that comes, with the variable whose it is,
 * or that the key goes.  A later one takes the place of an earlier one, whose bytes
 * then never get a name.  The checkpoint's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/entry.h"

struct edit;
struct variable;

int edit_new(struct edit **ret);
void edit_free(struct edit *e);
DEFINE_CLEANUP(struct edit, edit_free)

size_t edit_count(const struct edit *e);
/* Both are referenced; `v` may be NULL. */
int edit_put(struct edit *e, struct entry *entry, struct variable *v);
int edit_remove(struct edit *e, struct span key);
/* Adds what `older` has of other keys than `e`: for a commit that failed. */
int edit_add_older(struct edit *e, struct edit *older);
bool edit_has(const struct edit *e, const struct entry *entry);
/* What will be under the key, borrowed; NULL if nothing is said of it, or it goes. */
struct entry *edit_find(const struct edit *e, struct span key);

/*
 * edit_sort() puts it in the order of keys, for edit_sorted(): an array of
 * edit_count(), borrowed, and good until the edit changes.  edit_variable() is that
 * of the i-th, borrowed; NULL of a removal.
 */
int edit_sort(struct edit *e);
const struct change *edit_sorted(const struct edit *e);
struct variable *edit_variable(const struct edit *e, size_t i);
/* Puts another entry of the same key in the place of the i-th; it stays sorted. */
int edit_replace(struct edit *e, size_t i, struct entry *entry);
