#include "fs/closing.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/cleanup.h"

/* Far more than a RELEASE takes that is on its way. */
#define AWAIT_MS 100

struct refused {
	struct refused *next;
	const struct file *file;
	fuse_ino_t node;
	/* It stays open, as somebody has found: a later close is not waited for. */
	bool stays;
};

struct closing {
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	struct refused *first;
};

int closing_new(struct closing **ret)
{
	struct closing *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	*ret = c;
	return 0;
}

void closing_free(struct closing *c)
{
	if (!c)
		return;
	while (c->first) {
		struct refused *r = c->first;

		c->first = r->next;
		free(r);
	}
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* What points to the entry of `f`, or to the NULL at the end. */
static struct refused **find_locked(struct closing *c, const struct file *f)
{
	struct refused **at = &c->first;

	while (*at && (*at)->file != f)
		at = &(*at)->next;
	return at;
}

void closing_add(struct closing *c, fuse_ino_t node, const struct file *f)
{
	LOCK_SCOPE(&c->lock);
	struct refused **at = find_locked(c, f);
	struct refused *r;

	/* A second close: whoever waited for the first one was right to give up. */
	if (*at)
		return;
	r = calloc(1, sizeof(*r));
	/* Without memory nobody waits. */
	if (!r)
		return;
	r->file = f;
	r->node = node;
	*at = r;
}

void closing_give_up(struct closing *c, const struct file *f)
{
	LOCK_SCOPE(&c->lock);
	struct refused *r = *find_locked(c, f);

	if (!r || r->stays)
		return;
	r->stays = true;
	(void)pthread_cond_broadcast(&c->changed);
}

void closing_remove(struct closing *c, const struct file *f)
{
	LOCK_SCOPE(&c->lock);
	struct refused **at = find_locked(c, f);
	struct refused *r = *at;

	if (!r)
		return;
	*at = r->next;
	free(r);
	(void)pthread_cond_broadcast(&c->changed);
}

/* One that is to be let go of. */
static struct refused *awaited_locked(struct closing *c, fuse_ino_t node)
{
	struct refused *r = c->first;

	while (r && (r->node != node || r->stays))
		r = r->next;
	return r;
}

void closing_await(struct closing *c, fuse_ino_t node)
{
	LOCK_SCOPE(&c->lock);
	struct timespec until = { 0 };
	struct refused *r;
	int waited = 0;

	if (!awaited_locked(c, node))
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += AWAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (waited == 0 && awaited_locked(c, node))
		waited = pthread_cond_timedwait(&c->changed, &c->lock, &until);
	while ((r = awaited_locked(c, node)))
		r->stays = true;
}
