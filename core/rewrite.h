/*
 * rewrite.h - the bytes of a value, written anew to another place
 */
#pragma once

#include <stdbool.h>

#include "core/entry.h"
#include "core/shard.h"

/*
 * Copies the value of `e` to new room in `to`, and makes an entry of it; a partitioned
 * variable is put together.  Its checksum is checked on the way: -EIO where it is wrong.
 */
int rewrite_value(struct entry *e, struct shard *to, struct entry **ret);

/*
 * Of a partitioned variable only those slices that `moves` says, so that it stays
 * partitioned.
 */
int rewrite_slices(struct entry *e, struct shard *to,
		   bool (*moves)(const void *arg, const struct entry *part),
		   const void *arg, struct entry **ret);
