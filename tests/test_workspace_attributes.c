/* core/workspace: what is copied with its type in attributes, and its sidecars after it. */
#include "tests/mount_support.h"

/* What `cp -a` does with a value of int8, and two elements. */
static void copy_value(struct mount *m, const char *name, pid_t by)
{
	const struct attributes owner = { .maker = by };
	CLEANUP(node_unrefp) struct node *root = NULL;
	struct object o = { 0 };
	struct span s;

	root = parent_of(m, name, &s);
	assert_int_equal(checkpoint_create(m->cp, root, s, &owner, &o), 0);
	assert_int_equal(checkpoint_open_writer(m->cp, o.variable, true), 0);
	assert_int_equal(variable_write(o.variable, "ab", 2, 0), 0);
	assert_int_equal(checkpoint_set_sidecar(m->cp, o.variable, FACET_DTYPE,
						span_of("int8"), by),
			 0);
	assert_int_equal(checkpoint_set_sidecar(m->cp, o.variable, FACET_SHAPE,
						span_of("[2]"), by),
			 0);
	assert_int_equal(checkpoint_flush(m->cp, o.variable), 0);
	(void)checkpoint_close_writer(m->cp, o.variable);
	object_release(&o);
}

static int lookup_by(struct mount *m, const char *name, pid_t by)
{
	CLEANUP(node_unrefp) struct node *root = NULL;
	struct object o = { 0 };
	struct span s;
	int r;

	root = parent_of(m, name, &s);
	r = checkpoint_lookup(m->cp, root, s, by, &o);
	object_release(&o);
	return r;
}

static void sidecars_are_not_there_for_who_copies_until_it_rests(void **state)
{
	CLEANUP(mount_release) struct mount m;

	(void)state;
	mount_pairs(&m);
	copy_value(&m, "n", 7);
	pass_time(1500);
	copy_value(&m, "large", 7); /* takes its time */
	pass_time(1500);
	assert_int_equal(lookup_by(&m, "n.shape", 7), -EAGAIN);
	assert_int_equal(lookup_by(&m, "n.shape", 8), 0);
	pass_time(600);
	assert_int_equal(lookup_by(&m, "n.shape", 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			sidecars_are_not_there_for_who_copies_until_it_rests),
	};

	return cmocka_run_group_tests_name("workspace attributes", tests, NULL,
					   NULL);
}
