/*
 * block.h - one block of a table: entries in order, without what keys share
 *
 * On disk a block is its contents, raw or compressed, and a trailer:
 *
 *	SIZE	CONTENT
 *	...	contents
 *	1	type: 0 raw, 1 snappy
 *	4	masked CRC over the contents as stored, and the type
 *
 * The contents, once unpacked, are entries and then restarts:
 *
 *	SIZE	CONTENT, for each entry
 *	varint	shared: how many bytes of the key are those of the key before
 *	varint	unshared: how many follow
 *	varint	length of the value
 *	...	the unshared bytes of the key, then the value
 *
 *	SIZE	CONTENT, after the last entry
 *	4 * n	restarts: offsets of entries that share nothing, first 0
 *	4	n, at least 1 even where there are no entries
 *
 * None of the three lengths exceeds 32 bits.  To find a key, bisect the
 * restarts and read on from the last one below it.  (Source: format.cc and
 * block.cc in tensorflow/core/lib/io; checked against files that TensorFlow
 * 2.21 wrote.)
 *
 * The second half of this file is what reader and writer of tables agree on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

/* A byte for the type, four for the masked checksum of contents and type. */
#define BLOCK_TRAILER_SIZE 5

enum block_type {
	BLOCK_RAW = 0,
	BLOCK_SNAPPY = 1
};

/*
 * No block is larger, stored or unpacked: offsets in it are of 32 bits.  What a
 * damaged file can make us allocate ends here.
 */
#define BLOCK_SIZE_MAX (UINT32_MAX - BLOCK_TRAILER_SIZE)

/* Unpacked contents, their restarts checked; all zeroes is no block. */
struct block {
	struct buf contents;
	size_t entries_len; /* the restarts begin here */
	uint32_t restarts;
};

/*
 * Takes over `stored`, the bytes of a block and its trailer, whatever comes of
 * it.  0, -ENOMEM, or -EIO where they are damaged, and `ret_fault` is how: a
 * phrase for the log line of whoever knows the file.
 */
int block_open(struct buf *stored, struct block *ret, const char **ret_fault);
void block_release(struct block *b);

/* A place in a block, which must stay where it is; all zeroes is at an end. */
struct block_iter {
	const struct block *block;
	struct span rest; /* the entries not yet read */
	struct buf key;   /* the last one read */
};

/* Goes to the first entry, also if the iterator was used before. */
void block_iter_init(struct block_iter *it, const struct block *block);
void block_iter_release(struct block_iter *it);

/*
 * Steps to the next entry: 1 and the entry, whose key holds until the next step
 * and whose value until the block is released; 0 at the end; -ENOMEM; -EIO
 * where the entry is damaged, and no entry follows.
 */
int block_iter_next(struct block_iter *it, struct span *ret_key,
		    struct span *ret_value);

/* Steps to the first entry not below `key`; answers as block_iter_next(). */
int block_iter_seek(struct block_iter *it, struct span key,
		    struct span *ret_key, struct span *ret_value);

/* Appends blocks to a buffer, one after the other. */
struct block_builder {
	struct buf *out;     /* borrowed */
	size_t start;        /* of this block in `out` */
	struct buf restarts; /* as they go to disk */
	struct buf last_key;
	unsigned interval; /* of entries from one restart to the next */
	uint64_t entries;
	uint64_t drained; /* bytes of this block that are not in `out` any more */
	uint32_t crc;     /* of these */
};

/* Where a block lies in its file; the trailer is not counted in. */
struct block_handle {
	uint64_t offset;
	uint64_t size;
};

/* Begins a block at the end of `out`.  The key added last is kept. */
void block_builder_start(struct block_builder *b, struct buf *out,
			 unsigned interval);
void block_builder_release(struct block_builder *b);

/*
 * 0, -ENOMEM, or -EINVAL where the block would grow beyond BLOCK_SIZE_MAX.
 * That keys rise is for the caller to see to.
 */
int block_builder_add(struct block_builder *b, struct span key,
		      struct span value);

/*
 * The same for a value of `n` bytes that the caller then puts into `out`, in as many
 * steps as he likes.
 */
int block_builder_begin(struct block_builder *b, struct span key, uint64_t n);

/*
 * Before the caller takes all that there is of the block out of `out`, to make room: it
 * is summed up.  `out` then is empty, and goes on with the block.
 */
void block_builder_drain(struct block_builder *b);

/* The length of the contents if the block ended here. */
uint64_t block_builder_size(const struct block_builder *b);
bool block_builder_empty(const struct block_builder *b);

/* The key added last, even if that was to a block before this one. */
struct span block_builder_last_key(const struct block_builder *b);

/*
 * Appends restarts and trailer; another start may follow.  0 or -ENOMEM.  The offset is
 * that in `out`, of a block that was drained 0.
 */
int block_builder_finish(struct block_builder *b, struct block_handle *ret);

/* How many bytes two keys have in common before they differ. */
size_t block_common_prefix(struct span a, struct span b);

bool block_handle_get(struct span *s, struct block_handle *ret);
void block_handle_put(struct buf *b, struct block_handle handle);

/* The end of a table: handles, zeros up to TABLE_HANDLES_SIZE, the magic. */
#define TABLE_HANDLES_SIZE 40
#define TABLE_FOOTER_SIZE  48
#define TABLE_MAGIC        0xdb4775248b80fb57U
