#include "fs/closing.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/clock.h"

/* Far more than a RELEASE takes that is on its way. */
#define AWAIT_MS 100

struct closed {
	struct closed *next;
	const struct file *file;
	fuse_ino_t node;
	bool refused;
	/* Somebody has waited in vain: no later close() of it is waited for. */
	bool stays;
};

struct closing {
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	struct closed *first;
};

int closing_new(struct closing **ret)
{
	struct closing *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	*ret = c;
	return 0;
}

void closing_free(struct closing *c)
{
	if (!c)
		return;
	while (c->first) {
		struct closed *r = c->first;

		c->first = r->next;
		free(r);
	}
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* What points to the entry of `f`, or to the NULL at the end. */
static struct closed **find_locked(struct closing *c, const struct file *f)
{
	struct closed **at = &c->first;

	while (*at && (*at)->file != f)
		at = &(*at)->next;
	return at;
}

static void drop_locked(struct closing *c, struct closed **at)
{
	struct closed *r = *at;

	*at = r->next;
	free(r);
	(void)pthread_cond_broadcast(&c->changed);
}

void closing_add(struct closing *c, fuse_ino_t node, const struct file *f,
		 bool refused)
{
	LOCK_SCOPE(&c->lock);
	struct closed **at = find_locked(c, f);

	if (!*at)
		*at = calloc(1, sizeof(**at));
	/* Without memory nobody waits. */
	if (!*at)
		return;
	(*at)->file = f;
	(*at)->node = node;
	(*at)->refused = refused;
}

void closing_written(struct closing *c, const struct file *f)
{
	LOCK_SCOPE(&c->lock);
	struct closed **at = find_locked(c, f);

	if (*at && !(*at)->stays)
		drop_locked(c, at);
}

void closing_remove(struct closing *c, const struct file *f)
{
	LOCK_SCOPE(&c->lock);
	struct closed **at = find_locked(c, f);

	if (*at)
		drop_locked(c, at);
}

/* One that is to be let go of. */
static struct closed *awaited_locked(struct closing *c, fuse_ino_t node,
				     enum closing_wait which)
{
	struct closed *r = c->first;

	while (r && (r->node != node || r->stays ||
		     (which == CLOSING_REFUSED && !r->refused)))
		r = r->next;
	return r;
}

void closing_await(struct closing *c, fuse_ino_t node, enum closing_wait which)
{
	LOCK_SCOPE(&c->lock);
	struct timespec until = { 0 };
	struct closed *r;
	int waited = 0;

	if (!awaited_locked(c, node, which))
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += AWAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (waited == 0 && awaited_locked(c, node, which))
		waited = pthread_cond_timedwait(&c->changed, &c->lock, &until);
	while ((r = awaited_locked(c, node, which)))
		r->stays = true;
}
