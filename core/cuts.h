/*
 * cuts.h - the components behind names that were too long
 *
 * A name that was cut ends in a hash, and says no more what it stands for.  What a mount
 * has shown is remembered here, so that it can be copied to another place by its name.
 * Any thread may call any function.
 */
#pragma once

#include "core/coding.h"

struct cuts;

int cuts_new(struct cuts **ret);
void cuts_free(struct cuts *c);
/* Remembers copies of both: 0 or -ENOMEM. */
int cuts_add(struct cuts *c, struct span name, struct span component);
/* Appends the component: 0, or -ENOENT. */
int cuts_find(struct cuts *c, struct span name, struct buf *out);
