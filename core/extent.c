#include "core/extent.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/shard.h"
#include "core/space.h"

/* In this order, and never back. */
enum state {
	RESERVED, /* no index has named it */
	NAMED,    /* one that we wrote may have, for a moment at least */
	SETTLED,  /* one that we wrote did, and stood */
	READ,     /* it was in an index that we read */
};

struct extent {
	atomic_uint refs;
	_Atomic enum state state;
	struct shard *shard;
	uint64_t offset;
	uint64_t size;
	unsigned epoch;  /* of the shard when it was made */
	unsigned faults; /* of the shard's syncs until then */
};

int extent_new(struct shard *s, uint64_t offset, uint64_t size, bool reserved,
	       struct extent **ret)
{
	struct extent *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	atomic_init(&x->refs, 1);
	atomic_init(&x->state, reserved ? RESERVED : READ);
	x->shard = shard_ref(s);
	x->offset = offset;
	x->size = size;
	x->epoch = shard_epoch(s);
	x->faults = shard_faults(s);
	*ret = x;
	return 0;
}

struct extent *extent_ref(struct extent *x)
{
	atomic_fetch_add(&x->refs, 1);
	return x;
}

/* Gives back the end of it, from `offset` on. */
static void give_back(struct extent *x, uint64_t offset)
{
	const struct room room = { offset, x->offset + x->size - offset };

	switch (atomic_load(&x->state)) {
	case RESERVED:
		shard_release(x->shard, room, x->epoch);
		break;
	case NAMED:
	case SETTLED:
		shard_retire(x->shard, room, x->epoch, ROOM_OURS);
		break;
	case READ:
		shard_retire(x->shard, room, x->epoch, ROOM_THEIRS);
		break;
	}
}

void extent_unref(struct extent *x)
{
	if (!x || atomic_fetch_sub(&x->refs, 1) != 1)
		return;
	if (x->size > 0)
		give_back(x, x->offset);
	shard_unref(x->shard);
	free(x);
}

struct shard *extent_shard(const struct extent *x)
{
	return x->shard;
}

uint64_t extent_offset(const struct extent *x)
{
	return x->offset;
}

uint64_t extent_size(const struct extent *x)
{
	return x->size;
}

void extent_shrink(struct extent *x, uint64_t size)
{
	if (size >= x->size)
		return;
	give_back(x, x->offset + size);
	x->size = size;
}

bool extent_suspect(const struct extent *x)
{
	return atomic_load(&x->state) == RESERVED &&
	       x->faults != shard_faults(x->shard);
}

void extent_name(struct extent *x)
{
	enum state was = RESERVED;

	shard_keep(x->shard);
	(void)atomic_compare_exchange_strong(&x->state, &was, NAMED);
}

bool extent_settle(struct extent *x)
{
	enum state was = NAMED;

	return atomic_compare_exchange_strong(&x->state, &was, SETTLED);
}
