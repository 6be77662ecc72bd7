/*
 * state.h - the `checkpoint` file: which checkpoint is the latest
 *
 * A text protobuf, CheckpointState (tensorflow/python/training/
 * checkpoint_state.proto).  TensorFlow writes it, people edit it: quotes of either
 * kind, octal, hex and letter escapes, adjacent strings, comments, fields in any
 * order.
 */
#pragma once

#include "core/coding.h"

#define STATE_FILE "checkpoint"

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
