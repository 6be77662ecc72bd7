/* core/objects_hold: whether a graph says nothing new. */
#include "tests/objects_support.h"

/* A root with an optimizer and a layer of one variable, which has a slot. */
static struct objects *make_graph(const char *key, const char *slot)
{
	struct buf graph = { 0 }, node = { 0 };

	put_edge(&node, "net", 1);
	put_edge(&node, "opt", 3);
	put_node(&graph, &node);
	put_edge(&node, "v", 2);
	put_node(&graph, &node);
	put_value(&node, key);
	put_node(&graph, &node);
	put_slot(&node, 2, slot, 4);
	put_node(&graph, &node);
	put_value(&node, "s" VALUE);
	put_node(&graph, &node);
	return parse(&graph);
}

static void graph_holds_itself_by_any_keys(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_graph("a" VALUE, "m");
	CLEANUP(objects_freep) struct objects *p = make_graph("b" VALUE, "m");

	(void)state;
	assert_int_equal(objects_hold(o, o), 1);
	assert_int_equal(objects_hold(o, p), 1);
}

static void graph_with_more_holds_one_with_less(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_graph("a" VALUE, "m");
	CLEANUP(objects_freep)
	struct objects *less = make_graph("a" VALUE, "m");
	size_t v;

	(void)state;
	assert_int_equal(add(o, 1, "w", &v), 0);
	set_value(o, v);
	tidy_silently(o);
	assert_int_equal(objects_hold(o, less), 1);
	assert_int_equal(objects_hold(less, o), 0);
}

static void another_slot_is_not_held(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_graph("a" VALUE, "m");
	CLEANUP(objects_freep) struct objects *p = make_graph("a" VALUE, "n");

	(void)state;
	assert_int_equal(objects_hold(o, p), 0);
}

/* Two names, of one variable or of two. */
static struct objects *make_two(int32_t second)
{
	struct buf graph = { 0 }, node = { 0 };

	put_edge(&node, "a", 1);
	put_edge(&node, "b", second);
	put_node(&graph, &node);
	put_value(&node, "a" VALUE);
	put_node(&graph, &node);
	put_value(&node, "b" VALUE);
	put_node(&graph, &node);
	return parse(&graph);
}

static void one_variable_is_not_two(void **state)
{
	CLEANUP(objects_freep) struct objects *one = make_two(1);
	CLEANUP(objects_freep) struct objects *two = make_two(2);

	(void)state;
	assert_int_equal(objects_hold(two, one), 0);
	assert_int_equal(objects_hold(one, two), 0);
}

static void object_is_no_variable(void **state)
{
	CLEANUP(objects_freep) struct objects *value = make_two(2);
	CLEANUP(objects_freep) struct objects *bare = NULL;
	struct buf graph = { 0 }, node = { 0 };

	(void)state;
	put_edge(&node, "a", 1);
	put_node(&graph, &node);
	put_node(&graph, &node);
	bare = parse(&graph);
	assert_int_equal(objects_hold(value, bare), 0);
	assert_int_equal(objects_hold(bare, value), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph_holds_itself_by_any_keys),
		cmocka_unit_test(graph_with_more_holds_one_with_less),
		cmocka_unit_test(another_slot_is_not_held),
		cmocka_unit_test(one_variable_is_not_two),
		cmocka_unit_test(object_is_no_variable),
	};

	return cmocka_run_group_tests_name("objects_hold", tests, NULL, NULL);
}
