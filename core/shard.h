/*
 * shard.h - one data file of a bundle, open
 *
 * A shard is opened when the index that names it is read, and stays open as long as
 * an entry of it is held: what TensorFlow renames over its path is another file.
 * Several versions of a checkpoint share one shard, since a commit only adds bytes
 * where no index names any: at its end, or in room that this mount has freed
 * (extent.h).
 *
 * A file that is mapped can shrink under the map, and whoever reads there dies of
 * SIGBUS.  So a map is handed to the kernel, which answers EIO, and never read by
 * us; nor is the source ever mapped writable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/extent.h"
#include "core/space.h"

struct shard;
struct spools;

/*
 * Opens PREFIX.data-ID-of-NUM in `dirfd` (borrowed; it must outlive the shard).  One
 * that cannot be opened is a shard all the same: shard_missing().
 */
int shard_open(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
	       struct shard **ret);
/*
 * One without a name, empty and open for writing, in that directory: for values on their
 * way to another file.  No index names it, and it need not be synced.
 */
int shard_unnamed(int dirfd, const char *prefix, struct shard **ret);
bool shard_is_unnamed(const struct shard *s);
/* That file is of V1, which cannot hold all values; said before anyone else sees it. */
void shard_set_v1(struct shard *s);
bool shard_is_v1(const struct shard *s);
/* The name of such a file, to be freed; NULL without memory. */
char *shard_file_name(const char *prefix, int32_t id, int32_t num_shards);
/* Whether there was none, or none that can be read. */
bool shard_missing(const struct shard *s);
struct shard *shard_ref(struct shard *s);
void shard_unref(struct shard *s);
DEFINE_CLEANUP(struct shard, shard_unref)

/*
 * Its file has got another name, and is the same.  The descriptor of the directory is
 * borrowed as before; the old one and the old name are still used by who just looks.
 */
int shard_move(struct shard *s, int dirfd, const char *prefix,
	       int32_t num_shards);

/* Its numbers are those of a big-endian machine; said before anyone else sees it. */
void shard_set_big_endian(struct shard *s);
bool shard_big_endian(const struct shard *s);
/* Whether numbers are stored as they are: neither turned round, nor encoded for V1 later. */
bool shard_is_plain(const struct shard *s);

/* Of values that had to be made of its bytes; borrowed. */
struct spools *shard_spools(const struct shard *s);

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
 * Whether it may be edited in place, and opens it for writing: 0, or
 *
 *	-EOPNOTSUPP	with the reason: bytes of others could be touched (another
 *			name leads to the file), or it may not be written to, or it
 *			is not there and an index names bytes of it
 *	-ESTALE		another file has taken its name
 *	-EROFS		and whatever else stands in the way of any file here
 *
 * One that is not there, and that no index names bytes of, is made when room is
 * reserved in it; its owner and mode are those of `like`.
 */
int shard_edit(struct shard *s, const struct stat *like,
	       const char **ret_reason);

/*
 * After shard_edit(), and soon: room for `n` bytes, which may be 0.  Their content is
 * not known.  Free room goes first, then the end of the file.  Where the file is
 * shorter than an index says: -ESTALE if it has just changed, else -EIO after a log
 * line.
 */
int shard_reserve(struct shard *s, uint64_t n, struct extent **ret);

/*
 * For extent.c: room that nobody has any more.  What was released was never named by
 * an index, and is free at once; what was retired waits.  Neither, where the epoch
 * is over: shard_forget() ends it, when somebody else has written an index.
 */
unsigned shard_epoch(const struct shard *s);
void shard_forget(struct shard *s);
void shard_release(struct shard *s, struct room room, unsigned epoch);
void shard_retire(struct shard *s, struct room room, unsigned epoch,
		  enum room_owner owner);

/*
 * For bundle.c: takes out what has waited for `grace` seconds, or all that is theirs.
 * What no index names of that, shard_free() frees, if the epoch is still the same
 * and the file may be edited in place.  shard_due() says whether there is anything.
 */
bool shard_due(struct shard *s, enum room_owner owner, unsigned grace);
unsigned shard_collect(struct shard *s, enum room_owner owner, unsigned grace,
		       struct rooms *ret);
void shard_free(struct shard *s, const struct rooms *rooms, unsigned epoch);

/*
 * shard_keep(): an index names the file, or is about to.  shard_drop() removes one
 * that this mount has made and that no index ever named.
 */
void shard_keep(struct shard *s);
void shard_drop(struct shard *s);

/* Bytes of the disk that it takes, at most its length. */
uint64_t shard_allocated(struct shard *s);

/* -ESTALE where somebody else has rewritten the file in place. */
int shard_write(struct shard *s, const void *data, size_t n, uint64_t offset);
/* Copies `n` bytes of another file, or of this one, from `from` on. */
int shard_fill(struct shard *s, uint64_t offset, int fd, uint64_t from,
	       uint64_t n);
/* An unnamed file on the disk of the shard, to be closed. */
int shard_spool(const struct shard *s);

/*
 * Makes all that was written so far durable.  If that fails, what was not synced
 * before is lost, whatever a later sync says: shard_faults() counts.
 */
int shard_sync(struct shard *s);
unsigned shard_faults(const struct shard *s);
/* Makes the name of a file durable that this mount has made. */
int shard_sync_name(struct shard *s);
