#include "core/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/shard.h"

#define CHUNK (UINT64_C(1) << 20)

struct diff {
	diff_each *each;
	struct diff_result *result;
};

/* Of two values: what their checksums, and their bytes, say. */
enum verdict {
	SAME,
	OTHER,
	OPEN, /* nothing */
};

static bool comparable(const struct entry *a, const struct entry *b)
{
	const struct shard *sa = entry_shard(a), *sb = entry_shard(b);

	return sa && sb && !entry_slices(a) && !entry_slices(b) &&
	       !entry_v1(a) && !entry_v1(b) &&
	       shard_big_endian(sa) == shard_big_endian(sb);
}

static enum verdict by_checksum(const struct entry *a, const struct entry *b)
{
	if (!comparable(a, b))
		return OPEN;
	return entry_crc32c(a) == entry_crc32c(b) &&
			       entry_size(a) == entry_size(b)
		       ? SAME
		       : OTHER;
}

/* Slices of one partition, whatever their order: their keys tell. */
static const struct entry *part_like(const struct entry *e,
				     const struct entry *part, size_t hint)
{
	const struct entry *at = entry_part(e, hint);

	if (at && span_equal(entry_key(at), entry_key(part)))
		return at;
	for (size_t i = 0; i < entry_slices(e); i++) {
		at = entry_part(e, i);
		if (at && span_equal(entry_key(at), entry_key(part)))
			return at;
	}
	return NULL;
}

static enum verdict by_checksums(const struct entry *a, const struct entry *b)
{
	enum verdict verdict = SAME;

	if (!entry_slices(a) || entry_slices(a) != entry_slices(b))
		return by_checksum(a, b);
	for (size_t i = 0; i < entry_slices(a); i++) {
		const struct entry *pa = entry_part(a, i);
		const struct entry *pb = pa ? part_like(b, pa, i) : NULL;
		enum verdict one = pb ? by_checksum(pa, pb) : OPEN;

		if (one == OPEN)
			return OPEN;
		if (one == OTHER)
			verdict = OTHER;
	}
	return verdict;
}

static int open_value(struct entry *e, struct content **ret)
{
	CLEANUP(free_ptr) char *name = entry_describe(e, "");

	return name ? content_open(e, name + 1, true, ret) : -ENOMEM;
}

/* 1 if they are the same, 0 if not, or negative errno after a line in the log. */
static int same_bytes(struct content *a, struct content *b)
{
	CLEANUP(free_ptr) char *chunk = malloc(2 * CHUNK);
	uint64_t size = content_size(a);
	int same = 1;

	if (!chunk)
		return -ENOMEM;
	if (size != content_size(b))
		return 0;
	/* To the end, also if they differ: what is damaged is not different. */
	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;
		int r = content_read(a, chunk, n, at);

		if (r == 0)
			r = content_read(b, chunk + CHUNK, n, at);
		if (r < 0)
			return r;
		if (memcmp(chunk, chunk + CHUNK, n) != 0)
			same = 0;
	}
	return same;
}

static int same_values(struct entry *a, struct entry *b)
{
	CLEANUP(content_freep) struct content *ca = NULL;
	CLEANUP(content_freep) struct content *cb = NULL;
	int r = open_value(a, &ca);

	if (r == 0)
		r = open_value(b, &cb);
	return r < 0 ? r : same_bytes(ca, cb);
}

static void tell(struct diff *d, enum difference what, const struct entry *a,
		 const struct entry *b)
{
	if (what == DIFFERENCE_UNKNOWN)
		d->result->unknown++;
	else
		d->result->different++;
	d->each(what, a, b);
}

static int compare(struct diff *d, struct entry *a, struct entry *b)
{
	enum verdict verdict = by_checksums(a, b);
	int same = verdict == SAME;

	if (entry_dtype(a) != entry_dtype(b)) {
		tell(d, DIFFERENCE_RETYPED, a, b);
		return 0;
	}
	if (!shape_equal(entry_shape(a), entry_shape(b))) {
		tell(d, DIFFERENCE_RESHAPED, a, b);
		return 0;
	}
	if (verdict == OPEN)
		same = same_values(a, b);
	if (same == -ENOMEM)
		return same;
	if (same < 0)
		tell(d, DIFFERENCE_UNKNOWN, a, b);
	else if (!same)
		tell(d, DIFFERENCE_CHANGED, a, b);
	return 0;
}

/* What has come to its end comes after all that is left of the other. */
static int compare_keys(const struct bundle *a, size_t i,
			const struct bundle *b, size_t j)
{
	if (i == bundle_count(a))
		return 1;
	if (j == bundle_count(b))
		return -1;
	return span_compare(entry_key(bundle_entry(a, i)),
			    entry_key(bundle_entry(b, j)));
}

int diff_bundles(const struct bundle *a, const struct bundle *b,
		 diff_each *each, struct diff_result *ret)
{
	struct diff d = { each, ret };
	size_t i = 0, j = 0;
	int r = 0;

	*ret = (struct diff_result){ 0 };
	while (r == 0 && (i < bundle_count(a) || j < bundle_count(b))) {
		int order = compare_keys(a, i, b, j);

		if (order < 0)
			tell(&d, DIFFERENCE_REMOVED, bundle_entry(a, i), NULL);
		else if (order > 0)
			tell(&d, DIFFERENCE_ADDED, NULL, bundle_entry(b, j));
		else
			r = compare(&d, bundle_entry(a, i), bundle_entry(b, j));
		i += order <= 0;
		j += order >= 0;
	}
	return r;
}
