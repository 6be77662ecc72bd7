/* object_names.h - object-based checkpoints, as a mount without FUSE has them. */
#pragma once

#include "core/graph.h"
#include "core/objects.h"
#include "core/value.h"
#include "tests/mount_support.h"

#define VALUE "/.ATTRIBUTES/VARIABLE_VALUE"

/* A program with an Adam optimizer, its layers and their slots. */
static inline void mount_fixture(struct mount *m, const char *fixture,
				 const char *prefix)
{
	char name[64];

	mount_init(m);
	copy_fixture(&m->where, fixture);
	(void)snprintf(name, sizeof(name), "%s.index", prefix);
	assert_int_equal(renameat(m->where.fd, name, m->where.fd, INDEX_NAME),
			 0);
	(void)snprintf(name, sizeof(name), "%s.data-00000-of-00001", prefix);
	assert_int_equal(renameat(m->where.fd, name, m->where.fd, DATA_NAME),
			 0);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
}

static inline void mount_program(struct mount *m)
{
	mount_fixture(m, "v2_tf2_manager", "ckpt-3");
}

/* --- what is on disk --------------------------------------------------------- */

static inline struct objects *graph_on_disk(struct mount *m)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(value_unrefp) struct value *v = NULL;
	struct objects *o = NULL;
	struct reading r = { 0 };

	assert_int_equal(bundle_open(m->where.fd, "ckpt", NULL, &b), 0);
	assert_int_equal(value_new(bundle_find(b, span_of(GRAPH_KEY)), "ckpt",
				   true, &v),
			 0);
	assert_int_equal(value_read(v, value_size(v), 0, &r), 0);
	assert_int_equal(objects_parse((struct span){ r.data, r.n }, &o), 0);
	reading_release(&r);
	return o;
}

static inline bool has_key(struct mount *m, const char *key)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;

	assert_int_equal(bundle_open(m->where.fd, "ckpt", NULL, &b), 0);
	return bundle_find(b, span_of(key));
}

/* The object at a path of edges. */
static inline size_t object_at(const struct objects *o, const char *path)
{
	size_t at = OBJECTS_ROOT;

	while (*path && at != OBJECTS_NONE) {
		size_t n = strcspn(path, "/");

		at = objects_child(o, at,
				   (struct span){ (const uint8_t *)path, n });
		path += path[n] ? n + 1 : n;
	}
	return at;
}

/* Asserts that a program finds the variable there: edges, key, and the entry of it. */
static inline void assert_restores(struct mount *m, const char *path,
				   const char *key)
{
	CLEANUP(objects_freep) struct objects *o = graph_on_disk(m);
	size_t id = object_at(o, path);
	struct span found;

	if (id == OBJECTS_NONE)
		fail_msg("%s: no edge leads there", path);
	assert_true(objects_key(o, id, &found));
	if (!span_equal(found, span_of(key)))
		fail_msg("%s: %.*s is not %s", path, (int)found.len,
			 (const char *)found.data, key);
	if (!has_key(m, key))
		fail_msg("%s is not on disk", key);
}

static inline void assert_no_object(struct mount *m, const char *path)
{
	CLEANUP(objects_freep) struct objects *o = graph_on_disk(m);

	if (object_at(o, path) != OBJECTS_NONE)
		fail_msg("%s is an edge", path);
}

/* Every value that the graph names is there, and every entry but the graph has an owner. */
static inline void assert_consistent(struct mount *m)
{
	CLEANUP(objects_freep) struct objects *o = graph_on_disk(m);
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct span key;

	assert_int_equal(bundle_open(m->where.fd, "ckpt", NULL, &b), 0);
	for (size_t i = 0; i < objects_count(o); i++)
		if (objects_key(o, i, &key) && !bundle_find(b, key))
			fail_msg("%.*s has no value", (int)key.len,
				 (const char *)key.data);
	for (size_t i = 0; i < bundle_count(b); i++) {
		key = entry_key(bundle_entry(b, i));
		if (!span_equal(key, span_of(GRAPH_KEY)) &&
		    objects_find_owner(o, key) == OBJECTS_NONE)
			fail_msg("%.*s has no owner", (int)key.len,
				 (const char *)key.data);
	}
}

static inline int ln(struct mount *m, const char *from, const char *to)
{
	CLEANUP(object_release) struct object o = object(m, from);
	struct object made = { 0 };
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, to, &name);
	int r = checkpoint_link(m->cp, &o, scope, name, 0, &made);

	object_release(&made);
	return r;
}

static inline int ln_s(struct mount *m, const char *text, const char *to)
{
	struct object made = { 0 };
	struct span name;
	CLEANUP(node_unrefp) struct node *scope = parent_of(m, to, &name);
	int r = checkpoint_symlink(m->cp, scope, name, span_of(text), &made);

	object_release(&made);
	return r;
}
