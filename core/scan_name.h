/*
 * scan_name.h - the names that files of checkpoints have
 *
 * PREFIX.index and PREFIX.data-NNNNN-of-MMMMM are the files of a V2 checkpoint (TensorFlow's
 * tensor_bundle/naming.cc), PREFIX-NNNNN-of-MMMMM those of a V1 one that a sharded Saver
 * wrote (the op ShardedFilename).  NNNNN has five digits or more.  Only the text is looked
 * at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/coding.h"

/* What makes a directory a SavedModel. */
#define SAVED_MODEL_FILE "saved_model.pb"

/*
 * Whether files of this name are those of a checkpoint as it lies on disk, or stand beside
 * one (`checkpoint`, P.index, P.meta, events, saved_model.pb): no variable is called so.
 */
bool scan_beside_checkpoint(struct span name);
/* The length of `text` without `-NNNNN-of-MMMMM`; 0 if it does not end so. */
size_t scan_stem(const char *text);
/* False for names that no V1 checkpoint has, so that such files need not be opened. */
bool scan_may_be_v1(const char *text);
/* The length of P in `P.data-NNNNN-of-MMMMM`; 0 if it is no such name. */
size_t scan_shard_prefix(const char *text);
