#include "core/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/changes.h"
#include "core/cleanup.h"
#include "core/list.h"
#include "core/log.h"
#include "core/parts.h"
#include "core/shard.h"
#include "core/spare.h"
#include "core/table.h"
#include "proto/tensor_bundle.pb-c.h"

#define VERSION       1  /* of the format: TensorFlow's kTensorBundleVersion */
#define KEYS_PER_BYTE 64 /* no real index expands to more than a few */
#define KEYS_MIN      (UINT64_C(1) << 20)
#define SHARDS_MAX    16384

struct bundle {
	atomic_uint refs;
	int dirfd;
	char *prefix;
	char *index_name;
	struct stat index;
	struct file_id id;
	struct buf header; /* serialized BundleHeaderProto, as read */
	int32_t num_shards;
	bool v1;
	bool big_endian;
	bool damaged;    /* something was not understood, and is not in `all` */
	struct list all; /* owned entries, by key, those of slices among them */
	struct list shown;   /* borrowed from `all`: without the slices */
	struct list shards;  /* owned; those that are there */
	struct spare *spare; /* shared by all states of one checkpoint */
	uint64_t key_bytes;  /* of all keys read so far, expanded */
};

static void bundle_free(struct bundle *b)
{
	for (size_t i = 0; i < b->all.n; i++)
		entry_unref(b->all.items[i]);
	for (size_t i = 0; i < b->shards.n; i++)
		shard_unref(b->shards.items[i]);
	free(b->all.items);
	free(b->shown.items);
	free(b->shards.items);
	spare_unref(b->spare);
	buf_release(&b->header);
	free(b->index_name);
	free(b->prefix);
	free(b);
}

char *bundle_index_name(const char *prefix)
{
	char *name;

	return asprintf(&name, "%s.index", prefix) < 0 ? NULL : name;
}

struct bundle *bundle_ref(struct bundle *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void bundle_unref(struct bundle *b)
{
	if (b && atomic_fetch_sub(&b->refs, 1) == 1)
		bundle_free(b);
}

static int bundle_new(int dirfd, const char *prefix, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	atomic_init(&b->refs, 1);
	b->dirfd = dirfd;
	b->prefix = strdup(prefix);
	*ret = b->prefix ? STEAL(b) : NULL;
	return *ret ? 0 : -ENOMEM;
}

/* Whether a state of this checkpoint, not of one that was renamed or has gone. */
static bool same_checkpoint(const struct bundle *b, const struct bundle *old)
{
	return old && old->spare && old->dirfd == b->dirfd &&
	       strcmp(old->prefix, b->prefix) == 0;
}

static int bundle_new_v2(int dirfd, const char *prefix,
			 const struct bundle *old, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new(dirfd, prefix, &b);

	if (r == 0 && same_checkpoint(b, old))
		b->spare = spare_ref(old->spare);
	else if (r == 0)
		r = spare_new(&b->spare);
	if (r < 0)
		return r;
	b->index_name = bundle_index_name(prefix);
	if (!b->index_name)
		return -ENOMEM;
	*ret = STEAL(b);
	return 0;
}

/* The shard of this id among those that `b` has open; NULL if it is not. */
static struct shard *known_shard(const struct bundle *b, int32_t id)
{
	for (size_t i = 0; i < b->shards.n; i++)
		if (shard_id(b->shards.items[i]) == id)
			return b->shards.items[i];
	return NULL;
}

/* The same, counted, or the spare one. */
static struct shard *held_shard(const struct bundle *b, int32_t id)
{
	struct shard *s = known_shard(b, id);

	if (s)
		return shard_ref(s);
	s = spare_get(b->spare);
	if (s && shard_id(s) != id)
		shard_unref(STEAL(s));
	return s;
}

/* Of a save with another number of shards all have other names. */
static int renew_spare(struct bundle *b, const struct bundle *old)
{
	struct spare *fresh;
	int r;

	if (!same_checkpoint(b, old) || old->num_shards == b->num_shards)
		return 0;
	r = spare_new(&fresh);
	if (r < 0)
		return r;
	spare_unref(b->spare);
	b->spare = fresh;
	return 0;
}

/*
 * The shard of an entry: one that is open already, one that an earlier state holds
 * and that is still in place, or the file.  NULL, which means missing, where an index
 * names more shards than anybody has.
 */
static int find_shard(struct bundle *b, const struct bundle *old, int32_t id,
		      struct shard **ret)
{
	struct shard *s = known_shard(b, id);
	int r;

	if (s) {
		*ret = s;
		return 0;
	}
	if (b->shards.n >= SHARDS_MAX) {
		*ret = NULL;
		return 0;
	}
	s = old && old->spare == b->spare ? held_shard(old, id) : NULL;
	if (s && shard_in_place(s)) {
		shard_forget(s);
	} else {
		shard_unref(s);
		r = shard_open(b->dirfd, b->prefix, id, b->num_shards, &s);
		if (r < 0)
			return r;
	}
	r = list_add(&b->shards, s);
	if (r < 0)
		shard_unref(s);
	else
		*ret = s;
	return r;
}

static const char *check_header(const Tensorflow__BundleHeaderProto *p)
{
	const Tensorflow__VersionDef *version = p->version;

	if (p->num_shards < 0)
		return "it has a negative number of shards";
	if (!version)
		return NULL;
	if (version->min_consumer > VERSION)
		return "it wants a newer reader";
	for (size_t i = 0; i < version->n_bad_consumers; i++)
		if (version->bad_consumers[i] == VERSION)
			return "it forbids this version of the format";
	return NULL;
}

static int read_header(struct bundle *b, const struct bundle *old,
		       struct span key, struct span value)
{
	Tensorflow__BundleHeaderProto *p = NULL;
	const char *reason = "it does not begin with a header";

	if (key.len == 0) {
		p = tensorflow__bundle_header_proto__unpack(NULL, value.len,
							    value.data);
		reason = p ? check_header(p) : "its header does not parse";
	}
	if (reason) {
		log_error("%s: not shown: %s", b->index_name, reason);
	} else {
		b->num_shards = p->num_shards;
		b->big_endian = p->endianness == 1;
		buf_put(&b->header, value.data, value.len);
	}
	if (p)
		tensorflow__bundle_header_proto__free_unpacked(p, NULL);
	if (reason)
		return -EIO;
	return buf_error(&b->header) ? buf_error(&b->header)
				     : renew_spare(b, old);
}

/* Says the first fault only: a damaged index has thousands. */
static void note_damage(struct bundle *b, const char *reason)
{
	if (!b->damaged && reason)
		log_error("%s: shown as far as it goes, and not written to: %s",
			  b->index_name, reason);
	b->damaged = true;
}

static bool in_order(const struct bundle *b, struct span key)
{
	return b->all.n == 0 ||
	       span_compare(entry_key(b->all.items[b->all.n - 1]), key) < 0;
}

static int read_entry(struct bundle *b, const struct bundle *old,
		      struct span key, struct span value)
{
	struct entry *e = NULL;
	struct shard *s = NULL;
	const char *reason;
	int r;

	/* Keys share prefixes, so a small index may stand for any number of bytes. */
	b->key_bytes += key.len;
	if (b->key_bytes >
	    (uint64_t)b->index.st_size * KEYS_PER_BYTE + KEYS_MIN) {
		note_damage(b, "its keys are far longer than the index itself");
		return -EFBIG;
	}
	if (key.len == 0 || !in_order(b, key)) {
		note_damage(b, "its keys are not in order");
		return 0;
	}
	r = entry_parse(key, value,
			b->big_endian ? ENTRY_V2_BIG_ENDIAN : ENTRY_V2, &e,
			&reason);
	if (r == -EBADMSG) {
		note_damage(b, reason);
		return 0;
	}
	if (r < 0)
		return r;
	if (!entry_slices(e))
		r = find_shard(b, old, entry_shard_id(e), &s);
	if (r == 0 && s)
		r = entry_attach(e, s);
	if (r == 0)
		r = list_add(&b->all, e);
	if (r < 0)
		entry_unref(e);
	return r;
}

static int read_entries(struct bundle *b, const struct bundle *old,
			struct table_iter *it)
{
	struct span key, value;
	bool header = false;
	int r;

	for (;;) {
		r = table_iter_next(it, &key, &value);
		if (r == 0 && !header)
			log_error("%s: not shown: it is empty", b->index_name);
		if (r == 0)
			return header ? 0 : -EIO;
		if (r == -EIO && header)
			note_damage(b, "a block of it is damaged");
		else if (r > 0)
			r = header ? read_entry(b, old, key, value)
				   : read_header(b, old, key, value);
		if (r == -EFBIG)
			return 0;
		if (r < 0 && (r != -EIO || !header))
			return r;
		header = true;
	}
}

static int by_key(const void *a, const void *b)
{
	const struct entry *const *ea = a, *const *eb = b;

	return span_compare(entry_key(*ea), entry_key(*eb));
}

/* Everything but the slices that a partitioned variable lists as its own. */
static int show_entries(struct bundle *b)
{
	CLEANUP(free_ptr)
	bool *hidden = calloc(b->all.n + 1, sizeof(*hidden));
	int r = hidden ? 0 : -ENOMEM;

	if (r == 0)
		r = parts_link((struct entry *const *)b->all.items, b->all.n,
			       hidden);
	for (size_t i = 0; r == 0 && i < b->all.n; i++)
		if (!hidden[i])
			r = list_add(&b->shown, b->all.items[i]);
	return r;
}

static int read_table(struct bundle *b, const struct bundle *old, int fd)
{
	struct table *t = NULL;
	struct table_iter *it = NULL;
	int r = table_open(fd, b->index_name, &t);

	if (r == -EINVAL)
		return -EBADMSG;
	if (r == 0)
		r = table_iter_new(t, &it);
	if (r == 0)
		r = read_entries(b, old, it);
	table_iter_free(it);
	table_free(t);
	return r;
}

int bundle_open(int dirfd, const char *prefix, const struct bundle *old,
		struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(close_fd) int fd = -1;
	int r = bundle_new_v2(dirfd, prefix, old, &b);

	if (r < 0)
		return r;
	fd = io_open(dirfd, b->index_name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	if (fstat(fd, &b->index) < 0)
		return -errno;
	r = read_table(b, old, fd);
	if (r == 0)
		r = show_entries(b);
	/* As it was before it was read: a change since then is found later. */
	bundle_settle(b, &b->index);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

static int bundle_new_v1(int dirfd, const char *file, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new(dirfd, file, &b);

	if (r < 0)
		return r;
	b->index_name = strdup(file);
	if (!b->index_name)
		return -ENOMEM;
	b->v1 = true;
	*ret = STEAL(b);
	return 0;
}

int bundle_of_v1(int dirfd, const char *file, const struct stat *st,
		 struct entry **entries, size_t n, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_v1(dirfd, file, &b);

	if (r < 0)
		return r;
	bundle_settle(b, st);
	qsort(entries, n, sizeof(struct entry *), by_key);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!in_order(b, entry_key(entries[i])))
			continue;
		r = list_add(&b->all, entries[i]);
		if (r == 0)
			(void)entry_ref(entries[i]);
	}
	if (r == 0)
		r = show_entries(b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

size_t bundle_count(const struct bundle *b)
{
	return b->shown.n;
}

struct entry *bundle_entry(const struct bundle *b, size_t i)
{
	return b->shown.items[i];
}

struct entry *bundle_find(const struct bundle *b, struct span key)
{
	return entries_find((struct entry *const *)b->all.items, b->all.n, key);
}

const struct file_id *bundle_id(const struct bundle *b)
{
	return &b->id;
}

const struct stat *bundle_stat(const struct bundle *b)
{
	return &b->index;
}

int bundle_current(const struct bundle *b)
{
	struct file_id now;
	int r = io_id(b->dirfd, b->index_name, &now);

	if (r < 0)
		return r;
	if (!file_id_equal(&now, &b->id))
		return 0;
	return bundle_in_place(b) ? 1 : -ESTALE;
}

int bundle_writable(const struct bundle *b, const char **ret_reason)
{
	if (b->v1) {
		*ret_reason = "this version does not write V1 checkpoints";
		return -EOPNOTSUPP;
	}
	if (b->damaged) {
		*ret_reason = "its index is damaged";
		return -EIO;
	}
	if (b->big_endian) {
		*ret_reason = "this version does not write big-endian bundles";
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Takes over what does not depend on the entries. */
static int bundle_like(const struct bundle *base, struct bundle *fresh,
		       struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = fresh;
	int r;

	b->id = base->id;
	b->damaged = base->damaged;
	b->index = base->index;
	b->num_shards = base->num_shards;
	b->big_endian = base->big_endian;
	buf_put(&b->header, base->header.data, base->header.len);
	r = buf_error(&b->header);
	for (size_t i = 0; r == 0 && i < base->shards.n; i++) {
		r = list_add(&b->shards, base->shards.items[i]);
		if (r == 0)
			(void)shard_ref(base->shards.items[i]);
	}
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

/* The shard of a new entry, which has to be the one that is known by its id. */
static int pick_up_shard(struct bundle *b, const struct entry *e)
{
	struct shard *s = entry_shard(e);
	const struct shard *known = s ? known_shard(b, shard_id(s)) : NULL;
	int r;

	if (!s || known == s)
		return 0;
	if (known)
		return -ESTALE;
	r = list_add(&b->shards, s);
	if (r == 0)
		(void)shard_ref(s);
	return r;
}

static int put_entry(struct bundle *b, struct entry *e)
{
	int r = list_add(&b->all, e);

	if (r == 0)
		(void)entry_ref(e);
	return r;
}

static int merge(struct bundle *b, const struct bundle *base,
		 const struct changes *c)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++) {
		struct span key = c->at[i].key;

		while (r == 0 && at < base->all.n &&
		       span_compare(entry_key(base->all.items[at]), key) < 0)
			r = put_entry(b, base->all.items[at++]);
		if (r == 0 && at < base->all.n &&
		    span_equal(entry_key(base->all.items[at]), key))
			at++;
		if (r == 0 && c->at[i].entry)
			r = pick_up_shard(b, c->at[i].entry);
		if (r == 0 && c->at[i].entry)
			r = put_entry(b, c->at[i].entry);
	}
	while (r == 0 && at < base->all.n)
		r = put_entry(b, base->all.items[at++]);
	return r;
}

int bundle_with(const struct bundle *base, const struct change *changes,
		size_t n, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(changes_release) struct changes all = { 0 };
	struct bundle *fresh;
	int r = bundle_new_v2(base->dirfd, base->prefix, base, &fresh);

	if (r == 0)
		r = bundle_like(base, fresh, &b);
	if (r == 0)
		r = changes_init(&all, base, changes, n);
	if (r == 0)
		r = merge(b, base, &all);
	if (r == 0)
		r = show_entries(b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

/* The spare shard goes along: who writes may have it already, and no index yet. */
static int move_spare(const struct bundle *base, struct bundle *b)
{
	struct shard *s = spare_get(base->spare);
	int r = 0;

	if (s && known_shard(b, shard_id(s)) != s)
		r = shard_move(s, b->dirfd, b->prefix, b->num_shards);
	shard_unref(s);
	spare_unref(b->spare);
	b->spare = spare_ref(base->spare);
	return r;
}

int bundle_move(const struct bundle *base, int dirfd, const char *prefix,
		struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct bundle *fresh;
	int r = base->v1 ? bundle_new_v1(dirfd, prefix, &fresh)
			 : bundle_new_v2(dirfd, prefix, NULL, &fresh);

	if (r == 0)
		r = bundle_like(base, fresh, &b);
	for (size_t i = 0; r == 0 && i < base->all.n; i++) {
		r = list_add(&b->all, base->all.items[i]);
		if (r == 0)
			(void)entry_ref(base->all.items[i]);
	}
	if (r == 0)
		r = show_entries(b);
	for (size_t i = 0; r == 0 && i < b->shards.n; i++)
		r = shard_move(b->shards.items[i], dirfd, prefix,
			       b->num_shards);
	if (r == 0)
		r = move_spare(base, b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

void bundle_settle(struct bundle *b, const struct stat *index)
{
	b->index = *index;
	b->id = (struct file_id){
		.dev = index->st_dev,
		.ino = index->st_ino,
		.size = (uint64_t)index->st_size,
		.mtime = index->st_mtim,
	};
}

/* --- for bundle_room.c and bundle_write.c ---------------------------------- */

struct entry *const *bundle_all(const struct bundle *b, size_t *ret_n)
{
	*ret_n = b->all.n;
	return (struct entry *const *)b->all.items;
}

struct shard *const *bundle_shards(const struct bundle *b, size_t *ret_n)
{
	*ret_n = b->shards.n;
	return (struct shard *const *)b->shards.items;
}

struct spare *bundle_spare(const struct bundle *b)
{
	return b->spare;
}

struct span bundle_header(const struct bundle *b)
{
	return buf_span(&b->header);
}

int32_t bundle_num_shards(const struct bundle *b)
{
	return b->num_shards;
}

int bundle_dirfd(const struct bundle *b)
{
	return b->dirfd;
}

const char *bundle_prefix(const struct bundle *b)
{
	return b->prefix;
}

int bundle_open_shard(const struct bundle *b, int32_t id, struct shard **ret)
{
	return shard_open(b->dirfd, b->prefix, id, b->num_shards, ret);
}

int bundle_new_empty(int dirfd, const char *prefix, const struct stat *like,
		     struct bundle **ret)
{
	/* TensorFlow's own, of one shard, little-endian, producer 1. */
	static const uint8_t header[] = { 8, 1, 0x1a, 2, 8, 1 };
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_v2(dirfd, prefix, NULL, &b);

	if (r < 0)
		return r;
	buf_put(&b->header, header, sizeof(header));
	b->num_shards = 1;
	b->index = *like;
	r = buf_error(&b->header);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}
