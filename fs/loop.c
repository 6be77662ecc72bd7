#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/cleanup.h"

struct loop {
	struct fuse_session *session;
	int end_fd; /* readable once it is to end */
	atomic_int error;
};

static sigset_t ending_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	return set;
}

int loop_block_signals(void)
{
	sigset_t set = ending_signals();

	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void end(struct loop *l)
{
	const uint64_t one = 1;

	(void)!write(l->end_fd, &one, sizeof(one));
}

/* Each thread has its own, so that a request wakes one of them only. */
static int wait_on(const struct loop *l)
{
	struct epoll_event request = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct epoll_event ending = { .events = EPOLLIN, .data.u32 = 1 };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (epoll_ctl(fd, EPOLL_CTL_ADD, fuse_session_fd(l->session),
		      &request) == 0 &&
	    epoll_ctl(fd, EPOLL_CTL_ADD, l->end_fd, &ending) == 0)
		return fd;
	close_fd(&fd);
	return -errno;
}

/* Until something else than a request comes: 0, or why nothing can be received. */
static int serve(struct loop *l, int wait_fd, struct fuse_buf *buf)
{
	struct epoll_event event;
	int r;

	for (;;) {
		r = epoll_wait(wait_fd, &event, 1, -1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		if (event.data.u32)
			return 0;
		r = fuse_session_receive_buf(l->session, buf);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0)
			return r;
		fuse_session_process_buf(l->session, buf);
	}
}

static void *work(void *arg)
{
	struct loop *l = arg;
	struct fuse_buf buf = { 0 };
	CLEANUP(close_fd) int wait_fd = wait_on(l);
	int r = wait_fd < 0 ? wait_fd : serve(l, wait_fd, &buf);

	/* A mount that others took away is a good end. */
	if (r < 0 && r != -ECONNABORTED)
		atomic_store(&l->error, r);
	free(buf.mem);
	end(l);
	return NULL;
}

/* Until a signal comes, or a thread has ended. */
static void wait_for_end(const struct loop *l, int signal_fd)
{
	struct pollfd fds[] = { { signal_fd, POLLIN, 0 },
				{ l->end_fd, POLLIN, 0 } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
}

static int run(struct loop *l, unsigned threads, int signal_fd)
{
	CLEANUP(free_ptr)
	pthread_t *workers = calloc(threads, sizeof(*workers));
	unsigned n = 0;
	int r = workers ? 0 : -ENOMEM;

	while (r == 0 && n < threads) {
		r = -pthread_create(&workers[n], NULL, work, l);
		n += r == 0;
	}
	/* One is enough. */
	if (n > 0)
		wait_for_end(l, signal_fd);
	end(l);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(workers[i], NULL);
	return n > 0 ? atomic_load(&l->error) : r;
}

int loop_run(struct fuse_session *session, unsigned threads)
{
	sigset_t set = ending_signals();
	CLEANUP(close_fd) int signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	CLEANUP(close_fd) int end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop l = { .session = session, .end_fd = end_fd };
	int fd = fuse_session_fd(session);

	atomic_init(&l.error, 0);
	/* Who finds that another thread was faster looks for the end again. */
	if (signal_fd < 0 || end_fd < 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	return run(&l, threads, signal_fd);
}
