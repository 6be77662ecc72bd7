/* core/tree: names that are made, moved and removed through a mount. */
#include "tests/tree_support.h"

static void forest_begin(struct forest *f)
{
	forest_init(f);
	tree_end(f->tree);
}

static struct node *make(struct forest *f, struct node *parent,
			 const char *name, struct variable *v, unsigned shows)
{
	struct node *n = NULL;

	assert_int_equal(tree_make_variable(f->tree, parent, span_of(name), v,
					    shows, &n),
			 0);
	return n;
}

static struct node *make_scope(struct forest *f, struct node *parent,
			       const char *name, bool dotted)
{
	struct node *n = NULL;

	assert_int_equal(
		tree_make_scope(f->tree, parent, span_of(name), dotted, &n), 0);
	return n;
}

/* What was told since the last time; the tree stays as it is. */
static void assert_heard(struct forest *f, const char *want)
{
	buf_put(&f->told, "", 1);
	assert_string_equal((char *)f->told.data, want);
	buf_release(&f->told);
}

static void assert_node_key(const struct node *n, const char *want)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	assert_int_equal(node_put_key(n, &key), 0);
	assert_true(span_equal(buf_span(&key), span_of(want)));
}

/* --- made ---------------------------------------------------------------------- */

static void made_variable_outlives_a_new_state(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	n = make(&f, make_scope(&f, f.root, "s", false), "x", v, SHOWS_ALL);
	assert_heard(&f, "1/s 3/x 3/x.shape 3/x.dtype ");
	next_state(&f);
	tree_end(f.tree);
	assert_path(n, "s/x");
	node_keep(n, false);
	next_state(&f);
	tree_end(f.tree);
	assert_names(f.root, "s "); /* which is kept itself */
	assert_int_equal(variable_links(v), 0);
}

static void made_name_is_there_once(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *n = NULL;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	make(&f, f.root, "x", v, SHOWS_SHAPE);
	assert_int_equal(tree_make_variable(f.tree, f.root, span_of("x"), v,
					    SHOWS_ALL, &n),
			 -EEXIST);
	make_scope(&f, f.root, "s", false);
	assert_int_equal(tree_make_scope(f.tree, f.root, span_of("s"), true,
					 &n),
			 -EEXIST);
	assert_null(n);
}

static void new_state_puts_what_was_made_on_disk(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	struct node *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	n = make(&f, f.root, "x", v, SHOWS_VALUE);
	tree_begin(f.tree);
	assert_ptr_equal(put(&f, f.root, "x", w), n);
	tree_end(f.tree);
	assert_ptr_equal(node_variable(n), w);
	assert_int_equal(node_shows(n), SHOWS_ALL);
	next_state(&f);
	tree_end(f.tree);
	assert_names(f.root, ""); /* not kept any more */
}

static void made_scope_has_the_d_it_was_made_with(void **state)
{
	CLEANUP(forest_release) struct forest f;
	struct node *n;

	(void)state;
	forest_begin(&f);
	n = make_scope(&f, f.root, "k", true);
	assert_true(node_dotted(n));
	assert_ptr_equal(find(&f, f.root, "k.d"), n);
	assert_null(find(&f, f.root, "k"));
	assert_ptr_equal(tree_find_scope(f.tree, f.root, span_of("k")), n);
	assert_node_key(n, "k");
}

static void value_that_shows_makes_the_scope_dotted(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *n, *s;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	s = make_scope(&f, f.root, "k", false);
	n = make(&f, f.root, "k", v, SHOWS_SHAPE);
	assert_ptr_equal(find(&f, f.root, "k"), s);
	tree_show(f.tree, n, SHOWS_ALL);
	assert_ptr_equal(find(&f, f.root, "k"), n);
	assert_ptr_equal(find(&f, f.root, "k.d"), s);
	tree_bury(f.tree, n, v);
	assert_ptr_equal(find(&f, f.root, "k.d"), s); /* until it goes */
	assert_null(find(&f, f.root, "k"));
}

static void what_shows_is_told_where_it_changes(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	n = make(&f, f.root, "x", v, SHOWS_SHAPE);
	assert_int_equal(node_shows(n), SHOWS_SHAPE);
	assert_null(find(&f, f.root, "x"));
	assert_ptr_equal(tree_find_variable(f.tree, f.root, span_of("x")), n);
	buf_release(&f.told);
	tree_show(f.tree, n, SHOWS_SHAPE);
	assert_heard(&f, "");
	tree_show(f.tree, n, SHOWS_ALL);
	assert_heard(&f, "1/x 1/x.shape 1/x.dtype ");
	assert_ptr_equal(find(&f, f.root, "x"), n);
}

/* --- ghosts ---------------------------------------------------------------------- */

static void ghost_is_found_and_not_there(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *rest = NULL;
	struct node *n, *s;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	rest = new_variable(&f);
	s = make_scope(&f, f.root, "s", false);
	n = make(&f, s, "x", v, SHOWS_ALL);
	assert_false(node_empty(s));
	buf_release(&f.told);
	tree_bury(f.tree, n, rest);
	assert_heard(&f, "4/x 4/x.shape 4/x.dtype ");
	assert_true(node_ghost(n));
	assert_false(node_dead(n));
	assert_int_equal(variable_links(v), 0);
	assert_int_equal(variable_links(rest), 0);
	assert_ptr_equal(node_variable(n), rest);
	assert_null(find(&f, s, "x"));
	assert_ptr_equal(tree_find_variable(f.tree, s, span_of("x")), n);
	assert_ptr_equal(tree_find_key(f.tree, span_of("s/x")), n);
	assert_true(node_empty(s));
	assert_int_equal(count_children(s), 1);
	node_set_since(n, 77);
	assert_int_equal(node_since(n), 77);
}

static void ghost_gives_way(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	struct node *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	n = make(&f, f.root, "x", v, SHOWS_ALL);
	tree_bury(f.tree, n, v);
	assert_ptr_equal(make(&f, f.root, "x", w, SHOWS_VALUE), n);
	assert_false(node_ghost(n));
	assert_ptr_equal(node_variable(n), w);
	assert_int_equal(variable_links(v), 0);
	assert_int_equal(variable_links(w), 1);
	assert_int_equal(node_shows(n), SHOWS_VALUE);
}

static void same_variable_can_come_back(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	tree_begin(f.tree);
	n = put(&f, f.root, "x", v);
	tree_end(f.tree);
	tree_bury(f.tree, n, v);
	tree_begin(f.tree);
	assert_ptr_equal(put(&f, f.root, "x", v), n);
	tree_end(f.tree);
	assert_false(node_ghost(n));
	assert_int_equal(variable_links(v), 1);
	assert_names(f.root, "x ");
}

static void ghosts_go_with_the_next_state_and_with_their_scope(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *s, *n;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	s = node_ref(make_scope(&f, f.root, "s", false));
	n = node_ref(make(&f, s, "x", v, SHOWS_ALL));
	tree_bury(f.tree, n, v);
	tree_bury(f.tree, make(&f, f.root, "y", v, SHOWS_ALL), v);
	tree_remove(f.tree, s);
	assert_true(node_dead(s));
	assert_true(node_dead(n));
	assert_null(tree_find_key(f.tree, span_of("s/x")));
	next_state(&f);
	tree_end(f.tree);
	assert_null(tree_find_variable(f.tree, f.root, span_of("y")));
	assert_int_equal(count_children(f.root), 0);
	node_unref(s);
	node_unref(n);
}

static int count_node(void *arg, struct node *n)
{
	++*(int *)arg;
	return node_parent(n) ? 0 : -1;
}

static int stop_at_once(void *arg, struct node *n)
{
	(void)n;
	++*(int *)arg;
	return 5;
}

static void walks_see_no_ghosts(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *a, *b;
	int n = 0;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	a = make_scope(&f, f.root, "a", false);
	b = make_scope(&f, a, "b", false);
	make(&f, b, "x", v, SHOWS_ALL);
	make(&f, a, "y", v, SHOWS_SHAPE);
	make(&f, f.root, "outside", v, SHOWS_ALL);
	tree_bury(f.tree, make(&f, a, "z", v, SHOWS_ALL), v);
	assert_int_equal(node_each_variable(a, count_node, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(node_each_variable(f.root, stop_at_once, &n), 5);
	assert_int_equal(n, 3);
	assert_int_equal(node_each_variable(make_scope(&f, a, "e", false),
					    stop_at_once, &n),
			 0);
}

/* --- keys -------------------------------------------------------------------------- */

static void keys_are_found_and_made(void **state)
{
	static const char *const keys[] = { "a",    "a/b",    "a/b/c.d",
					    "x//y", "/root",  "50%/..",
					    "a/b/", "k.shape" };
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct node *at = f.root, *n;
		const char *key = keys[i], *slash;

		tree_begin(f.tree);
		while ((slash = strchr(key, '/'))) {
			const struct span part = { (const uint8_t *)key,
						   (size_t)(slash - key) };

			assert_int_equal(tree_put_scope(f.tree, at, part, &at),
					 0);
			key = slash + 1;
		}
		n = put(&f, at, key, v);
		tree_end(f.tree);
		assert_node_key(n, keys[i]);
		assert_ptr_equal(tree_find_key(f.tree, span_of(keys[i])), n);
		assert_null(tree_find_key(f.tree, span_of("a/none")));
		assert_null(tree_find_key(f.tree, span_of("none/b")));
	}
}

static void cut_names_have_the_whole_component(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(buf_release) struct buf shown = { 0 };
	CLEANUP(buf_release) struct buf found = { 0 };
	struct cuts *cuts = NULL;
	char name[400];
	struct node *s, *to;

	(void)state;
	forest_init(&f);
	tree_free(f.tree);
	assert_int_equal(cuts_new(&cuts), 0);
	assert_int_equal(tree_new(count_up, write_down, &f, cuts, 55, &f.tree),
			 0);
	f.root = tree_root(f.tree);
	assert_int_equal(node_id(f.root), 55);
	tree_begin(f.tree);
	tree_end(f.tree);
	v = new_variable(&f);
	memset(name, 'x', sizeof(name));
	name[399] = 0;
	s = make_scope(&f, f.root, name, false);
	make(&f, s, "y", v, SHOWS_ALL);
	node_put_name(s, &shown);
	assert_int_equal(cuts_find(cuts, buf_span(&shown), &found), 0);
	assert_true(span_equal(buf_span(&found), span_of(name)));
	assert_node_key(s, name);
	assert_ptr_equal(tree_find_scope(f.tree, f.root, span_of(name)), s);
	/* Under another name it is whole; and back again. */
	to = make_scope(&f, f.root, "to", false);
	assert_int_equal(tree_move(f.tree, s, to, span_of("short"), false), 0);
	assert_node_key(s, "to/short");
	assert_int_equal(tree_move(f.tree, s, to, span_of(name), false), 0);
	assert_ptr_equal(tree_find_scope(f.tree, to, span_of(name)), s);
	cuts_free(cuts);
}

/* --- moved -------------------------------------------------------------------------- */

static void moved_scope_takes_all_along(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *a, *b, *x;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	a = make_scope(&f, f.root, "a", false);
	b = make_scope(&f, f.root, "b", false);
	x = make(&f, a, "x", v, SHOWS_ALL);
	buf_release(&f.told);
	assert_int_equal(tree_move(f.tree, a, b, span_of("c"), false), 0);
	assert_heard(&f, "1/a 4/c ");
	assert_path(x, "b/c/x");
	assert_node_key(x, "b/c/x");
	assert_ptr_equal(node_parent(a), b);
	assert_names(f.root, "b ");
	assert_null(find(&f, f.root, "a"));
	assert_ptr_equal(tree_find_key(f.tree, span_of("b/c/x")), x);
	assert_int_equal(variable_links(v), 1);
}

static void moved_scope_takes_no_name_of_another(void **state)
{
	CLEANUP(forest_release) struct forest f;
	struct node *a, *b;

	(void)state;
	forest_begin(&f);
	a = make_scope(&f, f.root, "a", false);
	b = make_scope(&f, f.root, "b", true);
	assert_int_equal(tree_move(f.tree, a, f.root, span_of("b"), false),
			 -EEXIST);
	assert_ptr_equal(find(&f, f.root, "a"), a);
	assert_ptr_equal(find(&f, f.root, "b.d"), b);
	assert_int_equal(tree_move(f.tree, b, f.root, span_of("b"), false), 0);
	assert_ptr_equal(find(&f, f.root, "b"), b);
	assert_null(find(&f, f.root, "b.d"));
}

static void scope_moved_beside_a_variable_shows_with_d(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *a;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	make(&f, f.root, "k", v, SHOWS_ALL);
	a = make_scope(&f, f.root, "a", false);
	assert_int_equal(tree_move(f.tree, a, f.root, span_of("k"), false), 0);
	assert_ptr_equal(find(&f, f.root, "k.d"), a);
}

static void exchanged_nodes_have_each_others_place(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	struct node *s, *a, *b;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	s = make_scope(&f, f.root, "s", false);
	a = make(&f, f.root, "a", v, SHOWS_ALL);
	b = make(&f, s, "b", w, SHOWS_ALL);
	assert_int_equal(tree_exchange(f.tree, a, b), 0);
	assert_path(a, "s/b");
	assert_path(b, "a");
	assert_ptr_equal(find(&f, f.root, "a"), b);
	assert_ptr_equal(find(&f, s, "b"), a);
	assert_int_equal(variable_links(v), 1);
	assert_int_equal(variable_links(w), 1);
	assert_names(f.root, "s a ");
}

static void exchanged_scopes_exchange_their_d(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *k, *s, *d;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	k = make(&f, f.root, "k", v, SHOWS_ALL);
	d = make_scope(&f, f.root, "k", false);
	s = make_scope(&f, f.root, "s", false);
	assert_int_equal(tree_exchange(f.tree, d, s), 0);
	assert_ptr_equal(find(&f, f.root, "k.d"), s);
	assert_ptr_equal(find(&f, f.root, "s"), d);
	assert_ptr_equal(find(&f, f.root, "k"), k);
}

static void variable_is_not_exchanged_with_a_d(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct node *k, *d, *s;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	k = make(&f, f.root, "k", v, SHOWS_ALL);
	d = make_scope(&f, f.root, "x", true);
	assert_int_equal(tree_exchange(f.tree, k, d), -EINVAL);
	s = make_scope(&f, f.root, "s", false);
	make_scope(&f, f.root, "k", true);
	assert_int_equal(tree_exchange(f.tree, k, s), -EEXIST);
	assert_int_equal(tree_exchange(f.tree, s, k), -EEXIST);
	assert_ptr_equal(find(&f, f.root, "k"), k);
	assert_ptr_equal(find(&f, f.root, "s"), s);
}

/* --- led elsewhere --------------------------------------------------------------------- */

static void all_names_are_led_elsewhere(void **state)
{
	CLEANUP(forest_release) struct forest f;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	CLEANUP(variable_unrefp) struct variable *w = NULL;
	CLEANUP(variable_unrefp) struct variable *other = NULL;
	struct node *s, *x;

	(void)state;
	forest_begin(&f);
	v = new_variable(&f);
	w = new_variable(&f);
	other = new_variable(&f);
	s = make_scope(&f, f.root, "s", false);
	x = make(&f, f.root, "x", v, SHOWS_ALL);
	make(&f, s, "y", v, SHOWS_ALL);
	make(&f, s, "z", other, SHOWS_ALL);
	buf_release(&f.told);
	tree_lead_all(f.tree, v, w);
	assert_heard(&f, "5/y 5/y.shape 5/y.dtype 1/x 1/x.shape 1/x.dtype ");
	assert_int_equal(variable_links(v), 0);
	assert_int_equal(variable_links(w), 2);
	assert_int_equal(variable_links(other), 1);
	assert_ptr_equal(node_variable(x), w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_variable_outlives_a_new_state),
		cmocka_unit_test(made_name_is_there_once),
		cmocka_unit_test(new_state_puts_what_was_made_on_disk),
		cmocka_unit_test(made_scope_has_the_d_it_was_made_with),
		cmocka_unit_test(value_that_shows_makes_the_scope_dotted),
		cmocka_unit_test(what_shows_is_told_where_it_changes),
		cmocka_unit_test(ghost_is_found_and_not_there),
		cmocka_unit_test(ghost_gives_way),
		cmocka_unit_test(same_variable_can_come_back),
		cmocka_unit_test(
			ghosts_go_with_the_next_state_and_with_their_scope),
		cmocka_unit_test(walks_see_no_ghosts),
		cmocka_unit_test(keys_are_found_and_made),
		cmocka_unit_test(cut_names_have_the_whole_component),
		cmocka_unit_test(moved_scope_takes_all_along),
		cmocka_unit_test(moved_scope_takes_no_name_of_another),
		cmocka_unit_test(scope_moved_beside_a_variable_shows_with_d),
		cmocka_unit_test(exchanged_nodes_have_each_others_place),
		cmocka_unit_test(exchanged_scopes_exchange_their_d),
		cmocka_unit_test(variable_is_not_exchanged_with_a_d),
		cmocka_unit_test(all_names_are_led_elsewhere),
	};

	return cmocka_run_group_tests_name("tree_made", tests, note_lines,
					   NULL);
}
