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
#include "core/compact_mark.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan_name.h"
#include "core/shard.h"

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
	for (int32_t m = now + 1; m <= COMPACT_SHARDS; m++) {
		r = any_of(dirfd, prefix, m, &any);
		if (r == 0 && any)
			continue;
		*ret = m;
		return r;
	}
	return -EEXIST;
}

/* --- from M names to K names --------------------------------------------------- */

char *compact_temporary(const char *prefix, int32_t id, int32_t num_shards)
{
	CLEANUP(free_ptr) char *name = shard_file_name(prefix, id, num_shards);
	char *temporary;

	return name && asprintf(&temporary, "%s" COMPACT_TEMPORARY, name) >= 0
		       ? temporary
		       : NULL;
}

/* One shard on its way from the name of M shards to that of K. */
struct linking {
	int dirfd;
	const struct compact_mark *mark;
	int32_t id;
	char *from;   /* of M shards */
	char *to;     /* of K */
	char *beside; /* what is exchanged with that */
	ino_t mine;
};

static void linking_release(struct linking *l)
{
	free(l->from);
	free(l->to);
	free(l->beside);
}

static int not_ours(const struct linking *l)
{
	log_error("%s: left as it is: it is not, or no longer, the file that "
		  "was to be replaced; remove it, if it is of no save or copy "
		  "that is going on",
		  l->to);
	return -ESTALE;
}

/* What came out of the place of the shard goes back if it is not the old one. */
static int check_out(const struct linking *l)
{
	struct stat out = { 0 }, at = { 0 };
	int r = io_stat_link(l->dirfd, l->beside, &out);

	if (r < 0 || out.st_ino == l->mine ||
	    compact_was_old(l->mark, l->id, &out))
		return r;
	if (io_stat_link(l->dirfd, l->to, &at) == 0 && at.st_ino == l->mine)
		(void)io_exchange(l->dirfd, l->beside, l->to);
	return not_ours(l);
}

/*
 * Puts the file `beside` in its place, and what was there away.  By an exchange, so that
 * nothing goes unseen: see commit.c.
 */
static int put_over(const struct linking *l)
{
	struct stat at = { 0 };
	int r = io_rename_new(l->dirfd, l->beside, l->to);

	if (r != -EEXIST)
		return r;
	r = io_stat_link(l->dirfd, l->to, &at);
	if (r < 0 || at.st_ino == l->mine)
		return r;
	if (!compact_is_old(l->mark, l->id, &at))
		return not_ours(l);
	r = io_exchange(l->dirfd, l->beside, l->to);
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return io_rename(l->dirfd, l->beside, l->to);
	return r < 0 ? r : check_out(l);
}

/*
 * What a crash has left beside it: our own file, which had not got there yet, or what was
 * there before.  If that is of somebody else's save it goes back, as it would have then.
 */
static int take_back(const struct linking *l)
{
	int r = check_out(l);

	if (r == 0)
		r = io_unlink(l->dirfd, l->beside);
	return r < 0 ? r : io_link(l->dirfd, l->from, l->dirfd, l->beside);
}

/* Unless somebody's file is there, which could not go back. */
static void remove_beside(const struct linking *l)
{
	struct stat st;

	if (io_stat_link(l->dirfd, l->beside, &st) == 0 &&
	    (st.st_ino == l->mine || compact_was_old(l->mark, l->id, &st)))
		(void)io_unlink(l->dirfd, l->beside);
}

int compact_link(int dirfd, const char *prefix, int32_t id,
		 const struct compact_mark *mark)
{
	CLEANUP(linking_release)
	struct linking l = { .dirfd = dirfd, .mark = mark, .id = id };
	struct stat st;
	int r;

	l.from = shard_file_name(prefix, id, mark->through);
	l.to = shard_file_name(prefix, id, mark->num_shards);
	l.beside = compact_temporary(prefix, id, mark->num_shards);
	if (!l.from || !l.to || !l.beside)
		return -ENOMEM;
	r = io_stat_link(dirfd, l.from, &st);
	if (r < 0)
		return r;
	l.mine = st.st_ino;
	r = io_link(dirfd, l.from, dirfd, l.beside);
	if (r == -EEXIST)
		r = take_back(&l);
	if (r == 0)
		r = put_over(&l);
	remove_beside(&l);
	return r;
}

/* --- away with them ------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* It gets another name first: what came between goes back. */
static int take_away(int dirfd, const char *name, const struct stat *known)
{
	CLEANUP(free_ptr) char *away = NULL;
	struct stat st = { 0 };
	int r;

	if (asprintf(&away, "%s" COMPACT_GONE, name) < 0) {
		away = NULL;
		return -ENOMEM;
	}
	r = io_rename_new(dirfd, name, away);
	if (r == 0)
		r = io_stat_link(dirfd, away, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return same_file(&st, known) ? io_unlink(dirfd, away)
				     : io_rename_new(dirfd, away, name);
}

struct dropping {
	const char *suffix;
	size_t prefix_len;
	compact_gone *gone;
	const void *arg;
	int *r; /* the first error */
};

/* `name` ends in `suffix`; without that it is to be a shard of the prefix. */
static bool is_shard(const char *name, const char *suffix, size_t prefix_len)
{
	CLEANUP(free_ptr)
	char *shard = strndup(name, strlen(name) - strlen(suffix));

	return shard && scan_shard_prefix(shard) == prefix_len;
}

static void drop_one(int dirfd, const char *name, const void *arg)
{
	const struct dropping *d = arg;
	struct stat st;

	if (*d->r < 0 || !is_shard(name, d->suffix, d->prefix_len) ||
	    io_stat_link(dirfd, name, &st) < 0 || !d->gone(d->arg, name, &st))
		return;
	/* Nobody else gives names that end so. */
	*d->r = *d->suffix ? io_unlink(dirfd, name)
			   : take_away(dirfd, name, &st);
}

int compact_drop_all(int dirfd, const char *prefix, int32_t num_shards,
		     const char *suffix, compact_gone *gone, const void *arg)
{
	int r = 0, n;
	const struct dropping d = { suffix, strlen(prefix), gone, arg, &r };
	char end[64];

	shard_suffix(num_shards, end);
	(void)strncat(end, suffix, sizeof(end) - strlen(end) - 1);
	n = each_of(dirfd, prefix, end, drop_one, &d);
	return n < 0 ? n : r;
}

static void give_back(int dirfd, const char *name, const void *arg)
{
	const size_t *prefix_len = arg;
	CLEANUP(free_ptr)
	char *back = strndup(name, strlen(name) - strlen(COMPACT_GONE));

	if (back && is_shard(name, COMPACT_GONE, *prefix_len))
		(void)io_rename_new(dirfd, name, back);
}

int compact_drop_undo(int dirfd, const char *prefix)
{
	const size_t len = strlen(prefix);
	int n = each_of(dirfd, prefix, COMPACT_GONE, give_back, &len);

	return n < 0 ? n : 0;
}
