#include "core/v1.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/log.h"
#include "core/table.h"
#include "proto/saved_tensor_slice.pb-c.h"

#define SHARD_SUFFIX "-00000-of-00000" /* its length is what counts */

typedef Tensorflow__SavedSliceMeta slice_meta;

struct listing {
	struct entry **entries;
	size_t n;
};

static void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		entry_unref(l->entries[i]);
	free(l->entries);
}

/* Bytes the value takes in memory; 0 where that is not known from its type. */
static int64_t value_bytes(const slice_meta *m)
{
	int64_t bytes = (int64_t)dtype_size(m->type);

	for (size_t i = 0; m->shape && i < m->shape->n_dim; i++)
		if (__builtin_mul_overflow(bytes, m->shape->dim[i]->size,
					   &bytes))
			return 0;
	return bytes < 0 ? 0 : bytes;
}

/* The list has no entries as an index has them, so one is made for each tensor. */
static int entry_of(const slice_meta *m, struct entry **ret,
		    const char **ret_reason)
{
	Tensorflow__BundleEntryProto p = TENSORFLOW__BUNDLE_ENTRY_PROTO__INIT;
	CLEANUP(buf_release) struct buf raw = { 0 };

	p.dtype = m->type;
	p.shape = m->shape;
	p.size = value_bytes(m);
	/* One slice is the whole, and it says so by having empty extents. */
	p.n_slices = m->n_slice > 1 ? m->n_slice : 0;
	p.slices = m->slice;

	buf_put_zeros(&raw,
		      tensorflow__bundle_entry_proto__get_packed_size(&p));
	if (buf_error(&raw))
		return buf_error(&raw);
	(void)tensorflow__bundle_entry_proto__pack(&p, raw.data);
	return entry_parse((struct span){ m->name.data, m->name.len },
			   buf_span(&raw), ENTRY_V1, ret, ret_reason);
}

static int add_tensors(const char *name,
		       const Tensorflow__SavedTensorSliceMeta *meta,
		       struct listing *l)
{
	struct entry **entries = reallocarray(
		l->entries, l->n + meta->n_tensor + 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	l->entries = entries;
	for (size_t i = 0; i < meta->n_tensor; i++) {
		const char *reason = NULL;
		int r = entry_of(meta->tensor[i], &l->entries[l->n], &reason);

		if (r == 0)
			l->n++;
		else if (r == -EBADMSG)
			log_error("%s: a tensor is not shown: %s", name,
				  reason);
		else
			return r;
	}
	return 0;
}

static int read_list(int fd, const char *name, struct listing *l)
{
	CLEANUP(buf_release) struct buf raw = { 0 };
	Tensorflow__SavedTensorSlices *p;
	struct table *t = NULL;
	int r = table_open(fd, name, &t);

	if (r == 0)
		r = table_get(t, (struct span){ 0 }, &raw);
	table_free(t);
	if (r < 0)
		return r == -EINVAL || r == -ENOENT ? -EIO : r;

	p = tensorflow__saved_tensor_slices__unpack(NULL, raw.len, raw.data);
	if (!p || !p->meta) {
		log_error("%s: not shown: it has no list of its tensors", name);
		r = -EIO;
	} else {
		r = add_tensors(name, p->meta, l);
	}
	if (p)
		tensorflow__saved_tensor_slices__free_unpacked(p, NULL);
	return r;
}

static int read_file(int dirfd, const char *name, struct listing *l,
		     struct stat *ret_st)
{
	CLEANUP(close_fd) int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fd;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	return read_list(fd, name, l);
}

/* The M of a file PREFIX-00000-of-MMMMM in the directory; 0 if there is none. */
static unsigned count_files(int dirfd, const char *prefix)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(prefix);
	const struct dirent *e;
	unsigned n = 0;

	while (d && n == 0 && (e = readdir(d)))
		if (strlen(e->d_name) == len + strlen(SHARD_SUFFIX) &&
		    strncmp(e->d_name, prefix, len) == 0 &&
		    strncmp(e->d_name + len, "-00000-of-", 10) == 0)
			n = (unsigned)strtoul(e->d_name + len + 10, NULL, 10);
	if (d)
		(void)closedir(d);
	return n;
}

static int read_files(int dirfd, const char *prefix, char **ret_first,
		      struct listing *l, struct stat *ret_st)
{
	unsigned n = count_files(dirfd, prefix);
	int r = n ? 0 : -ENOENT;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		CLEANUP(free_ptr) char *name = NULL;
		struct stat st;

		if (asprintf(&name, "%s-%05u-of-%05u", prefix, i, n) < 0) {
			name = NULL;
			return -ENOMEM;
		}
		r = read_file(dirfd, name, l, i == 0 ? ret_st : &st);
		if (i == 0)
			*ret_first = STEAL(name);
	}
	return r;
}

int v1_open(int dirfd, const char *prefix, struct bundle **ret)
{
	CLEANUP(listing_release) struct listing l = { 0 };
	CLEANUP(free_ptr) char *first = NULL;
	struct stat st;
	int r = read_file(dirfd, prefix, &l, &st);

	if (r == -ENOENT)
		r = read_files(dirfd, prefix, &first, &l, &st);
	if (r < 0)
		return r;
	return bundle_of_v1(dirfd, first ? first : prefix, &st, l.entries, l.n,
			    ret);
}
