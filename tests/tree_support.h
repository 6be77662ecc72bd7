/* tree_support.h - a tree that writes down what its observer was told. */
#pragma once

#include "core/entry.h"
#include "core/name.h"
#include "core/tree.h"
#include "tests/support.h"

/* A tree that writes down what its observer was told: SCOPE/NAME, a line each. */
struct forest {
	struct tree *tree;
	struct node *root;
	uint64_t ids;
	struct buf told;
};

static inline uint64_t count_up(void *arg)
{
	return ++((struct forest *)arg)->ids;
}

static inline void write_down(void *arg, uint64_t scope, struct span name)
{
	struct forest *f = arg;

	buf_printf(&f->told, "%llu/%.*s ", (unsigned long long)scope,
		   (int)name.len, (const char *)name.data);
}

static inline void forest_init(struct forest *f)
{
	*f = (struct forest){ 0 };
	assert_int_equal(tree_new(count_up, write_down, f, NULL, 0, &f->tree),
			 0);
	f->root = tree_root(f->tree);
	tree_begin(f->tree);
}

static inline void forest_release(struct forest *f)
{
	tree_free(f->tree);
	buf_release(&f->told);
}

static inline struct variable *new_variable(struct forest *f)
{
	struct entry *e = NULL;
	struct variable *v = NULL;
	const char *reason;

	assert_int_equal(entry_parse(span_of("k"), span_of("\x08\1"), ENTRY_V2,
				     &e, &reason),
			 0);
	assert_int_equal(variable_new(e, span_of(""), "label", true,
				      count_up(f), &v),
			 0);
	entry_unref(e);
	return v;
}

static inline struct node *scope(struct forest *f, struct node *parent,
				 const char *name)
{
	struct node *n = NULL;

	assert_int_equal(tree_put_scope(f->tree, parent, span_of(name), &n), 0);
	return n;
}

static inline struct node *put(struct forest *f, struct node *parent,
			       const char *name, struct variable *v)
{
	struct node *n = NULL;

	assert_int_equal(tree_put_variable(f->tree, parent, span_of(name),
					   false, v, &n),
			 0);
	return n;
}

/* The next state of the tree begins where this one ends. */
static inline void next_state(struct forest *f)
{
	tree_end(f->tree);
	buf_release(&f->told);
	tree_begin(f->tree);
}

static inline void assert_told(struct forest *f, const char *want)
{
	tree_end(f->tree);
	buf_put(&f->told, "", 1);
	assert_string_equal((char *)f->told.data, want);
	buf_release(&f->told);
}

/* Of a scope, ghosts among them. */
static inline size_t count_children(const struct node *n)
{
	uint64_t place = 0;
	size_t count = 0;

	for (; node_child_at(n, place, &place); place++)
		count++;
	return count;
}

/* The names in a scope, in order, each followed by a blank. */
static inline void assert_names(const struct node *n, const char *want)
{
	CLEANUP(buf_release) struct buf names = { 0 };
	const struct node *child;
	uint64_t place = 0;

	while ((child = node_child_at(n, place, &place))) {
		node_put_name(child, &names);
		buf_put(&names, " ", 1);
		place++;
	}
	buf_put(&names, "", 1);
	assert_string_equal((char *)names.data, want);
}

static inline struct node *find(const struct forest *f, const struct node *n,
				const char *name)
{
	return tree_find(f->tree, n, span_of(name));
}

static inline void assert_path(const struct node *n, const char *want)
{
	CLEANUP(buf_release) struct buf path = { 0 };

	assert_int_equal(node_put_path(n, &path), 0);
	assert_true(span_equal(buf_span(&path), span_of(want)));
}

static inline void assert_target(const struct node *n, const char *want)
{
	CLEANUP(buf_release) struct buf target = { 0 };

	assert_int_equal(node_put_target(n, &target), 0);
	assert_true(span_equal(buf_span(&target), span_of(want)));
}
