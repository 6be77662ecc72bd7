/*
 * inode.h - from the numbers that the kernel uses to what they stand for
 *
 * All that is mounted has a number from one counter: folders, items, scopes, links,
 * variables.  A node id of FUSE is four times that, plus the file that is meant: a
 * variable has three, and its sidecars come first.  So an id is never used again,
 * and stays with its variable through commits and renames.
 *
 * st_ino is the same number, but for a variable that stands in for one that somebody
 * else replaced: that keeps the number of the old one.
 *
 * A table holds what the kernel has looked up, until it forgets.
 */
#pragma once

#include <fuse_lowlevel.h>

#include "core/store.h"

/* What a node id stands for.  All that is not NULL is counted. */
struct target {
	struct folder *folder;         /* a mirrored directory; not counted */
	struct item *item;             /* a file or link that passes through */
	struct checkpoint *checkpoint; /* with `object`: something in it */
	struct object object;
};

/* Takes references of its own. */
struct target target_of_item(struct item *item);
void target_release(struct target *t);
mode_t target_type(const struct target *t);     /* S_IFDIR and so on */
fuse_ino_t target_ino(const struct target *t);  /* for st_ino */
fuse_ino_t target_node(const struct target *t); /* the node id */

struct inode_table;

/* `root` is taken over, and has FUSE_ROOT_ID. */
int inode_table_new(struct target *root, struct inode_table **ret);
void inode_table_free(struct inode_table *t);

/*
 * Counts a look-up of `target`, from which the table takes its own references; the
 * number by which the kernel will know it.
 */
int inode_remember(struct inode_table *t, const struct target *target);
void inode_forget(struct inode_table *t, fuse_ino_t node, uint64_t lookups);

/*
 * What a node id stands for, the file that is meant in `object.facet`; all NULL if
 * the kernel should not know it.  Borrowed, and good for as long as the kernel holds
 * the node, which it does while it asks for it.
 */
struct target inode_target(struct inode_table *t, fuse_ino_t node);
fuse_ino_t inode_of_id(struct inode_table *t, uint64_t id);
/* Another of the files of a variable, by the node of one of them. */
fuse_ino_t inode_of_facet(fuse_ino_t node, enum facet facet);

/*
 * What `node` stands for is `target` from now on, which has the same number: an
 * undecided folder that became a checkpoint.
 */
void inode_retarget(struct inode_table *t, fuse_ino_t node,
		    const struct target *target);

/*
 * A name in the scope or folder of this number changed: false if the kernel does not
 * know it.  inode_changed() says so from then on.
 */
bool inode_note_change(struct inode_table *t, uint64_t id);
bool inode_changed(struct inode_table *t, fuse_ino_t node);

/*
 * The file may not be what the kernel has cached.  inode_take_stale() says so to the
 * next open, once.
 */
void inode_make_stale(struct inode_table *t, fuse_ino_t node);
bool inode_take_stale(struct inode_table *t, fuse_ino_t node);
