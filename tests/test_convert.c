/*
 * core/convert: somebody else saves to the name that it is writing to.  The functions of
 * libc that give names are defined here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/convert.h"
#include "tests/scene.h"

static struct {
	int left; /* names until somebody saves, 0 is never */
	int dirfd;
	bool named; /* no file can be without a name: a filesystem that cannot */
} plan;

/* As TensorFlow does: the data under its name, whatever is there, then the index. */
static void save(int dirfd)
{
	CLEANUP(maker_release) struct maker m;

	maker_init(&m, HEADER);
	maker_add(&m, "theirs", span_of("12345678"));
	maker_write(&m, dirfd);
	assert_int_equal(renameat(dirfd, "ckpt.data-00000-of-00001", dirfd,
				  "to.data-00000-of-00001"),
			 0);
	assert_int_equal(renameat(dirfd, "ckpt.index", dirfd, "to.index"), 0);
}

static void before_a_name(void)
{
	if (plan.left > 0 && --plan.left == 0)
		save(plan.dirfd);
}

int access(const char *name, int type)
{
	if (plan.named && strncmp(name, "/proc/self/fd/", 14) == 0) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(SYS_faccessat, AT_FDCWD, name, type);
}

int linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
	before_a_name();
	return (int)syscall(SYS_linkat, fromfd, from, tofd, to, flags);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned flags)
{
	before_a_name();
	return (int)syscall(SYS_renameat2, oldfd, old, newfd, new, flags);
}

static void check_theirs(int dirfd)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct shard *const *shards;
	size_t n;

	assert_int_equal(bundle_open(dirfd, "to", NULL, &b), 0);
	assert_int_equal(bundle_count(b), 1);
	assert_non_null(bundle_find(b, span_of("theirs")));
	shards = bundle_shards(b, &n);
	assert_int_equal(n, 1);
	assert_false(shard_missing(shards[0]));
}

static int count_names(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	const struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static void a_save_that_comes_in_between_stays_whole(void **state)
{
	(void)state;
	for (int i = 1; i <= 4; i++) {
		CLEANUP(scene_release) struct scene s;
		struct convert_target to;

		scene_init(&s);
		to = (struct convert_target){ s.where.fd, "to", false };
		plan.dirfd = s.where.fd;
		plan.left = 1 + i % 2;
		plan.named = i > 2;
		assert_int_equal(convert_checkpoint(s.b, &to), -EEXIST);
		assert_int_equal(plan.left, 0);
		check_theirs(s.where.fd);
	}
}

/* With and without names in between; and nothing else is left in the directory. */
static void the_result_is_whole_and_alone(void **state)
{
	(void)state;
	plan.left = 0;
	for (int i = 0; i < 4; i++) {
		CLEANUP(scene_release) struct scene s;
		struct convert_target to;

		scene_init(&s);
		to = (struct convert_target){ s.where.fd, "to", i % 2 };
		plan.named = i > 1;
		assert_int_equal(count_names(s.where.fd), 2);
		assert_int_equal(convert_checkpoint(s.b, &to), 0);
		assert_int_equal(count_names(s.where.fd), to.v1 ? 3 : 4);
		assert_int_equal(faccessat(s.where.fd,
					   to.v1 ? "to" : "to.index", R_OK, 0),
				 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_save_that_comes_in_between_stays_whole),
		cmocka_unit_test(the_result_is_whole_and_alone),
	};

	return cmocka_run_group_tests_name("convert", tests, note_lines, NULL);
}
