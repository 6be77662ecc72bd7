#include "core/leaf.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/io.h"
#include "core/log.h"
#include "core/piece.h"
#include "core/shard.h"
#include "core/v1_value.h"

struct leaf {
	atomic_uint refs;
	struct entry *entry;
	char *name;
	bool verify;
	uint64_t size;
	/* Where the bytes are: in one of these. */
	struct piece *piece;
	struct v1_value *v1;
	int file; /* made of others, or -1 */
	uint32_t file_crc32c;
};

struct leaf *leaf_ref(struct leaf *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void leaf_unref(struct leaf *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	piece_free(l->piece);
	v1_value_unref(l->v1);
	close_fd(&l->file);
	entry_unref(l->entry);
	free(l->name);
	free(l);
}

static int leaf_new(struct entry *e, const char *name, bool verify,
		    struct leaf **ret)
{
	CLEANUP(leaf_unrefp) struct leaf *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	atomic_init(&l->refs, 1);
	l->entry = entry_ref(e);
	l->verify = verify;
	l->file = -1;
	l->name = strdup(name);
	*ret = l->name ? STEAL(l) : NULL;
	return *ret ? 0 : -ENOMEM;
}

/* Bytes that mean nothing to us, and are opaque but for the way they are packed. */
static bool varies(const struct leaf *l)
{
	return dtype_size(entry_dtype(l->entry)) == 0;
}

/* Where it lies in its shard. */
static struct elements_source shard_elements(const struct leaf *l)
{
	return (struct elements_source){
		.fd = shard_fd(entry_shard(l->entry)),
		.offset = entry_offset(l->entry),
		.size = entry_size(l->entry),
		.elements = entry_elements(l->entry),
		.dtype = entry_dtype(l->entry),
		.big_endian = entry_big_endian(l->entry),
		.verify = l->verify,
		.crc32c = entry_crc32c(l->entry),
		.name = l->name,
	};
}

/* A big-endian tensor of strings or variants, the other way round. */
static int make_little_endian(struct leaf *l)
{
	const struct elements_source source = shard_elements(l);
	CLEANUP(elements_release) struct elements e = { 0 };
	int r = elements_scan(&source, &e);

	if (r == 0)
		r = l->file = entry_spool(l->entry);
	if (r >= 0)
		r = elements_spool(&e, source.dtype, l->file, &l->size,
				   &l->file_crc32c);
	return r;
}

/* Its checksum is over other bytes than those of the file. */
static int check_variant(const struct leaf *l)
{
	const struct elements_source source = shard_elements(l);
	uint32_t crc = 0;
	int r = l->verify ? elements_check(&source, &crc) : 0;

	if (r == 0 && l->verify && crc != source.crc32c)
		r = -EIO;
	if (r == -EIO)
		log_error("%s: the variant tensor at offset %llu of %s is "
			  "damaged: its elements are not what its checksums "
			  "say, or not as many",
			  l->name, (unsigned long long)source.offset,
			  shard_name(entry_shard(l->entry)));
	return r;
}

static int open_v1(struct leaf *l)
{
	int r = v1_value_open(entry_v1(l->entry), l->name, &l->v1);

	if (r < 0)
		return r;
	l->size = v1_value_size(l->v1);
	if (varies(l) || l->size == entry_bytes(l->entry))
		return 0;
	log_error(
		"%s: cannot be read: its record is not of its dtype and shape",
		l->name);
	return -EIO;
}

static int open_piece(struct leaf *l)
{
	int r;

	l->size = entry_size(l->entry);
	if (varies(l) && entry_big_endian(l->entry))
		return make_little_endian(l);
	r = entry_dtype(l->entry) == DT_VARIANT ? check_variant(l) : 0;
	return r < 0 ? r : piece_new(l->entry, l->name, l->verify, &l->piece);
}

int leaf_open(struct entry *e, const char *name, bool verify, struct leaf **ret)
{
	CLEANUP(leaf_unrefp) struct leaf *l = NULL;
	const struct shard *s = entry_shard(e);
	const char *reason;
	int r = entry_access(e, &reason);

	if (r < 0) {
		log_error("%s: cannot be read: %s%s%s", name, reason,
			  s ? ": " : "", s ? shard_name(s) : "");
		return r;
	}
	r = leaf_new(e, name, verify, &l);
	if (r == 0)
		r = entry_v1(e) ? open_v1(l) : open_piece(l);
	if (r < 0)
		return r;
	*ret = STEAL(l);
	return 0;
}

uint64_t leaf_size(const struct leaf *l)
{
	return l->size;
}

bool leaf_made(const struct leaf *l)
{
	return l->file >= 0 || (l->v1 && v1_value_spooled(l->v1));
}

int leaf_read(struct leaf *l, void *buf, size_t n, uint64_t offset)
{
	int r;

	if (l->piece)
		return piece_read(l->piece, buf, n, offset);
	r = l->v1 ? io_read_at(v1_value_fd(l->v1), buf, n,
			       v1_value_offset(l->v1) + offset)
		  : io_read_at(l->file, buf, n, offset);
	if (r == -EIO)
		log_error("%s: cannot be read: its file was cut short, or its "
			  "disk has a fault",
			  l->name);
	return r;
}

/* In a shard, or in a file that was made. */
static bool lies_so(const struct leaf *l)
{
	return l->piece ? piece_plain(l->piece) : l->file >= 0;
}

bool leaf_place(const struct leaf *l, int *ret_fd, uint64_t *ret_offset)
{
	if (l->v1) {
		*ret_fd = v1_value_fd(l->v1);
		*ret_offset = v1_value_offset(l->v1);
		return true;
	}
	if (!lies_so(l))
		return false;
	*ret_fd = l->piece ? shard_fd(entry_shard(l->entry)) : l->file;
	*ret_offset = l->piece ? entry_offset(l->entry) : 0;
	return true;
}

bool leaf_crc32c(const struct leaf *l, uint32_t *ret)
{
	if (l->v1 || !lies_so(l))
		return false;
	*ret = l->piece ? entry_crc32c(l->entry) : l->file_crc32c;
	return true;
}

const void *leaf_map(const struct leaf *l, size_t n, uint64_t offset)
{
	return l->piece ? piece_map(l->piece, n, offset) : NULL;
}

/* --- strings and variants ------------------------------------------------- */

struct elements_source leaf_elements(const struct leaf *l)
{
	struct elements_source source = {
		.elements = entry_elements(l->entry),
		.size = l->size,
		.dtype = entry_dtype(l->entry),
		.verify = l->verify,
		.name = l->name,
	};

	(void)leaf_place(l, &source.fd, &source.offset);
	/* V1 has none: its blocks have, and were checked. */
	source.verify &= leaf_crc32c(l, &source.crc32c);
	return source;
}
