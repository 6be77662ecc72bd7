#include "core/verify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"

#define RANGES_MIN 4 /* whoever reads in order needs few */
#define RANGES_MAX 4096

struct range {
	uint64_t start;
	uint64_t end; /* beyond `start` */
	uint32_t crc;
};

struct verify {
	uint64_t size;
	uint32_t crc32c;
	/* By rising start; each ends before the next starts. */
	struct range *ranges;
	size_t n;
	size_t cap;
};

int verify_new(uint64_t size, uint32_t crc32c, struct verify **ret)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;

	v->size = size;
	v->crc32c = crc32c;
	v->cap = RANGES_MIN;
	v->ranges = calloc(v->cap, sizeof(*v->ranges));
	if (!v->ranges) {
		free(v);
		return -ENOMEM;
	}
	*ret = v;
	return 0;
}

void verify_free(struct verify *v)
{
	if (!v)
		return;
	free(v->ranges);
	free(v);
}

static uint64_t range_length(const struct range *r)
{
	return r->end - r->start;
}

/* The position of the first range that ends at `offset` or after it. */
static size_t find_range(const struct verify *v, uint64_t offset)
{
	size_t low = 0;
	size_t high = v->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->ranges[middle].end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Keeps the longer one of every two neighbours.  Forgetting many at once, and that
 * before a new one comes, leaves whoever now reads in order the time to grow.
 */
static void forget_half(struct verify *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->n; i += 2) {
		struct range *longer = &v->ranges[i];

		if (i + 1 < v->n &&
		    range_length(longer + 1) > range_length(longer))
			longer++;
		v->ranges[kept++] = *longer;
	}
	v->n = kept;
}

static void make_room(struct verify *v)
{
	struct range *grown = NULL;

	if (v->n < v->cap)
		return;
	if (v->cap < RANGES_MAX)
		grown = reallocarray(v->ranges, 2 * v->cap, sizeof(*grown));

	/* Without memory for more, less is remembered: no reason to fail. */
	if (!grown) {
		forget_half(v);
		return;
	}
	v->ranges = grown;
	v->cap *= 2;
}

/* Adds a range that touches no other. */
static void insert_range(struct verify *v, const struct range *r)
{
	struct range *at;

	make_room(v);
	at = &v->ranges[find_range(v, r->start)];
	memmove(at + 1, at, (v->ranges + v->n - at) * sizeof(*at));
	*at = *r;
	v->n++;
}

/* Puts one range in the place of those from `first` to before `past`. */
static void replace_ranges(struct verify *v, size_t first, size_t past,
			   const struct range *r)
{
	v->ranges[first] = *r;
	memmove(&v->ranges[first + 1], &v->ranges[past],
		(v->n - past) * sizeof(*v->ranges));
	v->n -= past - first - 1;
}

/* Lengthens a range by `data`, which goes on where the range ends. */
static void extend_range(struct range *r, const uint8_t *data, uint64_t n)
{
	r->crc = crc32c_extend(r->crc, data, n);
	r->end += n;
}

/* Lengthens a range by one that starts where it ends. */
static void join_range(struct range *r, const struct range *next)
{
	r->crc = crc32c_combine(r->crc, next->crc, range_length(next));
	r->end = next->end;
}

/* One range of `data` and all that it touches; only the gaps are looked at. */
static void note(struct verify *v, uint64_t offset, const uint8_t *data,
		 size_t n)
{
	uint64_t end = offset + n;
	struct range whole = { .start = offset, .end = offset };
	size_t first = find_range(v, offset);
	size_t past = first;

	if (first < v->n && v->ranges[first].start <= offset)
		whole = v->ranges[past++];

	while (past < v->n && v->ranges[past].start <= end) {
		const struct range *next = &v->ranges[past++];

		extend_range(&whole, data + (whole.end - offset),
			     next->start - whole.end);
		join_range(&whole, next);
	}
	if (whole.end < end)
		extend_range(&whole, data + (whole.end - offset),
			     end - whole.end);

	if (past == first)
		insert_range(v, &whole);
	else
		replace_ranges(v, first, past, &whole);
}

static bool is_complete(const struct verify *v)
{
	return v->n == 1 && range_length(v->ranges) == v->size;
}

int verify_add(struct verify *v, uint64_t offset, const void *data, size_t n)
{
	if (n > 0)
		note(v, offset, data, n);

	if (!is_complete(v))
		return 0;
	if (v->ranges->crc == v->crc32c)
		return 1;

	v->n = 0;
	return -EIO;
}
