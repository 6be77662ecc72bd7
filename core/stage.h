/*
 * stage.h - a value while it is being written
 *
 * A stage stands beside the value it may replace: who reads the variable through
 * the mount sees it, the checkpoint on disk does not.  Small values are staged in
 * memory; larger ones, where their size is known, in the room of the shard where they
 * will stay, so that they are written once; all others in an unnamed file beside the
 * shard.  What it holds in the end, and whether that is a value, is for others to
 * judge.  A stage that is dropped gives its room back.
 *
 * The checksum follows the writes, whatever their order: bytes at the end extend
 * it, bytes over others patch it, and no value is read again to be summed up.
 *
 * Any number of threads may use a stage; calls on one wait for each other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct extent;
struct shard;
struct stage;

#define STAGE_UNKNOWN UINT64_MAX

/*
 * A stage for a value that will go to `shard`.  It begins with the bytes of `base`, which
 * are copied when it is first written to; empty where `base` is NULL.  `expected` is the
 * size that the value should have, or STAGE_UNKNOWN.
 */
int stage_new(struct shard *shard, struct entry *base, uint64_t expected,
	      struct stage **ret);
/* Where its value will go, borrowed; and whether its bytes are there already. */
struct shard *stage_shard(const struct stage *s);
bool stage_in_shard(struct stage *s);
/* A copy of what `s` holds, for the same shard. */
int stage_clone(struct stage *s, struct stage **ret);
struct stage *stage_ref(struct stage *s);
void stage_unref(struct stage *s);
DEFINE_CLEANUP(struct stage, stage_unref)

/* What is now known of its size; of no effect once something was written. */
void stage_expect(struct stage *s, uint64_t expected);
/* Appends what it begins with: nothing that anybody wrote. */
int stage_load(struct stage *s, const void *data, size_t n);
uint64_t stage_size(struct stage *s);

/* Whether anything was written to it, or it was given a size. */
bool stage_written(struct stage *s);

/* Its size alone is what was written. */
void stage_mark(struct stage *s);
/* The fault of an earlier write, or 0. */
int stage_error(struct stage *s);

/* True once: for the one line that says why it came to nothing. */
bool stage_tell(struct stage *s);

/*
 * 0; -ENOSPC and other faults of the disk, which every later call repeats; -EBUSY when
 * the stage has been finished meanwhile: the caller starts another.
 */
int stage_write(struct stage *s, const void *data, size_t n, uint64_t offset);
int stage_resize(struct stage *s, uint64_t size);

/* Bytes read, 0 at the end, or negative errno. */
ssize_t stage_read(struct stage *s, void *buf, size_t n, uint64_t offset);

/*
 * Makes an empty stage hold the value of `from`, with its checksum, and without the bytes
 * passing through our hands.  -EBUSY if it is not empty; -EOPNOTSUPP where the bytes do not
 * lie so, or have no checksum.
 */
int stage_copy(struct stage *s, const struct entry *from);

/*
 * Puts the bytes where they will stay, not synced: their room, to be released, and
 * their checksum.  -EBUSY if that was done before; the fault of an earlier write; -EAGAIN
 * if they are not `size` any more.  From then on nothing can be written to it, unless
 * nothing came of it after all: stage_reopen().
 */
int stage_store(struct stage *s, uint64_t size, struct extent **ret,
		uint32_t *ret_crc32c);
void stage_reopen(struct stage *s);
/*
 * The same for who has stored something else in their place: since stage_changes() was
 * `changes`.  -EAGAIN if it was written to since then; it can be, further on.
 */
uint64_t stage_changes(struct stage *s);
int stage_end(struct stage *s, uint64_t changes);
