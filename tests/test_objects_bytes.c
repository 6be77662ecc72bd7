/* core/objects: messages, keys, and graphs that TensorFlow wrote. */
#include <fcntl.h>
#include <stdio.h>

#include "core/bundle.h"
#include "core/value.h"
#include "tests/objects_support.h"

/* --- what TensorFlow says of values below --------------------------------------------------- */

static void put_has_values(struct buf *node, bool has)
{
	struct buf value = { 0 };

	if (has)
		put_int(&value, 1, 1);
	put_message(node, 5, &value);
}

static void values_below_are_said_to_be_there(void **state)
{
	CLEANUP(objects_freep) struct objects *o = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(buf_release) struct buf want = { 0 };
	struct buf graph = { 0 }, node = { 0 };
	size_t v;

	(void)state;
	put_edge(&node, "d", 1);
	put_has_values(&node, false);
	put_node(&graph, &node);
	put_has_values(&node, false);
	put_node(&graph, &node);
	o = parse(&graph);
	assert_int_equal(add(o, 1, "v", &v), 0);
	set_value(o, v);
	tidy_silently(o);
	assert_int_equal(objects_encode(o, &bytes), 0);

	put_edge(&node, "d", 1);
	put_has_values(&node, true);
	put_node(&want, &node);
	put_edge(&node, "v", 2);
	put_has_values(&node, true);
	put_node(&want, &node);
	put_value(&node, "d/v" VALUE);
	put_has_values(&node, true);
	put_node(&want, &node);
	assert_true(span_equal(buf_span(&bytes), buf_span(&want)));

	assert_int_equal(drop(o, 1, "v"), 0);
	tidy_silently(o);
	bytes.len = 0;
	assert_int_equal(objects_encode(o, &bytes), 0);
	put_edge(&node, "d", 1);
	put_has_values(&node, false);
	want.len = 0;
	put_node(&want, &node);
	put_has_values(&node, false);
	put_node(&want, &node);
	put_has_values(&node, false);
	put_node(&want, &node);
	assert_true(span_equal(buf_span(&bytes), buf_span(&want)));
}

/* --- bytes ------------------------------------------------------------------------------- */

static void unknown_fields_are_kept_at_every_level(void **state)
{
	CLEANUP(objects_freep) struct objects *o = NULL;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	struct buf graph = { 0 }, node = { 0 }, inner = { 0 };
	static const char *const unknown[] = { "in edge", "in attribute",
					       "in slot", "in node",
					       "in graph" };

	(void)state;
	put_int(&inner, 1, 1);
	put_bytes(&inner, 2, span_of("v"));
	put_bytes(&inner, 99, span_of(unknown[0]));
	put_message(&node, 1, &inner);
	put_int(&inner, 1, 1);
	put_bytes(&inner, 2, span_of("m"));
	put_bytes(&inner, 99, span_of(unknown[2]));
	put_message(&node, 3, &inner);
	put_bytes(&node, 99, span_of(unknown[3]));
	put_node(&graph, &node);
	put_bytes(&inner, 1, span_of("VARIABLE_VALUE"));
	put_bytes(&inner, 3, span_of("v" VALUE));
	put_bytes(&inner, 99, span_of(unknown[1]));
	put_message(&node, 2, &inner);
	put_node(&graph, &node);
	put_bytes(&graph, 99, span_of(unknown[4]));

	assert_int_equal(objects_parse(buf_span(&graph), &o), 0);
	assert_int_equal(objects_encode(o, &bytes), 0);
	assert_true(span_equal(buf_span(&bytes), buf_span(&graph)));
	buf_release(&graph);

	assert_int_equal(move(o, 0, "v", 0, "w"), 0);
	tidy_silently(o);
	bytes.len = 0;
	assert_int_equal(objects_encode(o, &bytes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_non_null(memmem(bytes.data, bytes.len, unknown[i],
				       strlen(unknown[i])));
	assert_null(memmem(bytes.data, bytes.len, "v" VALUE,
			   strlen("v" VALUE)));
}

static const char *const fixtures[][2] = {
	{ "v2_tf2_manager", "ckpt-3" },
	{ "v2_tf2_keras3", "k-1" },
	{ "v2_tf2_odd_objects", "ckpt-1" },
	{ "v2_tf2_write", "noncounted" },
	{ "savedmodel_tf2/variables", "variables" },
};

static void read_fixture(size_t i, struct buf *ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(value_unrefp) struct value *v = NULL;
	CLEANUP(close_fd) int fd = -1;
	char path[128];
	struct reading reading = { 0 };

	(void)snprintf(path, sizeof(path), "tests/fixtures/%s", fixtures[i][0]);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(bundle_open(fd, fixtures[i][1], NULL, &b), 0);
	assert_int_equal(
		value_new(bundle_find(b,
				      span_of("_CHECKPOINTABLE_OBJECT_GRAPH")),
			  path, true, &v),
		0);
	assert_int_equal(value_read(v, value_size(v), 0, &reading), 0);
	buf_put(ret, reading.data, reading.n);
	reading_release(&reading);
}

static void unchanged_graph_of_tensorflow_has_the_same_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
		CLEANUP(objects_freep) struct objects *o = NULL;
		CLEANUP(buf_release) struct buf bytes = { 0 };
		CLEANUP(buf_release) struct buf again = { 0 };

		read_fixture(i, &bytes);
		assert_int_equal(objects_parse(buf_span(&bytes), &o), 0);
		assert_int_equal(objects_encode(o, &again), 0);
		assert_true(span_equal(buf_span(&bytes), buf_span(&again)));
	}
}

static void edits_undone_give_the_same_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
		CLEANUP(objects_freep) struct objects *o = NULL;
		CLEANUP(buf_release) struct buf bytes = { 0 };
		CLEANUP(buf_release) struct buf again = { 0 };
		CLEANUP(buf_release) struct buf name = { 0 };

		read_fixture(i, &bytes);
		assert_int_equal(objects_parse(buf_span(&bytes), &o), 0);
		assert_placed(o);
		put_span(&name, objects_next_child(o, 0, NULL)->name);
		assert_int_equal(objects_move(o, 0, buf_span(&name), 0,
					      span_of("other")),
				 0);
		tidy_silently(o);
		assert_placed(o);
		assert_int_equal(objects_encode(o, &again), 0);
		assert_false(span_equal(buf_span(&bytes), buf_span(&again)));
		assert_int_equal(objects_move(o, 0, span_of("other"), 0,
					      buf_span(&name)),
				 0);
		tidy_silently(o);
		again.len = 0;
		assert_int_equal(objects_encode(o, &again), 0);
		assert_true(span_equal(buf_span(&bytes), buf_span(&again)));
	}
}

/* --- keys ----------------------------------------------------------------------------------- */

static void assert_escape(const char *name, const char *component)
{
	CLEANUP(buf_release) struct buf escaped = { 0 };
	CLEANUP(buf_release) struct buf back = { 0 };

	objects_escape(span_of(name), &escaped);
	assert_true(span_equal(buf_span(&escaped), span_of(component)));
	assert_true(objects_unescape(buf_span(&escaped), &back));
	assert_true(span_equal(buf_span(&back), span_of(name)));
}

static void components_are_escaped_as_tensorflow_does(void **state)
{
	CLEANUP(buf_release) struct buf out = { 0 };

	(void)state;
	assert_escape("x/y", "x.Sy");
	assert_escape(".z", "..z");
	assert_escape("..", "....");
	assert_escape("/", ".S");
	assert_escape(".S", "..S");
	assert_escape("", "");
	assert_escape("a b\n\xc3\xbc%", "a b\n\xc3\xbc%");
	assert_false(objects_unescape(span_of("a."), &out));
	assert_false(objects_unescape(span_of(".ATTRIBUTES"), &out));
}

static void keys_are_taken_apart(void **state)
{
	struct objects_key_parts p;

	(void)state;
	assert_true(objects_split_key(span_of("a/b" VALUE), &p));
	assert_false(p.is_slot);
	assert_true(span_equal(p.path, span_of("a/b")));
	assert_true(span_equal(p.attribute, span_of("VARIABLE_VALUE")));
	assert_true(objects_split_key(
		span_of("a/.OPTIMIZER_SLOT/o/p/m/.ATTRIBUTES/X"), &p));
	assert_true(p.is_slot);
	assert_true(span_equal(p.path, span_of("a")));
	assert_true(span_equal(p.optimizer, span_of("o/p")));
	assert_true(span_equal(p.slot, span_of("m")));
	assert_true(span_equal(p.attribute, span_of("X")));
	assert_true(objects_split_key(
		span_of("a/.OPTIMIZER_SLOT//m/.ATTRIBUTES/X"), &p));
	assert_int_equal(p.optimizer.len, 0);
	assert_false(objects_split_key(span_of("a/b"), &p));
	assert_false(objects_split_key(span_of(""), &p));
	assert_false(objects_split_key(
		span_of("a/.OPTIMIZER_SLOT/m/.ATTRIBUTES/X"), &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_below_are_said_to_be_there),
		cmocka_unit_test(unknown_fields_are_kept_at_every_level),
		cmocka_unit_test(
			unchanged_graph_of_tensorflow_has_the_same_bytes),
		cmocka_unit_test(edits_undone_give_the_same_bytes),
		cmocka_unit_test(components_are_escaped_as_tensorflow_does),
		cmocka_unit_test(keys_are_taken_apart),
	};

	return cmocka_run_group_tests_name("objects_bytes", tests, NULL, NULL);
}
