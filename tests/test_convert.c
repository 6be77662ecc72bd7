/*
 * core/convert: somebody else saves to the name that it is writing to.  The function of
 * libc that gives names is defined here.
 */
#include <sys/syscall.h>

#include "core/convert.h"
#include "tests/scene.h"

static struct {
	int left; /* names until somebody saves, 0 is never */
	int dirfd;
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

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned flags)
{
	if (plan.left > 0 && --plan.left == 0)
		save(plan.dirfd);
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

static void a_save_that_comes_in_between_stays_whole(void **state)
{
	(void)state;
	for (int i = 1; i <= 2; i++) {
		CLEANUP(scene_release) struct scene s;
		struct convert_target to;

		scene_init(&s);
		to = (struct convert_target){ s.where.fd, "to", false };
		plan.dirfd = s.where.fd;
		plan.left = i;
		assert_int_equal(convert_checkpoint(s.b, &to), -EEXIST);
		assert_int_equal(plan.left, 0);
		check_theirs(s.where.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_save_that_comes_in_between_stays_whole),
	};

	return cmocka_run_group_tests_name("convert", tests, note_lines, NULL);
}
