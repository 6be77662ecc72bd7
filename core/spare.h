/*
 * spare.h - the shard that a checkpoint grows into
 *
 * Where none of its shards may be edited in place, new values go to one that is made
 * for them.  All states of a checkpoint share what is known of that, so that there
 * is one in the life of a mount, also before an index names it.
 */
#pragma once

struct shard;
struct spare;

int spare_new(struct spare **ret);
struct spare *spare_ref(struct spare *s);
void spare_unref(struct spare *s);

/* The shard, counted, or NULL, as of a checkpoint that has no spare: of V1. */
struct shard *spare_get(struct spare *s);

/*
 * Puts `now` in the place of `was`, which is the caller's idea of the present one; does
 * nothing if another one has taken it meanwhile.  The one that is there in the end, counted.
 */
struct shard *spare_replace(struct spare *s, const struct shard *was,
			    struct shard *now);
