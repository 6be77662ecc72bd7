/*
 * by_name.h - `.weightfs/by-name`: variables by the names that programs gave them
 *
 *	.weightfs/by-name/CHECKPOINT/NAME   a link to the variable (core/full_names.h)
 *	.weightfs/by-name/SUB/...           the same in directory SUB
 *
 * Links lead to the variable in this mount, by a relative path.  Nothing is read before
 * somebody looks; a checkpoint is looked at again when its directory is looked up, and
 * the last picture is more than a second old (more, if it takes long to make).
 *
 * Nodes are numbered by what they stand for, with HIDDEN_BIT and NAMES_BIT set.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "core/coding.h"

#define BY_NAME   "by-name"
#define NAMES_BIT (UINT64_C(1) << 61)

struct fs;
struct by_name;

int by_name_new(struct fs *fs, struct by_name **ret);
void by_name_free(struct by_name *b);

/* The number of the directory itself. */
fuse_ino_t by_name_ino(void);
/* Whether it is one of its nodes. */
bool by_name_has(fuse_ino_t node);

/*
 * As those of hidden.h.  The directory itself is BY_NAME in a parent of 0.
 */
int by_name_lookup(struct by_name *b, fuse_ino_t parent, const char *name,
		   struct fuse_entry_param *ret);
void by_name_forget(struct by_name *b, fuse_ino_t node, uint64_t lookups);
int by_name_stat(struct by_name *b, fuse_ino_t node, struct stat *ret);
int by_name_readlink(struct by_name *b, fuse_ino_t node, struct buf *ret);
int by_name_list(struct by_name *b, fuse_ino_t node, uint64_t *cookie,
		 struct buf *name, struct stat *ret);
