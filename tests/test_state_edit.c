/* core/state_edit: `checkpoint` with another latest one, and all else as it was. */
#include "core/state.h"
#include "core/state_edit.h"
#include "core/temporary.h"
#include "tests/store_support.h"

static void set_and_compare(const char *before, const char *prefix,
			    const char *after)
{
	CLEANUP(bench_release) struct bench b;

	bench_make(&b);
	bench_file(b.fd, STATE_FILE, before);
	assert_int_equal(state_set_latest(b.fd, prefix), 0);
	assert_text(b.fd, STATE_FILE, after);
	assert_on_disk(b.fd, STATE_FILE);
}

static void rename_and_compare(const char *before, const char *from,
			       const char *to, const char *after)
{
	CLEANUP(bench_release) struct bench b;

	bench_make(&b);
	bench_file(b.fd, STATE_FILE, before);
	assert_int_equal(state_rename(b.fd, from, to), 0);
	assert_text(b.fd, STATE_FILE, after);
}

struct heard {
	struct buf text;
};

static int hear(void *arg, enum state_field field, struct span written,
		struct span value)
{
	struct heard *h = arg;

	buf_printf(&h->text, "%d<%.*s>%.*s\n", (int)field, (int)written.len,
		   (const char *)written.data, (int)value.len,
		   (const char *)value.data);
	return 0;
}

static void each_value_is_told_as_it_is_written(void **state)
{
	struct heard h = { 0 };

	(void)state;
	assert_int_equal(
		state_each(span_of("model_checkpoint_path : 'a' \"\\x62\" # c\n"
				   "all_model_checkpoint_paths: [\"x\", 'y' ]\n"
				   "all_model_checkpoint_timestamps: 1.5;"
				   "last_preserved_timestamp: 2"),
			   hear, &h),
		0);
	buf_put(&h.text, "", 1);
	assert_string_equal((char *)h.text.data, "0<'a' \"\\x62\">ab\n"
						 "1<\"x\">x\n"
						 "1<'y'>y\n"
						 "2<1.5>1.5\n"
						 "3<2>2\n");
	buf_release(&h.text);
}

static void listed_one_is_set_as_it_is_spelled(void **state)
{
	(void)state;
	set_and_compare("# mine\n"
			"model_checkpoint_path: \"/r/m-2\"  # latest\n"
			"all_model_checkpoint_paths: \"./m-1\"\n"
			"all_model_checkpoint_paths: \"/r/m-2\"\n"
			"all_model_checkpoint_timestamps: 1.25\n"
			"all_model_checkpoint_timestamps: 2.5\n"
			"last_preserved_timestamp: 0.5",
			"m-1",
			"# mine\n"
			"model_checkpoint_path: \"./m-1\"  # latest\n"
			"all_model_checkpoint_paths: \"./m-1\"\n"
			"all_model_checkpoint_paths: \"/r/m-2\"\n"
			"all_model_checkpoint_timestamps: 1.25\n"
			"all_model_checkpoint_timestamps: 2.5\n"
			"last_preserved_timestamp: 0.5");
}

static void path_that_leads_nowhere_is_mended(void **state)
{
	(void)state;
	set_and_compare("model_checkpoint_path: \"/r/m-2\"\n"
			"all_model_checkpoint_paths: ['/r/m-1', '/r/m-2']\n",
			"m-1",
			"model_checkpoint_path: \"m-1\"\n"
			"all_model_checkpoint_paths: [\"m-1\", '/r/m-2']\n");
	/* TensorFlow finds it by the other one. */
	set_and_compare("all_model_checkpoint_paths: ['/r/m', 'm', '/q/m']",
			"m",
			"all_model_checkpoint_paths: ['/r/m', 'm', '/q/m']\n"
			"model_checkpoint_path: \"m\"\n");
}

static void path_into_another_directory_is_another_one(void **state)
{
	static const char before[] = "model_checkpoint_path: \"sub/m\"\n"
				     "all_model_checkpoint_paths: \"sub/m\"\n";
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "sub", 0755), 0);
	bench_file(b.fd, STATE_FILE, before);
	assert_int_equal(state_rename(b.fd, "m", "n"), 0);
	assert_text(b.fd, STATE_FILE, before);
	assert_int_equal(state_set_latest(b.fd, "m"), 0);
	assert_text(b.fd, STATE_FILE,
		    "model_checkpoint_path: \"m\"\n"
		    "all_model_checkpoint_paths: \"sub/m\"\n"
		    "all_model_checkpoint_paths: \"m\"\n");
}

static void unlisted_one_is_listed_at_the_end(void **state)
{
	(void)state;
	set_and_compare("model_checkpoint_path: '/r/m-2'\n"
			"all_model_checkpoint_paths: ['/r/m-1', '/r/m-2']",
			"m-9",
			"model_checkpoint_path: \"m-9\"\n"
			"all_model_checkpoint_paths: ['/r/m-1', '/r/m-2']\n"
			"all_model_checkpoint_paths: \"m-9\"\n");
}

static void what_names_none_gets_one(void **state)
{
	(void)state;
	set_and_compare("", "m",
			"model_checkpoint_path: \"m\"\n"
			"all_model_checkpoint_paths: \"m\"\n");
	set_and_compare("# nothing\nall_model_checkpoint_paths: \"m\"", "m",
			"# nothing\nall_model_checkpoint_paths: \"m\"\n"
			"model_checkpoint_path: \"m\"\n");
}

static void odd_names_are_quoted(void **state)
{
	(void)state;
	set_and_compare("model_checkpoint_path: \"x\"\n", "a\"b\\c\nd\303\244",
			"model_checkpoint_path: \"a\\\"b\\\\c\\012d\303\244\"\n"
			"all_model_checkpoint_paths: "
			"\"a\\\"b\\\\c\\012d\303\244\"\n");
}

static void new_path_gets_the_time_of_its_index(void **state)
{
	CLEANUP(bench_release) struct bench b;
	const struct timespec times[2] = { { 1500000000, 250000000 },
					   { 1500000000, 250000000 } };

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	assert_int_equal(utimensat(b.fd, "m.index", times, 0), 0);
	bench_file(b.fd, STATE_FILE,
		   "model_checkpoint_path: \"x\"\n"
		   "all_model_checkpoint_paths: \"x\"\n"
		   "all_model_checkpoint_timestamps: 1.0\n");
	assert_int_equal(state_set_latest(b.fd, "m"), 0);
	assert_text(b.fd, STATE_FILE,
		    "model_checkpoint_path: \"m\"\n"
		    "all_model_checkpoint_paths: \"x\"\n"
		    "all_model_checkpoint_timestamps: 1.0\n"
		    "all_model_checkpoint_paths: \"m\"\n"
		    "all_model_checkpoint_timestamps: 1500000000.250000\n");
}

static void v1_in_several_files_is_a_pattern(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf latest = { 0 };

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "v-00000-of-00002", "x");
	bench_file(b.fd, "v-00001-of-00002", "x");
	bench_file(b.fd, STATE_FILE, "model_checkpoint_path: \"x\"\n");
	assert_int_equal(state_set_latest(b.fd, "v"), 0);
	assert_text(b.fd, STATE_FILE,
		    "model_checkpoint_path: \"v-?\?\?\?\?-of-00002\"\n"
		    "all_model_checkpoint_paths: \"v-?\?\?\?\?-of-00002\"\n");
	assert_int_equal(state_rename(b.fd, "v", "w"), 0);
	get_file(b.fd, STATE_FILE, &text);
	assert_int_equal(state_latest(buf_span(&text), &latest), 0);
	assert_true(span_equal(buf_span(&latest), span_of("w")));
}

static void without_a_file_one_is_made(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct stat st;

	(void)state;
	bench_make(&b);
	assert_int_equal(fchmod(b.fd, 0750), 0);
	assert_int_equal(state_set_latest(b.fd, "m"), 0);
	assert_text(b.fd, STATE_FILE,
		    "model_checkpoint_path: \"m\"\n"
		    "all_model_checkpoint_paths: \"m\"\n");
	assert_int_equal(fstatat(b.fd, STATE_FILE, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_on_disk(b.fd, STATE_FILE);
}

static void unreadable_state_is_left_alone(void **state)
{
	static const char text[] = "model_checkpoint_path: \"m\"\nmine: 1\n";
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, STATE_FILE, text);
	forget_lines();
	assert_int_equal(state_set_latest(b.fd, "n"), -EINVAL);
	assert_said("TensorFlow cannot read it");
	assert_int_equal(state_rename(b.fd, "m", "n"), -EINVAL);
	assert_said("TensorFlow cannot read it");
	assert_text(b.fd, STATE_FILE, text);
}

static void linked_state_file_is_written_where_it_is(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct stat st;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "real", "model_checkpoint_path: \"m\"\n");
	assert_int_equal(symlinkat("real", b.fd, STATE_FILE), 0);
	assert_int_equal(state_rename(b.fd, "m", "n"), 0);
	assert_text(b.fd, "real", "model_checkpoint_path: \"n\"\n");
	assert_int_equal(fstatat(b.fd, STATE_FILE, &st, AT_SYMLINK_NOFOLLOW),
			 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void renaming_changes_the_last_component_only(void **state)
{
	(void)state;
	rename_and_compare("model_checkpoint_path: \"/m/m\"\n"
			   "all_model_checkpoint_paths: [ 'm', \"m-1\", 'a/m' ]"
			   " # m\n",
			   "m", "n",
			   "model_checkpoint_path: \"/m/n\"\n"
			   "all_model_checkpoint_paths: [ \"n\", \"m-1\", "
			   "\"a/n\" ] # m\n");
}

static void renaming_what_is_not_named_writes_nothing(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct stat before, after;

	(void)state;
	bench_make(&b);
	assert_int_equal(state_rename(b.fd, "m", "n"), 0);
	bench_file(b.fd, STATE_FILE, "model_checkpoint_path: \"m\"\n");
	assert_int_equal(fstatat(b.fd, STATE_FILE, &before, 0), 0);
	assert_int_equal(state_rename(b.fd, "x", "y"), 0);
	assert_int_equal(fstatat(b.fd, STATE_FILE, &after, 0), 0);
	assert_int_equal(after.st_ino, before.st_ino);
}

static void left_temporaries_go(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "checkpoint.0123456789abcdef" TEMPORARY_END, "x");
	bench_file(b.fd, "checkpoint.0123456789abcdef-1f" TEMPORARY_END, "x");
	bench_file(b.fd, "checkpoint.index.0123456789abcdef-1f" TEMPORARY_END,
		   "x");
	state_clean(b.fd, "checkpoint.0123456789abcdef" TEMPORARY_END);
	state_clean(b.fd, "checkpoint.0123456789abcdef-1f" TEMPORARY_END);
	state_clean(b.fd, "checkpoint.index.0123456789abcdef-1f" TEMPORARY_END);
	assert_on_disk(b.fd, "checkpoint.index.0123456789abcdef-1f"
			     ".weightfs-tmp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_is_told_as_it_is_written),
		cmocka_unit_test(listed_one_is_set_as_it_is_spelled),
		cmocka_unit_test(path_that_leads_nowhere_is_mended),
		cmocka_unit_test(path_into_another_directory_is_another_one),
		cmocka_unit_test(unlisted_one_is_listed_at_the_end),
		cmocka_unit_test(what_names_none_gets_one),
		cmocka_unit_test(odd_names_are_quoted),
		cmocka_unit_test(new_path_gets_the_time_of_its_index),
		cmocka_unit_test(v1_in_several_files_is_a_pattern),
		cmocka_unit_test(without_a_file_one_is_made),
		cmocka_unit_test(unreadable_state_is_left_alone),
		cmocka_unit_test(linked_state_file_is_written_where_it_is),
		cmocka_unit_test(renaming_changes_the_last_component_only),
		cmocka_unit_test(renaming_what_is_not_named_writes_nothing),
		cmocka_unit_test(left_temporaries_go),
	};

	return cmocka_run_group_tests(tests, note_lines, NULL);
}
