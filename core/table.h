/*
 * table.h - read a table: sorted keys over a file
 *
 * The LevelDB-like "sstable" that a V2 index and a V1 checkpoint are:
 *
 *	OFFSET		SIZE	CONTENT
 *	0		...	data blocks, each with a trailer
 *	...		...	the metaindex block, which nobody reads
 *	...		...	the index block: the last key of each data block
 *				(or one between it and the next), and its handle
 *	size - 48	40	handles of metaindex and index, zero padding
 *	size - 8	8	magic 0xdb4775248b80fb57, little-endian
 *
 * A handle is a varint offset and a varint size; the size leaves out the trailer.
 * Blocks are read when the iterator comes to them, so memory is the index block
 * and one data block.  (Source: tensorflow/core/lib/io/table*, leveldb's
 * table_format.md; checked against files that TensorFlow 2.21 wrote.)
 *
 * Order of keys is not checked here: TensorFlow reads what it finds, and the
 * first of two equal keys wins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/block_scan.h"
#include "core/cleanup.h"
#include "core/coding.h"

struct table;
struct table_iter;

/* Whether a file of `size` bytes ends as a table does; nothing else of it is looked at. */
bool table_ends(int fd, uint64_t size);

/*
 * Reads footer and index block of the file `fd`, which the table borrows and
 * `name` describes in messages.  -EIO after a log line where they are damaged,
 * -EINVAL without one where the file does not end as a table does.
 */
int table_open(int fd, const char *name, struct table **ret);
void table_free(struct table *t);
DEFINE_CLEANUP(struct table, table_free)

int table_iter_new(const struct table *t, struct table_iter **ret);
void table_iter_free(struct table_iter *it);
DEFINE_CLEANUP(struct table_iter, table_iter_free)

/*
 * Whether there was a key behind the one that the index of the table has for its block: who
 * looks for it, as TensorFlow does, does not find it.
 */
bool table_iter_misplaced(const struct table_iter *it);
/*
 * Steps to the next entry: 1 and the entry, whose bytes hold until the next step;
 * 0 at the end; -EIO after a log line where a block is damaged, and the step after
 * that goes on with the block that follows.
 */
int table_iter_next(struct table_iter *it, struct span *ret_key,
		    struct span *ret_value);

/*
 * Where the value of `key` lies, for values that are too large to be held: its block is
 * checked and looked through as it is read.  A raw block answers with a stretch of the
 * file itself, and `*ret_fd` is -1.  A compressed one is unpacked into a file that
 * `spool` makes for up to so many bytes; that is `*ret_fd` then, to be closed.  0, -ENOENT,
 * -EIO after a log line, or what stands in the way of unpacking.
 */
typedef int table_spool(const void *arg, uint64_t n);
int table_find(const struct table *t, struct span key, table_spool *spool,
	       const void *arg, int *ret_fd, struct stretch *ret);

/* The block that has `key`, if any has: 0, -ENOENT, or -EIO after a log line. */
int table_place(const struct table *t, struct span key, struct stretch *ret);

/*
 * Looks at the checksum of every data block, without holding one in memory; `each` is told
 * of all of them, `fault` is NULL where it is right.  -EIO after a log line where the index
 * block is damaged: the blocks after that are not looked at.
 */
typedef void table_block(void *arg, struct stretch at, const char *fault);
int table_check(const struct table *t, table_block *each, void *arg);
