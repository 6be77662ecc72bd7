/*
 * entry.h - one tensor of a checkpoint as it lies on disk
 *
 * An entry never changes, and is counted: whoever holds one can read that value,
 * whatever becomes of the checkpoint, because it holds its shard open.  A version
 * of a checkpoint is an array of entries; the next version shares all those that
 * did not change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/shape.h"

struct entry;
struct extent;
struct shard;
struct spools;
struct v1_record;

struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e);
DEFINE_CLEANUP(struct entry, entry_unref)

struct span entry_key(const struct entry *e);
int32_t entry_dtype(const struct entry *e); /* a known one: dtype_known() */
struct shape entry_shape(const struct entry *e);
uint64_t entry_elements(const struct entry *e);

/* Where the bytes lie; a partitioned variable has none of its own. */
uint64_t entry_size(const struct entry *e);
uint64_t entry_offset(const struct entry *e);
int32_t entry_shard_id(const struct entry *e);
uint32_t entry_crc32c(const struct entry *e); /* unmasked */

/*
 * Of its whole value, were it in one piece: UINT64_MAX where that is beyond any file.  Of
 * strings and variants, what lies in its shard.
 */
uint64_t entry_bytes(const struct entry *e);
/* The same, but of a partitioned variable of strings what its slices take, where it is known. */
uint64_t entry_stored(const struct entry *e);
/* Whether its numbers lie there big-endian. */
bool entry_big_endian(const struct entry *e);

/*
 * Whether both are the same value at different places: its bytes were copied.  (False, too,
 * of an entry and itself.)
 */
bool entry_same_value(const struct entry *a, const struct entry *b);

/* An unnamed file on the disk of its bytes, or in memory, to be closed. */
int entry_spool(const struct entry *e);

/*
 * Whether an index says, or is to say, where its bytes are and what their checksum is: not
 * where they lie in a V1 file, or wait to be written to one.
 */
bool entry_placed(const struct entry *e);
/* The name of the file that has its bytes, borrowed; NULL if that has none. */
const char *entry_file_name(const struct entry *e);

/* Its shard, borrowed, which may be missing; NULL if there are no bytes. */
struct shard *entry_shard(const struct entry *e);

/* Its room in that, borrowed: entries with the same bytes share it.  NULL likewise. */
struct extent *entry_extent(const struct entry *e);

/* The number of slices of a partitioned variable, else 0. */
size_t entry_slices(const struct entry *e);

/*
 * 0 if the value can be read, as far as the index tells; -EIO where its shard is missing
 * or ends before it does, with the reason.  A partitioned variable can be, whatever
 * became of its slices.  -EOPNOTSUPP for a dtype that V1 does not have.
 */
int entry_access(const struct entry *e, const char **ret_reason);

/* LABEL/KEY for a message, with what does not print escaped; to be freed. */
char *entry_describe(const struct entry *e, const char *label);
char *key_describe(struct span key, const char *label);
/* What somebody wrote, in the same way. */
char *text_describe(struct span text);

/*
 * New entries.  Each of them references `x`; none is made that would have TensorFlow
 * abort, or whose bytes are not as many as its dtype and shape ask for: -EINVAL.
 *
 * entry_replace() keeps key, dtype, shape and whatever else the old one says;
 * entry_rename() all but the key, and so for the slices of a partitioned variable;
 * entry_retype() key and bytes, while names of dimensions go.  -EOPNOTSUPP for a
 * partitioned variable where its bytes or its shape would change.
 */
int entry_new(struct span key, int32_t dtype, struct shape shape,
	      struct extent *x, uint32_t crc32c, struct entry **ret);
int entry_replace(const struct entry *old, struct extent *x, uint32_t crc32c,
		  struct entry **ret);
/* What `like` says, which has slices, with other entries of them; they are referenced. */
int entry_with_parts(const struct entry *like, struct entry *const *parts,
		     struct entry **ret);
int entry_rename(const struct entry *e, struct span key, struct entry **ret);
int entry_retype(const struct entry *e, int32_t dtype, struct shape shape,
		 struct entry **ret);

/*
 * For the code that reads and writes an index.
 *
 * entry_parse() copies the key and the serialized BundleEntryProto: 0; -EBADMSG
 * where TensorFlow would not understand it or abort, with the reason; -ENOMEM.
 */
enum entry_format {
	ENTRY_V2,
	ENTRY_V1
};
int entry_parse(struct span key, struct span raw, enum entry_format format,
		struct entry **ret, const char **ret_reason);

/* Gives it its shard, which is referenced; once, before anyone else sees it. */
int entry_attach(struct entry *e, struct shard *shard);

/*
 * The same for a tensor, or a slice of one, that lies in a V1 file.  Entries that are
 * made of it, renamed or retyped, have it too.
 */
void entry_attach_v1(struct entry *e, struct v1_record *record);
/* Borrowed; NULL where it lies in no V1 file, as a partitioned variable does not. */
struct v1_record *entry_v1(const struct entry *e);

/* Where values of its shard, or V1 file, that need a file of their own are known; or NULL. */
struct spools *entry_spools(const struct entry *e);

/*
 * Gives a partitioned variable the entries of its slices, referenced, once, in the
 * order of entry_slice_keys(); NULL for one that is not there.
 */
int entry_attach_parts(struct entry *e, struct entry *const *parts);
bool entry_has_parts(const struct entry *e);
/* The i-th of them: borrowed, or NULL. */
struct entry *entry_part(const struct entry *e, size_t i);

/* The serialized BundleEntryProto: what was read is kept as it was. */
struct span entry_raw(const struct entry *e);

/* Calls `each` with the extents of every slice of a partitioned variable; with its key. */
struct slice_extent;
int entry_each_slice(const struct entry *e,
		     int (*each)(void *arg, size_t i,
				 const struct slice_extent *extents,
				 size_t rank),
		     void *arg);
int entry_slice_keys(const struct entry *e,
		     int (*each)(void *arg, struct span key), void *arg);
/*
 * Why the entry of the i-th slice, which has these extents, is none of this variable; NULL
 * if it is.
 */
const char *entry_part_fault(const struct entry *e, size_t i,
			     const struct slice_extent *extents);
/* 0 if it and each of its slices can be read, as far as the index says; else why not. */
int entry_readable(const struct entry *e, const char **ret_reason);
