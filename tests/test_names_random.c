/*
 * core/checkpoint: whatever is done to names, in whatever order and by however many, the
 * next mount shows what this one showed.
 */
#include "tests/mount_support.h"

/* No power is lost here, and there are thousands of them. */
int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fildes)
{
	(void)fildes;
	return 0;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static const char *const scopes[] = { "", "s", "s.d", "t", "s/t", "a.d" };
static const char *const names[] = { "a",       "b",       "s",       "t",
				     "a.shape", "a.dtype", "b.shape", "s.dtype",
				     "a~",      "tmp",     "a.d",     "s.d" };
static const char *const texts[] = { "one",   "[3]", "int8",  "[]",
				     "uint8", "x",   "[1, 3]" };

#define PICK(list, seed) ((list)[next_random(seed) % ARRAY_SIZE(list)])

/* The directory of a path, if that is one now. */
static struct node *any_scope(struct mount *m, uint32_t *seed)
{
	const char *path = PICK(scopes, seed);
	struct node *at = node_ref(checkpoint_root(m->cp));

	while (*path) {
		const size_t n = strcspn(path, "/");
		const struct span name = { (const uint8_t *)path, n };
		struct object o = { 0 };

		if (checkpoint_lookup(m->cp, at, name, 0, &o) == 0 && o.node &&
		    o.facet == FACET_SCOPE) {
			node_unref(at);
			at = STEAL(o.node);
		}
		object_release(&o);
		path += n + (path[n] == '/');
	}
	return at;
}

static void write_any(struct mount *m, struct node *scope, struct span name,
		      uint32_t *seed)
{
	const char *text = PICK(texts, seed);
	struct object o = { 0 };

	if (checkpoint_lookup(m->cp, scope, name, 0, &o) < 0 || !o.variable) {
		object_release(&o);
		return;
	}
	if (o.facet != FACET_VALUE)
		(void)checkpoint_set_sidecar(m->cp, o.variable, o.facet,
					     span_of(text), 0);
	else
		(void)write_all(m, o.variable, text);
	if (next_random(seed) % 4 == 0)
		(void)checkpoint_sync(m->cp, o.variable);
	object_release(&o);
}

/* One thing that somebody does; most of it fails. */
static void act(struct mount *m, uint32_t *seed)
{
	const struct attributes owner = { 0 };
	CLEANUP(node_unrefp) struct node *scope = any_scope(m, seed);
	CLEANUP(node_unrefp) struct node *to = any_scope(m, seed);
	CLEANUP(object_release) struct object o = { 0 };
	const struct span name = span_of(PICK(names, seed));
	const struct span other = span_of(PICK(names, seed));

	switch (next_random(seed) % 16) {
	case 0:
	case 1:
	case 2:
		(void)checkpoint_create(m->cp, scope, name, &owner, &o);
		write_any(m, scope, name, seed);
		break;
	case 3:
	case 4:
	case 5:
		write_any(m, scope, name, seed);
		break;
	case 6:
	case 7:
		(void)checkpoint_unlink(m->cp, scope, name);
		break;
	case 8:
		(void)checkpoint_mkdir(m->cp, scope, name, &o);
		break;
	case 9:
		(void)checkpoint_rmdir(m->cp, scope, name);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
		(void)checkpoint_rename(m->cp, scope, name, to, other,
					next_random(seed) % 3);
		break;
	case 14:
		(void)checkpoint_commit(m->cp);
		break;
	default:
		pass_time((long)(next_random(seed) % 2000));
		(void)checkpoint_commit_background(m->cp);
		break;
	}
}

/* --- what is shown ----------------------------------------------------------------- */

static void put_variable(struct mount *m, struct node *n, struct buf *out)
{
	struct variable *v = node_variable(n);
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(buf_release) struct buf key = { 0 };
	struct reading r;

	(void)m;
	if (!e || !variable_stored(v))
		return;
	assert_int_equal(node_put_path(n, out), 0);
	assert_int_equal(node_put_key(n, &key), 0);
	assert_true(span_equal(entry_key(e), buf_span(&key)));
	buf_printf(out, " %d ", (int)entry_dtype(e));
	shape_print(entry_shape(e), out);
	assert_int_equal(variable_read(v, 100, 0, &r), 0);
	buf_put(out, r.data, r.n);
	buf_printf(out, "\n");
	reading_release(&r);
}

struct lines {
	struct mount *mount;
	struct buf all[200];
	size_t n;
};

static int put_line(void *arg, struct node *n)
{
	struct lines *l = arg;

	assert_in_range(l->n, 0, ARRAY_SIZE(l->all) - 1);
	put_variable(l->mount, n, &l->all[l->n]);
	l->n += l->all[l->n].len > 0;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return span_compare(buf_span(a), buf_span(b));
}

/* A line for each variable that is stored, sorted. */
static void put_all(struct mount *m, struct buf *out)
{
	struct lines l = { .mount = m };

	assert_int_equal(
		node_each_variable(checkpoint_root(m->cp), put_line, &l), 0);
	qsort(l.all, l.n, sizeof(l.all[0]), compare);
	for (size_t i = 0; i < l.n; i++) {
		buf_put(out, l.all[i].data, l.all[i].len);
		buf_release(&l.all[i]);
	}
	buf_put(out, "", 1);
}

/* Names in which only the `.d` differs: an old scope keeps it, a new one may not. */
static void without_dots(struct buf *text)
{
	size_t kept = 0;

	for (size_t i = 0; i < text->len; i++) {
		if (i + 2 < text->len && !memcmp(text->data + i, ".d/", 3))
			i += 2;
		text->data[kept++] = text->data[i];
	}
	text->len = kept;
}

static void assert_next_mount_is_the_same(struct mount *m)
{
	CLEANUP(buf_release) struct buf before = { 0 };
	CLEANUP(buf_release) struct buf after = { 0 };

	assert_int_equal(checkpoint_finish(m->cp), 0);
	put_all(m, &before);
	checkpoint_unref(m->cp);
	mount_open(m, false);
	assert_int_equal(checkpoint_refresh(m->cp), 0);
	put_all(m, &after);
	without_dots(&before);
	without_dots(&after);
	assert_string_equal((char *)before.data, (char *)after.data);
}

static void any_changes_are_what_the_next_mount_shows(void **state)
{
	(void)state;
	log_to(drop_line, LOG_LEVEL_ERROR);
	for (uint32_t seed = 1; seed <= 400; seed++) {
		CLEANUP(mount_release) struct mount m;
		uint32_t at = seed;

		mount_pairs(&m);
		for (int i = 0; i < 80; i++)
			act(&m, &at);
		assert_next_mount_is_the_same(&m);
	}
	(void)note_lines(NULL);
}

/* --- many threads --------------------------------------------------------------------- */

struct worker {
	struct mount *mount;
	uint32_t seed;
};

static int look_at(void *arg, const char *kind, struct span path)
{
	(void)kind;
	*(size_t *)arg += path.len;
	return 0;
}

static void look_around(struct mount *m)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	struct checkpoint_status s;
	struct object o = { 0 };
	uint64_t cookie = 0;
	size_t n = 0;

	while (checkpoint_list(m->cp, checkpoint_root(m->cp), &cookie, &text,
			       &o) > 0) {
		struct stat st;

		assert_int_equal(checkpoint_stat(m->cp, &o, &st), 0);
		object_release(&o);
	}
	assert_int_equal(checkpoint_status(m->cp, &s), 0);
	assert_int_equal(checkpoint_each_pending(m->cp, look_at, &n), 0);
	(void)checkpoint_refresh(m->cp);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 300; i++) {
		act(w->mount, &w->seed);
		if (i % 16 == 0)
			look_around(w->mount);
	}
	return NULL;
}

static void many_at_once_are_too(void **state)
{
	(void)state;
	log_to(drop_line, LOG_LEVEL_ERROR);
	for (uint32_t round = 0; round < 4; round++) {
		CLEANUP(mount_release) struct mount m;
		struct worker workers[4];
		pthread_t threads[ARRAY_SIZE(workers)];

		mount_pairs(&m);
		for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
			workers[i] = (struct worker){ &m, 1000 * round +
								  (uint32_t)i };
			assert_int_equal(pthread_create(&threads[i], NULL, work,
							&workers[i]),
					 0);
		}
		for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_next_mount_is_the_same(&m);
	}
	(void)note_lines(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_changes_are_what_the_next_mount_shows),
		cmocka_unit_test(many_at_once_are_too),
	};

	return cmocka_run_group_tests_name("names_random", tests, note_lines,
					   NULL);
}
