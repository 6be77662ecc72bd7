/*
 * shard.h - one data file of a bundle, open
 *
 * A shard is opened when the index that names it is read, and stays open as long as
 * an entry of it is held: what TensorFlow renames over its path is another file.
 * Several versions of a checkpoint share one shard, since a commit only adds bytes
 * at its end.
 *
 * A file that is mapped can shrink under the map, and whoever reads there dies of
 * SIGBUS.  So a map is handed to the kernel, which answers EIO, and never read by
 * us; nor is the source ever mapped writable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/coding.h"

struct shard;

/*
 * Opens PREFIX.data-ID-of-NUM in `dirfd` (borrowed; it must outlive the shard).  One
 * that cannot be opened is a shard all the same: shard_missing().
 */
int shard_open(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
	       struct shard **ret);
/* Whether there was none, or none that can be read. */
bool shard_missing(const struct shard *s);
struct shard *shard_ref(struct shard *s);
void shard_unref(struct shard *s);

int32_t shard_id(const struct shard *s);
const char *shard_name(const struct shard *s);
/* For reading; the shard keeps it. */
int shard_fd(const struct shard *s);
/* Its length, as far as nobody else changes it. */
uint64_t shard_end(struct shard *s);
/* An index names bytes up to `end`: nothing is reserved before them. */
void shard_name_to(struct shard *s, uint64_t end);

/* Whether its path still leads to this very file, as long as we know it. */
bool shard_in_place(struct shard *s);

/*
 * Whether the file was made after `index`, and had come here, or changed, less than two
 * seconds ago when it was opened.  False where the filesystem does not tell when a file was made.
 */
bool shard_just_came(const struct shard *s, const struct timespec *index);

/* Bytes to give to the kernel and not to look at; NULL if they cannot be mapped. */
const void *shard_map(struct shard *s, uint64_t offset, size_t n);

/*
 * Opens it for writing, once: 0; -EROFS, -EACCES; -EOPNOTSUPP with a log line where
 * bytes of others could be touched: the file has another name (a hard-linked
 * backup), or is reached through a symbolic link.
 */
int shard_edit(struct shard *s);

/*
 * After shard_edit(): room for `n` bytes at its end.  Their content is not known.  Where
 * the file is shorter than an index says: -ESTALE if it has just changed, else -EIO after
 * a log line.
 */
int shard_reserve(struct shard *s, uint64_t n, uint64_t *ret_offset);
/* Gives room back that no index has named. */
void shard_unreserve(struct shard *s, uint64_t offset, uint64_t n);
/* -ESTALE where somebody else has rewritten the file in place. */
int shard_write(struct shard *s, const void *data, size_t n, uint64_t offset);
/* Copies `n` bytes of `from` into `to`. */
int shard_copy(const struct shard *from, uint64_t from_offset, struct shard *to,
	       uint64_t to_offset, uint64_t n);
/* The same from another file, from its beginning. */
int shard_fill(struct shard *s, uint64_t offset, int fd, uint64_t n);
/* An unnamed file on the disk of the shard, to be closed. */
int shard_spool(const struct shard *s);
int shard_sync(struct shard *s);
