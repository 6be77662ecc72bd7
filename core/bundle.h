/*
 * bundle.h - a checkpoint as it was at one moment
 *
 * Of V2, and bundle_of_v1() makes the same of V1.  PREFIX.index is a table: under the
 * empty key a BundleHeaderProto, under every other a BundleEntryProto that says where in
 * PREFIX.data-NNNNN-of-MMMMM the bytes are.  A bundle is what these files said when they
 * were read; it never changes and is counted.  (Source: tensorflow/core/util/tensor_bundle;
 * checked against TensorFlow 2.21.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/cleanup.h"
#include "core/entry.h"
#include "core/io.h"

struct bundle;
struct spare;
struct v1_file;

/*
 * Reads the index of `prefix` in `dirfd`, which is borrowed and outlives the
 * bundle.  `old` is an earlier state or NULL: shards that are still in place are
 * shared with it, and what is free in them is forgotten, since somebody else may have
 * come to name it.  -ENOENT if there is no index; -EBADMSG if it does not end as an
 * index does, which may only mean that it is just being written; -EIO after a log line
 * if it holds nothing that can be shown.  An index with damage in it, or with something not
 * understood, is opened as far as it goes: bundle_writable() then says no.
 */
int bundle_open(int dirfd, const char *prefix, const struct bundle *old,
		struct bundle **ret);

/*
 * For v1.c: a bundle that stands for a V1 checkpoint.  It sorts and references the
 * entries, of those with one key the first, and references the files.  `of` is how many
 * files there should be, 0 if it is the one PREFIX; `damage`, why not all was
 * understood.
 */
struct bundle_v1 {
	struct v1_file *const *files;
	size_t n_files;
	unsigned of;
	const char *damage;
	struct entry **entries;
	size_t n;
};
int bundle_of_v1(int dirfd, const char *prefix, const struct bundle_v1 *v1,
		 struct bundle **ret);
/* Its files, borrowed: none where it is no V1 checkpoint, else one at least. */
struct v1_file *const *bundle_v1_files(const struct bundle *b, size_t *ret_n);
bool bundle_is_v1(const struct bundle *b);

/* The name of the index, to be freed; NULL without memory. */
char *bundle_index_name(const char *prefix);

struct bundle *bundle_ref(struct bundle *b);
void bundle_unref(struct bundle *b);
DEFINE_CLEANUP(struct bundle, bundle_unref)

/*
 * Its variables, sorted by key; the entries of slices are not among them.  They are
 * borrowed: take a reference to keep one.
 */
size_t bundle_count(const struct bundle *b);
struct entry *bundle_entry(const struct bundle *b, size_t i);
struct entry *bundle_find(const struct bundle *b, struct span key);

/* The index file as it was read: what it is, whose, and when it changed. */
const struct file_id *bundle_id(const struct bundle *b);
const struct stat *bundle_stat(const struct bundle *b);

/*
 * Whether index and shards are still those that were read: 1; 0 if the index was
 * replaced; -ESTALE if only a shard was, which is how a save by TensorFlow looks
 * before its index comes; -ENOENT if the index is gone.
 */
int bundle_current(const struct bundle *b);
/*
 * Whether a shard was just put there that is younger than the index: a save renames
 * its data first, and its index is yet to come.
 */
bool bundle_suspect(const struct bundle *b);
/* Of bundle_current(), the part about the shards. */
bool bundle_in_place(const struct bundle *b);
/* Whether bytes in `s` are where an index of this checkpoint would look for them. */
bool bundle_leads_to(const struct bundle *b, struct shard *s);

/*
 * 0 if it may be written to; otherwise -EIO, since something in it was not understood,
 * with the reason.
 */
int bundle_writable(const struct bundle *b, const char **ret_reason);

/*
 * The state that has `changes`, in any order and one a key: entries that come or take
 * the place of others, and keys that go.  With a partitioned variable its slices come
 * and go.  It has no index yet: bundle_encode() makes one, and when that is in its
 * place, bundle_settle() tells the bundle which file it is.  -ESTALE where an entry
 * lies in a shard that has since been replaced.
 */
struct change {
	struct span key;
	struct entry *entry; /* NULL: the key goes */
};
int bundle_with(const struct bundle *base, const struct change *changes,
		size_t n, struct bundle **ret);

/*
 * Appends the index to `ret`.  It is padded to `old_size` bytes where that is
 * enough, so that a TensorFlow that looked at the size of the old one can open the
 * new one; where it has to grow it gets an eighth of slack.
 */
int bundle_encode(const struct bundle *b, uint64_t old_size, struct buf *ret);
void bundle_settle(struct bundle *b, const struct stat *index);

/*
 * The same state under another prefix, perhaps in another directory, once all its files
 * have that name: the shards, which both states share, are looked for there from now on.
 */
int bundle_move(const struct bundle *base, int dirfd, const char *prefix,
		struct bundle **ret);

/*
 * A checkpoint that has nothing in it, of one shard; owner and mode are those of
 * `like`.  bundle_publish() gives what bundle_with() made of it its index: -EEXIST if
 * there is one; where only the last sync fails it is there.  bundle_create() does both, for a
 * checkpoint that is yet to be filled.
 */
int bundle_new_empty(int dirfd, const char *prefix, const struct stat *like,
		     struct bundle **ret);
int bundle_publish(const struct bundle *b);
int bundle_create(int dirfd, const char *prefix, const struct stat *like);

/* Whether its numbers are of the other byte order. */
bool bundle_big_endian(const struct bundle *b);

/* --- room for values (bundle_room.c) -------------------------------------- */

/*
 * Where a new value goes, counted: the shard of `old`, which may be NULL, if that may
 * be edited in place; else the last one that may; else a new one, whose file is made
 * when room is reserved in it.  Of those there is one in the life of a checkpoint.  Those
 * of a V1 checkpoint wait in a file without a name for their commit.
 * -ESTALE if the shard of `old` was replaced; -EROFS, -EACCES.  Reserve soon: what may
 * be edited in place may change.
 */
int bundle_shard(const struct bundle *b, const struct entry *old,
		 struct shard **ret);

/*
 * Frees what no index of ours has named for `grace` seconds; cheap when there is
 * nothing.  `b` is the state on disk, and its index durable.  bundle_reclaim_all(), at the
 * end of a mount, frees what others wrote and this mount displaced; what of our own
 * is still within its grace time by then is left to be dead bytes.  A shard that was made
 * and that no index came to name goes.
 */
void bundle_reclaim(const struct bundle *b, unsigned grace);
void bundle_reclaim_all(const struct bundle *b);
/*
 * Forgets what is free, and frees nothing of what is in use now: the index that is to
 * be durable may not be.
 */
void bundle_forget_room(const struct bundle *b);

/* Of all values; and on the disk, in no value. */
uint64_t bundle_data_bytes(const struct bundle *b);
uint64_t bundle_dead_bytes(const struct bundle *b);

/* All entries, those of slices too, and all shards; borrowed. */
struct entry *const *bundle_all(const struct bundle *b, size_t *ret_n);
struct shard *const *bundle_shards(const struct bundle *b, size_t *ret_n);
struct spare *bundle_spare(const struct bundle *b);
/* An open shard of the checkpoint, or one that is missing. */
int bundle_open_shard(const struct bundle *b, int32_t id, struct shard **ret);
int32_t bundle_num_shards(const struct bundle *b);
int bundle_dirfd(const struct bundle *b);
const char *bundle_prefix(const struct bundle *b);
struct span bundle_header(const struct bundle *b);
