#include "core/compact_v1.h"

#include <string.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/commit.h"
#include "core/content.h"
#include "core/edit.h"
#include "core/log.h"
#include "core/v1.h"
#include "core/v1_file.h"

static int refuse(const char *prefix, int r, const char *reason)
{
	log_error("%s: not compacted: %s", prefix, reason);
	return r;
}

static uint64_t size_of(const struct bundle *b)
{
	uint64_t sum = 0;
	size_t n;
	struct v1_file *const *files = bundle_v1_files(b, &n);

	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)v1_file_stat(files[i])->st_size;
	return sum;
}

/* A commit in which every variable is written as it is: so it writes all files anew. */
int compact_v1(int dirfd, const char *prefix, struct compact_result *ret)
{
	CLEANUP(bundle_unrefp) struct bundle *base = NULL;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(edit_freep) struct edit *edit = NULL;
	struct commit_report report = { 0 };
	const char *reason;
	int r = v1_open(dirfd, prefix, &base);

	if (r == 0 && bundle_writable(base, &reason) < 0)
		return refuse(prefix, -EIO, reason);
	if (r == 0)
		r = edit_new(&edit);
	for (size_t i = 0; r == 0 && i < bundle_count(base); i++) {
		r = content_check_records(bundle_entry(base, i));
		if (r == 0)
			r = edit_put(edit, bundle_entry(base, i), NULL);
	}
	if (r == 0)
		r = commit_edit(dirfd, prefix, base, edit, &next, &report);
	if (r < 0)
		return refuse(prefix, r, strerror(-r));
	ret->before = size_of(base);
	ret->after = report.bytes;
	return 0;
}
