/*
 * leaf.h - the bytes of an entry that has no slices, little-endian and whole
 *
 * One piece of a shard; or strings and variants of a big-endian one, made anew in an
 * unnamed file; or a record of a V1 file.  What contents (content.h), and the slices of
 * partitioned ones (assembly.h), are made of.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct elements_source;
struct leaf;

/* Each as content_...() of the same name. */
int leaf_open(struct entry *e, const char *name, bool verify,
	      struct leaf **ret);
struct leaf *leaf_ref(struct leaf *l);
void leaf_unref(struct leaf *l);
DEFINE_CLEANUP(struct leaf, leaf_unref)
uint64_t leaf_size(const struct leaf *l);
int leaf_read(struct leaf *l, void *buf, size_t n, uint64_t offset);
bool leaf_place(const struct leaf *l, int *ret_fd, uint64_t *ret_offset);
bool leaf_crc32c(const struct leaf *l, uint32_t *ret);
const void *leaf_map(const struct leaf *l, size_t n, uint64_t offset);
bool leaf_made(const struct leaf *l);
struct elements_source leaf_elements(const struct leaf *l);
