/*
 * table_writer.h - build a table, as TensorFlow's TableBuilder does
 *
 * Add entries in rising order of keys, then finish.  The bytes are those that
 * TensorFlow writes for the same entries (type 0 blocks of 256 KiB, a restart at
 * every 16th entry), unless zeros are asked for between the last data block and
 * the metaindex block, which no reader looks at: only the two handles in the
 * footer know that they are there.
 *
 * The table grows in memory, or in a file.  There, memory is a block at most: a value
 * larger than that is put in parts, and goes to the file part by part.
 *
 * Like a buf, the writer remembers its first error: add freely, ask once.
 */
#pragma once

#include <stdint.h>

#include "core/cleanup.h"
#include "core/coding.h"

struct table_writer;

/* Appends to `out`, which is empty and outlives the writer. */
int table_writer_new(struct buf *out, struct table_writer **ret);
/* Writes to `fd`, an empty file, which it borrows. */
int table_writer_new_file(int fd, struct table_writer **ret);
void table_writer_free(struct table_writer *w);
DEFINE_CLEANUP(struct table_writer, table_writer_free)

/* Keys rise strictly; one that does not is remembered as -EINVAL. */
void table_writer_add(struct table_writer *w, struct span key,
		      struct span value);

/*
 * The same for a value of `len` bytes that come in parts.  Whatever comes next finds
 * -EINVAL if they were more or fewer.
 */
void table_writer_begin(struct table_writer *w, struct span key, uint64_t len);
void table_writer_put(struct table_writer *w, const void *data, size_t n);

/* The first error so far, for who could stop early. */
int table_writer_error(const struct table_writer *w);

/* Ends the data blocks; the size the table has if no zeros are put in. */
uint64_t table_writer_seal(struct table_writer *w);

/*
 * Writes the rest so that the table is `size` bytes long, or as long as
 * table_writer_seal() said if that is more.  0, -ENOMEM, -EINVAL, or what the disk says.
 */
int table_writer_finish(struct table_writer *w, uint64_t size);
