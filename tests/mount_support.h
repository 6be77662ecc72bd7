/* mount_support.h - a checkpoint in a directory, as a mount without FUSE has it. */
#pragma once

#include <stdatomic.h>
#include <sys/syscall.h>

#include "core/bundle.h"
#include "core/checkpoint.h"
#include "core/dir.h"
#include "core/entry.h"
#include "core/io.h"
#include "core/shard.h"
#include "tests/support.h"

/* How far the monotonic clock is ahead: for what takes a second, or a minute. */
static atomic_long ahead_ms;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	long ms = clock == CLOCK_MONOTONIC ? atomic_load(&ahead_ms) : 0;
	int r = (int)syscall(SYS_clock_gettime, clock, ts);

	ts->tv_nsec += ms % 1000 * 1000000;
	ts->tv_sec += ms / 1000 + ts->tv_nsec / 1000000000;
	ts->tv_nsec %= 1000000000;
	return r;
}

static inline void pass_time(long ms)
{
	atomic_fetch_add(&ahead_ms, ms);
}

struct mount {
	struct place where;
	struct checkpoint_config config;
	struct cuts *cuts;
	struct checkpoint *cp;
	atomic_ulong ids;
	atomic_uint told;
	atomic_uint dirty;
	atomic_uint delay; /* that was last asked for */
};

static inline uint64_t count_up(void *arg)
{
	return atomic_fetch_add(&((struct mount *)arg)->ids, 1) + 1;
}

static inline void note_name(void *arg, uint64_t scope, struct span name)
{
	(void)scope;
	(void)name;
	atomic_fetch_add(&((struct mount *)arg)->told, 1);
}

static inline void note_dirty(void *arg, struct checkpoint *cp,
			      unsigned delay_ms)
{
	struct mount *m = arg;

	(void)cp;
	atomic_fetch_add(&m->dirty, 1);
	atomic_store(&m->delay, delay_ms);
}

static inline void mount_open(struct mount *m, bool read_only)
{
	CLEANUP(dir_unrefp) struct dir *dir = NULL;
	struct checkpoint_place place = { .prefix = "ckpt",
					  .label = "ckpt",
					  .read_only = read_only };

	assert_int_equal(dir_new(dup(m->where.fd), &dir), 0);
	place.dir = dir;
	assert_int_equal(checkpoint_new(&m->config, &place, &m->cp), 0);
	forget_lines();
}

static inline void mount_init_as(struct mount *m, bool read_only)
{
	memset(m, 0, sizeof(*m));
	m->where = place_make();
	assert_int_equal(cuts_new(&m->cuts), 0);
	m->config = (struct checkpoint_config){
		.verify = true,
		.grace = 60,
		.next_id = count_up,
		.observer = note_name,
		.dirty = note_dirty,
		.arg = m,
		.cuts = m->cuts,
	};
	mount_open(m, read_only);
}

static inline void mount_init(struct mount *m)
{
	mount_init_as(m, false);
}

static inline void mount_release(struct mount *m)
{
	checkpoint_unref(m->cp);
	cuts_free(m->cuts);
	place_release(&m->where);
}

static const char *const pairs[][2] = { { "a", "one" },
					{ "b", "two" },
					{ "dir/c", "three" } };

static inline void mount_pairs(struct mount *m)
{
	mount_init(m);
	make_bundle(m->where.fd, ARRAY_SIZE(pairs), pairs);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
}

/* --- by path ------------------------------------------------------------------ */

/* The directory of a path, counted, and its last name. */
static inline struct node *parent_of(struct mount *m, const char *path,
				     struct span *ret_name)
{
	struct node *at = node_ref(checkpoint_root(m->cp));
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		struct span name = { (const uint8_t *)path,
				     (size_t)(slash - path) };
		struct object o = { 0 };

		assert_int_equal(checkpoint_lookup(m->cp, at, name, 0, &o), 0);
		assert_int_equal(o.facet, FACET_SCOPE);
		node_unref(at);
		at = STEAL(o.node);
		object_release(&o);
		path = slash + 1;
	}
	*ret_name = span_of(path);
	return at;
}

static inline int lookup(struct mount *m, const char *path, struct object *ret)
{
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, path, &name);

	return checkpoint_lookup(m->cp, scope, name, 0, ret);
}

/* What has the path, counted. */
static inline struct object object(struct mount *m, const char *path)
{
	struct object o = { 0 };
	int r = lookup(m, path, &o);

	if (r < 0)
		fail_msg("%s: %s", path, strerror(-r));
	return o;
}

static inline struct variable *variable(struct mount *m, const char *path)
{
	struct object o = object(m, path);

	assert_non_null(o.variable);
	return o.variable;
}

static inline int create(struct mount *m, const char *path)
{
	const struct attributes owner = { 0 };
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, path, &name);
	struct object o = { 0 };
	int r = checkpoint_create(m->cp, scope, name, &owner, &o);

	object_release(&o);
	return r;
}

static inline int make_dir(struct mount *m, const char *path)
{
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, path, &name);
	struct object o = { 0 };
	int r = checkpoint_mkdir(m->cp, scope, name, &o);

	object_release(&o);
	return r;
}

static inline int rm(struct mount *m, const char *path)
{
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, path, &name);

	return checkpoint_unlink(m->cp, scope, name);
}

static inline int remove_dir(struct mount *m, const char *path)
{
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, path, &name);

	return checkpoint_rmdir(m->cp, scope, name);
}

static inline int mv_as(struct mount *m, const char *from, const char *to,
			unsigned flags)
{
	struct span name, to_name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, from, &name);
	CLEANUP(node_unrefp) struct node *there = parent_of(m, to, &to_name);

	return checkpoint_rename(m->cp, scope, name, there, to_name, flags);
}

static inline int mv(struct mount *m, const char *from, const char *to)
{
	return mv_as(m, from, to, 0);
}

/* --- content ------------------------------------------------------------------ */

/* Writes all of it; it is closed: what the last close said, or a write before. */
static inline int write_all(struct mount *m, struct variable *v,
			    const char *text)
{
	int r = checkpoint_open_writer(m->cp, v, true);

	if (r < 0)
		return r;
	if (*text)
		r = variable_write(v, text, strlen(text), 0);
	if (r == 0)
		r = checkpoint_flush(m->cp, v);
	(void)checkpoint_close_writer(m->cp, v);
	return r;
}

/* As a shell: makes the file or the sidecar, and writes it. */
static inline int put(struct mount *m, const char *path, const char *text)
{
	struct object o = { 0 };
	int r = create(m, path);

	if (r < 0 && r != -EEXIST)
		return r;
	o = object(m, path);
	r = o.facet == FACET_VALUE
		    ? write_all(m, o.variable, text)
		    : checkpoint_set_sidecar(m->cp, o.variable, o.facet,
					     span_of(text), 0);
	object_release(&o);
	return r;
}

/* A variable with everything, as `cp -r` makes it. */
static inline void put_typed(struct mount *m, const char *path,
			     const char *dtype, const char *shape,
			     const char *text)
{
	char sidecar[1000];

	(void)snprintf(sidecar, sizeof(sidecar), "%s.shape", path);
	assert_int_equal(put(m, sidecar, shape), 0);
	(void)snprintf(sidecar, sizeof(sidecar), "%s.dtype", path);
	assert_int_equal(put(m, sidecar, dtype), 0);
	assert_int_equal(put(m, path, text), 0);
}

static inline void assert_reads(struct variable *v, const char *want)
{
	struct reading r;

	assert_int_equal(variable_read(v, 100, 0, &r), 0);
	if (!span_equal((struct span){ r.data, r.n }, span_of(want)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)r.n,
			 (const char *)r.data, want);
	reading_release(&r);
}

static inline void assert_content(struct mount *m, const char *path,
				  const char *want)
{
	CLEANUP(object_release) struct object o = object(m, path);
	CLEANUP(buf_release) struct buf text = { 0 };

	if (o.facet == FACET_VALUE) {
		assert_reads(o.variable, want);
		return;
	}
	assert_int_equal(variable_sidecar(o.variable, o.facet, &text), 0);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, want);
}

/* Dtype, shape and content; the texts of sidecars without their newline. */
static inline void assert_typed(struct mount *m, const char *path,
				const char *dtype, const char *shape,
				const char *text)
{
	char sidecar[1000], line[1000];

	(void)snprintf(sidecar, sizeof(sidecar), "%s.dtype", path);
	(void)snprintf(line, sizeof(line), "%s\n", dtype);
	assert_content(m, sidecar, line);
	(void)snprintf(sidecar, sizeof(sidecar), "%s.shape", path);
	(void)snprintf(line, sizeof(line), "%s\n", shape);
	assert_content(m, sidecar, line);
	assert_content(m, path, text);
}

static inline void assert_missing(struct mount *m, const char *path)
{
	struct object o = { 0 };
	int r = lookup(m, path, &o);

	object_release(&o);
	if (r != -ENOENT && r != -EAGAIN)
		fail_msg("%s is there", path);
}

/* The names in a directory, "" for the root, each followed by a blank. */
static inline void assert_listed(struct mount *m, const char *path,
				 const char *want)
{
	CLEANUP(object_release) struct object dir = { 0 };
	CLEANUP(buf_release) struct buf names = { 0 };
	struct object o = { 0 };
	uint64_t cookie = 0;

	if (*path)
		dir = object(m, path);
	else
		dir.node = node_ref(checkpoint_root(m->cp));
	while (checkpoint_list(m->cp, dir.node, &cookie, &names, &o) > 0) {
		buf_put(&names, " ", 1);
		object_release(&o);
	}
	buf_put(&names, "", 1);
	assert_string_equal((char *)names.data, want);
}

/* --- on disk ------------------------------------------------------------------ */

/* What somebody who opens the files now finds under the key; NULL is nothing. */
static inline void assert_on_disk(struct mount *m, const char *key,
				  const char *want)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const struct entry *e;
	char found[100];

	assert_int_equal(bundle_open(m->where.fd, "ckpt", NULL, &b), 0);
	e = bundle_find(b, span_of(key));
	if (!e != !want)
		fail_msg("%s is %son disk", key, e ? "" : "not ");
	if (!e || !want)
		return;
	assert_int_equal(entry_size(e), strlen(want));
	assert_int_equal(io_read_at(shard_fd(entry_shard(e)), found,
				    entry_size(e), entry_offset(e)),
			 0);
	assert_memory_equal(found, want, strlen(want));
	assert_int_equal(entry_crc32c(e), crc32c_extend(0, want, strlen(want)));
}

/* All keys on disk, sorted, each followed by a blank. */
static inline void assert_keys(struct mount *m, const char *want)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(buf_release) struct buf keys = { 0 };

	assert_int_equal(bundle_open(m->where.fd, "ckpt", NULL, &b), 0);
	for (size_t i = 0; i < bundle_count(b); i++) {
		struct span key = entry_key(bundle_entry(b, i));

		buf_printf(&keys, "%.*s ", (int)key.len,
			   (const char *)key.data);
	}
	buf_put(&keys, "", 1);
	assert_string_equal((char *)keys.data, want);
}

static inline void commit(struct mount *m)
{
	assert_int_equal(checkpoint_commit(m->cp), 0);
}
