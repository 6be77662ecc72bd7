#include "core/spare.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/shard.h"

struct spare {
	atomic_uint refs;
	pthread_mutex_t lock; /* for what follows */
	struct shard *shard;
};

int spare_new(struct spare **ret)
{
	struct spare *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

struct spare *spare_ref(struct spare *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void spare_unref(struct spare *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	shard_unref(s->shard);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

struct shard *spare_get(struct spare *s)
{
	if (!s)
		return NULL;
	LOCK_SCOPE(&s->lock);
	return s->shard ? shard_ref(s->shard) : NULL;
}

struct shard *spare_replace(struct spare *s, const struct shard *was,
			    struct shard *now)
{
	struct shard *old = NULL;
	struct shard *there;

	pthread_mutex_lock(&s->lock);
	if (s->shard == was) {
		old = s->shard;
		s->shard = shard_ref(now);
	}
	there = shard_ref(s->shard);
	pthread_mutex_unlock(&s->lock);
	shard_unref(old);
	return there;
}
