/* core/objects: what edits of a graph do to keys, slots and edges. */
#include "tests/objects_support.h"

/* --- edits ------------------------------------------------------------------------------ */

static void keys_and_slots_follow_a_renamed_variable(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);

	(void)state;
	assert_int_equal(move(o, 1, "b", 1, "c"), 0);
	assert_true(objects_changed(o));
	assert_tidied(o, "+5 net/b" VALUE " net/c" VALUE "\n"
			 "+8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE
			 " net/c/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_graph(o, "0: net>1 opt>2 step>3\n"
			"1: a>4 c>5 again>4\n"
			"2: lr>6 [4 m>7] [5 m>8]\n"
			"3: = step" VALUE "\n"
			"4: = net/a" VALUE "\n"
			"5: = net/c" VALUE "\n"
			"6: = opt/lr" VALUE "\n"
			"7: = net/a/.OPTIMIZER_SLOT/opt/m" VALUE "\n"
			"8: = net/c/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	objects_settle(o);
	assert_false(objects_changed(o));
	assert_tidied(o, "");
}

static void all_keys_below_follow_an_object(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);
	size_t made;

	(void)state;
	assert_int_equal(add(o, 0, "new.dir", &made), 0);
	assert_int_equal(made, 9);
	assert_int_equal(move(o, 0, "opt", made, "x/y"), 0);
	assert_tidied(o, "+6 opt/lr" VALUE " new..dir/x.Sy/lr" VALUE "\n"
			 "+7 net/a/.OPTIMIZER_SLOT/opt/m" VALUE
			 " net/a/.OPTIMIZER_SLOT/new..dir/x.Sy/m" VALUE "\n"
			 "+8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE
			 " net/b/.OPTIMIZER_SLOT/new..dir/x.Sy/m" VALUE "\n");
}

static void key_stays_while_its_edge_stays(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);

	(void)state;
	assert_int_equal(drop(o, 1, "again"), 0);
	assert_tidied(o, "");
	assert_int_equal(put_link(o, 0, "short", 4), 0);
	assert_tidied(o, "");
	assert_int_equal(drop(o, 1, "a"), 0);
	assert_tidied(o, "+4 net/a" VALUE " short" VALUE "\n"
			 "+7 net/a/.OPTIMIZER_SLOT/opt/m" VALUE
			 " short/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_int_equal(drop(o, 0, "short"), 0);
	assert_tidied(o, "-4 short" VALUE "\n"
			 "-7 short/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_graph(o, "0: net>1 opt>2 step>3\n"
			"1: b>5\n"
			"2: lr>6 [5 m>8]\n"
			"3: = step" VALUE "\n"
			"4:\n"
			"5: = net/b" VALUE "\n"
			"6: = opt/lr" VALUE "\n"
			"7:\n"
			"8: = net/b/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
}

static void shortest_path_that_is_left_gives_the_key(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "x", 1 }, { "long", 2 }, { "s", 3 } } },
		{ .edges = { { "v", 5 } } },
		{ .edges = { { "er", 4 } } },
		{ .edges = { { "x", 1 } } },
		{ .edges = { { "x", 1 } } },
		{ .key = "x/v" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(drop(o, 0, "x"), 0);
	assert_tidied(o, "+5 x/v" VALUE " s/x/v" VALUE "\n");
	assert_int_equal(drop(o, 0, "s"), 0);
	assert_tidied(o, "+5 s/x/v" VALUE " long/er/x/v" VALUE "\n");
	assert_int_equal(drop(o, 0, "long"), 0);
	assert_tidied(o, "-5 long/er/x/v" VALUE "\n");
	assert_graph(o, "0:\n1:\n2:\n3:\n4:\n5:\n");
}

static void long_ways_are_found_after_short_ones(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "x", 1 }, { "y", 2 }, { "v", 5 } } },
		{ .edges = { { "s", 3 } } },
		{ .edges = { { "s", 3 }, { "p", 6 } } },
		{ .edges = { { "c", 4 } } },
		{ .key = "x/s/c" VALUE },
		{ .key = "v" VALUE },
		{ .edges = { { "q", 7 } } },
		{ .edges = { { "c", 4 }, { "r", 8 } } },
		{ .edges = { { "v", 5 } } },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(drop(o, 1, "s"), 0);
	assert_int_equal(drop(o, 0, "v"), 0);
	assert_tidied(o, "+5 v" VALUE " y/p/q/r/v" VALUE "\n"
			 "+4 x/s/c" VALUE " y/s/c" VALUE "\n");
	assert_placed(o);
}

static void slots_go_with_their_optimizer(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);

	(void)state;
	assert_int_equal(drop(o, 0, "opt"), 0);
	assert_tidied(o, "-6 opt/lr" VALUE "\n"
			 "-7 net/a/.OPTIMIZER_SLOT/opt/m" VALUE "\n"
			 "-8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_graph(o, "0: net>1 step>3\n"
			"1: a>4 b>5 again>4\n"
			"2:\n"
			"3: = step" VALUE "\n"
			"4: = net/a" VALUE "\n"
			"5: = net/b" VALUE "\n"
			"6:\n7:\n8:\n");
	assert_false(is_reached(o, 2));
	assert_true(is_reached(o, 4));
}

static void keys_trade_places(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);

	(void)state;
	assert_int_equal(
		objects_exchange(o, 1, span_of("b"), 0, span_of("step")), 0);
	assert_tidied(o, "+5 net/b" VALUE " step" VALUE "\n"
			 "+3 step" VALUE " net/b" VALUE "\n"
			 "+8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE
			 " step/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_int_equal(objects_find_key(o, span_of("step" VALUE)), 5);
	assert_int_equal(objects_find_key(o, span_of("net/b" VALUE)), 3);
	assert_int_equal(objects_resolve_key(o, span_of("step" VALUE)), 5);
}

static void all_edges_to_a_lost_value_go(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);

	(void)state;
	assert_int_equal(objects_clear_value(o, 4), 0);
	assert_int_equal(objects_clear_value(o, 4), -ENOENT);
	assert_tidied(o, "-7 net/a/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_int_equal(objects_child(o, 1, span_of("a")), OBJECTS_NONE);
	assert_int_equal(objects_child(o, 1, span_of("again")), OBJECTS_NONE);
	assert_int_equal(objects_child(o, 1, span_of("b")), 5);
	assert_int_equal(objects_find_key(o, span_of("net/a" VALUE)),
			 OBJECTS_NONE);
}

static void object_with_edges_outlives_its_value(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 } } },
		{ .key = "v" VALUE, .edges = { { "c", 2 } } },
		{ .key = "v/c" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(objects_clear_value(o, 1), 0);
	assert_tidied(o, "");
	assert_graph(o, "0: v>1\n1: c>2\n2: = v/c" VALUE "\n");
	set_value(o, 1);
	assert_tidied(o, "");
	assert_graph(o, "0: v>1\n1: = v" VALUE " c>2\n2: = v/c" VALUE "\n");
	assert_int_equal(objects_clear_value(o, 1), 0);
	assert_int_equal(objects_clear_value(o, 2), 0);
	assert_tidied(o, "");
	assert_graph(o, "0:\n1:\n2:\n");
}

static void slot_is_removed_and_made(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);
	size_t made;

	(void)state;
	assert_int_equal(objects_slot(o, 5, 2, span_of("m")), 8);
	assert_int_equal(objects_remove_slot(o, 5, 2, span_of("m")), 0);
	assert_int_equal(objects_remove_slot(o, 5, 2, span_of("m")), -ENOENT);
	assert_tidied(o, "-8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
	assert_int_equal(objects_add_slot(o, 5, 2, span_of("v"), &made), 0);
	assert_int_equal(objects_add_slot(o, 5, 2, span_of("v"), &made),
			 -EEXIST);
	set_value(o, made);
	assert_tidied(o, "");
	assert_int_equal(
		objects_find_key(o,
				 span_of("net/b/.OPTIMIZER_SLOT/opt/v" VALUE)),
		made);
	assert_int_equal(objects_resolve_key(
				 o,
				 span_of("net/b/.OPTIMIZER_SLOT/opt/v" VALUE)),
			 made);
	assert_int_equal(objects_clear_value(o, made), 0);
	assert_tidied(o, "");
	assert_null(objects_slot_for(o, 5));
	assert_null(objects_slot_as(o, made));
}

static void names_that_are_there_are_not_taken_twice(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);
	size_t made;

	(void)state;
	assert_int_equal(add(o, 0, "net", &made), -EEXIST);
	assert_int_equal(put_link(o, 0, "net", 2), -EEXIST);
	assert_int_equal(move(o, 0, "opt", 0, "net"), -EEXIST);
	assert_int_equal(move(o, 0, "none", 0, "new"), -ENOENT);
	assert_int_equal(drop(o, 0, "none"), -ENOENT);
	assert_int_equal(objects_exchange(o, 0, span_of("net"), 0,
					  span_of("none")),
			 -ENOENT);
	assert_int_equal(objects_set_value(o, 5, span_of("net/a" VALUE),
					   span_of("")),
			 -EEXIST);
	assert_int_equal(move(o, 0, "net", 0, "net"), 0);
	assert_false(objects_changed(o));
	assert_tidied(o, "");
	assert_int_equal(objects_count(o), 9);
}

static void lists_are_not_numbered_anew(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "0", 1 }, { "1", 2 }, { "2", 3 } } },
		{ .key = "0" VALUE },
		{ .key = "1" VALUE },
		{ .key = "2" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(drop(o, 0, "1"), 0);
	assert_tidied(o, "-2 1" VALUE "\n");
	assert_graph(o, "0: 0>1 2>3\n1: = 0" VALUE "\n2:\n3: = 2" VALUE "\n");
}

static void variable_can_be_made_in_a_new_graph(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_root();
	CLEANUP(buf_release) struct buf key = { 0 };
	size_t dir, v;

	(void)state;
	assert_false(objects_changed(o));
	assert_int_equal(add(o, OBJECTS_ROOT, "", &dir), 0);
	assert_int_equal(add(o, dir, ".z", &v), 0);
	assert_int_equal(objects_make_key(o, v, OBJECTS_VALUE, &key), 0);
	assert_true(span_equal(buf_span(&key), span_of("/..z" VALUE)));
	assert_int_equal(
		objects_set_value(o, v, buf_span(&key), span_of("full")), 0);
	assert_true(span_equal(objects_full_name(o, v), span_of("full")));
	assert_tidied(o, "");
	assert_graph(o, "0: >1\n1: .z>2\n2: = /..z" VALUE "\n");
}

static void full_name_stays_when_its_variable_moves(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_root();
	size_t v;

	(void)state;
	assert_int_equal(add(o, OBJECTS_ROOT, "v", &v), 0);
	assert_int_equal(objects_set_value(o, v, span_of("v" VALUE),
					   span_of("full/v")),
			 0);
	assert_int_equal(move(o, 0, "v", 0, "w"), 0);
	assert_tidied(o, "+1 v" VALUE " w" VALUE "\n");
	assert_true(span_equal(objects_full_name(o, v), span_of("full/v")));
}

static void keys_of_others_are_not_taken(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 } } },
		{ .key = "v" VALUE },
		{ .key = "w" VALUE }, /* nothing leads to it */
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);
	CLEANUP(told_release) struct told t = { .taken = "u" VALUE };
	struct objects_changes changes = { &t, is_taken, note_removed,
					   note_renamed };

	(void)state;
	assert_int_equal(move(o, 0, "v", 0, "w"), 0);
	assert_tidied(o, "+1 v" VALUE " w_1" VALUE "\n");
	assert_int_equal(objects_find_key(o, span_of("w" VALUE)), 2);

	objects_free(o);
	o = MAKE(nodes);
	assert_int_equal(move(o, 0, "v", 0, "u"), 0);
	assert_int_equal(objects_tidy(o, &changes), 0);
	buf_put(&t.text, "", 1);
	assert_string_equal((char *)t.text.data,
			    "+1 v" VALUE " u_1" VALUE "\n");
}

static void what_was_not_reached_before_is_left_alone(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 } } },
		{ .key = "v" VALUE },
		{ .key = "lost" VALUE, .edges = { { "v", 1 }, { "w", 3 } } },
		{ .key = "elsewhere" },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_false(is_reached(o, 2));
	assert_int_equal(drop(o, 0, "v"), 0);
	assert_tidied(o, "-1 v" VALUE "\n");
	assert_graph(o, "0:\n1:\n"
			"2: = lost" VALUE " v>1 w>3\n"
			"3: = elsewhere\n");
	assert_int_equal(put_link(o, 0, "found", 2), 0);
	assert_tidied(o, "");
	assert_true(is_reached(o, 3));
	assert_int_equal(drop(o, 0, "found"), 0);
	assert_tidied(o, "-2 lost" VALUE "\n-3 elsewhere\n");
}

static void paths_follow_the_keys_that_are_there(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "short", 1 }, { "way", 2 } } },
		{ .edges = { { "v", 3 } } },
		{ .edges = { { "round", 1 } } },
		{ .key = "way/round/v" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(drop(o, 0, "short"), 0);
	assert_tidied(o, "");
	assert_int_equal(put_link(o, 0, "short", 1), 0);
	assert_int_equal(drop(o, 2, "round"), 0);
	assert_tidied(o, "+3 way/round/v" VALUE " short/v" VALUE "\n");
}

static void batch_of_edits_is_told_at_once(void **state)
{
	CLEANUP(objects_freep) struct objects *o = MAKE(model);
	size_t made;

	(void)state;
	assert_int_equal(move(o, 0, "net", 0, "n"), 0);
	assert_int_equal(move(o, 1, "a", 1, "aa"), 0);
	assert_int_equal(drop(o, 1, "b"), 0);
	assert_int_equal(add(o, 1, "b", &made), 0);
	assert_int_equal(add(o, made, "c", &made), 0);
	assert_int_equal(drop(o, 0, "step"), 0);
	assert_int_equal(put_link(o, made, "again", 3), 0);
	assert_tidied(o, "-5 net/b" VALUE "\n"
			 "-8 net/b/.OPTIMIZER_SLOT/opt/m" VALUE "\n"
			 "+4 net/a" VALUE " n/aa" VALUE "\n"
			 "+3 step" VALUE " n/b/c/again" VALUE "\n"
			 "+7 net/a/.OPTIMIZER_SLOT/opt/m" VALUE
			 " n/aa/.OPTIMIZER_SLOT/opt/m" VALUE "\n");
}

/* --- attributes that are no values -------------------------------------------------------- */

static void put_attribute(struct buf *node, const char *name, const char *key)
{
	struct buf attribute = { 0 };

	put_bytes(&attribute, 1, span_of(name));
	put_bytes(&attribute, 3, span_of(key));
	put_message(node, 2, &attribute);
}

static struct objects *make_table(void)
{
	struct buf graph = { 0 }, node = { 0 };

	put_edge(&node, "m", 1);
	put_node(&graph, &node);
	put_edge(&node, "table", 2);
	put_edge(&node, "both", 3);
	put_node(&graph, &node);
	put_attribute(&node, "table", "m/table/.ATTRIBUTES/table");
	put_node(&graph, &node);
	put_attribute(&node, "py_state", "m/both/.ATTRIBUTES/py_state");
	put_value(&node, "m/both" VALUE);
	put_node(&graph, &node);
	return parse(&graph);
}

static void keys_of_state_are_told_by_their_beginning(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_table();

	(void)state;
	assert_true(objects_has_state(o, 2));
	assert_false(objects_has_state(o, 1));
	assert_int_equal(objects_find_owner(
				 o, span_of("m/table/.ATTRIBUTES/table-keys")),
			 2);
	assert_int_equal(move(o, 0, "m", 0, "n"), 0);
	assert_tidied(o, "+2 m/table/.ATTRIBUTES/* n/table/.ATTRIBUTES/\n"
			 "+3 m/both/.ATTRIBUTES/* n/both/.ATTRIBUTES/\n");
	assert_int_equal(drop(o, 1, "table"), 0);
	assert_int_equal(drop(o, 1, "both"), 0);
	assert_tidied(o, "-2 n/table/.ATTRIBUTES/*\n"
			 "-3 n/both/.ATTRIBUTES/*\n");
}

static void state_outlives_a_value(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_table();

	(void)state;
	assert_int_equal(objects_clear_value(o, 3), 0);
	assert_tidied(o, "");
	assert_int_equal(objects_child(o, 1, span_of("both")), 3);
	assert_true(objects_has_state(o, 3));
	assert_int_equal(move(o, 1, "both", 1, "half"), 0);
	assert_tidied(o, "+3 m/both/.ATTRIBUTES/* m/half/.ATTRIBUTES/\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_slots_follow_a_renamed_variable),
		cmocka_unit_test(all_keys_below_follow_an_object),
		cmocka_unit_test(key_stays_while_its_edge_stays),
		cmocka_unit_test(shortest_path_that_is_left_gives_the_key),
		cmocka_unit_test(long_ways_are_found_after_short_ones),
		cmocka_unit_test(slots_go_with_their_optimizer),
		cmocka_unit_test(keys_trade_places),
		cmocka_unit_test(all_edges_to_a_lost_value_go),
		cmocka_unit_test(object_with_edges_outlives_its_value),
		cmocka_unit_test(slot_is_removed_and_made),
		cmocka_unit_test(names_that_are_there_are_not_taken_twice),
		cmocka_unit_test(lists_are_not_numbered_anew),
		cmocka_unit_test(variable_can_be_made_in_a_new_graph),
		cmocka_unit_test(full_name_stays_when_its_variable_moves),
		cmocka_unit_test(keys_of_others_are_not_taken),
		cmocka_unit_test(what_was_not_reached_before_is_left_alone),
		cmocka_unit_test(paths_follow_the_keys_that_are_there),
		cmocka_unit_test(batch_of_edits_is_told_at_once),
		cmocka_unit_test(keys_of_state_are_told_by_their_beginning),
		cmocka_unit_test(state_outlives_a_value),
	};

	return cmocka_run_group_tests_name("objects_model", tests, NULL, NULL);
}
