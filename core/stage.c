#include "core/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/stage_inside.h"

static const uint8_t zeros[STAGE_CHUNK];

static void stage_free(struct stage *s)
{
	extent_unref(s->room);
	close_fd(&s->spool);
	(void)pthread_mutex_destroy(&s->lock);
	content_free(s->base);
	shard_unref(s->shard);
	free(s->memory);
	free(s);
}

struct stage *stage_ref(struct stage *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void stage_unref(struct stage *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		stage_free(s);
}

static int open_base(struct stage *s, struct entry *base)
{
	CLEANUP(free_ptr)
	char *name = entry_describe(base, shard_name(s->shard));
	int r = name ? content_open(base, name, true, &s->base) : -ENOMEM;

	if (r < 0)
		return r;
	s->base_summed = dtype_size(entry_dtype(base)) &&
			 shard_is_plain(s->shard);
	s->size = content_size(s->base);
	return 0;
}

int stage_new(struct shard *shard, struct entry *base, uint64_t expected,
	      struct stage **ret)
{
	CLEANUP(stage_unrefp) struct stage *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->shard = shard_ref(shard);
	s->expected = expected;
	s->spool = -1;
	s->copied = !base;
	r = base ? open_base(s, base) : 0;
	if (r == 0)
		*ret = STEAL(s);
	return r;
}

void stage_expect(struct stage *s, uint64_t expected)
{
	LOCK_SCOPE(&s->lock);
	if (!s->memory && !s->room && s->spool < 0)
		s->expected = expected;
}

/* --- where the bytes are -------------------------------------------------- */

/* Adds `data` at the end of what is filled. */
static int append_locked(struct stage *s, const void *data, size_t n)
{
	int r = stage_put_locked(s, data, n, s->filled);

	if (r < 0)
		return r;
	s->crc = crc32c_extend(s->crc, data, n);
	s->filled += n;
	return 0;
}

/* Writes the zeros that a gap before `end` stands for: room is not empty. */
static int fill_locked(struct stage *s, uint64_t end)
{
	/* A file of its own may have a hole. */
	if (s->spool >= 0 && s->filled < end) {
		int r = io_resize(s->spool, end);

		if (r < 0)
			return r;
		s->crc = ~crc32c_shift(~s->crc, end - s->filled);
		s->filled = end;
	}
	while (s->filled < end) {
		uint64_t gap = end - s->filled;
		int r = append_locked(s, zeros,
				      gap < STAGE_CHUNK ? gap : STAGE_CHUNK);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Writes over bytes that are there; the checksum changes by what they change. */
static int overwrite_locked(struct stage *s, const uint8_t *data, size_t n,
			    uint64_t offset)
{
	CLEANUP(free_ptr) uint8_t *old = malloc(STAGE_CHUNK);

	if (!old)
		return -ENOMEM;
	while (n > 0) {
		size_t part = n < STAGE_CHUNK ? n : STAGE_CHUNK;
		int r = stage_get_locked(s, old, part, offset);

		if (r == 0)
			r = stage_put_locked(s, data, part, offset);
		if (r < 0)
			return r;
		s->crc = crc32c_patch(s->crc, crc32c_extend(0, old, part),
				      crc32c_extend(0, data, part),
				      s->filled - offset - part);
		data += part;
		offset += part;
		n -= part;
	}
	return 0;
}

/*
 * Follows a value that is written anew from its start: its checksum then does not
 * rest on that of the old value, which may be wrong.
 */
static void note_fresh_locked(struct stage *s, const uint8_t *data, size_t n,
			      uint64_t offset)
{
	if (offset == 0)
		s->fresh = s->fresh_crc = 0;
	else if (offset < s->fresh)
		s->fresh = 0;
	if (offset != s->fresh)
		return;
	s->fresh_crc = crc32c_extend(s->fresh_crc, data, n);
	s->fresh += n;
}

static int write_locked(struct stage *s, const uint8_t *data, size_t n,
			uint64_t offset)
{
	uint64_t over = 0;
	int r = offset > INT64_MAX - n ? -EFBIG
				       : stage_prepare_locked(s, offset + n);

	if (r == 0)
		r = fill_locked(s, offset);
	if (r < 0)
		return r;
	if (offset < s->filled) {
		over = s->filled - offset < n ? s->filled - offset : n;
		r = overwrite_locked(s, data, over, offset);
	}
	if (r == 0 && over < n)
		r = append_locked(s, data + over, n - over);
	if (r == 0 && s->size < s->filled)
		s->size = s->filled;
	if (r == 0)
		note_fresh_locked(s, data, n, offset);
	return r;
}

int stage_write(struct stage *s, const void *data, size_t n, uint64_t offset)
{
	LOCK_SCOPE(&s->lock);

	if (s->finished)
		return -EBUSY;
	if (s->error)
		return s->error;
	s->error = write_locked(s, data, n, offset);
	s->written = true;
	s->changes++;
	return s->error;
}

/* Cuts what is filled; the checksum of the rest has to be found anew. */
static int cut_locked(struct stage *s, uint64_t size)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(STAGE_CHUNK);
	uint64_t at = 0;
	uint32_t crc = 0;

	if (!chunk)
		return -ENOMEM;
	while (at < size) {
		size_t part = size - at < STAGE_CHUNK ? size - at : STAGE_CHUNK;
		int r = stage_get_locked(s, chunk, part, at);

		if (r < 0)
			return r;
		crc = crc32c_extend(crc, chunk, part);
		at += part;
	}
	s->filled = size;
	s->crc = crc;
	s->fresh = 0;
	return s->spool < 0 ? 0 : io_resize(s->spool, size);
}

static int resize_locked(struct stage *s, uint64_t size)
{
	int r = 0;

	if (size == 0)
		s->copied = true; /* nothing of the old value is left to see */
	else if (!s->copied)
		r = stage_prepare_locked(s, 0);
	if (r == 0 && size < s->filled)
		r = cut_locked(s, size);
	if (r == 0)
		s->size = size;
	return r;
}

int stage_resize(struct stage *s, uint64_t size)
{
	int r;

	pthread_mutex_lock(&s->lock);
	/* Whoever empties it begins again, whatever went wrong before. */
	if (size == 0 && !s->finished) {
		s->error = 0;
		s->told = false;
	}
	if (s->finished) {
		r = -EBUSY;
	} else if (s->error) {
		r = s->error;
	} else {
		r = resize_locked(s, size);
		s->error = r;
		/* Emptying comes before a value, and is none by itself. */
		s->written |= size > 0;
		s->changes++;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

bool stage_written(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	return s->written;
}

void stage_mark(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	s->written = true;
}

int stage_error(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	return s->error;
}

bool stage_tell(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	bool first = !s->told;

	s->told = true;
	return first;
}

uint64_t stage_size(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	return s->size;
}

static ssize_t read_locked(struct stage *s, uint8_t *buf, size_t n,
			   uint64_t offset)
{
	size_t have = 0;
	int r = 0;

	if (offset >= s->size)
		return 0;
	if (n > s->size - offset)
		n = s->size - offset;
	if (!s->copied)
		r = stage_prepare_locked(s, 0);
	if (r == 0 && offset < s->filled) {
		have = s->filled - offset < n ? s->filled - offset : n;
		r = stage_get_locked(s, buf, have, offset);
	}
	if (r < 0)
		return r;
	memset(buf + have, 0, n - have);
	return (ssize_t)n;
}

ssize_t stage_read(struct stage *s, void *buf, size_t n, uint64_t offset)
{
	LOCK_SCOPE(&s->lock);
	return read_locked(s, buf, n, offset);
}

int stage_load(struct stage *s, const void *data, size_t n)
{
	LOCK_SCOPE(&s->lock);
	int r = write_locked(s, data, n, s->size);

	s->error = r;
	return r;
}

/* --- from stage to stage ------------------------------------------------- */

static int copy_locked(struct stage *s, const struct entry *from)
{
	uint64_t n = entry_size(from);
	int r;

	if (s->finished || s->filled || s->size)
		return -EBUSY;
	r = stage_take_room_locked(s, n);
	if (r < 0)
		return r;
	r = stage_copy_file_locked(s, shard_fd(entry_shard(from)),
				   entry_offset(from), n);
	if (r < 0)
		return r;
	s->filled = s->size = n;
	s->crc = entry_crc32c(from);
	s->copied = s->written = true;
	return 0;
}

int stage_copy(struct stage *s, const struct entry *from)
{
	LOCK_SCOPE(&s->lock);
	/* Of anything else the checksum is not that of its bytes. */
	if (!entry_shard(from) || entry_big_endian(from) ||
	    !dtype_size(entry_dtype(from)))
		return -EOPNOTSUPP;
	return s->error ? s->error : copy_locked(s, from);
}

struct shard *stage_shard(const struct stage *s)
{
	return s->shard;
}

bool stage_in_shard(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	return s->room;
}

/* --- the end --------------------------------------------------------------- */

/* Writes to the shard what was kept elsewhere. */
static int settle_locked(struct stage *s)
{
	CLEANUP(extent_unrefp) struct extent *room = NULL;
	int r = shard_reserve(s->shard, s->size, &room);

	if (r == 0 && s->size > 0)
		r = s->memory ? shard_write(s->shard, s->memory, s->size,
					    extent_offset(room))
			      : shard_fill(s->shard, extent_offset(room),
					   s->spool, 0, s->size);
	if (r == 0)
		s->room = STEAL(room);
	return r;
}

static int store_locked(struct stage *s)
{
	int r = stage_prepare_locked(s, s->size);

	if (r == 0)
		r = fill_locked(s, s->size);
	s->error = r;
	/* Where this fails, all bytes are still where they were: for another time. */
	if (r == 0 && !s->room)
		r = settle_locked(s);
	if (r == 0 && s->size < extent_size(s->room))
		extent_shrink(s->room, s->size);
	return r;
}

int stage_store(struct stage *s, uint64_t size, struct extent **ret,
		uint32_t *ret_crc32c)
{
	LOCK_SCOPE(&s->lock);
	int r = s->finished ? -EBUSY : s->error;

	if (r == 0 && s->size != size)
		return -EAGAIN;
	if (r == 0)
		r = store_locked(s);
	if (r < 0)
		return r;
	s->finished = true;
	*ret = extent_ref(s->room);
	*ret_crc32c = s->fresh == s->size ? s->fresh_crc : s->crc;
	return 0;
}

void stage_reopen(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	s->finished = false;
}

uint64_t stage_changes(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	return s->changes;
}

int stage_end(struct stage *s, uint64_t changes)
{
	LOCK_SCOPE(&s->lock);
	int r = s->finished ? -EBUSY : s->error;

	if (r == 0 && s->changes != changes)
		return -EAGAIN;
	s->finished |= r == 0;
	return r;
}
