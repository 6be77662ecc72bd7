#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/tree_inside.h"

struct node *node_ref(struct node *n)
{
	atomic_fetch_add(&n->refs, 1);
	return n;
}

/* One deep: the target of a link is a scope, which has none. */
// NOLINTNEXTLINE(misc-no-recursion)
void node_unref(struct node *n)
{
	if (!n || atomic_fetch_sub(&n->refs, 1) != 1)
		return;
	variable_unref(n->variable);
	node_unref(n->target);
	free(n->children);
	buf_release(&n->text);
	free(n->own);
	free(n);
}

void node_enlist(struct node *n)
{
	struct node **first = n->variable ? variable_names(n->variable) : NULL;

	if (!first)
		return;
	n->prev_name = NULL;
	n->next_name = *first;
	if (*first)
		(*first)->prev_name = n;
	*first = n;
}

void node_delist(struct node *n)
{
	struct node **first = n->variable ? variable_names(n->variable) : NULL;

	if (!first || (*first != n && !n->prev_name))
		return;
	if (*first == n)
		*first = n->next_name;
	if (n->prev_name)
		n->prev_name->next_name = n->next_name;
	if (n->next_name)
		n->next_name->prev_name = n->prev_name;
	n->next_name = n->prev_name = NULL;
}

struct node *node_next_name(struct variable *v, struct node *after)
{
	return after ? after->next_name : *variable_names(v);
}

int node_add_child(struct node *parent, struct node *n)
{
	if (parent->n_children == parent->cap_children) {
		size_t cap = parent->cap_children ? 2 * parent->cap_children
						  : 4;
		struct node **children = reallocarray(parent->children, cap,
						      sizeof(*children));

		if (!children)
			return -ENOMEM;
		parent->children = children;
		parent->cap_children = cap;
	}
	parent->children[parent->n_children++] = n;
	return 0;
}

enum node_kind node_kind(const struct node *n)
{
	return n->kind;
}

uint64_t node_id(const struct node *n)
{
	return n->id;
}

struct variable *node_variable(const struct node *n)
{
	return n->variable;
}

struct node *node_parent(const struct node *n)
{
	return n->parent;
}

struct node *node_target(const struct node *link)
{
	return link->target;
}

bool node_dead(const struct node *n)
{
	return n->dead;
}

enum tree_side node_side(const struct node *n)
{
	return n->kind == NODE_SCOPE ? TREE_SCOPE : TREE_FILE;
}

void node_put_name(const struct node *n, struct buf *out)
{
	buf_put(out, n->name.data, n->name.len);
	if (n->dotted)
		buf_printf(out, "%s", name_suffix_text(NAME_SCOPE));
}

static size_t depth_of(const struct node *n)
{
	size_t depth = 0;

	for (; n->parent; n = n->parent)
		depth++;
	return depth;
}

int node_put_path(const struct node *n, struct buf *out)
{
	size_t depth = depth_of(n);
	CLEANUP(free_ptr)
	const struct node **way = calloc(depth + 1, sizeof(*way));

	if (!way)
		return -ENOMEM;
	for (size_t i = depth; i > 0; n = n->parent)
		way[--i] = n;
	for (size_t i = 0; i < depth; i++) {
		if (i > 0)
			buf_put(out, "/", 1);
		node_put_name(way[i], out);
	}
	return buf_error(out);
}

int node_put_target(const struct node *link, struct buf *out)
{
	size_t up = depth_of(link);

	const struct node *to = link->target;

	if (link->text.len && (!to || (to->dead && !to->text.len))) {
		buf_put(out, link->text.data, link->text.len);
		return buf_error(out);
	}
	if (!to || (to->dead && !to->text.len))
		return -ENOENT;
	for (size_t i = 1; i < up; i++)
		buf_printf(out, "../");
	if (to->parent)
		return node_put_path(to, out);
	if (to->dead)
		buf_put(out, to->text.data, to->text.len);
	else
		buf_printf(out, ".");
	return buf_error(out);
}

static size_t child_index(const struct node *scope, uint64_t place)
{
	size_t low = 0, high = scope->n_children;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (scope->children[mid]->place < place)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct node *node_child_at(const struct node *scope, uint64_t place,
			   uint64_t *ret_place)
{
	size_t at = child_index(scope, place);

	if (at == scope->n_children)
		return NULL;
	*ret_place = scope->children[at]->place;
	return scope->children[at];
}

unsigned node_shows(const struct node *n)
{
	return n->shows;
}

bool node_dotted(const struct node *n)
{
	return n->dotted;
}

bool node_ghost(const struct node *n)
{
	return n->ghost;
}

void node_set_ghost(struct node *n, bool ghost)
{
	if (n->ghost == ghost)
		return;
	n->ghost = ghost;
	if (n->parent)
		n->parent->n_ghosts += ghost ? 1 : -(size_t)1;
}

unsigned node_awaits(const struct node *n, pid_t maker)
{
	return n->maker == maker ? n->awaits : 0;
}

void node_await(struct node *n, pid_t maker, unsigned sidecars)
{
	n->maker = maker;
	n->awaits = (uint8_t)sidecars;
}

uint64_t node_since(const struct node *n)
{
	return n->since;
}

void node_set_since(struct node *n, uint64_t since)
{
	n->since = since;
}

void node_keep(struct node *n, bool keep)
{
	n->kept = keep;
}

void node_remove_child(struct node *parent, const struct node *n)
{
	size_t at = child_index(parent, n->place);

	parent->n_children--;
	memmove(&parent->children[at], &parent->children[at + 1],
		(parent->n_children - at) * sizeof(struct node *));
}

int node_set_name(struct node *n, struct span name, struct span raw)
{
	uint8_t *own = malloc(name.len + raw.len + 1);

	if (!own)
		return -ENOMEM;
	memcpy(own, name.data, name.len);
	if (raw.len)
		memcpy(own + name.len, raw.data, raw.len);
	free(n->own);
	n->own = own;
	n->name = (struct span){ own, name.len };
	n->raw = (struct span){ own + name.len, raw.len };
	return 0;
}

bool node_empty(const struct node *scope)
{
	return scope->n_children == scope->n_ghosts;
}

int node_put_component(const struct node *n, struct buf *out)
{
	if (n->raw.len) {
		buf_put(out, n->raw.data, n->raw.len);
		return buf_error(out);
	}
	return name_decode(n->name, !n->parent->parent, out);
}

int node_put_key(const struct node *n, struct buf *out)
{
	size_t depth = depth_of(n);
	CLEANUP(free_ptr)
	const struct node **way = calloc(depth + 1, sizeof(*way));
	int r = way ? 0 : -ENOMEM;

	for (size_t i = depth; r == 0 && i > 0; n = n->parent)
		way[--i] = n;
	for (size_t i = 0; r == 0 && i < depth; i++) {
		if (i > 0)
			buf_put(out, "/", 1);
		r = node_put_component(way[i], out);
	}
	return r == 0 ? buf_error(out) : r;
}

/* Without recursion, since trees may be as deep as a file is long. */
static int each_file(struct node *scope, enum node_kind kind,
		     int (*each)(void *arg, struct node *n), void *arg)
{
	struct node *at = scope;
	uint64_t place = 0;
	int r = 0;

	while (r == 0) {
		uint64_t next;
		struct node *child = node_child_at(at, place, &next);

		if (child && child->kind == NODE_SCOPE) {
			at = child;
			place = 0;
			continue;
		}
		if (child) {
			if (child->kind == kind && !child->ghost)
				r = each(arg, child);
			place = next + 1;
			continue;
		}
		if (at == scope)
			break;
		place = at->place + 1;
		at = at->parent;
	}
	return r;
}

int node_each_variable(struct node *scope,
		       int (*each)(void *arg, struct node *n), void *arg)
{
	return each_file(scope, NODE_VARIABLE, each, arg);
}

int node_each_link(struct node *scope, int (*each)(void *arg, struct node *n),
		   void *arg)
{
	return each_file(scope, NODE_LINK, each, arg);
}
