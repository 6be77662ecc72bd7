#include "core/spools.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/cleanup.h"

/* So many files, or bytes, may stay; above MANY even those that somebody just reads. */
#define KEPT         8
#define KEPT_BYTES   (UINT64_C(64) << 20)
#define MANY         64
#define BUSY_SECONDS 5 /* since it was last read */

struct spools {
	pthread_mutex_t lock;
	struct spool_user *newest, *oldest;
	unsigned n;
	uint64_t bytes;
};

int spools_new(struct spools **ret)
{
	struct spools *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	(void)pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void spools_free(struct spools *s)
{
	if (!s)
		return;
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static void unlist_locked(struct spools *s, struct spool_user *u)
{
	if (!u->listed)
		return;
	*(u->newer ? &u->newer->older : &s->newest) = u->older;
	*(u->older ? &u->older->newer : &s->oldest) = u->newer;
	u->listed = false;
	s->n--;
	s->bytes -= u->bytes;
}

static void list_locked(struct spools *s, struct spool_user *u)
{
	u->newer = NULL;
	u->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = u;
	s->newest = u;
	u->listed = true;
	s->n++;
	s->bytes += u->bytes;
}

/* Whether the oldest one is one too many. */
static bool too_many_locked(const struct spools *s, time_t now)
{
	if (s->oldest == s->newest)
		return false;
	if (s->n > MANY)
		return true;
	return (s->n > KEPT || s->bytes > KEPT_BYTES) &&
	       now - s->oldest->used > BUSY_SECONDS;
}

void spools_use(struct spools *s, struct spool_user *u, uint64_t bytes)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	LOCK_SCOPE(&s->lock);
	unlist_locked(s, u);
	u->bytes = bytes;
	u->used = now.tv_sec;
	list_locked(s, u);
	while (too_many_locked(s, now.tv_sec)) {
		struct spool_user *oldest = s->oldest;

		unlist_locked(s, oldest);
		oldest->drop(oldest);
	}
}

void spools_forget(struct spools *s, struct spool_user *u)
{
	LOCK_SCOPE(&s->lock);
	unlist_locked(s, u);
}
