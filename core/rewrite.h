/*
 * rewrite.h - the bytes of a value, written anew to another place
 */
#pragma once

#include "core/entry.h"
#include "core/shard.h"

/*
 * Copies the value of `e` to new room in `to`, and makes an entry of it.  Its checksum
 * is checked on the way (that of a variant cannot be): -EIO where it is wrong.
 */
int rewrite_value(const struct entry *e, struct shard *to, struct entry **ret);
