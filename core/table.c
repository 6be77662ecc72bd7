#include "core/table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"

#define BAD_ENTRY "block with an entry that does not fit into it"

struct table {
	int fd; /* borrowed */
	char *name;
	uint64_t end; /* of what blocks may lie in: where the footer begins */
	uint64_t index_offset;
	struct block index;
};

struct table_iter {
	const struct table *table;
	struct block_iter index;
	uint64_t passed; /* the sizes of all blocks come to so far */
	/* The data block that is being read, if any. */
	uint64_t offset;
	struct block block;
	struct block_iter entries;
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
	if (!t->name) {
		free(t);
		return NULL;
	}
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
	struct span separator, value;
	int r = block_iter_next(&it->index, &separator, &value);

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
		if (r != 0)
			return checked_step(it->table, it->offset, r);

		r = next_block(it);
		if (r <= 0)
			return r;
	}
}

/* Reads the one block that `key` can be in: 0 or -ENOENT. */
static int find_block(const struct table *t, struct span key, struct block *ret,
		      uint64_t *ret_offset)
{
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct block_handle handle;
	struct span separator, value;
	int r;

	block_iter_init(&it, &t->index);
	r = block_iter_seek(&it, key, &separator, &value);
	if (r <= 0)
		return r ? checked_step(t, t->index_offset, r) : -ENOENT;

	r = get_handle(t, value, &handle);
	if (r < 0)
		return r;

	*ret_offset = handle.offset;
	return read_block(t, handle, ret);
}

int table_get(const struct table *t, struct span key, struct buf *ret)
{
	CLEANUP(block_release) struct block block = { 0 };
	CLEANUP(block_iter_release) struct block_iter it = { 0 };
	struct span found, value;
	uint64_t offset;
	int r;

	r = find_block(t, key, &block, &offset);
	if (r < 0)
		return r;

	block_iter_init(&it, &block);
	r = block_iter_seek(&it, key, &found, &value);
	if (r < 0)
		return checked_step(t, offset, r);
	if (r == 0 || !span_equal(found, key))
		return -ENOENT;

	buf_put(ret, value.data, value.len);
	return buf_error(ret);
}
