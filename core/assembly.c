#include "core/assembly.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/box.h"
#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/leaf.h"
#include "core/log.h"
#include "core/shape.h"
#include "core/shard.h"
#include "core/slice.h"

struct part {
	struct box *box;
	struct entry *entry; /* borrowed, or NULL */
	struct leaf
		*leaf; /* NULL of one that cannot be read, or is in a V1 file */
	const char *reason;            /* why not */
	char *slice;                   /* what TensorFlow calls it */
	struct elements_source source; /* of elements that vary */
	uint64_t first;                /* of the variable */
	uint64_t end;
	uint64_t furthest; /* the largest end of this part and those before it */
};

struct assembly {
	struct entry *entry;
	char *name;
	bool verify;
	size_t item; /* bytes an element takes; 1 where they vary, for boxes of elements */
	size_t n;
	struct part *parts; /* by where they begin */
	uint64_t covered;
	atomic_bool told; /* what is missing: once is enough */
};

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	for (size_t i = 0; a->parts && i < a->n; i++) {
		box_free(a->parts[i].box);
		leaf_unref(a->parts[i].leaf);
		free(a->parts[i].slice);
	}
	free(a->parts);
	entry_unref(a->entry);
	free(a->name);
	free(a);
}

/* --- the parts ------------------------------------------------------------ */

static const char *check_part(const struct entry *e, size_t i,
			      const struct slice_extent *extents)
{
	const char *reason = entry_part_fault(e, i, extents);

	if (!reason && entry_access(entry_part(e, i), &reason) == 0)
		reason = NULL;
	return reason;
}

static int open_leaf(struct assembly *a, const struct part *p,
		     struct leaf **ret)
{
	CLEANUP(buf_release) struct buf name = { 0 };

	buf_printf(&name, "%s %s", a->name, p->slice);
	buf_put(&name, "", 1);
	if (buf_error(&name))
		return buf_error(&name);
	return leaf_open(p->entry, (const char *)name.data, a->verify, ret);
}

/*
 * What cannot be opened spoils its own bytes, and has been logged.  Of V1 it is opened for
 * each read: it may have to be decoded into a file, and there may be thousands.
 */
static int open_part(struct assembly *a, struct part *p)
{
	int r;

	if (entry_v1(p->entry) && dtype_size(entry_dtype(a->entry)))
		return 0;
	r = open_leaf(a, p, &p->leaf);
	if (r != -EIO)
		return r;
	p->reason = "it is damaged";
	return 0;
}

static int add_part(void *arg, size_t i, const struct slice_extent *extents,
		    size_t rank)
{
	CLEANUP(buf_release) struct buf slice = { 0 };
	struct assembly *a = arg;
	struct part *p = &a->parts[i];
	int r = box_new(entry_shape(a->entry), extents, a->item, &p->box);

	slice_print(extents, rank, &slice);
	buf_put(&slice, "", 1);
	if (r < 0 || buf_error(&slice))
		return r < 0 ? r : -ENOMEM;
	p->slice = (char *)STEAL(slice.data);
	p->first = box_first(p->box);
	p->end = box_end(p->box);
	a->covered += box_size(p->box);
	p->entry = entry_part(a->entry, i);
	p->reason = check_part(a->entry, i, extents);
	return p->reason ? 0 : open_part(a, p);
}

static int by_first(const void *a, const void *b)
{
	const struct part *pa = a, *pb = b;

	return (pa->first > pb->first) - (pa->first < pb->first);
}

int assembly_new(struct entry *e, const char *name, bool verify,
		 struct assembly **ret)
{
	CLEANUP(assembly_freep) struct assembly *a = calloc(1, sizeof(*a));
	uint64_t furthest = 0;
	int r;

	if (!a)
		return -ENOMEM;
	a->entry = entry_ref(e);
	a->verify = verify;
	a->item = dtype_size(entry_dtype(e));
	if (a->item == 0)
		a->item = 1;
	a->n = entry_slices(e);
	a->name = strdup(name);
	a->parts = calloc(a->n, sizeof(*a->parts));
	if (!a->name || !a->parts)
		return -ENOMEM;
	r = entry_each_slice(e, add_part, a);
	if (r < 0)
		return r;
	qsort(a->parts, a->n, sizeof(*a->parts), by_first);
	for (size_t i = 0; i < a->n; i++) {
		if (furthest < a->parts[i].end)
			furthest = a->parts[i].end;
		a->parts[i].furthest = furthest;
	}
	*ret = STEAL(a);
	return 0;
}

/* Whether every element lies in a slice, be that there or not. */
static bool is_whole(const struct assembly *a)
{
	return a->covered == entry_elements(a->entry) * a->item;
}

/* --- numbers -------------------------------------------------------------- */

/* The first part that may have bytes from `offset` on. */
static size_t find_part(const struct assembly *a, uint64_t offset)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (a->parts[mid].furthest <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int tell_part(struct assembly *a, const struct part *p)
{
	if (!atomic_exchange(&a->told, true))
		log_error("%s: bytes of it cannot be read: those of its slice "
			  "%s: %s",
			  a->name, p->slice, p->reason);
	return -EIO;
}

static int tell_hole(struct assembly *a)
{
	if (!atomic_exchange(&a->told, true))
		log_error("%s: bytes of it cannot be read: no slice has them",
			  a->name);
	return -EIO;
}

/* Those of the `n` bytes from `offset` that lie in the slice: from..to of it. */
static int read_part(struct assembly *a, const struct part *p, uint8_t *buf,
		     uint64_t offset, uint64_t from, uint64_t to)
{
	CLEANUP(free_ptr) uint8_t *memory = NULL;
	CLEANUP(leaf_unrefp) struct leaf *c = NULL;
	struct run run = box_run(p->box, from, to - from);
	int r = 0;

	if (p->reason)
		return tell_part(a, p);
	if (p->leaf)
		c = leaf_ref(p->leaf);
	else
		r = open_leaf(a, p, &c);
	if (r < 0)
		return r;
	if (run.n == to - from)
		return leaf_read(c, buf + (run.whole - offset), run.n, from);
	memory = malloc(to - from);
	if (!memory)
		return -ENOMEM;
	r = leaf_read(c, memory, to - from, from);
	if (r == 0)
		box_scatter(p->box, from, to - from, memory, buf, offset);
	return r;
}

int assembly_read(struct assembly *a, void *buf, size_t n, uint64_t offset)
{
	uint64_t end = offset + n;
	uint64_t found = 0;

	for (size_t i = find_part(a, offset);
	     i < a->n && a->parts[i].first < end; i++) {
		const struct part *p = &a->parts[i];
		uint64_t from = box_before(p->box, offset);
		uint64_t to = box_before(p->box, end);
		int r = from < to ? read_part(a, p, buf, offset, from, to) : 0;

		if (r < 0)
			return r;
		found += to - from;
	}
	return found == n ? 0 : tell_hole(a);
}

/* --- strings and variants ------------------------------------------------- */

/* Puts the elements of one slice to their places among those of the whole. */
static int collect(struct part *p, struct elements *all)
{
	CLEANUP(elements_release) struct elements slice = { 0 };
	int r;

	p->source = leaf_elements(p->leaf);
	r = elements_scan(&p->source, &slice);
	for (uint64_t at = 0; r == 0 && at < slice.n;) {
		struct run run = box_run(p->box, at, slice.n - at);

		for (uint64_t i = 0; i < run.rows; i++, at += run.n)
			memcpy(&all->at[run.whole + i * run.stride],
			       &slice.at[at], run.n * sizeof(*slice.at));
	}
	return r;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t sa = *(const uintptr_t *)a, sb = *(const uintptr_t *)b;

	return (sa > sb) - (sa < sb);
}

/*
 * The bytes of all shards that the slices are in, each once; of V1, of all records.  Slices
 * that share their bytes could otherwise be put together to any size.
 */
static int sum_shards(const struct assembly *a, uint64_t *ret)
{
	CLEANUP(free_ptr) struct shard **all = calloc(a->n + 1, sizeof(*all));
	uint64_t sum = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < a->n; i++) {
		all[i] = entry_shard(a->parts[i].entry);
		if (!all[i])
			sum += leaf_size(a->parts[i].leaf);
	}
	qsort(all, a->n, sizeof(*all), by_address);
	for (size_t i = 0; i < a->n; i++)
		if (all[i] && (i == 0 || all[i] != all[i - 1]))
			sum += shard_end(all[i]);
	*ret = sum;
	return 0;
}

static int check_sum(struct assembly *a)
{
	uint64_t bytes = 0, shards;
	int r = sum_shards(a, &shards);

	for (size_t i = 0; i < a->n; i++)
		bytes += leaf_size(a->parts[i].leaf);
	if (r < 0 || bytes <= shards)
		return r;
	log_error("%s: cannot be read: its slices share their bytes", a->name);
	return -EIO;
}

/* Each element takes a byte at least, so that memory is bounded by the shards. */
static int check_parts(struct assembly *a)
{
	for (size_t i = 0; i < a->n; i++) {
		struct part *p = &a->parts[i];

		if (p->leaf && box_size(p->box) > leaf_size(p->leaf))
			p->reason = "it is too small for its elements";
		if (p->reason)
			return tell_part(a, p);
	}
	return is_whole(a) ? check_sum(a) : tell_hole(a);
}

static int collect_all(struct assembly *a, struct elements *ret)
{
	int r = check_parts(a);

	if (r == 0)
		r = elements_alloc(ret, entry_elements(a->entry));
	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = collect(&a->parts[i], ret);
	return r;
}

int assembly_make(struct assembly *a, int *ret_fd, uint64_t *ret_size,
		  uint32_t *ret_crc32c)
{
	CLEANUP(elements_release) struct elements all = { 0 };
	int r = collect_all(a, &all);
	int fd = r < 0 ? r : entry_spool(a->entry);

	if (fd < 0)
		return fd;
	r = elements_spool(&all, entry_dtype(a->entry), fd, ret_size,
			   ret_crc32c);
	if (r < 0)
		close_fd(&fd);
	else
		*ret_fd = fd;
	return r;
}
