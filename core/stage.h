/*
 * stage.h - a value while it is being written
 *
 * A stage stands beside the value it may replace: who reads the variable through
 * the mount sees it, the checkpoint on disk does not.  Small values are staged in
 * memory, larger ones where they will stay, in room at the end of the shard; so a
 * value is written once.  What grows beyond its dtype and shape goes to an unnamed
 * file beside the shard.  When it has the size that its dtype and shape ask for, it
 * becomes an entry; a stage that is dropped gives its room back.
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

#include "core/entry.h"

struct stage;

/*
 * A stage for a new value of `base`; empty if `truncated`, otherwise a copy of the
 * value, which is made when it is first written to.  shard_edit() has said that the
 * shard of `base` may be edited.
 */
int stage_new(struct entry *base, bool truncated, struct stage **ret);
struct stage *stage_ref(struct stage *s);
void stage_unref(struct stage *s);

/* The value that stands until it is finished; borrowed. */
struct entry *stage_base(const struct stage *s);
uint64_t stage_size(struct stage *s);

/* Whether anything was written that was not judged. */
bool stage_written(struct stage *s);

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
 * Judges: the new entry if the stage has the right size; -EINVAL if it has not;
 * -EAGAIN if nothing was written to it, so that there is nothing to judge; -EBUSY
 * if it was finished before; the fault of an earlier write.  Bytes are written but
 * not synced.
 */
int stage_finish(struct stage *s, struct entry **ret);
