/*
 * bundle.h - a V2 checkpoint as it was at one moment
 *
 * PREFIX.index is a table: under the empty key a BundleHeaderProto, under every
 * other a BundleEntryProto that says where in PREFIX.data-NNNNN-of-MMMMM the bytes
 * are.  A bundle is what these files said when they were read; it never changes
 * and is counted.  (Source: tensorflow/core/util/tensor_bundle; checked against
 * TensorFlow 2.21.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/entry.h"
#include "core/io.h"

struct bundle;

/*
 * Reads the index of `prefix` in `dirfd`, which is borrowed and outlives the
 * bundle.  `old` is an earlier state or NULL: shards that are still in place are
 * shared with it.  -ENOENT if there is no index; -EBADMSG if it does not end as an
 * index does, which may only mean that it is just being written; -EIO after a log line
 * if it holds nothing that can be shown.  An index with damage in it, or with something not
 * understood, is opened as far as it goes: bundle_writable() then says no.
 */
int bundle_open(int dirfd, const char *prefix, const struct bundle *old,
		struct bundle **ret);

/*
 * For v1.c: a bundle that stands for a V1 checkpoint.  It sorts and
 * references the entries, the first of those with one key; `file` is what is looked
 * at to see whether it changed.
 */
int bundle_of_v1(int dirfd, const char *file, const struct stat *st,
		 struct entry **entries, size_t n, struct bundle **ret);

struct bundle *bundle_ref(struct bundle *b);
void bundle_unref(struct bundle *b);

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

/*
 * 0 if it may be written to; otherwise -EOPNOTSUPP (big-endian) or -EIO (damaged),
 * with the reason.
 */
int bundle_writable(const struct bundle *b, const char **ret_reason);

/*
 * The state in which the entries `changed`, sorted by key, stand for those of the
 * same keys.  It has no index yet: bundle_encode() makes one, and when that is in
 * its place, bundle_settle() tells the bundle which file it is.
 */
int bundle_with(const struct bundle *base, struct entry *const *changed,
		size_t n, struct bundle **ret);

/*
 * Appends the index to `ret`.  It is padded to `old_size` bytes where that is
 * enough, so that a TensorFlow that looked at the size of the old one can open the
 * new one; where it has to grow it gets an eighth of slack.
 */
int bundle_encode(const struct bundle *b, uint64_t old_size, struct buf *ret);
void bundle_settle(struct bundle *b, const struct stat *index);
