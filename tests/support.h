/* support.h - what tests of whole checkpoints share: directories and bundles. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/table_writer.h"
#include "proto/tensor_bundle.pb-c.h"
#include "tests/test.h"

/* --- what is logged ------------------------------------------------------ */

struct logged {
	unsigned lines;
	char last[512];
};

static inline struct logged *logged(void)
{
	static struct logged l;

	return &l;
}

static inline void note_line(enum log_level level, const char *line)
{
	(void)level;
	__atomic_fetch_add(&logged()->lines, 1, __ATOMIC_RELAXED);
	(void)snprintf(logged()->last, sizeof(logged()->last), "%s", line);
}

static inline void drop_line(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static inline int note_lines(void **state)
{
	(void)state;
	log_to(note_line, LOG_LEVEL_WARNING);
	return 0;
}

static inline void forget_lines(void)
{
	*logged() = (struct logged){ 0 };
}

/* Asserts that this was said since forget_lines(), and nothing else. */
static inline void assert_said(const char *part)
{
	assert_int_equal(logged()->lines, 1);
	if (!strstr(logged()->last, part))
		assert_string_equal(logged()->last, part);
	forget_lines();
}

/* --- a directory that goes with its scope --------------------------------- */

struct place {
	char path[64];
	int fd;
};

/* The Makefile names one in memory: a disk that others keep busy is no judge of time. */
static inline void place_path(char path[64])
{
	const char *in = getenv("TMPDIR");

	if (!in || strlen(in) > 40)
		in = "/tmp";
	(void)snprintf(path, 64, "%s/weightfs-test-XXXXXX", in);
	assert_non_null(mkdtemp(path));
}

static inline struct place place_make(void)
{
	struct place p = { "", -1 };

	place_path(p.path);
	p.fd = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p.fd >= 0);
	return p;
}

/* Tests make directories one level deep, and no deeper. */
static inline void place_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dirfd, e->d_name,
				       e->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	if (d)
		(void)closedir(d);
}

static inline void place_release(struct place *p)
{
	place_empty(p->fd);
	close_fd(&p->fd);
	(void)rmdir(p->path);
}

static inline size_t place_count(const struct place *p)
{
	int fd = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	size_t n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

static inline void put_file(int dirfd, const char *name, struct span bytes)
{
	CLEANUP(close_fd)
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
}

/* As TensorFlow saves: a new file takes the place of the old one. */
static inline void replace_file(int dirfd, const char *name, struct span bytes)
{
	put_file(dirfd, "replacement", bytes);
	assert_int_equal(renameat(dirfd, "replacement", dirfd, name), 0);
}

static inline void get_file(int dirfd, const char *name, struct buf *ret)
{
	CLEANUP(close_fd) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	uint8_t chunk[4096];
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(ret, chunk, (size_t)n);
	assert_int_equal(buf_error(ret), 0);
}

static inline bool is_index(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && strcmp(name + len - 6, ".index") == 0;
}

/*
 * Copies the files of a directory of tests/fixtures: an index after its data, as it would
 * otherwise look like that of a save that is under way.
 */
static inline void copy_fixture(const struct place *p, const char *name)
{
	char path[256];
	const struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "tests/fixtures/%s", name);
	d = opendir(path);
	assert_non_null(d);
	for (int pass = 0; pass < 2; pass++) {
		rewinddir(d);
		while ((e = readdir(d))) {
			CLEANUP(buf_release) struct buf bytes = { 0 };

			if (e->d_type != DT_REG ||
			    is_index(e->d_name) != (pass == 1))
				continue;
			get_file(dirfd(d), e->d_name, &bytes);
			put_file(p->fd, e->d_name, buf_span(&bytes));
		}
	}
	(void)closedir(d);
}

/* Makes a file look as if it was written a minute ago. */
static inline void make_old(int dirfd, const char *name)
{
	struct timespec now, times[2];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec -= 60;
	times[0] = times[1] = now;
	assert_int_equal(utimensat(dirfd, name, times, 0), 0);
}

/* --- entries and indexes by hand ----------------------------------------- */

/* A BundleEntryProto with room for its parts; set fields, then pack it. */
struct proto {
	Tensorflow__BundleEntryProto entry;
	Tensorflow__TensorShapeProto shape;
	Tensorflow__TensorShapeProto__Dim dims[256];
	Tensorflow__TensorShapeProto__Dim *dim_list[256];
};

static inline void proto_init(struct proto *p, int32_t dtype, size_t rank,
			      const int64_t *dims)
{
	tensorflow__bundle_entry_proto__init(&p->entry);
	tensorflow__tensor_shape_proto__init(&p->shape);
	for (size_t i = 0; i < rank; i++) {
		tensorflow__tensor_shape_proto__dim__init(&p->dims[i]);
		p->dims[i].size = dims[i];
		p->dim_list[i] = &p->dims[i];
	}
	p->shape.n_dim = rank;
	p->shape.dim = p->dim_list;
	p->entry.shape = &p->shape;
	p->entry.dtype = dtype;
}

static inline void proto_pack(const struct proto *p, struct buf *out)
{
	size_t start = out->len;

	buf_put_zeros(out, tensorflow__bundle_entry_proto__get_packed_size(
				   &p->entry));
	(void)tensorflow__bundle_entry_proto__pack(&p->entry,
						   out->data + start);
}

/* TensorFlow's own header: one shard, producer 1. */
#define HEADER ((struct span){ (const uint8_t *)"\x08\1\x1a\2\x08\1", 6 })

/* A bundle of int8 vectors, whose data follow one another in one shard. */
struct maker {
	struct buf index;
	struct buf data;
	struct table_writer *writer;
};

static inline void maker_init(struct maker *m, struct span header)
{
	*m = (struct maker){ 0 };
	assert_int_equal(table_writer_new(&m->index, &m->writer), 0);
	table_writer_add(m->writer, (struct span){ 0 }, header);
}

static inline void maker_release(struct maker *m)
{
	table_writer_free(m->writer);
	buf_release(&m->index);
	buf_release(&m->data);
}

/* Adds an entry as it is; keys have to rise. */
static inline void maker_put(struct maker *m, const char *key,
			     const struct proto *p)
{
	CLEANUP(buf_release) struct buf raw = { 0 };

	proto_pack(p, &raw);
	table_writer_add(m->writer, span_of(key), buf_span(&raw));
}

static inline void maker_add(struct maker *m, const char *key,
			     struct span value)
{
	const int64_t n = (int64_t)value.len;
	struct proto p;

	proto_init(&p, 6, 1, &n);
	p.entry.offset = (int64_t)m->data.len;
	p.entry.size = n;
	p.entry.crc32c = crc32c_mask(crc32c_extend(0, value.data, value.len));
	buf_put(&m->data, value.data, value.len);
	maker_put(m, key, &p);
}

static inline void maker_finish(struct maker *m)
{
	assert_int_equal(table_writer_finish(m->writer, 0), 0);
	assert_int_equal(buf_error(&m->data), 0);
}

#define INDEX_NAME "ckpt.index"
#define DATA_NAME  "ckpt.data-00000-of-00001"

/* Writes `ckpt` into the directory, data first. */
static inline void maker_write(struct maker *m, int dirfd)
{
	maker_finish(m);
	replace_file(dirfd, DATA_NAME, buf_span(&m->data));
	replace_file(dirfd, INDEX_NAME, buf_span(&m->index));
}

/* `ckpt` with the int8 vectors of these keys and values, which are texts. */
static inline void make_bundle(int dirfd, size_t n,
			       const char *const (*pairs)[2])
{
	CLEANUP(maker_release) struct maker m;

	maker_init(&m, HEADER);
	for (size_t i = 0; i < n; i++)
		maker_add(&m, pairs[i][0], span_of(pairs[i][1]));
	maker_write(&m, dirfd);
}
