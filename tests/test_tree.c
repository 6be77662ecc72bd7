/* core/tree: names, who has the `.d`, what goes, and who is told of it. */
#include "tests/tree_support.h"

/* --- names ---------------------------------------------------------------- */

static void nodes_are_found_by_name(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *dense, *kernel;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	dense = scope(&f, f.root, "dense");
	kernel = put(&f, dense, "kernel", v);
	tree_end(f.tree);
	assert_ptr_equal(find(&f, f.root, "dense"), dense);
	assert_ptr_equal(find(&f, dense, "kernel"), kernel);
	assert_ptr_equal(tree_find_variable(f.tree, dense, span_of("kernel")),
			 kernel);
	assert_null(tree_find_variable(f.tree, f.root, span_of("dense")));
	assert_null(find(&f, f.root, "kernel"));
	assert_null(find(&f, f.root, "dense.d"));
	assert_null(find(&f, dense, "kernel.d"));
	assert_path(kernel, "dense/kernel");
	assert_path(f.root, "");
	assert_ptr_equal(node_variable(kernel), v);
	assert_ptr_equal(node_parent(kernel), dense);
	assert_int_equal(count_children(dense), 1);
	assert_int_equal(variable_links(v), 1);
}

static void components_show_encoded(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *dots;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	dots = scope(&f, f.root, "..");
	put(&f, dots, "", v);
	put(&f, dots, "a.d", v);
	put(&f, dots, "50%", v);
	scope(&f, f.root, ".weightfs");
	scope(&f, dots, ".weightfs");
	tree_end(f.tree);
	assert_names(f.root, "%2E. %2Eweightfs ");
	assert_names(dots, "% a%2Ed 50%25 .weightfs ");
	assert_null(find(&f, f.root, ".."));
	assert_int_equal(variable_links(v), 3);
}

static void escape_finds_a_free_name(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	struct node *n;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	put(&f, f.root, "kernel", v);
	assert_int_equal(tree_put_variable(f.tree, f.root, span_of("kernel"),
					   false, w, &n),
			 -EEXIST);
	assert_int_equal(tree_put_variable(f.tree, f.root, span_of("kernel"),
					   true, w, &n),
			 0);
	tree_end(f.tree);
	assert_names(f.root, "kernel %6Bernel ");
}

/* Also for the component that has no first byte. */
static void escape_finds_a_name_for_the_empty_component(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	struct node *n;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	put(&f, f.root, "", v);
	assert_int_equal(
		tree_put_variable(f.tree, f.root, span_of(""), true, w, &n), 0);
}

static void long_names_are_cut_and_found(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(buf_release) struct buf name = { 0 };
	char a[400], b[400];
	struct node *first, *second;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	memset(a, 'x', sizeof(a));
	a[399] = 0;
	memcpy(b, a, sizeof(b));
	b[398] = 'y';
	first = put(&f, f.root, a, v);
	second = put(&f, f.root, b, v);
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(put(&f, f.root, a, v), first);
	node_put_name(first, &name);
	assert_true(name_is_cut(buf_span(&name)));
	assert_in_range(name.len, 1, NAME_MAX_LEN);
	assert_ptr_equal(tree_find(f.tree, f.root, buf_span(&name)), first);
	next_state(&f);
	assert_ptr_equal(put(&f, f.root, a, v), first);
	tree_end(f.tree);
	assert_true(count_children(f.root) == 1);
}

/* --- .d ------------------------------------------------------------------- */

static void scope_beside_a_variable_shows_with_d(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		CLEANUP(forest_release) struct forest f;
		CLEANUP(variable_unrefp) struct variable *v = NULL;
		struct node *kernel = NULL, *below;

		forest_init(&f);
		v = new_variable(&f);
		if (first)
			kernel = put(&f, f.root, "kernel", v);
		below = scope(&f, f.root, "kernel");
		if (!first)
			kernel = put(&f, f.root, "kernel", v);
		put(&f, below, "Adam", v);
		tree_end(f.tree);
		assert_ptr_equal(find(&f, f.root, "kernel"), kernel);
		assert_ptr_equal(find(&f, f.root, "kernel.d"), below);
		assert_path(find(&f, below, "Adam"), "kernel.d/Adam");
	}
}

static void d_stays_when_the_variable_goes(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *below;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	put(&f, f.root, "kernel", v);
	below = scope(&f, f.root, "kernel");
	put(&f, below, "Adam", v);
	next_state(&f);
	assert_ptr_equal(scope(&f, f.root, "kernel"), below);
	put(&f, below, "Adam", v);
	assert_told(&f, "1/kernel 1/kernel.shape 1/kernel.dtype ");
	assert_ptr_equal(find(&f, f.root, "kernel.d"), below);
	assert_null(find(&f, f.root, "kernel"));
	assert_int_equal(variable_links(v), 1);
}

/* They were never there at one time: the new scope has its plain name. */
static void scope_in_place_of_a_variable_has_no_d(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *below;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	put(&f, f.root, "kernel", v);
	next_state(&f);
	below = scope(&f, f.root, "kernel");
	put(&f, below, "x", v);
	tree_end(f.tree);
	assert_names(f.root, "kernel ");
	assert_ptr_equal(find(&f, f.root, "kernel"), below);
}

static void variable_that_comes_later_moves_the_scope(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *below;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	below = scope(&f, f.root, "kernel");
	next_state(&f);
	scope(&f, f.root, "kernel");
	put(&f, f.root, "kernel", v);
	assert_told(&f, "1/kernel 1/kernel.shape 1/kernel.dtype "
			"1/kernel 1/kernel.d ");
	assert_ptr_equal(find(&f, f.root, "kernel.d"), below);
}

/* --- links ---------------------------------------------------------------- */

static void links_are_relative(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *a, *b, *c;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	a = scope(&f, f.root, "a");
	b = scope(&f, a, "b");
	c = scope(&f, f.root, "c");
	put(&f, f.root, "c", v);
	assert_int_equal(tree_put_link(f.tree, f.root, span_of("l"), b), 0);
	assert_int_equal(tree_put_link(f.tree, b, span_of("l"), c), 0);
	assert_int_equal(tree_put_link(f.tree, f.root, span_of("r"), f.root),
			 0);
	assert_int_equal(tree_put_link(f.tree, b, span_of("r"), f.root), 0);
	tree_end(f.tree);
	assert_target(find(&f, f.root, "l"), "a/b");
	assert_target(find(&f, b, "l"), "../../c.d");
	assert_target(find(&f, f.root, "r"), ".");
	assert_target(find(&f, b, "r"), "../../.");
	assert_int_equal(node_kind(find(&f, b, "l")), NODE_LINK);
	assert_int_not_equal(node_id(find(&f, b, "l")), 0);
}

static void link_to_what_has_gone_says_where_that_was(void **state)
{
	CLEANUP(forest_release) struct forest f;
	struct node *link;

	(void)state;
	forest_init(&f);
	assert_int_equal(tree_put_link(f.tree, f.root, span_of("l"),
				       scope(&f, scope(&f, f.root, "a"), "b")),
			 0);
	link = node_ref(find(&f, f.root, "l"));
	next_state(&f);
	tree_end(f.tree);
	assert_true(node_dead(link));
	assert_target(link, "a/b");
	node_unref(link);
}

/* --- what goes ------------------------------------------------------------- */

static void what_is_not_put_again_goes(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *a, *b, *x;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	a = node_ref(scope(&f, f.root, "a"));
	b = node_ref(scope(&f, a, "b"));
	x = node_ref(put(&f, b, "x", v));
	put(&f, f.root, "y", v);
	next_state(&f);
	put(&f, f.root, "y", v);
	tree_end(f.tree);
	assert_names(f.root, "y ");
	assert_true(node_dead(a) && node_dead(b) && node_dead(x));
	assert_null(node_parent(x));
	assert_int_equal(count_children(a), 0);
	assert_int_equal(variable_links(v), 1);
	node_unref(a);
	node_unref(b);
	node_unref(x);
}

/* A scope is nothing by itself: but one that was put is kept, also if empty. */
static void deep_trees_are_swept_without_a_stack(void **state)
{
	CLEANUP(forest_release) struct forest f;
	struct node *at;

	(void)state;
	forest_init(&f);
	at = f.root;
	for (int i = 0; i < 200000; i++)
		at = scope(&f, at, "a");
	next_state(&f);
	tree_end(f.tree);
	assert_int_equal(count_children(f.root), 0);
}

static void places_are_never_given_twice(void **state)
{
	CLEANUP(forest_release) struct forest f;
	uint64_t first, second;

	(void)state;
	forest_init(&f);
	scope(&f, f.root, "a");
	assert_non_null(node_child_at(f.root, 0, &first));
	next_state(&f);
	next_state(&f);
	scope(&f, f.root, "a");
	assert_non_null(node_child_at(f.root, 0, &second));
	assert_true(second > first);
	assert_null(node_child_at(f.root, second + 1, &second));
}

/* --- who is told ----------------------------------------------------------- */

static void nobody_is_told_of_the_first_state(void **state)
{
	CLEANUP(forest_release) struct forest f;

	(void)state;
	forest_init(&f);
	scope(&f, f.root, "a");
	assert_told(&f, "");
}

static void nobody_is_told_of_what_stays(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	for (int i = 0; i < 2; i++) {
		put(&f, scope(&f, f.root, "a"), "x", v);
		assert_int_equal(
			tree_put_link(f.tree, f.root, span_of("l"), f.root), 0);
		assert_told(&f, "");
		tree_begin(f.tree);
	}
}

static void all_names_of_a_variable_are_told(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	next_state(&f);
	put(&f, f.root, "x", v);
	assert_told(&f, "1/x 1/x.shape 1/x.dtype ");
	tree_begin(f.tree);
	put(&f, f.root, "x", w);
	assert_told(&f, "1/x 1/x.shape 1/x.dtype ");
	assert_int_equal(variable_links(v), 0);
	assert_int_equal(variable_links(w), 1);
	tree_begin(f.tree);
	assert_told(&f, "1/x 1/x.shape 1/x.dtype ");
	assert_int_equal(variable_links(w), 0);
}

static void sidecars_that_go_with_a_variable_are_told(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	forest_init(&f);
	v = new_variable(&f);
	put(&f, f.root, "x", v);
	next_state(&f);
	assert_int_equal(tree_put_link(f.tree, f.root, span_of("x"), f.root),
			 0);
	tree_end(f.tree);
	buf_put(&f.told, "", 1);
	assert_non_null(strstr((char *)f.told.data, "1/x "));
	assert_non_null(strstr((char *)f.told.data, "1/x.shape "));
	assert_non_null(strstr((char *)f.told.data, "1/x.dtype "));
	assert_int_equal(variable_links(v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_found_by_name),
		cmocka_unit_test(components_show_encoded),
		cmocka_unit_test(escape_finds_a_free_name),
		cmocka_unit_test(escape_finds_a_name_for_the_empty_component),
		cmocka_unit_test(long_names_are_cut_and_found),
		cmocka_unit_test(scope_beside_a_variable_shows_with_d),
		cmocka_unit_test(d_stays_when_the_variable_goes),
		cmocka_unit_test(scope_in_place_of_a_variable_has_no_d),
		cmocka_unit_test(variable_that_comes_later_moves_the_scope),
		cmocka_unit_test(links_are_relative),
		cmocka_unit_test(link_to_what_has_gone_says_where_that_was),
		cmocka_unit_test(what_is_not_put_again_goes),
		cmocka_unit_test(deep_trees_are_swept_without_a_stack),
		cmocka_unit_test(places_are_never_given_twice),
		cmocka_unit_test(nobody_is_told_of_the_first_state),
		cmocka_unit_test(nobody_is_told_of_what_stays),
		cmocka_unit_test(all_names_of_a_variable_are_told),
		cmocka_unit_test(sidecars_that_go_with_a_variable_are_told),
	};

	return cmocka_run_group_tests_name("tree", tests, note_lines, NULL);
}
