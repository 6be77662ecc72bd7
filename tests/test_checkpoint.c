/* core/checkpoint: its life on a disk that others use, in one thread and in many. */
#include "tests/mount_support.h"

/* The next n fdatasyncs fail; see tests/test_commit.c. */
static atomic_int fail_sync;
static atomic_bool disk_full;
/* What was asked for, however long a busy machine took. */
static atomic_long slept_us;

int fallocate(int fd, int mode, off_t offset, off_t n)
{
	if (atomic_load(&disk_full)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, n);
}

int fdatasync(int fildes)
{
	if (atomic_load(&fail_sync) && atomic_fetch_sub(&fail_sync, 1) > 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fildes);
}

int usleep(useconds_t useconds)
{
	const struct timespec t = { .tv_nsec = (long)useconds * 1000 };

	atomic_fetch_add(&slept_us, (long)useconds);
	return (int)syscall(SYS_nanosleep, &t, NULL);
}

/* --- names and values ------------------------------------------------------- */

static void names_are_listed_with_sidecars(void **state)
{
	CLEANUP(mount_release) struct mount m;
	struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	assert_listed(&m, "", "a.shape a.dtype a b.shape b.dtype b dir ");
	assert_int_equal(lookup(&m, "a.d", &o), -ENOENT);
	assert_int_equal(lookup(&m, "b.dtype", &o), 0);
	assert_int_equal(o.facet, FACET_DTYPE);
	object_release(&o);
}

static void written_value_is_shown_at_once_and_on_disk_later(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	assert_int_equal(m.dirty, 1);
	assert_reads(v, "ONE");
	assert_on_disk(&m, "a", "one");
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "ONE");
	assert_on_disk(&m, "b", "two");
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_false(variable_dead(v));
	assert_int_equal(m.told, 0);
}

static void wrong_size_changes_nothing(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "four"), -EINVAL);
	assert_int_equal(logged()->lines, 1);
	assert_reads(v, "one");
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "one");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
}

/* A program that tries again before it has closed its first file. */
static void full_disk_does_not_bar_the_next_writer(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), 0);
	assert_int_equal(variable_write(v, "ONE", 3, 0), 0);
	atomic_store(&disk_full, true);
	assert_int_equal(checkpoint_flush(m.cp, v), -ENOSPC);
	atomic_store(&disk_full, false);
	if (checkpoint_open_writer(m.cp, v, true) == 0)
		(void)variable_close_writer(v);
	(void)variable_close_writer(v);
	assert_false(variable_writing(v));
	assert_int_equal(write_all(&m, v, "ONE"), 0);
}

static void emptying_an_empty_value_is_no_fault(void **state)
{
	static const char *const empty[][2] = { { "a", "" } };
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_init(&m);
	make_bundle(m.where.fd, 1, empty);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), 0);
	assert_int_equal(checkpoint_flush(m.cp, v), 0);
	(void)variable_close_writer(v);
	assert_int_equal(logged()->lines, 0);
}

static void read_only_mount_refuses_writers(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_init_as(&m, true);
	make_bundle(m.where.fd, 3, pairs);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	v = variable(&m, "a");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), -EROFS);
	assert_reads(v, "one");
}

/* --- somebody else ---------------------------------------------------------- */

static void replaced_checkpoint_brings_new_variables(void **state)
{
	static const char *const others[][2] = { { "a", "1111" },
						 { "dir/c", "three" } };
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	CLEANUP(variable_unrefp) struct variable *gone = NULL;
	struct object o = { 0 };

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	gone = variable(&m, "b");
	make_bundle(m.where.fd, 2, others);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_true(variable_dead(v));
	assert_true(variable_dead(gone));
	assert_reads(v, "one");
	assert_int_equal(checkpoint_open_writer(m.cp, v, true), -ESTALE);

	w = variable(&m, "a");
	assert_ptr_not_equal(w, v);
	assert_int_equal(variable_ino(w), variable_ino(v));
	assert_int_not_equal(variable_id(w), variable_id(v));
	assert_reads(w, "1111");
	assert_int_equal(lookup(&m, "b", &o), -ENOENT);
	assert_true(m.told >= 6);
}

/* A new index over the same shard: only `b` says something else. */
static void what_did_not_change_lives_on(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(maker_release) struct maker maker;
	CLEANUP(variable_unrefp) struct variable *a = NULL;
	CLEANUP(variable_unrefp) struct variable *b = NULL;
	CLEANUP(variable_unrefp) struct variable *same = NULL;

	(void)state;
	mount_pairs(&m);
	a = variable(&m, "a");
	b = variable(&m, "b");
	maker_init(&maker, HEADER);
	maker_add(&maker, "a", span_of("one"));
	maker_add(&maker, "b", span_of("tw"));
	maker_finish(&maker);
	replace_file(m.where.fd, INDEX_NAME, buf_span(&maker.index));
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	same = variable(&m, "a");
	assert_ptr_equal(same, a);
	assert_false(variable_dead(a));
	assert_true(variable_dead(b));
}

static void every_sync_of_what_was_overtaken_is_told(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *a = NULL;
	CLEANUP(variable_unrefp) struct variable *b = NULL;

	(void)state;
	mount_pairs(&m);
	a = variable(&m, "a");
	b = variable(&m, "b");
	assert_int_equal(write_all(&m, a, "ONE"), 0);
	assert_int_equal(write_all(&m, b, "TWO"), 0);
	make_bundle(m.where.fd, 3, pairs);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_int_equal(checkpoint_sync(m.cp, a), -ESTALE);
	assert_int_equal(checkpoint_sync(m.cp, b), -ESTALE);
	assert_int_equal(checkpoint_sync(m.cp, b), 0);
}

static void replacement_wins_over_what_was_not_committed(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	make_bundle(m.where.fd, 3, pairs);
	assert_int_equal(checkpoint_commit(m.cp), -ESTALE);
	assert_on_disk(&m, "a", "one");
	assert_true(variable_dead(v));
	w = variable(&m, "a");
	assert_reads(w, "one");
	assert_int_equal(write_all(&m, w, "1st"), 0);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "1st");
}

static void deleted_checkpoint_is_gone(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(unlinkat(m.where.fd, INDEX_NAME, 0), 0);
	assert_int_equal(checkpoint_refresh(m.cp), -ENOENT);
	assert_true(variable_dead(v));
	assert_reads(v, "one");
}

static void half_written_index_is_waited_for(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	replace_file(m.where.fd, INDEX_NAME, span_of("half"));
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_true(checkpoint_unsettled(m.cp));
	assert_false(variable_dead(v));
	assert_reads(v, "one");
	make_old(m.where.fd, INDEX_NAME);
	assert_int_equal(checkpoint_refresh(m.cp), -EIO);
	assert_int_equal(logged()->lines, 1);
	make_bundle(m.where.fd, 3, pairs);
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_false(checkpoint_unsettled(m.cp));
}

static void new_shard_without_its_index_is_waited_for(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	replace_file(m.where.fd, DATA_NAME, span_of("ONETWOTHREE"));
	assert_int_equal(checkpoint_refresh(m.cp), 0);
	assert_true(checkpoint_unsettled(m.cp));
	assert_reads(v, "one");
}

/* --- commits that fail ------------------------------------------------------- */

/* Two seconds, says checkpoint.c; an fsync must not hang for as long as there is a writer. */
static void index_with_a_writer_ends_the_commit(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	int fd;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	fd = openat(m.where.fd, INDEX_NAME, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	atomic_store(&slept_us, 0);
	assert_int_equal(checkpoint_commit(m.cp), -EBUSY);
	assert_in_range(atomic_load(&slept_us), 1000000, 4000000);
	(void)close(fd);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "ONE");
}

static void failure_in_the_background_is_told_once(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	atomic_store(&fail_sync, 2); /* the second time, too, and elsewhere */
	assert_int_equal(checkpoint_commit_background(m.cp), -EIO);
	assert_on_disk(&m, "a", "one");
	assert_int_equal(checkpoint_commit(m.cp), -EIO);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	w = variable(&m, "a");
	assert_int_equal(write_all(&m, w, "TWO"), 0);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "TWO");
}

/*
 * The kernel may have dropped what it could not write, and says so only once: so
 * no index may ever name these bytes, however often the commit is tried.
 */
static void bytes_that_failed_to_sync_are_never_named(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(entry_unrefp) struct entry *failed = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	(void)state;
	mount_pairs(&m);
	v = variable(&m, "a");
	assert_int_equal(write_all(&m, v, "ONE"), 0);
	failed = variable_entry(v);
	atomic_store(&fail_sync, 1);
	assert_int_equal(checkpoint_commit(m.cp), 0);
	assert_on_disk(&m, "a", "ONE");
	assert_int_equal(bundle_open(m.where.fd, "ckpt", NULL, &b), 0);
	assert_int_not_equal(entry_offset(bundle_find(b, span_of("a"))),
			     entry_offset(failed));
}

/* --- many threads ------------------------------------------------------------- */

#define ROUNDS  60
#define LENGTH  200000 /* staged in the shard; `small` is in memory */
#define WORKERS 6

static struct mount shared;

/* The file is written whole, so whoever reads it finds one letter only. */
static void write_letter(struct variable *v, char letter, size_t n)
{
	CLEANUP(free_ptr) char *bytes = malloc(n);
	int r = checkpoint_open_writer(shared.cp, v, true);

	memset(bytes, letter, n);
	if (r == 0)
		r = variable_write(v, bytes, n, 0);
	if (r == 0)
		(void)checkpoint_flush(shared.cp, v);
	(void)variable_close_writer(v);
}

static void *work(void *arg)
{
	const int me = *(const int *)arg;
	CLEANUP(variable_unrefp)
	struct variable *large = variable(&shared, "large");
	CLEANUP(variable_unrefp)
	struct variable *small = variable(&shared, "small");

	for (int i = 0; i < ROUNDS; i++) {
		struct reading r;

		if (me % 2)
			write_letter(i % 4 ? small : large, (char)('A' + me),
				     i % 4 ? 100 : LENGTH);
		else if (variable_read(large, 4096, 0, &r) == 0)
			reading_release(&r);
		if (i % 8 == me)
			(void)checkpoint_commit(shared.cp);
		if (i % 8 == me + 1)
			(void)checkpoint_refresh(shared.cp);
	}
	return NULL;
}

static void assert_one_letter(const char *key)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	const struct entry *e;

	assert_int_equal(bundle_open(shared.where.fd, "ckpt", NULL, &b), 0);
	e = bundle_find(b, span_of(key));
	buf_put_zeros(&bytes, entry_size(e));
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), bytes.data,
				    entry_size(e), entry_offset(e)),
			 0);
	assert_int_equal(crc32c_extend(0, bytes.data, bytes.len),
			 entry_crc32c(e));
	assert_in_range(bytes.data[0], 'A', 'A' + WORKERS);
}

static void threads_write_read_and_commit_at_once(void **state)
{
	CLEANUP(maker_release) struct maker maker;
	CLEANUP(buf_release) struct buf zeros = { 0 };
	pthread_t threads[WORKERS];
	int numbers[WORKERS];

	(void)state;
	mount_init(&shared);
	log_to(drop_line, LOG_LEVEL_ERROR);
	buf_put_zeros(&zeros, LENGTH);
	maker_init(&maker, HEADER);
	maker_add(&maker, "large", buf_span(&zeros));
	maker_add(&maker, "small", (struct span){ zeros.data, 100 });
	maker_write(&maker, shared.where.fd);
	assert_int_equal(checkpoint_refresh(shared.cp), 0);
	for (int i = 0; i < WORKERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, work,
						&numbers[i]),
				 0);
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)checkpoint_commit(shared.cp);
	assert_int_equal(checkpoint_commit(shared.cp), 0);
	assert_one_letter("large");
	assert_one_letter("small");
	assert_int_equal(place_count(&shared.where), 2); /* no residue */
	mount_release(&shared);
	(void)note_lines(NULL);
}

static atomic_bool cut_enough;

/* As `: > FILE` does again and again. */
static void *cut(void *arg)
{
	struct variable *v = arg;

	while (!atomic_load(&cut_enough)) {
		assert_int_equal(checkpoint_open_writer(shared.cp, v, true), 0);
		(void)variable_close_writer(v);
	}
	return NULL;
}

/* Bytes that fit, and are gone when they are taken: who writes then waited for ever. */
static void value_that_is_cut_while_it_is_judged_can_be_written(void **state)
{
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	pthread_t cutter;

	(void)state;
	mount_pairs(&shared);
	log_to(drop_line, LOG_LEVEL_ERROR);
	v = variable(&shared, "a");
	atomic_store(&cut_enough, false);
	assert_int_equal(pthread_create(&cutter, NULL, cut, v), 0);
	for (int i = 0; i < 20000; i++)
		write_letter(v, 'x', 3);
	atomic_store(&cut_enough, true);
	assert_int_equal(pthread_join(cutter, NULL), 0);
	write_letter(v, 'y', 3);
	assert_int_equal(checkpoint_commit(shared.cp), 0);
	assert_on_disk(&shared, "a", "yyy");
	mount_release(&shared);
	(void)note_lines(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_listed_with_sidecars),
		cmocka_unit_test(
			written_value_is_shown_at_once_and_on_disk_later),
		cmocka_unit_test(wrong_size_changes_nothing),
		cmocka_unit_test(full_disk_does_not_bar_the_next_writer),
		cmocka_unit_test(emptying_an_empty_value_is_no_fault),
		cmocka_unit_test(read_only_mount_refuses_writers),
		cmocka_unit_test(replaced_checkpoint_brings_new_variables),
		cmocka_unit_test(what_did_not_change_lives_on),
		cmocka_unit_test(every_sync_of_what_was_overtaken_is_told),
		cmocka_unit_test(replacement_wins_over_what_was_not_committed),
		cmocka_unit_test(deleted_checkpoint_is_gone),
		cmocka_unit_test(half_written_index_is_waited_for),
		cmocka_unit_test(new_shard_without_its_index_is_waited_for),
		cmocka_unit_test(index_with_a_writer_ends_the_commit),
		cmocka_unit_test(failure_in_the_background_is_told_once),
		cmocka_unit_test(bytes_that_failed_to_sync_are_never_named),
		cmocka_unit_test(threads_write_read_and_commit_at_once),
		cmocka_unit_test(
			value_that_is_cut_while_it_is_judged_can_be_written),
	};

	return cmocka_run_group_tests_name("checkpoint", tests, note_lines,
					   NULL);
}
