/*
 * content.h - the bytes of an entry: little-endian and whole, wherever they lie
 *
 * A value may lie in a shard as its file shows it, or with the bytes of each number the
 * other way round (a bundle of a big-endian machine), or in parts (a partitioned
 * variable), or in a V1 file.  Whoever wants its bytes reads a content, and need not
 * know.  Of strings it is the tensor as a little-endian shard holds it (strings.h),
 * of variants the encoded elements (elements.h).
 *
 * Checksums are checked as bytes are read: the read that completes a piece whose
 * checksum is wrong is -EIO, and so is every later one of that piece.  A part that is
 * missing or damaged spoils the bytes that lie in it, and no others.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct content;
struct strings;

/*
 * `name` is what messages call it; `verify` whether checksums are checked.  -EIO or
 * -EOPNOTSUPP after a log line for what cannot be read at all.
 */
int content_open(struct entry *e, const char *name, bool verify,
		 struct content **ret);
void content_free(struct content *c);
DEFINE_CLEANUP(struct content, content_free)

/*
 * A record of V1 that stays as it is is copied unseen: 0; -EIO after a log line where it,
 * or that of a slice of `e`, cannot be read.
 */
int content_check_records(struct entry *e);

uint64_t content_size(const struct content *c);

/* Exactly `n` bytes, which are within its size.  -EIO after a log line. */
int content_read(struct content *c, void *buf, size_t n, uint64_t offset);

/*
 * True where the bytes lie in a file as they are, all of them: from `ret_offset` of
 * `ret_fd`, which is borrowed and may only be read.  Who reads there checks nothing.
 */
bool content_place(const struct content *c, int *ret_fd, uint64_t *ret_offset);
/* The checksum that a little-endian entry has for them, unmasked; false if nobody knows. */
bool content_crc32c(const struct content *c, uint32_t *ret);

/* Some of its bytes for the kernel, not to be looked at; NULL where that cannot be. */
const void *content_map(const struct content *c, size_t n, uint64_t offset);

/* Of a string tensor: its text, after a scan of it.  -EIO after a log line. */
int content_strings(const struct content *c, struct strings **ret);

/* Whether it holds a file of its own: of those there should not be thousands. */
bool content_made(const struct content *c);
