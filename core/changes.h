/*
 * changes.h - what becomes of the entries of a bundle
 *
 * The changes of a bundle_with(), and with those of a partitioned variable the ones of
 * its slices, sorted by key and one a key.
 */
#pragma once

#include <stddef.h>

#include "core/bundle.h"

struct changes {
	struct change *at;
	size_t n;
	size_t cap;
};

/* 0 or -ENOMEM.  Keys and entries are borrowed from `base` and `changes`. */
int changes_init(struct changes *c, const struct bundle *base,
		 const struct change *changes, size_t n);
void changes_release(struct changes *c);
