#include "core/stage.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"

#define MEMORY_MAX (UINT64_C(64) << 10)
#define CHUNK      (UINT64_C(256) << 10)

static const uint8_t zeros[CHUNK];

struct stage {
	atomic_uint refs;
	struct shard *shard; /* where the value will go */
	struct entry *base;  /* what it begins with, or NULL */

	pthread_mutex_t lock; /* for all that follows */
	uint64_t expected;    /* the size that the value should have */
	int error;            /* of the first write that failed */
	bool copied;          /* holds what it began with */
	bool written;         /* since it was made */
	bool finished;        /* its bytes are where they will stay */
	bool told;            /* somebody said why it came to nothing */
	/* Where the bytes are: in one of these, in none before the first. */
	uint8_t *memory; /* of `cap` bytes, at most MEMORY_MAX */
	size_t cap;
	struct extent *room; /* in the shard, of `expected` bytes */
	int spool;           /* an unnamed file, or -1 */
	uint64_t size;       /* as the file shows it */
	uint64_t filled; /* bytes written; from there to `size` all is zero */
	uint32_t crc;    /* of the first `filled` bytes */
	uint64_t fresh;  /* from the start, in order, written anew */
	uint32_t fresh_crc;
};

static void stage_free(struct stage *s)
{
	extent_unref(s->room);
	close_fd(&s->spool);
	(void)pthread_mutex_destroy(&s->lock);
	entry_unref(s->base);
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

int stage_new(struct shard *shard, struct entry *base, uint64_t expected,
	      struct stage **ret)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->shard = shard_ref(shard);
	s->base = base ? entry_ref(base) : NULL;
	s->expected = expected;
	s->spool = -1;
	s->copied = !base;
	s->size = base ? entry_size(base) : 0;
	*ret = s;
	return 0;
}

void stage_expect(struct stage *s, uint64_t expected)
{
	LOCK_SCOPE(&s->lock);
	if (!s->memory && !s->room && s->spool < 0)
		s->expected = expected;
}

/* --- where the bytes are -------------------------------------------------- */

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

/* Room for the first `end` bytes, wherever it is. */
static int take_room_locked(struct stage *s, uint64_t end)
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

static int put_locked(struct stage *s, const void *data, size_t n,
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

static int get_locked(const struct stage *s, void *buf, size_t n,
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

/* A writer that did not truncate finds the old value in its stage. */
static int copy_base_locked(struct stage *s)
{
	struct shard *from = s->copied ? NULL : entry_shard(s->base);
	uint64_t offset = s->copied ? 0 : entry_offset(s->base);
	uint64_t n = s->copied ? 0 : entry_size(s->base);
	int r;

	if (s->copied)
		return 0;
	if (s->memory)
		r = io_read_at(shard_fd(from), s->memory, n, offset);
	else if (s->room)
		r = shard_fill(s->shard, extent_offset(s->room), shard_fd(from),
			       offset, n);
	else
		r = io_copy(shard_fd(from), offset, s->spool, 0, n);
	if (r < 0)
		return r;
	s->filled = n;
	s->crc = entry_crc32c(s->base);
	s->copied = true;
	return 0;
}

/* Makes the stage fit to hold its first `end` bytes. */
static int prepare_locked(struct stage *s, uint64_t end)
{
	int r;

	if (!s->copied && end < entry_size(s->base))
		end = entry_size(s->base);
	r = take_room_locked(s, end);
	return r < 0 ? r : copy_base_locked(s);
}

/* Adds `data` at the end of what is filled. */
static int append_locked(struct stage *s, const void *data, size_t n)
{
	int r = put_locked(s, data, n, s->filled);

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
		int r = append_locked(s, zeros, gap < CHUNK ? gap : CHUNK);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Writes over bytes that are there; the checksum changes by what they change. */
static int overwrite_locked(struct stage *s, const uint8_t *data, size_t n,
			    uint64_t offset)
{
	CLEANUP(free_ptr) uint8_t *old = malloc(CHUNK);

	if (!old)
		return -ENOMEM;
	while (n > 0) {
		size_t part = n < CHUNK ? n : CHUNK;
		int r = get_locked(s, old, part, offset);

		if (r == 0)
			r = put_locked(s, data, part, offset);
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
	int r = offset > INT64_MAX - n ? -EFBIG : prepare_locked(s, offset + n);

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
	int r;

	pthread_mutex_lock(&s->lock);
	if (s->finished) {
		r = -EBUSY;
	} else if (s->error) {
		r = s->error;
	} else {
		r = write_locked(s, data, n, offset);
		s->error = r;
		s->written = true;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Cuts what is filled; the checksum of the rest has to be found anew. */
static int cut_locked(struct stage *s, uint64_t size)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	uint64_t at = 0;
	uint32_t crc = 0;

	if (!chunk)
		return -ENOMEM;
	while (at < size) {
		size_t part = size - at < CHUNK ? size - at : CHUNK;
		int r = get_locked(s, chunk, part, at);

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
		r = prepare_locked(s, 0);
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
	bool first;

	pthread_mutex_lock(&s->lock);
	first = !s->told;
	s->told = true;
	pthread_mutex_unlock(&s->lock);
	return first;
}

uint64_t stage_size(struct stage *s)
{
	uint64_t size;

	pthread_mutex_lock(&s->lock);
	size = s->size;
	pthread_mutex_unlock(&s->lock);
	return size;
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
		r = prepare_locked(s, 0);
	if (r == 0 && offset < s->filled) {
		have = s->filled - offset < n ? s->filled - offset : n;
		r = get_locked(s, buf, have, offset);
	}
	if (r < 0)
		return r;
	memset(buf + have, 0, n - have);
	return (ssize_t)n;
}

ssize_t stage_read(struct stage *s, void *buf, size_t n, uint64_t offset)
{
	ssize_t r;

	pthread_mutex_lock(&s->lock);
	r = read_locked(s, buf, n, offset);
	pthread_mutex_unlock(&s->lock);
	return r;
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
	int fd = shard_fd(entry_shard(from));
	int r;

	if (s->finished || s->filled || s->size)
		return -EBUSY;
	r = take_room_locked(s, n);
	if (r < 0)
		return r;
	if (s->memory)
		r = io_read_at(fd, s->memory, n, entry_offset(from));
	else if (s->room)
		r = shard_fill(s->shard, extent_offset(s->room), fd,
			       entry_offset(from), n);
	else
		r = io_copy(fd, entry_offset(from), s->spool, 0, n);
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
	return s->error ? s->error : copy_locked(s, from);
}

int stage_clone(struct stage *s, struct stage **ret)
{
	CLEANUP(stage_unrefp) struct stage *copy = NULL;
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	int r = chunk ? stage_new(s->shard, NULL, STAGE_UNKNOWN, &copy)
		      : -ENOMEM;

	for (uint64_t at = 0; r == 0; at += CHUNK) {
		ssize_t n = stage_read(s, chunk, CHUNK, at);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		r = stage_write(copy, chunk, (size_t)n, at);
	}
	if (r == 0)
		*ret = STEAL(copy);
	return r;
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
	int r = prepare_locked(s, s->size);

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

int stage_store(struct stage *s, struct extent **ret, uint32_t *ret_crc32c)
{
	LOCK_SCOPE(&s->lock);
	int r = s->finished ? -EBUSY : s->error;

	if (r == 0)
		r = store_locked(s);
	if (r < 0)
		return r;
	s->finished = true;
	*ret = extent_ref(s->room);
	*ret_crc32c = s->fresh == s->size ? s->fresh_crc : s->crc;
	return 0;
}

int stage_end(struct stage *s)
{
	LOCK_SCOPE(&s->lock);
	int r = s->finished ? -EBUSY : s->error;

	s->finished = true;
	return r;
}
