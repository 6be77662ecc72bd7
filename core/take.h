/*
 * take.h - from bytes and a type to an entry
 *
 * What was written is taken over: the bytes of a stage, which are as users see them, are
 * brought to the shard in the way that they have to lie there.  Of strings the stage has
 * the text, and the value is the tensor.
 */
#pragma once

#include <stdbool.h>

#include "core/entry.h"
#include "core/stage.h"
#include "core/type.h"

/*
 * Whether the bytes of `s` are a value of `t`, whose -1 is then worked out: 1; 0 if they are
 * none, or `t` is not complete; else what went wrong with them.
 */
int take_fits(struct type *t, struct stage *s);

/*
 * Makes the bytes of `s`, which fit, a value in `shard`, and finishes the stage: 1 and its
 * entry under `key`.  One that takes the place of `present`, which may be NULL, and is of its
 * type, keeps what that says, and its slices.  The caller keeps new stages away.
 * -EAGAIN if the bytes are not as many any more; -EBUSY if they do not stay as they are;
 * -EOPNOTSUPP where TensorFlow could not read it there.
 */
int take_stage(struct shard *shard, const struct entry *present,
	       struct span key, struct stage *s, struct type *t,
	       struct entry **ret);

/*
 * The bytes of `present` as another type that they fit: they stay where they are if they can
 * (take_stays()), else they are put together and written anew to `shard`, in one piece.
 */
int take_retyped(struct shard *shard, struct entry *present, struct span key,
		 const struct type *t, struct entry **ret);
bool take_stays(const struct entry *present, int32_t dtype);

bool take_same_type(const struct entry *present, const struct type *t);
