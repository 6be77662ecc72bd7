#include "core/partition.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/entry_proto.h"

/* More than any program makes; comparing them takes the square of that. */
#define SLICES_MAX 8192
/* Comparisons of two extents: real partitions are grids, and take far fewer. */
#define WORK_MAX (UINT64_C(1) << 26)

static struct slice_extent extent_of(
	const Tensorflow__TensorSliceProto__Extent *x)
{
	bool has_length =
		x->has_length_case ==
		TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;

	return (struct slice_extent){ x->start, has_length ? x->length : -1 };
}

/* --- one slice ------------------------------------------------------------ */

static const char *check_extent(struct slice_extent x, int64_t dim)
{
	if (x.start < 0)
		return "a slice begins before its variable";
	if (x.length < -1 || (x.length == -1 && x.start != 0))
		return "a slice has no length";
	if (x.length > dim || x.start > dim - (x.length < 0 ? 0 : x.length))
		return "a slice ends beyond its variable";
	return NULL;
}

static const char *check_slice(const entry_proto *p,
			       const Tensorflow__TensorSliceProto *slice)
{
	const char *reason = NULL;

	if (!p->shape || slice->n_extent != p->shape->n_dim)
		return "a slice has another rank than its variable";
	for (size_t i = 0; !reason && i < slice->n_extent; i++)
		reason = check_extent(extent_of(slice->extent[i]),
				      p->shape->dim[i]->size);
	return reason;
}

/* --- slices that overlap -------------------------------------------------- */

/* From where to where a slice goes in one dimension. */
struct range {
	int64_t start;
	int64_t end;
};

/* The slices in the dimensions that are not the same in all of them, one after another. */
struct sweep {
	struct range *ranges;
	size_t n; /* of slices */
	size_t rank;
	uint64_t work;
};

static struct range range_of(const entry_proto *p, size_t slice, size_t dim)
{
	struct slice_extent x = extent_of(p->slices[slice]->extent[dim]);

	return x.length < 0 ? (struct range){ 0, p->shape->dim[dim]->size }
			    : (struct range){ x.start, x.start + x.length };
}

/* Whether it tells slices apart. */
static bool is_cut(const entry_proto *p, size_t dim)
{
	struct range first = range_of(p, 0, dim);

	for (size_t i = 1; i < p->n_slices; i++) {
		struct range other = range_of(p, i, dim);

		if (other.start != first.start || other.end != first.end)
			return true;
	}
	return false;
}

static int by_start(const void *a, const void *b)
{
	const struct range *ra = a, *rb = b;

	return (ra->start > rb->start) - (ra->start < rb->start);
}

static bool overlap(struct sweep *s, size_t a, size_t b)
{
	const struct range *ra = &s->ranges[a * s->rank];
	const struct range *rb = &s->ranges[b * s->rank];

	for (size_t i = 0; i < s->rank; i++) {
		s->work++;
		if (ra[i].end <= rb[i].start || rb[i].end <= ra[i].start)
			return false;
	}
	return true;
}

/* How many slices begin where another one does: few, where a dimension is cut finely. */
static size_t count_starts(const entry_proto *p, size_t dim,
			   struct range *scratch)
{
	size_t starts = 1;

	for (size_t i = 0; i < p->n_slices; i++)
		scratch[i] = range_of(p, i, dim);
	qsort(scratch, p->n_slices, sizeof(*scratch), by_start);
	for (size_t i = 1; i < p->n_slices; i++)
		starts += scratch[i].start != scratch[i - 1].start;
	return starts;
}

/*
 * By the dimension that is cut most finely, which comes first: of each slice only those
 * are looked at that begin before it ends.
 */
static const char *sweep(struct sweep *s)
{
	qsort(s->ranges, s->n, s->rank * sizeof(*s->ranges), by_start);
	for (size_t i = 0; i < s->n; i++)
		for (size_t j = i + 1; j < s->n; j++) {
			if (s->ranges[j * s->rank].start >=
			    s->ranges[i * s->rank].end)
				break;
			if (overlap(s, i, j))
				return "its slices overlap";
			if (s->work > WORK_MAX)
				return "its slices are too many to compare";
		}
	return NULL;
}

/* The dimensions that are cut, the finest one first; how many. */
static size_t find_cuts(const entry_proto *p, struct range *scratch,
			size_t cuts[SHAPE_MAX_RANK])
{
	size_t n = 0;
	size_t best = 0;

	for (size_t d = 0; d < p->shape->n_dim; d++) {
		size_t starts = is_cut(p, d) ? count_starts(p, d, scratch) : 0;

		if (starts == 0)
			continue;
		cuts[n++] = d;
		if (starts > best) {
			best = starts;
			cuts[n - 1] = cuts[0];
			cuts[0] = d;
		}
	}
	return n;
}

static const char *check_overlap(const entry_proto *p)
{
	CLEANUP(free_ptr)
	struct range *scratch = calloc(p->n_slices, sizeof(*scratch));
	struct sweep s = { .n = p->n_slices };
	size_t cuts[SHAPE_MAX_RANK];
	const char *reason;

	if (!scratch)
		return "there is no memory to look at its slices";
	s.rank = find_cuts(p, scratch, cuts);
	if (s.rank == 0)
		return "its slices overlap";
	s.ranges = calloc(s.n * s.rank, sizeof(*s.ranges));
	if (!s.ranges)
		return "there is no memory to look at its slices";
	for (size_t i = 0; i < s.n; i++)
		for (size_t d = 0; d < s.rank; d++)
			s.ranges[i * s.rank + d] = range_of(p, i, cuts[d]);
	reason = sweep(&s);
	free(s.ranges);
	return reason;
}

const char *partition_check(const entry_proto *p)
{
	const char *reason = NULL;

	if (p->n_slices > SLICES_MAX)
		return "it has more slices than are looked at";
	if (p->shape && p->shape->n_dim > SHAPE_MAX_RANK)
		return "it has more than 254 dimensions";
	for (size_t i = 0; !reason && i < p->n_slices; i++)
		reason = check_slice(p, p->slices[i]);
	if (!reason && p->n_slices > 1)
		reason = check_overlap(p);
	return reason;
}

/* --- what it lists -------------------------------------------------------- */

int partition_each(struct span raw,
		   int (*each)(void *arg, size_t i,
			       const struct slice_extent *extents, size_t rank),
		   void *arg)
{
	CLEANUP(entry_proto_freep)
	entry_proto *p = tensorflow__bundle_entry_proto__unpack(NULL, raw.len,
								raw.data);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_slices; i++) {
		const Tensorflow__TensorSliceProto *slice = p->slices[i];
		struct slice_extent extents[SHAPE_MAX_RANK];
		int r;

		for (size_t j = 0; j < slice->n_extent; j++)
			extents[j] = extent_of(slice->extent[j]);
		r = each(arg, i, extents, slice->n_extent);
		if (r < 0)
			return r;
	}
	return 0;
}
