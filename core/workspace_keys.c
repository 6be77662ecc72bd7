/* Keys that go and change with the graph: what objects_tidy() tells is done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/slice_key.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"

/* --- keys that go and change -------------------------------------------------------- */

struct told {
	size_t id;
	bool prefix;
	bool gone;
	struct buf key;
	struct buf now;
};

struct telling {
	struct workspace *ws;
	struct told *all;
	size_t n;
	size_t cap;
};

static void telling_release(struct telling *t)
{
	for (size_t i = 0; i < t->n; i++) {
		buf_release(&t->all[i].key);
		buf_release(&t->all[i].now);
	}
	free(t->all);
}

static int tell(struct telling *t, struct told told, struct span key,
		struct span now)
{
	struct told *all = t->all;

	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;

		all = reallocarray(all, cap, sizeof(*all));
		if (!all)
			return -ENOMEM;
		t->all = all;
		t->cap = cap;
	}
	buf_put(&told.key, key.data, key.len);
	buf_put(&told.now, now.data, now.len);
	all[t->n++] = told;
	return buf_error(&told.key) ? -ENOMEM : buf_error(&told.now);
}

static int tell_removed(void *arg, size_t id, struct span key, bool prefix)
{
	return tell(arg,
		    (struct told){ .id = id, .prefix = prefix, .gone = true },
		    key, (struct span){ 0 });
}

static int tell_renamed(void *arg, size_t id, struct span key, struct span now,
			bool prefix)
{
	return tell(arg, (struct told){ .id = id, .prefix = prefix }, key, now);
}

static bool is_taken(void *arg, struct span key)
{
	return workspace_is_literal(((struct telling *)arg)->ws, key);
}

static int has_variable(void *arg, struct node *n)
{
	(void)arg;
	(void)n;
	return 1;
}

/* The companion directory of what has gone: nothing of it is left, so it goes as well. */
static void drop_hollow(struct workspace *ws, struct node *scope)
{
	while (scope && !node_dotted(scope))
		scope = node_parent(scope);
	if (scope && !node_dead(scope) &&
	    node_each_variable(scope, has_variable, NULL) == 0)
		tree_drop(workspace_tree(ws), scope);
}

/* The companion directory of a place that no object has any more, with all names in it. */
static void drop_companion(struct workspace *ws, const struct node *n)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct node *scope;
	struct bond b = { 0 };

	if (!node_parent(n) || node_put_component(n, &name) < 0 ||
	    bond_find(workspace_graph(ws), node_parent(n), buf_span(&name),
		      &b) < 0 ||
	    b.kind != BOND_EDGE || b.id != OBJECTS_NONE)
		return;
	scope = tree_find_scope(workspace_tree(ws), node_parent(n),
				buf_span(&name));
	if (scope && node_dotted(scope) && !node_ghost(scope))
		tree_drop(workspace_tree(ws), scope);
}

static struct node *first_live_name(struct variable *v)
{
	struct node *n = node_next_name(v, NULL);

	while (n && node_ghost(n))
		n = node_next_name(v, n);
	return n;
}

/* Nothing leads to it any more: what still shows it goes, and what stands below that. */
static int remove_variable(struct workspace *ws, struct variable *v,
			   struct span key)
{
	struct node *n = NULL;
	int r = pending_remove(ws->pending, key);

	variable_set_stored(v, false);
	while ((n = node_next_name(v, n)))
		if (node_ghost(n))
			drop_companion(ws, n);
	while ((n = first_live_name(v))) {
		struct node *scope = node_ref(node_parent(n));

		drop_companion(ws, n);
		if (!node_dead(n))
			tree_remove(workspace_tree(ws), n);
		if (!node_dead(scope)) {
			workspace_keep_emptied(scope);
			drop_hollow(ws, scope);
		}
		node_unref(scope);
	}
	return r;
}

/* A slice is the variable's that lists it, whatever object of a graph has its key. */
static bool is_foreign(struct workspace *ws, size_t id, struct span key)
{
	return !workspace_bound(ws, id) && slice_is_key(key);
}

int workspace_remove_value(struct workspace *ws, size_t id, struct span key)
{
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	struct variable *bound = workspace_bound(ws, id);
	int r;

	if (is_foreign(ws, id, key))
		return 0;
	if (!bound)
		return pending_remove(ws->pending, key);
	v = variable_ref(bound);
	r = workspace_set_bound(ws, id, NULL);
	return r < 0 ? r : remove_variable(ws, v, key);
}

static int put_variable(struct workspace *ws, struct variable *v,
			struct span key)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int r = variable_rename(v, key);

	e = r < 0 ? NULL : variable_entry(v);
	return e && variable_stored(v) ? pending_put(ws->pending, e, v) : r;
}

/*
 * Nothing shows it, or its name went a moment ago and is still in the graph: what is on
 * disk goes along all the same.
 */
static struct entry *rename_unseen(const struct workspace *ws,
				   const struct told *t)
{
	struct entry *e = edit_find(pending_edit(ws->pending),
				    buf_span(&t->key));
	struct entry *renamed = NULL;

	if (!e)
		e = bundle_find(catalog_bundle(ws->catalog), buf_span(&t->key));
	if (e && entry_rename(e, buf_span(&t->now), &renamed) < 0)
		log_error("%s: out of memory: a variable keeps its key",
			  ws->label);
	return renamed;
}

static bool is_seen(struct variable *v)
{
	return v && variable_stored(v);
}

/* All leave their keys before any gets a new one, which another may just have left. */
static int rename_told(struct workspace *ws, struct telling *t)
{
	CLEANUP(free_ptr)
	struct entry **unseen = calloc(t->n + 1, sizeof(*unseen));
	int r = unseen ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		struct told *one = &t->all[i];

		if (one->gone || one->prefix ||
		    is_foreign(ws, one->id, buf_span(&one->key)))
			continue;
		if (!is_seen(workspace_bound(ws, one->id)))
			unseen[i] = rename_unseen(ws, one);
		r = pending_remove(ws->pending, buf_span(&one->key));
	}
	for (size_t i = 0; unseen && i < t->n; i++) {
		struct told *one = &t->all[i];
		struct variable *v = workspace_bound(ws, one->id);

		if (r == 0 && !one->gone && !one->prefix && v)
			r = put_variable(ws, v, buf_span(&one->now));
		if (r == 0 && unseen[i])
			r = pending_put(ws->pending, unseen[i], NULL);
		entry_unref(unseen[i]);
	}
	return r;
}

/* --- keys of tables, iterators and the like ------------------------------------------ */

static int compare_told(const void *a, const void *b)
{
	const struct told *const *x = a, *const *y = b;

	return span_compare(buf_span(&(*x)->key), buf_span(&(*y)->key));
}

/* Variables whose keys begin as something that was told, and what that was. */
struct states {
	const struct told **told; /* sorted */
	size_t n_told;
	struct variable **variables; /* counted */
	const struct told **why;
	size_t n;
	size_t cap;
};

static void states_release(struct states *s)
{
	for (size_t i = 0; i < s->n; i++)
		variable_unref(s->variables[i]);
	free(s->variables);
	free(s->why);
	free(s->told);
}

static const struct told *find_told(const struct states *s, struct span key)
{
	const uint8_t *at = key.len ? memmem(key.data, key.len,
					     OBJECTS_ATTRIBUTES,
					     strlen(OBJECTS_ATTRIBUTES))
				    : NULL;
	struct told like = { 0 };
	const struct told *wanted = &like;
	const struct told **found = NULL;

	if (at) {
		buf_put(&like.key, key.data,
			(size_t)(at - key.data) + strlen(OBJECTS_ATTRIBUTES));
		found = bsearch(&wanted, s->told, s->n_told, sizeof(*found),
				compare_told);
	}
	buf_release(&like.key);
	return found ? *found : NULL;
}

static int gather_state(void *arg, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct states *s = arg;
	struct variable *v = node_variable(n);
	const struct told *why;
	int r = variable_key(v, &key);

	why = r < 0 || variable_loose(v) ? NULL : find_told(s, buf_span(&key));
	if (!why)
		return r;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		void *all = reallocarray(s->variables, cap,
					 sizeof(struct variable *));

		if (!all)
			return -ENOMEM;
		s->variables = all;
		all = reallocarray(s->why, cap, sizeof(*s->why));
		if (!all)
			return -ENOMEM;
		s->why = all;
		s->cap = cap;
	}
	s->variables[s->n] = variable_ref(v);
	s->why[s->n++] = why;
	return 0;
}

static int change_states(struct workspace *ws, const struct states *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n; i++) {
		CLEANUP(buf_release) struct buf key = { 0 };

		r = variable_key(s->variables[i], &key);
		if (r == 0 && s->why[i]->gone)
			r = remove_variable(ws, s->variables[i],
					    buf_span(&key));
		else if (r == 0)
			r = pending_remove(ws->pending, buf_span(&key));
	}
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		CLEANUP(buf_release) struct buf key = { 0 };
		CLEANUP(buf_release) struct buf now = { 0 };
		const struct told *why = s->why[i];

		if (why->gone)
			continue;
		r = variable_key(s->variables[i], &key);
		if (r == 0 && key.len >= why->key.len) {
			buf_put(&now, why->now.data, why->now.len);
			buf_put(&now, key.data + why->key.len,
				key.len - why->key.len);
			r = buf_error(&now);
		}
		if (r == 0)
			r = put_variable(ws, s->variables[i], buf_span(&now));
	}
	return r;
}

static int apply_prefixes(struct workspace *ws, const struct telling *t)
{
	CLEANUP(states_release) struct states s = { 0 };
	int r;

	s.told = calloc(t->n + 1, sizeof(*s.told));
	if (!s.told)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		if (t->all[i].prefix)
			s.told[s.n_told++] = &t->all[i];
	if (s.n_told == 0)
		return 0;
	qsort(s.told, s.n_told, sizeof(*s.told), compare_told);
	r = node_each_variable(tree_root(workspace_tree(ws)), gather_state, &s);
	return r < 0 ? r : change_states(ws, &s);
}

int workspace_tidy(struct workspace *ws)
{
	CLEANUP(telling_release) struct telling t = { .ws = ws };
	struct objects *o = workspace_graph(ws);
	const struct objects_changes changes = { .arg = &t,
						 .taken = is_taken,
						 .removed = tell_removed,
						 .renamed = tell_renamed };
	int r = workspace_find_bound(ws);

	if (r == 0)
		r = objects_tidy(o, &changes);
	if (objects_changed(o))
		pending_touch(ws->pending);
	if (r == 0)
		r = apply_prefixes(ws, &t);
	for (size_t i = 0; r == 0 && i < t.n; i++)
		if (t.all[i].gone && !t.all[i].prefix)
			r = workspace_remove_value(ws, t.all[i].id,
						   buf_span(&t.all[i].key));
	return r < 0 ? r : rename_told(ws, &t);
}
