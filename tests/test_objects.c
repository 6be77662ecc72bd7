/* core/checkpoint: names that are those of an object graph; and core/committer. */
#include "core/committer.h"
#include "tests/mount_support.h"

/* --- object-based ------------------------------------------------------------------------- */

#define VALUE_KEY "v/.ATTRIBUTES/VARIABLE_VALUE"

static void mount_objects(struct mount *m)
{
	mount_init(m);
	copy_fixture(&m->where, "v2_tf2_write");
	assert_int_equal(renameat(m->where.fd, "noncounted.index", m->where.fd,
				  INDEX_NAME),
			 0);
	assert_int_equal(renameat(m->where.fd, "noncounted.data-00000-of-00001",
				  m->where.fd, DATA_NAME),
			 0);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
}

static void temporary_file_replaces_the_value_of_an_object(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_objects(&m);
	assert_int_equal(put(&m, ".v.X1", "12345678"), 0);
	assert_int_equal(put(&m, "other", "123"), 0);
	assert_int_equal(put(&m, "third", "1"), 0);
	assert_int_equal(mv(&m, "other", "v"), -EINVAL);
	assert_int_equal(rm(&m, "other"), 0);
	assert_int_equal(mv(&m, "third", "other"), 0);
	assert_int_equal(mv(&m, "other", "free"), 0);
	assert_int_equal(mv(&m, ".v.X1", "v"), 0);
	assert_typed(&m, "v", "float32", "[2]", "12345678");
	assert_int_equal(rm(&m, "free"), 0);
	assert_missing(&m, "free");
	assert_int_equal(checkpoint_finish(m.cp), 0);
	assert_keys(&m, "_CHECKPOINTABLE_OBJECT_GRAPH " VALUE_KEY " ");
	assert_on_disk(&m, VALUE_KEY, "12345678");
}

static int note_full_name(void *arg, struct span full_name, struct span path)
{
	buf_printf(arg, "%.*s=%.*s ", (int)full_name.len,
		   (const char *)full_name.data, (int)path.len,
		   (const char *)path.data);
	return buf_error(arg);
}

static void full_names_lead_to_paths(void **state)
{
	CLEANUP(buf_release) struct buf told = { 0 };
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_objects(&m);
	assert_int_equal(checkpoint_each_full_name(m.cp, note_full_name, &told),
			 0);
	buf_put(&told, "", 1);
	assert_string_equal((const char *)told.data, "Variable=v ");
}

/* --- the thread ------------------------------------------------------------------------------ */

static struct committer *thread;

static void tell_thread(void *arg, struct checkpoint *cp, unsigned delay_ms)
{
	note_dirty(arg, cp, delay_ms);
	committer_add(thread, cp, delay_ms);
}

static void wait_for_commits(const struct mount *m)
{
	struct checkpoint_status s;

	for (int i = 0; i < 500; i++) {
		assert_int_equal(checkpoint_status(m->cp, &s), 0);
		if (s.uncommitted == 0 && s.removals == 0 &&
		    s.last_commit.tv_sec)
			return;
		(void)usleep(10000);
	}
	fail_msg("nothing was committed");
}

static void thread_commits_what_nobody_waits_for(void **state)
{
	CLEANUP(mount_release) struct mount m;
	unsigned dirty;

	(void)state;
	atomic_store(&ahead_ms, 0); /* the thread sleeps by the real clock */
	assert_int_equal(committer_new(&thread), 0);
	mount_pairs(&m);
	m.config.dirty = tell_thread;
	assert_int_equal(put(&m, "a", "ONE"), 0);
	wait_for_commits(&m);
	assert_on_disk(&m, "a", "ONE");
	assert_int_equal(rm(&m, "b"), 0);
	wait_for_commits(&m);
	assert_keys(&m, "a dir/c ");
	assert_int_equal(rm(&m, "a.shape"), 0);
	assert_listed(&m, "", "a.dtype a dir ");
	(void)usleep(1500000);
	assert_listed(&m, "", "a.shape a.dtype a dir ");
	dirty = m.dirty;
	(void)usleep(300000);
	assert_in_range(m.dirty, dirty, dirty + 1);
	assert_int_equal(put(&m, "a", "1st"), 0);
	assert_int_equal(put(&m, "untyped", "x"), 0);
	assert_int_equal(committer_each(thread, checkpoint_commit_now), 0);
	assert_on_disk(&m, "a", "1st");
	assert_int_equal(committer_free(thread), 0);
	assert_on_disk(&m, "untyped", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(temporary_file_replaces_the_value_of_an_object),
		cmocka_unit_test(full_names_lead_to_paths),
		cmocka_unit_test(thread_commits_what_nobody_waits_for),
	};

	return cmocka_run_group_tests_name("objects", tests, note_lines, NULL);
}
