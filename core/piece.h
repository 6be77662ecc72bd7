/*
 * piece.h - bytes that lie together in a shard, checked as they are read
 *
 * What an entry without slices says of its value.  Numbers that lie there big-endian are
 * turned around on the way.  The checksum is that of the bytes in the file, so it is
 * summed up before that.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct piece;

/* The entry can be read, as entry_access() says; it is referenced. */
int piece_new(struct entry *e, const char *name, bool verify,
	      struct piece **ret);
void piece_free(struct piece *p);
DEFINE_CLEANUP(struct piece, piece_free)

/*
 * Exactly `n` bytes from `offset`, within its size.  -EIO after a log line where the
 * shard ends too early, or where this read completes a piece whose checksum is wrong (of
 * strings, which are looked through, the first one does; of variants leaf.h knows);
 * then every later read is -EIO too, since the kernel asks for some bytes ahead and
 * forgets what it was told of them.
 */
int piece_read(struct piece *p, void *buf, size_t n, uint64_t offset);

/* Whether its bytes are those of the file. */
bool piece_plain(const struct piece *p);
/* As content_map(): once all was read and was right. */
const void *piece_map(const struct piece *p, size_t n, uint64_t offset);

/* Turns numbers of `dtype` around; `n` bytes are whole elements. */
void bytes_turn(int32_t dtype, void *data, size_t n);
/* Of how many bytes those numbers are: half an element of complex ones; 1, or 0, if none are. */
size_t bytes_turned(int32_t dtype);
