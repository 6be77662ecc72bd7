/*
 * A tensor is walked in pieces: runs of bytes of one element, as they lie in the
 * file, from two windows that move over its lengths and over its bytes.  Opening
 * walks it all, and notes the state of the walk as a `struct place` now and then;
 * reading walks from the nearest place and drops the text before its offset.  A
 * place is always between two bytes of the tensor, so that no state is needed for
 * the middle of an escape.
 */
#include "core/strings.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/log.h"

#define LENGTHS_WINDOW 4096
#define DATA_WINDOW    32768
#define PLACE_SPACING  65536 /* bytes of text, at least */

/* A stretch of a file, and the part of it that is in memory. */
struct window {
	int fd;
	uint64_t next;    /* where in the file `left` ends */
	uint64_t end;     /* of the stretch */
	struct span left; /* read, and not yet used */
	uint8_t *bytes;
	size_t cap;
};

struct place {
	uint64_t text;    /* bytes of text before it */
	uint64_t lengths; /* file offset of the next element's length */
	uint64_t data;    /* file offset of the next byte of an element */
	uint64_t left;    /* bytes of the present element from there */
};

struct walk {
	struct window lengths;
	struct window data;
	uint64_t left; /* as in a place */
	uint8_t lengths_bytes[LENGTHS_WINDOW];
	uint8_t data_bytes[DATA_WINDOW];
};

struct strings {
	int fd;
	bool scalar;
	uint64_t size; /* of the text */
	/* File offsets. */
	uint64_t lengths_end; /* that of the tensor until it is known */
	uint64_t data;
	uint64_t data_end;
	/* By rising text offset, the first at 0; a scalar needs none. */
	struct place *places;
	size_t n_places;
	size_t cap_places;
};

static uint64_t window_offset(const struct window *w)
{
	return w->next - w->left.len;
}

/* Has at least `want` bytes in memory, or all that are left of the stretch. */
static int window_fill(struct window *w, size_t want)
{
	uint64_t offset = window_offset(w);
	uint64_t rest = w->end - offset;
	size_t n = rest < w->cap ? rest : w->cap;
	int err;

	if (w->left.len >= want || w->left.len == rest)
		return 0;

	/* Reading the few bytes left again is simpler than moving them. */
	err = io_read_at(w->fd, w->bytes, n, offset);
	if (err)
		return err;

	w->left = (struct span){ w->bytes, n };
	w->next = offset + n;
	return 0;
}

static int window_get_varint(struct window *w, uint64_t *ret)
{
	int err = window_fill(w, VARINT_MAX);

	if (err)
		return err;
	return span_get_varint(&w->left, ret) ? 0 : -EIO;
}

/* Takes 1 to `max` bytes, or none if `max` is 0. */
static int window_take(struct window *w, uint64_t max, struct span *ret)
{
	int err = window_fill(w, max > 0 ? 1 : 0);

	if (err)
		return err;
	if (max > 0 && w->left.len == 0)
		return -EIO;

	(void)span_take(&w->left, max < w->left.len ? max : w->left.len, ret);
	return 0;
}

static void walk_start(struct walk *w, const struct strings *s,
		       const struct place *from)
{
	w->lengths = (struct window){
		.fd = s->fd,
		.next = from->lengths,
		.end = s->lengths_end,
		.bytes = w->lengths_bytes,
		.cap = sizeof(w->lengths_bytes),
	};
	w->data = (struct window){
		.fd = s->fd,
		.next = from->data,
		.end = s->data_end,
		.bytes = w->data_bytes,
		.cap = sizeof(w->data_bytes),
	};
	w->left = from->left;
}

static bool walk_done(const struct walk *w)
{
	return w->left == 0 && window_offset(&w->lengths) == w->lengths.end;
}

/* The next piece, which an empty element has too, and whether it is a last one. */
static int walk_next(struct walk *w, struct span *ret, bool *ret_last)
{
	int err = 0;

	if (w->left == 0)
		err = window_get_varint(&w->lengths, &w->left);
	if (!err)
		err = window_take(&w->data, w->left, ret);
	if (err)
		return err;

	w->left -= ret->len;
	*ret_last = w->left == 0;
	return 0;
}

static struct place walk_place(const struct walk *w, uint64_t text)
{
	return (struct place){
		.text = text,
		.lengths = window_offset(&w->lengths),
		.data = window_offset(&w->data),
		.left = w->left,
	};
}

static bool is_escaped(uint8_t byte)
{
	return byte == '\n' || byte == '\\';
}

static size_t text_length(struct span piece)
{
	size_t n = piece.len;

	for (size_t i = 0; i < piece.len; i++)
		if (is_escaped(piece.data[i]))
			n++;
	return n;
}

static int fault(const struct strings_source *source, int err, const char *what)
{
	log_error("%s: the string tensor at offset %" PRIu64 " %s",
		  source->name, source->offset, what);
	return err;
}

/* Adds up the lengths, of which there may be fewer than the entry claims. */
static int sum_lengths(struct window *w, uint64_t elements, uint64_t *ret_sum,
		       uint32_t *ret_crc)
{
	uint64_t sum = 0;
	uint32_t crc = 0;

	for (uint64_t i = 0; i < elements; i++) {
		uint64_t length;
		int err = window_get_varint(w, &length);

		if (err)
			return err;
		if (__builtin_add_overflow(sum, length, &sum))
			return -EIO;
		crc = crc32c_extend_length(crc, length, false, false);
	}
	*ret_sum = sum;
	*ret_crc = crc;
	return 0;
}

/* Finds out where everything lies, and the checksum up to the elements. */
static int scan_lengths(const struct strings_source *source, struct strings *s,
			struct window *w, uint32_t *ret_crc)
{
	struct span stored, copy;
	uint32_t crc, masked;
	uint64_t sum;
	int err = sum_lengths(w, source->elements, &sum, &crc);

	if (err)
		return fault(source, err, "has no whole list of lengths");

	s->lengths_end = window_offset(w);
	err = window_fill(w, sizeof(masked));
	if (err || !span_take(&w->left, sizeof(masked), &stored))
		return fault(source, err ? err : -EIO,
			     "has no checksum of its lengths");

	copy = stored;
	(void)span_get_fixed32(&copy, &masked);
	if (source->verify && crc32c_unmask(masked) != crc)
		return fault(source, -EIO, "has lengths of a wrong checksum");

	s->data = window_offset(w);
	if (sum > w->end - s->data)
		return fault(source, -EIO, "has lengths beyond its size");

	s->data_end = s->data + sum;
	*ret_crc = crc32c_extend(crc, stored.data, stored.len);
	return 0;
}

static int add_place(struct strings *s, struct place place)
{
	if (s->n_places == s->cap_places) {
		size_t cap = s->cap_places ? 2 * s->cap_places : 1;
		struct place *places = reallocarray(s->places, cap,
						    sizeof(*places));

		if (!places)
			return -ENOMEM;
		s->places = places;
		s->cap_places = cap;
	}
	s->places[s->n_places++] = place;
	return 0;
}

/* Measures the text, and notes places; `crc` is the checksum so far. */
static int scan_data(const struct strings_source *source, struct strings *s,
		     struct walk *w, uint32_t crc)
{
	uint64_t text = 0;
	uint64_t next_place = 0;

	while (!walk_done(w)) {
		struct span piece;
		bool last;
		int err;

		if (!s->scalar && text >= next_place) {
			err = add_place(s, walk_place(w, text));
			if (err)
				return err;
			next_place = text + PLACE_SPACING;
		}
		err = walk_next(w, &piece, &last);
		if (err)
			return fault(source, err, "cannot be read whole");

		crc = crc32c_extend(crc, piece.data, piece.len);
		if (s->scalar)
			text += piece.len;
		else
			text += text_length(piece) + (last ? 1 : 0);
	}
	if (source->verify && crc != source->crc32c)
		return fault(source, -EIO, "has a wrong checksum");

	s->size = text;
	return 0;
}

/* Takes the tensor's word for nothing, and notes where everything is. */
static int scan(const struct strings_source *source, struct strings *s)
{
	CLEANUP(free_ptr) struct walk *w = NULL;
	struct place start = { .lengths = source->offset };
	uint32_t crc;
	int err;

	if (__builtin_add_overflow(source->offset, source->size,
				   &s->lengths_end))
		return fault(source, -EIO, "has an impossible size");
	/* Each length takes a byte: no need to read on to see this lie. */
	if (source->elements > source->size)
		return fault(source, -EIO, "is too small for its elements");

	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;

	walk_start(w, s, &start);
	err = scan_lengths(source, s, &w->lengths, &crc);
	if (err)
		return err;

	start.data = s->data;
	walk_start(w, s, &start);
	return scan_data(source, s, w, crc);
}

int strings_open(const struct strings_source *source, struct strings **ret)
{
	struct strings *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;

	s->fd = source->fd;
	s->scalar = source->scalar;
	err = scan(source, s);
	if (err)
		strings_free(s);
	else
		*ret = s;
	return err;
}

void strings_free(struct strings *s)
{
	if (!s)
		return;
	free(s->places);
	free(s);
}

uint64_t strings_size(const struct strings *s)
{
	return s->size;
}

/* The part of the text that somebody wants. */
struct sink {
	uint64_t skip; /* bytes of text before it */
	uint8_t *out;
	size_t room;
};

static void sink_put(struct sink *sink, const void *text, size_t n)
{
	size_t skipped = n < sink->skip ? n : sink->skip;
	size_t kept = n - skipped;

	if (kept > sink->room)
		kept = sink->room;

	memcpy(sink->out, (const uint8_t *)text + skipped, kept);
	sink->skip -= skipped;
	sink->out += kept;
	sink->room -= kept;
}

static void sink_put_escaped(struct sink *sink, struct span piece)
{
	while (piece.len > 0 && sink->room > 0) {
		struct span run, special;
		size_t n = 0;

		while (n < piece.len && !is_escaped(piece.data[n]))
			n++;
		(void)span_take(&piece, n, &run);
		sink_put(sink, run.data, run.len);
		if (span_take(&piece, 1, &special))
			sink_put(sink, *special.data == '\n' ? "\\n" : "\\\\",
				 2);
	}
}

/* The last place that is not after `offset`. */
static const struct place *find_place(const struct strings *s, uint64_t offset)
{
	size_t low = 0;
	size_t high = s->n_places;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (s->places[middle].text <= offset)
			low = middle;
		else
			high = middle;
	}
	return &s->places[low];
}

/* Fills the sink with the text from `offset`. */
static int read_lines(const struct strings *s, uint64_t offset,
		      struct sink sink)
{
	const struct place *from = find_place(s, offset);
	CLEANUP(free_ptr) struct walk *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;

	sink.skip = offset - from->text;
	walk_start(w, s, from);
	while (sink.room > 0) {
		struct span piece;
		bool last;
		/* Done before its time: not the bytes that were opened. */
		int err = walk_done(w) ? -EIO : walk_next(w, &piece, &last);

		if (err)
			return err;
		sink_put_escaped(&sink, piece);
		if (last)
			sink_put(&sink, "\n", 1);
	}
	return 0;
}

ssize_t strings_read(const struct strings *s, void *buf, size_t n,
		     uint64_t offset)
{
	int err;

	if (offset >= s->size || n == 0)
		return 0;
	if (n > s->size - offset)
		n = s->size - offset;
	if (n > SSIZE_MAX)
		n = SSIZE_MAX;

	if (s->scalar)
		err = io_read_at(s->fd, buf, n, s->data + offset);
	else
		err = read_lines(s, offset,
				 (struct sink){ .out = buf, .room = n });
	return err ? err : (ssize_t)n;
}

/* Cuts the first line off `text`, and gives it without its newline. */
static struct span take_line(struct span *text)
{
	const uint8_t *newline = memchr(text->data, '\n', text->len);
	struct span line, end;

	if (newline) {
		(void)span_take(text, newline - text->data, &line);
		(void)span_take(text, 1, &end);
	} else {
		(void)span_take(text, text->len, &line);
	}
	return line;
}

/*
 * Cuts off the first bytes of a line, and gives what they stand for: a run without
 * escapes, or one escape.  False where that is none.
 */
static bool take_run(struct span *line, struct span *ret)
{
	const uint8_t *slash = memchr(line->data, '\\', line->len);
	struct span escape;

	if (!slash)
		return span_take(line, line->len, ret);
	if (slash > line->data)
		return span_take(line, slash - line->data, ret);
	if (!span_take(line, 2, &escape))
		return false;

	if (escape.data[1] == '\\')
		return span_take(&escape, 1, ret);
	*ret = span_of("\n");
	return escape.data[1] == 'n';
}

static bool element_length(struct span line, uint64_t *ret)
{
	struct span run;
	uint64_t n = 0;

	while (line.len > 0) {
		if (!take_run(&line, &run))
			return false;
		n += run.len;
	}
	*ret = n;
	return true;
}

static void put_length(struct buf *out, uint64_t length, uint32_t *crc)
{
	buf_put_varint(out, length);
	*crc = crc32c_extend_length(*crc, length, false, false);
}

/* False where `text` is not as many elements. */
static bool put_lengths(struct buf *out, struct span text, uint64_t elements,
			bool scalar, uint32_t *crc)
{
	uint64_t n = 0;
	uint64_t length;

	if (scalar) {
		put_length(out, text.len, crc);
		return elements == 1;
	}
	for (; text.len > 0; n++) {
		if (!element_length(take_line(&text), &length))
			return false;
		put_length(out, length, crc);
	}
	return n == elements;
}

/* The bytes of all elements; the escapes are known to be good. */
static void put_data(struct buf *out, struct span text, bool scalar)
{
	if (scalar) {
		buf_put(out, text.data, text.len);
		return;
	}
	while (text.len > 0) {
		struct span line = take_line(&text);
		struct span run;

		while (line.len > 0 && take_run(&line, &run))
			buf_put(out, run.data, run.len);
	}
}

int strings_encode(struct span text, uint64_t elements, bool scalar,
		   struct buf *out, uint32_t *ret_crc32c)
{
	CLEANUP(buf_release) struct buf lengths = { 0 };
	struct span all, before;
	uint32_t crc = 0;
	size_t start;

	if (!put_lengths(&lengths, text, elements, scalar, &crc))
		return -EINVAL;
	if (buf_error(&lengths))
		return buf_error(&lengths);

	all = buf_span(&lengths);
	buf_put(out, all.data, all.len);
	start = buf_span(out).len;
	buf_put_fixed32(out, crc32c_mask(crc));
	put_data(out, text, scalar);
	if (buf_error(out))
		return buf_error(out);

	/* From the stored checksum on, the entry's goes over what is stored. */
	all = buf_span(out);
	(void)span_take(&all, start, &before);
	*ret_crc32c = crc32c_extend(crc, all.data, all.len);
	return 0;
}
