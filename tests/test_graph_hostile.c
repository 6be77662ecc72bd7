/* core/graph: graphs that no program writes: damaged, deep and huge ones. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "core/cleanup.h"
#include "core/graph.h"
#include "tests/graph_support.h"

/* The number of items of a graph, which is released. */
static size_t count_items(struct buf *graph)
{
	CLEANUP(graph_freep) struct graph *g = NULL;
	size_t n;

	assert_int_equal(graph_parse(buf_span(graph), &g), 0);
	(void)graph_items(g, &n);
	assert_true(n <= graph->len);
	buf_release(graph);
	return n;
}

static void assert_refused(struct buf *graph)
{
	CLEANUP(graph_freep) struct graph *g = NULL;

	assert_int_equal(graph_parse(buf_span(graph), &g), -EIO);
	assert_null(g);
	buf_release(graph);
}

static void graph_without_nodes_has_no_items(void **state)
{
	struct buf graph = { 0 };

	(void)state;
	assert_int_equal(count_items(&graph), 0);
}

static void edge_to_a_node_that_is_not_there(void **state)
{
	static const int32_t ids[] = { 2, -1, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct buf graph = { 0 }, node = { 0 };

		put_edge(&node, "good", 1);
		put_node(&graph, &node);
		put_edge(&node, "bad", ids[i]);
		put_node(&graph, &node);
		assert_refused(&graph);
	}
}

static void slot_of_a_node_that_is_not_there(void **state)
{
	static const int32_t ids[] = { 1, -1, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct buf graph = { 0 }, node = { 0 };

		put_slot(&node, ids[i], "m", 0);
		put_node(&graph, &node);
		assert_refused(&graph);
		put_slot(&node, 0, "m", ids[i]);
		put_node(&graph, &node);
		assert_refused(&graph);
	}
}

static void nothing_too_deep_is_laid_out(void **state)
{
	struct buf graph = { 0 }, node = { 0 };

	(void)state;
	for (int32_t i = 0; i < 1000; i++) {
		put_edge(&node, "d", i + 1);
		put_node(&graph, &node);
	}
	put_variable(&graph, "k");
	assert_int_equal(count_items(&graph), GRAPH_MAX_DEPTH);
}

/* The slot of the last optimizer but one is the 256th component of its path. */
static void nothing_too_deep_is_laid_out_below_slots(void **state)
{
	struct buf graph = { 0 }, node = { 0 };
	int32_t variable = GRAPH_MAX_DEPTH - 1;

	(void)state;
	put_edge(&node, "v", variable);
	put_edge(&node, "d", 1);
	put_slot(&node, variable, "m", variable);
	put_node(&graph, &node);
	for (int32_t i = 1; i < variable; i++) {
		if (i + 1 < variable)
			put_edge(&node, "d", i + 1);
		put_slot(&node, variable, "m", variable);
		put_node(&graph, &node);
	}
	put_variable(&graph, "k");
	/* The edges; their mirrors and one slot in each, but for the last. */
	assert_int_equal(count_items(&graph), variable + 2 * (variable - 1));
}

static void deep_optimizers_do_not_outgrow_the_graph(void **state)
{
	struct buf graph = { 0 }, node = { 0 };
	const int32_t depth = 200, variables = 3000;

	(void)state;
	for (int32_t i = 0; i < variables; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		put_edge(&node, name, depth + 1 + i);
	}
	put_edge(&node, "d", 1);
	put_node(&graph, &node);
	for (int32_t i = 1; i < depth; i++) {
		put_edge(&node, "d", i + 1);
		put_node(&graph, &node);
	}
	for (int32_t i = 0; i < variables; i++)
		put_slot(&node, depth + 1 + i, "", depth + 1);
	put_node(&graph, &node);
	for (int32_t i = 0; i < variables; i++)
		put_variable(&graph, "");
	assert_true(count_items(&graph) > 20000);
}

/* Quadratic time would not end here. */
static void huge_fan_out_takes_no_long_time(void **state)
{
	struct buf graph = { 0 }, node = { 0 };
	const int32_t n = 200000;

	(void)state;
	put_edge(&node, "v", 1);
	for (int32_t i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i % (n / 2));
		put_edge(&node, name, i % 2);
		put_slot(&node, 1, name, 1);
	}
	put_node(&graph, &node);
	put_value(&node, "k");
	for (int32_t i = 0; i < n; i++)
		put_edge(&node, i ? "same" : "slots", 0);
	put_node(&graph, &node);
	assert_int_equal(count_items(&graph), n / 2 + 3);
}

static const struct spec everything[] = {
	{ .edges = { { "v", 1 }, { "opt", 2 } } },
	{ .key = "k", .edges = { { "c", 2 } } },
	{ .edges = { { "", 0 } }, .slots = { { 1, "m", 3 }, { 1, "v", 4 } } },
	{ .key = "m" },
	{ .key = "v" },
};

static void parses_or_refuses(struct span bytes)
{
	CLEANUP(graph_freep) struct graph *g = NULL;
	CLEANUP(buf_release) struct buf text = { 0 };
	int err = graph_parse(bytes, &g);

	assert_true(err == 0 || err == -EIO);
	if (!err)
		print_layout(g, &text);
}

static void every_prefix_and_every_damaged_bit_is_survived(void **state)
{
	CLEANUP(buf_release) struct buf graph = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(everything); i++)
		put_spec(&graph, &everything[i]);
	each_damage(&graph, parses_or_refuses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph_without_nodes_has_no_items),
		cmocka_unit_test(edge_to_a_node_that_is_not_there),
		cmocka_unit_test(slot_of_a_node_that_is_not_there),
		cmocka_unit_test(nothing_too_deep_is_laid_out),
		cmocka_unit_test(nothing_too_deep_is_laid_out_below_slots),
		cmocka_unit_test(deep_optimizers_do_not_outgrow_the_graph),
		cmocka_unit_test(huge_fan_out_takes_no_long_time),
		cmocka_unit_test(every_prefix_and_every_damaged_bit_is_survived),
	};

	return cmocka_run_group_tests_name("graph_hostile", tests, NULL, NULL);
}
