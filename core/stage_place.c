/* Where the bytes of a stage are: see stage.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/crc32c.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/stage_inside.h"

/* Above this a value goes to the disk as it is written: memory stays small. */
#define MEMORY_MAX (UINT64_C(64) << 10)

static int grow_memory_locked(struct stage *s, uint64_t end)
{
	size_t cap = s->cap ? s->cap : 256;
	uint8_t *memory;

	while (cap < end)
		cap *= 2;
	memory = s->cap < cap ? realloc(s->memory, cap) : s->memory;
	if (!memory)
		return -ENOMEM;
	s->memory = memory;
	s->cap = cap;
	return 0;
}

/* To an unnamed file: for what has no known size, or more than that. */
static int spill_locked(struct stage *s)
{
	int spool = shard_spool(s->shard);
	int r = spool < 0 ? spool : 0;

	if (r == 0 && s->memory)
		r = io_write_at(spool, s->memory, s->filled, 0);
	else if (r == 0 && s->filled > 0)
		r = io_copy(shard_fd(s->shard), extent_offset(s->room), spool,
			    0, s->filled);
	if (r < 0) {
		close_fd(&spool);
		return r;
	}
	extent_unref(STEAL(s->room));
	free(STEAL(s->memory));
	s->cap = 0;
	s->spool = spool;
	return 0;
}

int stage_take_room_locked(struct stage *s, uint64_t end)
{
	if (s->spool >= 0 || (s->room && end <= s->expected))
		return 0;
	if (!s->room && end <= MEMORY_MAX &&
	    (s->expected <= MEMORY_MAX || s->expected == STAGE_UNKNOWN))
		return grow_memory_locked(s, end);
	if (!s->room && !s->memory && s->expected != STAGE_UNKNOWN &&
	    end <= s->expected && s->expected > MEMORY_MAX)
		return shard_reserve(s->shard, s->expected, &s->room);
	return spill_locked(s);
}

int stage_put_locked(struct stage *s, const void *data, size_t n,
		     uint64_t offset)
{
	if (s->spool >= 0)
		return io_write_at(s->spool, data, n, offset);
	if (!s->memory)
		return shard_write(s->shard, data, n,
				   extent_offset(s->room) + offset);
	memcpy(s->memory + offset, data, n);
	return 0;
}

int stage_get_locked(const struct stage *s, void *buf, size_t n,
		     uint64_t offset)
{
	if (s->spool >= 0)
		return io_read_at(s->spool, buf, n, offset);
	if (!s->memory)
		return io_read_at(shard_fd(s->shard), buf, n,
				  extent_offset(s->room) + offset);
	memcpy(buf, s->memory + offset, n);
	return 0;
}

int stage_copy_file_locked(struct stage *s, int fd, uint64_t from, uint64_t n)
{
	if (s->memory)
		return io_read_at(fd, s->memory, n, from);
	return s->room ? shard_fill(s->shard, extent_offset(s->room), fd, from,
				    n)
		       : io_copy(fd, from, s->spool, 0, n);
}

/* What lies in parts, or the other way round, goes through our hands. */
static int copy_content_locked(struct stage *s, uint32_t *crc)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(STAGE_CHUNK);
	uint64_t size = content_size(s->base);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size; at += STAGE_CHUNK) {
		size_t n = size - at < STAGE_CHUNK ? size - at : STAGE_CHUNK;

		r = content_read(s->base, chunk, n, at);
		if (r == 0)
			r = stage_put_locked(s, chunk, n, at);
		*crc = crc32c_extend(*crc, chunk, n);
	}
	return r;
}

/* A writer that did not truncate finds the old value in its stage. */
static int copy_base_locked(struct stage *s)
{
	uint64_t offset;
	uint32_t crc = 0;
	int fd, r;

	if (s->copied)
		return 0;
	if (s->base_summed && content_crc32c(s->base, &crc) &&
	    content_place(s->base, &fd, &offset))
		r = stage_copy_file_locked(s, fd, offset,
					   content_size(s->base));
	else
		r = copy_content_locked(s, &crc);
	if (r < 0)
		return r;
	s->filled = content_size(s->base);
	s->crc = crc;
	s->copied = true;
	return 0;
}

int stage_prepare_locked(struct stage *s, uint64_t end)
{
	int r;

	if (!s->copied && end < content_size(s->base))
		end = content_size(s->base);
	r = stage_take_room_locked(s, end);
	return r < 0 ? r : copy_base_locked(s);
}
