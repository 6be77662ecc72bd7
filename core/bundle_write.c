/* The index of a bundle; where it goes is commit.c's matter, but for the first one. */
#include <errno.h>
#include <stdlib.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/extent.h"
#include "core/table_writer.h"
#include "core/temporary.h"

#define SLACK_UNIT  4096
#define PADDING_MAX (UINT64_C(64) << 10) /* beyond twice the content */

/* How long the index becomes: see bundle_encode(). */
static uint64_t padded_size(uint64_t content, uint64_t old_size)
{
	uint64_t most = 2 * content + PADDING_MAX;
	uint64_t slack = content + content / 8 + SLACK_UNIT - 1;

	if (content <= old_size && old_size <= most)
		return old_size;
	return slack / SLACK_UNIT * SLACK_UNIT;
}

int bundle_encode(const struct bundle *b, uint64_t old_size, struct buf *ret)
{
	struct table_writer *w = NULL;
	size_t n;
	struct entry *const *all = bundle_all(b, &n);
	int r = table_writer_new(ret, &w);

	if (r < 0)
		return r;
	table_writer_add(w, (struct span){ 0 }, bundle_header(b));
	for (size_t i = 0; i < n; i++)
		table_writer_add(w, entry_key(all[i]), entry_raw(all[i]));
	r = table_writer_finish(w, padded_size(table_writer_seal(w), old_size));
	table_writer_free(w);
	return r;
}

static void name_extents(const struct bundle *b)
{
	size_t n;
	struct entry *const *all = bundle_all(b, &n);

	for (size_t i = 0; i < n; i++)
		if (entry_extent(all[i]))
			extent_name(entry_extent(all[i]));
}

int bundle_publish(const struct bundle *b)
{
	CLEANUP(temporary_release)
	struct temporary t = { bundle_dirfd(b), -1, NULL };
	CLEANUP(buf_release) struct buf index = { 0 };
	CLEANUP(free_ptr) char *name = bundle_index_name(bundle_prefix(b));
	int r;

	if (!name)
		return -ENOMEM;
	/* From now on its bytes are not given back with the last entry of them. */
	name_extents(b);
	r = bundle_encode(b, 0, &index);
	if (r == 0)
		r = temporary_create(t.dirfd, name, buf_span(&index),
				     bundle_stat(b), &t);
	if (r == 0)
		r = io_rename_new(t.dirfd, t.name, name);
	if (r < 0)
		return r;
	free(STEAL(t.name));
	return io_sync_parent(t.dirfd, name);
}

int bundle_create(int dirfd, const char *prefix, const struct stat *like)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_empty(dirfd, prefix, like, &b);

	return r < 0 ? r : bundle_publish(b);
}
