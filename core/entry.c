#include "core/entry.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/entry_proto.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/partition.h"
#include "core/shard.h"
#include "core/v1_decode.h"
#include "core/v1_file.h"
#include "core/v1_record.h"

#define DESCRIBED_MAX 256 /* bytes of a key in a message */

struct entry {
	atomic_uint refs;
	int32_t dtype;
	int32_t shard_id;
	uint32_t crc32c;
	enum entry_format format;
	struct extent *extent;
	struct v1_record *v1;
	struct entry **parts; /* `slices` of them, or none at all */
	uint64_t offset;
	uint64_t size;
	uint64_t elements;
	size_t slices;
	struct shape shape;
	struct span key;
	struct span raw;
	int64_t tail[]; /* the dimensions; then the bytes of key and raw */
};

/* Entries are many, so each is one allocation. */
static struct entry *entry_alloc(struct span key, size_t raw_len, size_t rank)
{
	size_t dims = rank * sizeof(int64_t);
	struct entry *e = calloc(1, sizeof(*e) + dims + key.len + raw_len);
	uint8_t *bytes;

	if (!e)
		return NULL;
	atomic_init(&e->refs, 1);
	bytes = (uint8_t *)e->tail + dims;
	/* In V1 a name may be empty. */
	if (key.len > 0)
		memcpy(bytes, key.data, key.len);
	e->key = (struct span){ bytes, key.len };
	e->raw = (struct span){ bytes + key.len, raw_len };
	e->shape = (struct shape){ rank, e->tail };
	return e;
}

/* One level deep: a slice has no slices. */
// NOLINTNEXTLINE(misc-no-recursion)
static void free_parts(struct entry *e)
{
	for (size_t i = 0; e->parts && i < e->slices; i++)
		entry_unref(e->parts[i]);
	free(e->parts);
}

struct entry *entry_ref(struct entry *e)
{
	atomic_fetch_add(&e->refs, 1);
	return e;
}

// NOLINTNEXTLINE(misc-no-recursion)
void entry_unref(struct entry *e)
{
	if (!e || atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	free_parts(e);
	extent_unref(e->extent);
	v1_record_unref(e->v1);
	free(e);
}

/* What makes TensorFlow refuse the entry, or abort: FORMAT section 6's list. */
static const char *check_proto(const entry_proto *p)
{
	if (!dtype_known(p->dtype))
		return "its dtype is unknown";
	if (p->shape && p->shape->unknown_rank)
		return "its rank is unknown";
	if (p->shape && p->shape->n_dim > SHAPE_MAX_RANK)
		return "it has more than 254 dimensions";
	if (p->shard_id < 0 || p->offset < 0 || p->size < 0)
		return "its place is negative";
	if (p->offset > INT64_MAX - p->size)
		return "its place is beyond the end of any file";
	return p->n_slices > 0 ? partition_check(p) : NULL;
}

static int entry_fill(struct entry *e, const entry_proto *p, struct span raw,
		      const char **ret_reason)
{
	for (size_t i = 0; i < e->shape.rank; i++)
		e->tail[i] = p->shape->dim[i]->size;
	memcpy((uint8_t *)e->tail + e->shape.rank * sizeof(int64_t) +
		       e->key.len,
	       raw.data, raw.len);
	e->dtype = p->dtype;
	e->shard_id = p->shard_id;
	e->offset = (uint64_t)p->offset;
	e->size = (uint64_t)p->size;
	e->crc32c = crc32c_unmask(p->crc32c);
	e->slices = p->n_slices;
	if (!shape_elements(e->shape, &e->elements)) {
		*ret_reason = "its shape has a negative or too large dimension";
		return -EBADMSG;
	}
	return 0;
}

int entry_parse(struct span key, struct span raw, enum entry_format format,
		struct entry **ret, const char **ret_reason)
{
	CLEANUP(entry_proto_freep)
	entry_proto *p = tensorflow__bundle_entry_proto__unpack(NULL, raw.len,
								raw.data);
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int r;

	*ret_reason = p ? check_proto(p) : "it is no BundleEntryProto";
	if (*ret_reason)
		return -EBADMSG;

	e = entry_alloc(key, raw.len, p->shape ? p->shape->n_dim : 0);
	if (!e)
		return -ENOMEM;
	e->format = format;
	r = entry_fill(e, p, raw, ret_reason);
	if (r < 0)
		return r;

	*ret = STEAL(e);
	return 0;
}

int entry_attach(struct entry *e, struct shard *shard)
{
	if (e->size > 0)
		shard_name_to(shard, e->offset + e->size);
	shard_keep(shard);
	return extent_new(shard, e->offset, e->size, false, &e->extent);
}

void entry_attach_v1(struct entry *e, struct v1_record *record)
{
	e->v1 = v1_record_ref(record);
}

struct spools *entry_spools(const struct entry *e)
{
	const struct v1_record *v1 = e->v1;
	const struct shard *s = entry_shard(e);

	for (size_t i = 0; !v1 && !s && e->parts && i < e->slices; i++) {
		v1 = e->parts[i] ? e->parts[i]->v1 : NULL;
		s = e->parts[i] ? entry_shard(e->parts[i]) : NULL;
	}
	if (s)
		return shard_spools(s);
	return v1 ? v1_file_spools(v1_record_file(v1)) : NULL;
}

struct v1_record *entry_v1(const struct entry *e)
{
	return e->v1;
}

int entry_attach_parts(struct entry *e, struct entry *const *parts)
{
	e->parts = calloc(e->slices, sizeof(struct entry *));
	if (!e->parts)
		return -ENOMEM;
	for (size_t i = 0; i < e->slices; i++)
		e->parts[i] = parts[i] ? entry_ref(parts[i]) : NULL;
	return 0;
}

bool entry_has_parts(const struct entry *e)
{
	return e->parts;
}

struct entry *entry_part(const struct entry *e, size_t i)
{
	return e->parts ? e->parts[i] : NULL;
}

/* --- new entries ----------------------------------------------------------- */

static int unpack(const struct entry *e, entry_proto **ret)
{
	*ret = tensorflow__bundle_entry_proto__unpack(NULL, e->raw.len,
						      e->raw.data);
	return *ret ? 0 : -ENOMEM;
}

/* The empty key is that of a V2 index's header; in V1 it is a name like any other. */
static bool may_be_key(struct span key, const struct extent *x)
{
	return key.len || (x && shard_is_unnamed(extent_shard(x)));
}

/* An entry of `p` that lies in `x`, if it may be written to an index. */
static int make(struct span key, const entry_proto *p, struct extent *x,
		struct entry **ret)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	uint64_t bytes;
	const char *reason;
	int r;

	buf_put_zeros(&raw, tensorflow__bundle_entry_proto__get_packed_size(p));
	if (buf_error(&raw))
		return buf_error(&raw);
	(void)tensorflow__bundle_entry_proto__pack(p, raw.data);
	r = may_be_key(key, x)
		    ? entry_parse(key, buf_span(&raw), ENTRY_V2, &e, &reason)
		    : -EBADMSG;
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	if (dtype_size(e->dtype) &&
	    (__builtin_mul_overflow(e->elements, dtype_size(e->dtype),
				    &bytes) ||
	     bytes != e->size))
		return -EINVAL;
	e->extent = x ? extent_ref(x) : NULL;
	*ret = STEAL(e);
	return 0;
}

static void place(entry_proto *p, const struct extent *x, uint32_t crc32c)
{
	p->shard_id = shard_id(extent_shard(x));
	p->offset = (int64_t)extent_offset(x);
	p->size = (int64_t)extent_size(x);
	p->crc32c = crc32c_mask(crc32c);
}

/* The dimensions of a message; the message then points to them. */
struct dims {
	Tensorflow__TensorShapeProto shape;
	Tensorflow__TensorShapeProto__Dim dims[SHAPE_MAX_RANK];
	Tensorflow__TensorShapeProto__Dim *list[SHAPE_MAX_RANK];
};

static int dims_init(struct dims *d, struct shape shape)
{
	if (shape.rank > SHAPE_MAX_RANK)
		return -EINVAL;
	tensorflow__tensor_shape_proto__init(&d->shape);
	for (size_t i = 0; i < shape.rank; i++) {
		tensorflow__tensor_shape_proto__dim__init(&d->dims[i]);
		d->dims[i].size = shape.dims[i];
		d->list[i] = &d->dims[i];
	}
	d->shape.n_dim = shape.rank;
	d->shape.dim = d->list;
	return 0;
}

int entry_new(struct span key, int32_t dtype, struct shape shape,
	      struct extent *x, uint32_t crc32c, struct entry **ret)
{
	entry_proto p = TENSORFLOW__BUNDLE_ENTRY_PROTO__INIT;
	struct dims dims;
	int r = dims_init(&dims, shape);

	if (r < 0)
		return r;
	p.dtype = dtype;
	p.shape = &dims.shape;
	place(&p, x, crc32c);
	return make(key, &p, x, ret);
}

int entry_replace(const struct entry *old, struct extent *x, uint32_t crc32c,
		  struct entry **ret)
{
	CLEANUP(entry_proto_freep) entry_proto *p = NULL;
	int r = old->slices ? -EOPNOTSUPP : unpack(old, &p);

	if (r < 0)
		return r;
	place(p, x, crc32c);
	return make(old->key, p, x, ret);
}

int entry_retype(const struct entry *e, int32_t dtype, struct shape shape,
		 struct entry **ret)
{
	CLEANUP(entry_proto_freep) entry_proto *p = NULL;
	Tensorflow__TensorShapeProto *old;
	struct dims dims;
	int r = e->slices ? -EOPNOTSUPP : unpack(e, &p);

	if (!p || dims_init(&dims, shape) < 0)
		return r < 0 ? r : -EINVAL;
	old = p->shape;
	p->dtype = dtype;
	p->shape = &dims.shape;
	r = make(e->key, p, e->extent, ret);
	if (r == 0 && e->v1) {
		(*ret)->format = ENTRY_V1;
		entry_attach_v1(*ret, e->v1);
	}
	p->shape = old;
	return r;
}

int entry_with_parts(const struct entry *like, struct entry *const *parts,
		     struct entry **ret)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	const char *reason;
	int r = entry_parse(like->key, like->raw, ENTRY_V2, &e, &reason);

	if (r == 0)
		r = entry_attach_parts(e, parts);
	if (r == 0)
		*ret = STEAL(e);
	return r == -EBADMSG ? -EINVAL : r;
}

struct renaming {
	const struct entry *e;
	struct entry **parts;
	size_t n;
};

static int rename_part(void *arg, struct span key)
{
	struct renaming *to = arg;
	const struct entry *part = entry_part(to->e, to->n);
	int r = part ? entry_rename(part, key, &to->parts[to->n]) : 0;

	to->n++;
	return r;
}

/* The slices have keys of their own, which are made of the variable's. */
static int rename_parts(const struct entry *from, struct entry *e)
{
	struct renaming to = { from, NULL, 0 };

	e->parts = calloc(e->slices, sizeof(struct entry *));
	if (!e->parts)
		return -ENOMEM;
	to.parts = e->parts;
	return entry_slice_keys(e, rename_part, &to);
}

/* The bytes of the message stay, whatever is in them. */
int entry_rename(const struct entry *e, struct span key, struct entry **ret)
{
	CLEANUP(entry_unrefp) struct entry *renamed = NULL;
	const char *reason;
	bool may = e->format == ENTRY_V1 || may_be_key(key, e->extent);
	int r = may ? entry_parse(key, e->raw, e->format, &renamed, &reason)
		    : -EINVAL;

	if (r == 0 && e->extent)
		renamed->extent = extent_ref(e->extent);
	if (r == 0 && e->v1)
		entry_attach_v1(renamed, e->v1);
	if (r == 0 && e->parts)
		r = rename_parts(e, renamed);
	if (r == 0)
		*ret = STEAL(renamed);
	return r;
}

/* --- what it says ---------------------------------------------------------- */

struct span entry_key(const struct entry *e)
{
	return e->key;
}

int32_t entry_dtype(const struct entry *e)
{
	return e->dtype;
}

struct shape entry_shape(const struct entry *e)
{
	return e->shape;
}

uint64_t entry_elements(const struct entry *e)
{
	return e->elements;
}

uint64_t entry_size(const struct entry *e)
{
	return e->size;
}

uint64_t entry_offset(const struct entry *e)
{
	return e->offset;
}

int32_t entry_shard_id(const struct entry *e)
{
	return e->shard_id;
}

uint32_t entry_crc32c(const struct entry *e)
{
	return e->crc32c;
}

struct shard *entry_shard(const struct entry *e)
{
	return e->extent ? extent_shard(e->extent) : NULL;
}

bool entry_placed(const struct entry *e)
{
	return entry_shard(e) && !shard_is_unnamed(entry_shard(e));
}

const char *entry_file_name(const struct entry *e)
{
	if (e->v1)
		return v1_file_name(v1_record_file(e->v1));
	return entry_placed(e) ? shard_name(entry_shard(e)) : NULL;
}

struct extent *entry_extent(const struct entry *e)
{
	return e->extent;
}

static bool same_sum(const struct entry *a, const struct entry *b)
{
	return a && b && !a->v1 && !b->v1 && a->size == b->size &&
	       a->crc32c == b->crc32c && a->dtype == b->dtype &&
	       shape_equal(a->shape, b->shape);
}

bool entry_same_value(const struct entry *a, const struct entry *b)
{
	bool moved = a->extent != b->extent;
	bool same = same_sum(a, b) && a->slices == b->slices;

	for (size_t i = 0; same && i < a->slices; i++) {
		const struct entry *pa = entry_part(a, i);
		const struct entry *pb = entry_part(b, i);

		same = pa == pb || same_sum(pa, pb);
		moved |= pa && pb && pa->extent != pb->extent;
	}
	return same && moved;
}

/* Where nothing may be written, a read still has to be possible. */
int entry_spool(const struct entry *e)
{
	const struct v1_record *v1 = e->v1;
	struct shard *s = entry_shard(e);
	int fd = -EROFS;

	for (size_t i = 0; !s && !v1 && e->parts && i < e->slices; i++) {
		s = e->parts[i] ? entry_shard(e->parts[i]) : NULL;
		v1 = e->parts[i] ? e->parts[i]->v1 : NULL;
	}
	if (v1)
		return v1_file_spool(v1_record_file(v1), UINT64_MAX);
	if (s)
		fd = shard_spool(s);
	return fd == -EROFS || fd == -EACCES ? io_memory() : fd;
}

size_t entry_slices(const struct entry *e)
{
	return e->slices;
}

struct span entry_raw(const struct entry *e)
{
	return e->raw;
}

bool entry_big_endian(const struct entry *e)
{
	return e->extent && shard_big_endian(extent_shard(e->extent));
}

uint64_t entry_bytes(const struct entry *e)
{
	uint64_t item = dtype_size(e->dtype);
	uint64_t bytes;

	if (item == 0)
		return e->size;
	if (__builtin_mul_overflow(e->elements, item, &bytes) ||
	    bytes > INT64_MAX)
		return UINT64_MAX;
	return bytes;
}

uint64_t entry_stored(const struct entry *e)
{
	uint64_t n = entry_bytes(e);

	for (size_t i = 0; e->parts && !dtype_size(e->dtype) && i < e->slices;
	     i++)
		if (e->parts[i] &&
		    __builtin_add_overflow(n, e->parts[i]->size, &n))
			return UINT64_MAX;
	return n;
}

/* Bytes that are in the way of reading, not a matter of what we support. */
static const char *damage(const struct entry *e)
{
	struct shard *s = entry_shard(e);

	if (entry_bytes(e) == UINT64_MAX)
		return "its shape is larger than any file";
	/* What its slices say is a matter of theirs, and of a V1 file of the record. */
	if (e->slices || e->v1)
		return NULL;
	if (entry_bytes(e) != e->size)
		return "its size is not that of its dtype and shape";
	if (!s || shard_missing(s))
		return "its data shard is missing";
	if (e->size > 0 && e->offset + e->size > shard_end(s))
		return "its data shard ends before it";
	return NULL;
}

int entry_access(const struct entry *e, const char **ret_reason)
{
	if (e->format == ENTRY_V1 &&
	    !v1_dtype(e->v1 ? v1_record_dtype(e->v1) : e->dtype)) {
		*ret_reason = "V1 checkpoints have no tensors of its dtype";
		return -EOPNOTSUPP;
	}
	*ret_reason = damage(e);
	return *ret_reason ? -EIO : 0;
}

static void put_described(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len && i < DESCRIBED_MAX; i++)
		buf_printf(out, text.data[i] < ' ' ? "\\x%02x" : "%c",
			   text.data[i]);
	buf_put(out, text.len > DESCRIBED_MAX ? "..." : "",
		text.len > DESCRIBED_MAX ? 4 : 1);
}

char *text_describe(struct span text)
{
	CLEANUP(buf_release) struct buf out = { 0 };

	put_described(&out, text);
	return buf_error(&out) ? NULL : (char *)STEAL(out.data);
}

char *key_describe(struct span key, const char *label)
{
	CLEANUP(buf_release) struct buf out = { 0 };

	buf_printf(&out, "%s/", label);
	put_described(&out, key);
	return buf_error(&out) ? NULL : (char *)STEAL(out.data);
}

char *entry_describe(const struct entry *e, const char *label)
{
	return key_describe(e->key, label);
}
