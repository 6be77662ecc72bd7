#include <pthread.h>
#include <string.h>

#include "core/bundle.h"
#include "core/catalog.h"
#include "core/checkpoint_inside.h"
#include "core/cleanup.h"
#include "core/edit.h"
#include "core/graph.h"
#include "core/pending.h"

struct telling {
	int (*each)(void *arg, const char *kind, struct span path);
	void *arg;
	struct checkpoint_status *status;
};

/* What is not as it will stay of one variable; NULL if all is. */
static const char *kind_of(struct variable *v)
{
	if (variable_writers(v))
		return "open";
	if (variable_declared(v, FACET_SHAPE) ||
	    variable_declared(v, FACET_DTYPE))
		return "declared";
	if (!variable_stored(v))
		return "scratch";
	return variable_is_new(v) ? "untyped" : NULL;
}

static int tell_pending(void *arg, struct node *n)
{
	const struct telling *t = arg;
	const char *kind = kind_of(node_variable(n));
	bool refused = variable_refused(node_variable(n));
	CLEANUP(buf_release) struct buf path = { 0 };
	int r = 0;

	if (kind || refused)
		r = node_put_path(n, &path);
	if (r == 0 && kind)
		r = t->each(t->arg, kind, buf_span(&path));
	/* Besides: it may wait for the rest of what is declared. */
	if (r == 0 && refused)
		r = t->each(t->arg, "refused", buf_span(&path));
	return r;
}

static int tell_removed(void *arg, struct span key)
{
	const struct telling *t = arg;

	return t->each(t->arg, "removed", key);
}

int checkpoint_each_pending(
	struct checkpoint *cp,
	int (*each)(void *arg, const char *kind, struct span path), void *arg)
{
	struct telling t = { .each = each, .arg = arg };
	LOCK_SCOPE(&cp->lock);
	int r = node_each_variable(tree_root(catalog_tree(cp->catalog)),
				   tell_pending, &t);

	return r < 0 ? r : pending_each_doomed(cp->pending, tell_removed, &t);
}

static int count_one(void *arg, struct node *n)
{
	struct checkpoint_status *s = arg;
	struct variable *v = node_variable(n);

	s->variables += variable_has_value(v);
	s->open_writes += variable_writers(v) > 0;
	s->declarations += variable_declared(v, FACET_SHAPE) ||
			   variable_declared(v, FACET_DTYPE);
	s->untyped += variable_has_value(v) && variable_is_new(v) &&
		      variable_stored(v);
	return 0;
}

int checkpoint_status(struct checkpoint *cp, struct checkpoint_status *ret)
{
	LOCK_SCOPE(&cp->lock);
	const struct bundle *b = catalog_bundle(cp->catalog);
	struct checkpoint_status s = { .format = "not read" };

	if (b) {
		s.format = cp->v1 ? "V1" : "V2";
		s.bytes = bundle_data_bytes(b);
		s.dead_bytes = bundle_dead_bytes(b);
		(void)node_each_variable(tree_root(catalog_tree(cp->catalog)),
					 count_one, &s);
	}
	s.removals = (unsigned)pending_doomed(cp->pending);
	s.uncommitted = (unsigned)(edit_count(pending_edit(cp->pending)) +
				   cp->in_flight);
	s.last_commit = cp->last_commit;
	s.last_commit_bytes = cp->last_commit_bytes;
	if (s.uncommitted && cp->last_failure)
		s.last_failure = strerrordesc_np(-cp->last_failure);
	*ret = s;
	return 0;
}

static int remove_key(void *arg, struct span key)
{
	return edit_remove(arg, key);
}

/* What is on disk, and all that was changed since, as if it was committed now. */
static int present_locked(struct checkpoint *cp, struct bundle **ret)
{
	CLEANUP(edit_freep) struct edit *all = NULL;
	int r = edit_new(&all);

	while (cp->committing)
		(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
	if (r == 0)
		r = checkpoint_look_locked(cp);
	if (r == 0)
		r = pending_each_doomed(cp->pending, remove_key, all);
	if (r == 0)
		r = edit_add_older(all, pending_edit(cp->pending));
	if (r == 0)
		r = edit_sort(all);
	return r < 0 ? r
		     : bundle_with(catalog_bundle(cp->catalog),
				   edit_sorted(all), edit_count(all), ret);
}

int checkpoint_each_entry(struct checkpoint *cp,
			  int (*each)(void *arg, const struct entry *e),
			  void *arg)
{
	CLEANUP(bundle_unrefp) struct bundle *now = NULL;
	int r;

	pthread_mutex_lock(&cp->lock);
	r = present_locked(cp, &now);
	pthread_mutex_unlock(&cp->lock);
	for (size_t i = 0; r == 0 && i < bundle_count(now); i++)
		r = each(arg, bundle_entry(now, i));
	return r;
}

/* --- what the program called them -------------------------------------------- */

struct naming {
	const struct objects *graph;
	int (*each)(void *arg, struct span full_name, struct span path);
	void *arg;
};

/* A variable of several names is told once. */
static bool is_first_name(struct node *n)
{
	struct node *older = n;

	while ((older = node_next_name(node_variable(n), older)))
		if (!node_ghost(older))
			return false;
	return true;
}

static int tell_full_name(void *arg, struct node *n)
{
	const struct naming *naming = arg;
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf path = { 0 };
	struct span full_name;
	size_t id;
	int r = variable_key(node_variable(n), &key);

	if (r < 0)
		return r;
	id = objects_find_key(naming->graph, buf_span(&key));
	if (id == OBJECTS_NONE || !is_first_name(n))
		return 0;
	full_name = objects_full_name(naming->graph, id);
	if (full_name.len == 0)
		return 0;
	r = node_put_path(n, &path);
	return r < 0 ? r
		     : naming->each(naming->arg, full_name, buf_span(&path));
}

int checkpoint_each_full_name(struct checkpoint *cp,
			      int (*each)(void *arg, struct span full_name,
					  struct span path),
			      void *arg)
{
	struct naming naming = { .each = each, .arg = arg };
	LOCK_SCOPE(&cp->lock);
	int r = checkpoint_look_locked(cp);

	naming.graph = catalog_graph(cp->catalog);
	if (r < 0 || !naming.graph)
		return r;
	return node_each_variable(tree_root(catalog_tree(cp->catalog)),
				  tell_full_name, &naming);
}

struct keys {
	int (*each)(void *arg, struct span key, struct span path);
	void *arg;
};

static int tell_key(void *arg, struct node *n)
{
	const struct keys *keys = arg;
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf path = { 0 };
	int r = variable_key(node_variable(n), &key);

	if (r == 0)
		r = node_put_path(n, &path);
	return r < 0 ? r
		     : keys->each(keys->arg, buf_span(&key), buf_span(&path));
}

int checkpoint_each_key(
	struct checkpoint *cp,
	int (*each)(void *arg, struct span key, struct span path), void *arg)
{
	struct keys keys = { each, arg };
	LOCK_SCOPE(&cp->lock);
	int r = checkpoint_look_locked(cp);

	if (r < 0 ||
	    bundle_find(catalog_bundle(cp->catalog), span_of(GRAPH_KEY)))
		return r;
	return node_each_variable(tree_root(catalog_tree(cp->catalog)),
				  tell_key, &keys);
}
