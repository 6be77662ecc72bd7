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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/log.h"
#include "core/rewrite.h"
#include "core/shard.h"

#define EXCHANGE_TRIES 100
/* How often a commit asks again while the index has a writer, and how soon. */
#define BUSY_TRIES 100
#define BUSY_US    20000
/* From finding a file by its name to waiting for its lease: microseconds. */
#define LEASE_US 5000

struct exchange {
	int dirfd;  /* where the index is, also if a link leads there */
	char *name; /* of the index */
	const struct bundle *base;
	const struct bundle *next;
	int old_fd; /* the index that `base` was read from */
	bool old_leased;
	struct temporary new; /* ours: first by its temporary name */
	bool new_leased;
};

static void exchange_release(struct exchange *x)
{
	if (x->old_leased)
		io_lease_drop(x->old_fd);
	if (x->new_leased)
		io_lease_drop(x->new.fd);
	close_fd(&x->old_fd);
	temporary_release(&x->new);
	close_fd(&x->dirfd);
	free(x->name);
}

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

/* -EAGAIN if it has a writer; no lease at all is no reason to give up. */
static int lease(int fd, bool *ret_leased)
{
	int r = io_lease(fd);

	*ret_leased = r == 0;
	return r == -EAGAIN ? r : 0;
}

/* The index itself, where its name is a link: that is what has to be exchanged. */
static int find_index(struct exchange *x, int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(prefix);
	int r;

	if (!name)
		return -ENOMEM;
	r = io_follow(dirfd, name, &x->dirfd, &x->name);
	if (r == -EXDEV || r == -ELOOP) {
		log_error("%s: not written: it is a symbolic link that leads "
			  "out of the source",
			  name);
		return -EOPNOTSUPP;
	}
	return r;
}

static int open_old(struct exchange *x)
{
	struct file_id id;
	int r;

	x->old_fd = io_open(x->dirfd, x->name, O_RDONLY | O_NONBLOCK);
	if (x->old_fd < 0)
		return x->old_fd;
	r = lease(x->old_fd, &x->old_leased);
	if (r == 0)
		r = io_fd_id(x->old_fd, &id);
	if (r < 0)
		return r;
	return file_id_equal(&id, bundle_id(x->base)) ? 0 : -ESTALE;
}

static int create_new(struct exchange *x, const struct bundle *next,
		      uint64_t *ret_size)
{
	CLEANUP(buf_release) struct buf index = { 0 };
	int r = bundle_encode(next, bundle_id(x->base)->size, &index);

	if (r == 0)
		r = temporary_create(x->dirfd, x->name, buf_span(&index),
				     bundle_stat(x->base), &x->new);
	if (r == 0)
		r = lease(x->new.fd, &x->new_leased);
	*ret_size = index.len;
	return r;
}

/* Whether `name` is the very file that `fd` has open. */
static bool is_file(int dirfd, const char *name, int fd)
{
	struct file_id at, of;

	return io_id(dirfd, name, &at) == 0 && io_fd_id(fd, &of) == 0 &&
	       at.dev == of.dev && at.ino == of.ino;
}

/* Step 6: whether the world is still the one that `base` was read from. */
static bool verified(const struct exchange *x)
{
	struct file_id out;

	if (io_id(x->dirfd, x->new.name, &out) < 0 ||
	    !file_id_equal(&out, bundle_id(x->base)))
		return false;
	if (x->old_leased && io_lease_broken(x->old_fd))
		return false;
	/* Its shards are those of `base`, and perhaps one that was made for it. */
	return bundle_in_place(x->next);
}

/* Whether somebody waits to write to our index, having found it by its name. */
static bool wanted(const struct exchange *x)
{
	return x->new_leased && io_lease_broken(x->new.fd);
}

/*
 * Our index stays where it is, for a save that is about to write its own into it.  The
 * old one goes, if it is the one we know (I4).
 */
static int leave_to_writer(struct exchange *x)
{
	if (!is_file(x->dirfd, x->new.name, x->old_fd))
		free(STEAL(x->new.name));
	return -ESTALE;
}

/*
 * Puts back what the exchange took out.  If a newer index comes in between, the
 * exchange back takes that one out, so it is put in again.  Our own file is removed
 * only when nobody can be about to write to it: who found it by its name gets to the
 * lease within a moment, and then it has to have that name.
 */
static int exchange_back(struct exchange *x)
{
	for (int tries = 0; tries < EXCHANGE_TRIES; tries++) {
		/* What somebody put in our place is newer than all we know. */
		if (!is_file(x->dirfd, x->name, x->new.fd) ||
		    io_exchange(x->dirfd, x->new.name, x->name) < 0)
			return leave_to_writer(x);
		if (!is_file(x->dirfd, x->new.name, x->new.fd)) {
			(void)io_exchange(x->dirfd, x->new.name, x->name);
			continue;
		}
		(void)usleep(LEASE_US);
		if (!wanted(x))
			return -ESTALE;
		(void)io_exchange(x->dirfd, x->new.name, x->name);
		return leave_to_writer(x);
	}
	return leave_to_writer(x);
}

/* For filesystems that cannot exchange: a look, and then a rename. */
static int plain_rename(struct exchange *x)
{
	int r = bundle_current(x->base);

	if (r <= 0)
		return r == 0 ? -ESTALE : r;
	if (!bundle_in_place(x->next))
		return -ESTALE;
	r = io_rename(x->dirfd, x->new.name, x->name);
	if (r == 0)
		free(STEAL(x->new.name));
	return r;
}

static int put_in_place(struct exchange *x)
{
	int r = io_exchange(x->dirfd, x->new.name, x->name);

	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return plain_rename(x);
	if (r < 0)
		return r;
	if (wanted(x))
		return leave_to_writer(x);
	if (!verified(x))
		return exchange_back(x);
	/* It stands: an old index that cannot be removed is no reason to fail. */
	(void)io_unlink(x->dirfd, x->new.name);
	free(STEAL(x->new.name));
	return 0;
}

int commit_bundle(int dirfd, const char *prefix, const struct bundle *base,
		  struct bundle *next, const struct edit *edit,
		  struct commit_report *ret)
{
	CLEANUP(exchange_release)
	struct exchange x = { .base = base,
			      .next = next,
			      .dirfd = -1,
			      .old_fd = -1,
			      .new = { .fd = -1 } };
	struct stat st;
	int r;

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
		r = find_index(&x, dirfd, prefix);
	if (r == 0)
		r = open_old(&x);
	if (r == 0)
		r = create_new(&x, next, &ret->bytes);
	if (r == 0)
		r = for_each_entry(edit, name_extent, NULL);
	if (r == 0)
		r = put_in_place(&x);
	if (r < 0)
		return r;

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
	for (int tries = 0; tries < BUSY_TRIES; tries++) {
		int r = commit_bundle(dirfd, prefix, base, next, edit, ret);

		/* Somebody opened the index to write, and did not. */
		if (r == -ESTALE && bundle_current(base) == 1)
			r = -EAGAIN;
		if (r != -EAGAIN)
			return r;
		(void)usleep(BUSY_US);
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
