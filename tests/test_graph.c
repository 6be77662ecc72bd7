/* core/graph: small graphs by hand, and those that TensorFlow wrote. */
#include <fcntl.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/crc32c.h"
#include "core/graph.h"
#include "core/strings.h"
#include "tests/graph_support.h"

static void assert_layout(const struct spec *nodes, size_t n, const char *want)
{
	CLEANUP(graph_freep) struct graph *g = NULL;
	CLEANUP(buf_release) struct buf graph = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };

	for (size_t i = 0; i < n; i++)
		put_spec(&graph, &nodes[i]);
	assert_int_equal(graph_parse(buf_span(&graph), &g), 0);
	print_layout(g, &text);
	assert_string_equal((char *)text.data, want);
}

static void objects_are_directories_and_variables_files(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "model", 1 }, { "step", 2 } } },
		{ .edges = { { "kernel", 3 } } },
		{ .key = "k.step" },
		{ .key = "k.kernel" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/model/\n"
		      "/step = k.step\n"
		      "/model/kernel = k.kernel\n");
}

static void variable_is_a_file_at_every_edge(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "a", 1 }, { "b", 1 }, { "c", 2 } } },
		{ .key = "k" },
		{ .edges = { { "", 1 } } },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/a = k\n"
		      "/b = k\n"
		      "/c/\n"
		      "/c/ = k\n");
}

static void object_is_a_link_at_further_edges(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "deep", 1 }, { "near", 2 }, { "near2", 2 } } },
		{ .edges = { { "far", 2 }, { "own", 3 } } },
		{ .edges = { { "own", 3 } } },
		{ 0 },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/deep/\n"
		      "/near/\n"
		      "/near2 -> /near/\n"
		      "/deep/far -> /near/\n"
		      "/deep/own/\n"
		      "/near/own -> /deep/own/\n");
}

static void cycles_and_self_edges_are_links(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "self", 0 }, { "a", 1 } } },
		{ .edges = { { "self", 1 }, { "root", 0 } } },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/self -> /\n"
		      "/a/\n"
		      "/a/self -> /a/\n"
		      "/a/root -> /\n");
}

static void first_edge_of_a_name_wins(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "b", 1 }, { "a", 2 }, { "b", 2 }, { "b", 3 } } },
		{ .key = "one" },
		{ .key = "two" },
		{ .key = "not reached" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/b = one\n"
		      "/a = two\n");
}

static void children_of_a_variable_stand_in_its_companion(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 }, { "again", 1 } } },
		{ .key = "k.v", .edges = { { "child", 2 }, { "self", 1 } } },
		{ .key = "k.child" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/again = k.v\n"
		      "/v.d/child = k.child\n"
		      "/v.d/self = k.v\n");
}

static void root_is_no_variable(void **state)
{
	static const struct spec nodes[] = {
		{ .key = "k",
		  .edges = { { "self", 0 } },
		  .slots = { { 0, "m", 0 } } },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes), "/self -> /\n");
}

static void slots_stand_below_the_path_of_their_optimizer(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 }, { "train", 2 }, { "same", 1 } } },
		{ .key = "k.v" },
		{ .edges = { { "adam", 3 }, { "sgd", 4 } } },
		{ .slots = { { 1, "v", 5 }, { 1, "m", 6 }, { 1, "m", 7 } } },
		{ .slots = { { 1, "momentum", 7 } } },
		{ .key = "k.adam.v" },
		{ .key = "k.adam.m" },
		{ .key = "k.sgd" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/train/\n"
		      "/same = k.v\n"
		      "/train/adam/\n"
		      "/train/sgd/\n"
		      "/v.d/slots/\n"
		      "/v.d/slots/train/\n"
		      "/v.d/slots/train/adam/\n"
		      "/v.d/slots/train/adam/m = k.adam.m\n"
		      "/v.d/slots/train/adam/v = k.adam.v\n"
		      "/v.d/slots/train/sgd/\n"
		      "/v.d/slots/train/sgd/momentum = k.sgd\n");
}

static void each_variable_has_slots_of_its_own(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "opt", 1 }, { "a", 2 }, { "b", 3 } } },
		{ .slots = { { 3, "m", 4 }, { 2, "m", 4 }, { 3, "v", 4 } } },
		{ .key = "k.a" },
		{ .key = "k.b" },
		{ .key = "k.slot" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/opt/\n"
		      "/a = k.a\n"
		      "/b = k.b\n"
		      "/a.d/slots/\n"
		      "/a.d/slots/opt/\n"
		      "/a.d/slots/opt/m = k.slot\n"
		      "/b.d/slots/\n"
		      "/b.d/slots/opt/\n"
		      "/b.d/slots/opt/m = k.slot\n"
		      "/b.d/slots/opt/v = k.slot\n");
}

static void slots_of_the_root_stand_directly_below_slots(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 } }, .slots = { { 1, "m", 2 } } },
		{ .key = "k.v" },
		{ .key = "k.m" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/v.d/slots/\n"
		      "/v.d/slots/m = k.m\n");
}

/* Of an optimizer without a path, of no variable, and slots without a value. */
static void slots_without_a_place_are_left_out(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 }, { "object", 2 } },
		  .slots = { { 1, "no value", 2 },
			     { 2, "of an object", 1 },
			     { 4, "of a lost variable", 1 } } },
		{ .key = "k.v" },
		{ 0 },
		{ .slots = { { 1, "of a lost optimizer", 1 } } },
		{ .key = "k.lost" },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/object/\n");
}

static void edge_named_slots_wins(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 }, { "opt", 2 } } },
		{ .key = "k.v", .edges = { { "slots", 2 } } },
		{ .slots = { { 1, "m", 1 }, { 1, "v", 1 } } },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/opt/\n"
		      "/v.d/slots -> /opt/\n");
}

static void slot_wins_over_an_optimizer_of_its_name(void **state)
{
	static const struct spec nodes[] = {
		{ .edges = { { "v", 1 }, { "opt", 2 } } },
		{ .key = "k.v" },
		{ .edges = { { "inner", 3 }, { "other", 4 } },
		  .slots = { { 1, "inner", 1 } } },
		{ .slots = { { 1, "hidden", 1 } } },
		{ .slots = { { 1, "shown", 1 } } },
	};

	(void)state;
	assert_layout(nodes, ARRAY_SIZE(nodes),
		      "/v = k.v\n"
		      "/opt/\n"
		      "/opt/inner/\n"
		      "/opt/other/\n"
		      "/v.d/slots/\n"
		      "/v.d/slots/opt/\n"
		      "/v.d/slots/opt/inner = k.v\n"
		      "/v.d/slots/opt/other/\n"
		      "/v.d/slots/opt/other/shown = k.v\n");
}

/* Graphs that TensorFlow wrote, and lines that their layout must have. */
static const struct fixture {
	const char *path;
	uint64_t offset, size;
	uint32_t masked_crc;
	const char *lines[6]; /* up to a NULL */
} fixtures[] = {
	{ "tests/fixtures/v2_tf2_keras3/k-1.data-00000-of-00001",
	  332,
	  2391,
	  0xebe7750b,
	  { "\n/model/_functional/_operations/1/_kernel = "
	    "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/model/_functional/_operations/2/bias = "
	    "optimizer/_trainable_variables/3/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/optimizer/_trainable_variables/3 = "
	    "optimizer/_trainable_variables/3/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/model/optimizer -> /optimizer/\n" } },
	{ "tests/fixtures/v2_tf2_manager/ckpt-3.data-00000-of-00001",
	  376,
	  1309,
	  0xbed0084c,
	  { "\n/model/dense/kernel.d/slots/optimizer/m = model/dense/kernel/"
	    ".OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/model/layers/1/v = "
	    "model/layers/1/v/.ATTRIBUTES/VARIABLE_VALUE\n" } },
	{ "tests/fixtures/v2_tf2_odd_objects/ckpt-1.data-00000-of-00001",
	  783,
	  1278,
	  0x128668f0,
	  { "\n/m/d/x/y = m/d/x.Sy/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/m/d/ = m/d//.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/m/shared1 = m/shared1/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/m/shared2 = m/shared1/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/m/table/\n" } },
	{ "tests/fixtures/savedmodel_tf2/variables/"
	  "variables.data-00000-of-00001",
	  40,
	  314,
	  0x65339eba,
	  { "\n/b = b/.ATTRIBUTES/VARIABLE_VALUE\n",
	    "\n/signatures/serving_default/\n" } },
};

static void read_graph(const struct fixture *f, struct buf *ret)
{
	CLEANUP(strings_freep) struct strings *s = NULL;
	CLEANUP(close_fd) int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	struct strings_source source = {
		.fd = fd,
		.offset = f->offset,
		.size = f->size,
		.elements = 1,
		.crc32c = crc32c_unmask(f->masked_crc),
		.scalar = true,
		.verify = true,
		.name = f->path,
	};

	assert_true(fd >= 0);
	assert_int_equal(strings_open(&source, &s), 0);
	buf_put_zeros(ret, strings_size(s));
	assert_int_equal(strings_read(s, ret->data, ret->len, 0), ret->len);
}

static void lays_out_what_tensorflow_wrote(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
		CLEANUP(graph_freep) struct graph *g = NULL;
		CLEANUP(buf_release) struct buf bytes = { 0 };
		CLEANUP(buf_release) struct buf text = { 0 };

		read_graph(&fixtures[i], &bytes);
		assert_int_equal(graph_parse(buf_span(&bytes), &g), 0);
		buf_put(&text, "\n", 1);
		print_layout(g, &text);
		for (const char *const *line = fixtures[i].lines; *line; line++)
			assert_non_null(strstr((char *)text.data, *line));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_directories_and_variables_files),
		cmocka_unit_test(variable_is_a_file_at_every_edge),
		cmocka_unit_test(object_is_a_link_at_further_edges),
		cmocka_unit_test(cycles_and_self_edges_are_links),
		cmocka_unit_test(first_edge_of_a_name_wins),
		cmocka_unit_test(children_of_a_variable_stand_in_its_companion),
		cmocka_unit_test(root_is_no_variable),
		cmocka_unit_test(slots_stand_below_the_path_of_their_optimizer),
		cmocka_unit_test(each_variable_has_slots_of_its_own),
		cmocka_unit_test(slots_of_the_root_stand_directly_below_slots),
		cmocka_unit_test(slots_without_a_place_are_left_out),
		cmocka_unit_test(edge_named_slots_wins),
		cmocka_unit_test(slot_wins_over_an_optimizer_of_its_name),
		cmocka_unit_test(lays_out_what_tensorflow_wrote),
	};

	return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
