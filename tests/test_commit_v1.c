/*
 * core/commit_v1, core/exchange: whatever call fails, and whoever comes between, each V1
 * file is the old one or the new one.  The functions of libc are defined here.
 */
#include <sys/syscall.h>

#include "core/content.h"
#include "core/v1.h"
#include "core/v1_file.h"
#include "core/v1_record.h"
#include "core/v1_writer.h"
#include "tests/scene.h"

static struct {
	int any; /* the n-th call to come fails; 0 is none */
	bool armed;
	unsigned exchanges; /* so far */
	unsigned race; /* somebody saves before this one of them; 0 is none */
	const char
		*saved; /* and what he saves it over; NULL: he opens `wanted` */
	const char *wanted; /* to write, and does not */
	int dirfd;
} faults;

static bool fails(void)
{
	if (!faults.armed || faults.any == 0 || --faults.any > 0)
		return false;
	errno = EIO;
	return true;
}

int fsync(int fd)
{
	return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
	return fails() ? -1 : syscall(SYS_pwrite64, fd, buf, nbytes, offset);
}

int fchmod(int fd, mode_t mode)
{
	return fails() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

static void somebody_saves(void)
{
	CLEANUP(close_fd)
	int fd = faults.saved ? -1
			      : openat(faults.dirfd, faults.wanted,
				       O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (!faults.saved) {
		assert_true(fd < 0); /* who holds the lease is told */
		return;
	}
	fd = openat(faults.dirfd, "theirs", O_WRONLY | O_CREAT, 0644);

	assert_int_equal(write(fd, "theirs", 6), 6);
	assert_int_equal(syscall(SYS_renameat2, faults.dirfd, "theirs",
				 faults.dirfd, faults.saved, 0),
			 0);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned flags)
{
	if (fails())
		return -1;
	if (faults.armed && ++faults.exchanges == faults.race)
		somebody_saves();
	return (int)syscall(SYS_renameat2, oldfd, old, newfd, new, flags);
}

static void arm(int any)
{
	memset(&faults, 0, sizeof(faults));
	faults.armed = true;
	faults.any = any;
}

static int disarm(void **state)
{
	(void)state;
	memset(&faults, 0, sizeof(faults));
	return 0;
}

/* --- a checkpoint of `a` and `b`, in one file or in two ------------------------- */

static void read_v1(struct scene *s)
{
	struct bundle *old = s->b;

	assert_int_equal(v1_open(s->where.fd, "ckpt", &s->b), 0);
	bundle_unref(old);
}

static struct entry *letters(struct shard *shard, const char *key, char letter)
{
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	const int64_t n = (int64_t)SIZE;
	struct entry *e = NULL;
	uint8_t all[SIZE];

	memset(all, letter, SIZE);
	assert_int_equal(shard_reserve(shard, SIZE, &x), 0);
	assert_int_equal(shard_write(shard, all, SIZE, extent_offset(x)), 0);
	assert_int_equal(entry_new(span_of(key), INT8, (struct shape){ 1, &n },
				   x, crc32c_extend(0, all, SIZE), &e),
			 0);
	return e;
}

static void put_v1(const struct scene *s, const char *name,
		   struct entry *const *entries, size_t n)
{
	CLEANUP(close_fd)
	int fd = openat(s->where.fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(v1_write(fd, entries, n), 0);
}

static void init_v1(struct scene *s, bool sharded)
{
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	struct entry *e[2];

	*s = (struct scene){ .where = place_make() };
	assert_int_equal(shard_unnamed(s->where.fd, "made", &shard), 0);
	e[0] = letters(shard, "a", 'a');
	e[1] = letters(shard, "b", 'b');
	if (sharded) {
		put_v1(s, "ckpt-00000-of-00002", &e[0], 1);
		put_v1(s, "ckpt-00001-of-00002", &e[1], 1);
	} else {
		put_v1(s, "ckpt", e, 2);
	}
	entry_unref(e[0]);
	entry_unref(e[1]);
	read_v1(s);
}

/* The letter that a value is made of, as the disk has it; 0 where it is not there. */
static char letter_of(const struct scene *s, const char *key)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(content_freep) struct content *c = NULL;
	uint8_t all[SIZE];
	struct entry *e;

	assert_int_equal(v1_open(s->where.fd, "ckpt", &b), 0);
	e = bundle_find(b, span_of(key));
	if (!e)
		return 0;
	assert_int_equal(content_open(e, key, true, &c), 0);
	assert_int_equal(content_size(c), SIZE);
	assert_int_equal(content_read(c, all, SIZE, 0), 0);
	for (size_t i = 1; i < SIZE; i++)
		assert_int_equal(all[i], all[0]);
	return (char)all[0];
}

/* Both get new letters in one edit. */
static struct edit *edit_both(const struct scene *s, char a, char b)
{
	CLEANUP(entry_unrefp) struct entry *ea = scene_write(s, "a", a);
	CLEANUP(entry_unrefp) struct entry *eb = scene_write(s, "b", b);
	struct edit *edit = NULL;

	assert_int_equal(edit_new(&edit), 0);
	assert_int_equal(edit_put(edit, ea, NULL), 0);
	assert_int_equal(edit_put(edit, eb, NULL), 0);
	return edit;
}

static void a_commit_is_read_from_the_new_file(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	init_v1(&s, false);
	edit = edit_both(&s, 'x', 'y');
	assert_int_equal(scene_try(&s, edit), 0);
	assert_int_equal(letter_of(&s, "a"), 'x');
	assert_int_equal(letter_of(&s, "b"), 'y');
	/* The new state lies in the new file, and not where the values waited. */
	assert_non_null(entry_v1(scene_find(&s, "a")));
	assert_int_equal(bundle_current(s.b), 1);
	assert_int_equal(place_count(&s.where), 1);
}

static void a_variable_that_goes_is_not_in_the_file(void **state)
{
	CLEANUP(scene_release) struct scene s;

	(void)state;
	init_v1(&s, false);
	scene_commit(&s, "a", NULL);
	assert_int_equal(letter_of(&s, "a"), 0);
	assert_int_equal(letter_of(&s, "b"), 'b');
}

static void only_the_file_with_a_change_is_written(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct file_id before, after;

	(void)state;
	init_v1(&s, true);
	assert_int_equal(io_id(s.where.fd, "ckpt-00000-of-00002", &before), 0);
	e = scene_write(&s, "b", 'y');
	scene_commit(&s, NULL, e);
	assert_int_equal(io_id(s.where.fd, "ckpt-00000-of-00002", &after), 0);
	assert_true(file_id_equal(&before, &after));
	assert_int_equal(letter_of(&s, "a"), 'a');
	assert_int_equal(letter_of(&s, "b"), 'y');
}

static void a_new_variable_goes_to_the_last_file(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const struct v1_record *record;

	(void)state;
	init_v1(&s, true);
	e = scene_write(&s, "0", 'n');
	scene_commit(&s, NULL, e);
	assert_int_equal(letter_of(&s, "0"), 'n');
	record = entry_v1(scene_find(&s, "0"));
	assert_non_null(record);
	assert_string_equal(v1_file_name(v1_record_file(record)),
			    "ckpt-00001-of-00002");
}

/* One call after the other fails, until none is left to. */
static void any_call_may_fail(bool sharded)
{
	int r = -1;

	for (int n = 1; r < 0; n++) {
		CLEANUP(scene_release) struct scene s;
		CLEANUP(edit_freep) struct edit *edit = NULL;
		char a, b;

		init_v1(&s, sharded);
		edit = edit_both(&s, 'x', 'y');
		arm(n);
		r = scene_try(&s, edit);
		(void)disarm(NULL);
		a = letter_of(&s, "a");
		b = letter_of(&s, "b");
		if (s.report.outcome == COMMIT_VISIBLE) {
			assert_int_equal(a, 'x');
			assert_int_equal(b, 'y');
		} else {
			assert_int_equal(r, -EIO);
			assert_int_equal(a, 'a');
			assert_int_equal(b, 'b');
		}
		assert_int_equal(place_count(&s.where), sharded ? 2 : 1);
		assert_true(n < 100);
		/* And again: nothing of it is lost. */
		if (s.report.outcome != COMMIT_VISIBLE)
			assert_int_equal(scene_try(&s, edit), 0);
		assert_int_equal(letter_of(&s, "a"), 'x');
		assert_int_equal(letter_of(&s, "b"), 'y');
	}
}

static void any_call_of_one_file_may_fail(void **state)
{
	(void)state;
	any_call_may_fail(false);
}

static void any_call_of_two_files_may_fail(void **state)
{
	(void)state;
	any_call_may_fail(true);
}

/* Whether the file is what somebody else has saved. */
static bool is_theirs(const struct scene *s, const char *name)
{
	CLEANUP(close_fd) int fd = openat(s->where.fd, name, O_RDONLY);
	CLEANUP(buf_release) struct buf found = { 0 };

	assert_int_equal(io_read_file(fd, 1U << 30, &found), 0);
	return span_equal(buf_span(&found), span_of("theirs"));
}

static void a_save_that_comes_between_stands(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	init_v1(&s, false);
	edit = edit_both(&s, 'x', 'y');
	arm(0);
	faults.race = 1;
	faults.saved = "ckpt";
	faults.dirfd = s.where.fd;
	assert_int_equal(scene_try(&s, edit), -ESTALE);
	(void)disarm(NULL);
	assert_true(is_theirs(&s, "ckpt"));
	assert_int_equal(place_count(&s.where), 1);
}

static void a_save_of_the_second_file_takes_the_first_one_back(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	struct file_id before, after;

	(void)state;
	init_v1(&s, true);
	assert_int_equal(io_id(s.where.fd, "ckpt-00000-of-00002", &before), 0);
	edit = edit_both(&s, 'x', 'y');
	arm(0);
	faults.race = 2;
	faults.saved = "ckpt-00001-of-00002";
	faults.dirfd = s.where.fd;
	assert_int_equal(scene_try(&s, edit), -ESTALE);
	(void)disarm(NULL);
	assert_true(is_theirs(&s, "ckpt-00001-of-00002"));
	assert_int_equal(io_id(s.where.fd, "ckpt-00000-of-00002", &after), 0);
	assert_true(file_id_equal(&before, &after));
	assert_int_equal(place_count(&s.where), 2);
}

/* One after the other in both: each of them is tried again from its beginning. */
static void a_writer_that_does_not_write_is_waited_for(void **state)
{
	const char *const wanted[] = { "ckpt-00000-of-00002",
				       "ckpt-00001-of-00002" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		CLEANUP(scene_release) struct scene s;
		CLEANUP(edit_freep) struct edit *edit = NULL;

		init_v1(&s, true);
		edit = edit_both(&s, 'x', 'y');
		arm(0);
		faults.race = i + 1;
		faults.wanted = wanted[i];
		faults.dirfd = s.where.fd;
		assert_int_equal(scene_try(&s, edit), 0);
		(void)disarm(NULL);
		assert_int_equal(letter_of(&s, "a"), 'x');
		assert_int_equal(letter_of(&s, "b"), 'y');
		assert_int_equal(place_count(&s.where), 2);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, disarm)
	const struct CMUnitTest tests[] = {
		TEST(a_commit_is_read_from_the_new_file),
		TEST(a_variable_that_goes_is_not_in_the_file),
		TEST(only_the_file_with_a_change_is_written),
		TEST(a_new_variable_goes_to_the_last_file),
		TEST(any_call_of_one_file_may_fail),
		TEST(any_call_of_two_files_may_fail),
		TEST(a_save_that_comes_between_stands),
		TEST(a_save_of_the_second_file_takes_the_first_one_back),
		TEST(a_writer_that_does_not_write_is_waited_for),
	};

	log_to(drop_line, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
