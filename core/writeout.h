/*
 * writeout.h - values on their way into a shard
 *
 * A value is written as its shard has it: the numbers of a big-endian bundle the other way
 * round, and a partitioned variable over the slices that it has.  What is written is whole
 * and little-endian, as a file shows it; of strings, the tensor (strings.h).
 *
 * Nothing is synced.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"
#include "core/entry.h"

struct content;
struct stage;

/* Whole and little-endian; read() as io_read_at(). */
struct writeout {
	int (*read)(void *arg, void *buf, size_t n, uint64_t at);
	void *arg;
	uint64_t size;
	int32_t dtype;
	struct shape shape;
};

/* What a writeout may read from. */
int writeout_read_stage(void *stage, void *buf, size_t n, uint64_t at);
int writeout_read_content(void *content, void *buf, size_t n, uint64_t at);
int writeout_read_span(void *span, void *buf, size_t n, uint64_t at);

/*
 * In one piece: its room, and the checksum of its entry.  -EOPNOTSUPP where TensorFlow
 * could not read it there: shard_refuses().  -EINVAL where strings or variants do not parse,
 * -EIO where what is read does not.
 */
int writeout_whole(const struct writeout *w, struct shard *to,
		   struct extent **ret, uint32_t *ret_crc32c);

/*
 * Over the slices of `like`, which is of this dtype and shape: an entry that says what
 * `like` says, with new slices.
 */
int writeout_slices(const struct writeout *w, const struct entry *like,
		    struct shard *to, struct entry **ret);
/* Whether that can be: it has slices, and each element lies in one. */
bool writeout_splits(const struct entry *like);

/* Why a shard cannot have values of a dtype, or NULL. */
const char *shard_refuses(const struct shard *s, int32_t dtype);
