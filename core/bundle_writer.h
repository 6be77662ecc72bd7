/*
 * bundle_writer.h - write a whole bundle anew, byte for byte as TensorFlow's SaveV2 does
 *
 * Values go one after the other into the files of the shards, with nothing between them,
 * in the order in which they are added; the index is sorted by itself.  The files are the
 * caller's: it makes, names and syncs them.
 *
 * Every value is read whole, and its checksum is looked at: what is damaged is refused,
 * after a log line.
 */
#pragma once

#include <stdint.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/entry.h"

struct bundle_writer;

/* For `n` shards, 0 to n - 1, that go to `fds`, which are borrowed and empty. */
int bundle_writer_new(const int *fds, int32_t n, struct bundle_writer **ret);
void bundle_writer_free(struct bundle_writer *w);
DEFINE_CLEANUP(struct bundle_writer, bundle_writer_free)

/*
 * The bytes of a V2 entry as they lie, also of a big-endian bundle, and all that the
 * entry says besides where they lie, with fields that nobody knows.
 */
int bundle_writer_copy(struct bundle_writer *w, const struct entry *e,
		       int32_t shard);

/*
 * The value of any entry, through its content: little-endian.  What goes into the index
 * is what TensorFlow would say of it, and nothing else.
 */
int bundle_writer_convert(struct bundle_writer *w, struct entry *e,
			  int32_t shard);

/*
 * The entry of a partitioned variable, whose slices are added one by one by the calls
 * above; `plain` leaves out, as above, what is not TensorFlow's.
 */
int bundle_writer_name(struct bundle_writer *w, const struct entry *e,
		       int32_t shard, bool plain);

/* An entry as it is, whose bytes stay where they are. */
int bundle_writer_keep(struct bundle_writer *w, const struct entry *e);

/*
 * Appends the index to `ret`, with `header`, a BundleHeaderProto that is made to say
 * `num_shards`; an empty one is TensorFlow's own.
 */
int bundle_writer_index(struct bundle_writer *w, struct span header,
			int32_t num_shards, struct buf *ret);
