/* scene.h - a checkpoint whose values change, commit by commit. */
#pragma once

#include "core/bundle.h"
#include "core/commit.h"
#include "core/content.h"
#include "core/edit.h"
#include "core/extent.h"
#include "core/io.h"
#include "core/shard.h"
#include "core/writeout.h"
#include "tests/support.h"

#define SIZE UINT64_C(65536) /* of a value: whole pages, and no neighbour's */
#define INT8 6

/* `ckpt` of two int8 vectors: `a` of SIZE letters a, `b` of as many letters b. */
struct scene {
	struct place where;
	struct bundle *b;
	struct commit_report report; /* of the last commit */
};

static inline void scene_open(struct scene *s)
{
	struct bundle *old = s->b;

	assert_int_equal(bundle_open(s->where.fd, "ckpt", old, &s->b), 0);
	bundle_unref(old);
}

static inline void scene_init(struct scene *s)
{
	CLEANUP(maker_release) struct maker m;
	uint8_t letters[SIZE];

	*s = (struct scene){ .where = place_make() };
	maker_init(&m, HEADER);
	memset(letters, 'a', SIZE);
	maker_add(&m, "a", (struct span){ letters, SIZE });
	memset(letters, 'b', SIZE);
	maker_add(&m, "b", (struct span){ letters, SIZE });
	maker_write(&m, s->where.fd);
	scene_open(s);
}

static inline void scene_release(struct scene *s)
{
	bundle_unref(s->b);
	place_release(&s->where);
}

static inline struct entry *scene_find(const struct scene *s, const char *key)
{
	return bundle_find(s->b, span_of(key));
}

static inline struct extent *scene_reserve(const struct scene *s,
					   const struct entry *old, uint64_t n)
{
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	struct extent *x = NULL;

	assert_int_equal(bundle_shard(s->b, old, &shard), 0);
	assert_int_equal(shard_reserve(shard, n, &x), 0);
	return x;
}

/* An entry of SIZE letters, written but not committed. */
static inline struct entry *scene_write(const struct scene *s, const char *key,
					char letter)
{
	CLEANUP(extent_unrefp)
	struct extent *x = scene_reserve(s, scene_find(s, key), SIZE);
	const int64_t n = (int64_t)SIZE;
	uint8_t letters[SIZE];
	struct entry *e = NULL;

	memset(letters, letter, SIZE);
	assert_int_equal(shard_write(extent_shard(x), letters, SIZE,
				     extent_offset(x)),
			 0);
	assert_int_equal(entry_new(span_of(key), INT8, (struct shape){ 1, &n },
				   x, crc32c_extend(0, letters, SIZE), &e),
			 0);
	return e;
}

static inline int scene_try(struct scene *s, struct edit *edit)
{
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	int r = commit_edit(s->where.fd, "ckpt", s->b, edit, &next, &s->report);

	if (s->report.outcome == COMMIT_VISIBLE) {
		bundle_unref(s->b);
		s->b = STEAL(next);
	}
	return r;
}

static inline void scene_commit(struct scene *s, const char *gone,
				struct entry *e)
{
	CLEANUP(edit_freep) struct edit *edit = NULL;

	assert_int_equal(edit_new(&edit), 0);
	if (gone)
		assert_int_equal(edit_remove(edit, span_of(gone)), 0);
	if (e)
		assert_int_equal(edit_put(edit, e, NULL), 0);
	assert_int_equal(scene_try(s, edit), 0);
}

/* Writes and commits; where the value was before is answered. */
static inline struct room scene_put(struct scene *s, const char *key,
				    char letter)
{
	CLEANUP(entry_unrefp) struct entry *e = scene_write(s, key, letter);
	const struct entry *old = scene_find(s, key);
	struct room was = { 0 };

	if (old)
		was = (struct room){ entry_offset(old), entry_size(old) };
	scene_commit(s, NULL, e);
	return was;
}

/* Whether the shard has nothing but this letter there; 0 is what was punched. */
static inline bool scene_has(const struct scene *s, uint64_t offset,
			     char letter)
{
	CLEANUP(close_fd)
	int fd = openat(s->where.fd, DATA_NAME, O_RDONLY | O_CLOEXEC);
	uint8_t found[SIZE];

	assert_int_equal(io_read_at(fd, found, SIZE, offset), 0);
	for (size_t i = 0; i < SIZE; i++)
		if (found[i] != letter)
			return false;
	return true;
}

/* Asserts what whoever opens the checkpoint now finds under the key. */
static inline void assert_letter(const struct scene *s, const char *key,
				 char letter)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	uint8_t found[SIZE];
	const struct entry *e;

	assert_int_equal(bundle_open(s->where.fd, "ckpt", NULL, &b), 0);
	e = bundle_find(b, span_of(key));
	assert_non_null(e);
	assert_int_equal(entry_size(e), SIZE);
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), found, SIZE,
				    entry_offset(e)),
			 0);
	assert_int_equal(crc32c_extend(0, found, SIZE), entry_crc32c(e));
	assert_int_equal(found[0], letter);
}

/* --- partitioned variables ------------------------------------------------- */

/* `grid` is float32 [7, 9, 2] in four slices; TensorFlow wrote it. */
#define GRID_BYTES 504

static inline void scene_init_slices(struct scene *s)
{
	*s = (struct scene){ .where = place_make() };
	copy_fixture(&s->where, "v2_slices_grid");
	scene_open(s);
}

/* A value of nothing but this letter, over the slices that `grid` has. */
static inline struct entry *scene_split(const struct scene *s, char letter)
{
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	const struct entry *old = scene_find(s, "grid");
	uint8_t letters[GRID_BYTES];
	struct span bytes = { letters, sizeof(letters) };
	const struct writeout w = {
		.read = writeout_read_span,
		.arg = &bytes,
		.size = sizeof(letters),
		.dtype = entry_dtype(old),
		.shape = entry_shape(old),
	};
	struct entry *e = NULL;

	memset(letters, letter, sizeof(letters));
	assert_int_equal(bundle_shard(s->b, old, &shard), 0);
	assert_int_equal(writeout_slices(&w, old, shard, &e), 0);
	return e;
}

/* Asserts what whoever opens `prefix` now finds under `grid`; how many slices it has. */
static inline size_t assert_grid(const struct scene *s, const char *prefix,
				 char letter)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(content_freep) struct content *c = NULL;
	uint8_t found[GRID_BYTES];
	struct entry *e;

	assert_int_equal(bundle_open(s->where.fd, prefix, NULL, &b), 0);
	e = bundle_find(b, span_of("grid"));
	assert_non_null(e);
	assert_int_equal(content_open(e, "grid", true, &c), 0);
	assert_int_equal(content_size(c), sizeof(found));
	assert_int_equal(content_read(c, found, sizeof(found), 0), 0);
	for (size_t i = 0; i < sizeof(found); i++)
		assert_int_equal(found[i], letter);
	return entry_slices(e);
}
