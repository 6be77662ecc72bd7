#include "core/compact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/bundle_writer.h"
#include "core/cleanup.h"
#include "core/compact_grow.h"
#include "core/compact_layout.h"
#include "core/compact_leftovers.h"
#include "core/compact_links.h"
#include "core/compact_mark.h"
#include "core/compact_names.h"
#include "core/compact_v1.h"
#include "core/exchange.h"
#include "core/io.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/temporary.h"

/* How often to ask again until what has just come is known to have no index of its own. */
#define SUSPECT_TRIES 30
#define SUSPECT_US    100000

struct compaction {
	int dirfd;
	const char *prefix;
	const struct compact_options *options;
	struct bundle *base;
	struct compact_layout layout;
	struct compact_mark mark;
	int *fds; /* of the new shards; -1 for those not made */
};

/* How many files there are to be: none for no values. */
static int32_t new_shards(const struct compaction *c)
{
	return c->layout.n ? c->layout.num_shards : 0;
}

static void compaction_release(struct compaction *c)
{
	for (int32_t i = 0; c->fds && i < new_shards(c); i++)
		close_fd(&c->fds[i]);
	free(c->fds);
	compact_mark_release(&c->mark);
	compact_layout_release(&c->layout);
	bundle_unref(c->base);
}

static int refuse(const struct compaction *c, int r, const char *reason)
{
	log_error("%s: not compacted: %s", c->prefix, reason);
	return r;
}

/* --- what may be compacted ------------------------------------------------- */

static int check_files(const struct compaction *c)
{
	switch (compact_is_linked(c->dirfd, c->base)) {
	case COMPACT_FREE:
		return 0;
	case COMPACT_LINK:
		return refuse(
			c, -EOPNOTSUPP,
			"a file of it is a symbolic link: remove that, and "
			"compact the checkpoint that it leads to");
	case COMPACT_LINKED:
		return refuse(
			c, -EOPNOTSUPP,
			"a symbolic link of its directory leads to a file "
			"of it, and would lead to another one meanwhile: "
			"remove it, and make it anew afterwards");
	case COMPACT_MISSING:
		return refuse(c, -EIO, "a file of it is missing");
	}
	return -EINVAL;
}

static int check_space(const struct compaction *c)
{
	struct statvfs st;
	uint64_t room;

	if (fstatvfs(c->dirfd, &st) < 0)
		return -errno;
	if (__builtin_mul_overflow(st.f_bavail, st.f_frsize, &room) ||
	    c->layout.bytes <= room)
		return 0;
	return refuse(c, -ENOSPC,
		      "there is no room for its values beside the old ones");
}

/* A fault that is copied would be no less one, and TensorFlow's layout of it there is none. */
static int check_values(const struct compaction *c)
{
	for (size_t i = 0; i < bundle_count(c->base); i++) {
		const struct entry *e = bundle_entry(c->base, i);
		CLEANUP(free_ptr) char *name = NULL;
		const char *reason;

		if (entry_readable(e, &reason) == 0)
			continue;
		name = text_describe(entry_key(e));
		log_error("%s: cannot be read: %s", name ? name : "a variable",
			  reason);
		return refuse(c, -EIO, "not all of it can be read");
	}
	return 0;
}

static int open_base(struct compaction *c)
{
	const char *reason;
	int r = 0;

	/* A shard that is younger than the index: a save, or a copy of it. */
	for (int i = 0; i < SUSPECT_TRIES; i++) {
		bundle_unref(STEAL(c->base));
		r = bundle_open(c->dirfd, c->prefix, NULL, &c->base);
		if (r < 0 || !bundle_suspect(c->base))
			break;
		(void)usleep(SUSPECT_US);
	}
	if (r == -EBADMSG || r == -EIO)
		return refuse(c, -EIO, "its index cannot be read");
	if (r < 0)
		return refuse(c, r, strerror(-r));
	if (bundle_writable(c->base, &reason) == -EIO)
		return refuse(c, -EIO, reason);
	if (bundle_suspect(c->base))
		return refuse(c, -EBUSY, "it is just being written");
	return 0;
}

/* --- the steps ------------------------------------------------------------- */

static void wait_grace(unsigned seconds)
{
	struct timespec left = { .tv_sec = seconds };

	if (seconds)
		log_info("waiting %u seconds for those who read the old files",
			 seconds);
	while (seconds && nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/*
 * Puts an index in the place of that of `was`, as it is: see commit.c.  The shards of
 * `base` have to be in place.
 */
static int exchange_index(const struct compaction *c, const struct bundle *was,
			  const struct bundle *base, const struct buf *index)
{
	CLEANUP(exchange_release) struct exchange x = EXCHANGE_NONE;
	CLEANUP(free_ptr) char *name = bundle_index_name(c->prefix);
	int r;

	if (!name)
		return -ENOMEM;
	x.next = base;
	r = exchange_find(&x, c->dirfd, name, bundle_id(was));
	if (r == 0)
		r = exchange_open(&x);
	if (r == 0)
		r = temporary_create(x.dirfd, x.name, buf_span(index),
				     bundle_stat(was), &x.new);
	if (r == 0)
		r = exchange_lease(&x);
	if (r == 0)
		r = exchange_put(&x);
	if (r < 0)
		return r;
	exchange_finish(&x);
	return io_sync(x.dirfd);
}

static int put_index(const struct compaction *c, const struct bundle *was,
		     const struct bundle *base, const struct buf *index)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < EXCHANGE_BUSY_TRIES; i++) {
		r = exchange_index(c, was, base, index);
		if (r == -EAGAIN)
			(void)usleep(EXCHANGE_BUSY_US);
	}
	return r;
}

static int make_shards(struct compaction *c)
{
	int32_t n = new_shards(c);
	int r = 0;

	c->fds = malloc((size_t)(n + 1) * sizeof(*c->fds));
	if (!c->fds)
		return -ENOMEM;
	for (int32_t i = 0; i < n; i++)
		c->fds[i] = -1;
	for (int32_t i = 0; r == 0 && i < n; i++) {
		CLEANUP(free_ptr)
		char *name = compact_temporary(c->prefix, i, c->mark.through);

		if (!name)
			return -ENOMEM;
		c->fds[i] = io_create(c->dirfd, name, bundle_stat(c->base));
		r = c->fds[i] < 0 ? c->fds[i] : 0;
	}
	return r;
}

/* Enters the partitioned variables themselves, which have no bytes. */
static int name_variables(const struct compaction *c, struct bundle_writer *w)
{
	CLEANUP(free_ptr)
	int32_t *first = compact_layout_first_shards(&c->layout, c->base);
	int r = first ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < bundle_count(c->base); i++) {
		const struct entry *e = bundle_entry(c->base, i);

		if (entry_slices(e))
			r = bundle_writer_name(w, e, first[i], false);
	}
	return r;
}

/*
 * Step 3, the first index; if that is longer than the old one, by way of one that is both:
 * whoever has looked up the size of one of them finds a footer there in the next.
 */
static int put_first(const struct compaction *c, const struct buf *index)
{
	CLEANUP(bundle_unrefp) struct bundle *grown = NULL;
	CLEANUP(buf_release) struct buf both = { 0 };
	int r = compact_grow(c->base, index->len, &both);

	if (r == 0 && both.len)
		r = put_index(c, c->base, c->base, &both);
	if (r == 0 && both.len)
		r = bundle_open(c->dirfd, c->prefix, NULL, &grown);
	return r < 0 ? r
		     : put_index(c, grown ? grown : c->base, c->base, index);
}

/* They are whole: under their names, if these are still free. */
static int name_shards(const struct compaction *c)
{
	int r = 0;

	for (int32_t i = 0; r == 0 && i < new_shards(c); i++) {
		CLEANUP(free_ptr)
		char *first = compact_temporary(c->prefix, i, c->mark.through);
		CLEANUP(free_ptr)
		char *name = shard_file_name(c->prefix, i, c->mark.through);

		r = first && name ? compact_set_new(&c->mark, c->fds[i])
				  : -ENOMEM;
		if (r == 0)
			r = io_sync(c->fds[i]);
		if (r == 0)
			r = io_link(c->dirfd, first, c->dirfd, name);
	}
	return r < 0 ? r : io_sync(c->dirfd);
}

/* Steps 2 and 3. */
static int write_anew(struct compaction *c)
{
	CLEANUP(bundle_writer_freep) struct bundle_writer *w = NULL;
	CLEANUP(buf_release) struct buf index = { 0 };
	int r = make_shards(c);

	if (r == 0)
		r = bundle_writer_new(c->fds, new_shards(c), &w);
	for (size_t i = 0; r == 0 && i < c->layout.n; i++)
		r = bundle_writer_copy(w, c->layout.values[i].entry,
				       c->layout.values[i].shard);
	if (r == 0)
		r = name_variables(c, w);
	if (r == 0)
		r = name_shards(c);
	if (r == 0)
		r = bundle_writer_index(w, bundle_header(c->base),
					c->mark.through, &index);
	return r < 0 ? r : put_first(c, &index);
}

/* The index of the present state, but with another number of shards. */
static int index_of(const struct bundle *b, int32_t num_shards, struct buf *ret)
{
	CLEANUP(bundle_writer_freep) struct bundle_writer *w = NULL;
	size_t n;
	struct entry *const *all = bundle_all(b, &n);
	int r = bundle_writer_new(NULL, 0, &w);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = bundle_writer_keep(w, all[i]);
	return r < 0 ? r
		     : bundle_writer_index(w, bundle_header(b), num_shards,
					   ret);
}

/* A shard that a mount has added since is new, too; the others have their first name. */
static int name_first(const struct compaction *c, const struct shard *s)
{
	CLEANUP(free_ptr)
	char *first = compact_temporary(c->prefix, shard_id(s),
					c->mark.through);
	struct stat st;
	int r = first ? io_stat_link(c->dirfd, first, &st) : -ENOMEM;

	if (r != -ENOENT)
		return r;
	r = compact_set_new(&c->mark, shard_fd(s));
	return r < 0 ? r : io_link(c->dirfd, shard_name(s), c->dirfd, first);
}

static int name_all_first(const struct compaction *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct shard *const *shards;
	int r = bundle_open(c->dirfd, c->prefix, NULL, &b);
	size_t n = 0;

	if (r == 0)
		shards = bundle_shards(b, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = name_first(c, shards[i]);
	return r;
}

/* From step 4 on: from a state that says M to one that says K. */
static int settle_names(const struct compaction *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(buf_release) struct buf index = { 0 };
	struct shard *const *shards;
	size_t n;
	int r = name_all_first(c);

	if (r == 0)
		r = bundle_open(c->dirfd, c->prefix, NULL, &b);
	if (r < 0)
		return r;
	if (bundle_num_shards(b) != c->mark.through || !bundle_in_place(b))
		return -ESTALE;
	shards = bundle_shards(b, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = compact_link(c->dirfd, c->prefix, shard_id(shards[i]),
				 &c->mark);
	/* The directory first: the index is to name nothing that may not be there. */
	if (r == 0)
		r = io_sync(c->dirfd);
	if (r == 0)
		r = index_of(b, c->mark.num_shards, &index);
	if (r == 0)
		r = put_index(c, b, b, &index);
	if (r == 0)
		wait_grace(c->options->grace);
	return r;
}

static bool is_compact(const struct compaction *c)
{
	CLEANUP(buf_release) struct buf index = { 0 }, old = { 0 };
	CLEANUP(free_ptr) char *name = bundle_index_name(c->prefix);
	CLEANUP(close_fd) int fd = -1;

	if (!compact_layout_done(&c->layout, c->base) ||
	    index_of(c->base, c->layout.num_shards, &index) < 0)
		return false;
	if (!name)
		return false;
	fd = io_open(c->dirfd, name, O_RDONLY | O_NONBLOCK);
	return fd >= 0 && io_read_file(fd, index.len, &old) == 0 &&
	       span_equal(buf_span(&index), buf_span(&old));
}

static uint64_t size_of(const struct bundle *b)
{
	uint64_t sum = bundle_id(b)->size;
	struct shard *const *shards;
	size_t n;

	shards = bundle_shards(b, &n);
	for (size_t i = 0; i < n; i++)
		if (!shard_missing(shards[i]))
			sum += shard_end(shards[i]);
	return sum;
}

/* Whether the index says so many, whoever has written it. */
static bool says(const struct compaction *c, int32_t num_shards)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	return bundle_open(c->dirfd, c->prefix, NULL, &b) == 0 &&
	       bundle_num_shards(b) == num_shards;
}

/*
 * Step 6, and after a crash: removes what is known to be of this compaction, and what
 * nothing will come of.
 */
static int clean(const struct compaction *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_open(c->dirfd, c->prefix, NULL, &b);

	/* Without an index its files are anybody's; but the mark is ours. */
	if (r == 0 || r == -ENOENT)
		r = compact_leftovers_drop(c->dirfd, c->prefix, &c->mark, b);
	if (r == 0)
		r = compact_mark_remove(c->dirfd, c->prefix);
	return r < 0 ? r : io_sync(c->dirfd);
}

/* Takes back what was done before the first index, and says why. */
static int give_up(const struct compaction *c, int r)
{
	/* It came to be seen, if not more: then the next one takes it from there. */
	if (says(c, c->mark.through))
		return refuse(c, r, strerror(-r));
	/* What cannot be removed goes at the next writable mount. */
	(void)clean(c);
	if (r == -ESTALE || r == -ENOENT)
		return refuse(c, r, "somebody else has replaced it meanwhile");
	if (r == -EAGAIN)
		return refuse(c, -EBUSY,
			      "somebody has its index open for writing");
	if (r == -EIO)
		return refuse(c, r,
			      "it cannot be read, or written: weightfs "
			      "--check tells more");
	return refuse(c, r, strerror(-r));
}

static int make_mark(struct compaction *c)
{
	int r;

	c->mark.num_shards = c->layout.num_shards;
	c->mark.before = bundle_num_shards(c->base);
	r = compact_find_names(c->dirfd, c->prefix, c->mark.before,
			       c->mark.num_shards, &c->mark.through);
	if (r < 0)
		return refuse(c, r, "there are files of its names in the way");
	r = compact_mark_make(c->dirfd, c->base, &c->mark);
	return r < 0 ? refuse(c, r, strerror(-r)) : 0;
}

static int run(struct compaction *c)
{
	int r = make_mark(c);

	if (r < 0)
		return r;
	r = write_anew(c);
	if (r < 0)
		return give_up(c, r);
	wait_grace(c->options->grace);
	if (c->mark.through != c->mark.num_shards)
		r = settle_names(c);
	if (r == 0)
		r = clean(c);
	return r < 0 ? refuse(c, r,
			      "it is whole, but not all of its files have "
			      "their names: do it again")
		     : 0;
}

/* --- after a crash ------------------------------------------------------------ */

/* 1 if there is a mark; one that was cut short says nothing, and goes. */
static int read_mark(struct compaction *c)
{
	int r = compact_mark_read(c->dirfd, c->prefix, &c->mark);

	if (r == -EBADMSG)
		r = compact_mark_remove(c->dirfd, c->prefix);
	else if (r == 0)
		r = 1;
	return r == -ENOENT ? 0 : r;
}

static bool is_half_way(const struct compaction *c)
{
	return c->mark.through != c->mark.num_shards &&
	       says(c, c->mark.through);
}

/* What the mark says was being done. */
static int recover(struct compaction *c)
{
	int r = read_mark(c);

	if (r <= 0)
		return r < 0 ? refuse(c, r, "its mark is unreadable") : 0;
	r = 0;
	if (is_half_way(c)) {
		log_info("%s: going on with a compaction that was broken off",
			 c->prefix);
		r = settle_names(c);
	}
	if (r == 0)
		r = clean(c);
	compact_mark_release(&c->mark);
	return r < 0 ? refuse(c, r, strerror(-r)) : 0;
}

void compact_clean(int dirfd, const char *name)
{
	CLEANUP(free_ptr)
	char *prefix = strndup(name, compact_mark_prefix(name));
	CLEANUP(compaction_release)
	struct compaction c = { .dirfd = dirfd, .prefix = prefix };

	if (!prefix || !*prefix || read_mark(&c) <= 0 || is_half_way(&c))
		return;
	if (clean(&c) == 0)
		log_info("%s: removed: left by a crash", name);
}

int compact_checkpoint(int dirfd, const char *prefix, bool v1,
		       const struct compact_options *o,
		       struct compact_result *ret)
{
	CLEANUP(compaction_release)
	struct compaction c = { .dirfd = dirfd,
				.prefix = prefix,
				.options = o };
	CLEANUP(bundle_unrefp) struct bundle *after = NULL;
	int r;

	*ret = (struct compact_result){ 0 };
	if (v1)
		return compact_v1(dirfd, prefix, ret);
	r = recover(&c);
	if (r == 0)
		r = open_base(&c);
	if (r == 0)
		r = check_files(&c);
	if (r == 0)
		r = check_values(&c);
	if (r == 0)
		r = compact_layout_make(c.base, o->by_offset, &c.layout);
	if (r < 0)
		return r;
	ret->before = size_of(c.base);
	ret->after = ret->before;
	ret->done_before = is_compact(&c);
	if (ret->done_before)
		return 0;
	r = check_space(&c);
	if (r == 0)
		r = run(&c);
	if (r == 0 && bundle_open(dirfd, prefix, NULL, &after) == 0)
		ret->after = size_of(after);
	return r;
}
