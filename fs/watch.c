#include "fs/watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/cleanup.h"

/* A write in place shows when it ends; our own writes are not worth a look. */
#define EVENTS \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE)
/* Events of one save come together: wait for the rest of them. */
#define GATHER_US    20000
#define SOON_MS      100
#define POLL_MS      1000
#define LUSTRE_MAGIC 0x0bd00bd0 /* not in <linux/magic.h> */

struct watched {
	struct folder *folder;
	int descriptor; /* of inotify; -1 where there is none */
	bool poll;      /* changes may be such that inotify does not tell */
	bool changed;
};

struct watch {
	struct checkpoint *extra;
	int inotify_fd;
	int stop_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	struct watched *all;
	size_t n;
};

/* Whether others may change the directory on machines that we do not hear of. */
static bool is_network(int dirfd)
{
	struct statfs st;

	if (fstatfs(dirfd, &st) < 0)
		return true;
	switch ((unsigned long)st.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
	case V9FS_MAGIC:
	case CEPH_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case LUSTRE_MAGIC:
		return true;
	default:
		return false;
	}
}

void watch_add(struct watch *w, struct folder *f, int dirfd)
{
	struct watched *all;
	char path[64];
	int descriptor = -1;
	bool poll;

	/* By descriptor: the path may lead to our own mount by now. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
	if (!is_network(dirfd))
		descriptor = inotify_add_watch(w->inotify_fd, path, EVENTS);

	poll = descriptor < 0 || folder_linked(f);

	pthread_mutex_lock(&w->lock);
	all = reallocarray(w->all, w->n + 1, sizeof(*all));
	if (all) {
		w->all = all;
		w->all[w->n++] = (struct watched){ f, descriptor, poll, poll };
	}
	pthread_mutex_unlock(&w->lock);
}

void watch_remove(struct watch *w, struct folder *f)
{
	LOCK_SCOPE(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		if (w->all[i].folder != f)
			continue;
		(void)inotify_rm_watch(w->inotify_fd, w->all[i].descriptor);
		w->all[i] = w->all[--w->n];
		return;
	}
}

static void note_events(struct watch *w)
{
	_Alignas(struct inotify_event) char events[8192];
	ssize_t n = read(w->inotify_fd, events, sizeof(events));
	const char *at = events;

	pthread_mutex_lock(&w->lock);
	while (n > 0 && at < events + n) {
		const struct inotify_event *e = (const void *)at;
		/* The queue was too long for the kernel: anything may be new. */
		bool all = e->mask & IN_Q_OVERFLOW;

		for (size_t i = 0; i < w->n; i++)
			if (all || w->all[i].descriptor == e->wd)
				w->all[i].changed = true;
		at += sizeof(*e) + e->len;
	}
	pthread_mutex_unlock(&w->lock);
}

/* The next folder from `*i` on that changed, or has to be polled. */
static struct folder *next_changed(struct watch *w, size_t *i)
{
	struct folder *f = NULL;

	pthread_mutex_lock(&w->lock);
	for (; !f && *i < w->n; ++*i) {
		if (!w->all[*i].changed)
			continue;
		f = w->all[*i].folder;
		w->all[*i].changed = w->all[*i].poll;
	}
	pthread_mutex_unlock(&w->lock);
	return f;
}

static void look_again(struct watch *w, struct folder *f, bool soon)
{
	bool linked = folder_linked(f);

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		if (w->all[i].folder != f)
			continue;
		w->all[i].poll = w->all[i].descriptor < 0 || linked;
		w->all[i].changed |= soon || w->all[i].poll;
	}
	pthread_mutex_unlock(&w->lock);
}

/* Looks at what changed; true if something has to be looked at again soon. */
static bool check(struct watch *w)
{
	bool soon = false;
	struct folder *f;
	size_t i = 0;

	while ((f = next_changed(w, &i))) {
		bool again = folder_check(f);

		look_again(w, f, again);
		soon |= again;
	}
	if (w->extra) {
		(void)checkpoint_refresh(w->extra);
		soon |= checkpoint_unsettled(w->extra);
	}
	return soon;
}

static void *watch_loop(void *arg)
{
	struct watch *w = arg;
	struct pollfd fds[] = { { w->stop_fd, POLLIN, 0 },
				{ w->inotify_fd, POLLIN, 0 } };
	int timeout = POLL_MS;

	while (!(fds[0].revents & POLLIN)) {
		(void)poll(fds, 2, timeout);
		if (fds[1].revents & POLLIN) {
			(void)usleep(GATHER_US);
			note_events(w);
		}
		timeout = check(w) ? SOON_MS : POLL_MS;
	}
	return NULL;
}

int watch_new(struct checkpoint *extra, struct watch **ret)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->extra = extra;
	(void)pthread_mutex_init(&w->lock, NULL);
	w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w->stop_fd < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, watch_loop, w);
	if (r < 0) {
		close_fd(&w->inotify_fd);
		close_fd(&w->stop_fd);
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	(void)eventfd_write(w->stop_fd, 1);
	(void)pthread_join(w->thread, NULL);
	close_fd(&w->inotify_fd);
	close_fd(&w->stop_fd);
	(void)pthread_mutex_destroy(&w->lock);
	free(w->all);
	free(w);
}
