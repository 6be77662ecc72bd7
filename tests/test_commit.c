/*
 * core/commit: the moment of a commit, with somebody else at work and with every
 * system call failing, or being the last one.
 *
 * The functions of libc that core/io.c calls are defined here as well: a program's
 * own definition comes first, so no linker flag is needed.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/bundle.h"
#include "core/commit.h"
#include "core/edit.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/stage.h"
#include "core/temporary.h"
#include "tests/support.h"

#define PREFIX "model.ckpt-5"
#define INDEX  PREFIX ".index"
#define DATA   PREFIX ".data-00000-of-00001"

/* --- system calls that fail ---------------------------------------------- */

static struct {
	bool armed;
	int left;    /* calls until one fails, or is the last; 0 is never */
	bool crash;  /* ends the process there */
	int changes; /* calls so far that change names */
	/* Called before the n-th call that changes names. */
	void (*between)(int n);
	struct buf trace; /* a letter for each call */
} calls;

/* Notes a call; true if it is the one that has to fail. */
static bool fails(char letter)
{
	if (!calls.armed)
		return false;
	buf_put(&calls.trace, &letter, 1);
	if (calls.left == 0 || --calls.left > 0)
		return false;
	if (calls.crash)
		_exit(0);
	errno = EIO;
	return true;
}

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
	return fails('w') ? -1 : syscall(SYS_pwrite64, fd, buf, nbytes, offset);
}

int fsync(int fd)
{
	return fails('s') ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fildes)
{
	return fails('d') ? -1 : (int)syscall(SYS_fdatasync, fildes);
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
	return fails('a') ? -1
			  : (int)syscall(SYS_fallocate, fd, mode, offset, n);
}

static void let_others_act(void)
{
	bool armed = calls.armed;

	calls.armed = false;
	if (armed && calls.between)
		calls.between(++calls.changes);
	calls.armed = armed;
}

int renameat2(int oldfd, const char *old, int newfd, const char *new,
	      unsigned flags)
{
	let_others_act();
	return fails('x') ? -1
			  : (int)syscall(SYS_renameat2, oldfd, old, newfd, new,
					 flags);
}

int unlinkat(int fd, const char *name, int flag)
{
	return fails('u') ? -1 : (int)syscall(SYS_unlinkat, fd, name, flag);
}

static void disarm(void)
{
	calls.armed = false;
	buf_release(&calls.trace);
	memset(&calls, 0, sizeof(calls));
}

/* --- a commit ------------------------------------------------------------ */

/* One variable of a fixture, with a new value that waits for its commit. */
struct scene {
	struct place where;
	struct bundle *base;
	struct bundle *next;
	struct edit *edit;
	struct buf old; /* the value before and after */
	struct buf new;
};

static void scene_release(struct scene *c)
{
	disarm();
	bundle_unref(c->base);
	bundle_unref(c->next);
	edit_free(c->edit);
	buf_release(&c->old);
	buf_release(&c->new);
	place_release(&c->where);
}

static void read_value(const struct entry *e, struct buf *ret)
{
	size_t start = ret->len;

	assert_non_null(entry_shard(e));
	buf_put_zeros(ret, entry_size(e));
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), ret->data + start,
				    entry_size(e), entry_offset(e)),
			 0);
}

static struct entry *first_vector(const struct bundle *b)
{
	for (size_t i = 0; i < bundle_count(b); i++)
		if (entry_shape(bundle_entry(b, i)).rank > 0 &&
		    entry_size(bundle_entry(b, i)) > 8)
			return bundle_entry(b, i);
	fail_msg("the fixture has no such variable");
	return NULL;
}

static struct entry *write_value(struct entry *base, struct span bytes)
{
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	const struct stat like = { .st_mode = 0644 };
	const char *reason;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	struct entry *e = NULL;
	uint32_t crc;

	assert_int_equal(shard_edit(entry_shard(base), &like, &reason), 0);
	assert_int_equal(stage_new(entry_shard(base), NULL, bytes.len, &s), 0);
	assert_int_equal(stage_write(s, bytes.data, bytes.len, 0), 0);
	assert_int_equal(stage_store(s, stage_size(s), &x, &crc), 0);
	assert_int_equal(entry_replace(base, x, crc, &e), 0);
	return e;
}

static void scene_init(struct scene *c)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;

	*c = (struct scene){ .where = place_make() };
	copy_fixture(&c->where, "v2_tf1_adam");
	assert_int_equal(bundle_open(c->where.fd, PREFIX, NULL, &c->base), 0);
	read_value(first_vector(c->base), &c->old);
	for (size_t i = 0; i < c->old.len; i++) {
		const uint8_t byte = (uint8_t)(c->old.data[i] ^ 0x5a);

		buf_put(&c->new, &byte, 1);
	}
	e = write_value(first_vector(c->base), buf_span(&c->new));
	assert_int_equal(edit_new(&c->edit), 0);
	assert_int_equal(edit_put(c->edit, e, NULL), 0);
	assert_int_equal(edit_sort(c->edit), 0);
	assert_int_equal(
		bundle_with(c->base, edit_sorted(c->edit), 1, &c->next), 0);
}

static int commit(struct scene *c, bool *ret_visible)
{
	struct commit_report report;
	int r = commit_bundle(c->where.fd, PREFIX, c->base, c->next, c->edit,
			      &report);

	*ret_visible = report.outcome == COMMIT_VISIBLE;
	return r;
}

/* Asserts that all values on disk have their checksums; true if ours is new. */
static bool disk_is_new(struct scene *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(buf_release) struct buf found = { 0 };

	assert_int_equal(bundle_open(c->where.fd, PREFIX, NULL, &b), 0);
	assert_int_equal(bundle_count(b), bundle_count(c->base));
	for (size_t i = 0; i < bundle_count(b); i++) {
		CLEANUP(buf_release) struct buf value = { 0 };
		const struct entry *e = bundle_entry(b, i);

		read_value(e, &value);
		assert_int_equal(crc32c_extend(0, value.data, value.len),
				 entry_crc32c(e));
	}
	read_value(first_vector(b), &found);
	if (span_equal(buf_span(&found), buf_span(&c->new)))
		return true;
	assert_true(span_equal(buf_span(&found), buf_span(&c->old)));
	return false;
}

static size_t count_temporaries(const struct place *p)
{
	DIR *d = fdopendir(dup(p->fd));
	const struct dirent *e;
	size_t n = 0;

	rewinddir(d);
	while ((e = readdir(d)))
		n += strstr(e->d_name, TEMPORARY_END) != NULL;
	(void)closedir(d);
	return n;
}

static void commit_replaces_one_value(void **state)
{
	CLEANUP(scene_release) struct scene c;
	struct file_id old, new;
	bool visible = false;
	size_t files;

	(void)state;
	scene_init(&c);
	files = place_count(&c.where);
	old = *bundle_id(c.base);
	assert_int_equal(commit(&c, &visible), 0);
	assert_true(visible);
	assert_true(disk_is_new(&c));
	assert_int_equal(place_count(&c.where), files);
	assert_int_equal(bundle_current(c.next), 1);
	assert_int_equal(io_id(c.where.fd, INDEX, &new), 0);
	assert_true(new.ino != old.ino);
}

/* The next commit has an index of ours to replace, whose size it keeps. */
static void second_commit_keeps_the_size(void **state)
{
	CLEANUP(scene_release) struct scene c;
	CLEANUP(bundle_unrefp) struct bundle *third = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	uint64_t size;
	bool visible;
	struct commit_report report;

	(void)state;
	scene_init(&c);
	assert_int_equal(commit(&c, &visible), 0);
	size = bundle_id(c.next)->size;
	assert_int_equal(size % 4096, 0);

	e = write_value(first_vector(c.next), buf_span(&c.old));
	assert_int_equal(edit_put(c.edit, e, NULL), 0);
	assert_int_equal(edit_count(c.edit), 1);
	assert_int_equal(edit_sort(c.edit), 0);
	assert_int_equal(bundle_with(c.next, edit_sorted(c.edit), 1, &third),
			 0);
	assert_int_equal(commit_bundle(c.where.fd, PREFIX, c.next, third,
				       c.edit, &report),
			 0);
	assert_int_equal(bundle_id(third)->size, size);
	assert_false(disk_is_new(&c));
}

static void new_index_has_the_mode_of_the_old(void **state)
{
	CLEANUP(scene_release) struct scene c;
	struct stat st;
	bool visible;

	(void)state;
	scene_init(&c);
	bundle_unref(STEAL(c.base));
	assert_int_equal(fchmodat(c.where.fd, INDEX, 0604, 0), 0);
	assert_int_equal(bundle_open(c.where.fd, PREFIX, NULL, &c.base), 0);
	assert_int_equal(commit(&c, &visible), 0);
	assert_int_equal(fstatat(c.where.fd, INDEX, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
}

static void linked_index_is_committed_where_it_points(void **state)
{
	CLEANUP(scene_release) struct scene c;
	struct stat st;
	bool visible;

	(void)state;
	scene_init(&c);
	assert_int_equal(renameat(c.where.fd, INDEX, c.where.fd, "real"), 0);
	assert_int_equal(symlinkat("real", c.where.fd, INDEX), 0);
	assert_int_equal(commit(&c, &visible), 0);
	assert_true(disk_is_new(&c));
	assert_int_equal(fstatat(c.where.fd, INDEX, &st, AT_SYMLINK_NOFOLLOW),
			 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(count_temporaries(&c.where), 0);
}

/* --- somebody else ------------------------------------------------------- */

static const struct place *here; /* for those who act in between */

static void put_index(const char *from)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };

	get_file(here->fd, from, &bytes);
	replace_file(here->fd, INDEX, buf_span(&bytes));
}

/* Asserts that what is on disk now is what `from` holds. */
static void assert_index(const char *from)
{
	CLEANUP(buf_release) struct buf want = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };

	get_file(here->fd, from, &want);
	get_file(here->fd, INDEX, &found);
	assert_true(span_equal(buf_span(&found), buf_span(&want)));
}

static void assert_commit_fails(struct scene *c, int error)
{
	struct file_id before = { 0 }, after = { 0 };
	bool visible = true;

	(void)io_id(c->where.fd, INDEX, &before);
	assert_int_equal(commit(c, &visible), error);
	assert_false(visible);
	assert_int_equal(count_temporaries(&c->where), 0);
	(void)io_id(c->where.fd, INDEX, &after);
	if (!calls.between)
		assert_true(file_id_equal(&before, &after));
}

static void replaced_index_is_left_alone(void **state)
{
	CLEANUP(scene_release) struct scene c;

	(void)state;
	scene_init(&c);
	here = &c.where;
	put_index("model.ckpt-4.index");
	assert_commit_fails(&c, -ESTALE);
	assert_index("model.ckpt-4.index");
}

static void index_written_in_place_is_left_alone(void **state)
{
	CLEANUP(scene_release) struct scene c;

	(void)state;
	scene_init(&c);
	make_old(c.where.fd, INDEX); /* another time is another state */
	assert_commit_fails(&c, -ESTALE);
	assert_false(disk_is_new(&c));
}

static void replaced_shard_stops_the_commit(void **state)
{
	CLEANUP(scene_release) struct scene c;
	CLEANUP(buf_release) struct buf data = { 0 };

	(void)state;
	scene_init(&c);
	get_file(c.where.fd, DATA, &data);
	replace_file(c.where.fd, DATA, buf_span(&data));
	assert_commit_fails(&c, -ESTALE);
	assert_false(disk_is_new(&c));
}

static void deleted_index_is_not_resurrected(void **state)
{
	CLEANUP(scene_release) struct scene c;

	(void)state;
	scene_init(&c);
	assert_int_equal(unlinkat(c.where.fd, INDEX, 0), 0);
	assert_commit_fails(&c, -ENOENT);
	assert_true(faccessat(c.where.fd, INDEX, F_OK, 0) < 0);
}

static void index_with_a_writer_is_left_alone(void **state)
{
	CLEANUP(scene_release) struct scene c;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	scene_init(&c);
	fd = openat(c.where.fd, INDEX, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_commit_fails(&c, -EAGAIN);
	assert_false(disk_is_new(&c));
}

static void replace_first(int n)
{
	if (n == 1)
		put_index("model.ckpt-4.index");
}

static void index_replaced_before_the_exchange_is_put_back(void **state)
{
	CLEANUP(scene_release) struct scene c;

	(void)state;
	scene_init(&c);
	here = &c.where;
	calls.between = replace_first;
	calls.armed = true;
	assert_commit_fails(&c, -ESTALE);
	assert_index("model.ckpt-4.index");
}

static void replace_twice(int n)
{
	if (n <= 2)
		put_index(n == 1 ? "model.ckpt-4.index" : "model.ckpt-3.index");
}

static void index_replaced_before_the_exchange_back_wins(void **state)
{
	CLEANUP(scene_release) struct scene c;
	bool visible = true;

	(void)state;
	scene_init(&c);
	here = &c.where;
	calls.between = replace_twice;
	calls.armed = true;
	assert_int_equal(commit(&c, &visible), -ESTALE);
	assert_false(visible);
	assert_index("model.ckpt-3.index");
}

static void unlink_first(int n)
{
	if (n == 1)
		(void)unlinkat(here->fd, INDEX, 0);
}

static void index_deleted_before_the_exchange_stays_so(void **state)
{
	CLEANUP(scene_release) struct scene c;

	(void)state;
	scene_init(&c);
	here = &c.where;
	calls.between = unlink_first;
	calls.armed = true;
	assert_commit_fails(&c, -ENOENT);
	assert_true(faccessat(c.where.fd, INDEX, F_OK, 0) < 0);
}

static void wait_to_write(int n)
{
	if (n == 1) /* refused, and the holder of the lease is told */
		assert_true(openat(here->fd, INDEX,
				   O_WRONLY | O_NONBLOCK | O_CLOEXEC) < 0);
}

static void writer_that_waits_gets_the_index_back(void **state)
{
	CLEANUP(scene_release) struct scene c;
	CLEANUP(buf_release) struct buf before = { 0 };
	CLEANUP(buf_release) struct buf after = { 0 };

	(void)state;
	scene_init(&c);
	here = &c.where;
	get_file(c.where.fd, INDEX, &before);
	calls.between = wait_to_write;
	calls.armed = true;
	assert_commit_fails(&c, -ESTALE);
	get_file(c.where.fd, INDEX, &after);
	assert_true(span_equal(buf_span(&before), buf_span(&after)));
}

/* --- faults of the disk --------------------------------------------------- */

/* Values, then the temporary, then the exchange, the old one, the directory. */
static void all_is_synced_before_it_has_a_name(void **state)
{
	CLEANUP(scene_release) struct scene c;
	bool visible;

	(void)state;
	scene_init(&c);
	calls.armed = true;
	assert_int_equal(commit(&c, &visible), 0);
	buf_put(&calls.trace, "", 1);
	assert_string_equal((char *)calls.trace.data, "dwsxus");
}

/* What a failure promises: the old state, or a new one that is said to be seen. */
static void any_call_may_fail(void **state)
{
	(void)state;
	for (int n = 1; n <= 6; n++) {
		CLEANUP(scene_release) struct scene c;
		bool visible = false;
		int r;

		scene_init(&c);
		calls.armed = true;
		calls.left = n;
		r = commit(&c, &visible);
		calls.armed = false;
		assert_true(r < 0 || visible);
		assert_int_equal(disk_is_new(&c), visible);
	}
}

static void any_call_may_be_the_last(void **state)
{
	(void)state;
	for (int n = 1; n <= 7; n++) {
		CLEANUP(scene_release) struct scene c;
		bool visible = false;
		int status;
		pid_t pid;

		scene_init(&c);
		pid = fork();
		if (pid == 0) {
			calls.armed = calls.crash = true;
			calls.left = n;
			(void)commit(&c, &visible);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(disk_is_new(&c), n > 4);
		assert_int_equal(count_temporaries(&c.where), n >= 2 && n <= 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit_replaces_one_value),
		cmocka_unit_test(second_commit_keeps_the_size),
		cmocka_unit_test(new_index_has_the_mode_of_the_old),
		cmocka_unit_test(linked_index_is_committed_where_it_points),
		cmocka_unit_test(replaced_index_is_left_alone),
		cmocka_unit_test(index_written_in_place_is_left_alone),
		cmocka_unit_test(replaced_shard_stops_the_commit),
		cmocka_unit_test(deleted_index_is_not_resurrected),
		cmocka_unit_test(index_with_a_writer_is_left_alone),
		cmocka_unit_test(index_replaced_before_the_exchange_is_put_back),
		cmocka_unit_test(index_replaced_before_the_exchange_back_wins),
		cmocka_unit_test(index_deleted_before_the_exchange_stays_so),
		cmocka_unit_test(writer_that_waits_gets_the_index_back),
		cmocka_unit_test(all_is_synced_before_it_has_a_name),
		cmocka_unit_test(any_call_may_fail),
		cmocka_unit_test(any_call_may_be_the_last),
	};

	return cmocka_run_group_tests_name("commit", tests, note_lines, NULL);
}
