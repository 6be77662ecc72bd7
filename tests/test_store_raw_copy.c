/* core/store: files of checkpoints that are copied in as they are. */
#include "tests/store_support.h"

static void raw_copy_is_a_file_until_it_is_closed(void **state)
{
	const struct attributes mode = { .set = ATTRIBUTE_MODE, .mode = 0640 };
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(item_unrefp) struct item *again = NULL;
	CLEANUP(buf_release) struct buf index = { 0 };
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "ckpt", "one");
	get_file(b.fd, "ckpt.index", &index);
	bench_open(&b);
	assert_int_equal(folder_create(b.root, span_of("x.index"), 0644,
				       O_WRONLY | O_EXCL, &item, &fd),
			 0);
	assert_listed(b.root, "ckpt+ x.index");
	assert_int_equal(write(fd, index.data, index.len), index.len);
	assert_listed(b.root, "ckpt+ x.index");
	assert_false(item_dead(item));
	assert_true(folder_check(b.root)); /* to be looked at again */
	close_fd(&fd);
	fd = -1;
	assert_listed(b.root, "ckpt+ x+");
	assert_true(was_told(&b, "x.index"));
	assert_true(was_told(&b, "x"));

	/* For those who set mode and times by the name. */
	assert_false(item_dead(item));
	assert_int_equal(folder_lookup(b.root, span_of("x.index"), &again), 0);
	assert_ptr_equal(again, item);
	assert_int_equal(item_set_attributes(item, &mode), 0);
	assert_int_equal(folder_unlink(b.root, span_of("x.index")), -ENOENT);
}

static void make_raw(struct bench *b, const char *name, struct span bytes)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(close_fd) int fd = -1;

	assert_int_equal(folder_create(b->root, span_of(name), 0644,
				       O_WRONLY | O_EXCL, &item, &fd),
			 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
}

/* rsync writes `.NAME.RANDOM`, sets its time, and renames it. */
static void raw_copy_may_get_its_name_at_the_end(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(buf_release) struct buf index = { 0 };

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "ckpt", "one");
	get_file(b.fd, "ckpt.index", &index);
	bench_open(&b);
	make_raw(&b, ".x.index.aBcDeF", buf_span(&index));
	make_old(b.fd, ".x.index.aBcDeF");
	assert_listed(b.root, ".x.index.aBcDeF ckpt+");
	assert_int_equal(rename_in(b.root, ".x.index.aBcDeF", "x.index", 0), 0);
	assert_listed(b.root, "ckpt+ x+");

	/* A backup is taken for a V1 checkpoint, and can be put back. */
	make_raw(&b, "y.index.bak", buf_span(&index));
	assert_listed(b.root, "ckpt+ x+ y.index.bak+");
	assert_int_equal(rename_in(b.root, "y.index.bak", "x.index", 0),
			 -EEXIST);
	forget_told(&b);
	assert_int_equal(rename_in(b.root, "y.index.bak", "y.index", 0), 0);
	assert_listed(b.root, "ckpt+ x+ y+");
	assert_true(was_told(&b, "y.index"));
}

static void shard_beside_its_index_is_made_and_not_shown(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct stat st;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_open(&b);
	assert_int_equal(folder_create(b.root, span_of("m.data-00001-of-00002"),
				       0644, O_WRONLY | O_EXCL, &item, &fd),
			 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(item_stat(item, &st), 0);
	assert_int_equal(st.st_size, 1);
	assert_listed(b.root, "m+");
	assert_true(was_told(&b, "m.data-00001-of-00002"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_copy_is_a_file_until_it_is_closed),
		cmocka_unit_test(raw_copy_may_get_its_name_at_the_end),
		cmocka_unit_test(shard_beside_its_index_is_made_and_not_shown),
	};

	return cmocka_run_group_tests(tests, note_lines, NULL);
}
