#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/graph.h"
#include "core/log.h"
#include "core/place.h"
#include "core/scratch.h"
#include "core/workspace_inside.h"

/* --- making ----------------------------------------------------------------- */

static int new_variable(struct workspace *ws, const struct place *p,
			struct variable **ret)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(type_release) struct type t = { 0 };
	uint64_t id = workspace_next_id(ws);
	int r = place_put_key(p, &key);

	if (r == 0 && !ws->objects &&
	    span_equal(buf_span(&key), span_of(GRAPH_KEY))) {
		log_error(
			"%s: %s: not made: this version does not write object "
			"graphs",
			ws->label, GRAPH_KEY);
		r = -EOPNOTSUPP;
	}
	if (r == 0)
		r = variable_new(NULL, buf_span(&key), ws->label,
				 ws->config->verify, id, ret);
	if (r < 0 || !p->variable || !node_ghost(p->variable))
		return r;
	r = variable_type(node_variable(p->variable), &t);
	return r < 0 ? r : variable_remember(*ret, &t);
}

/* Makes the variable of a place, of which only `shows` is to be seen. */
static int make_variable(struct workspace *ws, struct place *p, unsigned shows,
			 struct variable **ret)
{
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	int r = new_variable(ws, p, &v);

	if (r == 0)
		r = tree_make_variable(workspace_tree(ws), p->parent,
				       buf_span(&p->component), v, shows,
				       &p->variable);
	if (r == 0)
		*ret = STEAL(v);
	return r;
}

static int create_sidecar(struct workspace *ws, struct place *p, pid_t by,
			  struct object *ret)
{
	enum facet facet = workspace_facet_of(p);
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	unsigned bit = workspace_bit(facet);
	int r = 0;

	if (p->variable && node_kind(p->variable) == NODE_LINK)
		return -EINVAL;
	if (p->variable && !node_ghost(p->variable)) {
		if (node_shows(p->variable) & bit &&
		    !workspace_awaits(p->variable, facet, by))
			return -EEXIST;
		node_await(p->variable, by,
			   node_awaits(p->variable, by) & ~bit);
		/* It was removed, or is the first of scratch. */
		variable_set_stored(node_variable(p->variable), true);
		tree_show(workspace_tree(ws), p->variable,
			  node_shows(p->variable) | bit);
	} else {
		r = ws->objects ? workspace_refuse_objects(ws, p->name)
				: make_variable(ws, p, bit, &v);
	}
	if (r == 0)
		*ret = workspace_object_of(p->variable, workspace_facet_of(p));
	return r;
}

bool workspace_is_scratch(const struct workspace *ws, const struct place *p)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	if (!scratch_name(p->name))
		return false;
	if (p->variable)
		return node_kind(p->variable) == NODE_VARIABLE &&
		       !node_ghost(p->variable) &&
		       !variable_stored(node_variable(p->variable));
	return place_put_key(p, &key) == 0 &&
	       !bundle_find(catalog_bundle(ws->catalog), buf_span(&key)) &&
	       !edit_find(pending_edit(ws->pending), buf_span(&key));
}

/* What had the name a moment ago, if it was a value of a type: counted, or NULL. */
static struct variable *find_former(const struct place *p)
{
	struct variable *v;

	if (!p->variable || !node_ghost(p->variable))
		return NULL;
	v = node_variable(p->variable);
	return variable_untyped(v) || variable_dead(v) ? NULL : variable_ref(v);
}

static int create_value(struct workspace *ws, struct place *p,
			const struct attributes *owner, struct object *ret)
{
	CLEANUP(variable_unrefp) struct variable *former = find_former(p);
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	bool scratch = workspace_is_scratch(ws, p) || ws->objects;
	int r = 0;

	if (place_node(p))
		return -EEXIST;
	if (p->variable && !node_ghost(p->variable))
		v = variable_ref(node_variable(p->variable));
	else
		r = make_variable(ws, p, 0, &v);
	if (r < 0)
		return r;
	variable_make_value(v);
	variable_set_stored(v, !scratch);
	variable_set_attributes(v, FACET_VALUE, owner);
	tree_show(workspace_tree(ws), p->variable, workspace_shown(v));
	/* Many tools remove a file to make it anew: that has to fit, or nothing was. */
	if (!scratch && workspace_rescue(ws, v) && former)
		variable_succeed(v, former);
	*ret = workspace_object_of(p->variable, FACET_VALUE);
	return 0;
}

int workspace_create(struct workspace *ws, struct node *scope, struct span name,
		     const struct attributes *owner, struct object *ret)
{
	CLEANUP(place_release) struct place p = { 0 };
	int r = place_find(workspace_tree(ws), scope, name, &p);

	if (r == 0 && p.suffix == NAME_SCOPE)
		r = -EINVAL; /* only directories are called so */
	if (r < 0)
		return r;
	return workspace_is_sidecar(&p)
		       ? create_sidecar(ws, &p, owner ? owner->maker : 0, ret)
		       : create_value(ws, &p, owner, ret);
}

int workspace_mkdir(struct workspace *ws, struct node *scope, struct span name,
		    struct object *ret)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = place_find(workspace_tree(ws), scope, name, &p);

	if (r < 0)
		return r;
	if (workspace_is_sidecar(&p))
		return -EINVAL;
	if (place_node(&p))
		return -EEXIST;
	if (ws->objects)
		return workspace_refuse_objects(ws, name);
	r = tree_make_scope(workspace_tree(ws), scope, buf_span(&p.component),
			    p.suffix == NAME_SCOPE, &n);
	if (r == 0)
		*ret = workspace_object_of(n, FACET_SCOPE);
	return r;
}

/* --- removing ---------------------------------------------------------------- */

/* Shows it again after a while, if nobody takes the name. */
static void hide_for_a_while(struct workspace *ws, struct node *n)
{
	struct node **hidden = reallocarray(ws->hidden, ws->n_hidden + 1,
					    sizeof(struct node *));

	node_set_since(n, clock_ms());
	if (!hidden)
		return;
	ws->hidden = hidden;
	ws->hidden[ws->n_hidden++] = node_ref(n);
}

void workspace_drop_sidecar(struct workspace *ws, struct node *n,
			    enum facet facet)
{
	struct variable *v = node_variable(n);
	unsigned rest = node_shows(n) & ~workspace_bit(facet);

	if (node_ghost(n)) {
		tree_show(workspace_tree(ws), n, rest);
		return;
	}
	variable_withdraw(v, facet);
	if (rest == 0) {
		workspace_doom_again(ws, v);
		tree_remove(workspace_tree(ws), n);
		return;
	}
	tree_show(workspace_tree(ws), n, rest);
	if (variable_has_value(v))
		hide_for_a_while(ws, n);
}

static int unlink_sidecar(struct workspace *ws, const struct place *p)
{
	enum facet facet = workspace_facet_of(p);
	struct node *n = p->variable;

	if (!n || node_kind(n) != NODE_VARIABLE ||
	    !(node_shows(n) & workspace_bit(facet)) ||
	    (node_ghost(n) && !workspace_lingers(n)))
		return -ENOENT;
	workspace_drop_sidecar(ws, n, facet);
	return 0;
}

/* Whether there is anything to remember of what a name leaves behind. */
static bool is_worth_a_ghost(struct node *n, struct variable *rest)
{
	CLEANUP(type_release) struct type t = { 0 };

	/* Scratch leaves nothing, and a file without a type and sidecars has nothing. */
	return variable_stored(node_variable(n)) &&
	       (node_shows(n) & (SHOWS_SHAPE | SHOWS_DTYPE) ||
		variable_type(rest, &t) < 0 || !type_empty(&t));
}

int workspace_ghost(struct workspace *ws, struct node *n, struct variable *rest)
{
	struct node *scope = node_parent(n);

	if (is_worth_a_ghost(n, rest)) {
		tree_bury(workspace_tree(ws), n, rest);
		node_set_since(n, clock_ms());
	} else {
		tree_remove(workspace_tree(ws), n);
	}
	workspace_keep_emptied(scope);
	return 0;
}

static int unlink_variable(struct workspace *ws, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(variable_unrefp)
	struct variable *v = variable_ref(node_variable(n));
	int r = variable_key(v, &key);

	if (r < 0)
		return r;
	if (variable_stored(v))
		workspace_doom(ws, buf_span(&key));
	r = workspace_ghost(ws, n, v);
	variable_set_stored(v, false);
	return r;
}

int workspace_unlink(struct workspace *ws, struct node *scope, struct span name)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = place_find(workspace_tree(ws), scope, name, &p);

	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	if (workspace_is_sidecar(&p))
		return unlink_sidecar(ws, &p);
	n = place_node(&p);
	if (!n)
		return -ENOENT;
	switch (node_kind(n)) {
	case NODE_SCOPE:
		return -EISDIR;
	case NODE_LINK:
		return workspace_refuse_objects(ws, name);
	case NODE_VARIABLE:
		break;
	}
	if (ws->objects && variable_stored(node_variable(n)))
		return workspace_refuse_objects(ws, name);
	return unlink_variable(ws, n);
}

int workspace_rmdir(struct workspace *ws, struct node *scope, struct span name)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = place_find(workspace_tree(ws), scope, name, &p);

	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	n = place_node(&p);
	if (!n)
		return -ENOENT;
	if (node_kind(n) != NODE_SCOPE)
		return -ENOTDIR;
	if (!node_empty(n))
		return -ENOTEMPTY;
	tree_remove(workspace_tree(ws), n);
	workspace_keep_emptied(scope);
	return 0;
}

/* --- sidecars ---------------------------------------------------------------- */

/* A lingering sidecar is written: the name is to be a variable once more. */
static int revive(struct workspace *ws, struct node *ghost,
		  struct variable **ret)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(place_release) struct place p = { 0 };
	int r;

	node_put_name(ghost, &name);
	r = buf_error(&name);
	if (r == 0)
		r = place_find(workspace_tree(ws), node_parent(ghost),
			       buf_span(&name), &p);
	return r < 0 ? r : make_variable(ws, &p, 0, ret);
}

/* The variable that a write to a sidecar of `v` is meant for, counted. */
static int meant(struct workspace *ws, struct variable *v,
		 struct variable **ret)
{
	struct node *n = variable_links(v) ? NULL : workspace_find_node(ws, v);

	if (n && node_ghost(n))
		return revive(ws, n, ret);
	*ret = variable_ref(n ? node_variable(n) : v);
	return 0;
}

static void bury_again(struct workspace *ws, struct node *n, struct variable *v)
{
	tree_bury(workspace_tree(ws), n, v);
	tree_show(workspace_tree(ws), n, SHOWS_ALL);
	node_set_since(n, clock_ms());
}

int workspace_declare(struct workspace *ws, struct variable *v,
		      enum facet facet, struct span text)
{
	CLEANUP(variable_unrefp) struct variable *to = NULL;
	struct node *n;
	int r = meant(ws, v, &to);

	if (r < 0)
		return r;
	variable_give_shard(to, ws->shard);
	r = variable_declare(to, facet, text);
	n = workspace_live_node(ws, to);
	if (r < 0) {
		/* What was revived for it is a ghost again. */
		if (n && node_shows(n) == 0)
			bury_again(ws, n, v);
		return r;
	}
	if (n && !ws->objects)
		variable_set_stored(to, true); /* whatever it is called */
	if (n)
		tree_show(workspace_tree(ws), n,
			  workspace_shown(to) |
				  (node_shows(n) & workspace_bit(facet)));
	return r == 1 ? workspace_take_over(ws, to) : 0;
}

int workspace_declare_attribute(struct workspace *ws, struct variable *v,
				enum facet facet, struct span text, pid_t by)
{
	struct node *n = workspace_live_node(ws, v);
	unsigned yet = 0;
	int r;

	/* Who copies says what it is before it closes the value. */
	if (n && variable_unclosed(v))
		yet = (SHOWS_ALL & ~SHOWS_VALUE & ~node_shows(n)) |
		      node_awaits(n, by);
	r = workspace_declare(ws, v, facet, text);
	n = r == 0 && yet ? workspace_live_node(ws, v) : NULL;
	if (n)
		workspace_await(n, by, yet);
	return r;
}
