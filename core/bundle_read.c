/* From the files of a V2 checkpoint to a bundle: see bundle.h. */
#include <errno.h>
#include <fcntl.h>

#include "core/bundle_inside.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/spare.h"
#include "core/table.h"
#include "core/version.h"
#include "proto/tensor_bundle.pb-c.h"

#define VERSION       1  /* of the format: TensorFlow's kTensorBundleVersion */
#define KEYS_PER_BYTE 64 /* no real index expands to more than a few */
#define KEYS_MIN      (UINT64_C(1) << 20)
#define SHARDS_MAX    16384

/* The same, counted, or the spare one. */
static struct shard *held_shard(const struct bundle *b, int32_t id)
{
	struct shard *s = bundle_known_shard(b, id);

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

	if (!bundle_is_same(b, old) || old->num_shards == b->num_shards)
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
	struct shard *s = bundle_known_shard(b, id);
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
	if (s && shard_big_endian(s) == b->big_endian && shard_in_place(s)) {
		shard_forget(s);
	} else {
		shard_unref(s);
		r = bundle_open_shard(b, id, &s);
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
	return p->num_shards < 0 ? "it has a negative number of shards"
				 : version_refuses(p->version, VERSION);
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
		bundle_note_damage(
			b, "its keys are far longer than the index itself");
		return -EFBIG;
	}
	if (key.len == 0 || !bundle_in_order(b, key)) {
		bundle_note_damage(b, "its keys are not in order");
		return 0;
	}
	r = entry_parse(key, value, ENTRY_V2, &e, &reason);
	if (r == -EBADMSG) {
		bundle_note_damage(b, reason);
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
			bundle_note_damage(b, "a block of it is damaged");
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
	if (r == 0 && table_iter_misplaced(it))
		bundle_note_damage(
			b, "not all of its keys are where its blocks say");
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
		r = bundle_show(b);
	/* As it was before it was read: a change since then is found later. */
	bundle_settle(b, &b->index);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}
