#include "core/tree.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "core/name.h"

struct node {
	atomic_uint refs;
	enum node_kind kind;
	bool dotted; /* a scope that shows as NAME.d */
	bool dead;
	unsigned generation; /* of the last put */
	uint64_t id;         /* scopes and links; a variable has its own */
	uint64_t place;      /* among its siblings */
	struct node *parent; /* not counted: children go before it */
	struct node *next;   /* in the same bucket */
	struct variable *variable;
	struct node *target;    /* of a link; counted */
	struct node **children; /* of a scope, by place; counted */
	size_t n_children;
	size_t cap_children;
	struct span name; /* as it shows, without `.d` */
	struct span raw;  /* the component, of a cut name only */
	uint8_t bytes[];  /* of name and raw */
};

struct tree {
	struct node *root;
	unsigned generation;
	bool told; /* whether the observer is: not while a tree is first built */
	uint64_t next_place;
	struct node **buckets; /* by parent, class and name */
	uint64_t seed;    /* so that nobody makes names that share a bucket */
	size_t n_buckets; /* a power of two */
	size_t n_nodes;
	uint64_t (*next_id)(void *arg);
	tree_observer *observer;
	void *arg;
};

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
	free(n);
}

static struct node *node_new(struct tree *t, enum node_kind kind,
			     struct span name, struct span raw)
{
	struct node *n = calloc(1, sizeof(*n) + name.len + raw.len);

	if (!n)
		return NULL;
	atomic_init(&n->refs, 1);
	n->kind = kind;
	n->id = kind == NODE_VARIABLE ? 0 : t->next_id(t->arg);
	n->place = t->next_place++;
	if (name.len)
		memcpy(n->bytes, name.data, name.len);
	if (raw.len)
		memcpy(n->bytes + name.len, raw.data, raw.len);
	n->name = (struct span){ n->bytes, name.len };
	n->raw = (struct span){ n->bytes + name.len, raw.len };
	return n;
}

/*
 * Scopes are found apart from what is no scope: so NAME and NAME.d have one name.
 * FNV-1a, seeded.
 */
static size_t bucket_of(const struct tree *t, const struct node *parent,
			bool scope, struct span name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ t->seed ^ parent->id ^
		     (scope ? UINT64_C(1) << 63 : 0);

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h & (t->n_buckets - 1);
}

static struct node **find_slot(const struct tree *t, const struct node *parent,
			       bool scope, struct span name)
{
	struct node **at = &t->buckets[bucket_of(t, parent, scope, name)];

	while (*at && !((*at)->parent == parent &&
			((*at)->kind == NODE_SCOPE) == scope &&
			span_equal((*at)->name, name)))
		at = &(*at)->next;
	return at;
}

static int grow_buckets(struct tree *t)
{
	struct tree larger = *t;

	larger.n_buckets = t->n_buckets ? 2 * t->n_buckets : 64;
	larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
	if (!larger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		while (t->buckets[i]) {
			struct node *n = t->buckets[i];
			size_t to = bucket_of(&larger, n->parent,
					      n->kind == NODE_SCOPE, n->name);

			t->buckets[i] = n->next;
			n->next = larger.buckets[to];
			larger.buckets[to] = n;
		}
	}
	free(t->buckets);
	*t = larger;
	return 0;
}

int tree_new(uint64_t (*next_id)(void *arg), tree_observer *observer, void *arg,
	     struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->next_id = next_id;
	t->observer = observer;
	t->arg = arg;
	(void)getrandom(&t->seed, sizeof(t->seed), 0);
	r = grow_buckets(t);
	if (r == 0) {
		t->root = node_new(t, NODE_SCOPE, (struct span){ 0 },
				   (struct span){ 0 });
		r = t->root ? 0 : -ENOMEM;
	}
	if (r < 0)
		tree_free(t);
	else
		*ret = t;
	return r;
}

struct node *tree_root(const struct tree *t)
{
	return t->root;
}

/* Tells that what shows under the name of `n` is not what it was. */
static void tell(const struct tree *t, const struct node *n)
{
	static const enum name_suffix sidecars[] = { NAME_PLAIN, NAME_SHAPE,
						     NAME_DTYPE };
	size_t names = n->kind == NODE_VARIABLE ? 3 : 1;

	for (size_t i = 0; t->told && i < names; i++) {
		CLEANUP(buf_release) struct buf name = { 0 };

		node_put_name(n, &name);
		buf_printf(&name, "%s", name_suffix_text(sidecars[i]));
		if (!buf_error(&name))
			t->observer(t->arg, n->parent->id, buf_span(&name));
	}
}

/* From here on a scope of the name shows as NAME.d. */
static void make_dotted(struct tree *t, struct node *scope)
{
	if (scope->dotted)
		return;
	tell(t, scope);
	scope->dotted = true;
	tell(t, scope);
}

static int add_child(struct node *parent, struct node *n)
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

/* Enters a new node, which the tree then owns, and settles who has the `.d`. */
static int enter(struct tree *t, struct node *parent, struct node *n)
{
	bool scope = n->kind == NODE_SCOPE;
	struct node **slot;
	int r = add_child(parent, n);

	if (r < 0)
		return r;
	if (++t->n_nodes > t->n_buckets)
		(void)grow_buckets(t); /* without it, only slower */
	n->parent = parent;
	n->generation = t->generation;
	slot = &t->buckets[bucket_of(t, parent, scope, n->name)];
	n->next = *slot;
	*slot = n;
	tell(t, n);
	return 0;
}

/* Where a component stands, or would: its name, settled against cut ones. */
struct put {
	struct buf name;
	struct span raw;   /* kept if the name is cut */
	struct node *node; /* what has the name, or NULL */
};

/* Another component of the same length of hash: only where someone tried. */
static bool collides(const struct node *n, struct span component)
{
	return name_is_cut(n->name) && !span_equal(n->raw, component);
}

/* A scope that shares its name with a variable or link shows as NAME.d from now on. */
static void settle_dot(struct tree *t, struct node *parent, struct span name)
{
	struct node *scope = *find_slot(t, parent, true, name);
	const struct node *other = *find_slot(t, parent, false, name);

	if (scope && other && scope->generation == t->generation &&
	    other->generation == t->generation)
		make_dotted(t, scope);
}

static int find_put(struct tree *t, struct node *parent, bool scope,
		    struct span component, bool escape, struct put *ret)
{
	for (unsigned attempt = 0;; attempt++) {
		ret->name.len = 0;
		if (escape)
			name_encode_escaped(component, attempt, &ret->name);
		else
			name_encode(component, parent == t->root, attempt,
				    &ret->name);
		if (buf_error(&ret->name))
			return buf_error(&ret->name);
		ret->raw = name_is_cut(buf_span(&ret->name))
				   ? component
				   : (struct span){ 0 };
		ret->node = *find_slot(t, parent, scope, buf_span(&ret->name));
		if (!ret->node || !collides(ret->node, component))
			return 0;
	}
}

int tree_put_scope(struct tree *t, struct node *parent, struct span component,
		   struct node **ret)
{
	struct put put = { 0 };
	int r = find_put(t, parent, true, component, false, &put);

	if (r == 0 && !put.node) {
		put.node = node_new(t, NODE_SCOPE, buf_span(&put.name),
				    put.raw);
		r = put.node ? enter(t, parent, put.node) : -ENOMEM;
		if (r < 0)
			node_unref(STEAL(put.node));
	}
	if (r == 0) {
		put.node->generation = t->generation;
		settle_dot(t, parent, put.node->name);
		*ret = put.node;
	}
	buf_release(&put.name);
	return r;
}

/* Makes `n`, a variable or a link, lead to `v` or `target`. */
static void lead(struct tree *t, struct node *n, struct variable *v,
		 struct node *target)
{
	struct variable *old_variable = n->variable;
	struct node *old_target = n->target;

	n->kind = v ? NODE_VARIABLE : NODE_LINK;
	n->variable = v ? variable_ref(v) : NULL;
	n->target = target ? node_ref(target) : NULL;
	if (v)
		variable_add_link(v, 1);
	else if (n->id == 0)
		n->id = t->next_id(t->arg);

	if (old_variable)
		variable_add_link(old_variable, -1);
	variable_unref(old_variable);
	node_unref(old_target);
}

/* One of `v` and `target` is NULL. */
static int put_file(struct tree *t, struct node *parent, const struct put *put,
		    struct variable *v, struct node *target, struct node **ret)
{
	struct node *n = put->node;
	int r;

	if (n && n->variable == v && n->target == target) {
		n->generation = t->generation;
		*ret = n;
		return 0;
	}
	if (n && n->generation == t->generation)
		return -EEXIST;
	if (n) {
		/* A variable has more names than a link. */
		if (n->variable && !v)
			tell(t, n);
		n->generation = t->generation;
		lead(t, n, v, target);
		tell(t, n);
		*ret = n;
		return 0;
	}
	n = node_new(t, v ? NODE_VARIABLE : NODE_LINK, buf_span(&put->name),
		     put->raw);
	if (!n)
		return -ENOMEM;
	lead(t, n, v, target);
	r = enter(t, parent, n);
	if (r < 0)
		node_unref(n);
	else
		*ret = n;
	return r;
}

int tree_put_variable(struct tree *t, struct node *parent,
		      struct span component, bool escape, struct variable *v,
		      struct node **ret)
{
	struct put put = { 0 };
	int r = find_put(t, parent, false, component, escape, &put);

	if (r == 0)
		r = put_file(t, parent, &put, v, NULL, ret);
	if (r == 0)
		settle_dot(t, parent, (*ret)->name);
	buf_release(&put.name);
	return r;
}

int tree_put_link(struct tree *t, struct node *parent, struct span component,
		  struct node *target)
{
	struct put put = { 0 };
	struct node *n;
	int r = find_put(t, parent, false, component, false, &put);

	if (r == 0)
		r = put_file(t, parent, &put, NULL, target, &n);
	if (r == 0)
		settle_dot(t, parent, n->name);
	buf_release(&put.name);
	return r;
}

/* Takes `n` out of the table of names, and its variable's count of links. */
static void leave(struct tree *t, struct node *n)
{
	struct node **at = &t->buckets[bucket_of(
		t, n->parent, n->kind == NODE_SCOPE, n->name)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->n_nodes--;
	if (n->variable)
		variable_add_link(n->variable, -1);
	tell(t, n);
	n->dead = true;
	n->parent = NULL;
	node_unref(n);
}

void tree_begin(struct tree *t)
{
	t->root->generation = ++t->generation;
}

/* Drops the children of `scope` that are of an earlier generation. */
static void sweep(struct tree *t, struct node *scope, bool all)
{
	size_t kept = 0;

	for (size_t i = 0; i < scope->n_children; i++) {
		struct node *n = scope->children[i];

		if (all || n->generation != t->generation)
			leave(t, n);
		else
			scope->children[kept++] = n;
	}
	scope->n_children = kept;
}

/*
 * Calls sweep() for each scope, children before parents: a walk that keeps no more
 * than where it is, since trees may be as deep as a file is long.
 */
static void sweep_all(struct tree *t, bool all)
{
	struct node *at = t->root;
	uint64_t place = 0;

	while (at) {
		uint64_t next;
		struct node *child = node_child_at(at, place, &next);

		if (child && child->kind == NODE_SCOPE) {
			at = child;
			place = 0;
		} else if (child) {
			place = next + 1;
		} else {
			sweep(t, at, all);
			place = at->place + 1;
			at = at->parent;
		}
	}
}

void tree_end(struct tree *t)
{
	sweep_all(t, false);
	t->told = true;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	t->told = false;
	if (t->root)
		sweep_all(t, true);
	node_unref(t->root);
	free(t->buckets);
	free(t);
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

bool node_dead(const struct node *n)
{
	return n->dead;
}

size_t node_children(const struct node *n)
{
	return n->n_children;
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

	if (link->target->dead)
		return -ENOENT;
	for (size_t i = 1; i < up; i++)
		buf_printf(out, "../");
	if (link->target->parent)
		return node_put_path(link->target, out);
	buf_printf(out, ".");
	return buf_error(out);
}

struct node *tree_find_variable(const struct tree *t, const struct node *scope,
				struct span stem)
{
	struct node *n = *find_slot(t, scope, false, stem);

	return n && n->kind == NODE_VARIABLE ? n : NULL;
}

struct node *tree_find(const struct tree *t, const struct node *scope,
		       struct span name)
{
	struct span stem = name;
	bool dotted = name_split(name, &stem) == NAME_SCOPE;
	struct node *n = NULL;

	if (!dotted)
		n = *find_slot(t, scope, false, name);
	if (n)
		return n;
	n = *find_slot(t, scope, true, dotted ? stem : name);
	return n && n->dotted == dotted ? n : NULL;
}

struct node *node_child_at(const struct node *scope, uint64_t place,
			   uint64_t *ret_place)
{
	size_t low = 0, high = scope->n_children;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (scope->children[mid]->place < place)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == scope->n_children)
		return NULL;
	*ret_place = scope->children[low]->place;
	return scope->children[low];
}
