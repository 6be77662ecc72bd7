/*
 * hidden.h - `.weightfs`, the directory at the root that no listing shows
 *
 *	.weightfs/status               JSON (core/report.h)
 *	.weightfs/log                  the latest messages
 *	.weightfs/version              one line
 *	.weightfs/control              takes commands (control.h)
 *	.weightfs/manifest/PREFIX.tsv  a table of the tensors (core/report.h)
 *	.weightfs/manifest/SUB/...     the same for the checkpoints in directory SUB
 *	.weightfs/by-name/...          links to variables (by_name.h)
 *
 * A text is made when its name is looked up, which is at every open(2) and stat(2),
 * since the kernel is told to believe these names for no time; and each look-up gives
 * it a node of its own.  So every reader has a text of one moment, st_size is its
 * size, and what the kernel caches of it cannot be out of date - also in a read-only
 * mount, which has no open.  Directories and `control` keep their nodes.
 *
 * Their numbers come from no counter of the mount: the highest bit is set.
 *
 * Texts stay in memory while the kernel knows their nodes, but no more of them than
 * HIDDEN_KEPT bytes; one that had to go is made again, and if it has changed its size
 * meanwhile, reading it is ESTALE.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "core/coding.h"

#define HIDDEN_BIT  (UINT64_C(1) << 63)
#define HIDDEN_KEPT (UINT64_C(64) << 20)

struct fs;
struct hidden;

int hidden_new(struct fs *fs, struct hidden **ret);
void hidden_free(struct hidden *h);

/* Whether a node is the directory, or below it. */
bool hidden_has(fuse_ino_t node);
/* Whether a name leads to the directory. */
bool hidden_is(fuse_ino_t parent, const char *name);

/*
 * What `name` in `parent` is, NAME_HIDDEN_DIR in the root to begin with: -ENOENT; -EIO for
 * the manifest of a damaged checkpoint.  A success counts for hidden_forget().
 */
int hidden_lookup(struct hidden *h, fuse_ino_t parent, const char *name,
		  struct fuse_entry_param *ret);
void hidden_forget(struct hidden *h, fuse_ino_t node, uint64_t lookups);

int hidden_stat(struct hidden *h, fuse_ino_t node, struct stat *ret);
/* Appends where a link leads; -EINVAL for what is none. */
int hidden_readlink(struct hidden *h, fuse_ino_t node, struct buf *ret);
/* Whether it may be opened so: 0, -EISDIR, -EACCES. */
int hidden_open(struct hidden *h, fuse_ino_t node, int flags);
/* Appends up to `n` bytes. */
int hidden_read(struct hidden *h, fuse_ino_t node, size_t n, uint64_t offset,
		struct buf *ret);
int hidden_write(struct hidden *h, fuse_ino_t node, struct span data);
/*
 * The next name in `node` from `*cookie` on, 0 for the first: 1, with the name
 * appended, and type and number in `ret`; 0 at the end.
 */
int hidden_list(struct hidden *h, fuse_ino_t node, uint64_t *cookie,
		struct buf *name, struct stat *ret);
