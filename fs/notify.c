#include "fs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct notice {
	struct notice *next;
	fuse_ino_t node;
	size_t name_len; /* 0: the node itself */
	char name[];
};

struct notifier {
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t added;
	struct notice *first;
	struct notice **last;
	bool stop;
	bool ended; /* the thread is about to return */
};

static void send_notice(struct fuse_session *session, const struct notice *n)
{
	/* -ENOENT says that the kernel knew nothing of it, which is as good. */
	if (n->name_len)
		(void)fuse_lowlevel_notify_inval_entry(session, n->node,
						       n->name, n->name_len);
	(void)fuse_lowlevel_notify_inval_inode(session, n->node, 0, 0);
}

static void *notify_loop(void *arg)
{
	struct notifier *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		struct notice *notice = n->first;

		if (!notice) {
			(void)pthread_cond_wait(&n->added, &n->lock);
			continue;
		}
		n->first = notice->next;
		if (!n->first)
			n->last = &n->first;
		pthread_mutex_unlock(&n->lock);
		send_notice(n->session, notice);
		free(notice);
		pthread_mutex_lock(&n->lock);
	}
	n->ended = true;
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int notifier_new(struct fuse_session *session, struct notifier **ret)
{
	struct notifier *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->session = session;
	n->last = &n->first;
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_cond_init(&n->added, NULL);
	r = pthread_create(&n->thread, NULL, notify_loop, n);
	if (r) {
		free(n);
		return -r;
	}
	*ret = n;
	return 0;
}

void notifier_stop(struct notifier *n)
{
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	(void)pthread_cond_signal(&n->added);
	pthread_mutex_unlock(&n->lock);
}

bool notifier_ended(struct notifier *n)
{
	bool ended;

	pthread_mutex_lock(&n->lock);
	ended = n->ended;
	pthread_mutex_unlock(&n->lock);
	return ended;
}

void notifier_free(struct notifier *n)
{
	if (!n)
		return;
	(void)pthread_join(n->thread, NULL);
	while (n->first) {
		struct notice *notice = n->first;

		n->first = notice->next;
		free(notice);
	}
	(void)pthread_cond_destroy(&n->added);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

static void add(struct notifier *n, fuse_ino_t node, struct span name)
{
	/* libfuse sends the NUL as well. */
	struct notice *notice = calloc(1, sizeof(*notice) + name.len + 1);

	/* Out of memory, the kernel finds out when its timeouts end. */
	if (!notice)
		return;
	notice->node = node;
	notice->name_len = name.len;
	if (name.len)
		memcpy(notice->name, name.data, name.len);

	pthread_mutex_lock(&n->lock);
	if (n->stop) {
		free(notice);
	} else {
		*n->last = notice;
		n->last = &notice->next;
		(void)pthread_cond_signal(&n->added);
	}
	pthread_mutex_unlock(&n->lock);
}

void notify_name(struct notifier *n, fuse_ino_t parent, struct span name)
{
	add(n, parent, name);
}

void notify_content(struct notifier *n, fuse_ino_t node)
{
	add(n, node, (struct span){ 0 });
}
