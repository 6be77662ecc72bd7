#include "core/v1.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/list.h"
#include "core/log.h"
#include "core/slice.h"
#include "core/table.h"
#include "core/v1_file.h"
#include "core/v1_record.h"
#include "core/version.h"
#include "proto/saved_tensor_slice.pb-c.h"

#define VERSION   1 /* of the format: TensorFlow's TF_CHECKPOINT_VERSION */
#define FILES_MAX 16384

typedef Tensorflow__SavedTensorSlices slices_proto;
typedef Tensorflow__SavedSliceMeta slice_meta;
typedef Tensorflow__TensorSliceProto slice_proto;

/* A tensor as one file lists it. */
struct item {
	const slice_meta *meta;
	struct v1_file *file; /* borrowed, as the rest of the listing holds it */
	size_t number;        /* among all that are listed */
};

struct listing {
	const char *prefix;
	struct list files;   /* counted */
	struct list protos;  /* owned */
	struct list entries; /* counted */
	struct item *items;
	size_t n, cap;
	const char *damage;
};

/* One slice of a tensor, and the file that has it. */
struct place {
	slice_proto *slice; /* NULL: all of the tensor, which lists no slices */
	struct v1_file *file;
};

/* What all files list under one name. */
struct tensor {
	const slice_meta *meta; /* of the first */
	struct place *places;
	size_t n;
};

static void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->entries.n; i++)
		entry_unref(l->entries.items[i]);
	for (size_t i = 0; i < l->files.n; i++)
		v1_file_unref(l->files.items[i]);
	for (size_t i = 0; i < l->protos.n; i++)
		tensorflow__saved_tensor_slices__free_unpacked(
			l->protos.items[i], NULL);
	free(l->entries.items);
	free(l->files.items);
	free(l->protos.items);
	free(l->items);
}

/* Says the first fault only: a damaged list has thousands. */
static void note_damage(struct listing *l, const char *reason)
{
	if (l->damage)
		return;
	l->damage = reason ? reason : "its list of tensors is damaged";
	log_error("%s: shown as far as it goes, and not written to: %s",
		  l->prefix, l->damage);
}

/* --- the lists of the files ----------------------------------------------- */

static int add_items(struct listing *l, const slices_proto *p,
		     struct v1_file *file)
{
	size_t n = p->meta->n_tensor;

	if (l->n + n > l->cap) {
		size_t cap = l->n + n + l->cap;
		struct item *items = reallocarray(l->items, cap,
						  sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->cap = cap;
	}
	for (size_t i = 0; i < n; i++, l->n++)
		l->items[l->n] = (struct item){ p->meta->tensor[i], file,
						l->n };
	return 0;
}

static int add_list(struct listing *l, struct v1_file *file, struct span raw)
{
	slices_proto *p = tensorflow__saved_tensor_slices__unpack(NULL, raw.len,
								  raw.data);
	const char *reason;
	int r;

	if (!p)
		reason = "the list of its tensors does not parse";
	else if (!p->meta)
		reason = "it has no list of its tensors";
	else
		reason = version_refuses(p->meta->versions, VERSION);
	if (reason)
		log_error("%s: not shown: %s", v1_file_name(file), reason);
	r = reason ? -EIO : add_items(l, p, file);
	if (r == 0)
		r = list_add(&l->protos, p);
	if (r < 0 && p)
		tensorflow__saved_tensor_slices__free_unpacked(p, NULL);
	return r;
}

static int spool(const void *file, uint64_t n)
{
	return v1_file_spool(file, n);
}

/* The list is under the empty key.  In its block there may be values as well. */
static int read_list(struct listing *l, struct v1_file *file)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct stretch at;
	int r = table_find(v1_file_table(file), (struct span){ 0 }, spool, file,
			   &fd, &at);

	if (r == -ENOENT) {
		log_error("%s: not shown: it has no list of its tensors",
			  v1_file_name(file));
		return -EIO;
	}
	if (r == -EIO)
		return r;
	if (r == 0)
		buf_put_zeros(&raw, at.size);
	if (r == 0)
		r = buf_error(&raw);
	if (r == 0)
		r = io_read_at(fd < 0 ? v1_file_fd(file) : fd, raw.data,
			       raw.len, at.offset);
	if (r < 0) {
		log_error("%s: not shown: the list of its tensors cannot be "
			  "read: %s",
			  v1_file_name(file), strerror(-r));
		return r;
	}
	return add_list(l, file, buf_span(&raw));
}

static int read_file(struct listing *l, int dirfd, const char *name)
{
	struct v1_file *file;
	int r = v1_file_open(dirfd, name, &file);

	if (r < 0)
		return r == -EINVAL ? -EBADMSG : r;
	r = list_add(&l->files, file);
	if (r < 0) {
		v1_file_unref(file);
		return r;
	}
	return read_list(l, file);
}

/* The M of a file PREFIX-00000-of-MMMMM in the directory; 0 if there is none. */
static unsigned count_files(int dirfd, const char *prefix)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(prefix);
	const struct dirent *e;
	unsigned long n = 0;

	while (d && n == 0 && (e = readdir(d))) {
		CLEANUP(free_ptr) char *name = NULL;

		if (strncmp(e->d_name, prefix, len) != 0 ||
		    strncmp(e->d_name + len, "-00000-of-", 10) != 0)
			continue;
		n = strtoul(e->d_name + len + 10, NULL, 10);
		name = n <= FILES_MAX ? v1_file_name_of(prefix, 0, (unsigned)n)
				      : NULL;
		if (!name || strcmp(name, e->d_name) != 0)
			n = 0;
	}
	if (d)
		(void)closedir(d);
	else
		close_fd(&fd);
	return (unsigned)n;
}

/* Beside PREFIX-00000-of-NNNNN there may be a directory PREFIX. */
static bool is_one_file(int dirfd, const char *prefix)
{
	struct stat st;

	return io_stat(dirfd, prefix, &st) == 0 && S_ISREG(st.st_mode);
}

char *v1_first_name(int dirfd, const char *prefix)
{
	bool one = is_one_file(dirfd, prefix);

	return v1_file_name_of(prefix, 0, one ? 0 : count_files(dirfd, prefix));
}

static int read_files(struct listing *l, int dirfd, unsigned n)
{
	int r = n ? 0 : -ENOENT;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		CLEANUP(free_ptr)
		char *name = v1_file_name_of(l->prefix, i, n);

		r = name ? read_file(l, dirfd, name) : -ENOMEM;
		/* TensorFlow reads the files that it finds. */
		if (r == -ENOENT && i > 0) {
			note_damage(l, "one of its files is missing");
			r = 0;
		}
	}
	return r;
}

/* --- entries --------------------------------------------------------------- */

static bool has_length(const Tensorflow__TensorSliceProto__Extent *x)
{
	return x->has_length_case ==
	       TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;
}

static size_t rank_of(const slice_meta *m)
{
	return m->shape ? m->shape->n_dim : 0;
}

/*
 * Only empty extents are the whole, one for each dimension: (0, n) of a dimension n is a
 * slice of it.
 */
static bool is_whole(const slice_meta *m, const slice_proto *s)
{
	for (size_t i = 0; s && i < s->n_extent; i++)
		if (has_length(s->extent[i]) || s->extent[i]->start != 0)
			return false;
	return !s || s->n_extent == rank_of(m);
}

/* Whether it lies within the tensor, whose dimensions were checked. */
static bool slice_fits(const slice_meta *m, const slice_proto *s)
{
	if (s->n_extent != rank_of(m))
		return false;
	for (size_t i = 0; i < s->n_extent; i++) {
		const Tensorflow__TensorSliceProto__Extent *x = s->extent[i];
		int64_t size = m->shape->dim[i]->size;

		if (has_length(x) ? x->start < 0 || x->length < 0 ||
					    x->start > size ||
					    x->length > size - x->start
				  : x->start != 0)
			return false;
	}
	return true;
}

/* Bytes the value takes in memory; 0 where that is not known from its type. */
static int64_t value_bytes(int32_t dtype,
			   const Tensorflow__TensorShapeProto *shape)
{
	int64_t bytes = (int64_t)dtype_size(dtype);

	for (size_t i = 0; shape && i < shape->n_dim; i++)
		if (__builtin_mul_overflow(bytes, shape->dim[i]->size, &bytes))
			return 0;
	return bytes < 0 ? 0 : bytes;
}

/* The list has no entries as an index has them, so they are made. */
static int make_entry(struct span key, Tensorflow__BundleEntryProto *p,
		      struct entry **ret, const char **ret_reason)
{
	CLEANUP(buf_release) struct buf raw = { 0 };

	buf_put_zeros(&raw, tensorflow__bundle_entry_proto__get_packed_size(p));
	if (buf_error(&raw))
		return buf_error(&raw);
	(void)tensorflow__bundle_entry_proto__pack(p, raw.data);
	return entry_parse(key, buf_span(&raw), ENTRY_V1, ret, ret_reason);
}

/* The entry of what lies in one record: a slice, or all of a tensor. */
static int make_part(struct listing *l, struct span name,
		     struct span record_key, int32_t dtype,
		     Tensorflow__TensorShapeProto *shape, struct v1_file *file)
{
	Tensorflow__BundleEntryProto p = TENSORFLOW__BUNDLE_ENTRY_PROTO__INIT;
	struct v1_record *record = NULL;
	struct entry *e = NULL;
	const char *reason = NULL;
	int r;

	p.dtype = dtype;
	p.shape = shape;
	p.size = value_bytes(dtype, shape);
	r = make_entry(name, &p, &e, &reason);
	if (r == -EBADMSG) {
		note_damage(l, reason);
		return 0;
	}
	if (r == 0)
		r = v1_record_new(file, record_key, dtype, entry_elements(e),
				  &record);
	if (r == 0) {
		entry_attach_v1(e, record);
		r = list_add(&l->entries, e);
	}
	v1_record_unref(record);
	if (r < 0)
		entry_unref(e);
	return r;
}

static void slice_key(const slice_meta *m, const slice_proto *s,
		      struct buf *out)
{
	struct slice_extent extents[SHAPE_MAX_RANK];
	size_t rank = rank_of(m);

	for (size_t i = 0; i < rank; i++)
		extents[i] =
			s && has_length(s->extent[i])
				? (struct slice_extent){ s->extent[i]->start,
							 s->extent[i]->length }
				: (struct slice_extent){ 0, -1 };
	slice_put_key((struct span){ m->name.data, m->name.len }, extents, rank,
		      out);
}

static int add_whole(struct listing *l, const struct tensor *t)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct span name = { t->meta->name.data, t->meta->name.len };

	if (rank_of(t->meta) > SHAPE_MAX_RANK) {
		note_damage(l, "a tensor has more than 254 dimensions");
		return 0;
	}
	slice_key(t->meta, NULL, &key);
	if (buf_error(&key))
		return buf_error(&key);
	return make_part(l, name, buf_span(&key), t->meta->type, t->meta->shape,
			 t->places[0].file);
}

static int add_slice(struct listing *l, const slice_meta *m,
		     const struct place *at)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	Tensorflow__TensorShapeProto shape =
		TENSORFLOW__TENSOR_SHAPE_PROTO__INIT;
	Tensorflow__TensorShapeProto__Dim dims[SHAPE_MAX_RANK];
	Tensorflow__TensorShapeProto__Dim *list[SHAPE_MAX_RANK];

	shape.n_dim = rank_of(m);
	shape.dim = list;
	for (size_t i = 0; i < shape.n_dim; i++) {
		tensorflow__tensor_shape_proto__dim__init(&dims[i]);
		dims[i].size = has_length(at->slice->extent[i])
				       ? at->slice->extent[i]->length
				       : m->shape->dim[i]->size;
		list[i] = &dims[i];
	}
	slice_key(m, at->slice, &key);
	if (buf_error(&key))
		return buf_error(&key);
	return make_part(l, buf_span(&key), buf_span(&key), m->type, &shape,
			 at->file);
}

/* The entry of a partitioned variable, and those of its slices. */
static int add_partitioned(struct listing *l, const struct tensor *t)
{
	CLEANUP(free_ptr)
	slice_proto **slices = calloc(t->n + 1, sizeof(slice_proto *));
	Tensorflow__BundleEntryProto p = TENSORFLOW__BUNDLE_ENTRY_PROTO__INIT;
	struct span name = { t->meta->name.data, t->meta->name.len };
	struct entry *e = NULL;
	const char *reason = NULL;
	int r;

	if (!slices)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		slices[i] = t->places[i].slice;
		if (!slices[i] || !slice_fits(t->meta, slices[i])) {
			note_damage(l, "a slice does not fit its tensor");
			return 0;
		}
	}
	p.dtype = t->meta->type;
	p.shape = t->meta->shape;
	p.n_slices = t->n;
	p.slices = slices;
	r = make_entry(name, &p, &e, &reason);
	if (r == -EBADMSG) {
		note_damage(l, reason);
		return 0;
	}
	if (r == 0)
		r = list_add(&l->entries, e);
	if (r < 0) {
		entry_unref(e);
		return r;
	}
	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = add_slice(l, t->meta, &t->places[i]);
	return r;
}

static bool same_shape(const slice_meta *a, const slice_meta *b)
{
	if (rank_of(a) != rank_of(b))
		return false;
	for (size_t i = 0; i < rank_of(a); i++)
		if (a->shape->dim[i]->size != b->shape->dim[i]->size)
			return false;
	return true;
}

/* All that `n` items of one name list.  A tensor that lists no slices has one place. */
static int gather(struct listing *l, const struct item *items, size_t n,
		  struct tensor *ret)
{
	size_t cap = 0;

	for (size_t i = 0; i < n; i++)
		cap += items[i].meta->n_slice + 1;
	*ret = (struct tensor){ items[0].meta, NULL, 0 };
	ret->places = calloc(cap, sizeof(*ret->places));
	if (!ret->places)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const slice_meta *m = items[i].meta;

		if (m->type != ret->meta->type || !same_shape(m, ret->meta)) {
			note_damage(l, "a tensor is listed with different "
				       "dtypes or shapes");
			continue;
		}
		for (size_t j = 0; j < m->n_slice; j++)
			ret->places[ret->n++] = (struct place){ m->slice[j],
								items[i].file };
		if (m->n_slice == 0)
			ret->places[ret->n++] = (struct place){ NULL,
								items[i].file };
	}
	return 0;
}

static int add_tensor(struct listing *l, const struct item *items, size_t n)
{
	struct tensor t;
	int r = gather(l, items, n, &t);

	if (r == 0)
		r = t.n == 1 && is_whole(t.meta, t.places[0].slice)
			    ? add_whole(l, &t)
			    : add_partitioned(l, &t);
	free(t.places);
	return r;
}

static int name_order(const struct item *a, const struct item *b)
{
	return span_compare(
		(struct span){ a->meta->name.data, a->meta->name.len },
		(struct span){ b->meta->name.data, b->meta->name.len });
}

/* By name; those of one name as the files list them. */
static int by_name(const void *a, const void *b)
{
	const struct item *ia = a, *ib = b;
	int order = name_order(ia, ib);

	return order ? order
		     : (ia->number > ib->number) - (ia->number < ib->number);
}

static int add_tensors(struct listing *l)
{
	int r = 0;

	if (l->n > 0)
		qsort(l->items, l->n, sizeof(*l->items), by_name);
	for (size_t i = 0, n; r == 0 && i < l->n; i += n) {
		const struct item *first = &l->items[i];

		for (n = 1; i + n < l->n; n++)
			if (name_order(first, first + n) != 0)
				break;
		r = add_tensor(l, first, n);
	}
	return r;
}

int v1_open(int dirfd, const char *prefix, struct bundle **ret)
{
	CLEANUP(listing_release) struct listing l = { .prefix = prefix };
	unsigned n = 0;
	int r;

	if (is_one_file(dirfd, prefix)) {
		r = read_file(&l, dirfd, prefix);
	} else {
		n = count_files(dirfd, prefix);
		r = read_files(&l, dirfd, n);
	}
	if (r == 0)
		r = add_tensors(&l);
	if (r < 0)
		return r;
	return bundle_of_v1(dirfd, prefix,
			    &(struct bundle_v1){
				    .files = (struct v1_file **)l.files.items,
				    .n_files = l.files.n,
				    .of = n,
				    .damage = l.damage,
				    .entries = (struct entry **)l.entries.items,
				    .n = l.entries.n,
			    },
			    ret);
}
