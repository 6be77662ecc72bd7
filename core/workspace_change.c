#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/dtype.h"
#include "core/graph.h"
#include "core/log.h"
#include "core/place.h"
#include "core/scratch.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"

/* --- making ----------------------------------------------------------------- */

static int new_variable(struct workspace *ws, const struct place *p,
			struct variable **ret)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(type_release) struct type t = { 0 };
	uint64_t id = workspace_next_id(ws);
	int r = workspace_put_key(ws, p, &key);
	bool graph = r == 0 && !ws->config->raw &&
		     span_equal(buf_span(&key), span_of(GRAPH_KEY));

	if (graph && !workspace_takes_graph(ws))
		r = workspace_refuse_graph(ws);
	if (r == -EINVAL)
		r = workspace_refuse_name(ws, p->name,
					  "no index can hold a key that is "
					  "empty or begins with a NUL byte");
	if (r == 0)
		r = variable_new(NULL, buf_span(&key), ws->label,
				 ws->config->verify, id, ret);
	if (r == 0 && graph)
		return variable_remember(*ret,
					 &(struct type){ .dtype = DT_STRING,
							 .has_shape = true });
	if (r < 0 || !p->variable || !node_ghost(p->variable))
		return r;
	r = variable_type(node_variable(p->variable), &t);
	variable_pass_told(node_variable(p->variable), *ret);
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
		    !workspace_awaits(ws, p->variable, facet, by))
			return -EEXIST;
		node_await(p->variable, by,
			   node_awaits(p->variable, by) & ~bit);
		if (by == ws->copier)
			ws->copied = clock_ms();
		/* It was removed, or is the first of scratch. */
		variable_set_stored(node_variable(p->variable), true);
		tree_show(workspace_tree(ws), p->variable,
			  node_shows(p->variable) | bit);
	} else {
		r = make_variable(ws, p, bit, &v);
	}
	if (r == 0)
		*ret = workspace_object_of(p->variable, facet);
	return r;
}

bool workspace_is_scratch(const struct workspace *ws, const struct place *p)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	struct bond b = { 0 };

	if (!scratch_name(p->name))
		return false;
	if (p->variable)
		return node_kind(p->variable) == NODE_VARIABLE &&
		       !node_ghost(p->variable) &&
		       !variable_stored(node_variable(p->variable));
	if (workspace_graph(ws) &&
	    bond_find(workspace_graph(ws), p->parent, buf_span(&p->component),
		      &b) == 0 &&
	    b.id != OBJECTS_NONE)
		return false;
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

/* A variable that has lost one of its names is not another one when that comes back. */
static bool has_other_names(const struct workspace *ws, struct variable *v)
{
	return variable_links(v) > 0 && workspace_is_object(ws, v);
}

/* 1 if it has gone for good. */
static int come_back(struct workspace *ws, struct place *p, struct variable *v,
		     struct object *ret)
{
	struct bond b = { 0 };
	int r = bond_find(workspace_graph(ws), p->parent,
			  buf_span(&p->component), &b);

	if (r < 0)
		return r;
	if (b.id == OBJECTS_NONE)
		return 1; /* too late: it is another one */
	(void)workspace_rescue_bond(ws, &b);
	r = workspace_fetch_companion(ws, v, p->parent,
				      buf_span(&p->component));
	if (r < 0)
		return r;
	tree_lead(workspace_tree(ws), p->variable, v);
	*ret = workspace_object_of(p->variable, FACET_VALUE);
	return 0;
}

static int create_value(struct workspace *ws, struct place *p,
			const struct attributes *owner, struct object *ret)
{
	CLEANUP(variable_unrefp) struct variable *former = find_former(p);
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	bool scratch = workspace_is_scratch(ws, p);
	int r = 0;

	if (place_node(p) ||
	    (p->variable && node_kind(p->variable) == NODE_LINK))
		return -EEXIST;
	if (former && has_other_names(ws, former)) {
		r = come_back(ws, p, former, ret);
		if (r <= 0)
			return r;
	}
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
	/* It needs no sidecars, and shows some before who copies it makes them. */
	if (owner && workspace_is_graph(v) && !ws->config->raw)
		workspace_await(ws, p->variable, owner->maker,
				(SHOWS_SHAPE | SHOWS_DTYPE) &
					~node_shows(p->variable));
	*ret = workspace_object_of(p->variable, FACET_VALUE);
	return 0;
}

/* Some graphs show names, and cannot be changed. */
int workspace_check_graph(const struct workspace *ws, struct span name)
{
	return catalog_objects(ws->catalog) && !workspace_graph(ws)
		       ? workspace_refuse_objects(ws, name)
		       : 0;
}

int workspace_create(struct workspace *ws, struct node *scope, struct span name,
		     const struct attributes *owner, struct object *ret)
{
	CLEANUP(place_release) struct place p = { 0 };
	int r = workspace_new_place(ws, scope, name, &p);

	if (r == 0 && p.suffix == NAME_SCOPE)
		r = workspace_refuse_name(ws, name, WHY_SCOPE_ONLY);
	if (r == 0)
		r = workspace_check_graph(ws, name);
	if (r < 0)
		return r;
	return workspace_is_sidecar(&p)
		       ? create_sidecar(ws, &p, owner ? owner->maker : 0, ret)
		       : create_value(ws, &p, owner, ret);
}

/* Who removes a directory and makes it anew means the same object. */
static int rescue_scope(struct workspace *ws, const struct place *p)
{
	struct objects *o = workspace_graph(ws);
	struct bond b = { 0 };
	struct span key;
	int r = o ? bond_find(o, p->parent, buf_span(&p->component), &b) : 0;

	if (!o || r < 0 || b.kind != BOND_EDGE || p->suffix == NAME_SCOPE ||
	    !workspace_rescue_bond(ws, &b) || b.id == OBJECTS_NONE ||
	    !objects_key(o, b.id, &key))
		return r;
	/* A variable was removed there, and does not come back as a directory. */
	r = workspace_cut_bond(ws, &b);
	return r < 0 ? r : workspace_tidy(ws);
}

int workspace_mkdir(struct workspace *ws, struct node *scope, struct span name,
		    struct object *ret)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = workspace_new_place(ws, scope, name, &p);

	if (r < 0)
		return r;
	if (workspace_is_sidecar(&p))
		return workspace_refuse_name(ws, name, WHY_SIDECAR_ONLY);
	if (place_node(&p))
		return -EEXIST;
	r = workspace_check_graph(ws, name);
	if (r == 0)
		r = rescue_scope(ws, &p);
	if (r < 0)
		return r;
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

/* `key`, which is that of no link, goes with the last name. */
static int doom_name(struct workspace *ws, struct node *n, struct span key)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	bool last = !node_variable(n) || variable_links(node_variable(n)) == 1;
	struct bond b = { 0 };
	int r = workspace_bond_of(ws, n, &name, &b);

	if (r == 0 && b.id != OBJECTS_NONE)
		workspace_doom_bond(ws, &b, last ? key : (struct span){ 0 });
	else if (r == 0 && last && key.len && !variable_loose(node_variable(n)))
		workspace_doom(ws, key); /* an object's, but not shown there */
	return r;
}

static int unlink_variable(struct workspace *ws, struct node *n)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(variable_unrefp)
	struct variable *v = variable_ref(node_variable(n));
	struct node *scope = node_parent(n);
	int r = variable_key(v, &key);

	if (r == 0)
		r = node_put_component(n, &name);
	if (r < 0)
		return r;
	if (variable_links(v) > 1 && variable_loose(v)) {
		tree_remove(workspace_tree(ws), n);
		return 0;
	}
	if (variable_stored(v) && workspace_graph(ws) &&
	    (variable_loose(v) || workspace_is_object(ws, v)))
		r = doom_name(ws, n, buf_span(&key));
	else if (variable_stored(v))
		workspace_doom(ws, buf_span(&key));
	if (r == 0)
		r = workspace_ghost(ws, n, v);
	if (variable_links(v) == 0)
		variable_set_stored(v, false);
	else if (r == 0 && workspace_graph(ws))
		r = workspace_pass_companion(ws, v, scope, buf_span(&name));
	return r;
}

static int unlink_link(struct workspace *ws, struct node *n)
{
	struct node *scope = node_parent(n);
	int r = workspace_graph(ws) ? doom_name(ws, n, (struct span){ 0 }) : 0;

	if (r < 0)
		return r;
	tree_remove(workspace_tree(ws), n);
	workspace_keep_emptied(scope);
	return 0;
}

int workspace_unlink(struct workspace *ws, struct node *scope, struct span name)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = workspace_find_place(ws, scope, name, &p);

	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	if (workspace_is_sidecar(&p))
		return unlink_sidecar(ws, &p);
	n = place_node(&p);
	if (!n)
		return -ENOENT;
	if (node_kind(n) == NODE_SCOPE)
		return -EISDIR;
	r = workspace_check_graph(ws, name);
	if (r < 0)
		return r;
	return node_kind(n) == NODE_LINK ? unlink_link(ws, n)
					 : unlink_variable(ws, n);
}

/* Its edge goes; that of a companion directory is its variable's. */
static int doom_scope(struct workspace *ws, struct node *n)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct objects *o = workspace_graph(ws);
	struct span key;
	struct bond b = { 0 };
	int r = o && !node_ghost(n) ? workspace_bond_of(ws, n, &name, &b) : 1;

	if (r == 0 && b.kind == BOND_EDGE && b.id != OBJECTS_NONE &&
	    !node_dotted(n) && !objects_key(o, b.id, &key))
		workspace_doom_bond(ws, &b, (struct span){ 0 });
	return r < 0 ? r : 0;
}

int workspace_rmdir(struct workspace *ws, struct node *scope, struct span name)
{
	CLEANUP(place_release) struct place p = { 0 };
	struct node *n;
	int r = workspace_find_place(ws, scope, name, &p);

	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	n = place_node(&p);
	if (!n && p.scope && p.suffix == NAME_SCOPE && node_ghost(p.scope))
		n = p.scope; /* it lingers, and goes */
	if (!n)
		return -ENOENT;
	if (node_kind(n) != NODE_SCOPE)
		return -ENOTDIR;
	if (!node_empty(n))
		return -ENOTEMPTY;
	r = workspace_leave_links(ws, n);
	if (r == 0)
		r = doom_scope(ws, n);
	if (r < 0)
		return r;
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
		r = workspace_find_place(ws, node_parent(ghost),
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

static int declare(struct workspace *ws, struct variable *v, enum facet facet,
		   struct span text, bool by_sidecar)
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
	if (by_sidecar)
		variable_set_told(to);
	if (n)
		variable_set_stored(to, true); /* whatever it is called */
	if (n)
		tree_show(workspace_tree(ws), n,
			  workspace_shown(to) |
				  (node_shows(n) & workspace_bit(facet)));
	return r == 1 ? workspace_take_over(ws, to) : 0;
}

int workspace_declare(struct workspace *ws, struct variable *v,
		      enum facet facet, struct span text)
{
	return declare(ws, v, facet, text, true);
}

int workspace_declare_attribute(struct workspace *ws, struct variable *v,
				enum facet facet, struct span text, pid_t by)
{
	struct node *n = workspace_live_node(ws, v);
	unsigned yet = 0;
	int r;

	if (variable_unclosed(v) && variable_told(v, facet))
		return 0;
	/* Who copies says what it is before it closes the value. */
	if (n && variable_unclosed(v))
		yet = (SHOWS_ALL & ~SHOWS_VALUE & ~node_shows(n)) |
		      node_awaits(n, by);
	r = declare(ws, v, facet, text, false);
	n = r == 0 && yet ? workspace_live_node(ws, v) : NULL;
	if (n)
		workspace_await(ws, n, by, yet);
	return r;
}
