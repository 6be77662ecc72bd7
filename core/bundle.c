#include "core/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle_inside.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/parts.h"
#include "core/shard.h"
#include "core/spare.h"
#include "core/v1_file.h"

static void bundle_free(struct bundle *b)
{
	for (size_t i = 0; i < b->all.n; i++)
		entry_unref(b->all.items[i]);
	for (size_t i = 0; i < b->shards.n; i++)
		shard_unref(b->shards.items[i]);
	for (size_t i = 0; i < b->v1_files.n; i++)
		v1_file_unref(b->v1_files.items[i]);
	free(b->v1_files.items);
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

int bundle_new(int dirfd, const char *prefix, struct bundle **ret)
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

bool bundle_is_same(const struct bundle *b, const struct bundle *old)
{
	return old && old->spare && old->dirfd == b->dirfd &&
	       strcmp(old->prefix, b->prefix) == 0;
}

int bundle_new_v2(int dirfd, const char *prefix, const struct bundle *old,
		  struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new(dirfd, prefix, &b);

	if (r == 0 && bundle_is_same(b, old))
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

struct shard *bundle_known_shard(const struct bundle *b, int32_t id)
{
	for (size_t i = 0; i < b->shards.n; i++)
		if (shard_id(b->shards.items[i]) == id)
			return b->shards.items[i];
	return NULL;
}

void bundle_note_damage(struct bundle *b, const char *reason)
{
	if (!b->damage && reason)
		log_error("%s: shown as far as it goes, and not written to: %s",
			  b->index_name, reason);
	b->damage = "its index is damaged";
}

bool bundle_in_order(const struct bundle *b, struct span key)
{
	return b->all.n == 0 ||
	       span_compare(entry_key(b->all.items[b->all.n - 1]), key) < 0;
}

int bundle_add(struct bundle *b, struct entry *e)
{
	int r = list_add(&b->all, e);

	if (r == 0)
		(void)entry_ref(e);
	return r;
}

int bundle_show(struct bundle *b)
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

bool bundle_big_endian(const struct bundle *b)
{
	return b->big_endian;
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
	int r = b->v1 ? bundle_current_v1(b)
		      : io_id(b->dirfd, b->index_name, &now);

	if (r < 0 || b->v1)
		return r;
	if (!file_id_equal(&now, &b->id))
		return 0;
	return bundle_in_place(b) ? 1 : -ESTALE;
}

int bundle_writable(const struct bundle *b, const char **ret_reason)
{
	*ret_reason = b->damage;
	return b->damage ? -EIO : 0;
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
	int r = shard_open(b->dirfd, b->prefix, id, b->num_shards, ret);

	if (r == 0 && b->big_endian)
		shard_set_big_endian(*ret);
	return r;
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
