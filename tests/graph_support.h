/* graph_support.h - object graphs by hand, message by message, and their layout as text */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/graph.h"
#include "tests/test.h"

/* Protobuf, field by field: each message is built in a buffer of its own. */
static inline void put_int(struct buf *b, int field, int32_t value)
{
	buf_put_varint(b, (uint64_t)field << 3);
	buf_put_varint(b, (uint64_t)value);
}

static inline void put_bytes(struct buf *b, int field, struct span bytes)
{
	buf_put_varint(b, (uint64_t)field << 3 | 2);
	buf_put_varint(b, bytes.len);
	buf_put(b, bytes.data, bytes.len);
}

/* Appends a message and empties it. */
static inline void put_message(struct buf *b, int field, struct buf *message)
{
	put_bytes(b, field, buf_span(message));
	buf_release(message);
}

static inline void put_edge(struct buf *node, const char *name, int32_t to)
{
	struct buf edge = { 0 };

	put_int(&edge, 1, to);
	put_bytes(&edge, 2, span_of(name));
	put_message(node, 1, &edge);
}

static inline void put_value(struct buf *node, const char *key)
{
	struct buf attribute = { 0 };

	put_bytes(&attribute, 1, span_of("VARIABLE_VALUE"));
	put_bytes(&attribute, 3, span_of(key));
	put_message(node, 2, &attribute);
}

static inline void put_slot(struct buf *node, int32_t variable,
			    const char *name, int32_t slot)
{
	struct buf reference = { 0 };

	put_int(&reference, 1, variable);
	put_bytes(&reference, 2, span_of(name));
	put_int(&reference, 3, slot);
	put_message(node, 3, &reference);
}

/* Ends a node: nodes have numbers in the order in which they end. */
static inline void put_node(struct buf *graph, struct buf *node)
{
	put_message(graph, 1, node);
}

static inline void put_variable(struct buf *graph, const char *key)
{
	struct buf node = { 0 };

	put_value(&node, key);
	put_node(graph, &node);
}

/* A small graph, node by node. */
struct spec {
	const char *key; /* of the value, if there is one */
	struct {
		const char *name;
		int32_t to;
	} edges[4];
	struct {
		int32_t variable;
		const char *name;
		int32_t slot;
	} slots[3];
};

static inline void put_spec(struct buf *graph, const struct spec *spec)
{
	struct buf node = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(spec->edges); i++)
		if (spec->edges[i].name)
			put_edge(&node, spec->edges[i].name, spec->edges[i].to);
	if (spec->key)
		put_value(&node, spec->key);
	for (size_t i = 0; i < ARRAY_SIZE(spec->slots); i++)
		if (spec->slots[i].name)
			put_slot(&node, spec->slots[i].variable,
				 spec->slots[i].name, spec->slots[i].slot);
	put_node(graph, &node);
}

/* Gives `each` every prefix of a graph, and the graph with each of its bits turned. */
static inline void each_damage(struct buf *graph,
			       void (*each)(struct span bytes))
{
	for (size_t n = 0; n <= graph->len; n++) {
		CLEANUP(free_ptr) uint8_t *exact = malloc(n + 1);

		assert_non_null(exact);
		memcpy(exact + 1, graph->data, n);
		each((struct span){ exact + 1, n });
	}
	for (size_t bit = 0; bit < 8 * graph->len; bit++) {
		graph->data[bit / 8] ^= 1 << bit % 8;
		each(buf_span(graph));
		graph->data[bit / 8] ^= 1 << bit % 8;
	}
}

/* --- the layout of a graph as text ------------------------------------------- */

static inline void put_path(struct buf *out, const struct graph_item *items,
			    size_t i)
{
	size_t path[GRAPH_MAX_DEPTH];
	size_t n = 0;

	for (; i != GRAPH_ROOT; i = items[i].parent) {
		assert_in_range(n, 0, GRAPH_MAX_DEPTH - 1);
		path[n++] = i;
	}
	while (n-- > 0) {
		const struct graph_item *item = &items[path[n]];

		buf_printf(out, "/%.*s", (int)item->name.len,
			   (const char *)item->name.data);
		if (item->kind == GRAPH_VARIABLE && n > 0)
			buf_printf(out, ".d");
	}
}

static inline void put_item(struct buf *out, const struct graph_item *items,
			    size_t i)
{
	const struct graph_item *item = &items[i];

	put_path(out, items, i);
	switch (item->kind) {
	case GRAPH_DIRECTORY:
		buf_printf(out, "/\n");
		break;
	case GRAPH_VARIABLE:
		buf_printf(out, " = %.*s\n", (int)item->key.len,
			   (const char *)item->key.data);
		break;
	case GRAPH_LINK:
		buf_printf(out, " -> ");
		put_path(out, items, item->target);
		buf_printf(out, "/\n");
		break;
	}
}

/* Paths, with `/` after a directory, ` = KEY`, or ` -> DIRECTORY`. */
static inline void print_layout(const struct graph *g, struct buf *out)
{
	size_t n;
	const struct graph_item *items = graph_items(g, &n);

	for (size_t i = 0; i < n; i++) {
		assert_true(items[i].parent < i ||
			    items[i].parent == GRAPH_ROOT);
		put_item(out, items, i);
	}
	buf_put(out, "", 1);
	assert_int_equal(buf_error(out), 0);
}
