#include "core/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/log.h"

#define RETRY_SECONDS 5

struct waiting {
	struct checkpoint *cp;
	time_t due; /* CLOCK_MONOTONIC; 0 is at once */
};

struct committer {
	pthread_t thread;
	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	struct waiting *queue;
	size_t n;
	struct checkpoint *busy; /* taken from the queue, and not done yet */
	bool stop;
};

static time_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void add(struct committer *c, struct checkpoint *cp, time_t due)
{
	struct waiting *queue;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n; i++) {
		if (c->queue[i].cp != cp)
			continue;
		if (due < c->queue[i].due)
			c->queue[i].due = due;
		goto known;
	}
	queue = reallocarray(c->queue, c->n + 1, sizeof(*queue));
	if (queue) {
		c->queue = queue;
		c->queue[c->n++] = (struct waiting){ checkpoint_ref(cp), due };
	} else {
		log_error("out of memory: a commit waits for the next fsync");
	}
known:
	(void)pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void committer_add(struct committer *c, struct checkpoint *cp)
{
	add(c, cp, 0);
}

/* Takes what is due out of the queue; NULL if nothing is. */
static struct checkpoint *take_locked(struct committer *c, bool all)
{
	for (size_t i = 0; i < c->n; i++) {
		struct checkpoint *cp = c->queue[i].cp;

		if (!all && c->queue[i].due > now())
			continue;
		c->queue[i] = c->queue[--c->n];
		return cp;
	}
	return NULL;
}

static void *commit_loop(void *arg)
{
	struct committer *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct checkpoint *cp = take_locked(c, false);
		struct timespec until;

		if (!cp) {
			(void)clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += c->n ? 1 : 3600;
			(void)pthread_cond_timedwait(&c->changed, &c->lock,
						     &until);
			continue;
		}
		c->busy = cp;
		pthread_mutex_unlock(&c->lock);
		/* A replaced checkpoint has nothing left to commit. */
		if (checkpoint_commit_background(cp) < 0)
			add(c, cp, now() + RETRY_SECONDS);
		pthread_mutex_lock(&c->lock);
		c->busy = NULL;
		checkpoint_unref(cp);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int committer_new(struct committer **ret)
{
	struct committer *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int r;

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	r = pthread_create(&c->thread, NULL, commit_loop, c);
	if (r) {
		free(c);
		return -r;
	}
	*ret = c;
	return 0;
}

int committer_flush(struct committer *c)
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	size_t n;
	int first = 0;

	pthread_mutex_lock(&c->lock);
	all = calloc(c->n + 1, sizeof(struct checkpoint *));
	for (n = 0; all && n < c->n; n++)
		all[n] = checkpoint_ref(c->queue[n].cp);
	if (all && c->busy)
		all[n++] = checkpoint_ref(c->busy);
	pthread_mutex_unlock(&c->lock);
	if (!all)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		int r = checkpoint_commit(all[i]);

		if (first == 0)
			first = r;
		checkpoint_unref(all[i]);
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
	r = committer_flush(c);
	for (size_t i = 0; i < c->n; i++)
		checkpoint_unref(c->queue[i].cp);
	free(c->queue);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
	return r;
}
