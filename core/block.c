#include "core/block.h"

#include <errno.h>
#include <snappy-c.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/unpack.h"

#define RESTART_SIZE sizeof(uint32_t)

/* Three varints of 32 bits, and a restart. */
#define ENTRY_OVERHEAD_MAX (5 + 5 + 5 + RESTART_SIZE)

static int fail(const char *fault, const char **ret_fault)
{
	*ret_fault = fault;
	return -EIO;
}

/* Replaces the contents of `b` by what they unpack to. */
static int unpack_snappy(struct buf *b, const char **ret_fault)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	const char *packed = (const char *)b->data;
	uint64_t max = (uint64_t)b->len * SNAPPY_EXPANSION_MAX + SNAPPY_SLACK;
	size_t len;

	if (snappy_uncompressed_length(packed, b->len, &len) != SNAPPY_OK)
		return fail("no snappy data", ret_fault);
	if (len > max || len > BLOCK_SIZE_MAX)
		return fail("snappy data of impossible length", ret_fault);

	buf_put_zeros(&raw, len);
	if (buf_error(&raw))
		return buf_error(&raw);
	if (snappy_uncompress(packed, b->len, (char *)raw.data, &len) !=
	    SNAPPY_OK)
		return fail("damaged snappy data", ret_fault);

	buf_release(b);
	*b = raw;
	raw = (struct buf){ 0 };
	return 0;
}

/* Replaces the stored block `b` by its contents. */
static int unpack(struct buf *b, const char **ret_fault)
{
	struct span rest = buf_span(b);
	struct span contents, type;
	uint32_t crc;

	if (rest.len < BLOCK_TRAILER_SIZE ||
	    !span_take(&rest, rest.len - BLOCK_TRAILER_SIZE, &contents) ||
	    !span_take(&rest, 1, &type) || !span_get_fixed32(&rest, &crc))
		return fail("block without trailer", ret_fault);

	if (crc32c_unmask(crc) != crc32c_extend(0, b->data, contents.len + 1))
		return fail("block with a wrong checksum", ret_fault);

	b->len = contents.len;
	switch (*type.data) {
	case BLOCK_RAW:
		return 0;
	case BLOCK_SNAPPY:
		return unpack_snappy(b, ret_fault);
	default:
		return fail("block of unknown type", ret_fault);
	}
}

/* Finds where the entries end, which only the last four bytes tell. */
static int find_restarts(struct block *b, const char **ret_fault)
{
	struct span rest = buf_span(&b->contents);
	struct span before;

	if (rest.len < RESTART_SIZE ||
	    !span_take(&rest, rest.len - RESTART_SIZE, &before) ||
	    !span_get_fixed32(&rest, &b->restarts))
		return fail("block without restarts", ret_fault);

	if (b->restarts == 0 || b->restarts > before.len / RESTART_SIZE)
		return fail("block with a wrong count of restarts", ret_fault);

	b->entries_len = before.len - b->restarts * RESTART_SIZE;
	return 0;
}

int block_open(struct buf *stored, struct block *ret, const char **ret_fault)
{
	CLEANUP(block_release) struct block b = { .contents = *stored };
	int r;

	*stored = (struct buf){ 0 };
	r = unpack(&b.contents, ret_fault);
	if (r < 0)
		return r;
	r = find_restarts(&b, ret_fault);
	if (r < 0)
		return r;

	*ret = b;
	b = (struct block){ 0 };
	return 0;
}

void block_release(struct block *b)
{
	buf_release(&b->contents);
	*b = (struct block){ 0 };
}

void block_iter_init(struct block_iter *it, const struct block *block)
{
	it->block = block;
	it->rest = (struct span){ block->contents.data, block->entries_len };
	it->key.len = 0;
}

void block_iter_release(struct block_iter *it)
{
	buf_release(&it->key);
	*it = (struct block_iter){ 0 };
}

static bool get_length(struct span *s, size_t *ret)
{
	struct span rest = *s;
	uint64_t value;

	if (!span_get_varint(&rest, &value) || value > UINT32_MAX)
		return false;

	*s = rest;
	*ret = (size_t)value;
	return true;
}

int block_iter_next(struct block_iter *it, struct span *ret_key,
		    struct span *ret_value)
{
	struct span rest = it->rest;
	size_t shared, unshared, value_len;
	struct span suffix, value;

	if (rest.len == 0)
		return 0;

	it->rest.len = 0; /* after damage there is no telling what comes next */
	if (!get_length(&rest, &shared) || !get_length(&rest, &unshared) ||
	    !get_length(&rest, &value_len) || shared > it->key.len ||
	    !span_take(&rest, unshared, &suffix) ||
	    !span_take(&rest, value_len, &value))
		return -EIO;

	it->key.len = shared;
	buf_put(&it->key, suffix.data, suffix.len);
	if (buf_error(&it->key))
		return buf_error(&it->key);

	it->rest = rest;
	*ret_key = buf_span(&it->key);
	*ret_value = value;
	return 1;
}

/* Goes to a restart, where the key is empty: an entry that shares is caught. */
static bool go_to_restart(struct block_iter *it, uint32_t i)
{
	const struct block *b = it->block;
	struct span rest = buf_span(&b->contents);
	struct span skipped;
	uint32_t offset;

	if (!span_take(&rest, b->entries_len + i * RESTART_SIZE, &skipped) ||
	    !span_get_fixed32(&rest, &offset) || offset >= b->entries_len)
		return false;

	block_iter_init(it, b);
	return span_take(&it->rest, offset, &skipped);
}

/* Goes to the last restart whose key is below `key`, or else to the first. */
static int bisect_restarts(struct block_iter *it, struct span key)
{
	uint32_t low = 0;
	uint32_t high = it->block->restarts; /* as if its key were not below */

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		struct span found = { 0 };
		struct span value;
		int r;

		if (!go_to_restart(it, middle))
			return -EIO;
		r = block_iter_next(it, &found, &value);
		if (r < 0)
			return r;
		if (span_compare(found, key) < 0)
			low = middle;
		else
			high = middle;
	}
	return go_to_restart(it, low) ? 0 : -EIO;
}

int block_iter_seek(struct block_iter *it, struct span key,
		    struct span *ret_key, struct span *ret_value)
{
	struct span found = { 0 };
	struct span value = { 0 };
	int r;

	if (it->block->entries_len == 0)
		return 0;

	r = bisect_restarts(it, key);
	if (r < 0) {
		it->rest.len = 0;
		return r;
	}

	do {
		r = block_iter_next(it, &found, &value);
		if (r <= 0)
			return r;
	} while (span_compare(found, key) < 0);

	*ret_key = found;
	*ret_value = value;
	return 1;
}

void block_builder_start(struct block_builder *b, struct buf *out,
			 unsigned interval)
{
	b->out = out;
	b->start = out->len;
	b->interval = interval;
	b->entries = 0;
	b->drained = 0;
	b->crc = 0;
	b->restarts.len = 0;
	buf_put_fixed32(&b->restarts, 0);
}

void block_builder_release(struct block_builder *b)
{
	buf_release(&b->restarts);
	buf_release(&b->last_key);
	*b = (struct block_builder){ 0 };
}

static int builder_error(const struct block_builder *b)
{
	if (buf_error(b->out))
		return buf_error(b->out);
	if (buf_error(&b->restarts))
		return buf_error(&b->restarts);
	return buf_error(&b->last_key);
}

/* Of the entries so far. */
static uint64_t entries_size(const struct block_builder *b)
{
	return b->drained + (b->out->len - b->start);
}

static bool has_room(const struct block_builder *b, struct span key,
		     uint64_t value_len)
{
	uint64_t size = block_builder_size(b) + ENTRY_OVERHEAD_MAX;

	return !__builtin_add_overflow(size, key.len, &size) &&
	       !__builtin_add_overflow(size, value_len, &size) &&
	       size <= BLOCK_SIZE_MAX;
}

/* How much of `key` need not be stored; notes a restart, where all of it is. */
static size_t begin_entry(struct block_builder *b, struct span key)
{
	if (b->entries % b->interval != 0)
		return block_common_prefix(buf_span(&b->last_key), key);

	if (b->entries > 0)
		buf_put_fixed32(&b->restarts, (uint32_t)entries_size(b));
	return 0;
}

int block_builder_begin(struct block_builder *b, struct span key, uint64_t n)
{
	size_t shared;

	if (!has_room(b, key, n))
		return -EINVAL;

	shared = begin_entry(b, key);
	buf_put_varint(b->out, shared);
	buf_put_varint(b->out, key.len - shared);
	buf_put_varint(b->out, n);
	buf_put(b->out, key.data + shared, key.len - shared);
	b->entries++;

	b->last_key.len = 0;
	buf_put(&b->last_key, key.data, key.len);
	return builder_error(b);
}

int block_builder_add(struct block_builder *b, struct span key,
		      struct span value)
{
	int r = block_builder_begin(b, key, value.len);

	if (r < 0)
		return r;
	buf_put(b->out, value.data, value.len);
	return buf_error(b->out);
}

void block_builder_drain(struct block_builder *b)
{
	b->crc = crc32c_extend(b->crc, b->out->data + b->start,
			       b->out->len - b->start);
	b->drained += b->out->len - b->start;
	b->out->len = 0;
	b->start = 0;
}

uint64_t block_builder_size(const struct block_builder *b)
{
	return entries_size(b) + b->restarts.len + RESTART_SIZE;
}

bool block_builder_empty(const struct block_builder *b)
{
	return b->entries == 0;
}

struct span block_builder_last_key(const struct block_builder *b)
{
	return buf_span(&b->last_key);
}

int block_builder_finish(struct block_builder *b, struct block_handle *ret)
{
	const uint8_t type = BLOCK_RAW;
	uint64_t size;
	uint32_t crc;

	buf_put(b->out, b->restarts.data, b->restarts.len);
	buf_put_fixed32(b->out, (uint32_t)(b->restarts.len / RESTART_SIZE));
	size = entries_size(b);
	buf_put(b->out, &type, sizeof(type));
	if (builder_error(b))
		return builder_error(b);

	crc = crc32c_extend(b->crc, b->out->data + b->start,
			    b->out->len - b->start);
	buf_put_fixed32(b->out, crc32c_mask(crc));
	if (buf_error(b->out))
		return buf_error(b->out);

	*ret = (struct block_handle){ b->start, size };
	return 0;
}

size_t block_common_prefix(struct span a, struct span b)
{
	size_t max = a.len < b.len ? a.len : b.len;
	size_t n = 0;

	while (n < max && a.data[n] == b.data[n])
		n++;
	return n;
}

bool block_handle_get(struct span *s, struct block_handle *ret)
{
	struct span rest = *s;
	struct block_handle handle;

	if (!span_get_varint(&rest, &handle.offset) ||
	    !span_get_varint(&rest, &handle.size))
		return false;

	*s = rest;
	*ret = handle;
	return true;
}

void block_handle_put(struct buf *b, struct block_handle handle)
{
	buf_put_varint(b, handle.offset);
	buf_put_varint(b, handle.size);
}
