/* core/layout: from keys, or from an object graph, to the names that show. */
#include "core/layout.h"
#include "core/value.h"
#include "tests/support.h"

/* A bundle laid out as a tree; the variables are its own. */
struct shown {
	struct place where;
	struct bundle *bundle;
	struct variable **variables;
	struct tree *tree;
	uint64_t ids;
};

static uint64_t count_up(void *arg)
{
	return ++((struct shown *)arg)->ids;
}

static void hear_nothing(void *arg, uint64_t scope, struct span name)
{
	(void)arg;
	(void)scope;
	(void)name;
}

static void shown_release(struct shown *s)
{
	tree_free(s->tree);
	for (size_t i = 0; i < bundle_count(s->bundle); i++)
		variable_unref(s->variables[i]);
	free(s->variables);
	bundle_unref(s->bundle);
	place_release(&s->where);
}

/* Variables and an empty tree for the bundle `prefix` that is in place. */
static void shown_open(struct shown *s, const char *prefix)
{
	size_t n;

	assert_int_equal(bundle_open(s->where.fd, prefix, NULL, &s->bundle), 0);
	n = bundle_count(s->bundle);
	s->variables = calloc(n + 1, sizeof(struct variable *));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(variable_new(bundle_entry(s->bundle, i),
					      (struct span){ 0 }, "label", true,
					      count_up(s), &s->variables[i]),
				 0);
	assert_int_equal(tree_new(count_up, hear_nothing, s, NULL, 0, &s->tree),
			 0);
}

/* Of these keys, which rise and end in NULL. */
static void shown_init(struct shown *s, const char *const *keys)
{
	CLEANUP(maker_release) struct maker m;

	*s = (struct shown){ .where = place_make() };
	maker_init(&m, HEADER);
	for (; *keys; keys++)
		maker_add(&m, *keys, span_of("value"));
	maker_write(&m, s->where.fd);
	shown_open(s, "ckpt");
}

static int lay_out(struct shown *s, const struct graph *g)
{
	return layout_put(s->tree, s->bundle, s->variables, g);
}

static void put_node(const struct node *n, struct buf *out)
{
	assert_int_equal(node_put_path(n, out), 0);
	switch (node_kind(n)) {
	case NODE_SCOPE:
		buf_printf(out, "/");
		break;
	case NODE_LINK:
		buf_printf(out, " -> ");
		assert_int_equal(node_put_target(n, out), 0);
		break;
	case NODE_VARIABLE:
		break;
	}
	buf_printf(out, "\n");
}

/* All paths, a line each, a directory before what is in it. */
static void put_all(const struct shown *s, struct buf *out)
{
	const struct node *at = tree_root(s->tree);
	uint64_t places[64] = { 0 };
	size_t depth = 0;

	while (at) {
		const struct node *child = node_child_at(at, places[depth],
							 &places[depth]);

		if (!child) {
			at = node_parent(at);
			depth--;
			continue;
		}
		put_node(child, out);
		places[depth]++;
		if (node_kind(child) == NODE_SCOPE) {
			at = child;
			places[++depth] = 0;
		}
	}
	buf_put(out, "", 1);
}

static void assert_shown(const struct shown *s, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	put_all(s, &text);
	assert_string_equal((char *)text.data, want);
}

/* --- by key ---------------------------------------------------------------- */

static void keys_are_paths(void **state)
{
	static const char *const keys[] = { "dense/bias", "dense/kernel",
					    "dense/kernel/Adam", "step", NULL };
	CLEANUP(shown_release) struct shown s;

	(void)state;
	shown_init(&s, keys);
	assert_int_equal(lay_out(&s, NULL), 0);
	assert_shown(&s, "dense/\n"
			 "dense/bias\n"
			 "dense/kernel\n"
			 "dense/kernel.d/\n"
			 "dense/kernel.d/Adam\n"
			 "step\n");
}

static void empty_components_have_names(void **state)
{
	static const char *const keys[] = { "/", "/a", "a/", "a//b", NULL };
	CLEANUP(shown_release) struct shown s;

	(void)state;
	shown_init(&s, keys);
	assert_int_equal(lay_out(&s, NULL), 0);
	assert_shown(&s, "%/\n%/%\n%/a\na/\na/%\na/%.d/\na/%.d/b\n");
}

/* One to one: none of these is taken for another, or for a sidecar. */
static void hostile_keys_stay_inside(void **state)
{
	static const char *const keys[] = { "%2E",     "..",  "../x",
					    "a",       "a.d", "a.d/x",
					    "a.shape", "a/x", NULL };
	CLEANUP(shown_release) struct shown s;

	(void)state;
	shown_init(&s, keys);
	assert_int_equal(lay_out(&s, NULL), 0);
	assert_shown(&s, "%252E\n"
			 "%2E.\n"
			 "%2E..d/\n"
			 "%2E..d/x\n"
			 "a\n"
			 "a%2Ed\n"
			 "a%2Ed.d/\n"
			 "a%2Ed.d/x\n"
			 "a%2Eshape\n"
			 "a.d/\n"
			 "a.d/x\n");
}

static void laying_out_again_changes_nothing(void **state)
{
	static const char *const keys[] = { "a", "a/b", NULL };
	CLEANUP(shown_release) struct shown s;
	const struct node *n;

	(void)state;
	shown_init(&s, keys);
	assert_int_equal(lay_out(&s, NULL), 0);
	n = tree_find(s.tree, tree_root(s.tree), span_of("a.d"));
	assert_int_equal(lay_out(&s, NULL), 0);
	assert_ptr_equal(tree_find(s.tree, tree_root(s.tree), span_of("a.d")),
			 n);
	assert_int_equal(variable_links(s.variables[0]), 1);
	assert_int_equal(variable_links(s.variables[1]), 1);
}

/* --- by graph -------------------------------------------------------------- */

/* A node of a graph: its edges, and the key of its value or NULL. */
struct spec {
	const char *key;
	struct {
		const char *name;
		uint8_t to;
	} edges[4];
};

static void put_field(struct buf *out, uint8_t field, struct buf *message)
{
	const uint8_t tag = (uint8_t)(field << 3 | 2);

	buf_put(out, &tag, 1);
	buf_put_varint(out, message->len);
	buf_put(out, message->data, message->len);
	buf_release(message);
}

static void put_text(struct buf *out, uint8_t field, const char *text)
{
	struct buf b = { 0 };

	buf_put(&b, text, strlen(text));
	put_field(out, field, &b);
}

static void put_spec(struct buf *graph, const struct spec *spec)
{
	struct buf node = { 0 };

	for (size_t i = 0; i < 4 && spec->edges[i].name; i++) {
		const uint8_t id[] = { 8, spec->edges[i].to };
		struct buf edge = { 0 };

		buf_put(&edge, id, sizeof(id));
		put_text(&edge, 2, spec->edges[i].name);
		put_field(&node, 1, &edge);
	}
	if (spec->key) {
		struct buf attribute = { 0 };

		put_text(&attribute, 1, "VARIABLE_VALUE");
		put_text(&attribute, 3, spec->key);
		put_field(&node, 2, &attribute);
	}
	put_field(graph, 1, &node);
}

static void assert_graph_shown(const char *const *keys, size_t n,
			       const struct spec *specs, const char *want)
{
	CLEANUP(shown_release) struct shown s;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(graph_freep) struct graph *g = NULL;

	shown_init(&s, keys);
	for (size_t i = 0; i < n; i++)
		put_spec(&bytes, &specs[i]);
	assert_int_equal(graph_parse(buf_span(&bytes), &g), 0);
	assert_int_equal(lay_out(&s, g), 0);
	assert_shown(&s, want);
	for (size_t i = 0; i < bundle_count(s.bundle); i++)
		assert_true(variable_links(s.variables[i]) >= 1);
}

static void edges_are_the_tree(void **state)
{
	static const char *const keys[] = { "opt/v/0", "table", NULL };
	static const struct spec specs[] = {
		{ NULL, { { "opt", 1 }, { "model", 2 } } },
		{ NULL, { { "v", 3 } } },
		{ NULL, { { "kernel", 4 }, { "self", 0 }, { "o", 1 } } },
		{ NULL, { { "0", 4 } } },
		{ "opt/v/0", { { NULL, 0 } } },
	};

	(void)state;
	assert_graph_shown(keys, ARRAY_SIZE(specs), specs,
			   "opt/\n"
			   "opt/v/\n"
			   "opt/v/0\n"
			   "model/\n"
			   "model/kernel\n"
			   "model/self -> ../.\n"
			   "model/o -> ../opt\n"
			   "table\n");
}

static void key_of_a_taken_name_is_escaped(void **state)
{
	static const char *const keys[] = { "k", "value", NULL };
	static const struct spec specs[] = {
		{ NULL, { { "k", 1 } } },
		{ "value", { { NULL, 0 } } },
	};

	(void)state;
	assert_graph_shown(keys, 2, specs, "k\n%6B\n");
}

static void value_that_is_not_there_is_left_out(void **state)
{
	static const char *const keys[] = { "a", NULL };
	static const struct spec specs[] = {
		{ NULL, { { "gone", 1 } } },
		{ "missing", { { "a", 2 } } },
		{ "a", { { NULL, 0 } } },
	};

	(void)state;
	assert_graph_shown(keys, 3, specs, "gone/\ngone/a\n");
}

static void empty_edge_beside_an_empty_key_shows_both(void **state)
{
	static const char *const keys[] = { "a/", "x", NULL };
	static const struct spec specs[] = {
		{ NULL, { { "a", 1 } } },
		{ NULL, { { "", 2 } } },
		{ "x", { { NULL, 0 } } },
	};
	CLEANUP(shown_release) struct shown s;
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(graph_freep) struct graph *g = NULL;

	(void)state;
	shown_init(&s, keys);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		put_spec(&bytes, &specs[i]);
	assert_int_equal(graph_parse(buf_span(&bytes), &g), 0);
	assert_int_equal(lay_out(&s, g), 0);
	assert_int_equal(variable_links(s.variables[0]), 1);
	assert_int_equal(variable_links(s.variables[1]), 1);
}

/* --- fixtures --------------------------------------------------------------- */

static struct graph *graph_of(const struct bundle *b)
{
	CLEANUP(value_unrefp) struct value *v = NULL;
	struct reading reading;
	struct graph *g = NULL;

	assert_int_equal(value_new(bundle_find(b, span_of(GRAPH_KEY)), "graph",
				   true, &v),
			 0);
	assert_int_equal(value_read(v, value_size(v), 0, &reading), 0);
	assert_int_equal(
		graph_parse((struct span){ reading.data, reading.n }, &g), 0);
	reading_release(&reading);
	return g;
}

/* In Keras 3 the keys run through the optimizer; a person looks for layers. */
static void layers_of_keras_show(void **state)
{
	CLEANUP(shown_release)
	struct shown s = { .where = place_make() };
	CLEANUP(graph_freep) struct graph *g = NULL;
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	copy_fixture(&s.where, "v2_tf2_keras3");
	shown_open(&s, "k-1");
	g = graph_of(s.bundle);
	assert_int_equal(lay_out(&s, g), 0);
	for (size_t i = 0; i < bundle_count(s.bundle); i++)
		assert_true(variable_links(s.variables[i]) >= 1);
	put_all(&s, &text);
	assert_non_null(strstr((char *)text.data, "model/"));
	assert_non_null(strstr((char *)text.data, GRAPH_KEY));
	assert_null(strstr((char *)text.data, "VARIABLE_VALUE"));

	assert_int_equal(lay_out(&s, NULL), 0);
	text.len = 0;
	put_all(&s, &text);
	assert_non_null(strstr((char *)text.data, "VARIABLE_VALUE"));
	assert_null(strstr((char *)text.data, "\nmodel/\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_paths),
		cmocka_unit_test(empty_components_have_names),
		cmocka_unit_test(hostile_keys_stay_inside),
		cmocka_unit_test(laying_out_again_changes_nothing),
		cmocka_unit_test(edges_are_the_tree),
		cmocka_unit_test(key_of_a_taken_name_is_escaped),
		cmocka_unit_test(value_that_is_not_there_is_left_out),
		cmocka_unit_test(empty_edge_beside_an_empty_key_shows_both),
		cmocka_unit_test(layers_of_keras_show),
	};

	return cmocka_run_group_tests_name("layout", tests, note_lines, NULL);
}
