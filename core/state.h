/*
 * state.h - the `checkpoint` file: which checkpoint is the latest
 *
 * A text protobuf, CheckpointState (tensorflow/python/training/
 * checkpoint_state.proto).  TensorFlow writes it, people edit it: quotes of either
 * kind, octal, hex, letter and Unicode escapes, adjacent strings, comments, fields in
 * any order.  What is not UTF-8 TensorFlow does not read.
 */
#pragma once

#include <stdbool.h>

#include "core/coding.h"

#define STATE_FILE "checkpoint"
#define STATE_MAX  (UINT64_C(16) << 20) /* a longer one is not read */

/*
 * Appends the last path component of model_checkpoint_path to `out`: a name in the
 * directory of the state file, whatever directory the path was written in.  The
 * path of a sharded V1 checkpoint is a pattern, `P-?????-of-00002`: that is P.  0;
 * -ENOENT where the field is missing, or ends in nothing that a directory can hold
 * (an empty name, `.`, `..`, a name with a NUL); -EINVAL where the text does not
 * parse or has a field that CheckpointState has not (TensorFlow then ignores the
 * whole file).
 */
int state_latest(struct span text, struct buf *out);
/* The whole path, as it is written; -ENOENT and -EINVAL as above. */
int state_latest_path(struct span text, struct buf *out);

enum state_field {
	STATE_LATEST,    /* model_checkpoint_path */
	STATE_PATH,      /* one of all_model_checkpoint_paths */
	STATE_TIME,      /* one of all_model_checkpoint_timestamps */
	STATE_PRESERVED, /* last_preserved_timestamp */
};

/*
 * Is told of each value: `written` is how it stands in the text, quotes and all.  What
 * is negative ends state_each(), which then answers that.
 */
typedef int state_visitor(void *arg, enum state_field field,
			  struct span written, struct span value);
int state_each(struct span text, state_visitor *visitor, void *arg);

/*
 * Whether the directory that a path names is that of the state file, or another one of
 * the source.  Nowhere is what leads out of it, as absolute paths of other machines do,
 * and paths as they were seen from where the program was started.
 */
enum state_place {
	STATE_HERE,
	STATE_ELSEWHERE,
	STATE_NOWHERE
};
enum state_place state_path_place(int dirfd, struct span path);

/* The name that a path of it ends in, as state_latest(); part of `path`. */
bool state_path_name(struct span path, struct span *ret);
