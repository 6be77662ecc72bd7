#include "core/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/log.h"

struct layout {
	struct tree *tree;
	const struct bundle *bundle;
	struct variable *const *variables;
	bool *reached; /* by the graph; parallel to `variables` */
};

/* Cuts the first component off `key`; the last one has no slash behind it. */
static struct span next_component(struct span *key, bool *ret_last)
{
	const uint8_t *slash = key->len ? memchr(key->data, '/', key->len)
					: NULL;
	size_t len = slash ? (size_t)(slash - key->data) : key->len;
	struct span component = { key->data, len };

	*ret_last = !slash;
	key->data += slash ? len + 1 : len;
	key->len -= slash ? len + 1 : len;
	return component;
}

/* A graph can be made to take all names that a key might have. */
static void tell_hidden(const struct layout *l, size_t i)
{
	CLEANUP(free_ptr)
	char *name = entry_describe(bundle_entry(l->bundle, i), "");

	log_warning("%s: not shown: the object graph has taken its names",
		    name ? name : "a variable");
}

static int put_literally(const struct layout *l, size_t i)
{
	struct node *at = tree_root(l->tree);
	struct span key = entry_key(bundle_entry(l->bundle, i));
	struct node *n;
	bool last;

	for (;;) {
		struct span component = next_component(&key, &last);
		int r;

		if (last) {
			r = tree_put_variable(l->tree, at, component, false,
					      l->variables[i], &n);
			if (r == -EEXIST)
				r = tree_put_variable(l->tree, at, component,
						      true, l->variables[i],
						      &n);
			if (r == -EEXIST)
				tell_hidden(l, i);
			return r == -EEXIST ? 0 : r;
		}
		r = tree_put_scope(l->tree, at, component, &at);
		if (r < 0)
			return r;
	}
}

/* The position of `key` in the bundle; bundle_count() if it is not there. */
static size_t find_key(const struct layout *l, struct span key)
{
	size_t low = 0, high = bundle_count(l->bundle);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct span at = entry_key(bundle_entry(l->bundle, mid));

		if (span_compare(at, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < bundle_count(l->bundle) &&
	    span_equal(entry_key(bundle_entry(l->bundle, low)), key))
		return low;
	return bundle_count(l->bundle);
}

/* What an item of the graph became in the tree. */
struct placed {
	struct node *scope; /* the directory, or where the variable stands */
	struct node *companion; /* of a variable, once something is in it */
};

static int put_variable(struct layout *l, const struct graph_item *item,
			struct node *scope)
{
	size_t i = find_key(l, item->key);
	struct node *n;
	int r;

	if (i == bundle_count(l->bundle))
		return 0; /* the graph names a value that is not there */
	r = tree_put_variable(l->tree, scope, item->name, false,
			      l->variables[i], &n);
	if (r == 0)
		l->reached[i] = true;
	return r == -EEXIST ? 0 : r;
}

/* The directory that holds what has `item` for a parent. */
static int find_parent(const struct layout *l, const struct graph_item *items,
		       struct placed *placed, size_t parent, struct node **ret)
{
	struct placed *p;
	int r = 0;

	if (parent == GRAPH_ROOT) {
		*ret = tree_root(l->tree);
		return 0;
	}
	p = &placed[parent];
	if (items[parent].kind == GRAPH_DIRECTORY) {
		*ret = p->scope;
		return 0;
	}
	if (!p->companion)
		r = tree_put_scope(l->tree, p->scope, items[parent].name,
				   &p->companion);
	*ret = p->companion;
	return r;
}

static int put_item(struct layout *l, const struct graph_item *items, size_t i,
		    struct placed *placed)
{
	const struct graph_item *item = &items[i];
	struct node *scope;
	int r = find_parent(l, items, placed, item->parent, &scope);

	if (r < 0)
		return r;
	placed[i].scope = scope;
	switch (item->kind) {
	case GRAPH_DIRECTORY:
		return tree_put_scope(l->tree, scope, item->name,
				      &placed[i].scope);
	case GRAPH_VARIABLE:
		return put_variable(l, item, scope);
	case GRAPH_LINK:
		r = tree_put_link(l->tree, scope, item->name,
				  item->target == GRAPH_ROOT
					  ? tree_root(l->tree)
					  : placed[item->target].scope);
		return r == -EEXIST ? 0 : r;
	}
	return -EINVAL;
}

static int put_graph(struct layout *l, const struct graph *graph)
{
	size_t n;
	const struct graph_item *items = graph_items(graph, &n);
	CLEANUP(free_ptr)
	struct placed *placed = calloc(n + 1, sizeof(*placed));
	int r = placed ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_item(l, items, i, placed);
	return r;
}

int layout_put(struct tree *tree, const struct bundle *bundle,
	       struct variable *const *variables, const struct graph *graph)
{
	size_t n = bundle_count(bundle);
	CLEANUP(free_ptr) bool *reached = calloc(n + 1, sizeof(*reached));
	struct layout l = { tree, bundle, variables, reached };
	int r = reached ? 0 : -ENOMEM;

	tree_begin(tree);
	if (r == 0 && graph)
		r = put_graph(&l, graph);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!reached[i])
			r = put_literally(&l, i);
	tree_end(tree);
	return r;
}
