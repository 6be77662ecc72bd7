/* core/store: checkpoints that are made, renamed and removed. */
#include "tests/store_support.h"

/* Counted, as its folder has it now. */
static struct checkpoint *find_checkpoint(struct folder *f, const char *name)
{
	CLEANUP(item_unrefp) struct item *item = find_item(f, name);

	assert_non_null(item_checkpoint(item));
	return checkpoint_ref(item_checkpoint(item));
}

static void look_up(struct checkpoint *cp, const char *name, struct object *ret)
{
	assert_int_equal(checkpoint_lookup(cp, checkpoint_root(cp),
					   span_of(name), 0, ret),
			 0);
}

static void assert_value(struct checkpoint *cp, const char *name,
			 const char *want)
{
	CLEANUP(object_release) struct object o = { 0 };
	CLEANUP(reading_release) struct reading got = { 0 };

	look_up(cp, name, &o);
	assert_int_equal(variable_open_reader(o.variable), 0);
	assert_int_equal(variable_read(o.variable, 64, 0, &got), 0);
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.data, want, got.n);
}

static void write_value(struct checkpoint *cp, const char *name,
			const char *text)
{
	CLEANUP(object_release) struct object o = { 0 };

	look_up(cp, name, &o);
	assert_int_equal(checkpoint_open_writer(cp, o.variable, true), 0);
	assert_int_equal(variable_write(o.variable, text, strlen(text), 0), 0);
	assert_int_equal(checkpoint_flush(cp, o.variable), 0);
	(void)variable_close_writer(o.variable);
}

/* --- directories that may become one --------------------------------------- */

static void empty_new_directory_is_undecided(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "old", 0755), 0);
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "new"), 0);
	assert_int_equal(make_directory(b.root, "new"), -EEXIST);
	assert_listed(b.root, "new/ old/");
	assert_true(folder_undecided(find_folder(b.root, "new")));
	assert_false(folder_undecided(find_folder(b.root, "old")));
	assert_false(folder_undecided(b.root));
	assert_int_equal(rename_in(b.root, "new", "newer", 0), 0);
	assert_true(folder_undecided(find_folder(b.root, "newer")));
}

static void what_is_put_in_decides_for_a_plain_directory(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct folder *d;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "ckpt", "one");
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "a"), 0);
	d = find_folder(b.root, "a");
	assert_int_equal(make_link(d, "l", "../x"), 0);
	assert_int_equal(folder_decide(d, &item), -ENOTEMPTY);

	assert_int_equal(make_directory(b.root, "b"), 0);
	d = find_folder(b.root, "b");
	assert_int_equal(folder_rename(b.root, span_of("ckpt"), d,
				       span_of("ckpt"), 0),
			 0);
	assert_false(folder_undecided(d));
	assert_listed(d, "ckpt+");
	assert_listed(b.root, "a/ b/");
}

static void links_within_go_along(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct folder *d;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "a"), 0);
	d = find_folder(b.root, "a");
	assert_int_equal(make_link(d, "l", "x/y"), 0);
	assert_true(folder_undecided(d));
	assert_int_equal(folder_decide(d, &item), 0);
	assert_listed(b.root, "a+");
	assert_non_null(node_child_at(checkpoint_root(item_checkpoint(item)), 0,
				      &(uint64_t){ 0 }));
}

static void what_others_put_in_decides_too(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct folder *d;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "d"), 0);
	d = find_folder(b.root, "d");
	bench_file(b.fd, "d/f", "x");
	assert_int_equal(folder_decide(d, &item), -ENOTEMPTY);
	assert_false(folder_undecided(d));
	assert_listed(d, "f");
}

static void decided_directory_is_a_checkpoint_of_its_number(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;
	struct folder *d;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "best"), 0);
	d = find_folder(b.root, "best");
	assert_listed(d, "");
	assert_int_equal(folder_decide(d, &item), 0);
	assert_int_equal(b.gone, 1);
	assert_int_equal(item_kind(item), ITEM_CHECKPOINT);
	assert_int_equal(node_id(checkpoint_root(item_checkpoint(item))),
			 folder_id(d));
	assert_listed(b.root, "best+");
	assert_on_disk(b.fd, "best.index");
	cp = find_checkpoint(b.root, "best");
	assert_ptr_equal(cp, item_checkpoint(item));
	assert_int_equal(checkpoint_refresh(cp), 0);
	assert_true(checkpoint_empty(cp));
	assert_false(folder_undecided(d));
	assert_int_equal(create_file(d, "f"), -ENOENT);
	assert_false(was_told(&b, "best"));
}

static void directory_whose_name_none_can_have_stays(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "x.index"), 0);
	forget_lines();
	assert_int_equal(folder_decide(find_folder(b.root, "x.index"), &item),
			 -EINVAL);
	assert_said("no checkpoint can have this name");
	assert_int_equal(folder_decide(b.root, &item), -EINVAL);
	assert_listed(b.root, "x.index/");
}

/* --- renaming -------------------------------------------------------------- */

static void renamed_checkpoint_keeps_all_but_its_name(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;
	CLEANUP(checkpoint_unrefp) struct checkpoint *now = NULL;
	CLEANUP(object_release) struct object before = { 0 };
	CLEANUP(object_release) struct object after = { 0 };
	struct stat old, new;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m-1", "one");
	bench_checkpoint(b.fd, "m-10", "ten");
	bench_file(b.fd, "m-1.meta", "graph");
	bench_file(b.fd, "m-1.txt", "notes");
	bench_file(b.fd, "checkpoint",
		   "model_checkpoint_path: \"/old/m-1\"\n"
		   "all_model_checkpoint_paths: \"m-10\"\n"
		   "all_model_checkpoint_paths: \"/old/m-1\"\n");
	assert_int_equal(fstatat(b.fd, "m-1.index", &old, 0), 0);
	bench_open(&b);
	cp = find_checkpoint(b.root, "m-1");
	look_up(cp, "a", &before);
	assert_int_equal(rename_in(b.root, "m-1", "best", 0), 0);
	assert_listed(b.root, "best+ best.meta checkpoint latest@ m-1.txt "
			      "m-10+");
	assert_on_disk(b.fd, "best.data-00000-of-00001 best.index best.meta "
			     "checkpoint m-1.txt m-10.data-00000-of-00001 "
			     "m-10.index");
	assert_text(b.fd, "checkpoint",
		    "model_checkpoint_path: \"/old/best\"\n"
		    "all_model_checkpoint_paths: \"m-10\"\n"
		    "all_model_checkpoint_paths: \"/old/best\"\n");
	assert_link(b.root, "latest", "best");
	assert_int_equal(fstatat(b.fd, "best.index", &new, 0), 0);
	assert_int_equal(new.st_ino, old.st_ino);
	assert_int_equal(new.st_nlink, 1);

	now = find_checkpoint(b.root, "best");
	assert_ptr_equal(now, cp);
	look_up(cp, "a", &after);
	assert_ptr_equal(after.variable, before.variable);
	assert_value(cp, "a", "one");
	assert_true(was_told(&b, "latest"));
	assert_true(was_told(&b, "m-1.meta"));
	assert_true(was_told(&b, "best.meta"));
	assert_false(was_told(&b, "m-1"));
}

static void values_that_wait_go_with_it(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;
	CLEANUP(checkpoint_unrefp) struct checkpoint *again = NULL;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_open(&b);
	cp = find_checkpoint(b.root, "m");
	write_value(cp, "a", "ONE");
	assert_int_equal(rename_in(b.root, "m", "n", 0), 0);
	write_value(cp, "a", "two");
	assert_int_equal(checkpoint_commit(cp), 0);
	bench_close(&b);
	bench_open(&b);
	assert_listed(b.root, "n+");
	again = find_checkpoint(b.root, "n");
	assert_value(again, "a", "two");
}

static void renamed_checkpoint_goes_into_another_folder(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;
	struct folder *sub;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_file(b.fd, "m.meta", "graph");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	assert_int_equal(mkdirat(b.fd, "sub", 0755), 0);
	bench_open(&b);
	sub = find_folder(b.root, "sub");
	cp = find_checkpoint(b.root, "m");
	assert_value(cp, "a", "one");
	assert_int_equal(
		folder_rename(b.root, span_of("m"), sub, span_of("n"), 0), 0);
	assert_listed(b.root, "checkpoint sub/");
	assert_listed(sub, "n+ n.meta");
	assert_value(cp, "a", "one");
	write_value(cp, "a", "ONE");
	assert_int_equal(checkpoint_commit(cp), 0);
	assert_text(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	assert_int_equal(
		folder_rename(sub, span_of("n"), b.root, span_of("m"), 0), 0);
	assert_listed(sub, "");
	assert_value(cp, "a", "ONE");
}

static void linked_files_are_not_taken_elsewhere(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "real", "one");
	assert_int_equal(symlinkat("real.index", b.fd, "m.index"), 0);
	assert_int_equal(symlinkat("real.data-00000-of-00001", b.fd,
				   "m.data-00000-of-00001"),
			 0);
	assert_int_equal(mkdirat(b.fd, "sub", 0755), 0);
	bench_open(&b);
	assert_int_equal(folder_rename(b.root, span_of("m"),
				       find_folder(b.root, "sub"), span_of("m"),
				       0),
			 -EXDEV);
	assert_listed(find_folder(b.root, "sub"), "");
	assert_int_equal(rename_in(b.root, "m", "n", 0), 0);
	assert_listed(b.root, "n+ real+ sub/");
}

static void checkpoint_takes_the_place_of_empty_ones_only(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_checkpoint(b.fd, "full", "two");
	bench_checkpoint(b.fd, "empty", NULL);
	bench_file(b.fd, "file", "x");
	assert_int_equal(mkdirat(b.fd, "dir", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "used", 0755), 0);
	bench_file(b.fd, "used/f", "x");
	bench_open(&b);
	cp = find_checkpoint(b.root, "m");
	assert_int_equal(rename_in(b.root, "m", "full", 0), -ENOTEMPTY);
	assert_int_equal(rename_in(b.root, "m", "used", 0), -ENOTEMPTY);
	assert_int_equal(rename_in(b.root, "m", "file", 0), -ENOTDIR);
	assert_int_equal(rename_in(b.root, "file", "m", 0), -EISDIR);
	assert_int_equal(rename_in(b.root, "used", "m", 0), -ENOTEMPTY);
	assert_int_equal(rename_in(b.root, "m", "empty", RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(rename_in(b.root, "m", "full", RENAME_EXCHANGE),
			 -EOPNOTSUPP);
	assert_listed(b.root, "dir/ empty+ file full+ m+ used/");
	assert_int_equal(rename_in(b.root, "m", "empty", 0), 0);
	assert_int_equal(rename_in(b.root, "empty", "dir", 0), 0);
	assert_listed(b.root, "dir+ file full+ used/");
	assert_value(cp, "a", "one");
}

static void empty_checkpoint_gives_way_to_a_directory(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", NULL);
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	bench_file(b.fd, "d/f", "x");
	bench_open(&b);
	assert_int_equal(rename_in(b.root, "d", "m", 0), 0);
	assert_listed(b.root, "m/");
	assert_on_disk(b.fd, "m");
}

static void names_that_none_can_have_are_refused(void **state)
{
	static const char *const names[] = { "x.index", "x.data-00000-of-00001",
					     "x.weightfs-tmp" };
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_open(&b);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rename_in(b.root, "m", names[i], 0), -EINVAL);
	assert_on_disk(b.fd, "m.data-00000-of-00001 m.index");
}

static void file_in_the_way_of_a_part_leaves_all_as_it_was(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(checkpoint_unrefp) struct checkpoint *cp = NULL;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_file(b.fd, "m.meta", "graph");
	bench_file(b.fd, "n.meta", "another");
	bench_open(&b);
	cp = find_checkpoint(b.root, "m");
	forget_lines();
	assert_int_equal(rename_in(b.root, "m", "n", 0), -EEXIST);
	assert_said("n.meta");
	assert_on_disk(b.fd, "m.data-00000-of-00001 m.index m.meta n.meta");
	assert_text(b.fd, "n.meta", "another");
	write_value(cp, "a", "ONE");
	assert_int_equal(checkpoint_commit(cp), 0);
}

static void prefix_whose_name_is_taken_can_be_renamed(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "checkpoint", "");
	bench_checkpoint(b.fd, "checkpoint", "one");
	bench_open(&b);
	assert_listed(b.root, "checkpoint checkpoint.d+");
	assert_int_equal(rename_in(b.root, "checkpoint.d", "m", 0), 0);
	assert_listed(b.root, "checkpoint m+");
	assert_on_disk(b.fd, "checkpoint m.data-00000-of-00001 m.index");
}

/* Any table ends as a V1 checkpoint does. */
static void put_v1(const struct bench *b, const char *name)
{
	bench_checkpoint(b->fd, "table", "one");
	assert_int_equal(renameat(b->fd, "table.index", b->fd, name), 0);
	assert_int_equal(unlinkat(b->fd, "table.data-00000-of-00001", 0), 0);
}

static void v1_is_renamed_with_all_its_files(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	put_v1(&b, "one");
	put_v1(&b, "two-00000-of-00002");
	put_v1(&b, "two-00001-of-00002");
	bench_file(b.fd, "two.meta", "graph");
	bench_file(b.fd, "checkpoint",
		   "model_checkpoint_path: \"two-?\?\?\?\?-of-00002\"\n");
	bench_open(&b);
	assert_listed(b.root, "checkpoint latest@ one+ two+ two.meta");
	assert_int_equal(rename_in(b.root, "two", "three", 0), 0);
	assert_int_equal(rename_in(b.root, "one", "two", 0), 0);
	assert_listed(b.root, "checkpoint latest@ three+ three.meta two+");
	assert_link(b.root, "latest", "three");
	assert_on_disk(b.fd, "checkpoint three-00000-of-00002 "
			     "three-00001-of-00002 three.meta two");
}

/* --- removing -------------------------------------------------------------- */

static void rmdir_removes_the_files_of_an_empty_checkpoint(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", NULL);
	bench_file(b.fd, "m.data-00001-of-00002", "x");
	bench_checkpoint(b.fd, "m2", "two");
	bench_file(b.fd, "m.meta", "graph");
	bench_file(b.fd, "m.data", "x");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	bench_open(&b);
	assert_listed(b.root, "checkpoint latest@ m+ m.data m.meta m2+");
	assert_int_equal(folder_rmdir(b.root, span_of("m2")), -ENOTEMPTY);
	assert_int_equal(folder_rmdir(b.root, span_of("m")), 0);
	assert_on_disk(b.fd, "checkpoint m.data m.meta "
			     "m2.data-00000-of-00001 m2.index");
	assert_listed(b.root, "checkpoint m.data m.meta m2+");
	assert_true(was_told(&b, "latest"));
	assert_text(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
}

/* --- after a crash --------------------------------------------------------- */

static void link_file(const struct bench *b, const char *from, const char *to)
{
	assert_int_equal(linkat(b->fd, from, b->fd, to, 0), 0);
}

static void make_mark(const struct bench *b)
{
	assert_int_equal(symlinkat("m", b->fd,
				   "n.move-0123456789abcdef.weightfs-tmp"),
			 0);
}

static void renaming_that_had_linked_the_index_is_finished(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_file(b.fd, "m.meta", "graph");
	bench_file(b.fd, "m.data-00001-of-00002", "of n it is not");
	bench_file(b.fd, "checkpoint", "model_checkpoint_path: \"m\"\n");
	make_mark(&b);
	link_file(&b, "m.data-00000-of-00001", "n.data-00000-of-00001");
	link_file(&b, "m.meta", "n.meta");
	link_file(&b, "m.index", "n.index");
	bench_open(&b);
	assert_listed(b.root, "checkpoint latest@ m.data-00001-of-00002 n+ "
			      "n.meta");
	assert_text(b.fd, "checkpoint", "model_checkpoint_path: \"n\"\n");
	assert_on_disk(b.fd, "checkpoint m.data-00001-of-00002 "
			     "n.data-00000-of-00001 n.index n.meta");
}

static void renaming_that_had_unlinked_the_index_is_finished(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	make_mark(&b);
	link_file(&b, "m.data-00000-of-00001", "n.data-00000-of-00001");
	assert_int_equal(renameat(b.fd, "m.index", b.fd, "n.index"), 0);
	bench_open(&b);
	assert_listed(b.root, "n+");
	assert_on_disk(b.fd, "n.data-00000-of-00001 n.index");
}

static void renaming_that_had_not_linked_the_index_is_taken_back(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	make_mark(&b);
	link_file(&b, "m.data-00000-of-00001", "n.data-00000-of-00001");
	bench_open(&b);
	assert_listed(b.root, "m+");
	assert_on_disk(b.fd, "m.data-00000-of-00001 m.index");
}

static void linked_backup_is_no_renaming(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	link_file(&b, "m.data-00000-of-00001", "n.data-00000-of-00001");
	link_file(&b, "m.index", "n.index");
	bench_open(&b);
	assert_listed(b.root, "m+ n+");
}

static void mark_that_lies_removes_nothing(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	bench_checkpoint(b.fd, "n", "two");
	make_mark(&b);
	assert_int_equal(symlinkat("../../etc/passwd", b.fd,
				   "x.move-0123456789abcdef.weightfs-tmp"),
			 0);
	assert_int_equal(symlinkat("m", b.fd, "m.move-1.weightfs-tmp"), 0);
	bench_open(&b);
	assert_listed(b.root, "m+ n+");
	assert_on_disk(b.fd, "m.data-00000-of-00001 m.index "
			     "m.move-1.weightfs-tmp n.data-00000-of-00001 "
			     "n.index x.move-0123456789abcdef.weightfs-tmp");
}

static void reading_mount_finishes_nothing(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "m", "one");
	make_mark(&b);
	link_file(&b, "m.data-00000-of-00001", "n.data-00000-of-00001");
	b.config.read_only = true;
	bench_open(&b);
	assert_listed(b.root, "m+ n.data-00000-of-00001");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_new_directory_is_undecided),
		cmocka_unit_test(what_is_put_in_decides_for_a_plain_directory),
		cmocka_unit_test(links_within_go_along),
		cmocka_unit_test(what_others_put_in_decides_too),
		cmocka_unit_test(
			decided_directory_is_a_checkpoint_of_its_number),
		cmocka_unit_test(directory_whose_name_none_can_have_stays),
		cmocka_unit_test(renamed_checkpoint_keeps_all_but_its_name),
		cmocka_unit_test(values_that_wait_go_with_it),
		cmocka_unit_test(renamed_checkpoint_goes_into_another_folder),
		cmocka_unit_test(linked_files_are_not_taken_elsewhere),
		cmocka_unit_test(checkpoint_takes_the_place_of_empty_ones_only),
		cmocka_unit_test(empty_checkpoint_gives_way_to_a_directory),
		cmocka_unit_test(names_that_none_can_have_are_refused),
		cmocka_unit_test(file_in_the_way_of_a_part_leaves_all_as_it_was),
		cmocka_unit_test(prefix_whose_name_is_taken_can_be_renamed),
		cmocka_unit_test(v1_is_renamed_with_all_its_files),
		cmocka_unit_test(rmdir_removes_the_files_of_an_empty_checkpoint),
		cmocka_unit_test(renaming_that_had_linked_the_index_is_finished),
		cmocka_unit_test(
			renaming_that_had_unlinked_the_index_is_finished),
		cmocka_unit_test(
			renaming_that_had_not_linked_the_index_is_taken_back),
		cmocka_unit_test(linked_backup_is_no_renaming),
		cmocka_unit_test(mark_that_lies_removes_nothing),
		cmocka_unit_test(reading_mount_finishes_nothing),
	};

	return cmocka_run_group_tests(tests, note_lines, NULL);
}
