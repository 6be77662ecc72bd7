/* core/place: what a name in a scope means. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/place.h"
#include "tests/test.h"

struct garden {
	struct tree *tree;
	struct cuts *cuts;
	struct node *root;
	struct variable *variable;
	uint64_t ids;
};

static uint64_t count_up(void *arg)
{
	return ++((struct garden *)arg)->ids;
}

static void hear_nothing(void *arg, uint64_t scope, struct span name)
{
	(void)arg;
	(void)scope;
	(void)name;
}

static void garden_init(struct garden *g)
{
	*g = (struct garden){ 0 };
	assert_int_equal(cuts_new(&g->cuts), 0);
	assert_int_equal(
		tree_new(count_up, hear_nothing, g, g->cuts, 0, &g->tree), 0);
	g->root = tree_root(g->tree);
	assert_int_equal(variable_new(NULL, span_of("k"), "label", true, 90,
				      &g->variable),
			 0);
	tree_begin(g->tree);
	tree_end(g->tree);
}

static void garden_release(struct garden *g)
{
	variable_unref(g->variable);
	tree_free(g->tree);
	cuts_free(g->cuts);
}

static struct node *make(struct garden *g, struct node *parent,
			 const char *name, unsigned shows)
{
	struct node *n = NULL;

	assert_int_equal(tree_make_variable(g->tree, parent, span_of(name),
					    g->variable, shows, &n),
			 0);
	return n;
}

static struct node *make_scope(struct garden *g, struct node *parent,
			       const char *name, bool dotted)
{
	struct node *n = NULL;

	assert_int_equal(
		tree_make_scope(g->tree, parent, span_of(name), dotted, &n), 0);
	return n;
}

static struct place find(const struct garden *g, struct node *parent,
			 const char *name)
{
	struct place p = { 0 };

	assert_int_equal(place_find(g->tree, parent, span_of(name), &p), 0);
	return p;
}

static void names_are_taken_apart(void **state)
{
	static const struct {
		const char *name, *component;
		enum name_suffix suffix;
	} cases[] = {
		{ "kernel", "kernel", NAME_PLAIN },
		{ "kernel.shape", "kernel", NAME_SHAPE },
		{ "kernel.dtype", "kernel", NAME_DTYPE },
		{ "kernel.d", "kernel", NAME_SCOPE },
		{ "50%25", "50%", NAME_PLAIN },
		{ "a%2Ed", "a.d", NAME_PLAIN },
		{ "a%2Ed.shape", "a.d", NAME_SHAPE },
		{ "%", "", NAME_PLAIN },
	};
	CLEANUP(garden_release) struct garden g;

	(void)state;
	garden_init(&g);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(place_release)
		struct place p = find(&g, g.root, cases[i].name);

		assert_int_equal(p.suffix, cases[i].suffix);
		assert_true(span_equal(buf_span(&p.component),
				       span_of(cases[i].component)));
		assert_ptr_equal(p.parent, g.root);
		assert_null(p.variable);
		assert_null(p.scope);
		assert_null(place_node(&p));
	}
}

static void names_that_no_key_maps_to_are_none(void **state)
{
	static const char *const bad[] = { "a%", "%41", "%2", ".weightfs",
					   "a.d.d" };
	CLEANUP(garden_release) struct garden g;
	struct place p;

	(void)state;
	garden_init(&g);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(place_find(g.tree, g.root, span_of(bad[i]),
					    &p),
				 -EINVAL);
	assert_int_equal(place_find(g.tree, g.root, span_of("a%2Fb"), &p), 0);
	assert_true(p.new_slash);
	place_release(&p);
}

static void what_stands_there_is_found(void **state)
{
	CLEANUP(garden_release) struct garden g;
	struct node *kernel, *below, *plain;

	(void)state;
	garden_init(&g);
	kernel = make(&g, g.root, "kernel", SHOWS_ALL);
	below = make_scope(&g, g.root, "kernel", false);
	plain = make_scope(&g, g.root, "dense", false);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "kernel", "kernel.d",
						     "kernel.shape",
						     "kernel.dtype" };
		struct node *const want[] = { kernel, below, NULL, NULL };
		CLEANUP(place_release)
		struct place p = find(&g, g.root, names[i]);

		assert_ptr_equal(p.variable, kernel);
		assert_ptr_equal(p.scope, below);
		assert_ptr_equal(place_node(&p), want[i]);
	}
	for (int i = 0; i < 2; i++) {
		CLEANUP(place_release)
		struct place p = find(&g, g.root, i ? "dense.d" : "dense");

		assert_ptr_equal(p.scope, plain);
		assert_ptr_equal(place_node(&p), i ? NULL : plain);
	}
}

static void variable_without_a_value_does_not_have_the_name(void **state)
{
	CLEANUP(garden_release) struct garden g;
	struct node *n, *scope;

	(void)state;
	garden_init(&g);
	n = make(&g, g.root, "v", SHOWS_SHAPE);
	for (int i = 0; i < 2; i++) {
		CLEANUP(place_release) struct place p = find(&g, g.root, "v");

		assert_ptr_equal(p.variable, n);
		assert_null(place_node(&p));
		tree_show(g.tree, n, SHOWS_ALL);
		assert_ptr_equal(place_node(&p), n);
		tree_bury(g.tree, n, g.variable);
		assert_null(place_node(&p));
		n = make(&g, g.root, "v", SHOWS_SHAPE);
	}
	scope = make_scope(&g, g.root, "v", false);
	{
		CLEANUP(place_release) struct place p = find(&g, g.root, "v");

		assert_ptr_equal(place_node(&p), scope);
	}
}

static void cut_names_are_known_where_they_were_shown(void **state)
{
	CLEANUP(garden_release) struct garden g;
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(place_release) struct place there = { 0 };
	CLEANUP(place_release) struct place elsewhere = { 0 };
	struct place none;
	char component[400];
	struct node *scope;

	(void)state;
	garden_init(&g);
	memset(component, 'x', sizeof(component));
	component[399] = 0;
	scope = make_scope(&g, g.root, "other", false);
	name_encode(span_of(component), true, 0, &name);
	assert_int_equal(place_find(g.tree, g.root, buf_span(&name), &none),
			 -EINVAL);
	(void)make(&g, g.root, component, SHOWS_ALL);
	assert_int_equal(place_find(g.tree, g.root, buf_span(&name), &there),
			 0);
	assert_non_null(place_node(&there));
	assert_int_equal(place_find(g.tree, scope, buf_span(&name), &elsewhere),
			 0);
	assert_null(place_node(&elsewhere));
	assert_true(span_equal(buf_span(&elsewhere.component),
			       span_of(component)));
}

static void assert_key(const struct garden *g, struct node *parent,
		       const char *name, const char *want)
{
	CLEANUP(place_release) struct place p = find(g, parent, name);
	CLEANUP(buf_release) struct buf key = { 0 };

	if (!want) {
		assert_int_equal(place_put_key(&p, &key), -EINVAL);
		return;
	}
	assert_int_equal(place_put_key(&p, &key), 0);
	assert_true(span_equal(buf_span(&key), span_of(want)));
}

static void keys_are_components_with_slashes(void **state)
{
	CLEANUP(garden_release) struct garden g;
	struct node *dense, *kernel;

	(void)state;
	garden_init(&g);
	dense = make_scope(&g, g.root, "de%nse", false);
	kernel = make_scope(&g, dense, "kernel", true);
	assert_key(&g, g.root, "a", "a");
	assert_key(&g, dense, "a.shape", "de%nse/a");
	assert_key(&g, kernel, "a%2Ed", "de%nse/kernel/a.d");
	assert_key(&g, kernel, "%", "de%nse/kernel/");
}

static void keys_that_no_index_has_are_refused(void **state)
{
	CLEANUP(garden_release) struct garden g;

	(void)state;
	garden_init(&g);
	assert_key(&g, g.root, "%", NULL);
	assert_key(&g, g.root, "%00slice", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_taken_apart),
		cmocka_unit_test(names_that_no_key_maps_to_are_none),
		cmocka_unit_test(what_stands_there_is_found),
		cmocka_unit_test(
			variable_without_a_value_does_not_have_the_name),
		cmocka_unit_test(cut_names_are_known_where_they_were_shown),
		cmocka_unit_test(keys_are_components_with_slashes),
		cmocka_unit_test(keys_that_no_index_has_are_refused),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
