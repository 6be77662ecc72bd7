#include "core/compact_leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/compact_names.h"
#include "core/log.h"
#include "core/shard.h"

struct leftovers {
	int dirfd;
	const char *prefix;
	const struct compact_mark *mark;
	const struct bundle *now;
};

/* Of a name that is a shard's. */
static int32_t id_of(const struct leftovers *l, const char *name)
{
	return (int32_t)strtol(name + strlen(l->prefix) + strlen(".data-"),
			       NULL, 10);
}

static bool is_named(const struct leftovers *l, const char *name)
{
	struct shard *const *shards;
	size_t n;

	shards = bundle_shards(l->now, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(shard_name(shards[i]), name) == 0)
			return true;
	return false;
}

/* Whether it is a new shard, by its first name. */
static bool is_new(const struct leftovers *l, int32_t id, const struct stat *st)
{
	CLEANUP(free_ptr)
	char *first = compact_temporary(l->prefix, id, l->mark->through);
	struct stat of;

	return first && compact_is_new(l->mark, st) &&
	       io_stat_link(l->dirfd, first, &of) == 0 &&
	       of.st_ino == st->st_ino;
}

static bool is_leftover(const void *arg, const char *name,
			const struct stat *st)
{
	const struct leftovers *l = arg;

	return !is_named(l, name) && is_new(l, id_of(l, name), st);
}

static bool is_old_leftover(const void *arg, const char *name,
			    const struct stat *st)
{
	const struct leftovers *l = arg;

	const int32_t id = id_of(l, name);

	if (is_named(l, name))
		return false;
	if (!compact_is_old(l->mark, id, st) &&
	    compact_was_old(l->mark, id, st))
		log_warning("%s: left as it is: somebody has changed it, or "
			    "linked to it, since it was compacted; no index "
			    "names it",
			    name);
	return compact_is_old(l->mark, id, st);
}

/* It was just being removed: only the name has changed since. */
static bool is_gone(const void *arg, const char *name, const struct stat *st)
{
	const struct leftovers *l = arg;
	const int32_t id = id_of(l, name);
	CLEANUP(free_ptr)
	char *from = strndup(name, strlen(name) - strlen(COMPACT_GONE));
	struct stat at;

	if (!from ||
	    (is_named(l, from) && io_stat_link(l->dirfd, from, &at) < 0))
		return false;
	return is_new(l, id, st) || compact_was_old(l->mark, id, st);
}

/* Of names that only a compaction gives: its own, and what was exchanged with them. */
static bool is_ours(const void *arg, const char *name, const struct stat *st)
{
	const struct leftovers *l = arg;
	const int32_t id = id_of(l, name);
	CLEANUP(free_ptr)
	char *first = compact_temporary(l->prefix, id, l->mark->through);

	return first && (strcmp(name, first) == 0 || is_new(l, id, st) ||
			 compact_was_old(l->mark, id, st));
}

/* What is not goes back where it was taken from, if our file is there now. */
static bool put_back(const void *arg, const char *name, const struct stat *st)
{
	const struct leftovers *l = arg;
	const int32_t id = id_of(l, name);
	CLEANUP(free_ptr)
	char *to = shard_file_name(l->prefix, id, l->mark->num_shards);
	struct stat at;

	if (!to || is_ours(arg, name, st))
		return false;
	if (io_stat_link(l->dirfd, to, &at) < 0 || !is_new(l, id, &at) ||
	    io_exchange(l->dirfd, name, to) < 0)
		log_warning("%s: left by a crash, and none of ours: look "
			    "whether it should be %s, or remove it",
			    name, to);
	return false;
}

static int drop_named(const struct leftovers *l)
{
	const struct compact_mark *m = l->mark;
	const int32_t counts[] = { m->through, m->num_shards, m->before };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 3; i++)
		r = compact_drop_all(l->dirfd, l->prefix, counts[i],
				     COMPACT_GONE, is_gone, l);
	if (r == 0)
		r = compact_drop_undo(l->dirfd, l->prefix);
	for (size_t i = 0; r == 0 && i < 2; i++)
		r = compact_drop_all(l->dirfd, l->prefix, counts[i], "",
				     is_leftover, l);
	if (r == 0)
		r = compact_drop_all(l->dirfd, l->prefix, m->before, "",
				     is_old_leftover, l);
	return r;
}

int compact_leftovers_drop(int dirfd, const char *prefix,
			   const struct compact_mark *mark,
			   const struct bundle *now)
{
	const struct leftovers l = { dirfd, prefix, mark, now };
	int r = now ? drop_named(&l) : compact_drop_undo(dirfd, prefix);

	if (r == 0 && mark->num_shards != mark->through)
		r = compact_drop_all(dirfd, prefix, mark->num_shards,
				     COMPACT_TEMPORARY, put_back, &l);
	if (r == 0 && mark->num_shards != mark->through)
		r = compact_drop_all(dirfd, prefix, mark->num_shards,
				     COMPACT_TEMPORARY, is_ours, &l);
	/* These last: they say which files are new. */
	return r < 0 ? r
		     : compact_drop_all(dirfd, prefix, mark->through,
					COMPACT_TEMPORARY, is_ours, &l);
}
