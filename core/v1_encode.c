#include "core/v1_encode.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/content.h"
#include "core/dtype.h"
#include "core/log.h"
#include "core/table_writer.h"

#define CHUNK (UINT64_C(64) << 10)

/* How the list of a dtype is made: one row of the table in the header. */
enum form {
	FORM_NONE,
	FORM_PACKED, /* bytes as they are */
	FORM_INT8,
	FORM_INT16,
	FORM_INT32,
	FORM_INT64,
	FORM_UINT8,
	FORM_UINT16,
	FORM_BOOL,
	FORM_STRING
};

struct coding {
	enum form form;
	unsigned field;
	unsigned most; /* bytes an element takes, as TensorFlow counts */
};

static struct coding coding_of(int32_t dtype)
{
	switch (dtype) {
	case DT_FLOAT:
		return (struct coding){ FORM_PACKED, 5, 4 };
	case DT_DOUBLE:
		return (struct coding){ FORM_PACKED, 6, 8 };
	case DT_COMPLEX64:
		return (struct coding){ FORM_PACKED, 9, 8 };
	case DT_COMPLEX128:
		return (struct coding){ FORM_PACKED, 12, 16 };
	case DT_INT8:
	case DT_QINT8:
		return (struct coding){ FORM_INT8, 7, 10 };
	case DT_INT16:
		return (struct coding){ FORM_INT16, 7, 10 };
	case DT_INT32:
	case DT_QINT32:
		return (struct coding){ FORM_INT32, 7, 10 };
	case DT_INT64:
		return (struct coding){ FORM_INT64, 10, 10 };
	case DT_UINT8:
	case DT_QUINT8:
		return (struct coding){ FORM_UINT8, 7, 2 };
	case DT_UINT16:
		return (struct coding){ FORM_UINT16, 7, 3 };
	case DT_BOOL:
		return (struct coding){ FORM_BOOL, 11, 1 };
	case DT_HALF:
		return (struct coding){ FORM_UINT16, 13, 3 };
	case DT_STRING:
		return (struct coding){ FORM_STRING, 8, 10 };
	default:
		return (struct coding){ FORM_NONE, 0, 0 };
	}
}

uint64_t v1_encode_most(int32_t dtype)
{
	return coding_of(dtype).most;
}

struct v1_encoder {
	struct content *bytes;
	struct coding coding;
	size_t item; /* bytes of an element; of a string 0 */
	uint64_t elements;
	uint64_t payload; /* of the list; of strings all there is */
	char *label;
};

void v1_encoder_free(struct v1_encoder *e)
{
	if (!e)
		return;
	content_free(e->bytes);
	free(e->label);
	free(e);
}

/* --- numbers ------------------------------------------------------------------- */

/* An element as the 64 bits of which a varint is made. */
static uint64_t number_at(enum form form, const uint8_t *p)
{
	uint16_t half;
	uint32_t word;
	uint64_t all;

	switch (form) {
	case FORM_INT8:
		return (uint64_t)(int64_t)(int8_t)*p;
	case FORM_INT16:
		memcpy(&half, p, sizeof(half));
		return (uint64_t)(int64_t)(int16_t)le16toh(half);
	case FORM_INT32:
		memcpy(&word, p, sizeof(word));
		return (uint64_t)(int64_t)(int32_t)le32toh(word);
	case FORM_INT64:
		memcpy(&all, p, sizeof(all));
		return le64toh(all);
	case FORM_UINT8:
		return *p;
	case FORM_UINT16:
		memcpy(&half, p, sizeof(half));
		return le16toh(half);
	case FORM_BOOL:
		return *p != 0;
	case FORM_NONE:
	case FORM_PACKED:
	case FORM_STRING:
		break;
	}
	return 0;
}

static size_t varint_put(uint64_t value, uint8_t *to)
{
	size_t n = 0;

	while (value >= 0x80) {
		to[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	to[n++] = (uint8_t)value;
	return n;
}

/* Calls `each` with the value, chunk by chunk. */
static int each_chunk(struct v1_encoder *e,
		      int (*each)(struct v1_encoder *e, const uint8_t *data,
				  size_t n, void *arg),
		      void *arg)
{
	CLEANUP(free_ptr) uint8_t *chunk = malloc(CHUNK);
	uint64_t size = content_size(e->bytes);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;

		r = content_read(e->bytes, chunk, n, at);
		if (r == 0)
			r = each(e, chunk, n, arg);
	}
	return r;
}

static int measure_numbers(struct v1_encoder *e, const uint8_t *data, size_t n,
			   void *arg)
{
	(void)arg;
	for (size_t i = 0; i < n; i += e->item)
		e->payload += varint_size(number_at(e->coding.form, data + i));
	return 0;
}

struct output {
	struct table_writer *w;
	uint8_t *chunk; /* of CHUNK * VARINT_MAX */
};

static int encode_numbers(struct v1_encoder *e, const uint8_t *data, size_t n,
			  void *arg)
{
	const struct output *out = arg;
	size_t len = 0;

	for (size_t i = 0; i < n; i += e->item)
		len += varint_put(number_at(e->coding.form, data + i),
				  out->chunk + len);
	table_writer_put(out->w, out->chunk, len);
	return table_writer_error(out->w);
}

static int encode_packed(struct v1_encoder *e, const uint8_t *data, size_t n,
			 void *arg)
{
	struct table_writer *w = arg;

	(void)e;
	table_writer_put(w, data, n);
	return table_writer_error(w);
}

/* --- strings --------------------------------------------------------------------- */

/* A place in the value, read ahead. */
struct cursor {
	struct content *bytes;
	uint64_t next; /* what is to be read ahead */
	uint8_t *chunk;
	struct span rest;
};

static void cursor_release(struct cursor *c)
{
	free(c->chunk);
}

static int cursor_init(struct cursor *c, struct content *bytes, uint64_t at)
{
	*c = (struct cursor){ bytes, at, malloc(CHUNK), { 0 } };
	return c->chunk ? 0 : -ENOMEM;
}

static uint64_t cursor_at(const struct cursor *c)
{
	return c->next - c->rest.len;
}

/* Reads on, behind what is left. */
static int cursor_fill(struct cursor *c)
{
	uint64_t left = content_size(c->bytes) - c->next;
	size_t n = CHUNK - c->rest.len;
	int r;

	n = left < n ? left : n;
	if (c->rest.len)
		memmove(c->chunk, c->rest.data, c->rest.len);
	r = content_read(c->bytes, c->chunk + c->rest.len, n, c->next);
	if (r < 0)
		return r;
	c->rest = (struct span){ c->chunk, c->rest.len + n };
	c->next += n;
	return 0;
}

static int cursor_varint(struct cursor *c, uint64_t *ret)
{
	int r = c->rest.len < VARINT_MAX ? cursor_fill(c) : 0;

	if (r < 0)
		return r;
	return span_get_varint(&c->rest, ret) ? 0 : -EBADMSG;
}

/* Puts the next `n` bytes. */
static int cursor_copy(struct cursor *c, uint64_t n, struct table_writer *w)
{
	int r = 0;

	while (r == 0 && n > 0) {
		struct span part;

		if (c->rest.len == 0)
			r = cursor_fill(c);
		if (r == 0 && c->rest.len == 0)
			r = -EBADMSG;
		if (r < 0)
			return r;
		(void)span_take(&c->rest, n < c->rest.len ? n : c->rest.len,
				&part);
		table_writer_put(w, part.data, part.len);
		n -= part.len;
		r = table_writer_error(w);
	}
	return r;
}

/* A checksum of the lengths stands between them and the bytes. */
static int measure_strings(struct v1_encoder *e, uint64_t *ret_bytes_at)
{
	CLEANUP(cursor_release) struct cursor lengths = { 0 };
	uint64_t bytes = 0, end;
	int r = cursor_init(&lengths, e->bytes, 0);

	for (uint64_t i = 0; r == 0 && i < e->elements; i++) {
		uint64_t n = 0;

		r = cursor_varint(&lengths, &n);
		if (r == 0 && __builtin_add_overflow(bytes, n, &bytes))
			r = -EBADMSG;
		e->payload += 1 + varint_size(n) + n;
	}
	if (r < 0)
		return r;
	*ret_bytes_at = cursor_at(&lengths) + sizeof(uint32_t);
	if (__builtin_add_overflow(*ret_bytes_at, bytes, &end) ||
	    end != content_size(e->bytes))
		return -EBADMSG;
	return 0;
}

static int encode_strings(struct v1_encoder *e, struct table_writer *w)
{
	CLEANUP(cursor_release) struct cursor lengths = { 0 };
	CLEANUP(cursor_release) struct cursor bytes = { 0 };
	uint64_t before = e->payload;
	uint64_t bytes_at = 0;
	int r = measure_strings(e, &bytes_at);

	e->payload = before;
	if (r == 0)
		r = cursor_init(&lengths, e->bytes, 0);
	if (r == 0)
		r = cursor_init(&bytes, e->bytes, bytes_at);
	for (uint64_t i = 0; r == 0 && i < e->elements; i++) {
		uint8_t head[1 + VARINT_MAX] = { e->coding.field << 3 | 2 };
		uint64_t n = 0;

		r = cursor_varint(&lengths, &n);
		if (r < 0)
			break;
		table_writer_put(w, head, 1 + varint_put(n, head + 1));
		r = cursor_copy(&bytes, n, w);
	}
	return r;
}

/* --- all of them ------------------------------------------------------------------- */

static int measure(struct v1_encoder *e)
{
	uint64_t bytes_at, size = content_size(e->bytes);
	uint64_t expected;

	if (e->coding.form == FORM_STRING)
		return measure_strings(e, &bytes_at);
	if (__builtin_mul_overflow(e->elements, e->item, &expected) ||
	    expected != size)
		return -EBADMSG;
	if (e->coding.form == FORM_PACKED) {
		e->payload = size;
		return 0;
	}
	return each_chunk(e, measure_numbers, NULL);
}

/* What the value itself has wrong has not been said yet. */
static int told(const struct v1_encoder *e, int r)
{
	if (r != -EBADMSG)
		return r;
	log_error("%s: damaged: its bytes are no tensor of its dtype and shape",
		  e->label);
	return -EIO;
}

int v1_encoder_new(struct entry *e, const char *label, struct v1_encoder **ret)
{
	CLEANUP(v1_encoder_freep)
	struct v1_encoder *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->coding = coding_of(entry_dtype(e));
	x->item = dtype_size(entry_dtype(e));
	x->elements = entry_elements(e);
	x->label = strdup(label);
	if (!x->label)
		return -ENOMEM;
	if (x->coding.form == FORM_NONE)
		return -EOPNOTSUPP;
	r = content_open(e, label, true, &x->bytes);
	if (r == 0)
		r = told(x, measure(x));
	if (r == 0)
		*ret = STEAL(x);
	return r;
}

/* Tag and length of a packed list. */
static size_t put_list_head(const struct v1_encoder *e, uint8_t *to)
{
	*to = (uint8_t)(e->coding.field << 3 | 2);
	return 1 + varint_put(e->payload, to + 1);
}

uint64_t v1_encoder_size(const struct v1_encoder *e)
{
	uint8_t head[1 + VARINT_MAX];

	if (e->coding.form == FORM_STRING || e->payload == 0)
		return e->payload;
	return put_list_head(e, head) + e->payload;
}

int v1_encode(struct v1_encoder *e, struct table_writer *w)
{
	CLEANUP(free_ptr) uint8_t *chunk = NULL;
	uint8_t head[1 + VARINT_MAX];
	struct output out = { w, NULL };

	if (e->coding.form == FORM_STRING)
		return told(e, encode_strings(e, w));
	if (e->payload == 0)
		return 0;
	table_writer_put(w, head, put_list_head(e, head));
	if (e->coding.form == FORM_PACKED)
		return each_chunk(e, encode_packed, w);
	chunk = malloc(CHUNK * VARINT_MAX);
	if (!chunk)
		return -ENOMEM;
	out.chunk = chunk;
	return each_chunk(e, encode_numbers, &out);
}
