#include "core/bundle_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/checksum.h"
#include "core/cleanup.h"
#include "core/content.h"
#include "core/crc32c.h"
#include "core/dtype.h"
#include "core/entry_proto.h"
#include "core/io.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/table_writer.h"

#define CHUNK (UINT64_C(1) << 20)
/* What was written is sent to the disk each time this much has gathered. */
#define WRITE_BACK (UINT64_C(16) << 20)
#define PRODUCER   1 /* TensorFlow's kTensorBundleVersion */

typedef Tensorflow__BundleHeaderProto header_proto;

/* Keys and messages of all entries lie in one buffer, by their place in it. */
struct line {
	size_t key, key_len;
	size_t raw, raw_len;
};

struct file {
	int fd;
	uint64_t end;
	uint64_t sent; /* to the disk */
};

struct bundle_writer {
	struct file *files;
	int32_t n_files;
	struct buf text;
	struct line *lines;
	size_t n_lines;
	size_t cap_lines;
	uint8_t *chunk;
};

/* Where a value went. */
struct spot {
	int32_t shard;
	uint64_t offset;
	uint64_t size;
	uint32_t crc32c;
};

static void header_proto_freep(header_proto **p)
{
	if (*p)
		tensorflow__bundle_header_proto__free_unpacked(*p, NULL);
}

int bundle_writer_new(const int *fds, int32_t n, struct bundle_writer **ret)
{
	CLEANUP(bundle_writer_freep)
	struct bundle_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->files = calloc((size_t)n + 1, sizeof(*w->files));
	w->chunk = malloc(CHUNK);
	if (!w->files || !w->chunk)
		return -ENOMEM;
	for (int32_t i = 0; i < n; i++)
		w->files[i].fd = fds[i];
	w->n_files = n;
	*ret = STEAL(w);
	return 0;
}

void bundle_writer_free(struct bundle_writer *w)
{
	if (!w)
		return;
	buf_release(&w->text);
	free(w->lines);
	free(w->files);
	free(w->chunk);
	free(w);
}

/* --- entries --------------------------------------------------------------- */

/* A line of a key and room for `raw_len` bytes, which are the last of `text`. */
static int new_line(struct bundle_writer *w, struct span key, size_t raw_len)
{
	if (w->n_lines == w->cap_lines) {
		size_t cap = w->cap_lines ? 2 * w->cap_lines : 64;
		struct line *lines = reallocarray(w->lines, cap,
						  sizeof(*lines));

		if (!lines)
			return -ENOMEM;
		w->lines = lines;
		w->cap_lines = cap;
	}
	w->lines[w->n_lines] = (struct line){ w->text.len, key.len,
					      w->text.len + key.len, raw_len };
	buf_put(&w->text, key.data, key.len);
	buf_put_zeros(&w->text, raw_len);
	if (buf_error(&w->text))
		return buf_error(&w->text);
	w->n_lines++;
	return 0;
}

static int add_line(struct bundle_writer *w, struct span key,
		    const entry_proto *p)
{
	size_t len = tensorflow__bundle_entry_proto__get_packed_size(p);
	int r = new_line(w, key, len);

	if (r == 0)
		(void)tensorflow__bundle_entry_proto__pack(
			p, w->text.data + w->text.len - len);
	return r;
}

int bundle_writer_keep(struct bundle_writer *w, const struct entry *e)
{
	struct span raw = entry_raw(e);
	int r = new_line(w, entry_key(e), raw.len);

	if (r == 0)
		memcpy(w->text.data + w->text.len - raw.len, raw.data, raw.len);
	return r;
}

static void place(entry_proto *p, const struct spot *at)
{
	p->shard_id = at->shard;
	p->offset = (int64_t)at->offset;
	p->size = (int64_t)at->size;
	p->crc32c = crc32c_mask(at->crc32c);
}

/*
 * As `p`, without fields that nobody knows and names of dimensions; with its slices only
 * if it has no bytes of its own.
 */
static int add_plain(struct bundle_writer *w, struct span key,
		     const entry_proto *p, bool slices)
{
	size_t rank = p->shape ? p->shape->n_dim : 0;
	entry_proto fresh = TENSORFLOW__BUNDLE_ENTRY_PROTO__INIT;
	Tensorflow__TensorShapeProto shape =
		TENSORFLOW__TENSOR_SHAPE_PROTO__INIT;
	Tensorflow__TensorShapeProto__Dim dims[SHAPE_MAX_RANK];
	Tensorflow__TensorShapeProto__Dim *list[SHAPE_MAX_RANK];

	if (rank > SHAPE_MAX_RANK)
		return -EINVAL;
	for (size_t i = 0; i < rank; i++) {
		tensorflow__tensor_shape_proto__dim__init(&dims[i]);
		dims[i].size = p->shape->dim[i]->size;
		list[i] = &dims[i];
	}
	shape.n_dim = rank;
	shape.dim = list;
	fresh.dtype = p->dtype;
	fresh.shape = &shape;
	fresh.shard_id = p->shard_id;
	fresh.offset = p->offset;
	fresh.size = p->size;
	fresh.crc32c = p->crc32c;
	fresh.n_slices = slices ? p->n_slices : 0;
	fresh.slices = p->slices;
	return add_line(w, key, &fresh);
}

/* Enters `e` with its bytes at `at`; NULL where it has none of its own. */
static int add_entry(struct bundle_writer *w, const struct entry *e,
		     const struct spot *at, int32_t shard, bool plain)
{
	struct span raw = entry_raw(e);
	CLEANUP(entry_proto_freep)
	entry_proto *p = tensorflow__bundle_entry_proto__unpack(NULL, raw.len,
								raw.data);

	if (!p)
		return -ENOMEM;
	if (at) {
		place(p, at);
	} else {
		p->shard_id = shard;
		p->offset = 0;
		p->size = 0;
		p->crc32c = 0;
	}
	return plain ? add_plain(w, entry_key(e), p, !at)
		     : add_line(w, entry_key(e), p);
}

int bundle_writer_name(struct bundle_writer *w, const struct entry *e,
		       int32_t shard, bool plain)
{
	return add_entry(w, e, NULL, shard, plain);
}

/* --- values ---------------------------------------------------------------- */

static int damaged(const struct entry *e, const char *reason)
{
	CLEANUP(free_ptr) char *name = entry_describe(e, "");

	log_error("%s: %s", name ? name + 1 : "a variable", reason);
	return -EIO;
}

static int append(struct file *f, const void *data, size_t n)
{
	int r = io_write_at(f->fd, data, n, f->end);

	if (r < 0)
		return r;
	f->end += n;
	if (f->end - f->sent >= WRITE_BACK) {
		io_write_back(f->fd, f->sent, f->end - f->sent);
		f->sent = f->end;
	}
	return 0;
}

/* Numbers: their checksum is over what passes by. */
static int copy_numbers(struct bundle_writer *w, const struct entry *e,
			struct file *f, uint32_t *ret_crc)
{
	uint64_t size = entry_size(e);
	uint32_t crc = 0;

	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;
		int r = io_read_at(shard_fd(entry_shard(e)), w->chunk, n,
				   entry_offset(e) + at);

		if (r == 0)
			r = append(f, w->chunk, n);
		if (r < 0)
			return r;
		crc = crc32c_extend(crc, w->chunk, n);
	}
	*ret_crc = crc;
	return 0;
}

/* Others are looked at first, which also tells where they end. */
static int copy_elements(const struct entry *e, struct file *f,
			 uint32_t *ret_crc)
{
	struct shard *s = entry_shard(e);
	const struct checksum_source source = {
		.fd = shard_fd(s),
		.offset = entry_offset(e),
		.size = entry_size(e),
		.elements = entry_elements(e),
		.dtype = entry_dtype(e),
		.big_endian = shard_big_endian(s),
	};
	const char *reason;
	uint64_t used;
	int r = checksum_value(&source, ret_crc, &used, &reason);

	if (r == -EBADMSG)
		return damaged(e, reason);
	if (r == 0)
		r = io_copy(source.fd, source.offset, f->fd, f->end, used);
	if (r == 0)
		f->end += used;
	return r;
}

int bundle_writer_copy(struct bundle_writer *w, const struct entry *e,
		       int32_t shard)
{
	struct file *f = &w->files[shard];
	struct spot at = { .shard = shard, .offset = f->end };
	const char *reason;
	int r;

	if (entry_access(e, &reason) < 0)
		return damaged(e, reason);
	r = dtype_size(entry_dtype(e)) ? copy_numbers(w, e, f, &at.crc32c)
				       : copy_elements(e, f, &at.crc32c);
	if (r < 0)
		return r;
	if (at.crc32c != entry_crc32c(e))
		return damaged(e, "its checksum is wrong");
	at.size = f->end - at.offset;
	return add_entry(w, e, &at, shard, false);
}

/* The checksum of a value that is not numbers, from what was just written. */
static int sum_elements(const struct entry *e, struct file *f, struct spot *at)
{
	const struct checksum_source source = {
		.fd = f->fd,
		.offset = at->offset,
		.size = at->size,
		.elements = entry_elements(e),
		.dtype = entry_dtype(e),
	};
	const char *reason;
	uint64_t used;
	int r = checksum_value(&source, &at->crc32c, &used, &reason);

	if (r == -EBADMSG)
		return damaged(e, reason);
	if (r < 0 || used == at->size)
		return r;
	/* TensorFlow does not mind what follows them; it goes. */
	at->size = used;
	f->end = at->offset + used;
	return io_resize(f->fd, f->end);
}

static int append_content(struct bundle_writer *w, struct content *c,
			  struct file *f, uint32_t *ret_crc)
{
	uint64_t size = content_size(c);
	uint32_t crc = 0;

	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;
		int r = content_read(c, w->chunk, n, at);

		if (r == 0)
			r = append(f, w->chunk, n);
		if (r < 0)
			return r;
		crc = crc32c_extend(crc, w->chunk, n);
	}
	*ret_crc = crc;
	return 0;
}

int bundle_writer_convert(struct bundle_writer *w, struct entry *e,
			  int32_t shard)
{
	CLEANUP(content_freep) struct content *c = NULL;
	CLEANUP(free_ptr) char *name = entry_describe(e, "");
	struct file *f = &w->files[shard];
	struct spot at = { .shard = shard, .offset = f->end };
	int r = content_open(e, name ? name + 1 : "a variable", true, &c);

	if (r == 0)
		r = append_content(w, c, f, &at.crc32c);
	at.size = f->end - at.offset;
	if (r == 0 && !dtype_size(entry_dtype(e)))
		r = sum_elements(e, f, &at);
	return r < 0 ? r : add_entry(w, e, &at, shard, true);
}

/* --- the index ------------------------------------------------------------- */

static struct span span_at(const struct bundle_writer *w, size_t at, size_t len)
{
	return (struct span){ w->text.data + at, len };
}

static int by_key(const void *a, const void *b, void *arg)
{
	const struct bundle_writer *w = arg;
	const struct line *la = a, *lb = b;

	return span_compare(span_at(w, la->key, la->key_len),
			    span_at(w, lb->key, lb->key_len));
}

static int put_header(const header_proto *p, struct buf *out)
{
	size_t len = tensorflow__bundle_header_proto__get_packed_size(p);

	buf_put_zeros(out, len);
	if (buf_error(out))
		return buf_error(out);
	(void)tensorflow__bundle_header_proto__pack(p, out->data);
	return 0;
}

static int make_header(struct span old, int32_t num_shards, struct buf *out)
{
	Tensorflow__VersionDef version = TENSORFLOW__VERSION_DEF__INIT;
	header_proto fresh = TENSORFLOW__BUNDLE_HEADER_PROTO__INIT;
	CLEANUP(header_proto_freep) header_proto *p = NULL;

	if (old.len == 0) {
		version.producer = PRODUCER;
		fresh.version = &version;
		fresh.num_shards = num_shards;
		return put_header(&fresh, out);
	}
	p = tensorflow__bundle_header_proto__unpack(NULL, old.len, old.data);
	if (!p)
		return -ENOMEM;
	p->num_shards = num_shards;
	return put_header(p, out);
}

int bundle_writer_index(struct bundle_writer *w, struct span header,
			int32_t num_shards, struct buf *ret)
{
	CLEANUP(table_writer_freep) struct table_writer *t = NULL;
	CLEANUP(buf_release) struct buf first = { 0 };
	int r = make_header(header, num_shards, &first);

	if (r == 0)
		r = table_writer_new(ret, &t);
	if (r < 0)
		return r;
	if (w->n_lines)
		qsort_r(w->lines, w->n_lines, sizeof(*w->lines), by_key, w);
	table_writer_add(t, (struct span){ 0 }, buf_span(&first));
	for (size_t i = 0; i < w->n_lines; i++) {
		const struct line *l = &w->lines[i];

		table_writer_add(t, span_at(w, l->key, l->key_len),
				 span_at(w, l->raw, l->raw_len));
	}
	return table_writer_finish(t, 0);
}
