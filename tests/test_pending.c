/* core/pending: what comes and goes with the next commit, and what waits a moment. */
#include "core/pending.h"
#include "tests/support.h"

/* A bundle with the keys `a` and `b`. */
struct disk {
	struct place where;
	struct bundle *bundle;
};

static void disk_init(struct disk *d)
{
	static const char *const pairs[][2] = { { "a", "one" },
						{ "b", "two" } };

	d->where = place_make();
	make_bundle(d->where.fd, 2, pairs);
	assert_int_equal(bundle_open(d->where.fd, "ckpt", NULL, &d->bundle), 0);
}

static void disk_release(struct disk *d)
{
	bundle_unref(d->bundle);
	place_release(&d->where);
}

static struct pending *new_pending(void)
{
	struct pending *p = NULL;

	assert_int_equal(pending_new(&p), 0);
	return p;
}

static struct entry *entry_of(const char *key)
{
	struct entry *e = NULL;
	const char *reason;

	assert_int_equal(entry_parse(span_of(key), span_of("\x08\1"), ENTRY_V2,
				     &e, &reason),
			 0);
	return e;
}

/* What the edit says, sorted: +KEY comes, -KEY goes. */
static void assert_edit(const struct pending *p, const char *want)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	struct edit *e = pending_edit(p);

	assert_int_equal(edit_sort(e), 0);
	for (size_t i = 0; i < edit_count(e); i++) {
		const struct change *c = &edit_sorted(e)[i];

		buf_printf(&text, "%c%.*s ", c->entry ? '+' : '-',
			   (int)c->key.len, (const char *)c->key.data);
	}
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, want);
}

static void changes_go_into_the_edit(void **state)
{
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(entry_unrefp) struct entry *a = entry_of("a");

	(void)state;
	assert_int_equal(pending_changes(p), 0);
	assert_int_equal(pending_put(p, a, NULL), 0);
	assert_int_equal(pending_remove(p, span_of("b")), 0);
	assert_edit(p, "+a -b ");
	assert_int_equal(pending_changes(p), 2);
	assert_int_equal(pending_remove(p, span_of("a")), 0);
	assert_edit(p, "-a -b ");
	assert_int_equal(pending_changes(p), 3);
}

static void taken_edit_leaves_an_empty_one(void **state)
{
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(entry_unrefp) struct entry *a = entry_of("a");
	CLEANUP(edit_freep) struct edit *taken = NULL;

	(void)state;
	assert_int_equal(pending_put(p, a, NULL), 0);
	assert_int_equal(pending_doom(p, span_of("b"), 5), 0);
	taken = pending_take(p);
	assert_int_equal(edit_count(taken), 1);
	assert_edit(p, "");
	assert_int_equal(pending_changes(p), 1); /* so far */
	assert_int_equal(pending_doomed(p), 1);
}

static void cleared_changes_are_void(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(entry_unrefp) struct entry *a = entry_of("a");

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_put(p, a, NULL), 0);
	assert_int_equal(pending_doom(p, span_of("b"), 5), 0);
	pending_clear(p);
	assert_edit(p, "");
	assert_int_equal(pending_doomed(p), 0);
	pending_ripen(p, d.bundle, UINT64_MAX, NULL, NULL);
	assert_edit(p, "");
}

static void doomed_key_goes_when_its_time_has_come(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	pending_ripen(p, d.bundle, 9, NULL, NULL);
	assert_edit(p, "");
	pending_ripen(p, d.bundle, 10, NULL, NULL);
	assert_edit(p, "-a ");
	assert_int_equal(pending_doomed(p), 0);
	assert_int_equal(pending_changes(p), 1);
}

/* Each commit writes the whole index: rm -r is not to make one for every variable. */
static void doomed_keys_gather_while_there_are_more_of_them(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_doom(p, span_of("b"), 20000), 0);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	pending_ripen(p, d.bundle, 4009, NULL, NULL);
	assert_edit(p, "");
	pending_ripen(p, d.bundle, 4010, NULL, NULL);
	assert_edit(p, "-a ");
	assert_int_equal(pending_doomed(p), 1);
	pending_ripen(p, d.bundle, 20000, NULL, NULL);
	assert_edit(p, "-a -b ");
}

static void doomed_key_that_is_nowhere_is_nothing_to_do(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_doom(p, span_of("new"), 10), 0);
	pending_ripen(p, d.bundle, 10, NULL, NULL);
	assert_edit(p, "");
	assert_int_equal(pending_doomed(p), 0);
	assert_int_equal(pending_changes(p), 0);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	pending_ripen(p, NULL, 10, NULL, NULL);
	assert_edit(p, "");
}

/* Taken over and removed before any commit. */
static void doomed_key_of_the_edit_goes_from_it(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(entry_unrefp) struct entry *e = entry_of("new");

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_put(p, e, NULL), 0);
	assert_int_equal(pending_doom(p, span_of("new"), 10), 0);
	pending_ripen(p, d.bundle, 10, NULL, NULL);
	assert_edit(p, "-new ");
}

static void key_that_comes_back_is_rescued(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(entry_unrefp) struct entry *b = entry_of("b");

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	assert_int_equal(pending_doom(p, span_of("b"), 10), 0);
	pending_rescue(p, span_of("a"));
	pending_rescue(p, span_of("never doomed"));
	assert_int_equal(pending_put(p, b, NULL), 0);
	assert_int_equal(pending_doomed(p), 0);
	pending_ripen(p, d.bundle, 99, NULL, NULL);
	assert_edit(p, "+b ");
}

static void key_doomed_again_waits_anew(void **state)
{
	CLEANUP(disk_release) struct disk d;
	CLEANUP(pending_freep) struct pending *p = new_pending();

	(void)state;
	disk_init(&d);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	assert_int_equal(pending_doom(p, span_of("a"), 30), 0);
	assert_int_equal(pending_doomed(p), 1);
	pending_ripen(p, d.bundle, 10, NULL, NULL);
	assert_int_equal(pending_remove(p, span_of("a")), 0);
	assert_int_equal(pending_doomed(p), 0);
	assert_edit(p, "-a ");
}

static int write_key(void *arg, struct span key)
{
	buf_printf(arg, "%.*s ", (int)key.len, (const char *)key.data);
	return key.data[0] == 'c' ? 7 : 0;
}

static void all_that_wait_are_told(void **state)
{
	CLEANUP(pending_freep) struct pending *p = new_pending();
	CLEANUP(buf_release) struct buf text = { 0 };

	(void)state;
	assert_int_equal(pending_doom(p, span_of("d"), 10), 0);
	assert_int_equal(pending_doom(p, span_of("b"), 10), 0);
	assert_int_equal(pending_doom(p, span_of("a"), 10), 0);
	assert_int_equal(pending_each_doomed(p, write_key, &text), 0);
	assert_int_equal(pending_doom(p, span_of("c"), 10), 0);
	assert_int_equal(pending_each_doomed(p, write_key, &text), 7);
	buf_put(&text, "", 1);
	assert_string_equal((char *)text.data, "a b d a b c ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_go_into_the_edit),
		cmocka_unit_test(taken_edit_leaves_an_empty_one),
		cmocka_unit_test(cleared_changes_are_void),
		cmocka_unit_test(doomed_key_goes_when_its_time_has_come),
		cmocka_unit_test(
			doomed_keys_gather_while_there_are_more_of_them),
		cmocka_unit_test(doomed_key_that_is_nowhere_is_nothing_to_do),
		cmocka_unit_test(doomed_key_of_the_edit_goes_from_it),
		cmocka_unit_test(key_that_comes_back_is_rescued),
		cmocka_unit_test(key_doomed_again_waits_anew),
		cmocka_unit_test(all_that_wait_are_told),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
