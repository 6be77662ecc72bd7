/* core/workspace: an object graph that is put into a checkpoint. */
#include "tests/object_names.h"

/* The bytes of a program's graph. */
static void get_graph(struct buf *ret)
{
	CLEANUP(mount_release) struct mount m;
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct reading r;

	mount_fixture(&m, "v2_tf2_odd_objects", "ckpt-1");
	v = variable(&m, GRAPH_KEY);
	assert_int_equal(variable_read(v, 1 << 20, 0, &r), 0);
	buf_put(ret, r.data, r.n);
	reading_release(&r);
}

static int put_graph(struct mount *m, const struct buf *graph)
{
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	int r = create(m, GRAPH_KEY);

	if (r < 0)
		return r;
	v = variable(m, GRAPH_KEY);
	assert_int_equal(checkpoint_open_writer(m->cp, v, true), 0);
	assert_int_equal(variable_write(v, graph->data, graph->len, 0), 0);
	assert_int_equal(checkpoint_flush(m->cp, v), 0);
	(void)checkpoint_close_writer(m->cp, v);
	return 0;
}

static void put_some(struct mount *m, bool second)
{
	if (!second) {
		assert_int_equal(make_dir(m, "m"), 0);
		assert_int_equal(make_dir(m, "m/d"), 0);
		put_typed(m, "m/shared1", "int8", "[3]", "abc");
		put_typed(m, "m/d/x%2Fy", "int8", "[3]", "def");
		return;
	}
	put_typed(m, "m/shared2", "int8", "[3]", "abc");
	assert_int_equal(make_dir(m, "m/table"), 0);
	assert_int_equal(make_dir(m, "m/table/.ATTRIBUTES"), 0);
	put_typed(m, "m/table/.ATTRIBUTES/table-keys", "int8", "[1]", "k");
	assert_int_equal(ln_s(m, "m/d", "link"), 0);
}

static void assert_cloned(struct mount *m)
{
	CLEANUP(variable_unrefp) struct variable *a = variable(m, "m/shared1");
	CLEANUP(variable_unrefp) struct variable *b = variable(m, "m/shared2");

	assert_ptr_equal(a, b);
	commit(m);
	assert_keys(m, GRAPH_KEY " m/d/x.Sy" VALUE " m/shared1" VALUE
				 " m/table/.ATTRIBUTES/table-keys ");
	assert_on_disk(m, "m/shared1" VALUE, "abc");
	assert_on_disk(m, "m/d/x.Sy" VALUE, "def");
}

/* `when`: before everything, in between, or after it. */
static void clone_with_graph(int when)
{
	CLEANUP(buf_release) struct buf graph = { 0 };
	CLEANUP(mount_release) struct mount m;

	get_graph(&graph);
	mount_init(&m);
	assert_int_equal(bundle_create(m.where.fd, "ckpt",
				       &(struct stat){ .st_mode = 0644 }),
			 0);
	assert_int_equal(put_graph(&m, &graph), -EPERM);
	assert_said("made in this mount");
	checkpoint_set_made(m.cp);
	for (int i = 0; i < 3; i++) {
		if (i == when)
			assert_int_equal(put_graph(&m, &graph), 0);
		if (i == 1)
			commit(&m);
		if (i < 2)
			put_some(&m, i == 1);
	}
	assert_int_equal(put(&m, GRAPH_KEY, "x"), -EPERM);
	assert_cloned(&m);
}

static void graph_can_come_first(void **state)
{
	(void)state;
	clone_with_graph(0);
}

static void graph_can_come_between(void **state)
{
	(void)state;
	clone_with_graph(1);
}

static void graph_can_come_last(void **state)
{
	(void)state;
	clone_with_graph(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph_can_come_first),
		cmocka_unit_test(graph_can_come_between),
		cmocka_unit_test(graph_can_come_last),
	};

	return cmocka_run_group_tests_name("workspace graph", tests, note_lines,
					   NULL);
}
