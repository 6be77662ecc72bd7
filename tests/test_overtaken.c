/* core/checkpoint: what is written while somebody else replaces the checkpoint, and closed after. */
#include <dirent.h>

#include "tests/mount_support.h"

#define LARGE \
	UINT64_C(100000) /* has room in the shard from its first byte on */

static const char *const others[][2] = { { "a", "1111" },
					 { "dir/c", "three" } };

static void somebody_saves(struct mount *m)
{
	make_bundle(m->where.fd, ARRAY_SIZE(others), others);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
	forget_lines();
}

/* The prefix that keeps what was written; the number of such prefixes. */
static size_t find_kept(struct mount *m, char *ret, size_t size)
{
	DIR *dir = fdopendir(openat(m->where.fd, ".", O_RDONLY | O_DIRECTORY));
	const struct dirent *d;
	size_t n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		if (!strstr(d->d_name, ".kept-") || !is_index(d->d_name))
			continue;
		(void)snprintf(ret, size, "%.*s",
			       (int)(strlen(d->d_name) - strlen(".index")),
			       d->d_name);
		n++;
	}
	(void)closedir(dir);
	return n;
}

/* One checkpoint of one value keeps these bytes, as int8. */
static void assert_kept(struct mount *m, const char *key, struct span want)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) uint8_t *found = malloc(want.len + 1);
	char prefix[256];
	const struct entry *e;

	(void)checkpoint_commit_background(m->cp);
	assert_int_equal(find_kept(m, prefix, sizeof(prefix)), 1);
	assert_int_equal(bundle_open(m->where.fd, prefix, NULL, &b), 0);
	assert_int_equal(bundle_count(b), 1);
	e = bundle_find(b, span_of(key));
	assert_non_null(e);
	assert_int_equal(entry_dtype(e), 6);
	assert_int_equal(entry_size(e), want.len);
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), found, want.len,
				    entry_offset(e)),
			 0);
	assert_memory_equal(found, want.data, want.len);
	assert_int_equal(entry_crc32c(e),
			 crc32c_extend(0, want.data, want.len));
}

static void assert_nothing_kept(struct mount *m)
{
	char prefix[256];

	(void)checkpoint_commit_background(m->cp);
	assert_int_equal(checkpoint_finish(m->cp), 0);
	assert_int_equal(find_kept(m, prefix, sizeof(prefix)), 0);
}

/* Open, and all of it written, but for the close. */
static struct variable *begin(struct mount *m, const char *key,
			      const char *text)
{
	struct variable *v = variable(m, key);

	assert_int_equal(checkpoint_open_writer(m->cp, v, true), 0);
	assert_int_equal(variable_write(v, text, strlen(text), 0), 0);
	return v;
}

static int end(struct mount *m, struct variable *v)
{
	int r = checkpoint_flush(m->cp, v);

	(void)checkpoint_close_writer(m->cp, v);
	return r;
}

/* Written before a save by somebody else, and closed after it. */
static void assert_is_kept_after_a_save(struct mount *m, const char *key,
					const char *text)
{
	CLEANUP(variable_unrefp) struct variable *v = begin(m, key, text);

	somebody_saves(m);
	assert_int_equal(end(m, v), -ESTALE);
	assert_kept(m, key, span_of(text));
}

static void value_that_is_closed_after_a_save_is_kept(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ONE");
	somebody_saves(&m);
	assert_true(variable_dead(v));
	assert_int_equal(end(&m, v), -ESTALE);
	assert_said("ckpt/a: not committed: somebody else replaced");
	assert_kept(&m, "a", span_of("ONE"));
	assert_said("is kept as the checkpoint");
	assert_reads(v, "ONE");
	assert_content(&m, "a", "1111");
	assert_keys(&m, "a dir/c ");
	assert_int_equal(checkpoint_flush(m.cp, v), 0); /* told once */
}

static void value_of_another_length_is_not(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ON");
	somebody_saves(&m);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_said("ckpt/a: not written: Stale file handle");
	assert_nothing_kept(&m);
}

/* Half of it was synced: what is whole in the end counts. */
static void value_that_is_finished_later_is_kept(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ON");
	somebody_saves(&m);
	assert_int_equal(checkpoint_flush(m.cp, v), -ESTALE);
	assert_int_equal(variable_write(v, "E", 1, 2), 0);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_kept(&m, "a", span_of("ONE"));
}

static void declared_type_counts(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a.shape", "[2, 2]"), 0);
	assert_is_kept_after_a_save(&m, "a", "FOUR");
}

/* It was taken over once, so no state on disk ever had it, and is written once more. */
static void new_variable_is_kept(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	put_typed(&m, "v", "int8", "[2]", "v1");
	assert_is_kept_after_a_save(&m, "v", "v2");
}

static void value_of_a_deleted_checkpoint_is_kept(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ONE");
	assert_int_equal(unlinkat(m.where.fd, INDEX_NAME, 0), 0);
	assert_int_equal(checkpoint_refresh(m.cp), -ENOENT);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_kept(&m, "a", span_of("ONE"));
}

static void value_of_a_removed_variable_is_not(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ONE");
	assert_int_equal(rm(&m, "a"), 0);
	somebody_saves(&m);
	(void)end(&m, v);
	assert_nothing_kept(&m);
}

static void value_that_was_aborted_is_not(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	mount_pairs(&m);
	assert_int_equal(put(&m, "a", "One"), 0);
	v = begin(&m, "a", "ONE");
	assert_int_equal(checkpoint_abort(m.cp), 0);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_content(&m, "a", "one");
	assert_nothing_kept(&m);
}

/* Whoever renamed it away, and not over it, has it still. */
static void backup_stays_as_it_is(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(buf_release) struct buf before = { 0 };
	CLEANUP(buf_release) struct buf after = { 0 };

	(void)state;
	mount_pairs(&m);
	v = begin(&m, "a", "ONE");
	assert_int_equal(renameat(m.where.fd, DATA_NAME, m.where.fd, "backup"),
			 0);
	get_file(m.where.fd, "backup", &before);
	somebody_saves(&m);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_kept(&m, "a", span_of("ONE"));
	get_file(m.where.fd, "backup", &after);
	assert_true(span_equal(buf_span(&before), buf_span(&after)));
}

/* --- what is large has its room in the file that was replaced -------------------------- */

static struct variable *begin_large(struct mount *m, char *letters)
{
	CLEANUP(maker_release) struct maker maker;
	const struct span value = { (const uint8_t *)letters, LARGE };
	struct variable *v;

	mount_init(m);
	memset(letters, 'a', LARGE);
	maker_init(&maker, HEADER);
	maker_add(&maker, "a", value);
	maker_write(&maker, m->where.fd);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
	v = variable(m, "a");
	memset(letters, 'b', LARGE);
	assert_int_equal(checkpoint_open_writer(m->cp, v, true), 0);
	assert_int_equal(variable_write(v, letters, LARGE, 0), 0);
	return v;
}

static void large_value_is_kept(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	char letters[LARGE];

	(void)state;
	v = begin_large(&m, letters);
	somebody_saves(&m);
	assert_int_equal(end(&m, v), -ESTALE);
	assert_kept(&m, "a", (struct span){ (const uint8_t *)letters, LARGE });
}

/* Then it may be anything. */
static void value_whose_bytes_were_overwritten_is_not(void **state)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(close_fd) int fd = -1;
	char letters[LARGE];

	(void)state;
	v = begin_large(&m, letters);
	fd = openat(m.where.fd, DATA_NAME, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_write_at(fd, "!", 1, LARGE + 7), 0);
	somebody_saves(&m);
	assert_int_equal(end(&m, v), -ESTALE);
	forget_lines();
	assert_nothing_kept(&m);
	assert_in_range(logged()->lines, 2, 3);
	assert_non_null(strstr(logged()->last, "is lost"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_that_is_closed_after_a_save_is_kept),
		cmocka_unit_test(value_of_another_length_is_not),
		cmocka_unit_test(value_that_is_finished_later_is_kept),
		cmocka_unit_test(declared_type_counts),
		cmocka_unit_test(new_variable_is_kept),
		cmocka_unit_test(value_of_a_deleted_checkpoint_is_kept),
		cmocka_unit_test(value_of_a_removed_variable_is_not),
		cmocka_unit_test(value_that_was_aborted_is_not),
		cmocka_unit_test(backup_stays_as_it_is),
		cmocka_unit_test(large_value_is_kept),
		cmocka_unit_test(value_whose_bytes_were_overwritten_is_not),
	};

	return cmocka_run_group_tests_name("overtaken", tests, note_lines,
					   NULL);
}
