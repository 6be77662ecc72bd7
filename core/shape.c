#include "core/shape.h"

#include <inttypes.h>
#include <string.h>

#define HOLE (-1) /* a dimension that the size of the value decides */

/*
 * Multiplies from the left as TensorFlow does, each hole taken as `hole`.  The
 * partial products count: a 0 further right does not excuse an overflow.
 */
static bool product(struct shape shape, int64_t hole, uint64_t *ret)
{
	int64_t n = 1;

	if (shape.rank > SHAPE_MAX_RANK)
		return false;

	for (size_t i = 0; i < shape.rank; i++) {
		int64_t dim = shape.dims[i] == HOLE ? hole : shape.dims[i];

		if (dim < 0 || __builtin_mul_overflow(n, dim, &n))
			return false;
	}
	*ret = (uint64_t)n;
	return true;
}

bool shape_elements(struct shape shape, uint64_t *ret)
{
	return product(shape, HOLE, ret);
}

bool shape_equal(struct shape a, struct shape b)
{
	return a.rank == b.rank &&
	       (a.rank == 0 ||
		memcmp(a.dims, b.dims, a.rank * sizeof(*a.dims)) == 0);
}

void shape_print(struct shape shape, struct buf *out)
{
	buf_put(out, "[", 1);
	for (size_t i = 0; i < shape.rank; i++)
		buf_printf(out, i > 0 ? ", %" PRId64 : "%" PRId64,
			   shape.dims[i]);
	buf_put(out, "]\n", 2);
}

/* The next byte, or 0 at the end; a NUL in the text fits nowhere either. */
static uint8_t peek(struct span s)
{
	return s.len > 0 ? s.data[0] : 0;
}

static bool skip(struct span *s, uint8_t c)
{
	struct span byte;

	return s->len > 0 && s->data[0] == c && span_take(s, 1, &byte);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool skip_blank(struct span *s)
{
	size_t before = s->len;

	while (is_blank(peek(*s)))
		(void)skip(s, peek(*s));
	return s->len < before;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Digits, or the -1 that stands for a hole; no sign but that one. */
static bool get_dim(struct span *s, int64_t *ret)
{
	struct span rest = *s;
	bool minus = skip(&rest, '-');
	int64_t value = 0;

	if (!is_digit(peek(rest)))
		return false;

	for (; is_digit(peek(rest)); (void)skip(&rest, peek(rest)))
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, peek(rest) - '0', &value))
			return false;
	if (minus && value != 1)
		return false;

	*s = rest;
	*ret = minus ? HOLE : value;
	return true;
}

static bool starts_dim(struct span s)
{
	return peek(s) == '-' || is_digit(peek(s));
}

/* Whether what stood between two dimensions, now skipped, may stand there. */
static bool skip_gap(struct span *s, bool commas)
{
	bool blank = skip_blank(s);
	bool comma = skip(s, ',');

	(void)skip_blank(s);
	return commas ? comma : blank;
}

/* One text separates by commas or by blanks; a comma may also follow the last. */
static bool get_dims(struct span *s, int64_t *dims, size_t *ret_rank)
{
	bool commas = s->len > 0 && memchr(s->data, ',', s->len);
	bool gap = true;
	size_t rank = 0;

	(void)skip_blank(s);
	while (starts_dim(*s)) {
		if (!gap || rank == SHAPE_MAX_RANK || !get_dim(s, &dims[rank]))
			return false;
		rank++;
		gap = skip_gap(s, commas);
	}
	*ret_rank = rank;
	return true;
}

/* The bracket that has to end what starts with the one skipped; 0 for none. */
static uint8_t skip_bracket(struct span *s)
{
	if (skip(s, '['))
		return ']';
	return skip(s, '(') ? ')' : 0;
}

static size_t count_holes(struct shape shape)
{
	size_t holes = 0;

	for (size_t i = 0; i < shape.rank; i++)
		holes += shape.dims[i] == HOLE;
	return holes;
}

bool shape_parse(struct span text, int64_t dims[SHAPE_MAX_RANK],
		 struct shape *ret)
{
	struct shape shape = { .dims = dims };
	uint64_t elements;
	uint8_t close;
	size_t holes;

	(void)skip_blank(&text);
	close = skip_bracket(&text);
	if (!get_dims(&text, dims, &shape.rank))
		return false;
	if (close ? !skip(&text, close) : shape.rank == 0)
		return false;
	(void)skip_blank(&text);
	if (text.len > 0)
		return false;

	/* Anything times 0 is 0: then the size decides nothing. */
	holes = count_holes(shape);
	if (!product(shape, 1, &elements) || holes > (elements > 0))
		return false;

	*ret = shape;
	return true;
}

bool shape_resolve(int64_t *dims, size_t rank, uint64_t elements)
{
	struct shape shape = { .rank = rank, .dims = dims };
	uint64_t others, n;
	int64_t dim;

	if (!product(shape, 1, &others))
		return false;
	if (count_holes(shape) == 0)
		return others == elements;
	if (others == 0 || elements / others > INT64_MAX)
		return false;

	/* Once more with the hole filled: it may overflow, or not divide. */
	dim = (int64_t)(elements / others);
	if (!product(shape, dim, &n) || n != elements)
		return false;

	for (size_t i = 0; i < rank; i++)
		if (dims[i] == HOLE)
			dims[i] = dim;
	return true;
}
