/*
 * core/commit and core/keep: what comes of syncs that fail, and in which order things
 * become durable.  The functions of libc are defined here as in test_commit.c.
 */
#include <sys/syscall.h>

#include "core/keep.h"
#include "tests/scene.h"

static struct {
	int data;   /* how many fdatasyncs to come fail */
	bool lossy; /* and drop what they could not write */
	int any;    /* the n-th call to come fails; 0 is none */
	bool armed; /* trace and fail */
	char trace[64];
	uint64_t from; /* what is dropped */
	size_t few;    /* bytes of it, and not SIZE */
} faults;

static bool fails(char letter)
{
	size_t n = strlen(faults.trace);

	if (!faults.armed)
		return false;
	if (n + 1 < sizeof(faults.trace))
		faults.trace[n] = letter;
	if (faults.any == 0 || --faults.any > 0)
		return false;
	errno = EIO;
	return true;
}

int fdatasync(int fildes)
{
	static const uint8_t zeros[SIZE];

	if (faults.data > 0) {
		faults.data--;
		if (faults.lossy)
			(void)syscall(SYS_pwrite64, fildes, zeros,
				      faults.few ? faults.few : SIZE,
				      faults.from);
		errno = EIO;
		return -1;
	}
	return fails('d') ? -1 : (int)syscall(SYS_fdatasync, fildes);
}

int fsync(int fd)
{
	struct stat st;
	bool directory = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	return fails(directory ? 'D' : 's') ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned flags)
{
	return fails('x') ? -1
			  : (int)syscall(SYS_renameat2, oldfd, old, newfd, new,
					 flags);
}

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
	return fails('w') ? -1 : syscall(SYS_pwrite64, fd, buf, nbytes, offset);
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

static struct edit *edit_of(struct entry *e)
{
	struct edit *edit = NULL;

	assert_int_equal(edit_new(&edit), 0);
	assert_int_equal(edit_put(edit, e, NULL), 0);
	return edit;
}

/* --- values that could not be synced ---------------------------------------- */

static void value_that_failed_to_sync_is_written_anew(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	const struct entry *moved;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	faults.data = 1;
	assert_int_equal(scene_try(&s, edit), 0);
	moved = edit_sorted(edit)[0].entry;
	assert_int_not_equal(entry_offset(moved), entry_offset(e));
	assert_ptr_equal(scene_find(&s, "a"), moved);
	assert_letter(&s, "a", 'x');
}

static void value_that_fails_twice_is_given_up(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	faults.data = 2;
	assert_int_equal(scene_try(&s, edit), -EIO);
	assert_int_equal(s.report.outcome, COMMIT_LOST);
	assert_letter(&s, "a", 'a');
}

/* The kernel dropped the pages: what is read back is not what was written. */
static void value_that_was_dropped_is_never_named(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	faults.data = 1;
	faults.lossy = true;
	faults.from = entry_offset(e);
	assert_int_equal(scene_try(&s, edit), -EIO);
	assert_int_equal(s.report.outcome, COMMIT_LOST);
	assert_letter(&s, "a", 'a');
}

/* It stays in slices, which only go to another place. */
static void slices_that_failed_to_sync_are_written_anew(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	const struct entry *moved;

	(void)state;
	scene_init_slices(&s);
	e = scene_split(&s, 'x');
	edit = edit_of(e);
	faults.data = 1;
	assert_int_equal(scene_try(&s, edit), 0);
	moved = edit_sorted(edit)[0].entry;
	assert_true(entry_same_value(moved, e));
	for (size_t i = 0; i < entry_slices(e); i++)
		assert_int_not_equal(entry_offset(entry_part(moved, i)),
				     entry_offset(entry_part(e, i)));
	assert_int_equal(assert_grid(&s, "ckpt", 'x'), entry_slices(e));
}

/* The pages of one slice are gone. */
static void slices_that_were_dropped_are_never_named(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(buf_release) struct buf before = { 0 };
	CLEANUP(buf_release) struct buf after = { 0 };

	(void)state;
	scene_init_slices(&s);
	get_file(s.where.fd, INDEX_NAME, &before);
	e = scene_split(&s, 'x');
	edit = edit_of(e);
	faults.data = 1;
	faults.lossy = true;
	faults.from = entry_offset(entry_part(e, 1));
	faults.few = 8;
	assert_int_equal(scene_try(&s, edit), -EIO);
	assert_int_equal(s.report.outcome, COMMIT_LOST);
	get_file(s.where.fd, INDEX_NAME, &after);
	assert_true(span_equal(buf_span(&before), buf_span(&after)));
}

/* It was on its way when the sync of another one failed, and told of it. */
static void value_of_a_later_commit_is_written_anew(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *first = NULL;
	CLEANUP(entry_unrefp) struct entry *second = NULL;
	CLEANUP(edit_freep) struct edit *one = NULL;
	CLEANUP(edit_freep) struct edit *two = NULL;

	(void)state;
	scene_init(&s);
	first = scene_write(&s, "a", 'x');
	second = scene_write(&s, "b", 'y');
	one = edit_of(first);
	two = edit_of(second);
	faults.data = 1;
	assert_int_equal(scene_try(&s, one), 0);
	assert_int_equal(scene_try(&s, two), 0);
	assert_int_not_equal(entry_offset(scene_find(&s, "b")),
			     entry_offset(second));
	assert_letter(&s, "a", 'x');
	assert_letter(&s, "b", 'y');
}

/* What an index has named was synced before, and a rename moves no bytes. */
static void value_that_was_synced_before_stays(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(entry_unrefp) struct entry *renamed = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	assert_int_equal(
		entry_rename(scene_find(&s, "a"), span_of("c"), &renamed), 0);
	e = scene_write(&s, "b", 'y');
	edit = edit_of(e);
	assert_int_equal(edit_put(edit, renamed, NULL), 0);
	faults.data = 1;
	assert_int_equal(scene_try(&s, edit), 0);
	assert_ptr_equal(scene_find(&s, "c"), renamed);
	assert_letter(&s, "b", 'y');
}

/* --- the order of things ---------------------------------------------------- */

static void name_of_a_new_shard_is_synced_before_the_index(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	arm(0);
	assert_int_equal(scene_try(&s, edit), 0);
	assert_string_equal(faults.trace, "dDwsxD");

	arm(0);
	(void)scene_put(&s, "a", 'y'); /* once is enough */
	assert_string_equal(faults.trace, "wdwsxD");
}

/* Without its name the shard could be missing under an index that names it. */
static void directory_that_cannot_be_synced_stops_the_commit(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;

	(void)state;
	scene_init(&s);
	assert_int_equal(linkat(s.where.fd, DATA_NAME, s.where.fd, "x", 0), 0);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	arm(2);
	assert_int_equal(scene_try(&s, edit), -EIO);
	assert_int_equal(s.report.outcome, COMMIT_NOTHING);
	assert_letter(&s, "a", 'a');
	arm(0);
	assert_int_equal(scene_try(&s, edit), 0);
	assert_non_null(strchr(faults.trace, 'D'));
	assert_letter(&s, "a", 'x');
}

/* The old index may come back after a loss of power, and then it names them. */
static void index_that_may_not_last_frees_nothing(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	uint64_t was;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	was = entry_offset(scene_find(&s, "a"));
	e = scene_write(&s, "a", 'y');
	edit = edit_of(e);
	arm(5); /* d w s x D */
	assert_int_equal(scene_try(&s, edit), -EIO);
	assert_int_equal(s.report.outcome, COMMIT_VISIBLE);
	(void)disarm(NULL);
	bundle_reclaim(s.b, 0);
	assert_true(scene_has(&s, was, 'x'));
}

static void bytes_written_are_the_new_values_and_one_index(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *renamed = NULL;

	(void)state;
	scene_init(&s);
	(void)scene_put(&s, "a", 'x');
	assert_int_equal(s.report.bytes, SIZE + bundle_id(s.b)->size);
	assert_int_equal(
		entry_rename(scene_find(&s, "a"), span_of("c"), &renamed), 0);
	scene_commit(&s, "a", renamed);
	assert_int_equal(s.report.bytes, bundle_id(s.b)->size);
}

/* --- what is kept ----------------------------------------------------------- */

/* Whether there is a kept index; asserts that what it names is right. */
static bool kept_is_whole(const struct scene *s)
{
	DIR *d = fdopendir(dup(s->where.fd));
	const struct dirent *e;
	bool found = false;

	rewinddir(d);
	while ((e = readdir(d))) {
		CLEANUP(bundle_unrefp) struct bundle *b = NULL;
		CLEANUP(free_ptr) char *prefix = strdup(e->d_name);
		char *end = strstr(prefix, ".index");
		uint8_t bytes[SIZE];

		if (!end || strcmp(end, ".index") != 0 ||
		    !strstr(prefix, ".kept-"))
			continue;
		*end = 0;
		found = true;
		assert_int_equal(bundle_open(s->where.fd, prefix, NULL, &b), 0);
		assert_int_equal(bundle_count(b), 1);
		assert_int_equal(
			io_read_at(shard_fd(entry_shard(bundle_entry(b, 0))),
				   bytes, SIZE,
				   entry_offset(bundle_entry(b, 0))),
			0);
		assert_int_equal(crc32c_extend(0, bytes, SIZE),
				 entry_crc32c(bundle_entry(b, 0)));
	}
	(void)closedir(d);
	return found;
}

static void index_of_what_is_kept_comes_last(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	edit = edit_of(e);
	arm(0);
	assert_int_equal(keep_values(s.where.fd, "ckpt", edit, &prefix), 0);
	assert_string_equal(faults.trace, "wdDwsxD");
	assert_true(kept_is_whole(&s));
}

static void any_call_of_keeping_may_fail(void **state)
{
	(void)state;
	for (int n = 1; n <= 7; n++) {
		CLEANUP(scene_release) struct scene s;
		CLEANUP(entry_unrefp) struct entry *e = NULL;
		CLEANUP(edit_freep) struct edit *edit = NULL;
		CLEANUP(free_ptr) char *prefix = NULL;
		int r;

		scene_init(&s);
		e = scene_write(&s, "a", 'x');
		edit = edit_of(e);
		arm(n);
		r = keep_values(s.where.fd, "ckpt", edit, &prefix);
		(void)disarm(NULL);
		assert_int_equal(r == 0, n == 7);
		assert_int_equal(prefix != NULL, n == 7);
		assert_int_equal(kept_is_whole(&s), n == 7);
		if (n < 7)
			assert_int_equal(place_count(&s.where), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_teardown(name, disarm)
		TEST(value_that_failed_to_sync_is_written_anew),
		TEST(value_that_fails_twice_is_given_up),
		TEST(value_that_was_dropped_is_never_named),
		TEST(slices_that_failed_to_sync_are_written_anew),
		TEST(slices_that_were_dropped_are_never_named),
		TEST(value_of_a_later_commit_is_written_anew),
		TEST(value_that_was_synced_before_stays),
		TEST(name_of_a_new_shard_is_synced_before_the_index),
		TEST(directory_that_cannot_be_synced_stops_the_commit),
		TEST(index_that_may_not_last_frees_nothing),
		TEST(bytes_written_are_the_new_values_and_one_index),
		TEST(index_of_what_is_kept_comes_last),
		TEST(any_call_of_keeping_may_fail),
	};

	return cmocka_run_group_tests_name("faults", tests, note_lines, NULL);
}
