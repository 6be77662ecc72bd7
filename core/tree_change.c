#include <errno.h>

#include "core/cleanup.h"
#include "core/tree_inside.h"

int tree_make_scope(struct tree *t, struct node *parent, struct span component,
		    bool dotted, struct node **ret)
{
	struct node *there = tree_find_scope(t, parent, component);
	int r;

	if (there && !there->ghost)
		return -EEXIST;
	if (there)
		tree_remove(t, there);
	r = tree_put_scope(t, parent, component, ret);
	if (r < 0)
		return r;
	(*ret)->kept = true;
	if (dotted)
		tree_make_dotted(t, *ret);
	return 0;
}

int tree_make_variable(struct tree *t, struct node *parent,
		       struct span component, struct variable *v,
		       unsigned shows, struct node **ret)
{
	struct put put = { 0 };
	int r = tree_find_put(t, parent, TREE_FILE, component, false, &put);

	if (r == 0 && put.node && put.node->generation == t->generation)
		r = -EEXIST;
	if (r == 0)
		r = tree_put_file(t, parent, &put, v, NULL, ret);
	buf_release(&put.name);
	if (r < 0)
		return r;
	(*ret)->kept = true;
	(*ret)->shows = (uint8_t)shows;
	tree_settle_dot(t, parent, (*ret)->name);
	return 0;
}

/* Ghosts have no life of their own: they go with their scope. */
static void drop_children(struct tree *t, struct node *scope)
{
	for (size_t i = 0; i < scope->n_children; i++)
		tree_leave(t, scope->children[i]);
	scope->n_children = 0;
}

void tree_remove(struct tree *t, struct node *n)
{
	if (n->kind == NODE_SCOPE)
		drop_children(t, n);
	node_remove_child(n->parent, n);
	tree_leave(t, n);
}

void tree_bury(struct tree *t, struct node *n, struct variable *rest)
{
	struct variable *old = n->variable;

	variable_add_link(old, -1);
	node_delist(n);
	n->variable = variable_ref(rest);
	node_enlist(n);
	node_set_ghost(n, true);
	n->kept = false;
	n->generation = t->generation - 1;
	variable_unref(old);
	tree_tell(t, n);
}

/* Takes a node out of the table of names, and out of its parent. */
static void detach(struct tree *t, struct node *n)
{
	struct node **at =
		&t->buckets[tree_bucket(t, n->parent, node_side(n), n->name)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->n_nodes--;
	tree_tell(t, n);
	node_remove_child(n->parent, n);
}

/* A ghost gives way to whatever gets its name. */
static void make_way(struct tree *t, struct node *parent, enum tree_side side,
		     struct span name)
{
	struct node *n = *tree_slot(t, parent, side, name);

	if (n && n->ghost)
		tree_remove(t, n);
}

static int attach(struct tree *t, struct node *parent, struct node *n)
{
	make_way(t, parent, node_side(n), n->name);
	n->place = t->next_place++;
	return tree_enter(t, parent, n);
}

int tree_move(struct tree *t, struct node *n, struct node *parent,
	      struct span component, bool dotted)
{
	struct put put = { 0 };
	struct node *old = n->parent;
	int r = tree_find_put(t, parent, node_side(n), component, false, &put);

	if (r == 0 && put.node && put.node != n && !put.node->ghost)
		r = -EEXIST;
	if (r == 0) {
		detach(t, n);
		r = node_set_name(n, buf_span(&put.name), put.raw);
		n->dotted = dotted;
		if (r == 0)
			r = attach(t, parent, n);
		else
			(void)attach(t, old, n);
	}
	if (r == 0)
		tree_settle_dot(t, parent, n->name);
	buf_release(&put.name);
	return r;
}

/* Whether a scope has the name of a file as well, or the other way round. */
static bool has_twin(const struct tree *t, const struct node *n)
{
	enum tree_side other = node_side(n) == TREE_SCOPE ? TREE_FILE
							  : TREE_SCOPE;
	const struct node *twin = *tree_slot(t, n->parent, other, n->name);

	return twin && !twin->ghost;
}

int tree_exchange(struct tree *t, struct node *a, struct node *b)
{
	struct node *parent_a = a->parent, *parent_b = b->parent;
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(buf_release) struct buf raw = { 0 };
	bool dotted = a->dotted;
	int r;

	if (a->dotted != b->dotted && a->kind != b->kind)
		return -EINVAL;
	if (a->kind != b->kind && (has_twin(t, a) || has_twin(t, b)))
		return -EEXIST;
	buf_put(&name, a->name.data, a->name.len);
	buf_put(&raw, a->raw.data, a->raw.len);
	if (buf_error(&name) || buf_error(&raw))
		return -ENOMEM;
	detach(t, a);
	detach(t, b);
	a->dotted = b->dotted;
	b->dotted = dotted;
	r = node_set_name(a, b->name, b->raw);
	if (r == 0)
		r = node_set_name(b, buf_span(&name), buf_span(&raw));
	if (attach(t, r == 0 ? parent_b : parent_a, a) < 0 ||
	    attach(t, r == 0 ? parent_a : parent_b, b) < 0)
		r = -ENOMEM;
	return r;
}

void tree_lead(struct tree *t, struct node *n, struct variable *v)
{
	tree_lead_node(t, n, v, NULL);
	n->kept = false;
	tree_tell(t, n);
}

void tree_lead_all(struct tree *t, struct variable *from, struct variable *to)
{
	CLEANUP(variable_unrefp) struct variable *held = variable_ref(from);
	struct node *n = node_next_name(held, NULL);

	while (n) {
		struct node *next = node_next_name(held, n);

		if (!n->ghost) {
			tree_lead_node(t, n, to, NULL);
			tree_tell(t, n);
		}
		n = next;
	}
}

int tree_make_link(struct tree *t, struct node *parent, struct span component,
		   struct node *target, struct span text, struct node **ret)
{
	struct put put = { 0 };
	int r = tree_find_put(t, parent, TREE_FILE, component, false, &put);

	if (r == 0 && put.node && !put.node->ghost)
		r = -EEXIST;
	if (r == 0)
		r = tree_put_file(t, parent, &put, NULL, target, ret);
	buf_release(&put.name);
	if (r < 0)
		return r;
	(*ret)->kept = true;
	buf_put(&(*ret)->text, text.data, text.len);
	tree_settle_dot(t, parent, (*ret)->name);
	return 0;
}

void tree_aim(struct node *link, struct node *target)
{
	node_unref(link->target);
	link->target = node_ref(target);
}

/* Children before their parents, by a walk as that of each_scope() in tree.c. */
void tree_drop(struct tree *t, struct node *scope)
{
	struct node *at = scope;

	while (at != scope || scope->n_children > 0) {
		struct node *child = at->n_children > 0
					     ? at->children[at->n_children - 1]
					     : NULL;
		struct node *up = at->parent;

		if (child && child->kind == NODE_SCOPE) {
			at = child;
		} else if (child) {
			tree_remove(t, child);
		} else {
			tree_remove(t, at);
			at = up;
		}
	}
	tree_remove(t, scope);
}

void tree_linger(struct tree *t, struct node *parent, struct span component)
{
	struct node *n = tree_find_scope(t, parent, component);

	if (n || tree_put_scope(t, parent, component, &n) < 0)
		return;
	tree_make_dotted(t, n);
	n->generation = t->generation - 1;
	node_set_ghost(n, true);
}
