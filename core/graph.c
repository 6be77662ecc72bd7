/*
 * Laying out takes two passes.  The first follows edges breadth first from node 0,
 * so an object's first path is a shortest one; the second adds slots, which are not
 * edges: a slot belongs to a variable and an optimizer.
 *
 * The path of the optimizer is mirrored below the variable's `slots`, directory by
 * directory, once for all its slots and for all optimizers below the same path:
 * each item of the first pass knows its mirror for the variable at hand.  Slots are
 * sorted by variable, so a mirror is never needed again once the next begins.
 *
 * Whatever is proportional to the bytes of a graph is done without bound; a slot of
 * a few bytes could ask for a path of GRAPH_MAX_DEPTH directories, so slots are no
 * longer laid out when there would be more items than bytes.
 */
#include "core/graph.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "proto/trackable_object_graph.pb-c.h"

#define VARIABLE_VALUE "VARIABLE_VALUE"
#define SLOTS          "slots"

#define NO_NODE      (-1)         /* where the edge of a repeated name leads */
#define NO_DIRECTORY ((size_t)-2) /* the mirror that could not be made */

typedef Tensorflow__TrackableObjectGraph object_graph;
typedef Tensorflow__TrackableObjectGraph__TrackableObject object;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__ObjectReference edge;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__SerializedTensor
	attribute;
typedef Tensorflow__TrackableObjectGraph__TrackableObject__SlotVariableReference
	slot_reference;

struct graph {
	object_graph *proto; /* holds the bytes of names and keys */
	struct graph_item *items;
	size_t n;
	size_t cap;
};

struct node {
	const object *proto;
	bool is_variable;
	struct span key; /* a variable's */
	struct span full_name;
	bool reached;
	/* Once it is reached: its first place, and how deep that is. */
	size_t item;
	size_t depth;
};

struct slot {
	size_t variable;  /* a node */
	size_t optimizer; /* an item, or GRAPH_ROOT */
	struct span name;
	struct span key;
	struct span full_name;
	size_t order; /* among all, as they were read */
};

/* Where the mirror of an item is, below `slots` of a variable. */
struct mirror {
	size_t variable;  /* a node; 0, the root, is none */
	size_t directory; /* an item, or NO_DIRECTORY */
};

/* What is needed only while laying out. */
struct layout {
	struct graph *graph;
	size_t max_items;
	struct node *nodes;
	size_t n_nodes;
	size_t *queue; /* nodes in the order in which they were reached */
	size_t n_queue;
	struct slot *slots; /* sorted by compare_slots() */
	size_t n_slots;
	struct mirror *mirrors; /* at item + 1, so that of GRAPH_ROOT is first */
};

static void layout_release(struct layout *l)
{
	free(l->nodes);
	free(l->queue);
	free(l->slots);
	free(l->mirrors);
}

static struct span span_of_bytes(ProtobufCBinaryData bytes)
{
	return (struct span){ bytes.data, bytes.len };
}

static int add_item(struct graph *g, struct graph_item item)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 16;
		struct graph_item *items = reallocarray(g->items, cap,
							sizeof(*items));

		if (!items)
			return -ENOMEM;
		g->items = items;
		g->cap = cap;
	}
	g->items[g->n++] = item;
	return 0;
}

static bool names_real_nodes(const object *o, size_t n_nodes)
{
	for (size_t i = 0; i < o->n_children; i++) {
		int32_t id = o->children[i]->node_id;

		if (id < 0 || (size_t)id >= n_nodes)
			return false;
	}
	for (size_t i = 0; i < o->n_slot_variables; i++) {
		const slot_reference *r = o->slot_variables[i];
		int32_t variable = r->original_variable_node_id;
		int32_t slot = r->slot_variable_node_id;

		if (variable < 0 || (size_t)variable >= n_nodes || slot < 0 ||
		    (size_t)slot >= n_nodes)
			return false;
	}
	return true;
}

static void find_value(const object *o, struct node *ret)
{
	for (size_t i = 0; i < o->n_attributes && !ret->is_variable; i++) {
		const attribute *a = o->attributes[i];

		if (!span_equal(span_of_bytes(a->name),
				span_of(VARIABLE_VALUE)))
			continue;
		ret->is_variable = true;
		ret->key = span_of_bytes(a->checkpoint_key);
		ret->full_name = span_of_bytes(a->full_name);
	}
}

static int read_nodes(struct layout *l)
{
	const object_graph *proto = l->graph->proto;

	l->n_nodes = proto->n_nodes;
	l->nodes = calloc(l->n_nodes, sizeof(*l->nodes));
	l->queue = calloc(l->n_nodes, sizeof(*l->queue));
	if (!l->nodes || !l->queue)
		return -ENOMEM;

	for (size_t i = 0; i < l->n_nodes; i++) {
		const object *o = proto->nodes[i];

		if (!names_real_nodes(o, l->n_nodes))
			return -EIO;
		l->nodes[i].proto = o;
		if (i > 0) /* the root is a directory, whatever it has */
			find_value(o, &l->nodes[i]);
	}
	return 0;
}

static int compare_numbers(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

struct named_edge {
	struct span name;
	size_t order;
};

static int compare_edges(const void *a, const void *b)
{
	const struct named_edge *x = a;
	const struct named_edge *y = b;
	int order = span_compare(x->name, y->name);

	return order ? order : compare_numbers(x->order, y->order);
}

/* Takes the target from all edges of `o` but the first of each name. */
static int drop_repeated_names(const object *o)
{
	CLEANUP(free_ptr) struct named_edge *sorted = NULL;

	if (o->n_children < 2)
		return 0;
	sorted = calloc(o->n_children, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;

	for (size_t i = 0; i < o->n_children; i++) {
		sorted[i].name = span_of_bytes(o->children[i]->local_name);
		sorted[i].order = i;
	}
	qsort(sorted, o->n_children, sizeof(*sorted), compare_edges);
	for (size_t i = 1; i < o->n_children; i++)
		if (span_equal(sorted[i - 1].name, sorted[i].name))
			o->children[sorted[i].order]->node_id = NO_NODE;
	return 0;
}

static void reach(struct layout *l, size_t node, size_t item, size_t depth)
{
	l->nodes[node].reached = true;
	l->nodes[node].item = item;
	l->nodes[node].depth = depth;
	l->queue[l->n_queue++] = node;
}

static int lay_out_edge(struct layout *l, const struct node *parent,
			const edge *e)
{
	const struct node *child = &l->nodes[e->node_id];
	struct graph_item item = {
		.kind = GRAPH_DIRECTORY,
		.parent = parent->item,
		.name = span_of_bytes(e->local_name),
	};

	if (child->is_variable) {
		item.kind = GRAPH_VARIABLE;
		item.key = child->key;
		item.full_name = child->full_name;
	} else if (child->reached) {
		item.kind = GRAPH_LINK;
		item.target = child->item;
	}
	if (!child->reached)
		reach(l, e->node_id, l->graph->n, parent->depth + 1);
	return add_item(l->graph, item);
}

static int lay_out_children(struct layout *l, size_t node)
{
	const struct node *parent = &l->nodes[node];
	const object *o = parent->proto;
	int err;

	if (parent->depth == GRAPH_MAX_DEPTH)
		return 0;

	err = drop_repeated_names(o);
	for (size_t i = 0; i < o->n_children && !err; i++)
		if (o->children[i]->node_id != NO_NODE)
			err = lay_out_edge(l, parent, o->children[i]);
	return err;
}

static int lay_out_edges(struct layout *l)
{
	int err = 0;

	reach(l, 0, GRAPH_ROOT, 0);
	for (size_t i = 0; i < l->n_queue && !err; i++)
		err = lay_out_children(l, l->queue[i]);
	return err;
}

/* Whether a slot has a place: both ends of it show, and it is not too deep. */
static bool can_lay_out(const struct node *optimizer,
			const struct node *variable, const struct node *slot)
{
	return optimizer->reached && variable->reached &&
	       variable->is_variable && slot->is_variable &&
	       variable->depth + optimizer->depth + 2 <= GRAPH_MAX_DEPTH;
}

static void collect_slot(struct layout *l, const struct node *optimizer,
			 const slot_reference *r)
{
	size_t variable = r->original_variable_node_id;
	const struct node *slot = &l->nodes[r->slot_variable_node_id];

	if (!can_lay_out(optimizer, &l->nodes[variable], slot))
		return;

	l->slots[l->n_slots] = (struct slot){
		.variable = variable,
		.optimizer = optimizer->item,
		.name = span_of_bytes(r->slot_name),
		.key = slot->key,
		.full_name = slot->full_name,
		.order = l->n_slots,
	};
	l->n_slots++;
}

/* Orders slots by the name they shall have; 0 where two have one. */
static int compare_slot_names(const void *a, const void *b)
{
	const struct slot *x = a;
	const struct slot *y = b;
	int order = compare_numbers(x->variable, y->variable);

	if (!order)
		order = compare_numbers(x->optimizer, y->optimizer);
	return order ? order : span_compare(x->name, y->name);
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = a;
	const struct slot *y = b;
	int order = compare_slot_names(x, y);

	return order ? order : compare_numbers(x->order, y->order);
}

static int collect_slots(struct layout *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_nodes; i++)
		n += l->nodes[i].proto->n_slot_variables;
	if (n == 0 || l->graph->n == 0)
		return 0;

	l->slots = calloc(n, sizeof(*l->slots));
	l->mirrors = calloc(l->graph->n + 1, sizeof(*l->mirrors));
	if (!l->slots || !l->mirrors)
		return -ENOMEM;

	for (size_t i = 0; i < l->n_nodes; i++) {
		const object *o = l->nodes[i].proto;

		for (size_t k = 0; k < o->n_slot_variables; k++)
			collect_slot(l, &l->nodes[i], o->slot_variables[k]);
	}
	qsort(l->slots, l->n_slots, sizeof(*l->slots), compare_slots);
	return 0;
}

static bool has_edge(const object *o, struct span name)
{
	for (size_t i = 0; i < o->n_children; i++)
		if (span_equal(span_of_bytes(o->children[i]->local_name), name))
			return true;
	return false;
}

/* Whether the mirror of `item` would have the name of something else. */
static bool mirror_is_taken(const struct layout *l, size_t variable,
			    size_t item)
{
	struct slot same = { .variable = variable };

	if (item == GRAPH_ROOT)
		return has_edge(l->nodes[variable].proto, span_of(SLOTS));

	same.optimizer = l->graph->items[item].parent;
	same.name = l->graph->items[item].name;
	return bsearch(&same, l->slots, l->n_slots, sizeof(same),
		       compare_slot_names);
}

/* Makes the mirror of `item` in `parent`, the mirror of what `item` stands in. */
static int add_mirror(struct layout *l, size_t variable, size_t item,
		      size_t parent)
{
	struct graph *g = l->graph;
	struct mirror mirror = { variable, NO_DIRECTORY };
	struct graph_item directory = {
		.kind = GRAPH_DIRECTORY,
		.parent = parent,
		.name = span_of(SLOTS),
	};
	int err = 0;

	if (item != GRAPH_ROOT)
		directory.name = g->items[item].name;
	if (parent != NO_DIRECTORY && !mirror_is_taken(l, variable, item)) {
		mirror.directory = g->n;
		err = add_item(g, directory);
	}
	l->mirrors[item + 1] = mirror;
	return err;
}

/*
 * The items from that of the optimizer up to the first that has a mirror for the
 * variable already; returns how many have none.
 */
static size_t find_unmirrored(const struct layout *l, const struct slot *slot,
			      size_t ret_path[GRAPH_MAX_DEPTH + 1])
{
	size_t item = slot->optimizer;
	size_t n = 0;

	while (l->mirrors[item + 1].variable != slot->variable) {
		ret_path[n++] = item;
		if (item == GRAPH_ROOT)
			break;
		item = l->graph->items[item].parent;
	}
	return n;
}

static int lay_out_slot(struct layout *l, const struct slot *slot)
{
	size_t path[GRAPH_MAX_DEPTH + 1];
	size_t n = find_unmirrored(l, slot, path);
	struct graph_item item = {
		.kind = GRAPH_VARIABLE,
		.name = slot->name,
		.key = slot->key,
		.full_name = slot->full_name,
	};

	if (l->graph->n + n + 1 > l->max_items)
		return 0;

	while (n-- > 0) {
		size_t parent = l->nodes[slot->variable].item;
		int err;

		if (path[n] != GRAPH_ROOT) {
			parent = l->graph->items[path[n]].parent;
			parent = l->mirrors[parent + 1].directory;
		}
		err = add_mirror(l, slot->variable, path[n], parent);
		if (err)
			return err;
	}
	item.parent = l->mirrors[slot->optimizer + 1].directory;
	return item.parent == NO_DIRECTORY ? 0 : add_item(l->graph, item);
}

static int lay_out_slots(struct layout *l)
{
	int err = collect_slots(l);

	for (size_t i = 0; i < l->n_slots && !err; i++) {
		const struct slot *slot = &l->slots[i];

		if (i == 0 || compare_slot_names(slot - 1, slot) != 0)
			err = lay_out_slot(l, slot);
	}
	return err;
}

static int lay_out(struct graph *g, size_t max_items)
{
	struct layout l = { .graph = g, .max_items = max_items };
	int err;

	if (g->proto->n_nodes == 0)
		return 0;

	err = read_nodes(&l);
	if (!err)
		err = lay_out_edges(&l);
	if (!err)
		err = lay_out_slots(&l);
	layout_release(&l);
	return err;
}

int graph_parse(struct span bytes, struct graph **ret)
{
	struct graph *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;

	g->proto = tensorflow__trackable_object_graph__unpack(NULL, bytes.len,
							      bytes.data);
	err = g->proto ? lay_out(g, bytes.len) : -EIO;
	if (err)
		graph_free(g);
	else
		*ret = g;
	return err;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	tensorflow__trackable_object_graph__free_unpacked(g->proto, NULL);
	free(g->items);
	free(g);
}

const struct graph_item *graph_items(const struct graph *g, size_t *ret_n)
{
	*ret_n = g->n;
	return g->items;
}
