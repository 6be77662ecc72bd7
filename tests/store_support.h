/* store_support.h - a store on a directory, and what it looks like. */
#pragma once

#include <ftw.h>

#include "core/store.h"
#include "tests/support.h"

struct bench {
	char path[64];
	int fd;
	struct store_config config;
	struct store *store;
	struct folder *root;
	uint64_t ids;
	struct buf told; /* each name that the observer heard, and a blank */
	struct buf seen; /* by store_each() */
	unsigned opened;
	unsigned gone;
};

static inline uint64_t bench_next_id(void *arg)
{
	struct bench *b = arg;

	return __atomic_add_fetch(&b->ids, 1, __ATOMIC_RELAXED);
}

static inline void bench_hear(void *arg, uint64_t scope, struct span name)
{
	struct bench *b = arg;

	(void)scope;
	buf_put(&b->told, name.data, name.len);
	buf_put(&b->told, " ", 1);
}

static inline void bench_opened(void *arg, struct folder *f, int dirfd)
{
	(void)f;
	(void)dirfd;
	((struct bench *)arg)->opened++;
}

static inline void bench_gone(void *arg, struct folder *f)
{
	(void)f;
	((struct bench *)arg)->gone++;
}

static inline void bench_dirty(void *arg, struct checkpoint *cp,
			       unsigned delay_ms)
{
	(void)arg;
	(void)cp;
	(void)delay_ms;
}

/* Where the test puts files before bench_open(). */
static inline void bench_make(struct bench *b)
{
	*b = (struct bench){ 0 };
	place_path(b->path);
	b->fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->fd >= 0);
}

static inline void bench_open(struct bench *b)
{
	int fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	b->config.checkpoint = (struct checkpoint_config){
		.verify = true,
		.next_id = bench_next_id,
		.observer = bench_hear,
		.dirty = bench_dirty,
		.arg = b,
	};
	b->config.opened = bench_opened;
	b->config.gone = bench_gone;
	assert_int_equal(store_new(&b->config, fd, b->path, &b->store), 0);
	b->root = store_root(b->store);
}

static inline void bench_close(struct bench *b)
{
	store_free(STEAL(b->store));
	b->root = NULL;
}

static inline int remove_path(const char *path, const struct stat *st, int type,
			      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline void bench_release(struct bench *b)
{
	bench_close(b);
	buf_release(&b->told);
	buf_release(&b->seen);
	close_fd(&b->fd);
	(void)nftw(b->path, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

/* Shows each name of a folder: `dir/ ckpt+ file link@`. */
static inline void put_listing(struct folder *f, struct buf *out)
{
	static const char *const marks[] = { "/", "+", "", "@", "@" };
	uint64_t cookie = 0;

	for (;;) {
		CLEANUP(item_unrefp) struct item *item = NULL;
		int r = folder_list(f, &cookie, out, &item);

		assert_true(r >= 0);
		if (r == 0)
			break;
		buf_printf(out, "%s ", marks[item_kind(item)]);
	}
	buf_put(out, "", 1);
	assert_int_equal(buf_error(out), 0);
}

static inline int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void sort_words(char *text, char *out, size_t room)
{
	char *words[64], *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(text, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	qsort(words, n, sizeof(*words), compare_words);
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(out);

		(void)snprintf(out + used, room - used, "%s%s", i ? " " : "",
			       words[i]);
	}
}

/* In the order of strcmp(), whatever the order of the listing is. */
static inline void assert_listed(struct folder *f, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	char sorted[4096];

	put_listing(f, &text);
	sort_words((char *)text.data, sorted, sizeof(sorted));
	assert_string_equal(sorted, want);
}

/* What is in a directory of the disk. */
static inline void assert_on_disk(int dirfd, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	char sorted[4096];
	DIR *d = fdopendir(openat(dirfd, ".",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			buf_printf(&text, "%s ", e->d_name);
	(void)closedir(d);
	buf_put(&text, "", 1);
	sort_words((char *)text.data, sorted, sizeof(sorted));
	assert_string_equal(sorted, want);
}

static inline void assert_text(int dirfd, const char *name, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	get_file(dirfd, name, &text);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, want);
}

static inline bool was_told(struct bench *b, const char *name)
{
	CLEANUP(buf_release) struct buf all = { 0 };
	char want[256];

	(void)snprintf(want, sizeof(want), " %s ", name);
	buf_put(&all, " ", 1);
	buf_put(&all, b->told.data, b->told.len);
	buf_put(&all, "", 1);
	return strstr((char *)all.data, want);
}

static inline void forget_told(struct bench *b)
{
	b->told.len = 0;
}

/* A directory of the disk, open until the test ends. */
static inline int find_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A checkpoint of one variable, `a`, that was written a while ago. */
static inline void bench_checkpoint(int dirfd, const char *prefix,
				    const char *value)
{
	const char *const pair[][2] = { { "a", value } };
	char name[256];

	make_bundle(dirfd, value ? 1 : 0, pair);
	make_old(dirfd, INDEX_NAME);
	make_old(dirfd, DATA_NAME);
	(void)snprintf(name, sizeof(name), "%s.index", prefix);
	assert_int_equal(renameat(dirfd, INDEX_NAME, dirfd, name), 0);
	(void)snprintf(name, sizeof(name), "%s.data-00000-of-00001", prefix);
	assert_int_equal(renameat(dirfd, DATA_NAME, dirfd, name), 0);
}

static inline void bench_file(int dirfd, const char *name, const char *text)
{
	put_file(dirfd, name, span_of(text));
	make_old(dirfd, name);
}

static inline struct item *find_item(struct folder *f, const char *name)
{
	struct item *item = NULL;

	assert_int_equal(folder_lookup(f, span_of(name), &item), 0);
	return item;
}

static inline struct folder *find_folder(struct folder *f, const char *name)
{
	CLEANUP(item_unrefp) struct item *item = find_item(f, name);

	assert_non_null(item_folder(item));
	return item_folder(item);
}

static inline int rename_in(struct folder *f, const char *name,
			    const char *newname, unsigned flags)
{
	return folder_rename(f, span_of(name), f, span_of(newname), flags);
}

static inline int create_file(struct folder *f, const char *name)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(close_fd) int fd = -1;

	return folder_create(f, span_of(name), 0644, O_WRONLY | O_EXCL, &item,
			     &fd);
}

static inline int make_directory(struct folder *f, const char *name)
{
	CLEANUP(item_unrefp) struct item *item = NULL;

	return folder_mkdir(f, span_of(name), 0755, &item);
}

static inline int make_link(struct folder *f, const char *name,
			    const char *target)
{
	CLEANUP(item_unrefp) struct item *item = NULL;

	return folder_symlink(f, span_of(name), target, &item);
}

static inline void assert_link(struct folder *f, const char *name,
			       const char *want)
{
	CLEANUP(item_unrefp) struct item *item = find_item(f, name);
	CLEANUP(buf_release) struct buf target = { 0 };

	assert_int_equal(item_readlink(item, &target), 0);
	buf_put(&target, "", 1);
	assert_string_equal((char *)target.data, want);
}
