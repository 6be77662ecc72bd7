/*
 * core/compact: that it ends, fails, or is interrupted by a save at any call, and there is
 * a whole checkpoint.  The functions of libc that change anything are defined here.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/bundle.h"
#include "core/check.h"
#include "core/compact.h"
#include "core/diff.h"
#include "core/residue.h"
#include "core/shard.h"
#include "tests/support.h"

#define DIED 77

#define SCENES 4

enum fault {
	NONE,
	DIE,  /* as kill -9 does, before the call */
	FAIL, /* the call is -EIO */
	SAVE, /* somebody else saves before the call */
};

static struct {
	enum fault fault;
	int left; /* calls until then */
	void (*save)(int dirfd);
	int dirfd;
} plan;

static bool strikes(void)
{
	void (*save)(int dirfd) = plan.save;

	if (plan.fault == NONE || --plan.left > 0)
		return false;
	if (plan.fault == DIE)
		_exit(DIED);
	if (plan.fault == FAIL) {
		plan.fault = NONE;
		errno = EIO;
		return true;
	}
	plan.fault = NONE;
	save(plan.dirfd);
	return false;
}

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned int flags)
{
	return strikes() ? -1
			 : (int)syscall(SYS_renameat2, oldfd, old, newfd, new,
					flags);
}

int renameat(int oldfd, const char *old, int newfd, const char *new)
{
	return renameat2(oldfd, old, newfd, new, 0);
}

int linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
	return strikes() ? -1
			 : (int)syscall(SYS_linkat, fromfd, from, tofd, to,
					flags);
}

int futimens(int fd, const struct timespec times[2])
{
	return strikes() ? -1 : (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

int unlinkat(int fd, const char *name, int flag)
{
	return strikes() ? -1 : (int)syscall(SYS_unlinkat, fd, name, flag);
}

/* No power is lost here: nothing need be synced. */
int fsync(int fd)
{
	(void)fd;
	return strikes() ? -1 : 0;
}

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
	return strikes() ? -1 : syscall(SYS_pwrite64, fd, buf, nbytes, offset);
}

/* --- what is looked at ------------------------------------------------------- */

static void no_finding(void *arg, const struct check_finding *f)
{
	(void)arg;
	if (f->fault)
		print_error("%.*s: %s\n", (int)f->key.len,
			    (const char *)f->key.data, f->what);
}

static void no_difference(enum difference what, const struct entry *a,
			  const struct entry *b)
{
	const struct entry *e = a ? a : b;

	print_error("%d: %.*s\n", (int)what, (int)entry_key(e).len,
		    (const char *)entry_key(e).data);
}

/* Every checksum is right, and all values are those of the other place. */
static void assert_same(const struct place *p, const struct place *like)
{
	CLEANUP(bundle_unrefp) struct bundle *a = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct check_watch watch = { .found = no_finding };
	struct check_result checked;
	struct diff_result found;

	assert_int_equal(
		check_checkpoint(p->fd, "ckpt", false, &watch, &checked), 0);
	assert_int_equal(checked.faults, 0);
	assert_int_equal(bundle_open(p->fd, "ckpt", NULL, &a), 0);
	assert_int_equal(bundle_open(like->fd, "ckpt", NULL, &b), 0);
	assert_int_equal(diff_bundles(a, b, no_difference, &found), 0);
	assert_int_equal(found.different + found.unknown, 0);
}

/* The same files, with the same bytes, and no other. */
static void assert_equal_files(const struct place *p, const struct place *like)
{
	DIR *d = fdopendir(openat(like->fd, ".", O_RDONLY | O_DIRECTORY));
	const struct dirent *e;

	assert_non_null(d);
	assert_int_equal(place_count(p), place_count(like));
	while ((e = readdir(d))) {
		CLEANUP(buf_release) struct buf a = { 0 };
		CLEANUP(buf_release) struct buf b = { 0 };

		if (e->d_type != DT_REG)
			continue;
		get_file(p->fd, e->d_name, &a);
		get_file(like->fd, e->d_name, &b);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
	}
	(void)closedir(d);
}

static int compact(const struct place *p)
{
	const struct compact_options o = { 0 };
	struct compact_result result;

	residue_remove(p->fd);
	return compact_checkpoint(p->fd, "ckpt", false, &o, &result);
}

/* --- what is compacted --------------------------------------------------------- */

static void make_holes(int dirfd)
{
	const struct place p = { "", dirfd };

	copy_fixture(&p, "v2_hand_holes");
}

static void make_extra(int dirfd)
{
	const struct place p = { "", dirfd };

	copy_fixture(&p, "v2_hand_extra_shard");
}

/* All values in the second one of two shards, and a gap before them. */
static void make_half(int dirfd)
{
	static const char *const keys[] = { "b", "d", "e" };
	const struct span header = { (const uint8_t *)"\x08\2\x1a\2\x08\1", 6 };
	CLEANUP(maker_release) struct maker m;

	maker_init(&m, header);
	buf_put(&m.data, "dead", 4);
	for (size_t i = 0; i < 3; i++) {
		const int64_t n = 5;
		struct proto p;

		proto_init(&p, 6, 1, &n);
		p.entry.shard_id = 1;
		p.entry.offset = (int64_t)m.data.len;
		p.entry.size = n;
		p.entry.crc32c = crc32c_mask(crc32c_extend(0, "value", 5));
		buf_put(&m.data, "value", 5);
		maker_put(&m, keys[i], &p);
	}
	maker_finish(&m);
	replace_file(dirfd, "ckpt.data-00001-of-00002", buf_span(&m.data));
	replace_file(dirfd, INDEX_NAME, buf_span(&m.index));
}

/*
 * Small values, whose keys come last, before large ones: sorted, their offsets take more
 * bytes, and the index is longer.
 */
static void make_growing(int dirfd)
{
	enum {
		COUNT = 60,
		LARGE = 200
	};
	CLEANUP(maker_release) struct maker m;
	uint8_t value[LARGE];

	memset(value, 'v', sizeof(value));
	maker_init(&m, HEADER);
	for (size_t i = 0; i < COUNT + (size_t)COUNT * LARGE; i++)
		buf_put(&m.data, value, 1);
	for (int64_t i = 0; i < 2 * (int64_t)COUNT; i++) {
		const bool large = i < COUNT;
		const int64_t n = large ? LARGE : 1;
		struct proto p;
		char key[8];

		(void)snprintf(key, sizeof(key), "%c%03d", large ? 'a' : 'z',
			       (int)i);
		proto_init(&p, 6, 1, &n);
		p.entry.offset = large ? COUNT + LARGE * i : i - COUNT;
		p.entry.size = n;
		p.entry.crc32c = crc32c_mask(
			crc32c_extend(0, value, (size_t)p.entry.size));
		maker_put(&m, key, &p);
	}
	maker_write(&m, dirfd);
}

/* A save of TensorFlow's: the data, and then the index. */
static void save_other(int dirfd)
{
	static const char *const pairs[][2] = { { "x", "saved" },
						{ "y", "meanwhile" } };

	make_bundle(dirfd, 2, pairs);
}

static void (*const scenes[SCENES])(int dirfd) = { make_holes, make_extra,
						   make_half, make_growing };

/* One run with a fault at the n-th call: false when it came to its end before that. */
static bool strike(const struct place *p, enum fault fault, int n)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		plan.fault = fault;
		plan.left = n;
		plan.save = save_other;
		plan.dirfd = p->fd;
		(void)compact(p);
		_exit(plan.fault == fault ? 0 : DIED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == DIED;
}

/* A mount removes what a crash has left, unless a compaction can go on from it. */
static void assert_tidy(const struct place *p, const struct place *before,
			const struct place *after)
{
	size_t n;

	residue_remove(p->fd);
	assert_same(p, before);
	if (faccessat(p->fd, "ckpt.compact.weightfs-tmp", F_OK,
		      AT_SYMLINK_NOFOLLOW) == 0)
		return;
	n = place_count(p);
	assert_true(n == place_count(before) || n == place_count(after));
}

static void strike_everywhere(void (*make)(int dirfd), enum fault fault,
			      void (*expect)(int dirfd))
{
	CLEANUP(place_release) struct place before = place_make();
	CLEANUP(place_release) struct place after = place_make();
	bool more = true;
	int n = 0;

	expect(before.fd);
	expect(after.fd);
	assert_int_equal(compact(&after), 0);
	while (more) {
		CLEANUP(place_release) struct place p = place_make();

		make(p.fd);
		more = strike(&p, fault, ++n);
		if (!more)
			break;
		assert_same(&p, &before);
		if (fault == DIE)
			assert_tidy(&p, &before, &after);
		assert_int_equal(compact(&p), 0);
		assert_equal_files(&p, &after);
	}
	assert_true(n > 10);
}

static void a_crash_at_any_call_leaves_a_whole_checkpoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENES; i++)
		strike_everywhere(scenes[i], DIE, scenes[i]);
}

static void a_failure_of_any_call_leaves_a_whole_checkpoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENES; i++)
		strike_everywhere(scenes[i], FAIL, scenes[i]);
}

static void a_save_at_any_moment_is_what_stands_in_the_end(void **state)
{
	(void)state;
	strike_everywhere(make_holes, SAVE, save_other);
	strike_everywhere(make_growing, SAVE, save_other);
}

/* How somebody copies a data file to the prefix, who brings the index last. */
enum way {
	REPLACE,  /* another file */
	IN_PLACE, /* other bytes in the file of that name */
	AGAIN,    /* cp -p from a backup: the same bytes, and times */
	WAYS
};

#define NAMES_MAX 16

/* The names that data files of a compaction may have, and that the index does not name. */
static size_t free_names(const struct place *p, char names[NAMES_MAX][32])
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct shard *const *shards;
	size_t n, found = 0;

	assert_int_equal(bundle_open(p->fd, "ckpt", NULL, &b), 0);
	shards = bundle_shards(b, &n);
	for (int i = 0; i < 6; i++) {
		bool named = false;

		(void)snprintf(names[found], 32, "ckpt.data-%05d-of-%05d",
			       i % 2, i / 2 + 1);
		for (size_t j = 0; j < n; j++)
			named |= strcmp(shard_name(shards[j]), names[found]) ==
				 0;
		found += !named;
	}
	return found;
}

static void copy_to(int dirfd, const char *name, enum way way, struct buf *ret)
{
	struct stat st = { .st_mtim.tv_sec = 1000000000 };
	/* There is no backup of a new shard, which has a second name. */
	bool there = fstatat(dirfd, name, &st, 0) == 0 && st.st_nlink == 1;
	struct timespec times[2];

	if (there && way == AGAIN)
		get_file(dirfd, name, ret);
	else
		buf_put(ret, "copied", 6);
	if (way == REPLACE)
		replace_file(dirfd, name, buf_span(ret));
	else
		put_file(dirfd, name, buf_span(ret));
	if (!there || way != AGAIN)
		st.st_mtim.tv_sec = 1000000000;
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(utimensat(dirfd, name, times, 0), 0);
}

/* Any file that is put there after the crash, by a mount and by the next compaction. */
static void copy_after_crash(const struct place *p, enum way way)
{
	char names[NAMES_MAX][32];
	struct buf bytes[NAMES_MAX] = { 0 };
	size_t n = free_names(p, names);

	/* Times of files are coarse. */
	(void)usleep(10000);
	for (size_t i = 0; i < n; i++)
		copy_to(p->fd, names[i], way, &bytes[i]);
	residue_remove(p->fd);
	(void)compact(p);
	for (size_t i = 0; i < n; i++) {
		CLEANUP(buf_release) struct buf now = { 0 };

		get_file(p->fd, names[i], &now);
		assert_true(span_equal(buf_span(&now), buf_span(&bytes[i])));
		buf_release(&bytes[i]);
	}
}

static void a_file_that_is_copied_there_after_a_crash_stays(void **state)
{
	(void)state;
	for (int i = 0; i < 3 * WAYS; i++) {
		bool more = true;

		for (int n = 1; more; n++) {
			CLEANUP(place_release) struct place p = place_make();

			scenes[i / WAYS](p.fd);
			more = strike(&p, DIE, n);
			if (more)
				copy_after_crash(&p, i % WAYS);
		}
	}
}

/* What it has been made to is what it is made to. */
static void a_compact_checkpoint_stays_as_it_is(void **state)
{
	const struct compact_options o = { 0 };
	struct compact_result result;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		CLEANUP(place_release) struct place p = place_make();

		scenes[i](p.fd);
		assert_int_equal(compact_checkpoint(p.fd, "ckpt", false, &o,
						    &result),
				 0);
		assert_false(result.done_before);
		assert_true(result.after < result.before);
		assert_int_equal(compact_checkpoint(p.fd, "ckpt", false, &o,
						    &result),
				 0);
		assert_true(result.done_before);
	}
}

static void files_of_the_names_it_needs_are_left_alone(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(place_release) struct place before = place_make();

	(void)state;
	make_half(p.fd);
	make_half(before.fd);
	put_file(p.fd, DATA_NAME, span_of("theirs"));
	put_file(before.fd, DATA_NAME, span_of("theirs"));
	assert_int_equal(compact(&p), -EEXIST);
	assert_equal_files(&p, &before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_at_any_call_leaves_a_whole_checkpoint),
		cmocka_unit_test(
			a_failure_of_any_call_leaves_a_whole_checkpoint),
		cmocka_unit_test(a_save_at_any_moment_is_what_stands_in_the_end),
		cmocka_unit_test(
			a_file_that_is_copied_there_after_a_crash_stays),
		cmocka_unit_test(a_compact_checkpoint_stays_as_it_is),
		cmocka_unit_test(files_of_the_names_it_needs_are_left_alone),
	};

	log_to(drop_line, LOG_LEVEL_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
