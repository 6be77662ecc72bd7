/*
 * assembly.h - a partitioned variable in one piece
 *
 * Each slice is a content of its own, and is asked for the bytes that lie in it.  A slice
 * that is not in the index, whose shard is missing, that is damaged or not of the
 * variable's dtype spoils its own bytes; so do bytes that no slice has.  (TensorFlow aborts
 * on a slice of another dtype, and reads nothing of what has a hole in the request.)
 *
 * Of strings and variants the bytes of an element have no place of their own in the
 * whole, so an assembly of them is made of all slices at once, or not at all.
 *
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cleanup.h"
#include "core/entry.h"

struct assembly;

/* `e` has slices, and entry_bytes() of it is that of a file. */
int assembly_new(struct entry *e, const char *name, bool verify,
		 struct assembly **ret);
void assembly_free(struct assembly *a);
DEFINE_CLEANUP(struct assembly, assembly_free)

/* Of numbers.  As content_read(). */
int assembly_read(struct assembly *a, void *buf, size_t n, uint64_t offset);

/*
 * Of strings and variants: the whole tensor as a little-endian shard holds it, in an
 * unnamed file, to be closed; its size and its checksum.
 */
int assembly_make(struct assembly *a, int *ret_fd, uint64_t *ret_size,
		  uint32_t *ret_crc32c);
