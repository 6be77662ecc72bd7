/* Random changes of names in an object-based checkpoint: what shows is what is stored. */
#include <stdlib.h>

#include "tests/object_names.h"

#define ROUNDS 40
#define STEPS  25

/* Paths of all that is there, by kind. */
struct paths {
	char *all[4000];
	size_t n;
};

static void paths_release(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->all[i]);
	p->n = 0;
}

static void add_path(struct paths *p, const char *dir, const struct buf *name)
{
	char *path = NULL;

	assert_true(p->n < ARRAY_SIZE(p->all));
	assert_true(asprintf(&path, "%s%s%.*s", dir, *dir ? "/" : "",
			     (int)name->len, (const char *)name->data) >= 0);
	p->all[p->n++] = path;
}

struct found {
	struct paths variables, scopes, links;
};

static void found_release(struct found *f)
{
	paths_release(&f->variables);
	paths_release(&f->scopes);
	paths_release(&f->links);
}

// NOLINTNEXTLINE(misc-no-recursion)
static void gather(struct mount *m, struct node *dir, const char *path,
		   struct found *f)
{
	struct object o = { 0 };
	uint64_t cookie = 0;

	for (;;) {
		CLEANUP(buf_release) struct buf name = { 0 };

		if (checkpoint_list(m->cp, dir, &cookie, &name, &o) <= 0)
			return;
		if (o.facet == FACET_VALUE)
			add_path(&f->variables, path, &name);
		else if (o.facet == FACET_LINK)
			add_path(&f->links, path, &name);
		else if (o.facet == FACET_SCOPE)
			add_path(&f->scopes, path, &name);
		if (o.facet == FACET_SCOPE)
			gather(m, o.node, f->scopes.all[f->scopes.n - 1], f);
		object_release(&o);
	}
}

static void find_all(struct mount *m, struct found *f)
{
	CLEANUP(node_unrefp)
	struct node *root = node_ref(checkpoint_root(m->cp));

	memset(f, 0, sizeof(*f));
	gather(m, root, "", f);
}

static unsigned next_random(unsigned *seed, size_t n)
{
	*seed = *seed * 1103515245 + 12345;
	return n ? (unsigned)((*seed >> 8) % n) : 0;
}

static const char *pick(const struct paths *p, unsigned *seed)
{
	return p->n ? p->all[next_random(seed, p->n)] : NULL;
}

/* A name in a directory that is there: one that is taken, or one of a few. */
static void new_path(const struct found *f, unsigned *seed, bool scope,
		     char *ret, size_t n)
{
	static const char *const names[] = { "a",  "b",      "new",  "x%2Fy",
					     ".z", "kernel", "bias", "9" };
	const char *dir = pick(&f->scopes, seed);
	const char *taken = pick(scope ? &f->scopes : &f->variables, seed);

	if (taken && next_random(seed, 4) == 0)
		(void)snprintf(ret, n, "%s", taken);
	else if (!dir || next_random(seed, 6) == 0)
		(void)snprintf(ret, n, "%s",
			       names[next_random(seed, ARRAY_SIZE(names))]);
	else
		(void)snprintf(ret, n, "%s/%s", dir,
			       names[next_random(seed, ARRAY_SIZE(names))]);
}

static void make_one(struct mount *m, const char *path)
{
	char sidecar[2000];
	struct object o = { 0 };

	if (lookup(m, path, &o) == 0 && o.facet != FACET_VALUE) {
		object_release(&o);
		return;
	}
	object_release(&o);
	(void)snprintf(sidecar, sizeof(sidecar), "%s.dtype", path);
	if (put(m, sidecar, "int8") < 0)
		return;
	(void)snprintf(sidecar, sizeof(sidecar), "%s.shape", path);
	(void)put(m, sidecar, "[3]");
	(void)put(m, path, "abc");
}

static void change(struct mount *m, unsigned *seed)
{
	CLEANUP(found_release) struct found f;
	unsigned what = next_random(seed, 12);
	const char *from;
	char to[1000];

	find_all(m, &f);
	from = pick(what < 6   ? &f.variables
		    : what < 9 ? &f.scopes
			       : &f.links,
		    seed);
	new_path(&f, seed, what >= 6, to, sizeof(to));
	if (!from || strstr(from, "_CHECKPOINTABLE") ||
	    strstr(to, ".ATTRIBUTES"))
		return;
	if (getenv("SHOW_STEPS"))
		(void)fprintf(stderr, "%u %s %s\n", what, from, to);
	switch (what) {
	case 0:
	case 10:
		(void)rm(m, from);
		break;
	case 1:
		(void)ln(m, from, to);
		break;
	case 2:
		make_one(m, to);
		break;
	case 3:
	case 8:
		(void)mv_as(m, from, to, 2);
		break;
	case 7:
		(void)(next_random(seed, 2) ? remove_dir(m, from)
					    : make_dir(m, to));
		break;
	case 11:
		(void)ln_s(m, "../model", to);
		break;
	default:
		(void)mv(m, from, to);
		break;
	}
}

/* How many names the variable of a key has. */
struct count {
	char key[1000];
	unsigned names;
};

static int compare_counts(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static size_t count_names(struct mount *m, struct count *ret, size_t max)
{
	CLEANUP(found_release) struct found f;
	size_t n = 0;

	find_all(m, &f);
	for (size_t i = 0; i < f.variables.n; i++) {
		CLEANUP(variable_unrefp)
		struct variable *v = variable(m, f.variables.all[i]);
		CLEANUP(buf_release) struct buf key = { 0 };

		if (variable_is_new(v) || !variable_stored(v))
			continue;
		assert_int_equal(variable_key(v, &key), 0);
		assert_true(n < max);
		(void)snprintf(ret[n].key, sizeof(ret[n].key), "%.*s",
			       (int)key.len, (const char *)key.data);
		ret[n++].names = variable_links(v);
	}
	qsort(ret, n, sizeof(*ret), compare_counts);
	return n;
}

static void assert_shows_what_is_stored(struct mount *m)
{
	enum {
		MAX = 2000
	};
	static struct count now[MAX], then[MAX];
	struct mount fresh = *m;
	size_t n, fresh_n;

	commit(m);
	assert_consistent(m);
	n = count_names(m, now, MAX);
	fresh.cp = NULL;
	mount_open(&fresh, true);
	assert_int_equal(checkpoint_refresh(fresh.cp), 0);
	fresh_n = count_names(&fresh, then, MAX);
	checkpoint_unref(fresh.cp);
	for (size_t i = 0; i < n || i < fresh_n; i++)
		if (i == n || i == fresh_n ||
		    strcmp(now[i].key, then[i].key) != 0 ||
		    now[i].names != then[i].names)
			fail_msg("%s, %u names: on disk %s, %u",
				 i < n ? now[i].key : "nothing",
				 i < n ? now[i].names : 0,
				 i < fresh_n ? then[i].key : "nothing",
				 i < fresh_n ? then[i].names : 0);
}

static void walk(const char *fixture, const char *prefix, unsigned seed)
{
	CLEANUP(mount_release) struct mount m;

	mount_fixture(&m, fixture, prefix);
	for (int i = 0; i < STEPS; i++) {
		change(&m, &seed);
		if (i % 5 == 4)
			assert_shows_what_is_stored(&m);
		if (i % 3 == 0)
			pass_time(700);
	}
}

static void names_show_what_is_stored(void **state)
{
	static const char *const fixtures[][2] = {
		{ "v2_tf2_manager", "ckpt-3" },
		{ "v2_tf2_odd_objects", "ckpt-1" },
		{ "v2_tf2_keras3", "k-1" },
	};
	const char *only = getenv("SEED");
	unsigned first = only ? (unsigned)strtoul(only, NULL, 10) : 1;
	unsigned last = only ? first : ROUNDS;

	(void)state;
	for (unsigned i = first; i <= last; i++) {
		const char *const *f = fixtures[i % ARRAY_SIZE(fixtures)];

		(void)fprintf(stderr, "seed %u\r", i);
		walk(f[0], f[1], i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_show_what_is_stored),
	};

	return cmocka_run_group_tests_name("objects at random", tests,
					   note_lines, NULL);
}
