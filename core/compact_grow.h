/*
 * compact_grow.h - an index as long as another one, without a moment to be caught in
 *
 * TensorFlow asks how long an index is by its name, then opens it by its name, and reads
 * the footer where the first answer said that it ends.  If the index was exchanged in
 * between for a longer one, it finds something else there.  Not so where that is the old
 * one as it is, footer and all, with zeros behind it and the same footer at the end.
 */
#pragma once

#include "core/bundle.h"

/* Appends it to `ret`, or nothing where `size` is not enough for that. */
int compact_grow(const struct bundle *b, uint64_t size, struct buf *ret);
