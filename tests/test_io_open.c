/* core/io_open: what is opened is in the source, whatever links and directories do. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/io.h"
#include "tests/store_support.h"

/* A source with the directories a and b, each open, and a file beside the source. */
struct land {
	struct bench around;
	char path[PATH_MAX];
	int root, a, b;
};

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_land(struct land *l)
{
	char around[PATH_MAX];

	bench_make(&l->around);
	assert_int_equal(mkdirat(l->around.fd, "source", 0755), 0);
	l->root = open_dir(l->around.fd, "source");
	assert_int_equal(mkdirat(l->root, "a", 0755), 0);
	assert_int_equal(mkdirat(l->root, "b", 0755), 0);
	l->a = open_dir(l->root, "a");
	l->b = open_dir(l->root, "b");
	bench_file(l->a, "file", "inside");
	bench_file(l->around.fd, "file", "outside");
	assert_non_null(realpath(l->around.path, around));
	(void)snprintf(l->path, sizeof(l->path), "%.3000s/source", around);
	io_set_root(l->root);
}

static void leave(struct land *l)
{
	io_set_root(-1);
	close_fd(&l->a);
	close_fd(&l->b);
	close_fd(&l->root);
	bench_release(&l->around);
}

/* What opening says, and that what it opens is inside. */
static int look(int dirfd, const char *name)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(close_fd) int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fd;
	assert_int_equal(io_read_file(fd, 64, &text), 0);
	assert_true(span_equal(buf_span(&text), span_of("inside")));
	return 0;
}

static int look_through(struct land *l, const char *target)
{
	(void)unlinkat(l->b, "link", 0);
	assert_int_equal(symlinkat(target, l->b, "link"), 0);
	return look(l->b, "link");
}

static int look_absolute(struct land *l, const char *below)
{
	char target[PATH_MAX];

	(void)snprintf(target, sizeof(target), "%.3000s%s", l->path, below);
	return look_through(l, target);
}

static void links_lead_to_other_directories_of_the_source(void **state)
{
	CLEANUP(leave) struct land l;

	(void)state;
	make_land(&l);
	assert_int_equal(look_through(&l, "../a/file"), 0);
	assert_int_equal(look_through(&l, "../b/../a/./file"), 0);
	assert_int_equal(look_absolute(&l, "/a/file"), 0);
	assert_int_equal(look_absolute(&l, "//a/file"), 0);
	/* One after the other, of both kinds. */
	assert_int_equal(symlinkat("../b/link", l.a, "back"), 0);
	assert_int_equal(look(l.a, "back"), 0);
	assert_int_equal(look_through(&l, "../a/file"), 0);
	assert_int_equal(symlinkat("../a/back", l.b, "more"), 0);
	assert_int_equal(look(l.b, "more"), 0);
	assert_int_equal(look_through(&l, "../a/none"), -ENOENT);
}

static void links_do_not_lead_out_of_the_source(void **state)
{
	CLEANUP(leave) struct land l;

	(void)state;
	make_land(&l);
	assert_int_equal(look_through(&l, "../../file"), -EXDEV);
	assert_int_equal(look_through(&l, "../a/../../file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "/../file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "ish/file"), -EXDEV);
	assert_int_equal(look_through(&l, "/etc/passwd"), -EXDEV);
	assert_int_equal(look_through(&l, "/proc/self/fd/0"), -EXDEV);
	assert_int_equal(look(l.b, "/etc/passwd"), -EXDEV);
	assert_int_equal(look_through(&l, "../../source/a/file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "/b/link"), -EXDEV);
	assert_int_equal(look_through(&l, "link"), -ELOOP);
}

static void links_that_are_not_to_be_followed_are_not(void **state)
{
	CLEANUP(leave) struct land l;

	(void)state;
	make_land(&l);
	assert_int_equal(look_absolute(&l, "/a/file"), 0);
	assert_int_equal(io_open(l.b, "link", O_RDONLY | O_NOFOLLOW), -ELOOP);
}

/* It is a source of its own then: an absolute link may lead into it. */
static void without_a_root_no_link_leaves_its_directory(void **state)
{
	CLEANUP(leave) struct land l;

	(void)state;
	make_land(&l);
	io_set_root(-1);
	assert_int_equal(look_through(&l, "../a/file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "/a/file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "/b/file"), -ENOENT);
	bench_file(l.b, "file", "inside");
	assert_int_equal(look_absolute(&l, "/b/file"), 0);
	assert_int_equal(look(l.a, "../b/file"), -EXDEV);
}

static void directory_may_have_been_moved_or_removed(void **state)
{
	CLEANUP(leave) struct land l;

	(void)state;
	make_land(&l);
	assert_int_equal(look_through(&l, "../a/file"), 0);
	assert_int_equal(mkdirat(l.a, "deep", 0755), 0);
	assert_int_equal(renameat(l.root, "b", l.root, "a/deep/b"), 0);
	assert_int_equal(look(l.b, "link"), -ENOENT);
	assert_int_equal(look_through(&l, "../../file"), 0);
	/* Out of the source: then nothing but itself is below. */
	assert_int_equal(renameat(l.root, "a/deep/b", l.around.fd, "b"), 0);
	assert_int_equal(look_through(&l, "../file"), -EXDEV);
	assert_int_equal(look_through(&l, "../source/a/file"), -EXDEV);
	assert_int_equal(look_absolute(&l, "/a/file"), -EXDEV);
	assert_int_equal(unlinkat(l.b, "link", 0), 0);
	assert_int_equal(renameat(l.around.fd, "b", l.root, "b"), 0);
	assert_int_equal(unlinkat(l.root, "b", AT_REMOVEDIR), 0);
	assert_int_equal(look(l.b, "link"), -ENOENT);
}

static void linked_file_is_followed_to_where_it_is(void **state)
{
	CLEANUP(leave) struct land l;
	CLEANUP(free_ptr) char *name = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	make_land(&l);
	assert_int_equal(look_absolute(&l, "/a/file"), 0);
	assert_int_equal(io_follow(l.b, "link", &fd, &name), 0);
	assert_string_equal(name, "file");
	assert_int_equal(look(fd, name), 0);
}

/* Another process that moves directories and turns links, until it is killed. */
static pid_t restless(struct land *l)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		(void)unlinkat(l->b, "link", 0);
		(void)symlinkat("../a/file", l->b, "link");
		/* Without a rest now and then nothing at all would be opened. */
		(void)usleep(50);
		(void)renameat(l->root, "b", l->root, "a/b");
		(void)unlinkat(l->b, "link", 0);
		(void)symlinkat("../../file", l->b, "link");
		(void)renameat(l->root, "a/b", l->root, "b");
		(void)renameat(l->root, "b", l->around.fd, "b");
		(void)renameat(l->around.fd, "b", l->root, "b");
	}
}

/* The text of what is opened is compared in look(). */
static void nothing_outside_is_opened_while_others_move_everything(void **state)
{
	CLEANUP(leave) struct land l;
	unsigned opened = 0, tries = 0;
	pid_t pid;

	(void)state;
	make_land(&l);
	pid = restless(&l);
	for (; tries < 200000 && (opened < 200 || tries < 20000); tries++)
		opened += look(l.b, "link") == 0;
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(opened >= 200);
}

/* --- a file that somebody has a lease on ----------------------------------------- */

#define LEASED_MS 300

/* Lets go of the file only when it was asked to, and a while after that. */
static void hold_lease(const struct land *l, int ready_fd)
{
	int fd = openat(l->a, "file", O_RDONLY | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		_exit(1);
	(void)!write(ready_fd, "", 1);
	while (fcntl(fd, F_GETLEASE) == F_WRLCK)
		(void)usleep(1000);
	(void)usleep(LEASED_MS * 1000);
	_exit(0);
}

static pid_t lessee(const struct land *l)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		hold_lease(l, ready[1]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

/* How often we let go of the processor. */
static long rests(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_nvcsw;
}

static void file_that_is_leased_is_waited_for_and_at_rest(void **state)
{
	CLEANUP(leave) struct land l;
	long before;
	int status;
	pid_t pid;

	(void)state;
	make_land(&l);
	pid = lessee(&l);
	before = rests();
	assert_int_equal(look(l.a, "file"), 0);
	assert_true(rests() - before >= 3);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_lead_to_other_directories_of_the_source),
		cmocka_unit_test(links_do_not_lead_out_of_the_source),
		cmocka_unit_test(links_that_are_not_to_be_followed_are_not),
		cmocka_unit_test(without_a_root_no_link_leaves_its_directory),
		cmocka_unit_test(directory_may_have_been_moved_or_removed),
		cmocka_unit_test(linked_file_is_followed_to_where_it_is),
		cmocka_unit_test(
			nothing_outside_is_opened_while_others_move_everything),
		cmocka_unit_test(file_that_is_leased_is_waited_for_and_at_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
