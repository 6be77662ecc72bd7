/*
 * linger.h - files that were copied into a folder and are part of a checkpoint now
 *
 * A raw copy of an index turns into a directory at its last close.  Many tools set mode
 * and times by the name after that: for a few seconds it is still found, though not
 * listed.  Under the folder's lock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

struct item;

struct linger {
	struct item **items;
	uint64_t *since_ms;
	size_t n;
};

/* Takes the reference over. */
void linger_add(struct linger *l, struct item *i);
/* Borrowed, or NULL. */
struct item *linger_find(struct linger *l, struct span name);
void linger_release(struct linger *l);
