/* Where new values of a bundle go, and what becomes of the room of old ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/list.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/spare.h"
#include "core/v1_file.h"

/* TensorFlow removes the files of a checkpoint by a pattern of five digits. */
#define SHARD_ID_MAX 99999

bool bundle_in_place(const struct bundle *b)
{
	size_t n;
	struct shard *const *shards = bundle_shards(b, &n);
	struct v1_file *const *files;

	for (size_t i = 0; i < n; i++)
		if (!shard_in_place(shards[i]))
			return false;
	files = bundle_v1_files(b, &n);
	for (size_t i = 0; i < n; i++)
		if (v1_file_current(files[i]) != 1)
			return false;
	return true;
}

bool bundle_suspect(const struct bundle *b)
{
	size_t n;
	struct shard *const *shards = bundle_shards(b, &n);

	for (size_t i = 0; i < n; i++)
		if (shard_just_came(shards[i], &bundle_stat(b)->st_ctim))
			return true;
	return false;
}

bool bundle_leads_to(const struct bundle *b, struct shard *s)
{
	CLEANUP(free_ptr)
	char *name = shard_file_name(bundle_prefix(b), shard_id(s),
				     bundle_num_shards(b));
	struct file_id at, of;
	size_t n;
	struct shard *const *shards = bundle_shards(b, &n);

	for (size_t i = 0; i < n; i++)
		if (shard_id(shards[i]) == shard_id(s))
			return shards[i] == s;
	return name && shard_in_place(s) &&
	       io_id(bundle_dirfd(b), name, &at) == 0 &&
	       io_fd_id(shard_fd(s), &of) == 0 && at.dev == of.dev &&
	       at.ino == of.ino;
}

/* --- where a new value goes ----------------------------------------------- */

static void list_release(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		shard_unref(l->items[i]);
	free(l->items);
}

/* All shards, counted, with the spare one. */
static int list_shards(const struct bundle *b, struct list *ret)
{
	CLEANUP(shard_unrefp) struct shard *spare = spare_get(bundle_spare(b));
	size_t n;
	struct shard *const *shards = bundle_shards(b, &n);

	for (size_t i = 0; i < n; i++) {
		if (list_add(ret, shards[i]) < 0)
			return -ENOMEM;
		if (shard_ref(shards[i]) == spare)
			shard_unref(STEAL(spare));
	}
	if (spare && list_add(ret, spare) < 0)
		return -ENOMEM;
	(void)STEAL(spare);
	return 0;
}

static int last_first(const void *a, const void *b)
{
	const struct shard *const *sa = a, *const *sb = b;

	return (shard_id(*sa) < shard_id(*sb)) -
	       (shard_id(*sa) > shard_id(*sb));
}

/* 1 if it may be edited, 0 if another one has to be found. */
static int try_shard(const struct bundle *b, struct shard *s,
		     const char **ret_reason)
{
	int r = shard_edit(s, bundle_stat(b), ret_reason);

	if (r == 0)
		return 1;
	return r == -EOPNOTSUPP ? 0 : r;
}

/* The last one that may be edited; NULL if none may. */
static int last_editable(const struct bundle *b, struct shard **ret)
{
	CLEANUP(list_release) struct list all = { 0 };
	int r = list_shards(b, &all);
	const char *reason;

	*ret = NULL;
	if (r == 0 && all.n > 0)
		qsort(all.items, all.n, sizeof(*all.items), last_first);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		int found = try_shard(b, all.items[i], &reason);

		if (found == 1) {
			*ret = shard_ref(all.items[i]);
			return 0;
		}
		/* Of another one that was replaced its own values will tell. */
		r = found == -ESTALE ? 0 : found;
	}
	return r;
}

/* The first id that nobody knows: past all that entries and files have. */
static int32_t first_new_id(const struct bundle *b)
{
	int32_t next = bundle_num_shards(b);
	size_t n;
	struct entry *const *all = bundle_all(b, &n);
	struct shard *const *shards;

	for (size_t i = 0; i < n; i++)
		if (entry_shard_id(all[i]) >= next)
			next = entry_shard_id(all[i]) == INT32_MAX
				       ? INT32_MAX
				       : entry_shard_id(all[i]) + 1;
	shards = bundle_shards(b, &n);
	for (size_t i = 0; i < n; i++)
		if (shard_id(shards[i]) >= next && next < INT32_MAX)
			next = shard_id(shards[i]) + 1;
	return next;
}

static bool name_is_free(const struct bundle *b, const struct shard *s)
{
	struct stat st;

	return fstatat(bundle_dirfd(b), shard_name(s), &st,
		       AT_SYMLINK_NOFOLLOW) < 0 &&
	       errno == ENOENT;
}

/* A shard that is not there yet, and may be made. */
static int new_shard(const struct bundle *b, struct shard **ret)
{
	const char *reason;

	for (int32_t id = first_new_id(b); id <= SHARD_ID_MAX; id++) {
		CLEANUP(shard_unrefp) struct shard *s = NULL;
		int r = bundle_open_shard(b, id, &s);

		if (r < 0)
			return r;
		if (!shard_missing(s) || !name_is_free(b, s))
			continue;
		r = shard_edit(s, bundle_stat(b), &reason);
		if (r == 0)
			*ret = STEAL(s);
		return r;
	}
	log_error("%s: not written: it leaves no number for a new shard",
		  bundle_prefix(b));
	return -EOPNOTSUPP;
}

/* A checkpoint that has nothing in it may have its data file, or not. */
static int first_shard(const struct bundle *b, struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	int32_t last = bundle_num_shards(b) - 1;
	const char *reason;
	size_t n;
	int r;

	(void)bundle_shards(b, &n);
	*ret = NULL;
	if (n > 0 || last < 0)
		return 0;
	r = bundle_open_shard(b, last, &s);
	if (r == 0)
		r = try_shard(b, s, &reason);
	if (r == 1)
		*ret = STEAL(s);
	return r < 0 ? r : 0;
}

static int add_shard(const struct bundle *b, struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *was = spare_get(bundle_spare(b));
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	int r = 0;

	if (faccessat(bundle_dirfd(b), ".", W_OK, AT_EACCESS) < 0)
		return -errno;
	if (!was)
		r = first_shard(b, &s);
	if (r == 0 && !s)
		r = new_shard(b, &s);
	if (r == 0)
		*ret = spare_replace(bundle_spare(b), was, s);
	return r;
}

/* A V1 file is written as a whole: until then values wait in a file without a name. */
static int waiting_room(const struct bundle *b, struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	int r;

	if (faccessat(bundle_dirfd(b), ".", W_OK, AT_EACCESS) < 0)
		return -errno;
	*ret = spare_get(bundle_spare(b));
	if (*ret)
		return 0;
	r = shard_unnamed(bundle_dirfd(b), bundle_prefix(b), &s);
	if (r < 0)
		return r;
	shard_set_v1(s);
	*ret = spare_replace(bundle_spare(b), NULL, s);
	return 0;
}

/* Of a partitioned variable, that of a slice. */
static struct shard *shard_of(const struct entry *e)
{
	struct shard *s = entry_shard(e);

	for (size_t i = 0; !s && i < entry_slices(e); i++)
		if (entry_part(e, i))
			s = entry_shard(entry_part(e, i));
	return s;
}

int bundle_shard(const struct bundle *b, const struct entry *old,
		 struct shard **ret)
{
	struct shard *s = old ? shard_of(old) : NULL;
	const char *reason = NULL;
	int r;

	if (bundle_is_v1(b))
		return waiting_room(b, ret);
	r = s ? try_shard(b, s, &reason) : 0;
	if (r == 1) {
		*ret = shard_ref(s);
		return 0;
	}
	if (r == 0)
		r = last_editable(b, ret);
	if (r < 0 || *ret)
		return r;
	r = add_shard(b, ret);
	if (r == 0 && reason)
		log_info("%s: not edited in place: %s; new values go to %s",
			 shard_name(s), reason, shard_name(*ret));
	return r;
}

/* --- room that is free again ---------------------------------------------- */

/* All that the present index names in the shard is in use, whatever else was said. */
static void cut_named(const struct bundle *b, const struct shard *s,
		      struct rooms *rooms)
{
	size_t n;
	struct entry *const *all = bundle_all(b, &n);

	for (size_t i = 0; i < n; i++)
		if (entry_shard(all[i]) == s)
			rooms_cut(rooms, (struct room){ entry_offset(all[i]),
							entry_size(all[i]) });
}

static void reclaim(const struct bundle *b, enum room_owner owner,
		    unsigned grace)
{
	CLEANUP(list_release) struct list shards = { 0 };
	bool looked = false;

	if (list_shards(b, &shards) < 0)
		return;
	for (size_t i = 0; i < shards.n; i++) {
		CLEANUP(rooms_release) struct rooms rooms = { 0 };
		struct shard *s = shards.items[i];
		unsigned epoch;

		if (!shard_due(s, owner, grace))
			continue;
		/* Another index may name it, and has to be read first. */
		if (!looked && bundle_current(b) != 1)
			return;
		looked = true;
		epoch = shard_collect(s, owner, grace, &rooms);
		cut_named(b, s, &rooms);
		shard_free(s, &rooms, epoch);
	}
}

void bundle_reclaim(const struct bundle *b, unsigned grace)
{
	reclaim(b, ROOM_OURS, grace);
}

void bundle_reclaim_all(const struct bundle *b)
{
	CLEANUP(shard_unrefp) struct shard *spare = spare_get(bundle_spare(b));

	reclaim(b, ROOM_THEIRS, 0);
	if (spare && !shard_missing(spare))
		shard_drop(spare);
}

void bundle_forget_room(const struct bundle *b)
{
	CLEANUP(list_release) struct list shards = { 0 };

	if (list_shards(b, &shards) < 0)
		return;
	for (size_t i = 0; i < shards.n; i++)
		shard_forget(shards.items[i]);
}

uint64_t bundle_data_bytes(const struct bundle *b)
{
	size_t n;
	struct entry *const *all = bundle_all(b, &n);
	uint64_t bytes = 0;

	/* Hostile sizes may add up to anything. */
	for (size_t i = 0; i < n; i++)
		if (__builtin_add_overflow(bytes, entry_size(all[i]), &bytes))
			return UINT64_MAX;
	return bytes;
}

/* By shard, then by offset. */
static int by_place(const void *a, const void *b)
{
	const struct entry *const *ea = a, *const *eb = b;
	uintptr_t sa = (uintptr_t)entry_shard(*ea);
	uintptr_t sb = (uintptr_t)entry_shard(*eb);

	if (sa != sb)
		return sa < sb ? -1 : 1;
	return (entry_offset(*ea) > entry_offset(*eb)) -
	       (entry_offset(*ea) < entry_offset(*eb));
}

/* Bytes that entries have in one shard, each counted once. */
static uint64_t named_bytes(struct entry *const *sorted, size_t n,
			    const struct shard *s)
{
	uint64_t bytes = 0, upto = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t from = entry_offset(sorted[i]);
		uint64_t end = from + entry_size(sorted[i]);

		if (entry_shard(sorted[i]) != s || end <= upto)
			continue;
		bytes += end - (from > upto ? from : upto);
		upto = end;
	}
	return bytes;
}

uint64_t bundle_dead_bytes(const struct bundle *b)
{
	CLEANUP(list_release) struct list shards = { 0 };
	size_t n;
	struct entry *const *all = bundle_all(b, &n);
	CLEANUP(free_ptr)
	struct entry **sorted = calloc(n + 1, sizeof(struct entry *));
	uint64_t dead = 0;

	if (bundle_is_v1(b) || !sorted || list_shards(b, &shards) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		sorted[i] = all[i];
	qsort(sorted, n, sizeof(*sorted), by_place);
	for (size_t i = 0; i < shards.n; i++) {
		uint64_t has = shard_allocated(shards.items[i]);
		uint64_t named = named_bytes(sorted, n, shards.items[i]);

		dead += has > named ? has - named : 0;
	}
	return dead;
}
