#include "fs/notify.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "core/cleanup.h"

/* Of protocol 7.44, which headers of today do not have yet. */
#define NOTIFY_INC_EPOCH 8

struct notice {
	struct notice *next;
	fuse_ino_t node;
	size_t name_len; /* 0: the node itself */
	char name[];
};

struct notifier {
	struct fuse_session *session;
	bool epochs;           /* set before the first request */
	pthread_key_t request; /* what the thread's request changed, or NULL */
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t added;
	struct notice *first;
	struct notice **last;
	struct notice *newest; /* the last of them, if there is any */
	bool stop;
	bool ended; /* the thread is about to return */
};

/* What a thread's `request` is: only the addresses count. */
static const char nothing_changed = 'n';
static const char names_changed = 'y';

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

int notifier_new(struct fuse_session *session, bool epochs,
		 struct notifier **ret)
{
	struct notifier *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	r = pthread_key_create(&n->request, NULL);
	if (r) {
		free(n);
		return -r;
	}
	n->session = session;
	n->epochs = epochs;
	n->last = &n->first;
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_cond_init(&n->added, NULL);
	r = pthread_create(&n->thread, NULL, notify_loop, n);
	if (r) {
		(void)pthread_key_delete(n->request);
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
	(void)pthread_key_delete(n->request);
	free(n);
}

static struct notice *notice_new(fuse_ino_t node, struct span name)
{
	/* libfuse sends the NUL as well. */
	struct notice *notice = calloc(1, sizeof(*notice) + name.len + 1);

	if (!notice)
		return NULL;
	notice->node = node;
	notice->name_len = name.len;
	if (name.len)
		memcpy(notice->name, name.data, name.len);
	return notice;
}

/* Whether the newest notice says all that a notice about `node` could say. */
static bool said_locked(const struct notifier *n, fuse_ino_t node,
			struct span name)
{
	return n->first && !name.len && n->newest->node == node &&
	       !n->newest->name_len;
}

static void add(struct notifier *n, fuse_ino_t node, struct span name)
{
	LOCK_SCOPE(&n->lock);
	struct notice *notice;

	if (n->stop || said_locked(n, node, name))
		return;
	/* Out of memory, the kernel finds out when its timeouts end. */
	notice = notice_new(node, name);
	if (!notice)
		return;
	n->newest = notice;
	*n->last = notice;
	n->last = &notice->next;
	(void)pthread_cond_signal(&n->added);
}

/* --- in requests --------------------------------------------------------- */

/* libfuse has no function for it.  Takes no lock, of the kernel's or of ours. */
static int send_epoch(const struct notifier *n)
{
	struct fuse_out_header out = { .len = sizeof(out),
				       .error = NOTIFY_INC_EPOCH };
	struct iovec iov = { &out, sizeof(out) };

	return writev(fuse_session_fd(n->session), &iov, 1) < 0 ? -errno : 0;
}

void notifier_probe(struct notifier *n)
{
	if (n->epochs && send_epoch(n) == -EINVAL)
		n->epochs = false;
}

bool notify_at_once(const struct notifier *n)
{
	return n->epochs;
}

void notify_begin(struct notifier *n)
{
	(void)pthread_setspecific(n->request, &nothing_changed);
}

void notify_end(struct notifier *n)
{
	if (pthread_getspecific(n->request) == &names_changed)
		(void)send_epoch(n);
	(void)pthread_setspecific(n->request, NULL);
}

void notify_name(struct notifier *n, fuse_ino_t parent, struct span name)
{
	if (!n->epochs || !pthread_getspecific(n->request)) {
		add(n, parent, name);
		return;
	}
	(void)pthread_setspecific(n->request, &names_changed);
	add(n, parent, (struct span){ 0 });
}

void notify_content(struct notifier *n, fuse_ino_t node)
{
	add(n, node, (struct span){ 0 });
}

void notify_attributes(struct notifier *n, fuse_ino_t node)
{
	/* Before the data of a file, and so without it. */
	(void)fuse_lowlevel_notify_inval_inode(n->session, node, -1, 0);
}
