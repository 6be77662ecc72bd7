/*
 * value.h - the bytes of an entry as a file shows them
 *
 * Numbers are shown as they lie in the shard, strings as text.  Until all of a
 * value was read once, and its checksum was right, what is read goes through our
 * hands; from then on large reads are answered with a map of the shard, which the
 * kernel copies from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct value;

/*
 * `name` is what messages call it.  -EOPNOTSUPP, -EIO after a log line where it
 * cannot be read.  A string tensor is scanned, and checked, right here.
 */
int value_new(struct entry *e, const char *name, bool verify,
	      struct value **ret);
struct value *value_ref(struct value *v);
void value_unref(struct value *v);
DEFINE_CLEANUP(struct value, value_unref)

/* The length of the file. */
uint64_t value_size(const struct value *v);

/* Some bytes of a value; reading_release() lets go of what holds them. */
struct reading {
	const void *data; /* perhaps a map: for the kernel, not to be looked at */
	size_t n;
	void *memory;
	struct value *value;
};

/*
 * Up to `n` bytes from `offset`, fewer only at the end.  -EIO after a log line
 * where the shard ends too early, or where this read completes a value whose
 * checksum is wrong; then every later read is -EIO too, since the kernel asks for
 * some bytes ahead and forgets what it was told of them.
 */
int value_read(struct value *v, size_t n, uint64_t offset, struct reading *ret);
void reading_release(struct reading *r);
