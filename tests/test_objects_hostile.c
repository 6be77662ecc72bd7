/* core/objects: graphs that no program writes, edits at random, and very many. */
#include <stdio.h>
#include <time.h>

#include "tests/objects_support.h"

/* --- hostile -------------------------------------------------------------------------------- */

static void assert_refused(struct buf *graph)
{
	CLEANUP(objects_freep) struct objects *o = NULL;

	assert_int_equal(objects_parse(buf_span(graph), &o), -EIO);
	assert_null(o);
	buf_release(graph);
}

static void refuses_nodes_that_are_not_there(void **state)
{
	static const int32_t bad[] = { 1, -1, INT32_MAX, INT32_MIN };
	struct buf graph = { 0 }, node = { 0 };

	(void)state;
	assert_refused(&graph);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_edge(&node, "fine", 0);
		put_edge(&node, "bad", bad[i]);
		put_edge(&node, "fine too", 0);
		put_node(&graph, &node);
		assert_refused(&graph);
		put_slot(&node, bad[i], "m", 0);
		put_node(&graph, &node);
		assert_refused(&graph);
		put_slot(&node, 0, "m", bad[i]);
		put_slot(&node, 0, "m", 0);
		put_node(&graph, &node);
		assert_refused(&graph);
	}
}

static void cycles_and_self_edges_end(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "self", 0 }, { "a", 1 } },
		  .slots = { { 0, "m", 0 }, { 2, "m", 2 } } },
		{ .edges = { { "self", 1 }, { "root", 0 }, { "b", 2 } } },
		{ .key = "a/b" VALUE, .edges = { { "a", 1 } } },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(move(o, 0, "self", 1, "up"), 0);
	assert_tidied(o, "");
	assert_int_equal(objects_exchange(o, 0, span_of("a"), 1, span_of("up")),
			 0);
	assert_tidied(o, "-2 a/b" VALUE "\n");
	assert_int_equal(objects_child(o, 0, span_of("a")), 0);
}

static void object_that_moves_below_itself_goes(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "a", 1 } } },
		{ .edges = { { "b", 2 } } },
		{ .key = "a/b" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(move(o, 0, "a", 2, "a"), 0);
	assert_tidied(o, "-2 a/b" VALUE "\n");
	assert_graph(o, "0:\n1:\n2:\n");
}

static void edges_of_one_name_go_together(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "b", 1 }, { "b", 2 }, { "b", 1 } } },
		{ .key = "b" VALUE },
		{ .key = "two" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(objects_child(o, 0, span_of("b")), 1);
	assert_int_equal(move(o, 0, "b", 0, "c"), 0);
	assert_tidied(o, "-2 two" VALUE "\n+1 b" VALUE " c" VALUE "\n");
	assert_graph(o, "0: c>1\n1: = c" VALUE "\n2:\n");

	objects_free(o);
	o = MAKE(nodes);
	assert_int_equal(drop(o, 0, "b"), 0);
	assert_tidied(o, "-1 b" VALUE "\n-2 two" VALUE "\n");
}

static void key_that_another_has_too_is_not_removed(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "a", 1 }, { "b", 2 } } },
		{ .key = "a" VALUE },
		{ .key = "a" VALUE },
	};
	CLEANUP(objects_freep) struct objects *o = MAKE(nodes);

	(void)state;
	assert_int_equal(drop(o, 0, "b"), 0);
	assert_tidied(o, "");
	assert_int_equal(objects_find_key(o, span_of("a" VALUE)), 1);
	assert_int_equal(drop(o, 0, "a"), 0);
	assert_tidied(o, "-1 a" VALUE "\n");
}

static void too_deep_for_a_path_keeps_its_key(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_root();
	CLEANUP(buf_release) struct buf key = { 0 };
	size_t at = OBJECTS_ROOT;

	(void)state;
	for (int i = 0; i < OBJECTS_MAX_DEPTH + 2; i++) {
		if (i == OBJECTS_MAX_DEPTH)
			set_value(o, at);
		assert_int_equal(add(o, at, "x", &at), 0);
	}
	assert_int_equal(objects_make_key(o, at, OBJECTS_VALUE, &key),
			 -ENAMETOOLONG);
	assert_int_equal(key.len, 0);
	assert_int_equal(objects_set_value(o, at, span_of("deep" VALUE),
					   span_of("")),
			 0);
	tidy_silently(o);
	assert_int_equal(add(o, OBJECTS_ROOT, "y", &at), 0);
	assert_int_equal(move(o, 0, "x", at, "x"), 0);
	assert_tidied(o, "");
}

static void parses_or_refuses(struct span bytes)
{
	CLEANUP(objects_freep) struct objects *o = NULL;
	CLEANUP(buf_release) struct buf out = { 0 };
	const struct objects_edge *e;
	int err = objects_parse(bytes, &o);

	assert_true(err == 0 || err == -EIO);
	if (err)
		return;
	e = objects_next_child(o, 0, NULL);
	if (e) {
		(void)move(o, 0, "v", 0, "moved");
		(void)objects_next_child(o, 0, e);
	}
	for (size_t i = 1; i < objects_count(o); i++)
		(void)objects_clear_value(o, i);
	tidy_silently(o);
	assert_int_equal(objects_encode(o, &out), 0);
}

static void every_prefix_and_every_damaged_bit_is_survived(void **state)
{
	CLEANUP(buf_release) struct buf graph = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(model); i++)
		put_spec(&graph, &model[i]);
	each_damage(&graph, parses_or_refuses);
}

/* --- at random ------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1;
	return *state >> 33;
}

static bool has_edge(const struct objects *o, size_t id)
{
	return id == OBJECTS_ROOT || objects_next_parent(o, id, NULL);
}

static void edit_at_random(struct objects *o, uint64_t *seed)
{
	char a[8], b[8];
	size_t x = next_random(seed) % objects_count(o);
	size_t y = next_random(seed) % objects_count(o);
	size_t made;

	(void)snprintf(a, sizeof(a), "%d", (int)(next_random(seed) % 4));
	(void)snprintf(b, sizeof(b), "%d", (int)(next_random(seed) % 4));
	if (!is_reached(o, x) || !is_reached(o, y))
		return;
	switch (next_random(seed) % 9) {
	case 0:
	case 1:
		if (objects_count(o) < 60)
			(void)add(o, x, a, &made);
		break;
	case 2:
		(void)put_link(o, x, a, y);
		break;
	case 3:
		(void)drop(o, x, a);
		break;
	case 4:
		(void)move(o, x, a, y, b);
		break;
	case 5:
		(void)objects_exchange(o, x, span_of(a), y, span_of(b));
		break;
	case 6:
		(void)objects_clear_value(o, x);
		break;
	case 7: /* slot variables have no slots */
		if (objects_count(o) < 60 && has_edge(o, x) && has_edge(o, y))
			(void)objects_add_slot(o, x, y, span_of(a), &made);
		break;
	default:
		(void)objects_remove_slot(o, x, y, span_of(a));
	}
}

/* Gives values to what has none, as a program would that saves. */
static void give_values(struct objects *o, uint64_t *seed)
{
	for (size_t i = 1; i < objects_count(o); i++) {
		struct span key;

		if (is_reached(o, i) && !objects_key(o, i, &key) &&
		    next_random(seed) % 2)
			set_value(o, i);
	}
}

/* What a second look from nothing finds. */
static void assert_same_as_read_anew(struct objects *o)
{
	CLEANUP(objects_freep) struct objects *again = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };

	assert_int_equal(objects_encode(o, &bytes), 0);
	assert_int_equal(objects_parse(buf_span(&bytes), &again), 0);
	for (size_t i = 0; i < objects_count(o); i++) {
		assert_int_equal(is_reached(o, i), is_reached(again, i));
		if (is_reached(o, i))
			continue;
		assert_null(objects_next_child(o, i, NULL));
		assert_null(objects_slot_for(o, i));
	}
}

static void random_edits_keep_keys_and_paths_together(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		CLEANUP(objects_freep) struct objects *o = make_root();

		for (int batch = 0; batch < 60; batch++) {
			for (int i = 0; i < batch % 5 + 1; i++)
				edit_at_random(o, &seed);
			tidy_silently(o);
			assert_placed(o);
			give_values(o, &seed);
			assert_placed(o);
			assert_same_as_read_anew(o);
		}
	}
}

/* --- time ---------------------------------------------------------------------------------------- */

#define MANY 100000

/* Of our own: others may keep the processors busy. */
static double seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void name_of(int i, char ret[16])
{
	(void)snprintf(ret, 16, "v%d", i);
}

static void many_edits_take_no_long_time(void **state)
{
	CLEANUP(objects_freep) struct objects *o = make_root();
	double start = seconds();
	char a[16], b[16];
	size_t dir, v;

	(void)state;
	assert_int_equal(add(o, 0, "dir", &dir), 0);
	for (int i = 0; i < MANY; i++) {
		name_of(i, a);
		assert_int_equal(add(o, dir, a, &v), 0);
		set_value(o, v);
		tidy_silently(o);
	}
	for (int i = 0; i < MANY; i++) {
		name_of(i, a);
		name_of(i + MANY, b);
		assert_int_equal(move(o, dir, a, dir, b), 0);
		tidy_silently(o);
	}
	assert_int_equal(move(o, 0, "dir", 0, "other"), 0);
	tidy_silently(o);
	for (int i = 0; i < MANY; i++) {
		name_of(i + MANY, a);
		if (i % 2)
			assert_int_equal(drop(o, dir, a), 0);
		else
			assert_int_equal(
				objects_clear_value(
					o, objects_child(o, dir, span_of(a))),
				0);
		tidy_silently(o);
	}
	assert_null(objects_next_child(o, dir, NULL));
	assert_true(seconds() - start < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_nodes_that_are_not_there),
		cmocka_unit_test(cycles_and_self_edges_end),
		cmocka_unit_test(object_that_moves_below_itself_goes),
		cmocka_unit_test(edges_of_one_name_go_together),
		cmocka_unit_test(key_that_another_has_too_is_not_removed),
		cmocka_unit_test(too_deep_for_a_path_keeps_its_key),
		cmocka_unit_test(every_prefix_and_every_damaged_bit_is_survived),
		cmocka_unit_test(random_edits_keep_keys_and_paths_together),
		cmocka_unit_test(many_edits_take_no_long_time),
	};

	return cmocka_run_group_tests_name("objects_hostile", tests, NULL,
					   NULL);
}
