/* core/changes, and bundle_with(): keys that come, go and take the place of others. */
#include "tests/scene.h"

struct keys {
	const char *const *at;
	size_t n;
};

/* Asserts that the index that `b` makes has these keys, and is in order. */
static void assert_keys(const struct bundle *b, struct keys want)
{
	CLEANUP(place_release) struct place where = place_make();
	CLEANUP(buf_release) struct buf index = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *again = NULL;
	const char *reason;

	assert_int_equal(bundle_encode(b, 0, &index), 0);
	put_file(where.fd, INDEX_NAME, buf_span(&index));
	assert_int_equal(bundle_open(where.fd, "ckpt", NULL, &again), 0);
	assert_int_equal(bundle_writable(again, &reason), 0);
	assert_int_equal(bundle_count(again), want.n);
	assert_int_equal(bundle_count(b), want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_true(span_equal(entry_key(bundle_entry(again, i)),
				       span_of(want.at[i])));
		assert_true(span_equal(
			entry_raw(bundle_entry(again, i)),
			entry_raw(bundle_find(b, span_of(want.at[i])))));
	}
}

#define KEYS(...)                                                      \
	((struct keys){ (const char *const[]){ __VA_ARGS__ },          \
			sizeof((const char *const[]){ __VA_ARGS__ }) / \
				sizeof(char *) })

static void make(struct scene *s, const char *const (*pairs)[2], size_t n)
{
	*s = (struct scene){ .where = place_make() };
	make_bundle(s->where.fd, n, pairs);
	scene_open(s);
}

static struct entry *renamed(const struct scene *s, const char *from,
			     const char *to)
{
	struct entry *e = NULL;

	assert_int_equal(entry_rename(scene_find(s, from), span_of(to), &e), 0);
	return e;
}

static void keys_come_and_go_in_any_order(void **state)
{
	static const char *const pairs[][2] = { { "b", "1" }, { "d", "2" } };
	CLEANUP(scene_release) struct scene s;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(entry_unrefp) struct entry *a = NULL;
	CLEANUP(entry_unrefp) struct entry *c = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;

	(void)state;
	make(&s, pairs, 2);
	a = renamed(&s, "b", "a");
	c = renamed(&s, "b", "c");
	e = renamed(&s, "d", "e");
	const struct change changes[] = { { span_of("e"), e },
					  { span_of("b"), NULL },
					  { span_of("a"), a },
					  { span_of("nobody"), NULL },
					  { span_of("c"), c } };

	assert_int_equal(bundle_with(s.b, changes, 5, &next), 0);
	assert_keys(next, KEYS("a", "c", "d", "e"));
	assert_ptr_equal(bundle_find(next, span_of("d")), scene_find(&s, "d"));
	assert_null(bundle_find(next, span_of("b")));
	assert_keys(s.b, KEYS("b", "d"));
}

static void two_values_are_swapped_in_one_step(void **state)
{
	static const char *const pairs[][2] = { { "a", "1" }, { "b", "22" } };
	CLEANUP(scene_release) struct scene s;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(entry_unrefp) struct entry *a = NULL;
	CLEANUP(entry_unrefp) struct entry *b = NULL;

	(void)state;
	make(&s, pairs, 2);
	a = renamed(&s, "b", "a");
	b = renamed(&s, "a", "b");
	const struct change changes[] = { { span_of("a"), a },
					  { span_of("b"), b } };

	assert_int_equal(bundle_with(s.b, changes, 2, &next), 0);
	assert_keys(next, KEYS("a", "b"));
	assert_int_equal(entry_size(bundle_find(next, span_of("a"))), 2);
	assert_int_equal(entry_size(bundle_find(next, span_of("b"))), 1);
}

static void all_may_go(void **state)
{
	static const char *const pairs[][2] = { { "a", "1" }, { "b", "2" } };
	static const struct change changes[] = {
		{ { (const uint8_t *)"a", 1 }, NULL },
		{ { (const uint8_t *)"b", 1 }, NULL }
	};
	CLEANUP(scene_release) struct scene s;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;

	(void)state;
	make(&s, pairs, 2);
	assert_int_equal(bundle_with(s.b, changes, 2, &next), 0);
	assert_int_equal(bundle_count(next), 0);
	assert_keys(next, (struct keys){ NULL, 0 });
}

/* An index that named the file of before by the name of the new one would lie. */
static void value_of_a_replaced_shard_is_stale(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct change change;

	(void)state;
	scene_init(&s);
	e = scene_write(&s, "a", 'x');
	change = (struct change){ entry_key(e), e };
	scene_release(&s);
	scene_init(&s);
	assert_int_equal(bundle_with(s.b, &change, 1, &next), -ESTALE);
}

/* --- partitioned variables ---------------------------------------------------- */

static size_t count_slices(const struct bundle *b)
{
	size_t n, found = 0;
	struct entry *const *all = bundle_all(b, &n);

	for (size_t i = 0; i < n; i++)
		found += entry_key(all[i]).data[0] == 0;
	return found;
}

/* No slice is left without its variable, or TensorFlow fails to list the keys. */
static void slices_go_with_their_variable(void **state)
{
	CLEANUP(scene_release) struct scene s;
	size_t slices, of_grid, n;

	(void)state;
	scene_init_slices(&s);
	n = bundle_count(s.b);
	slices = count_slices(s.b);
	of_grid = entry_slices(scene_find(&s, "grid"));
	assert_true(of_grid > 1);
	scene_commit(&s, "grid", NULL);
	bundle_unref(STEAL(s.b));
	scene_open(&s);
	assert_int_equal(bundle_count(s.b), n - 1);
	assert_int_equal(count_slices(s.b), slices - of_grid);
	assert_null(scene_find(&s, "grid"));
}

static void slices_are_renamed_with_their_variable(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(entry_unrefp) struct entry *old = NULL;
	size_t slices, n;

	(void)state;
	scene_init_slices(&s);
	n = bundle_count(s.b);
	slices = count_slices(s.b);
	old = entry_ref(scene_find(&s, "grid"));
	e = renamed(&s, "grid", "other/name");
	scene_commit(&s, "grid", e);
	bundle_unref(STEAL(s.b));
	scene_open(&s);
	assert_int_equal(bundle_count(s.b), n);
	assert_int_equal(count_slices(s.b), slices);
	assert_null(scene_find(&s, "grid"));
	for (size_t i = 0; i < entry_slices(old); i++)
		assert_true(span_equal(
			entry_raw(entry_part(scene_find(&s, "other/name"), i)),
			entry_raw(entry_part(old, i))));
}

static void plain_value_takes_the_place_of_slices(void **state)
{
	CLEANUP(scene_release) struct scene s;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	size_t slices, of_grid;

	(void)state;
	scene_init_slices(&s);
	slices = count_slices(s.b);
	of_grid = entry_slices(scene_find(&s, "grid"));
	e = scene_write(&s, "grid", 'x');
	scene_commit(&s, NULL, e);
	assert_letter(&s, "grid", 'x');
	assert_int_equal(count_slices(s.b), slices - of_grid);
}

/* Much more than n log n would show. */
static void many_changes_take_no_time(void **state)
{
	enum {
		MANY = 100000
	};
	CLEANUP(scene_release) struct scene s;
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	CLEANUP(bundle_unrefp) struct bundle *last = NULL;
	CLEANUP(free_ptr)
	struct change *changes = calloc(MANY, sizeof(*changes));
	clock_t start = clock(); /* our own time, and not that of others */

	(void)state;
	scene_init(&s);
	for (int i = 0; i < MANY; i++) {
		char key[16];
		struct entry *e;

		(void)snprintf(key, sizeof(key), "k%d", i * 7919 % MANY);
		e = renamed(&s, "a", key);
		changes[i] = (struct change){ entry_key(e), e };
	}
	assert_int_equal(bundle_with(s.b, changes, MANY, &next), 0);
	assert_int_equal(bundle_count(next), MANY + 2);
	for (int i = 0; i < MANY; i++) {
		entry_unref(changes[i].entry);
		changes[i].entry = NULL;
	}
	assert_int_equal(bundle_with(next, changes, MANY, &last), 0);
	assert_int_equal(bundle_count(last), 2);
	assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_and_go_in_any_order),
		cmocka_unit_test(two_values_are_swapped_in_one_step),
		cmocka_unit_test(all_may_go),
		cmocka_unit_test(value_of_a_replaced_shard_is_stale),
		cmocka_unit_test(slices_go_with_their_variable),
		cmocka_unit_test(slices_are_renamed_with_their_variable),
		cmocka_unit_test(plain_value_takes_the_place_of_slices),
		cmocka_unit_test(many_changes_take_no_time),
	};

	return cmocka_run_group_tests_name("changes", tests, note_lines, NULL);
}
