/*
 * The process that serves opens the source, mounts, and only goes to the background
 * when the kernel has begun to talk to it.  Until then it keeps the terminal, so
 * that every fault reaches whoever typed the command.
 *
 * The end: the loop returns, the file system commits while its mount still stands,
 * and only then is it unmounted.  So whoever sees the mount gone sees the changes
 * on disk.
 */
#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/name.h"
#include "fs/fs.h"
#include "fs/loop.h"
#include "fs/mountpoint.h"

#define THREADS 10

struct daemon {
	const struct options *options;
	char *mountpoint; /* absolute */
	struct fs *fs;
	struct fuse_session *session;
	bool mounted;
	int ready_fd; /* to the waiting parent; -1 in the foreground */
};

static void daemon_release(struct daemon *d)
{
	if (d->mounted)
		fuse_session_unmount(d->session);
	if (d->session)
		fuse_session_destroy(d->session);
	fs_free(d->fs);
	free(d->mountpoint);
	close_fd(&d->ready_fd);
}

/* Messages */

static void log_in_foreground(enum log_level level, const char *line)
{
	(void)level;
	fprintf(stderr, "weightfs: %s\n", line);
}

/* The terminal hears of trouble as long as it is there; the rest is for syslog. */
static void log_in_background(enum log_level level, const char *line)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
	};

	if (level < LOG_LEVEL_INFO)
		log_in_foreground(level, line);
	syslog(priorities[level], "%s", line);
}

/* libfuse's own messages: they are how it says why a mount failed. */
__attribute__((format(printf, 2, 0))) static void log_libfuse(
	enum fuse_log_level level, const char *fmt, va_list args)
{
	CLEANUP(free_ptr) char *line = NULL;

	if (level == FUSE_LOG_DEBUG) {
		vfprintf(stderr, fmt, args);
		return;
	}
	if (vasprintf(&line, fmt, args) < 0) {
		line = NULL;
		return;
	}

	line[strcspn(line, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("%s", line);
	else if (level <= FUSE_LOG_WARNING)
		log_warning("%s", line);
	else
		log_info("%s", line);
}

static void start_log(const struct options *options)
{
	if (!options->foreground)
		openlog("weightfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	log_to(options->foreground ? log_in_foreground : log_in_background,
	       options->log_level);
	fuse_set_log_func(log_libfuse);
}

/* The session */

/* One by one, since a source may have commas in its path. */
static int add_option(char **opts, const char *name, const char *value)
{
	CLEANUP(free_ptr) char *text = NULL;

	if (asprintf(&text, "%s%s", name, value) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return fuse_opt_add_opt_escaped(opts, text) ? -ENOMEM : 0;
}

/* For `mount` and `df` to show: the prefix of a checkpoint need not be a file. */
static char *absolute_source(const char *source)
{
	CLEANUP(free_ptr) char *here = NULL;
	char *path = realpath(source, NULL);

	if (path || *source == '/')
		return path ? path : strdup(source);

	here = getcwd(NULL, 0);
	if (!here || asprintf(&path, "%s/%s", here, source) < 0)
		return NULL;
	return path;
}

static int collect_options(const struct daemon *d, char **opts)
{
	const struct options *o = d->options;
	CLEANUP(free_ptr) char *source = absolute_source(o->source);
	int r = source ? add_option(opts, "fsname=", source) : -ENOMEM;

	if (!r)
		r = add_option(opts, "subtype=", "weightfs");
	if (!r)
		r = add_option(opts, "default_permissions", "");
	if (!r && o->allow_other)
		r = add_option(opts, "allow_other", "");
	if (!r && o->noexec)
		r = add_option(opts, "noexec", "");
	if (!r && fs_read_only(d->fs))
		r = add_option(opts, "ro", "");
	return r;
}

static int collect_args(const struct daemon *d, struct fuse_args *args)
{
	CLEANUP(free_ptr) char *opts = NULL;

	if (collect_options(d, &opts) || fuse_opt_add_arg(args, "weightfs") ||
	    fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, opts))
		return -ENOMEM;
	return d->options->debug && fuse_opt_add_arg(args, "-d") ? -ENOMEM : 0;
}

/* What fails in libfuse, libfuse has said. */
static enum exit_code open_session(struct daemon *d)
{
	CLEANUP(fuse_opt_free_args) struct fuse_args args = { 0 };

	if (collect_args(d, &args) == 0)
		d->session = fuse_session_new(&args, fs_ops(d->fs),
					      sizeof(struct fuse_lowlevel_ops),
					      d->fs);
	if (!d->session)
		return EXIT_CODE_FAILURE;

	/* Before the mount: a signal from here on must not leave a dead one. */
	if (loop_block_signals() < 0)
		return EXIT_CODE_FAILURE;

	if (fuse_session_mount(d->session, d->mountpoint))
		return EXIT_CODE_FUSE;
	d->mounted = true;
	return EXIT_CODE_OK;
}

/* Lets go of the terminal, then of the parent. */
static void go_to_background(struct daemon *d)
{
	CLEANUP(close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (d->ready_fd < 0)
		return;

	(void)setsid();
	(void)!chdir(
		"/"); /* else where it was started could not be unmounted */
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	/* If this fails the parent is gone, and nobody waits. */
	(void)!write(d->ready_fd, "", 1);
	close_fd(&d->ready_fd);
	d->ready_fd = -1;
}

/* The tree is usable; called by any thread. */
static void ready(void *arg)
{
	struct daemon *d = arg;

	log_info(
		"%s: mounted on %s; %s/" NAME_HIDDEN_DIR
		", which is not listed, has status, log, control, manifest and by-name",
		d->options->source, d->mountpoint, d->mountpoint);
	go_to_background(d);
}

static enum exit_code serve_until_the_end(struct daemon *d)
{
	int r = fs_start(d->fs, d->session, ready, d);

	if (r) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_CODE_FAILURE;
	}

	r = loop_run(d->session, THREADS);
	if (r)
		log_error("%s: cannot serve it any longer: %s", d->mountpoint,
			  strerror(-r));
	if (fs_stop(d->fs))
		return EXIT_CODE_NOT_DURABLE;
	return r ? EXIT_CODE_FUSE : EXIT_CODE_OK;
}

/* The process */

/* A mount holds many shards open. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* SIGIO tells that somebody wants the file a lease is on; the lease is asked. */
static void ignore_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGIO, &ignore, NULL);
}

static enum exit_code serve(const struct options *options, int ready_fd)
{
	CLEANUP(daemon_release)
	struct daemon d = { .options = options, .ready_fd = ready_fd };
	enum exit_code code;

	start_log(options);
	ignore_signals();
	raise_file_limit();

	code = mountpoint_prepare(options, &d.mountpoint);
	if (!code)
		code = fs_open(options, &d.fs);
	if (code || options->fake)
		return code;

	code = open_session(&d);
	return code ? code : serve_until_the_end(&d);
}

/* The child says one byte when it is ready; if it ends before, its code counts. */
static enum exit_code wait_until_ready(pid_t child, int fd)
{
	char byte;
	int status;

	if (TEMP_FAILURE_RETRY(read(fd, &byte, 1)) == 1)
		return EXIT_CODE_OK;

	if (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) < 0) {
		log_error("lost sight of the daemon: %s", strerror(errno));
		return EXIT_CODE_FAILURE;
	}
	if (WIFEXITED(status))
		return (enum exit_code)WEXITSTATUS(status);
	log_error("the daemon was ended by signal %d before it was ready",
		  WTERMSIG(status));
	return EXIT_CODE_FAILURE;
}

static enum exit_code fail_to_fork(void)
{
	log_error("cannot start the daemon: %s", strerror(errno));
	return EXIT_CODE_FAILURE;
}

/* The child owns the pipe's other end, and closes it by ending at the latest. */
static enum exit_code mount_in_background(const struct options *options)
{
	CLEANUP(close_fd) int read_end = -1;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_to_fork();
	read_end = ends[0];

	child = fork();
	if (child == 0) {
		close_fd(&read_end);
		read_end = -1;
		return serve(options, ends[1]);
	}
	close_fd(&ends[1]);
	return child < 0 ? fail_to_fork() : wait_until_ready(child, read_end);
}

enum exit_code daemon_mount(const struct options *options)
{
	return options->foreground ? serve(options, -1)
				   : mount_in_background(options);
}
