/*
 * A commit makes one change that anybody can see: the exchange of the index.  What
 * stands before it, on disk, is never touched; what comes after it is cleaning up.
 *
 *	1. values	written to space that no index on disk names
 *	2. fdatasync	of every shard that got some, and of the directory if one was
 *			made.  What a failed one may have lost is written anew, to
 *			another place: no later one would tell
 *	3. temporary	the new index under a name of its own, synced
 *	4. leases	on the old and the new index: who writes there, waits
 *	5. exchange	RENAME_EXCHANGE: *the* moment
 *	6. verify	what came out is what `base` was read from, the shards are
 *			in place, and nobody waits to write to either index; if
 *			not, exchange back: nothing has happened.  A save that
 *			waits to write to the new one by then keeps it
 *	7. unlink	the old index, and sync the directory
 *
 * Invariants, whatever call is the last one that is made:
 *
 *	I1  The name PREFIX.index always leads to a whole index: the old or the new.
 *	I2  Every byte an index on disk names was synced before the index had its
 *	    name (2 before 5).
 *	I3  Bytes that an index names are never written to (1).
 *	I4  An index that somebody else wrote is never removed: only a file that is
 *	    known to be ours, or the one `base` was read from, is unlinked (6, 7).
 *	I5  A crash leaves at most one temporary file, which no reader looks at.
 *
 * Why not rename(2)?  TensorFlow saves without locks, and a save that ends between
 * our last look and a rename would be lost for good.  The exchange takes nothing
 * away unseen.  TensorFlow's merge writes an index in place instead; the leases
 * show that, since an open for writing breaks a lease and waits for it to end.
 */
#include "core/commit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/commit_v1.h"
#include "core/exchange.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/log.h"
#include "core/rewrite.h"
#include "core/shard.h"
#include "core/temporary.h"

/* Calls `each` with what is new in it, that of slices too. */
static int for_each_entry(const struct edit *edit,
			  int (*each)(struct entry *e, void *arg), void *arg)
{
	const struct change *changes = edit_sorted(edit);
	int r = 0;

	for (size_t i = 0; r == 0 && i < edit_count(edit); i++) {
		struct entry *e = changes[i].entry;

		if (e && entry_extent(e))
			r = each(e, arg);
		for (size_t j = 0; e && r == 0 && j < entry_slices(e); j++)
			if (entry_part(e, j) && entry_extent(entry_part(e, j)))
				r = each(entry_part(e, j), arg);
	}
	return r;
}

static int sync_values(struct entry *e, void *arg)
{
	struct shard *s = entry_shard(e);
	int r = shard_sync(s);

	(void)arg;
	if (r < 0)
		log_error("%s: cannot be synced: %s", shard_name(s),
			  strerror(-r));
	return r;
}

static int sync_name(struct entry *e, void *arg)
{
	(void)arg;
	return shard_sync_name(entry_shard(e));
}

static int note_suspect(struct entry *e, void *arg)
{
	(void)arg;
	return extent_suspect(entry_extent(e)) ? -EIO : 0;
}

/* They are synced, and readers may come to see them. */
static int name_extent(struct entry *e, void *arg)
{
	(void)arg;
	extent_name(entry_extent(e));
	return 0;
}

static int settle_extent(struct entry *e, void *arg)
{
	uint64_t *bytes = arg;

	if (extent_settle(entry_extent(e)))
		*bytes += entry_size(e);
	return 0;
}

/* Step 2.  -EIO, too, for values that an earlier sync has lost. */
static int sync_shards(const struct edit *edit)
{
	int r = for_each_entry(edit, sync_values, NULL);

	return r < 0 ? r : for_each_entry(edit, note_suspect, NULL);
}

/* Whether the data file of `s` is beside `index` under a name that goes with that. */
static bool has_shard(int dirfd, const char *index, const char *prefix,
		      const struct shard *s)
{
	const size_t len = strlen(index) - strlen(".index");
	CLEANUP(free_ptr) char *name = NULL;
	struct stat st;

	if (asprintf(&name, "%.*s%s", (int)len, index,
		     shard_name(s) + strlen(prefix)) < 0) {
		name = NULL;
		return false;
	}
	return io_stat_link(dirfd, name, &st) == 0;
}

/*
 * Whether a link led to the index of another checkpoint, whose data has its name.  That
 * one would look for new data files under its own name, where they are not.
 */
static bool is_of_another(const struct exchange *x, int dirfd, const char *name,
			  const char *prefix, const struct bundle *base)
{
	size_t n, len = strlen(x->name), end = strlen(".index");
	struct shard *const *shards = bundle_shards(base, &n);
	struct stat st;

	if (io_stat_link(dirfd, name, &st) < 0 || !S_ISLNK(st.st_mode) ||
	    len <= end || strcmp(x->name + len - end, ".index") != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (has_shard(x->dirfd, x->name, prefix, shards[i]))
			return true;
	return false;
}

/*
 * The index itself, where its name is a link: that is what has to be exchanged, unless
 * it belongs to another checkpoint.  Then it is the link, for an index of its own.
 */
static int find_index(struct exchange *x, int dirfd, const char *prefix,
		      const struct bundle *base)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(prefix);
	int r;

	if (!name)
		return -ENOMEM;
	r = exchange_find(x, dirfd, name, bundle_id(base));
	if (r < 0 || !is_of_another(x, dirfd, name, prefix, base))
		return r;
	log_info("%s: a link to the index of another checkpoint, which is left "
		 "as it is: it becomes a file of its own",
		 name);
	return exchange_stay(x, dirfd, name);
}

static int create_new(struct exchange *x, const struct bundle *base,
		      const struct bundle *next, uint64_t *ret_size)
{
	CLEANUP(buf_release) struct buf index = { 0 };
	int r = bundle_encode(next, bundle_id(base)->size, &index);

	if (r == 0)
		r = temporary_create(x->dirfd, x->name, buf_span(&index),
				     bundle_stat(base), &x->new);
	if (r == 0)
		r = exchange_lease(x);
	*ret_size = index.len;
	return r;
}

int commit_bundle(int dirfd, const char *prefix, const struct bundle *base,
		  struct bundle *next, const struct edit *edit,
		  struct commit_report *ret)
{
	CLEANUP(exchange_release)
	struct exchange x = EXCHANGE_NONE;
	struct stat st;
	int r;

	x.next = next; /* its shards: those of `base`, and perhaps a new one */
	*ret = (struct commit_report){ COMMIT_NOTHING, 0 };
	/* Shards that are newer than their index belong to one that comes. */
	if (bundle_suspect(base))
		return -EAGAIN;
	r = sync_shards(edit);
	if (r < 0) {
		ret->outcome = COMMIT_LOST;
		return r;
	}
	r = for_each_entry(edit, sync_name, NULL);
	if (r == 0)
		r = find_index(&x, dirfd, prefix, base);
	if (r == 0)
		r = exchange_open(&x);
	if (r == 0)
		r = create_new(&x, base, next, &ret->bytes);
	if (r == 0)
		r = for_each_entry(edit, name_extent, NULL);
	if (r == 0)
		r = exchange_put(&x);
	if (r < 0)
		return r;
	exchange_finish(&x);

	if (fstat(x.new.fd, &st) == 0)
		bundle_settle(next, &st);
	ret->outcome = COMMIT_VISIBLE;
	(void)for_each_entry(edit, settle_extent, &ret->bytes);
	r = io_sync(x.dirfd);
	/* Then the old index may come back, and what it names must be there. */
	if (r < 0)
		bundle_forget_room(next);
	return r;
}

/* --- what a failed sync has lost, or no index would find ------------------- */

/*
 * Whether a new value cannot stay where it is: a sync has lost it; or who wrote it had
 * a shard that is none of the checkpoint's since, which has another name or was replaced.
 */
static bool has_to_move(const void *base, const struct entry *e)
{
	struct extent *x = entry_extent(e);

	return x &&
	       (extent_suspect(x) || !bundle_leads_to(base, extent_shard(x)));
}

/* The same of a variable, whose slices it may be. */
static bool any_has_to_move(const struct bundle *base, const struct entry *e)
{
	bool any = has_to_move(base, e);

	for (size_t i = 0; !any && i < entry_slices(e); i++)
		any = entry_part(e, i) && has_to_move(base, entry_part(e, i));
	return any;
}

static int rewrite_one(const struct bundle *base, struct edit *edit, size_t i)
{
	CLEANUP(entry_unrefp) struct entry *moved = NULL;
	CLEANUP(shard_unrefp) struct shard *to = NULL;
	struct entry *e = edit_sorted(edit)[i].entry;
	CLEANUP(free_ptr) char *name = NULL;
	struct shard *from = entry_shard(e);
	bool stays = from && bundle_leads_to(base, from);
	int r = bundle_shard(base, stays ? e : NULL, &to);

	if (r == 0)
		r = entry_slices(e)
			    ? rewrite_slices(e, to, has_to_move, base, &moved)
			    : rewrite_value(e, to, &moved);
	if (r == 0)
		return edit_replace(edit, i, moved);
	name = entry_describe(e, bundle_prefix(base));
	log_error("%s: cannot be written anew, to another place: %s",
		  name ? name : bundle_prefix(base), strerror(-r));
	return r;
}

/* How many were written to another place, or negative errno. */
static int rewrite_suspects(const struct bundle *base, struct edit *edit)
{
	int moved = 0;

	for (size_t i = 0; i < edit_count(edit); i++) {
		const struct entry *e = edit_sorted(edit)[i].entry;
		int r;

		if (!e || !any_has_to_move(base, e))
			continue;
		r = rewrite_one(base, edit, i);
		if (r < 0)
			return r;
		moved++;
	}
	return moved;
}

/* One attempt after the other while the index has a writer. */
static int commit_when_free(int dirfd, const char *prefix,
			    const struct bundle *base, struct bundle *next,
			    const struct edit *edit, struct commit_report *ret)
{
	for (int tries = 0; tries < EXCHANGE_BUSY_TRIES; tries++) {
		int r = commit_bundle(dirfd, prefix, base, next, edit, ret);

		/* Somebody opened the index to write, and did not. */
		if (r == -ESTALE && bundle_current(base) == 1)
			r = -EAGAIN;
		if (r != -EAGAIN)
			return r;
		(void)usleep(EXCHANGE_BUSY_US);
	}
	return -EBUSY;
}

int commit_edit(int dirfd, const char *prefix, const struct bundle *base,
		struct edit *edit, struct bundle **ret_next,
		struct commit_report *ret)
{
	int r = edit_sort(edit);
	int failure = 0;

	*ret = (struct commit_report){ COMMIT_NOTHING, 0 };
	*ret_next = NULL;
	if (r == 0 && bundle_is_v1(base))
		return commit_v1(base, edit, ret_next, ret);
	for (int tries = 0; r == 0 && tries < 2; tries++) {
		int moved = rewrite_suspects(base, edit);

		/* What is there to be copied may yet find its place. */
		ret->outcome = moved == -EIO ? COMMIT_LOST : COMMIT_NOTHING;
		if (moved < 0)
			return moved;
		bundle_unref(STEAL(*ret_next));
		r = bundle_with(base, edit_sorted(edit), edit_count(edit),
				ret_next);
		if (r < 0)
			return r;
		r = commit_when_free(dirfd, prefix, base, *ret_next, edit, ret);
		if (ret->outcome != COMMIT_LOST)
			return r;
		failure = r;
		r = 0;
	}
	return r < 0 ? r : failure;
}
