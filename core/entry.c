#include "core/entry.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/extent.h"
#include "core/shard.h"
#include "core/slice.h"
#include "proto/tensor_bundle.pb-c.h"

#define SLICES_MAX    8192 /* they are compared each with each */
#define DESCRIBED_MAX 256  /* bytes of a key in a message */

struct entry {
	atomic_uint refs;
	int32_t dtype;
	int32_t shard_id;
	uint32_t crc32c;
	enum entry_format format;
	struct extent *extent;
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

typedef Tensorflow__BundleEntryProto entry_proto;

static void entry_proto_freep(entry_proto **p)
{
	if (*p)
		tensorflow__bundle_entry_proto__free_unpacked(*p, NULL);
}

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
	free(e);
}

static struct slice_extent extent_of(
	const Tensorflow__TensorSliceProto__Extent *x)
{
	bool has_length =
		x->has_length_case ==
		TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;

	return (struct slice_extent){ x->start, has_length ? x->length : -1 };
}

/* Whether two slices share an element: whether they do in every dimension. */
static bool overlap(const Tensorflow__TensorSliceProto *a,
		    const Tensorflow__TensorSliceProto *b)
{
	for (size_t i = 0; i < a->n_extent; i++) {
		struct slice_extent ea = extent_of(a->extent[i]);
		struct slice_extent eb = extent_of(b->extent[i]);
		bool apart = ea.length >= 0 && eb.length >= 0 &&
			     (ea.start - eb.start >= eb.length ||
			      eb.start - ea.start >= ea.length);

		if (apart)
			return false;
	}
	return true;
}

/* What must hold for slices, or TensorFlow aborts when it opens the index. */
static const char *check_slices(const entry_proto *p)
{
	if (p->n_slices > SLICES_MAX)
		return "it has more slices than are looked at";
	for (size_t i = 0; i < p->n_slices; i++) {
		if (!p->shape || p->slices[i]->n_extent != p->shape->n_dim)
			return "a slice has another rank than its variable";
		for (size_t j = 0; j < p->slices[i]->n_extent; j++)
			if (p->slices[i]->extent[j]->start < 0)
				return "a slice begins before its variable";
	}
	for (size_t i = 0; i < p->n_slices; i++)
		for (size_t j = 0; j < i; j++)
			if (overlap(p->slices[i], p->slices[j]))
				return "its slices overlap";
	return NULL;
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
	return check_slices(p);
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
	r = key.len ? entry_parse(key, buf_span(&raw), ENTRY_V2, &e, &reason)
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
	p->shape = old;
	return r;
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
	int r = key.len ? entry_parse(key, e->raw, e->format, &renamed, &reason)
			: -EINVAL;

	if (r == 0 && e->extent)
		renamed->extent = extent_ref(e->extent);
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

struct extent *entry_extent(const struct entry *e)
{
	return e->extent;
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

/* Bytes that are in the way of reading, not a matter of what we support. */
static const char *damage(const struct entry *e)
{
	struct shard *s = entry_shard(e);
	uint64_t bytes;

	if (dtype_size(e->dtype) &&
	    (__builtin_mul_overflow(e->elements, dtype_size(e->dtype),
				    &bytes) ||
	     bytes != e->size))
		return "its size is not that of its dtype and shape";
	if (!s || shard_missing(s))
		return "its data shard is missing";
	if (e->size > 0 && e->offset + e->size > shard_end(s))
		return "its data shard ends before it";
	return NULL;
}

int entry_access(const struct entry *e, const char **ret_reason)
{
	const char *reason;

	if (e->format == ENTRY_V1)
		reason = "this version does not read V1 checkpoints";
	else if (e->slices)
		reason = "this version does not read partitioned variables";
	else if (e->dtype == DT_VARIANT)
		reason = "this version does not read variant tensors";
	else if (entry_big_endian(e))
		reason = "this version does not read big-endian bundles";
	else
		reason = NULL;
	if (reason) {
		*ret_reason = reason;
		return -EOPNOTSUPP;
	}

	reason = damage(e);
	if (reason) {
		*ret_reason = reason;
		return -EIO;
	}
	return 0;
}

char *key_describe(struct span key, const char *label)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	bool cut = key.len > DESCRIBED_MAX;

	buf_printf(&text, "%s/", label);
	for (size_t i = 0; i < key.len && i < DESCRIBED_MAX; i++)
		buf_printf(&text, key.data[i] < ' ' ? "\\x%02x" : "%c",
			   key.data[i]);
	buf_put(&text, cut ? "..." : "", cut ? 4 : 1);
	return buf_error(&text) ? NULL : (char *)STEAL(text.data);
}

char *entry_describe(const struct entry *e, const char *label)
{
	return key_describe(e->key, label);
}

int entry_slice_keys(const struct entry *e,
		     int (*each)(void *arg, struct span key), void *arg)
{
	CLEANUP(entry_proto_freep)
	entry_proto *p = tensorflow__bundle_entry_proto__unpack(
		NULL, e->raw.len, e->raw.data);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_slices; i++) {
		const Tensorflow__TensorSliceProto *slice = p->slices[i];
		CLEANUP(buf_release) struct buf key = { 0 };
		struct slice_extent extents[SHAPE_MAX_RANK];
		int r;

		for (size_t j = 0; j < slice->n_extent; j++)
			extents[j] = extent_of(slice->extent[j]);
		slice_put_key(e->key, extents, slice->n_extent, &key);
		r = buf_error(&key);
		if (r == 0)
			r = each(arg, buf_span(&key));
		if (r < 0)
			return r;
	}
	return 0;
}
