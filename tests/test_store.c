/* core/store: names of plain files and directories that are made and go. */
#include "tests/store_support.h"

static void created_file_is_there_at_once(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(item_unrefp) struct item *found = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct stat st;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_listed(b.root, "");
	assert_int_equal(folder_create(b.root, span_of("notes.txt"), 0666,
				       O_RDWR | O_EXCL, &item, &fd),
			 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_listed(b.root, "notes.txt");
	assert_text(b.fd, "notes.txt", "hello");
	found = find_item(b.root, "notes.txt");
	assert_int_equal(item_id(found), item_id(item));
	assert_int_equal(item_stat(item, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0666);
	assert_int_equal(st.st_size, 5);
	assert_false(was_told(&b, "notes.txt"));
}

static void file_that_is_there_is_opened_or_refused(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "old");
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	bench_open(&b);
	assert_int_equal(create_file(b.root, "f"), -EEXIST);
	assert_int_equal(create_file(b.root, "d"), -EEXIST);
	assert_text(b.fd, "f", "old");
	assert_int_equal(folder_create(b.root, span_of("f"), 0644,
				       O_WRONLY | O_TRUNC, &item, &fd),
			 0);
	assert_text(b.fd, "f", "");
}

static void names_of_ours_are_refused(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	bench_open(&b);
	assert_int_equal(create_file(b.root, "x.weightfs-tmp"), -EINVAL);
	assert_int_equal(make_directory(b.root, ".weightfs-tmp"), -EINVAL);
	assert_int_equal(make_link(b.root, "x.weightfs-tmp", "f"), -EINVAL);
	assert_int_equal(rename_in(b.root, "f", "f.weightfs-tmp", 0), -EINVAL);
	assert_int_equal(create_file(b.root, ".weightfs"), -EPERM);
	assert_int_equal(make_directory(b.root, ""), -EINVAL);
	assert_int_equal(make_directory(b.root, "sub"), 0);
	assert_int_equal(create_file(find_folder(b.root, "sub"), ".weightfs"),
			 0);
	assert_on_disk(b.fd, "f sub");
}

static void files_of_a_checkpoint_are_not_replaced(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "ckpt", "one");
	bench_file(b.fd, "f", "x");
	bench_open(&b);
	forget_lines();
	assert_int_equal(create_file(b.root, "ckpt.index"), -EEXIST);
	assert_said("part of a checkpoint");
	assert_int_equal(rename_in(b.root, "f", "ckpt.data-00000-of-00001", 0),
			 -EEXIST);
	assert_said("part of a checkpoint");
	assert_listed(b.root, "ckpt+ f");
}

static void unlink_removes_files_and_links_only(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *f = NULL;

	(void)state;
	bench_make(&b);
	bench_checkpoint(b.fd, "ckpt", "one");
	bench_file(b.fd, "f", "x");
	assert_int_equal(symlinkat("f", b.fd, "link"), 0);
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	bench_open(&b);
	f = find_item(b.root, "f");
	assert_int_equal(folder_unlink(b.root, span_of("f")), 0);
	assert_true(item_dead(f));
	assert_int_equal(folder_unlink(b.root, span_of("link")), 0);
	assert_int_equal(folder_unlink(b.root, span_of("f")), -ENOENT);
	assert_int_equal(folder_unlink(b.root, span_of("d")), -EISDIR);
	assert_int_equal(folder_unlink(b.root, span_of("ckpt")), -EISDIR);
	assert_listed(b.root, "ckpt+ d/");
}

static void rmdir_removes_empty_directories_only(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	bench_open(&b);
	assert_int_equal(create_file(find_folder(b.root, "d"), "in"), 0);
	assert_int_equal(folder_rmdir(b.root, span_of("d")), -ENOTEMPTY);
	assert_int_equal(folder_rmdir(b.root, span_of("f")), -ENOTDIR);
	assert_int_equal(folder_rmdir(b.root, span_of("g")), -ENOENT);
	assert_int_equal(folder_unlink(find_folder(b.root, "d"), span_of("in")),
			 0);
	assert_int_equal(folder_rmdir(b.root, span_of("d")), 0);
	assert_int_equal(b.gone, 1);
	assert_listed(b.root, "f");
}

static void renamed_file_stays_who_it_is(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *a = NULL;
	CLEANUP(item_unrefp) struct item *old = NULL;
	CLEANUP(item_unrefp) struct item *now = NULL;
	CLEANUP(close_fd) int fd = -1;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "a", "A");
	bench_file(b.fd, "b", "B");
	bench_open(&b);
	a = find_item(b.root, "a");
	old = find_item(b.root, "b");
	assert_int_equal(rename_in(b.root, "a", "b", RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(rename_in(b.root, "a", "b", 0), 0);
	assert_listed(b.root, "b");
	assert_text(b.fd, "b", "A");
	assert_true(item_dead(old));
	assert_false(item_dead(a));
	now = find_item(b.root, "b");
	assert_int_equal(item_id(now), item_id(a));
	fd = item_open(a, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(rename_in(b.root, "nothing", "c", 0), -ENOENT);
}

static void files_move_between_folders(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *f = NULL;
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct folder *sub;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	assert_int_equal(mkdirat(b.fd, "sub", 0755), 0);
	bench_open(&b);
	f = find_item(b.root, "f");
	sub = find_folder(b.root, "sub");
	assert_int_equal(
		folder_rename(b.root, span_of("f"), sub, span_of("g"), 0), 0);
	assert_listed(b.root, "sub/");
	assert_listed(sub, "g");
	fd = item_open(f, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(folder_rename(sub, span_of("g"), b.root,
				       span_of("sub"), 0),
			 -ENOTEMPTY); /* the kernel's word for what it is in */
	assert_int_equal(
		folder_rename(sub, span_of("g"), b.root, span_of("f"), 0), 0);
	assert_text(b.fd, "f", "x");
	assert_listed(sub, "");
}

static void renamed_folder_takes_along_what_is_in_it(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *f = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct folder *a, *deep, *to;
	struct stat st;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "a", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "a/deep", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "ab", 0755), 0);
	bench_file(b.fd, "a/deep/f", "x");
	bench_open(&b);
	a = find_folder(b.root, "a");
	deep = find_folder(a, "deep");
	f = find_item(deep, "f");
	to = find_folder(b.root, "ab");
	assert_int_equal(
		folder_rename(b.root, span_of("a"), to, span_of("new"), 0), 0);
	assert_ptr_equal(find_folder(to, "new"), a);
	assert_ptr_equal(find_folder(a, "deep"), deep);
	assert_int_equal(folder_stat(deep, &st), 0);
	fd = item_open(f, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(folder_rename(b.root, span_of("ab"), deep,
				       span_of("x"), 0),
			 -EINVAL);
	assert_int_equal(
		folder_rename(deep, span_of("f"), b.root, span_of("f"), 0), 0);
	assert_listed(b.root, "ab/ f");
}

static void folder_takes_the_place_of_an_empty_one_only(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct folder *a;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "a", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "b", 0755), 0);
	bench_file(b.fd, "b/f", "x");
	bench_open(&b);
	a = find_folder(b.root, "a");
	assert_int_equal(rename_in(b.root, "a", "b", 0), -ENOTEMPTY);
	assert_int_equal(folder_unlink(find_folder(b.root, "b"), span_of("f")),
			 0);
	assert_int_equal(rename_in(b.root, "a", "b", 0), 0);
	assert_ptr_equal(find_folder(b.root, "b"), a);
	assert_listed(b.root, "b/");
}

static void exchange_swaps_files_and_folders(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *in = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct folder *d;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	bench_file(b.fd, "d/in", "y");
	bench_open(&b);
	d = find_folder(b.root, "d");
	in = find_item(d, "in");
	assert_int_equal(rename_in(b.root, "f", "none", RENAME_EXCHANGE),
			 -ENOENT);
	assert_int_equal(rename_in(b.root, "f", "d", RENAME_EXCHANGE), 0);
	assert_listed(b.root, "d f/");
	assert_ptr_equal(find_folder(b.root, "f"), d);
	assert_text(b.fd, "d", "x");
	fd = item_open(in, O_RDONLY);
	assert_true(fd >= 0);
}

static void cookies_hold_while_names_come_and_go(void **state)
{
	CLEANUP(bench_release) struct bench b;
	CLEANUP(buf_release) struct buf seen = { 0 };
	uint64_t cookie = 0;
	char name[8];
	int r = 1;

	(void)state;
	bench_make(&b);
	for (int c = 'a'; c <= 'h'; c++) {
		(void)snprintf(name, sizeof(name), "%c", c);
		bench_file(b.fd, name, "x");
	}
	bench_open(&b);
	/* As rm -r and mv do: each name is removed once it was listed. */
	while (r == 1) {
		CLEANUP(item_unrefp) struct item *item = NULL;
		size_t at = seen.len;

		r = folder_list(b.root, &cookie, &seen, &item);
		if (r == 1)
			assert_int_equal(
				folder_unlink(b.root,
					      (struct span){ seen.data + at,
							     seen.len - at }),
				0);
	}
	buf_put(&seen, "", 1);
	assert_string_equal((char *)seen.data, "abcdefgh");
	assert_on_disk(b.fd, "");
}

static void read_only_store_changes_nothing(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	b.config.read_only = true;
	bench_open(&b);
	assert_int_equal(create_file(b.root, "g"), -EROFS);
	assert_int_equal(make_directory(b.root, "g"), -EROFS);
	assert_int_equal(make_link(b.root, "g", "f"), -EROFS);
	assert_int_equal(folder_unlink(b.root, span_of("f")), -EROFS);
	assert_int_equal(folder_rmdir(b.root, span_of("d")), -EROFS);
	assert_int_equal(rename_in(b.root, "f", "g", 0), -EROFS);
	assert_on_disk(b.fd, "d f");
}

static void mountpoint_inside_is_left_alone(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "mnt", 0755), 0);
	b.config.mountpoint = "mnt";
	bench_open(&b);
	assert_int_equal(create_file(find_folder(b.root, "mnt"), "f"), -EPERM);
	assert_listed(find_folder(b.root, "mnt"), "");
}

static void links_of_any_name_are_made(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct stat st;

	(void)state;
	bench_make(&b);
	bench_open(&b);
	assert_int_equal(make_link(b.root, "l", "some where"), 0);
	assert_int_equal(make_link(b.root, "l", "else"), -EEXIST);
	assert_int_equal(make_link(b.root, "latest", "run3"), 0);
	assert_listed(b.root, "l@ latest@");
	assert_link(b.root, "l", "some where");
	assert_link(b.root, "latest", "run3");
	assert_int_equal(fstatat(b.fd, "latest", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(rename_in(b.root, "l", "latest", 0), 0);
	assert_link(b.root, "latest", "some where");
}

static void attributes_are_those_on_disk(void **state)
{
	const struct attributes a = { .set = ATTRIBUTE_MODE | ATTRIBUTE_MTIME,
				      .mode = 0700,
				      .mtime = { 1000000000, 5 } };
	CLEANUP(bench_release) struct bench b;
	CLEANUP(item_unrefp) struct item *link = NULL;
	struct stat st;

	(void)state;
	bench_make(&b);
	bench_file(b.fd, "f", "x");
	bench_open(&b);
	assert_int_equal(make_directory(b.root, "d"), 0);
	assert_int_equal(folder_set_attributes(find_folder(b.root, "d"), &a),
			 0);
	assert_int_equal(folder_sync(b.root), 0);
	assert_int_equal(fstatat(b.fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(make_link(b.root, "l", "f"), 0);
	link = find_item(b.root, "l");
	assert_int_equal(item_set_attributes(link, &a), 0);
	assert_int_equal(fstatat(b.fd, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(fstatat(b.fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_not_equal(st.st_mtim.tv_sec, 1000000000);
}

static int see(void *arg, const char *path, struct checkpoint *cp)
{
	struct bench *b = arg;

	assert_non_null(cp);
	buf_printf(&b->seen, "%s ", path);
	return 0;
}

static int stop(void *arg, const char *path, struct checkpoint *cp)
{
	(void)see(arg, path, cp);
	return -ECANCELED;
}

static void each_checkpoint_of_what_was_read_is_found(void **state)
{
	CLEANUP(bench_release) struct bench b;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "sub", 0755), 0);
	bench_checkpoint(b.fd, "one", "1");
	bench_file(b.fd, "two", "x");
	bench_checkpoint(b.fd, "two", "2");
	bench_checkpoint(find_dir(b.fd, "sub"), "three", "3");
	bench_open(&b);
	assert_listed(b.root, "one+ sub/ two two.d+");
	assert_int_equal(store_each(b.store, see, &b), 0);
	assert_listed(find_folder(b.root, "sub"), "three+");
	assert_int_equal(store_each(b.store, see, &b), 0);
	assert_int_equal(store_each(b.store, stop, &b), -ECANCELED);
	buf_put(&b.seen, "", 1);
	assert_string_equal((char *)b.seen.data,
			    "one two.d one two.d sub/three one ");
}

static void folder_that_others_take_away_is_gone(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct folder *d, *deep;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "d", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "d/deep", 0755), 0);
	bench_file(b.fd, "f", "x");
	bench_open(&b);
	d = find_folder(b.root, "d");
	deep = find_folder(d, "deep");
	assert_listed(deep, "");
	assert_int_equal(renameat(b.fd, "d", b.fd, "e"), 0);
	assert_int_equal(folder_rename(b.root, span_of("f"), d, span_of("f"),
				       0),
			 -ENOENT);
	assert_listed(b.root, "e/ f");
	assert_int_equal(b.gone, 2);
	/* Neither is locked by what it was: it can be written to. */
	deep = find_folder(find_folder(b.root, "e"), "deep");
	assert_int_equal(
		folder_rename(b.root, span_of("f"), deep, span_of("f"), 0), 0);
}

/* --- from many threads ----------------------------------------------------- */

#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER true
#else
#define THREAD_SANITIZER false
#endif

struct crowd {
	struct folder *folders[3];
	unsigned seed;
};

static void *rename_about(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 400; i++) {
		struct folder *from = c->folders[rand_r(&c->seed) % 3];
		struct folder *to = c->folders[rand_r(&c->seed) % 3];
		/* ThreadSanitizer knows of no order that changes with the tree. */
		bool deep = !THREAD_SANITIZER && rand_r(&c->seed) % 4 == 0;
		struct item *item;

		(void)folder_rename(from, span_of(deep ? "deep" : "f"), to,
				    span_of(deep ? "deep" : "f"), 0);
		if (folder_lookup(to, span_of("f"), &item) == 0) {
			CLEANUP(close_fd) int fd = item_open(item, O_RDONLY);

			item_unref(item);
		}
		(void)folder_check(from);
	}
	return NULL;
}

static void nobody_waits_for_ever_and_nothing_is_lost(void **state)
{
	CLEANUP(bench_release) struct bench b;
	struct crowd crowds[3];
	pthread_t threads[3];
	size_t left = 0;

	(void)state;
	bench_make(&b);
	assert_int_equal(mkdirat(b.fd, "a", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "b", 0755), 0);
	assert_int_equal(mkdirat(b.fd, "a/deep", 0755), 0);
	bench_file(b.fd, "a/f", "x");
	bench_open(&b);
	for (unsigned i = 0; i < 3; i++) {
		struct folder *d = find_folder(b.root, "a");

		crowds[i] = (struct crowd){ { d, find_folder(b.root, "b"),
					      find_folder(d, "deep") },
					    i };
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, rename_about,
						&crowds[i]),
				 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		struct item *item;

		if (folder_lookup(crowds[0].folders[i], span_of("f"), &item) <
		    0)
			continue;
		item_unref(item);
		left++;
	}
	assert_int_equal(left, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(created_file_is_there_at_once),
		cmocka_unit_test(file_that_is_there_is_opened_or_refused),
		cmocka_unit_test(names_of_ours_are_refused),
		cmocka_unit_test(files_of_a_checkpoint_are_not_replaced),
		cmocka_unit_test(unlink_removes_files_and_links_only),
		cmocka_unit_test(rmdir_removes_empty_directories_only),
		cmocka_unit_test(renamed_file_stays_who_it_is),
		cmocka_unit_test(files_move_between_folders),
		cmocka_unit_test(renamed_folder_takes_along_what_is_in_it),
		cmocka_unit_test(folder_takes_the_place_of_an_empty_one_only),
		cmocka_unit_test(exchange_swaps_files_and_folders),
		cmocka_unit_test(cookies_hold_while_names_come_and_go),
		cmocka_unit_test(read_only_store_changes_nothing),
		cmocka_unit_test(mountpoint_inside_is_left_alone),
		cmocka_unit_test(links_of_any_name_are_made),
		cmocka_unit_test(attributes_are_those_on_disk),
		cmocka_unit_test(each_checkpoint_of_what_was_read_is_found),
		cmocka_unit_test(folder_that_others_take_away_is_gone),
		cmocka_unit_test(nobody_waits_for_ever_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, note_lines, NULL);
}
