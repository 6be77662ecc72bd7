/* core/source: the many paths by which people name a checkpoint, and wrong ones. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/explain.h"
#include "core/log.h"
#include "core/source.h"
#include "tests/test.h"

#define FIXTURES "tests/fixtures/"

/* What files begin with, longer than the sign itself. */
#define HDF5 "\x89HDF\r\n\x1a\n, and more"
#define ZIP  "PK\3\4, and more"
#define GZIP "\x1f\x8b, and more"
#define LFS  "version https://git-lfs.github.com/spec/v1\noid sha256:00\n"
#define PB   "\x08\x01\x12 a graph"

/* The end of a table, which is all that is looked at. */
static const char footer[48] = "0123456789012345678901234567890123456789"
			       "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

/* What was logged since the last look. */
static struct {
	unsigned lines;
	char last[2 * PATH_MAX];
} logged;

static void remember(enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	logged.lines++;
	(void)snprintf(logged.last, sizeof(logged.last), "%s", line);
}

/* A directory of each test's own, in which it runs; `tests` leads to the fixtures. */
struct scene {
	char dir[32];
	int old_cwd;
};

static int set_scene(void **state)
{
	CLEANUP(free_ptr) struct scene *scene = calloc(1, sizeof(*scene));
	CLEANUP(free_ptr) char *tests = realpath("tests", NULL);

	if (!scene || !tests)
		return -1;
	memcpy(scene->dir, "/tmp/test_source.XXXXXX", 24);
	scene->old_cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(scene->old_cwd >= 0);
	assert_non_null(mkdtemp(scene->dir));
	assert_int_equal(chdir(scene->dir), 0);
	assert_int_equal(symlink(tests, "tests"), 0);

	logged.lines = 0;
	log_to(remember, LOG_LEVEL_INFO);
	*state = STEAL(scene);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int strike_scene(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(fchdir(scene->old_cwd), 0);
	assert_int_equal(nftw(scene->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS),
			 0);
	(void)close(scene->old_cwd);
	free(scene);
	return 0;
}

static void put(const char *path, const void *data, size_t n)
{
	CLEANUP(close_fd)
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
}

#define PUT(path, literal) put(path, literal, sizeof(literal) - 1)

static void put_table(const char *path)
{
	put(path, footer, sizeof(footer));
}

/* Whether `path` means `prefix` (or all, if NULL) in `dir`, silently. */
static bool means(const char *path, const char *dir, const char *prefix)
{
	CLEANUP(source_release) struct source s = { 0 };
	CLEANUP(free_ptr) char *want = realpath(dir, NULL);
	struct stat by_fd, by_path;

	assert_non_null(want);
	if (source_open(path, &s) < 0)
		return false;
	assert_int_equal(logged.lines, 0);
	assert_int_equal(fstat(s.dirfd, &by_fd), 0);
	assert_int_equal(stat(want, &by_path), 0);
	assert_true(by_fd.st_dev == by_path.st_dev);
	assert_true(by_fd.st_ino == by_path.st_ino);
	assert_string_equal(s.path, want);
	if (!prefix || !s.prefix)
		return prefix == s.prefix;
	return strcmp(s.prefix, prefix) == 0;
}

/* The error for `path`, after one line in the log that has `words`. */
static int refusal(const char *path, const char *words)
{
	struct source s = { .dirfd = 42 };
	int r = source_open(path, &s);

	assert_true(r < 0);
	assert_int_equal(s.dirfd, 42);
	assert_int_equal(logged.lines, 1);
	assert_non_null(strstr(logged.last, path));
	assert_non_null(strstr(logged.last, words));
	logged.lines = 0;
	return r;
}

static void directory_means_all_in_it(void **state)
{
	struct scene *scene = *state;

	assert_true(means(FIXTURES "v2_tf1_adam", FIXTURES "v2_tf1_adam",
			  NULL));
	assert_true(means(FIXTURES "v2_tf1_adam/", FIXTURES "v2_tf1_adam",
			  NULL));
	assert_true(means(".", scene->dir, NULL));
	assert_true(means(scene->dir, scene->dir, NULL));
}

static void saved_model_is_a_directory_like_any_other(void **state)
{
	(void)state;
	assert_true(means(FIXTURES "savedmodel_tf2", FIXTURES "savedmodel_tf2",
			  NULL));
}

static void parts_of_a_bundle_mean_their_prefix(void **state)
{
	static const char *const ends[] = { "", ".index",
					    ".data-00000-of-00001", ".meta" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s%s",
			       FIXTURES "v2_tf1_adam/model.ckpt-4", ends[i]);
		assert_true(means(path, FIXTURES "v2_tf1_adam",
				  "model.ckpt-4"));
	}
}

static void prefix_without_a_slash_is_in_this_directory(void **state)
{
	struct scene *scene = *state;

	put_table("m-1.index");
	assert_true(means("m-1", scene->dir, "m-1"));
	assert_true(means("m-1.index", scene->dir, "m-1"));
}

static void v1_file_means_itself(void **state)
{
	(void)state;
	assert_true(means(FIXTURES "v1_tf1_adam/model.ckpt-3",
			  FIXTURES "v1_tf1_adam", "model.ckpt-3"));
	assert_true(means(FIXTURES "v1_tf1_adam/model.ckpt-3.meta",
			  FIXTURES "v1_tf1_adam", "model.ckpt-3"));
	assert_true(means(FIXTURES "v1_names/ckpt.v1", FIXTURES "v1_names",
			  "ckpt.v1"));
}

static void shards_of_v1_mean_their_prefix(void **state)
{
	static const char *const ends[] = { "", "-00001-of-00002",
					    "-?\?\?\?\?-of-00002", ".meta" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s%s",
			       FIXTURES "v1_tf1_sharded/model.ckpt", ends[i]);
		assert_true(means(path, FIXTURES "v1_tf1_sharded",
				  "model.ckpt"));
	}
}

static void state_file_means_its_directory(void **state)
{
	struct scene *scene = *state;

	assert_true(means(FIXTURES "v2_tf1_adam/checkpoint",
			  FIXTURES "v2_tf1_adam", NULL));
	PUT("checkpoint", "half a sta");
	assert_true(means("checkpoint", scene->dir, NULL));
	PUT("other", "model_checkpoint_path: 'm'\n");
	assert_true(means("other", scene->dir, NULL));
}

/* As TensorFlow sees it; the index wins over V1 and over the state file. */
static void prefix_wins_over_a_file_of_its_name(void **state)
{
	struct scene *scene = *state;

	PUT("checkpoint", "model_checkpoint_path: 'checkpoint'\n");
	put_table("checkpoint.index");
	assert_true(means("checkpoint", scene->dir, "checkpoint"));
}

static void directory_wins_over_a_prefix(void **state)
{
	(void)state;
	assert_int_equal(mkdir("m", 0700), 0);
	put_table("m.index");
	assert_true(means("m", "m", NULL));
}

static void table_may_have_the_name_of_a_part(void **state)
{
	struct scene *scene = *state;

	put_table("m.meta");
	assert_true(means("m.meta", scene->dir, "m.meta"));
}

static void links_are_followed(void **state)
{
	(void)state;
	assert_int_equal(symlink(FIXTURES "v2_tf1_adam", "runs"), 0);
	assert_true(means("runs", FIXTURES "v2_tf1_adam", NULL));
	assert_true(means("runs/model.ckpt-4", FIXTURES "v2_tf1_adam",
			  "model.ckpt-4"));

	assert_int_equal(symlink("runs/model.ckpt-4.index", "best"), 0);
	assert_true(means("best", FIXTURES "v2_tf1_adam", "model.ckpt-4"));
	assert_int_equal(symlink("runs/model.ckpt-5.index", "b.index"), 0);
	assert_true(means("b.index", FIXTURES "v2_tf1_adam", "model.ckpt-5"));
}

static void link_to_a_blob_keeps_its_own_name(void **state)
{
	struct scene *scene = *state;

	put_table("e3b0c442");
	assert_int_equal(symlink("e3b0c442", "m.index"), 0);
	assert_true(means("m.index", scene->dir, "m"));
}

static void link_out_of_its_directory_to_a_blob_is_explained(void **state)
{
	(void)state;
	assert_int_equal(mkdir("blobs", 0700), 0);
	assert_int_equal(mkdir("m", 0700), 0);
	put_table("blobs/e3b0c442");
	assert_int_equal(symlink("../blobs/e3b0c442", "m/m.index"), 0);
	assert_int_equal(refusal("m/m.index", "a link out"), -EINVAL);
}

static void foreign_files_are_explained_by_their_content(void **state)
{
	(void)state;
	PUT("model.ckpt", HDF5);
	assert_int_equal(refusal("model.ckpt", "an HDF5 file"), -EINVAL);
	PUT("checkpoint", HDF5);
	assert_int_equal(refusal("checkpoint", "an HDF5 file"), -EINVAL);
	PUT("weights.h5", ZIP);
	assert_int_equal(refusal("weights.h5", "a zip archive"), -EINVAL);
	PUT("m.keras", ZIP);
	assert_int_equal(refusal("m.keras", "a zip archive"), -EINVAL);
	PUT("m.ckpt", GZIP);
	assert_int_equal(refusal("m.ckpt", "gzip"), -EINVAL);
	PUT("m.pb", LFS);
	assert_int_equal(refusal("m.pb", "git lfs pull"), -EINVAL);
}

static void foreign_files_are_explained_by_their_name(void **state)
{
	(void)state;
	PUT("frozen.pb", PB);
	assert_int_equal(refusal("frozen.pb", "a graph"), -EINVAL);
	PUT("a.weights.h5", "");
	assert_int_equal(refusal("a.weights.h5", "Keras"), -EINVAL);
	PUT("a.keras", "x");
	assert_int_equal(refusal("a.keras", "Keras"), -EINVAL);
	assert_int_equal(refusal(FIXTURES "savedmodel_tf2/saved_model.pb",
				 "name the directory"),
			 -EINVAL);
}

static void lfs_pointer_in_place_of_an_index_is_explained(void **state)
{
	(void)state;
	PUT("m.index", LFS);
	PUT("m.data-00000-of-00001", LFS);
	assert_int_equal(refusal("m", "m.index is a Git LFS pointer"), -EINVAL);
	assert_int_equal(refusal("m.index", "git lfs pull"), -EINVAL);
	assert_int_equal(refusal("m.data-00000-of-00001", "m.index is"),
			 -EINVAL);
}

static void part_without_its_index_is_explained(void **state)
{
	(void)state;
	PUT("m.data-00000-of-00001", "\0\0\0\0");
	assert_int_equal(refusal("m.data-00000-of-00001", "index"), -EINVAL);
	PUT("m.meta", "x");
	assert_int_equal(refusal("m.meta", "index"), -EINVAL);
}

static void any_other_file_is_refused(void **state)
{
	(void)state;
	PUT("empty", "");
	assert_int_equal(refusal("empty", "not a TensorFlow checkpoint"),
			 -EINVAL);
	PUT("notes", "model_checkpoint_path is in my notes");
	assert_int_equal(refusal("notes", "not a TensorFlow checkpoint"),
			 -EINVAL);
	/* A footer has 48 bytes; this is its end. */
	put("short", footer + 1, sizeof(footer) - 1);
	assert_int_equal(refusal("short", "not a TensorFlow checkpoint"),
			 -EINVAL);
}

static void missing_file_is_enoent(void **state)
{
	(void)state;
	assert_int_equal(refusal("m-1", "checkpoint"), -ENOENT);
	assert_int_equal(refusal("gone/m-1", "gone"), -ENOENT);
	assert_int_equal(refusal("m-1.data-00000-of-00001", ""), -ENOENT);
	assert_int_equal(refusal("", ""), -ENOENT);
	assert_int_equal(symlink("gone", "dangling"), 0);
	assert_int_equal(refusal("dangling", ""), -ENOENT);
	PUT("file", "");
	assert_int_equal(refusal("file/m-1", ""), -ENOTDIR);
}

static void link_that_leads_to_itself_is_refused(void **state)
{
	(void)state;
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(refusal("loop", "loop"), -ELOOP);
}

static void fifo_is_refused_and_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("m", 0600), 0);
	assert_int_equal(refusal("m", "neither"), -EINVAL);
	assert_int_equal(mkfifo("checkpoint", 0600), 0);
	assert_int_equal(refusal("checkpoint", "neither"), -EINVAL);
	assert_int_equal(mkfifo("n.index", 0600), 0);
	assert_int_equal(refusal("n.index", "neither"), -EINVAL);
}

static void what_may_not_be_read_is_eacces(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip(); /* root may read all */

	put_table("v1");
	put_table("m.index");
	assert_int_equal(mkdir("closed", 0), 0);
	assert_int_equal(chmod("v1", 0), 0);
	assert_int_equal(chmod("m.index", 0), 0);
	assert_int_equal(refusal("v1", "denied"), -EACCES);
	assert_int_equal(refusal("m", "denied"), -EACCES);
	assert_int_equal(refusal("closed", "denied"), -EACCES);
	assert_int_equal(refusal("closed/m", "denied"), -EACCES);
}

static void ordinary_files_need_no_explanation(void **state)
{
	CLEANUP(close_fd)
	int fd = open(FIXTURES "v1_tf1_adam",
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_null(explain_file(fd, "model.ckpt-3"));
	assert_null(explain_file(fd, "model.ckpt-3.meta"));
	assert_null(explain_file(fd, "checkpoint"));
	assert_null(explain_file(fd, "gone.h5"));
	assert_null(explain_file(fd, "."));
	assert_int_equal(logged.lines, 0);
}

static void empty_source_is_released_without_harm(void **state)
{
	struct source zero = { 0 }, none = { .dirfd = -1 };

	(void)state;
	source_release(&zero);
	source_release(&none);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD) < 0 ? errno : 0, 0);
}

#define SCENE(test) \
	cmocka_unit_test_setup_teardown(test, set_scene, strike_scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(directory_means_all_in_it),
		SCENE(saved_model_is_a_directory_like_any_other),
		SCENE(parts_of_a_bundle_mean_their_prefix),
		SCENE(prefix_without_a_slash_is_in_this_directory),
		SCENE(v1_file_means_itself),
		SCENE(shards_of_v1_mean_their_prefix),
		SCENE(state_file_means_its_directory),
		SCENE(prefix_wins_over_a_file_of_its_name),
		SCENE(directory_wins_over_a_prefix),
		SCENE(table_may_have_the_name_of_a_part),
		SCENE(links_are_followed),
		SCENE(link_to_a_blob_keeps_its_own_name),
		SCENE(link_out_of_its_directory_to_a_blob_is_explained),
		SCENE(foreign_files_are_explained_by_their_content),
		SCENE(foreign_files_are_explained_by_their_name),
		SCENE(lfs_pointer_in_place_of_an_index_is_explained),
		SCENE(part_without_its_index_is_explained),
		SCENE(any_other_file_is_refused),
		SCENE(missing_file_is_enoent),
		SCENE(link_that_leads_to_itself_is_refused),
		SCENE(fifo_is_refused_and_not_waited_for),
		SCENE(what_may_not_be_read_is_eacces),
		SCENE(ordinary_files_need_no_explanation),
		SCENE(empty_source_is_released_without_harm),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
