#include "core/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/graph.h"
#include "core/io.h"
#include "core/log.h"
#include "core/rewrite.h"
#include "core/v1.h"

/* More than one a second is rare; more than this is somebody else's. */
#define NAMES_MAX 1000

static bool is_free(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *data = shard_file_name(prefix, 0, 1);
	CLEANUP(free_ptr) char *index = bundle_index_name(prefix);
	struct stat st;

	return data && index && io_stat(dirfd, index, &st) == -ENOENT &&
	       io_stat(dirfd, data, &st) == -ENOENT;
}

/* PREFIX.kept-20261121T115000, and a number if there is one of this second. */
static int find_name(int dirfd, const char *prefix, char **ret)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	if (!localtime_r(&now, &tm) ||
	    strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &tm) == 0)
		return -EINVAL;
	for (int n = 1; n < NAMES_MAX; n++) {
		char *name = NULL;
		int r = n == 1 ? asprintf(&name, "%s.kept-%s", prefix, text)
			       : asprintf(&name, "%s.kept-%s-%d", prefix, text,
					  n);

		if (r < 0)
			return -ENOMEM;
		if (is_free(dirfd, name)) {
			*ret = name;
			return 0;
		}
		free(name);
	}
	return -EEXIST;
}

/* Owner and mode are those of the index, or of whatever took its place; or of V1. */
static struct stat like_index(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *v1 = v1_first_name(dirfd, prefix);
	CLEANUP(free_ptr) char *index = bundle_index_name(prefix);
	struct stat st = { 0 };

	if ((!index || io_stat(dirfd, index, &st) < 0) &&
	    (!v1 || io_stat(dirfd, v1, &st) < 0)) {
		st.st_mode = 0644;
		st.st_uid = (uid_t)-1;
		st.st_gid = (gid_t)-1;
	}
	return st;
}

/* 1 if it was copied, 0 if it was left out. */
static int keep_one(struct entry *e, const char *prefix, struct shard *shard,
		    struct edit *copies)
{
	CLEANUP(entry_unrefp) struct entry *copy = NULL;
	CLEANUP(free_ptr) char *name = NULL;
	int r = rewrite_value(e, shard, &copy);

	if (r == 0)
		r = edit_put(copies, copy, NULL);
	if (r == 0)
		return 1;
	if (r != -EIO && r != -EOPNOTSUPP && r != -EINVAL)
		return r;
	name = entry_describe(e, prefix);
	log_error("%s: not kept: its bytes are damaged", name ? name : prefix);
	return 0;
}

/* An object graph is none: it says where all the others are, and these are not there. */
static bool is_value(const struct change *c)
{
	return c->entry && !span_equal(c->key, span_of(GRAPH_KEY));
}

static int copy_values(struct edit *edit, const char *prefix,
		       struct shard *shard, struct edit *copies)
{
	int r = edit_sort(edit);

	for (size_t i = 0; r >= 0 && i < edit_count(edit); i++)
		if (is_value(&edit_sorted(edit)[i]))
			r = keep_one(edit_sorted(edit)[i].entry, prefix, shard,
				     copies);
	if (r >= 0)
		r = edit_count(copies) > 0 ? edit_sort(copies) : -ENODATA;
	return r;
}

/* Nobody has heard of the file. */
static void drop_file(const struct bundle *b, const struct shard *s)
{
	if (!shard_missing(s))
		(void)io_unlink(bundle_dirfd(b), shard_name(s));
}

/* Everything but the index, which the state that is answered has yet to get. */
static int fill(struct bundle *empty, struct edit *edit, const char *prefix,
		struct bundle **ret)
{
	CLEANUP(edit_freep) struct edit *copies = NULL;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	int r = edit_new(&copies);

	if (r == 0)
		r = bundle_shard(empty, NULL, &shard);
	if (r == 0)
		r = copy_values(edit, prefix, shard, copies);
	if (r == 0)
		r = shard_sync(shard);
	if (r == 0)
		r = shard_sync_name(shard);
	if (r == 0)
		r = bundle_with(empty, edit_sorted(copies), edit_count(copies),
				ret);
	if (r < 0 && shard)
		drop_file(empty, shard);
	return r;
}

static bool has_index(int dirfd, const char *prefix)
{
	struct stat st;
	CLEANUP(free_ptr) char *index = bundle_index_name(prefix);

	return index && io_stat(dirfd, index, &st) == 0;
}

/* An index that is there, and may not outlast a loss of power, is good enough. */
static int publish(const struct bundle *kept, const char *name)
{
	int r = bundle_publish(kept);
	size_t n;
	struct shard *const *shards = bundle_shards(kept, &n);

	if (r < 0 && !has_index(bundle_dirfd(kept), name)) {
		drop_file(kept, shards[0]);
		return r;
	}
	if (r < 0 && r != -EEXIST)
		log_warning("%s: its directory cannot be synced: %s", name,
			    strerror(-r));
	return r == -EEXIST ? r : 0;
}

static bool has_values(struct edit *edit)
{
	if (edit_sort(edit) < 0)
		return false;
	for (size_t i = 0; i < edit_count(edit); i++)
		if (is_value(&edit_sorted(edit)[i]))
			return true;
	return false;
}

int keep_values(int dirfd, const char *prefix, struct edit *edit,
		char **ret_prefix)
{
	CLEANUP(bundle_unrefp) struct bundle *empty = NULL;
	CLEANUP(bundle_unrefp) struct bundle *kept = NULL;
	CLEANUP(free_ptr) char *name = NULL;
	struct stat like = like_index(dirfd, prefix);
	int r = has_values(edit) ? find_name(dirfd, prefix, &name) : -ENODATA;

	if (r == 0)
		r = bundle_new_empty(dirfd, name, &like, &empty);
	if (r == 0)
		r = fill(empty, edit, prefix, &kept);
	if (r == 0)
		r = publish(kept, name);
	if (r == 0)
		*ret_prefix = STEAL(name);
	return r;
}
