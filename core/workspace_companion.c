/*
 * NAME.d, where the slots of a variable stand, and what else is below it: it is at one of the
 * names of the variable, and goes to another one with or before that name.
 */
#include "core/clock.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"
#include "core/workspace_move.h"

struct node *workspace_companion(const struct workspace *ws,
				 const struct node *parent,
				 struct span component)
{
	struct node *n = tree_find_scope(workspace_tree(ws), parent, component);

	return n && node_dotted(n) && !node_ghost(n) ? n : NULL;
}

bool workspace_is_in_companion(const struct workspace *ws, struct variable *v,
			       const struct node *scope)
{
	struct node *n = NULL;

	while ((n = node_next_name(v, n))) {
		CLEANUP(buf_release) struct buf name = { 0 };
		struct node *own;

		/* Without memory nothing is made there. */
		if (node_put_component(n, &name) < 0)
			return true;
		own = workspace_companion(ws, node_parent(n), buf_span(&name));
		if (own && renaming_is_below(scope, own))
			return true;
	}
	return false;
}

int workspace_move_companion(struct workspace *ws, struct node *scope,
			     struct node *parent, struct span component)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct tree *t = workspace_tree(ws);
	struct node *left = node_parent(scope);
	struct node *there = tree_find_scope(t, parent, component);
	struct node *n;
	int r = node_put_component(scope, &name);

	if (r < 0 || (there && !node_ghost(there) && !node_empty(there)))
		return r;
	if (there)
		tree_remove(t, there);
	r = tree_move(t, scope, parent, component, true);
	if (r < 0)
		return r;
	tree_linger(t, left, buf_span(&name));
	n = tree_find_scope(t, left, buf_span(&name));
	if (n && node_ghost(n))
		node_set_since(n, clock_ms());
	workspace_keep_emptied(left);
	return 0;
}

/*
 * Whether the companion that stands at `scope` may go to the name.  Not into itself; and
 * not into a directory that `rm -r` has listed already, and would find not empty.
 */
static bool may_pass(const struct node *scope, const struct node *n)
{
	return !node_ghost(n) && !renaming_is_below(node_parent(n), scope) &&
	       !renaming_is_below(node_parent(scope), node_parent(n));
}

int workspace_pass_companion(struct workspace *ws, struct variable *v,
			     const struct node *parent, struct span component)
{
	struct node *scope = workspace_companion(ws, parent, component);
	struct node *n = NULL;

	while (scope && (n = node_next_name(v, n))) {
		CLEANUP(buf_release) struct buf name = { 0 };
		int r;

		if (!may_pass(scope, n))
			continue;
		r = node_put_component(n, &name);
		return r < 0 ? r
			     : workspace_move_companion(ws, scope,
							node_parent(n),
							buf_span(&name));
	}
	return 0;
}

int workspace_fetch_companion(struct workspace *ws, struct variable *v,
			      struct node *parent, struct span component)
{
	struct node *was = tree_find_scope(workspace_tree(ws), parent,
					   component);
	struct node *scope = NULL;
	struct node *n = NULL;

	if (!was || !node_ghost(was))
		return 0;
	while (!scope && (n = node_next_name(v, n))) {
		CLEANUP(buf_release) struct buf name = { 0 };

		if (node_ghost(n) || node_put_component(n, &name) < 0)
			continue;
		scope = workspace_companion(ws, node_parent(n),
					    buf_span(&name));
	}
	return scope ? workspace_move_companion(ws, scope, parent, component)
		     : 0;
}
