/*
 * v1_writer.h - a V1 checkpoint file, byte for byte as TensorFlow's V1 Saver writes it
 *
 * One table (table.h).  Under the empty key a SavedTensorSlices with the list: name,
 * shape, dtype and slices of each variable, in the order of names.  Under each other key
 * (slice.h) a SavedTensorSlices with the values of one slice.  A variable that is not
 * partitioned has one slice, whose extents are empty.  (Source:
 * tensorflow/core/util/tensor_slice_writer; checked against TensorFlow 2.21.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/entry.h"

/*
 * Why a V1 checkpoint cannot hold it: a phrase about dtype or size; NULL if it can.  Of a
 * partitioned variable each slice is looked at.
 */
const char *v1_refuses(const struct entry *e);

/* The same for a value to come, of `size` bytes as V2 stores it. */
const char *v1_refuses_value(struct span name, int32_t dtype,
			     struct shape shape, uint64_t size);

/*
 * Writes a whole file of these entries, which are sorted by key and may lie anywhere, to
 * the empty file `fd`; it is not synced.  Memory is a few blocks, however large the
 * values are.  -EOPNOTSUPP where v1_refuses() one; -EIO after a log line where the value
 * of one cannot be read, -ENOMEM, or what the disk says.
 */
int v1_write(int fd, struct entry *const *entries, size_t n);

/*
 * The same with only those slices that `wanted` answers true for: `part` is an entry of
 * a slice, or `e` itself where it is not partitioned.  A variable without any is not in
 * the file.
 */
int v1_write_some(int fd, struct entry *const *entries, size_t n,
		  bool (*wanted)(void *arg, struct entry *e,
				 struct entry *part),
		  void *arg);
