#include "core/v1_writer.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/entry_proto.h"
#include "core/io.h"
#include "core/log.h"
#include "core/slice.h"
#include "core/table_writer.h"
#include "core/v1_encode.h"
#include "core/v1_record.h"
#include "core/v1_value.h"

#define CHUNK (UINT64_C(256) << 10)

/* TensorFlow's bound for the message of a slice, and what it adds for headers. */
#define MESSAGE_MAX    (UINT64_C(1) << 31)
#define MESSAGE_HEADER 1024

/* Field numbers. */
enum {
	SLICES_META = 1, /* of SavedTensorSlices */
	SLICES_DATA = 2,
	META_TENSOR = 1, /* of SavedTensorSliceMeta */
	META_VERSIONS = 2,
	TENSOR_NAME = 1, /* of SavedSliceMeta */
	TENSOR_SHAPE = 2,
	TENSOR_TYPE = 3,
	TENSOR_SLICE = 4,
	SLICE_NAME = 1, /* of SavedSlice */
	SLICE_SLICE = 2,
	SLICE_DATA = 3,
	SHAPE_DIM = 2, /* of TensorShapeProto */
	DIM_SIZE = 1,
	VERSION_PRODUCER = 1,
};

#define VERSION 1 /* TensorFlow's TF_CHECKPOINT_VERSION */

/* One slice of a variable: how it is listed, its key, and where its values are. */
struct part {
	struct buf slice; /* serialized TensorSliceProto */
	struct buf key;
	struct entry *entry; /* NULL where they are nowhere */
	bool wanted;
};

struct parts {
	struct entry *variable;
	struct part *at;
	size_t n;
	size_t wanted;
};

static void parts_release(struct parts *p)
{
	for (size_t i = 0; i < p->n; i++) {
		buf_release(&p->at[i].slice);
		buf_release(&p->at[i].key);
	}
	free(p->at);
}

/* --- messages --------------------------------------------------------------- */

static void put_number(struct buf *b, unsigned field, uint64_t value)
{
	if (value == 0)
		return;
	buf_put_varint(b, field << 3);
	buf_put_varint(b, value);
}

/* What begins a field of `n` bytes. */
static void put_head(struct buf *b, unsigned field, uint64_t n)
{
	buf_put_varint(b, field << 3 | 2);
	buf_put_varint(b, n);
}

static void put_bytes(struct buf *b, unsigned field, struct span s)
{
	put_head(b, field, s.len);
	buf_put(b, s.data, s.len);
}

/* A message within one; what went wrong with it is remembered. */
static void put_message(struct buf *b, unsigned field, const struct buf *m)
{
	if (buf_error(m) && !b->error)
		b->error = buf_error(m);
	put_bytes(b, field, buf_span(m));
}

static void put_name(struct buf *b, unsigned field, struct span name)
{
	if (name.len)
		put_bytes(b, field, name);
}

static void put_shape(struct buf *b, struct shape shape)
{
	for (size_t i = 0; i < shape.rank; i++) {
		CLEANUP(buf_release) struct buf dim = { 0 };

		put_number(&dim, DIM_SIZE, (uint64_t)shape.dims[i]);
		put_message(b, SHAPE_DIM, &dim);
	}
}

/* The slice that is all of a tensor: an empty extent in each dimension. */
static void put_whole(struct buf *b, size_t rank)
{
	for (size_t i = 0; i < rank; i++)
		put_head(b, 1, 0);
}

/* --- slices ------------------------------------------------------------------ */

static int whole_part(struct entry *e, struct part *ret)
{
	struct slice_extent extents[SHAPE_MAX_RANK];
	size_t rank = entry_shape(e).rank;

	if (rank > SHAPE_MAX_RANK)
		return -EINVAL;
	for (size_t i = 0; i < rank; i++)
		extents[i] = (struct slice_extent){ 0, -1 };
	ret->entry = e;
	put_whole(&ret->slice, rank);
	slice_put_key(entry_key(e), extents, rank, &ret->key);
	return buf_error(&ret->slice) ? buf_error(&ret->slice)
				      : buf_error(&ret->key);
}

static int add_key(void *arg, struct span key)
{
	struct parts *p = arg;
	struct part *part = &p->at[p->n];

	part->entry = entry_part(p->variable, p->n);
	p->n++;
	buf_put(&part->key, key.data, key.len);
	return buf_error(&part->key);
}

static int add_slices(struct parts *p)
{
	struct span raw = entry_raw(p->variable);
	CLEANUP(entry_proto_freep)
	entry_proto *m = tensorflow__bundle_entry_proto__unpack(NULL, raw.len,
								raw.data);
	int r = m && m->n_slices == p->n ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		const Tensorflow__TensorSliceProto *s = m->slices[i];
		struct buf *b = &p->at[i].slice;

		buf_put_zeros(
			b, tensorflow__tensor_slice_proto__get_packed_size(s));
		r = buf_error(b);
		if (r == 0 && b->len)
			(void)tensorflow__tensor_slice_proto__pack(s, b->data);
	}
	return r;
}

static int parts_init(struct parts *p, struct entry *e)
{
	size_t n = entry_slices(e) ? entry_slices(e) : 1;
	int r;

	*p = (struct parts){ .variable = e };
	p->at = calloc(n, sizeof(*p->at));
	if (!p->at)
		return -ENOMEM;
	if (entry_slices(e) == 0) {
		p->n = 1;
		return whole_part(e, &p->at[0]);
	}
	r = entry_slice_keys(e, add_key, p);
	return r < 0 ? r : add_slices(p);
}

static int by_key(const void *a, const void *b)
{
	const struct part *pa = a, *pb = b;

	return span_compare(buf_span(&pa->key), buf_span(&pb->key));
}

/* --- what V1 cannot hold ------------------------------------------------------ */

static const char *check(struct span name, uint64_t slice_len, int32_t dtype,
			 uint64_t elements, uint64_t size)
{
	uint64_t each = v1_encode_most(dtype);
	uint64_t bound = MESSAGE_HEADER + name.len + slice_len + 12;
	uint64_t bytes;

	if (each == 0)
		return "V1 checkpoints have no such dtype";
	if (__builtin_mul_overflow(each, elements, &bytes) ||
	    __builtin_add_overflow(bound, bytes, &bound) ||
	    (dtype == DT_STRING &&
	     __builtin_add_overflow(bound, size, &bound)) ||
	    bound > MESSAGE_MAX)
		return "it is larger than a tensor in a V1 checkpoint may be";
	return NULL;
}

const char *v1_refuses_value(struct span name, int32_t dtype,
			     struct shape shape, uint64_t size)
{
	uint64_t elements;

	if (!shape_elements(shape, &elements))
		return "its shape is none";
	return check(name, 2 * shape.rank, dtype, elements, size);
}

/* Whether its bytes can be copied as they lie in a V1 file. */
static bool copied(const struct entry *e)
{
	return entry_v1(e) && v1_record_dtype(entry_v1(e)) == entry_dtype(e);
}

const char *v1_refuses(const struct entry *e)
{
	const char *reason = NULL;

	if (entry_slices(e) == 0)
		return copied(e)
			       ? NULL
			       : v1_refuses_value(entry_key(e), entry_dtype(e),
						  entry_shape(e),
						  entry_size(e));
	for (size_t i = 0; !reason && i < entry_slices(e); i++) {
		const struct entry *part = entry_part(e, i);

		/* The extents of a slice take at most so many bytes each. */
		if (part && !copied(part))
			reason = check(entry_key(e), 24 * entry_shape(e).rank,
				       entry_dtype(part), entry_elements(part),
				       entry_size(part));
	}
	return reason;
}

/* --- the file ----------------------------------------------------------------- */

/* Everything up to the TensorProto, which takes `n` bytes. */
static void put_record_head(struct span name, const struct part *p, uint64_t n,
			    struct buf *ret)
{
	CLEANUP(buf_release) struct buf slice = { 0 };

	put_name(&slice, SLICE_NAME, name);
	put_message(&slice, SLICE_SLICE, &p->slice);
	put_head(&slice, SLICE_DATA, n);
	put_head(ret, SLICES_DATA, slice.len + n);
	buf_put(ret, slice.data, slice.len);
	if (buf_error(&slice))
		ret->error = buf_error(&slice);
}

static int begin_record(struct table_writer *w, struct span name,
			const struct part *p, uint64_t n)
{
	CLEANUP(buf_release) struct buf head = { 0 };

	put_record_head(name, p, n, &head);
	if (buf_error(&head))
		return buf_error(&head);
	table_writer_begin(w, buf_span(&p->key), head.len + n);
	table_writer_put(w, head.data, head.len);
	return table_writer_error(w);
}

static int copy_file(struct table_writer *w, int fd, uint64_t offset,
		     uint64_t n)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < n; at += CHUNK) {
		size_t len = n - at < CHUNK ? n - at : CHUNK;

		r = io_read_at(fd, chunk, len, offset + at);
		if (r == 0)
			table_writer_put(w, chunk, len);
		if (r == 0)
			r = table_writer_error(w);
	}
	return r;
}

/* The values as they lie in the V1 file that was read. */
static int copy_record(struct table_writer *w, struct span name,
		       const struct part *p, const char *label)
{
	CLEANUP(close_fd) int fd = -1;
	uint64_t offset, n;
	int r = v1_value_proto(entry_v1(p->entry), label, &fd, &offset, &n);

	if (r == -EIO)
		log_error("%s: as long as it cannot be read, nothing can be "
			  "written to its file, whose values are all copied: "
			  "give it another value, or remove it",
			  label);
	if (r == 0)
		r = begin_record(w, name, p, n);
	return r < 0 ? r : copy_file(w, fd, offset, n);
}

static int encode_record(struct table_writer *w, struct span name,
			 const struct part *p, const char *label)
{
	CLEANUP(v1_encoder_freep) struct v1_encoder *e = NULL;
	int r = v1_encoder_new(p->entry, label, &e);

	if (r == 0)
		r = begin_record(w, name, p, v1_encoder_size(e));
	return r < 0 ? r : v1_encode(e, w);
}

static int write_parts(struct table_writer *w, struct parts *p)
{
	struct span name = entry_key(p->variable);
	CLEANUP(free_ptr) char *label = text_describe(name);
	int r = label ? 0 : -ENOMEM;

	qsort(p->at, p->n, sizeof(*p->at), by_key);
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		const struct part *part = &p->at[i];

		if (!part->wanted || !part->entry)
			continue;
		r = copied(part->entry) ? copy_record(w, name, part, label)
					: encode_record(w, name, part, label);
	}
	return r;
}

static void put_listing(const struct parts *p, struct buf *meta)
{
	CLEANUP(buf_release) struct buf tensor = { 0 };
	CLEANUP(buf_release) struct buf shape = { 0 };

	put_shape(&shape, entry_shape(p->variable));
	put_name(&tensor, TENSOR_NAME, entry_key(p->variable));
	put_message(&tensor, TENSOR_SHAPE, &shape);
	put_number(&tensor, TENSOR_TYPE, (uint64_t)entry_dtype(p->variable));
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].wanted)
			put_message(&tensor, TENSOR_SLICE, &p->at[i].slice);
	put_message(meta, META_TENSOR, &tensor);
}

/* What is written, and of that, which slices. */
struct choice {
	struct entry *const *entries;
	size_t n;
	bool (*wanted)(void *arg, struct entry *e, struct entry *part);
	void *arg;
};

static int parts_choose(struct parts *p, struct entry *e,
			const struct choice *c)
{
	int r = parts_init(p, e);

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		p->at[i].wanted = !c->wanted ||
				  c->wanted(c->arg, e, p->at[i].entry);
		p->wanted += p->at[i].wanted;
	}
	return r;
}

static int write_list(struct table_writer *w, const struct choice *c)
{
	CLEANUP(buf_release) struct buf meta = { 0 };
	CLEANUP(buf_release) struct buf versions = { 0 };
	CLEANUP(buf_release) struct buf value = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++) {
		CLEANUP(parts_release) struct parts p = { 0 };

		r = parts_choose(&p, c->entries[i], c);
		if (r == 0 && p.wanted)
			put_listing(&p, &meta);
	}
	put_number(&versions, VERSION_PRODUCER, VERSION);
	put_message(&meta, META_VERSIONS, &versions);
	put_message(&value, SLICES_META, &meta);
	if (r == 0)
		r = buf_error(&value);
	if (r == 0)
		table_writer_add(w, (struct span){ 0 }, buf_span(&value));
	return r < 0 ? r : table_writer_error(w);
}

static int write_values(struct table_writer *w, const struct choice *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++) {
		CLEANUP(parts_release) struct parts p = { 0 };

		r = parts_choose(&p, c->entries[i], c);
		if (r == 0 && p.wanted)
			r = write_parts(w, &p);
	}
	return r;
}

int v1_write_some(int fd, struct entry *const *entries, size_t n,
		  bool (*wanted)(void *arg, struct entry *e,
				 struct entry *part),
		  void *arg)
{
	const struct choice c = { entries, n, wanted, arg };
	struct table_writer *w = NULL;
	int r = table_writer_new_file(fd, &w);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = v1_refuses(entries[i]) ? -EOPNOTSUPP : 0;
	if (r == 0)
		r = write_list(w, &c);
	if (r == 0)
		r = write_values(w, &c);
	if (r == 0)
		r = table_writer_finish(w, 0);
	table_writer_free(w);
	return r;
}

int v1_write(int fd, struct entry *const *entries, size_t n)
{
	return v1_write_some(fd, entries, n, NULL, NULL);
}
