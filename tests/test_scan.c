/* core/scan: what the names of a directory stand for. */
#include "core/scan.h"
#include "core/scan_name.h"
#include "core/temporary.h"
#include "tests/support.h"

static const char *const pair[][2] = { { "a", "one" } };

/* A checkpoint of this prefix, which was written a while ago. */
static void put_checkpoint(const struct place *p, const char *prefix)
{
	char name[256];

	make_bundle(p->fd, 1, pair);
	make_old(p->fd, INDEX_NAME);
	(void)snprintf(name, sizeof(name), "%s.index", prefix);
	assert_int_equal(renameat(p->fd, INDEX_NAME, p->fd, name), 0);
	(void)snprintf(name, sizeof(name), "%s.data-00000-of-00001", prefix);
	assert_int_equal(renameat(p->fd, DATA_NAME, p->fd, name), 0);
}

static void put_old(const struct place *p, const char *name, const char *text)
{
	put_file(p->fd, name, span_of(text));
	make_old(p->fd, name);
}

/* Any table ends as a V1 checkpoint does. */
static void put_v1(const struct place *p, const char *name)
{
	put_checkpoint(p, "v1");
	assert_int_equal(renameat(p->fd, "v1.index", p->fd, name), 0);
	assert_int_equal(unlinkat(p->fd, "v1.data-00000-of-00001", 0), 0);
}

/* Each found: D, C, 1 (V1), F, L (symlink) or S (state), then NAME<SOURCE. */
static void put_scan(const struct scan *s, struct buf *out)
{
	static const char kinds[] = { 'D', 'C', 'F', 'L', 'S' };

	for (size_t i = 0; i < s->n; i++) {
		const struct found *f = &s->found[i];

		buf_printf(out, "%c %s", f->v1 ? '1' : kinds[f->kind], f->name);
		if (strcmp(f->name, f->source) != 0)
			buf_printf(out, "<%s", f->source);
		buf_printf(out, "\n");
	}
	buf_put(out, "", 1);
}

static void assert_scan(const struct place *p, bool unsettled, const char *want)
{
	CLEANUP(scan_release) struct scan s = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };

	assert_int_equal(scan_directory(p->fd, true, &s), 0);
	put_scan(&s, &text);
	assert_string_equal((char *)text.data, want);
	assert_int_equal(s.unsettled, unsettled);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(scan_find(&s, s.found[i].name), i);
	assert_int_equal(scan_find(&s, "no such name"), s.n);
}

static void empty_directory_has_nothing(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	assert_scan(&p, false, "");
}

static void index_and_shards_are_one(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_checkpoint(&p, "model.ckpt-1");
	put_old(&p, "model.ckpt-1.data-00001-of-00002", "x");
	put_old(&p, "model.ckpt-1.data-100000-of-100001", "x");
	put_old(&p, "model.ckpt-1.meta", "x");
	put_old(&p, "model.ckpt-1.data-00000-of-0001", "x");
	put_old(&p, "model.ckpt-10.data-00000-of-00001", "x");
	assert_scan(&p, false,
		    "C model.ckpt-1\n"
		    "F model.ckpt-1.data-00000-of-0001\n"
		    "F model.ckpt-1.meta\n"
		    "F model.ckpt-10.data-00000-of-00001\n");
}

static void everything_else_passes_through(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_old(&p, "events.out.tfevents.1", "x");
	put_old(&p, ".index", "x");
	assert_int_equal(mkdirat(p.fd, "dir.index", 0755), 0);
	assert_int_equal(mkfifoat(p.fd, "pipe.index", 0644), 0);
	assert_int_equal(symlinkat("nowhere", p.fd, "link"), 0);
	assert_scan(&p, false,
		    "F .index\n"
		    "D dir.index\n"
		    "F events.out.tfevents.1\n"
		    "L link\n"
		    "F pipe.index\n");
}

static void our_own_names_are_hidden(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(scan_release) struct scan s = { 0 };

	(void)state;
	put_checkpoint(&p, "ckpt");
	put_old(&p, "ckpt.index.0123456789abcdef" TEMPORARY_END, "x");
	assert_int_equal(mkdirat(p.fd, ".weightfs", 0755), 0);
	assert_scan(&p, false, "C ckpt\n");
	assert_int_equal(scan_directory(p.fd, false, &s), 0);
	assert_int_equal(s.n, 2);
}

static void linked_index_is_a_checkpoint(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_checkpoint(&p, "ckpt");
	assert_int_equal(symlinkat("ckpt.index", p.fd, "best.index"), 0);
	assert_scan(&p, false, "C best\nC ckpt\n");
}

/* --- V1 -------------------------------------------------------------------- */

static void v1_files_are_checkpoints(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_v1(&p, "model.ckpt-2");
	put_v1(&p, "big-00000-of-00002");
	put_v1(&p, "big-00001-of-00002");
	put_v1(&p, "model.pb");
	put_old(&p, "short", "x");
	assert_scan(&p, false, "1 big\n1 model.ckpt-2\nF model.pb\nF short\n");
}

static void v2_wins_over_a_v1_file_of_its_name(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_checkpoint(&p, "both");
	put_v1(&p, "both");
	assert_scan(&p, false, "F both\nC both.d<both\n");
}

static void fixtures_of_v1_are_found(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	copy_fixture(&p, "v1_tf1_sharded");
	assert_scan(&p, false,
		    "F checkpoint\n"
		    "S latest<model.ckpt\n"
		    "1 model.ckpt\n"
		    "F model.ckpt.meta\n");
}

/* --- names that are taken --------------------------------------------------- */

static void taken_prefix_shows_with_d(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_checkpoint(&p, "checkpoint");
	put_old(&p, "checkpoint", "x");
	put_checkpoint(&p, "dir");
	assert_int_equal(mkdirat(p.fd, "dir", 0755), 0);
	assert_int_equal(mkdirat(p.fd, "dir.d", 0755), 0);
	assert_scan(&p, false,
		    "F checkpoint\n"
		    "C checkpoint.d<checkpoint\n"
		    "D dir\n"
		    "D dir.d\n"
		    "C dir.d.d<dir\n");
}

static void taken_prefix_of_sharded_v1_shows_with_d(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_v1(&p, "big-00000-of-00001");
	assert_int_equal(mkdirat(p.fd, "big", 0755), 0);
	assert_scan(&p, false, "D big\n1 big.d<big\n");
}

static void no_two_have_one_name(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(scan_release) struct scan s = { 0 };

	(void)state;
	put_checkpoint(&p, "a");
	put_checkpoint(&p, "a.d");
	assert_int_equal(mkdirat(p.fd, "a", 0755), 0);
	assert_int_equal(scan_directory(p.fd, true, &s), 0);
	assert_int_equal(s.n, 3);
	for (size_t i = 1; i < s.n; i++)
		assert_string_not_equal(s.found[i - 1].name, s.found[i].name);
}

/* --- the latest ------------------------------------------------------------- */

static void assert_latest(const char *path, const char *want)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(scan_release) struct scan s = { 0 };
	char text[256];
	size_t at;

	(void)snprintf(text, sizeof(text), "model_checkpoint_path: \"%s\"\n",
		       path);
	put_old(&p, "checkpoint", text);
	put_checkpoint(&p, "m-1");
	put_checkpoint(&p, "m-2");
	put_checkpoint(&p, "checkpoint");
	assert_int_equal(scan_directory(p.fd, true, &s), 0);
	at = scan_find(&s, "latest");
	assert_int_equal(at < s.n, want != NULL);
	if (!want)
		return;
	assert_int_equal(s.found[at].kind, ITEM_LATEST);
	assert_string_equal(s.found[at].source, want);
}

static void latest_is_what_the_state_file_names(void **state)
{
	(void)state;
	assert_latest("m-2", "m-2");
	assert_latest("/home/gone/m-1", "m-1");
	assert_latest("../elsewhere/m-1", "m-1");
	assert_latest("checkpoint", "checkpoint.d");
	assert_latest("m-3", NULL);
	assert_latest("..", NULL);
	assert_latest("m-1\" model_checkpoint_path: \"", NULL);
}

static void real_latest_wins(void **state)
{
	CLEANUP(place_release) struct place p = place_make();

	(void)state;
	put_old(&p, "checkpoint", "model_checkpoint_path: \"m\"\n");
	put_checkpoint(&p, "m");
	put_checkpoint(&p, "latest");
	assert_scan(&p, false, "F checkpoint\nC latest\nC m\n");
}

/* --- while somebody writes ---------------------------------------------------- */

static void half_an_index_is_unsettled_while_it_is_fresh(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(scan_release) struct scan s = { 0 };

	(void)state;
	put_checkpoint(&p, "done");
	put_file(p.fd, "new.index", span_of("half"));
	put_file(p.fd, "new.data-00000-of-00001", span_of("x"));
	assert_scan(&p, true, "C done\nC new\n");
	assert_int_equal(scan_directory(p.fd, true, &s), 0);
	assert_false(s.found[0].unsettled);
	assert_true(s.found[1].unsettled);
	make_old(p.fd, "new.index");
	assert_scan(&p, false, "C done\nC new\n");
}

static void state_tells_when_to_look_again(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	struct folder_state first, second;

	(void)state;
	put_old(&p, "checkpoint", "x");
	assert_int_equal(scan_state(p.fd, &first), 0);
	assert_false(folder_state_equal(&first, &first)); /* too new to tell */
	(void)usleep(60000);
	assert_int_equal(scan_state(p.fd, &first), 0);
	assert_int_equal(scan_state(p.fd, &second), 0);
	assert_true(folder_state_equal(&first, &second));

	put_file(p.fd, "checkpoint", span_of("y"));
	assert_int_equal(scan_state(p.fd, &second), 0);
	assert_false(folder_state_equal(&first, &second));
}

static void names_of_shards_are_told_from_others(void **state)
{
	static const struct {
		const char *name;
		size_t stem, shard;
	} names[] = {
		{ "m.data-00000-of-00001", 6, 1 },
		{ "m.data-100000-of-100001", 6, 1 },
		{ "m-00000-of-00001", 1, 0 },
		{ ".data-00000-of-00001", 5, 0 },
		{ "m.data-0000-of-00001", 0, 0 },
		{ "m.data-00000-of-0001", 0, 0 },
		{ "m.data-00000-of-", 0, 0 },
		{ "-00000-of-00001", 0, 0 },
		{ "00000-of-00001", 0, 0 },
		{ "", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(scan_stem(names[i].name), names[i].stem);
		assert_int_equal(scan_shard_prefix(names[i].name),
				 names[i].shard);
	}
}

static void dropped_name_is_not_found(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	CLEANUP(scan_release) struct scan s = { 0 };

	(void)state;
	put_old(&p, "a", "x");
	put_old(&p, "b", "x");
	put_old(&p, "c", "x");
	assert_int_equal(scan_directory(p.fd, true, &s), 0);
	scan_drop(&s, scan_find(&s, "b"));
	assert_int_equal(s.n, 2);
	assert_int_equal(scan_find(&s, "b"), 2);
	assert_int_equal(scan_find(&s, "c"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_shards_are_told_from_others),
		cmocka_unit_test(dropped_name_is_not_found),
		cmocka_unit_test(empty_directory_has_nothing),
		cmocka_unit_test(index_and_shards_are_one),
		cmocka_unit_test(everything_else_passes_through),
		cmocka_unit_test(our_own_names_are_hidden),
		cmocka_unit_test(linked_index_is_a_checkpoint),
		cmocka_unit_test(v1_files_are_checkpoints),
		cmocka_unit_test(v2_wins_over_a_v1_file_of_its_name),
		cmocka_unit_test(fixtures_of_v1_are_found),
		cmocka_unit_test(taken_prefix_shows_with_d),
		cmocka_unit_test(taken_prefix_of_sharded_v1_shows_with_d),
		cmocka_unit_test(no_two_have_one_name),
		cmocka_unit_test(latest_is_what_the_state_file_names),
		cmocka_unit_test(real_latest_wins),
		cmocka_unit_test(half_an_index_is_unsettled_while_it_is_fresh),
		cmocka_unit_test(state_tells_when_to_look_again),
	};

	return cmocka_run_group_tests_name("scan", tests, note_lines, NULL);
}
