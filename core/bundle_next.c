/* From one state of a checkpoint to the next, or to another name: see bundle.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/bundle_inside.h"
#include "core/changes.h"
#include "core/cleanup.h"
#include "core/shard.h"
#include "core/spare.h"
#include "core/v1_file.h"

static int add_shard(struct bundle *b, struct shard *s)
{
	int r = list_add(&b->shards, s);

	if (r == 0)
		(void)shard_ref(s);
	return r;
}

/* What does not depend on the entries, under this name. */
static int bundle_again(const struct bundle *base, int dirfd,
			const char *prefix, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = base->v1 ? bundle_again_v1(base, dirfd, prefix, &b)
			 : bundle_new_v2(dirfd, prefix, base, &b);

	if (!b)
		return r < 0 ? r : -ENOMEM;
	b->id = base->id;
	b->damage = base->damage;
	b->index = base->index;
	b->num_shards = base->num_shards;
	b->big_endian = base->big_endian;
	buf_put(&b->header, base->header.data, base->header.len);
	r = buf_error(&b->header);
	for (size_t i = 0; r == 0 && i < base->shards.n; i++)
		r = add_shard(b, base->shards.items[i]);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

/* The shard of a new entry, which has to be the one that is known by its id. */
static int pick_up_shard(struct bundle *b, const struct entry *e)
{
	struct shard *s = entry_shard(e);
	const struct shard *known = s ? bundle_known_shard(b, shard_id(s))
				      : NULL;

	/* What V1 gets is copied from there. */
	if (!s || known == s || b->v1)
		return 0;
	if (known)
		return -ESTALE;
	return add_shard(b, s);
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
			r = bundle_add(b, base->all.items[at++]);
		if (r == 0 && at < base->all.n &&
		    span_equal(entry_key(base->all.items[at]), key))
			at++;
		if (r == 0 && c->at[i].entry)
			r = pick_up_shard(b, c->at[i].entry);
		if (r == 0 && c->at[i].entry)
			r = bundle_add(b, c->at[i].entry);
	}
	while (r == 0 && at < base->all.n)
		r = bundle_add(b, base->all.items[at++]);
	return r;
}

int bundle_with(const struct bundle *base, const struct change *changes,
		size_t n, struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(changes_release) struct changes all = { 0 };
	int r = bundle_again(base, base->dirfd, base->prefix, &b);

	if (r == 0)
		r = changes_init(&all, base, changes, n);
	if (r == 0)
		r = merge(b, base, &all);
	if (r == 0)
		r = bundle_show(b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

/* The spare shard goes along: who writes may have it already, and no index yet. */
static int move_spare(const struct bundle *base, struct bundle *b)
{
	struct shard *s = spare_get(base->spare);
	int r = 0;

	if (s && bundle_known_shard(b, shard_id(s)) != s)
		r = shard_move(s, b->dirfd, b->prefix, b->num_shards);
	shard_unref(s);
	spare_unref(b->spare);
	b->spare = spare_ref(base->spare);
	return r;
}

/* What follows the prefix in its name stays. */
static int move_v1_file(const struct bundle *base, struct v1_file *f, int dirfd,
			const char *prefix)
{
	CLEANUP(free_ptr) char *name = NULL;

	if (asprintf(&name, "%s%s", prefix,
		     v1_file_name(f) + strlen(base->prefix)) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	return v1_file_move(f, dirfd, name);
}

int bundle_move(const struct bundle *base, int dirfd, const char *prefix,
		struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_again(base, dirfd, prefix, &b);

	for (size_t i = 0; r == 0 && i < base->all.n; i++)
		r = bundle_add(b, base->all.items[i]);
	if (r == 0)
		r = bundle_show(b);
	for (size_t i = 0; r == 0 && i < b->v1_files.n; i++)
		r = move_v1_file(base, b->v1_files.items[i], dirfd, prefix);
	for (size_t i = 0; r == 0 && i < b->shards.n; i++)
		r = shard_move(b->shards.items[i], dirfd, prefix,
			       b->num_shards);
	if (r == 0 && !b->v1)
		r = move_spare(base, b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}
