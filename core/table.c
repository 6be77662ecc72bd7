#include "core/table.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"
#include "core/unpack.h"

/* Twice the size at which TensorFlow ends a block. */
#define RECENT_MAX (UINT64_C(512) << 10)

#define BAD_ENTRY "block with an entry that does not fit into it"

struct table {
	int fd; /* borrowed */
	char *name;
	uint64_t end; /* of what blocks may lie in: where the footer begins */
	uint64_t index_offset;
	struct block index;
	struct recent *recent;
};

/*
 * The block that table_find() read last, if it is small: who copies all values finds
 * thousands of them in one.
 */
struct recent {
	pthread_mutex_t lock; /* for what follows */
	bool there;
	uint64_t offset;
	bool raw; /* as it lies in the file */
	struct block block;
};

struct table_iter {
	const struct table *table;
	struct block_iter index;
	uint64_t passed; /* the sizes of all blocks come to so far */
	/* The data block that is being read, if any. */
	uint64_t offset;
	struct block block;
	struct block_iter entries;
	struct span separator; /* in `index` */
	bool misplaced;
};

static int damaged(const struct table *t, uint64_t offset, const char *fault)
{
	log_error("%s: damaged at byte %" PRIu64 ": %s", t->name, offset,
		  fault);
	return -EIO;
}

/* Passes on what stepping through the block at `offset` has answered. */
static int checked_step(const struct table *t, uint64_t offset, int r)
{
	return r == -EIO ? damaged(t, offset, BAD_ENTRY) : r;
}

static int read_bytes(const struct table *t, uint64_t offset, void *buf,
		      size_t n)
{
	int r = io_read_at(t->fd, buf, n, offset);

	return r < 0 ? damaged(t, offset, strerror(-r)) : 0;
}

static bool handle_fits(const struct table *t, struct block_handle handle)
{
	uint64_t end;

	return handle.size <= BLOCK_SIZE_MAX &&
	       !__builtin_add_overflow(
		       handle.offset, handle.size + BLOCK_TRAILER_SIZE, &end) &&
	       end <= t->end;
}

static int read_block(const struct table *t, struct block_handle handle,
		      struct block *ret)
{
	CLEANUP(buf_release) struct buf stored = { 0 };
	const char *fault;
	int r;

	if (!handle_fits(t, handle))
		return damaged(t, handle.offset, "block outside the file");

	buf_put_zeros(&stored, (size_t)handle.size + BLOCK_TRAILER_SIZE);
	if (buf_error(&stored))
		return buf_error(&stored);
	r = read_bytes(t, handle.offset, stored.data, stored.len);
	if (r < 0)
		return r;

	r = block_open(&stored, ret, &fault);
	return r == -EIO ? damaged(t, handle.offset, fault) : r;
}

bool table_ends(int fd, uint64_t size)
{
	uint8_t bytes[sizeof(uint64_t)];
	struct span s = { bytes, sizeof(bytes) };
	uint64_t magic;

	return size >= TABLE_FOOTER_SIZE &&
	       io_read_at(fd, bytes, sizeof(bytes), size - sizeof(bytes)) ==
		       0 &&
	       span_get_fixed64(&s, &magic) && magic == TABLE_MAGIC;
}

/* Sets the end of the blocks as well, which handles are checked against. */
static int read_footer(struct table *t, struct block_handle *ret_index)
{
	uint8_t footer[TABLE_FOOTER_SIZE];
	struct span handles = { footer, TABLE_HANDLES_SIZE };
	struct span rest = { footer + TABLE_HANDLES_SIZE,
			     TABLE_FOOTER_SIZE - TABLE_HANDLES_SIZE };
	struct block_handle metaindex;
	uint64_t size, magic;
	int r = io_size(t->fd, &size);

	if (r < 0)
		return damaged(t, 0, strerror(-r));
	if (size < TABLE_FOOTER_SIZE)
		return -EINVAL;

	t->end = size - TABLE_FOOTER_SIZE;
	r = read_bytes(t, t->end, footer, sizeof(footer));
	if (r < 0)
		return r;
	if (!span_get_fixed64(&rest, &magic) || magic != TABLE_MAGIC)
		return -EINVAL;

	if (!block_handle_get(&handles, &metaindex) ||
	    !block_handle_get(&handles, ret_index))
		return damaged(t, t->end, "footer without handles");
	return 0;
}

static struct table *table_new(int fd, const char *name)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;

	t->fd = fd;
	t->name = strdup(name);
	t->recent = calloc(1, sizeof(*t->recent));
	if (!t->name || !t->recent) {
		free(t->name);
		free(t->recent);
		free(t);
		return NULL;
	}
	(void)pthread_mutex_init(&t->recent->lock, NULL);
	return t;
}

static int read_index(struct table *t)
{
	struct block_handle handle;
	int r = read_footer(t, &handle);

	if (r < 0)
		return r;

	t->index_offset = handle.offset;
	return read_block(t, handle, &t->index);
}

int table_open(int fd, const char *name, struct table **ret)
{
	struct table *t = table_new(fd, name);
	int r;

	if (!t)
		return -ENOMEM;

	r = read_index(t);
	if (r < 0) {
		table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;

	block_release(&t->recent->block);
	(void)pthread_mutex_destroy(&t->recent->lock);
	free(t->recent);
	block_release(&t->index);
	free(t->name);
	free(t);
}

/* An entry of the index holds a handle; what may follow in it is ignored. */
static int get_handle(const struct table *t, struct span value,
		      struct block_handle *ret)
{
	if (!block_handle_get(&value, ret))
		return damaged(t, t->index_offset, "index without a handle");
	return 0;
}

int table_iter_new(const struct table *t, struct table_iter **ret)
{
	struct table_iter *it = calloc(1, sizeof(*it));

	if (!it)
		return -ENOMEM;

	it->table = t;
	block_iter_init(&it->index, &t->index);
	*ret = it;
	return 0;
}

void table_iter_free(struct table_iter *it)
{
	if (!it)
		return;

	block_iter_release(&it->entries);
	block_release(&it->block);
	block_iter_release(&it->index);
	free(it);
}

/*
 * Blocks that do not overlap are, all together, no longer than the file.
 * Without this bound an index could name one block over and over, and a small
 * file could have us read for days.
 */
static int pass_block(struct table_iter *it, struct block_handle handle)
{
	if (__builtin_add_overflow(it->passed, handle.size, &it->passed) ||
	    it->passed > it->table->end) {
		it->passed = UINT64_MAX;
		return damaged(it->table, handle.offset, "overlapping blocks");
	}
	return 0;
}

/* Goes to the first entry of the next block: 1, or 0 if there is none. */
static int next_block(struct table_iter *it)
{
	const struct table *t = it->table;
	struct block_handle handle;
	struct span value;
	int r = block_iter_next(&it->index, &it->separator, &value);

	if (r <= 0)
		return checked_step(t, t->index_offset, r);

	r = get_handle(t, value, &handle);
	if (r < 0)
		return r;
	r = pass_block(it, handle);
	if (r < 0)
		return r;

	block_release(&it->block);
	r = read_block(t, handle, &it->block);
	if (r < 0)
		return r;

	it->offset = handle.offset;
	block_iter_init(&it->entries, &it->block);
	return 1;
}

int table_iter_next(struct table_iter *it, struct span *ret_key,
		    struct span *ret_value)
{
	int r;

	for (;;) {
		r = block_iter_next(&it->entries, ret_key, ret_value);
		if (r > 0 && span_compare(*ret_key, it->separator) > 0)
			it->misplaced = true;
		if (r != 0)
			return checked_step(it->table, it->offset, r);

		r = next_block(it);
		if (r <= 0)
			return r;
	}
}

bool table_iter_misplaced(const struct table_iter *it)
{
	return it->misplaced;
}

/* The one block that `key` can be in: 0 or -ENOENT. */
static int find_handle(const struct table *t, struct span key,
		       struct block_handle *ret)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span separator, value;
	int r;

	block_iter_init(&it, &t->index);
	r = block_iter_seek(&it, key, &separator, &value);
	if (r <= 0)
		return r ? checked_step(t, t->index_offset, r) : -ENOENT;

	return get_handle(t, value, ret);
}

/* --- values that are not held in memory ------------------------------------- */

/* Unpacks the block at `at` into `*ret_fd`: `at` is then where it lies in that. */
static int unpack(const struct table *t, table_spool *spool, const void *arg,
		  struct stretch *at, int *ret_fd)
{
	CLEANUP(close_fd) int fd = -1;
	uint64_t max = at->size * SNAPPY_EXPANSION_MAX + SNAPPY_SLACK;
	uint64_t size;
	struct stream in;
	int r;

	fd = spool(arg, max);
	if (fd < 0)
		return fd;
	stream_init(&in, t->fd, at->offset, at->size);
	r = unpack_stream(&in, fd, max < BLOCK_SIZE_MAX ? max : BLOCK_SIZE_MAX,
			  &size);
	if (r == -EBADMSG || r == -EIO)
		return damaged(t, at->offset, "damaged snappy data");
	if (r < 0)
		return r;
	*at = (struct stretch){ 0, size };
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_contents(const struct table *t, struct block_handle handle,
			 table_spool *spool, const void *arg,
			 struct stretch *ret, int *ret_fd)
{
	struct stretch at = { handle.offset, handle.size };
	const char *fault;
	uint8_t type;
	int r;

	if (!handle_fits(t, handle))
		return damaged(t, handle.offset, "block outside the file");
	if (block_check(t->fd, at, &type, &fault) < 0)
		return damaged(t, handle.offset, fault);
	if (type != BLOCK_RAW && type != BLOCK_SNAPPY)
		return damaged(t, handle.offset, "block of unknown type");
	r = type == BLOCK_SNAPPY ? unpack(t, spool, arg, &at, ret_fd) : 0;
	if (r == 0)
		*ret = at;
	return r;
}

/* Reads the block if it is not the one that was read last. */
static int read_recent_locked(const struct table *t, struct block_handle handle)
{
	struct recent *b = t->recent;
	uint8_t type = BLOCK_RAW;
	int r;

	if (b->there && b->offset == handle.offset)
		return 0;
	b->there = false;
	block_release(&b->block);
	r = read_block(t, handle, &b->block);
	if (r == 0)
		r = read_bytes(t, handle.offset + handle.size, &type, 1);
	if (r < 0)
		return r;
	b->raw = type == BLOCK_RAW;
	b->offset = handle.offset;
	b->there = true;
	return 0;
}

/* Where what is unpacked goes. */
struct spooling {
	table_spool *spool;
	const void *arg;
};

/* A value that was unpacked, as a file. */
static int put_value(struct span value, struct spooling to, int *ret_fd)
{
	CLEANUP(close_fd) int fd = to.spool(to.arg, value.len);
	int r = fd < 0 ? fd : io_write_at(fd, value.data, value.len, 0);

	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* The entry of `key` in the block that was read last. */
static int find_in_recent(const struct table *t, struct span key,
			  struct span *ret)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span found;
	int r;

	block_iter_init(&it, &t->recent->block);
	r = block_iter_seek(&it, key, &found, ret);
	if (r < 0)
		return checked_step(t, t->recent->offset, r);
	return r && span_equal(found, key) ? 0 : -ENOENT;
}

static int find_in_small(const struct table *t, struct block_handle handle,
			 struct span key, struct spooling to, int *ret_fd,
			 struct stretch *ret)
{
	const struct recent *b = t->recent;
	struct span value;
	LOCK_SCOPE(&t->recent->lock);
	int r = read_recent_locked(t, handle);

	if (r == 0)
		r = find_in_recent(t, key, &value);
	if (r < 0)
		return r;
	*ret = (struct stretch){ 0, value.len };
	if (!b->raw)
		return put_value(value, to, ret_fd);
	ret->offset = handle.offset +
		      (uint64_t)(value.data - b->block.contents.data);
	*ret_fd = -1;
	return 0;
}

int table_find(const struct table *t, struct span key, table_spool *spool,
	       const void *arg, int *ret_fd, struct stretch *ret)
{
	CLEANUP(close_fd) int fd = -1;
	struct block_handle handle;
	struct stretch at;
	const char *fault;
	int r = find_handle(t, key, &handle);

	if (r == 0 && handle.size <= RECENT_MAX)
		return find_in_small(t, handle, key,
				     (struct spooling){ spool, arg }, ret_fd,
				     ret);
	if (r == 0)
		r = open_contents(t, handle, spool, arg, &at, &fd);
	if (r < 0)
		return r;
	r = block_scan(fd < 0 ? t->fd : fd, at, key, ret, &fault);
	if (r < 0)
		return damaged(t, handle.offset, fault);
	if (r == 0)
		return -ENOENT;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int table_place(const struct table *t, struct span key, struct stretch *ret)
{
	struct block_handle handle;
	int r = find_handle(t, key, &handle);

	if (r == 0)
		*ret = (struct stretch){ handle.offset, handle.size };
	return r;
}

int table_check(const struct table *t, table_block *each, void *arg)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span separator, value;
	uint64_t passed = 0;
	int r;

	block_iter_init(&it, &t->index);
	while ((r = block_iter_next(&it, &separator, &value)) > 0) {
		struct block_handle handle;
		struct stretch at;
		const char *fault = NULL;
		uint8_t type;

		if (get_handle(t, value, &handle) < 0)
			return -EIO;
		at = (struct stretch){ handle.offset, handle.size };
		/* As in pass_block(): a small file must not keep us for days. */
		if (!handle_fits(t, handle) ||
		    __builtin_add_overflow(passed, handle.size, &passed) ||
		    passed > t->end)
			return damaged(
				t, handle.offset,
				"block outside the file, or overlapping");
		if (block_check(t->fd, at, &type, &fault) == 0)
			fault = type == BLOCK_RAW || type == BLOCK_SNAPPY
					? NULL
					: "block of unknown type";
		each(arg, at, fault);
	}
	return r < 0 ? checked_step(t, t->index_offset, r) : 0;
}
