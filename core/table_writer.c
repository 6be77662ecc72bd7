#include "core/table_writer.h"

#include <errno.h>

#include "core/block.h"
#include "core/cleanup.h"
#include "core/io.h"

/* A block ends when it has come to this size ... */
#define BLOCK_SIZE 262144
/* ... and before an entry of this size, which then has one to itself. */
#define LARGE_ENTRY 524288

/* What a file has not got yet is at most a block and this. */
#define FLUSH_SIZE (UINT64_C(1) << 20)
/* Dirty pages are sent to the disk each time this much has gathered. */
#define WRITE_BACK (UINT64_C(16) << 20)

/* Keys from one restart to the next: those of TensorFlow's TableBuilder. */
#define DATA_INTERVAL  16
#define INDEX_INTERVAL 1

/* An empty block: one restart, the count of restarts, the trailer. */
#define METAINDEX_SIZE (4 + 4 + BLOCK_TRAILER_SIZE)

struct table_writer {
	struct buf *out; /* borrowed, or `pending` */
	struct buf pending;
	int fd;           /* of a file, or -1 */
	uint64_t flushed; /* bytes that it has got */
	uint64_t data_at; /* where the data block begins */
	uint64_t missing; /* bytes of a value that is put in parts */
	struct block_builder data;
	struct buf index_block;
	struct block_builder index;
	/* A data block that has ended, and is not in the index yet: ... */
	struct block_handle ended;
	/* ... its separator may depend on the key that comes next. */
	bool has_ended;
	bool has_keys;
	bool sealed;
	int error;
};

static void start_block(struct table_writer *w)
{
	block_builder_start(&w->data, w->out, DATA_INTERVAL);
	w->data_at = w->flushed + w->out->len;
}

int table_writer_new(struct buf *out, struct table_writer **ret)
{
	struct table_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;

	w->fd = -1;
	w->out = out ? out : &w->pending;
	start_block(w);
	block_builder_start(&w->index, &w->index_block, INDEX_INTERVAL);
	*ret = w;
	return 0;
}

int table_writer_new_file(int fd, struct table_writer **ret)
{
	int r = table_writer_new(NULL, ret);

	if (r == 0)
		(*ret)->fd = fd;
	return r;
}

void table_writer_free(struct table_writer *w)
{
	if (!w)
		return;

	block_builder_release(&w->index);
	buf_release(&w->index_block);
	block_builder_release(&w->data);
	buf_release(&w->pending);
	free(w);
}

/* Hands what there is to the file; the data block, if one is open, is drained. */
static int flush(struct table_writer *w, bool open)
{
	uint64_t before = w->flushed / WRITE_BACK * WRITE_BACK;
	int r;

	if (w->fd < 0 || buf_error(w->out))
		return buf_error(w->out);
	r = io_write_at(w->fd, w->out->data, w->out->len, w->flushed);
	if (r < 0)
		return r;
	w->flushed += w->out->len;
	if (open)
		block_builder_drain(&w->data);
	w->out->len = 0;
	if (w->flushed / WRITE_BACK * WRITE_BACK > before)
		io_write_back(w->fd, before, w->flushed - before);
	return 0;
}

/* The key up to its byte `at`, that one raised; the key if `at` is its end. */
static void put_raised(struct buf *b, struct span key, size_t at)
{
	buf_put(b, key.data, at);
	if (at < key.len) {
		uint8_t raised = (uint8_t)(key.data[at] + 1);

		buf_put(b, &raised, 1);
	}
}

/* A key from `last` to below `next`: shorter than `last` if that is easy. */
static void put_separator(struct buf *b, struct span last, struct span next)
{
	size_t at = block_common_prefix(last, next);
	bool room = at < last.len && at < next.len &&
		    last.data[at] + 1 < next.data[at];

	put_raised(b, last, room ? at : last.len);
}

/* A short key from `last` up, for the block that nothing follows. */
static void put_successor(struct buf *b, struct span last)
{
	size_t at = 0;

	while (at < last.len && last.data[at] == 0xff)
		at++;
	put_raised(b, last, at);
}

/* Enters the block that ended into the index; `next` is NULL at the last. */
static int add_to_index(struct table_writer *w, const struct span *next)
{
	CLEANUP(buf_release) struct buf separator = { 0 };
	CLEANUP(buf_release) struct buf handle = { 0 };
	struct span last = block_builder_last_key(&w->data);

	if (!w->has_ended)
		return 0;

	w->has_ended = false;
	if (next)
		put_separator(&separator, last, *next);
	else
		put_successor(&separator, last);
	block_handle_put(&handle, w->ended);

	if (buf_error(&separator))
		return buf_error(&separator);
	if (buf_error(&handle))
		return buf_error(&handle);
	return block_builder_add(&w->index, buf_span(&separator),
				 buf_span(&handle));
}

static int end_block(struct table_writer *w)
{
	int r;

	if (block_builder_empty(&w->data))
		return 0;

	r = block_builder_finish(&w->data, &w->ended);
	if (r < 0)
		return r;

	w->ended.offset = w->data_at;
	w->has_ended = true;
	r = w->out->len >= FLUSH_SIZE ? flush(w, false) : 0;
	start_block(w);
	return r;
}

/* Up to where the bytes of the value come. */
static int begin(struct table_writer *w, struct span key, uint64_t len)
{
	int r;

	if (w->sealed || w->missing > 0)
		return -EINVAL;
	if (w->has_keys &&
	    span_compare(key, block_builder_last_key(&w->data)) <= 0)
		return -EINVAL;

	if (len >= LARGE_ENTRY || key.len + len >= LARGE_ENTRY) {
		r = end_block(w);
		if (r < 0)
			return r;
	}
	r = add_to_index(w, &key);
	if (r < 0)
		return r;
	r = block_builder_begin(&w->data, key, len);
	if (r < 0)
		return r;

	w->has_keys = true;
	w->missing = len;
	return 0;
}

/* All of the entry is there. */
static int end(struct table_writer *w)
{
	return block_builder_size(&w->data) < BLOCK_SIZE ? 0 : end_block(w);
}

static int put(struct table_writer *w, const void *data, size_t n)
{
	int r;

	if (n > w->missing)
		return -EINVAL;
	buf_put(w->out, data, n);
	w->missing -= n;
	r = w->out->len >= FLUSH_SIZE ? flush(w, true) : buf_error(w->out);
	return r == 0 && n > 0 && w->missing == 0 ? end(w) : r;
}

void table_writer_begin(struct table_writer *w, struct span key, uint64_t len)
{
	if (!w->error)
		w->error = begin(w, key, len);
	if (!w->error && len == 0)
		w->error = end(w);
}

void table_writer_put(struct table_writer *w, const void *data, size_t n)
{
	if (!w->error)
		w->error = put(w, data, n);
}

void table_writer_add(struct table_writer *w, struct span key,
		      struct span value)
{
	table_writer_begin(w, key, value.len);
	table_writer_put(w, value.data, value.len);
}

int table_writer_error(const struct table_writer *w)
{
	return w->error;
}

static int seal(struct table_writer *w)
{
	int r = w->missing > 0 ? -EINVAL : end_block(w);

	return r < 0 ? r : add_to_index(w, NULL);
}

uint64_t table_writer_seal(struct table_writer *w)
{
	if (!w->sealed && !w->error)
		w->error = seal(w);
	w->sealed = true;

	return w->flushed + w->out->len + METAINDEX_SIZE +
	       block_builder_size(&w->index) + BLOCK_TRAILER_SIZE +
	       TABLE_FOOTER_SIZE;
}

/* The index was built apart, from 0 on: here it gets its place. */
static int put_index(struct table_writer *w, struct block_handle *ret)
{
	uint64_t offset = w->flushed + w->out->len;
	struct block_handle handle;
	int r = block_builder_finish(&w->index, &handle);

	if (r < 0)
		return r;

	buf_put(w->out, w->index_block.data, w->index_block.len);
	*ret = (struct block_handle){ offset, handle.size };
	return 0;
}

static void put_footer(struct buf *out, struct block_handle metaindex,
		       struct block_handle index)
{
	size_t start = out->len;

	block_handle_put(out, metaindex);
	block_handle_put(out, index);
	buf_put_zeros(out, TABLE_HANDLES_SIZE - (out->len - start));
	buf_put_fixed64(out, TABLE_MAGIC);
}

static int finish(struct table_writer *w, uint64_t zeros)
{
	struct block_handle metaindex, index;
	int r;

	buf_put_zeros(w->out, zeros);
	start_block(w);
	r = block_builder_finish(&w->data, &metaindex);
	if (r < 0)
		return r;
	metaindex.offset = w->data_at;
	r = put_index(w, &index);
	if (r < 0)
		return r;

	put_footer(w->out, metaindex, index);
	return flush(w, false);
}

int table_writer_finish(struct table_writer *w, uint64_t size)
{
	uint64_t least = table_writer_seal(w);

	if (!w->error)
		w->error = finish(w, size > least ? size - least : 0);
	return w->error;
}
