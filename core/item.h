/*
 * item.h - what a name in a folder stands for
 *
 * What the folder, and who edits it, know of an item besides store.h.  Name, source
 * and place change under the lock of its folder, which all that asks for them holds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/scan.h"
#include "core/store.h"

/* `root_id` is for a checkpoint that takes the place of a folder; else 0. */
int item_new(struct folder *in, const struct found *found, uint64_t place,
	     uint64_t root_id, struct item **ret);

const char *item_name(const struct item *i);   /* as it shows */
const char *item_source(const struct item *i); /* file, prefix or target */
uint64_t item_place(const struct item *i);
bool item_v1(const struct item *i);
bool item_is(const struct item *i, const struct found *found);

/* A file that was created through this mount, and may still be open. */
void item_set_made(struct item *i);
bool item_made(const struct item *i);

/* Its name has gone. */
void item_die(struct item *i);
/* It is called otherwise, or is elsewhere; name and source are one then. */
int item_rename(struct item *i, struct folder *in, const char *name,
		uint64_t place);
