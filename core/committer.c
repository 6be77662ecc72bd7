#include "core/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/log.h"

#define RETRY_MS UINT64_C(5000)

/* One that anybody was told of stays: it is finished in the end. */
struct waiting {
	struct checkpoint *cp;
	uint64_t due; /* clock_ms(); UINT64_MAX: nothing is known */
};

struct committer {
	pthread_t thread;
	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	struct waiting *queue;
	size_t n;
	bool stop;
};

static void add(struct committer *c, struct checkpoint *cp, uint64_t due)
{
	struct waiting *queue;

	LOCK_SCOPE(&c->lock);
	(void)pthread_cond_signal(&c->changed);
	for (size_t i = 0; i < c->n; i++) {
		if (c->queue[i].cp != cp)
			continue;
		if (due < c->queue[i].due)
			c->queue[i].due = due;
		return;
	}
	queue = reallocarray(c->queue, c->n + 1, sizeof(*queue));
	if (!queue) {
		log_error("out of memory: a commit waits for the next fsync");
		return;
	}
	c->queue = queue;
	c->queue[c->n++] = (struct waiting){ checkpoint_ref(cp), due };
}

void committer_add(struct committer *c, struct checkpoint *cp,
		   unsigned delay_ms)
{
	add(c, cp, clock_ms() + delay_ms);
}

/* The one that is due; NULL if none is, with when the next will be. */
static struct checkpoint *take_locked(struct committer *c, uint64_t *ret_next)
{
	uint64_t now = clock_ms();
	struct waiting *first = NULL;

	*ret_next = now + RETRY_MS;

	/* Whoever waits longest: one that is written all the time holds up no other. */
	for (size_t i = 0; i < c->n; i++)
		if (!first || c->queue[i].due < first->due)
			first = &c->queue[i];
	if (first && first->due <= now) {
		first->due = UINT64_MAX;
		return first->cp;
	}
	if (first && first->due < *ret_next)
		*ret_next = first->due;
	return NULL;
}

static void *commit_loop(void *arg)
{
	struct committer *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		uint64_t next;
		struct checkpoint *cp = take_locked(c, &next);
		struct timespec until = { (time_t)(next / 1000),
					  (long)(next % 1000) * 1000000 };

		if (!cp) {
			(void)pthread_cond_timedwait(&c->changed, &c->lock,
						     &until);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		/* A replaced checkpoint has nothing left to commit. */
		if (checkpoint_commit_background(cp) < 0)
			add(c, cp, clock_ms() + RETRY_MS);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int committer_new(struct committer **ret)
{
	struct committer *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	r = pthread_create(&c->thread, NULL, commit_loop, c);
	if (r) {
		free(c);
		return -r;
	}
	*ret = c;
	return 0;
}

int committer_each(struct committer *c, int (*each)(struct checkpoint *cp))
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	size_t n;
	int first = 0;

	/* They stay in the queue, which holds a reference of each. */
	pthread_mutex_lock(&c->lock);
	n = c->n;
	all = calloc(n + 1, sizeof(struct checkpoint *));
	for (size_t i = 0; all && i < n; i++)
		all[i] = c->queue[i].cp;
	pthread_mutex_unlock(&c->lock);
	if (!all)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		int r = each(all[i]);

		if (first == 0)
			first = r;
	}
	return first;
}

int committer_free(struct committer *c)
{
	int r;

	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	(void)pthread_join(c->thread, NULL);
	r = committer_each(c, checkpoint_finish);
	for (size_t i = 0; i < c->n; i++)
		checkpoint_unref(c->queue[i].cp);
	free(c->queue);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
	return r;
}
