#include "core/compact_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/io.h"
#include "core/scan.h"
#include "core/shard.h"

#define MARK       ".compact" IO_TEMPORARY
#define SHARDS_MAX 99999 /* as many as five digits can say */

/*
 * Calls `each` with every name that begins with `prefix`, is a shard's when `suffix` is
 * taken off, and ends so; answers how many there were.
 */
static int each_of(int dirfd, const char *prefix, const char *suffix,
		   void (*each)(int dirfd, const char *name, const void *arg),
		   const void *arg)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(prefix), end = strlen(suffix);
	const struct dirent *e;
	int n = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	while ((e = readdir(d))) {
		size_t at = strlen(e->d_name);

		if (at <= len + end || strncmp(e->d_name, prefix, len) != 0 ||
		    strcmp(e->d_name + at - end, suffix) != 0)
			continue;
		n++;
		each(dirfd, e->d_name, arg);
	}
	(void)closedir(d);
	return n;
}

/* Of the shards of a save of so many. */
static void shard_suffix(int32_t num_shards, char ret[32])
{
	(void)snprintf(ret, 32, "-of-%05d", num_shards);
}

struct looking {
	size_t prefix_len;
	bool *found;
};

static void note_shard(int dirfd, const char *name, const void *arg)
{
	const struct looking *l = arg;

	(void)dirfd;
	*l->found |= scan_shard_prefix(name) == l->prefix_len;
}

static int any_of(int dirfd, const char *prefix, int32_t num_shards, bool *ret)
{
	const struct looking l = { strlen(prefix), ret };
	char suffix[32];
	int r;

	*ret = false;
	shard_suffix(num_shards, suffix);
	r = each_of(dirfd, prefix, suffix, note_shard, &l);
	return r < 0 ? r : 0;
}

int compact_find_names(int dirfd, const char *prefix, int32_t now,
		       int32_t num_shards, int32_t *ret)
{
	bool any;
	int r;

	if (num_shards != now) {
		r = any_of(dirfd, prefix, num_shards, &any);
		*ret = num_shards;
		return r == 0 && any ? -EEXIST : r;
	}
	for (int32_t m = now + 1; m <= SHARDS_MAX; m++) {
		r = any_of(dirfd, prefix, m, &any);
		if (r == 0 && any)
			continue;
		*ret = m;
		return r;
	}
	return -EEXIST;
}

static char *mark_name(const char *prefix)
{
	char *name;

	return asprintf(&name, "%s" MARK, prefix) < 0 ? NULL : name;
}

size_t compact_mark_prefix(const char *name)
{
	size_t len = strlen(name), end = strlen(MARK);

	return len > end && strcmp(name + len - end, MARK) == 0 ? len - end : 0;
}

static bool get_count(char **at, int32_t *ret)
{
	long n = strtol(*at, at, 10);

	*ret = (int32_t)n;
	return n >= 0 && n <= SHARDS_MAX;
}

int compact_mark_make(int dirfd, const char *prefix, struct compact_mark *m)
{
	CLEANUP(free_ptr) char *name = mark_name(prefix);
	char text[64];
	int r;

	if (!name)
		return -ENOMEM;
	(void)snprintf(text, sizeof(text), "%d %d %d", m->through,
		       m->num_shards, m->before);
	r = io_symlink(text, dirfd, name);
	if (r == 0)
		r = io_sync(dirfd);
	return r < 0 ? r : compact_mark_read(dirfd, prefix, m);
}

int compact_mark_read(int dirfd, const char *prefix, struct compact_mark *ret)
{
	CLEANUP(free_ptr) char *name = mark_name(prefix);
	CLEANUP(buf_release) struct buf text = { 0 };
	struct compact_mark m;
	struct stat st;
	char *at;
	int r = name ? io_readlink(dirfd, name, &text) : -ENOMEM;

	if (r == 0)
		r = io_stat_link(dirfd, name, &st);
	if (r < 0)
		return r;
	buf_put(&text, "", 1);
	if (buf_error(&text))
		return buf_error(&text);
	at = (char *)text.data;
	if (!get_count(&at, &m.through) || !get_count(&at, &m.num_shards) ||
	    !get_count(&at, &m.before) || *at)
		return -EINVAL;
	m.made = st.st_mtim;
	*ret = m;
	return 0;
}

bool compact_is_older(const void *arg, const struct stat *st)
{
	const struct compact_mark *mark = arg;

	if (st->st_mtim.tv_sec != mark->made.tv_sec)
		return st->st_mtim.tv_sec < mark->made.tv_sec;
	return st->st_mtim.tv_nsec <= mark->made.tv_nsec;
}

/* What is younger than the mark was made by somebody else. */
static void remove_beside(int dirfd, const char *name, const void *arg)
{
	const struct compact_mark *mark = arg;
	struct stat st;

	if (io_stat_link(dirfd, name, &st) < 0 || S_ISLNK(st.st_mode))
		return;
	if (st.st_nlink > 1 || compact_is_older(mark, &st))
		(void)io_unlink(dirfd, name);
}

void compact_mark_remove(int dirfd, const char *prefix,
			 const struct compact_mark *mark)
{
	CLEANUP(free_ptr) char *name = mark_name(prefix);

	(void)each_of(dirfd, prefix, MARK, remove_beside, mark);
	if (name)
		(void)io_unlink(dirfd, name);
}

/* What came out, as `beside`, goes back if it is none that is known. */
static int check_out(int dirfd, const char *beside, const char *name,
		     ino_t mine, compact_known *known, const void *arg)
{
	struct stat out;
	int r = io_stat_link(dirfd, beside, &out);

	if (r < 0 || out.st_ino == mine || known(arg, &out))
		return r;
	(void)io_exchange(dirfd, beside, name);
	return -ESTALE;
}

/*
 * Puts the file `beside` in the place of `name`, and what was there away.  By an exchange,
 * so that nothing goes unseen: see commit.c.
 */
static int put_over(int dirfd, const char *beside, const char *name,
		    compact_known *known, const void *arg)
{
	struct stat mine = { 0 };
	int r = io_stat_link(dirfd, beside, &mine);

	if (r == 0)
		r = io_rename_new(dirfd, beside, name);
	if (r != -EEXIST)
		return r;
	r = io_exchange(dirfd, beside, name);
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return io_rename(dirfd, beside, name);
	return r < 0 ? r
		     : check_out(dirfd, beside, name, mine.st_ino, known, arg);
}

/*
 * What a crash has left beside it: our own file, which had not got there yet, or what was
 * there before.  If that is of somebody else's save it goes back, as it would have then.
 */
static int take_back(int dirfd, const char *old, const char *beside,
		     const char *name, compact_known *known, const void *arg)
{
	struct stat mine = { 0 };
	int r = io_stat_link(dirfd, old, &mine);

	if (r == 0)
		r = check_out(dirfd, beside, name, mine.st_ino, known, arg);
	if (r == 0)
		r = io_unlink(dirfd, beside);
	return r < 0 ? r : io_link(dirfd, old, dirfd, beside);
}

int compact_link(int dirfd, const char *prefix, int32_t id,
		 const struct compact_mark *mark, compact_known *known,
		 const void *arg)
{
	CLEANUP(free_ptr)
	char *old = shard_file_name(prefix, id, mark->through);
	CLEANUP(free_ptr)
	char *name = shard_file_name(prefix, id, mark->num_shards);
	CLEANUP(free_ptr) char *beside = NULL;
	int r;

	if (!old || !name || asprintf(&beside, "%s" MARK, name) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	r = io_link(dirfd, old, dirfd, beside);
	if (r == -EEXIST)
		r = take_back(dirfd, old, beside, name, known, arg);
	if (r == 0)
		r = put_over(dirfd, beside, name, known, arg);
	(void)io_unlink(dirfd, beside);
	return r;
}

int compact_drop(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
		 int fd)
{
	CLEANUP(free_ptr) char *name = shard_file_name(prefix, id, num_shards);
	struct stat at, of;

	if (!name)
		return -ENOMEM;
	if (io_stat_link(dirfd, name, &at) < 0 || fstat(fd, &of) < 0 ||
	    at.st_dev != of.st_dev || at.st_ino != of.st_ino)
		return 0;
	return io_unlink(dirfd, name);
}

struct dropping {
	size_t prefix_len;
	compact_gone *gone;
	const void *arg;
	int *r; /* the first error */
};

static void drop_one(int dirfd, const char *name, const void *arg)
{
	const struct dropping *d = arg;
	struct stat st;

	if (scan_shard_prefix(name) == d->prefix_len &&
	    io_stat_link(dirfd, name, &st) == 0 && d->gone(d->arg, name, &st) &&
	    *d->r == 0)
		*d->r = io_unlink(dirfd, name);
}

int compact_drop_all(int dirfd, const char *prefix, int32_t num_shards,
		     compact_gone *gone, const void *arg)
{
	int r = 0, n;
	const struct dropping d = { strlen(prefix), gone, arg, &r };
	char suffix[32];

	shard_suffix(num_shards, suffix);
	n = each_of(dirfd, prefix, suffix, drop_one, &d);
	return n < 0 ? n : r;
}
