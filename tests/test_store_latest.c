/* core/store: `latest`, and the state file behind it. */
#include "tests/store_support.h"

static void link_makes_a_state_file(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m-9", "nine");
	bench_open(&b);
	assert_int_equal(make_link(b.root, "latest", "m-9"), 0);
	assert_listed(b.root, "checkpoint latest@ m-9+");
	assert_link(b.root, "latest", "m-9");
	assert_text(b.fd, "checkpoint",
		    "model_checkpoint_path: \"m-9\"\n"
		    "all_model_checkpoint_paths: \"m-9\"\n");
	assert_int_equal(make_link(b.root, "latest", "m-9"), -EEXIST);
}

static void link_renamed_onto_latest_sets_it(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m-1", "one");
	bench_checkpoint(b.fd, "m-2", "two");
	bench_file(b.fd, "checkpoint",
		   "model_checkpoint_path: \"m-2\"\n"
		   "all_model_checkpoint_paths: \"/x/m-1\"\n"
		   "all_model_checkpoint_paths: \"m-2\"\n");
	bench_open(&b);
	assert_link(b.root, "latest", "m-2");
	assert_int_equal(make_link(b.root, "Cu123456", "./m-1/"), 0);
	assert_int_equal(rename_in(b.root, "Cu123456", "latest",
				   RENAME_NOREPLACE),
			 -EEXIST);
	forget_told(&b);
	assert_int_equal(rename_in(b.root, "Cu123456", "latest", 0), 0);
	assert_true(was_told(&b, "latest"));
	assert_link(b.root, "latest", "m-1");
	assert_listed(b.root, "checkpoint latest@ m-1+ m-2+");
	assert_on_disk(b.fd, "checkpoint m-1.data-00000-of-00001 m-1.index "
			     "m-2.data-00000-of-00001 m-2.index");
	assert_text(b.fd, "checkpoint",
		    "model_checkpoint_path: \"m-1\"\n"
		    "all_model_checkpoint_paths: \"m-1\"\n"
		    "all_model_checkpoint_paths: \"m-2\"\n");
}

static void latest_is_told_even_if_it_stays(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	bench_open(&b);
	assert_int_equal(make_link(b.root, "t", "m"), 0);
	forget_told(&b);
	assert_int_equal(rename_in(b.root, "t", "latest", 0), 0);
	assert_true(was_told(&b, "latest"));
	assert_link(b.root, "latest", "m");
}

static void latest_leads_to_checkpoints_beside_it_only(void **state)
{
	static const char *const targets[] = { "none", "f",    "sub/m",
					       "../m", "/x/m", "" };
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_file(b.fd, "f", "x");
	bench_open(&b);
	for (size_t i = 0; i < 6; i++) {
		forget_lines();
		assert_int_equal(make_link(b.root, "latest", targets[i]),
				 -EINVAL);
		assert_said("no checkpoint beside it");
	}
	assert_listed(b.root, "f m+");
	assert_int_equal(make_link(b.root, "t", "none"), 0);
	assert_int_equal(rename_in(b.root, "t", "latest", 0), -EINVAL);
	assert_listed(b.root, "f m+ t@");
	assert_int_equal(rename_in(b.root, "f", "latest", 0), 0);
	assert_listed(b.root, "latest m+ t@");
}

static void removed_latest_is_back_when_the_state_changes(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_checkpoint(b.fd, "n", "two");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	bench_open(&b);
	assert_int_equal(rename_in(b.root, "latest", "x", 0), -EPERM);
	assert_int_equal(folder_unlink(b.root, span_of("latest")), 0);
	assert_listed(b.root, "checkpoint m+ n+");
	assert_int_equal(folder_unlink(b.root, span_of("latest")), -ENOENT);
	assert_text(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	assert_int_equal(create_file(b.root, "f"), 0);
	assert_listed(b.root, "checkpoint f m+ n+");
	replace_file(b.fd, "checkpoint",
		     span_of("model_checkpoint_path: \"n\"\n"));
	assert_listed(b.root, "checkpoint f latest@ m+ n+");

	/* ln -sf of some systems removes it first. */
	assert_int_equal(folder_unlink(b.root, span_of("latest")), 0);
	assert_int_equal(make_link(b.root, "latest", "m"), 0);
	assert_link(b.root, "latest", "m");
}

static void latest_is_listed_before_the_state_file(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "a", "one");
	bench_open(&b);
	assert_listed(b.root, "a+");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"a\"\n");
	put_listing(b.root, &text);
	assert_string_equal((char *)text.data, "latest@ a+ checkpoint ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_makes_a_state_file),
		cmocka_unit_test(link_renamed_onto_latest_sets_it),
		cmocka_unit_test(latest_is_told_even_if_it_stays),
		cmocka_unit_test(latest_leads_to_checkpoints_beside_it_only),
		cmocka_unit_test(removed_latest_is_back_when_the_state_changes),
		cmocka_unit_test(latest_is_listed_before_the_state_file),
	};

	return cmocka_run_group_tests(tests, note_lines, NULL);
}
