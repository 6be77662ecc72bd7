/* objects_support.h - object graphs that change, and what is told of them */
#pragma once

#include <string.h>

#include "core/cleanup.h"
#include "core/objects.h"
#include "core/objects_inside.h"
#include "tests/graph_support.h"

#define VALUE "/.ATTRIBUTES/VARIABLE_VALUE"

/* --- what is told ------------------------------------------------------------------ */

struct told {
	struct buf text;
	const char *taken;
};

static inline void told_release(struct told *t)
{
	buf_release(&t->text);
}

static inline void put_span(struct buf *out, struct span s)
{
	buf_put(out, s.data, s.len);
}

static inline int note_removed(void *arg, size_t id, struct span key,
			       bool prefix)
{
	struct told *t = arg;

	buf_printf(&t->text, "-%zu ", id);
	put_span(&t->text, key);
	buf_printf(&t->text, prefix ? "*\n" : "\n");
	return 0;
}

static inline int note_renamed(void *arg, size_t id, struct span key,
			       struct span now, bool prefix)
{
	struct told *t = arg;

	buf_printf(&t->text, "+%zu ", id);
	put_span(&t->text, key);
	buf_printf(&t->text, prefix ? "* " : " ");
	put_span(&t->text, now);
	buf_printf(&t->text, "\n");
	return 0;
}

static inline bool is_taken(void *arg, struct span key)
{
	const struct told *t = arg;

	return t->taken && span_equal(key, span_of(t->taken));
}

static inline void assert_tidied(struct objects *o, const char *want)
{
	CLEANUP(told_release) struct told t = { 0 };
	struct objects_changes changes = { &t, NULL, note_removed,
					   note_renamed };

	assert_int_equal(objects_tidy(o, &changes), 0);
	buf_put(&t.text, "", 1);
	assert_string_equal((char *)t.text.data, want);
}

static inline void tidy_silently(struct objects *o)
{
	static const struct objects_changes nobody = { 0 };

	assert_int_equal(objects_tidy(o, &nobody), 0);
}

/* --- graphs -------------------------------------------------------------------------- */

static inline void print_objects(const struct objects *o, struct buf *out)
{
	for (size_t i = 0; i < objects_count(o); i++) {
		const struct objects_edge *e = NULL;
		const struct objects_slot *s = NULL;
		struct span key;

		buf_printf(out, "%zu:", i);
		if (objects_key(o, i, &key)) {
			buf_put(out, " = ", 3);
			put_span(out, key);
		}
		while ((e = objects_next_child(o, i, e))) {
			buf_put(out, " ", 1);
			put_span(out, e->name);
			buf_printf(out, ">%zu", e->child);
		}
		while ((s = objects_next_slot_in(o, i, s))) {
			buf_printf(out, " [%zu ", s->variable);
			put_span(out, s->name);
			buf_printf(out, ">%zu]", s->slot);
		}
		buf_printf(out, "\n");
	}
	buf_put(out, "", 1);
}

/* As it is, and as it is when it is serialized and read again. */
static inline void assert_graph(struct objects *o, const char *want)
{
	CLEANUP(objects_freep) struct objects *again = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf text_again = { 0 };

	print_objects(o, &text);
	assert_string_equal((char *)text.data, want);
	assert_int_equal(objects_encode(o, &bytes), 0);
	assert_int_equal(objects_parse(buf_span(&bytes), &again), 0);
	assert_false(objects_changed(again));
	print_objects(again, &text_again);
	assert_string_equal((char *)text_again.data, want);
}

static inline struct objects *parse(struct buf *graph)
{
	struct objects *o = NULL;

	assert_int_equal(objects_parse(buf_span(graph), &o), 0);
	buf_release(graph);
	return o;
}

/* A graph of one object, the root. */
static inline struct objects *make_root(void)
{
	struct buf graph = { 0 };

	put_spec(&graph, &(struct spec){ 0 });
	return parse(&graph);
}

/* Whether edges and slots led to it when the graph was read or last tidied. */
static inline bool is_reached(const struct objects *o, size_t id)
{
	return objects_node(o, id)->reached;
}

static inline struct objects *make(const struct spec *nodes, size_t n)
{
	struct buf graph = { 0 };

	for (size_t i = 0; i < n; i++)
		put_spec(&graph, &nodes[i]);
	return parse(&graph);
}

/* A model with a shared variable, a list, and an optimizer with slots. */
__attribute__((unused)) static const struct spec model[] = {
	{ .edges = { { "net", 1 }, { "opt", 2 }, { "step", 3 } } },
	{ .edges = { { "a", 4 }, { "b", 5 }, { "again", 4 } } },
	{ .edges = { { "lr", 6 } }, .slots = { { 4, "m", 7 }, { 5, "m", 8 } } },
	{ .key = "step" VALUE },
	{ .key = "net/a" VALUE },
	{ .key = "net/b" VALUE },
	{ .key = "opt/lr" VALUE },
	{ .key = "net/a/.OPTIMIZER_SLOT/opt/m" VALUE },
	{ .key = "net/b/.OPTIMIZER_SLOT/opt/m" VALUE },
};

#define MAKE(spec) make(spec, ARRAY_SIZE(spec))

static inline int add(struct objects *o, size_t parent, const char *name,
		      size_t *ret)
{
	return objects_add(o, parent, span_of(name), ret);
}

static inline int put_link(struct objects *o, size_t parent, const char *name,
			   size_t id)
{
	return objects_link(o, parent, span_of(name), id);
}

static inline int drop(struct objects *o, size_t parent, const char *name)
{
	return objects_unlink(o, parent, span_of(name));
}

static inline int move(struct objects *o, size_t parent, const char *name,
		       size_t to, const char *new_name)
{
	return objects_move(o, parent, span_of(name), to, span_of(new_name));
}

static inline void set_value(struct objects *o, size_t id)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	assert_int_equal(objects_make_key(o, id, OBJECTS_VALUE, &key), 0);
	assert_int_equal(objects_set_value(o, id, buf_span(&key), span_of("")),
			 0);
}

/* All keys are those of their paths, and lead back. */
static inline void assert_placed(const struct objects *o)
{
	for (size_t i = 0; i < objects_count(o); i++) {
		CLEANUP(buf_release) struct buf key = { 0 };
		struct span is;

		if (!objects_key(o, i, &is))
			continue;
		assert_true(is_reached(o, i));
		assert_int_equal(objects_make_key(o, i, OBJECTS_VALUE, &key),
				 0);
		assert_true(span_equal(buf_span(&key), is));
		assert_int_equal(objects_resolve_key(o, is), i);
		assert_int_equal(objects_find_key(o, is), i);
	}
}
