#include "core/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "core/tree_inside.h"

static struct node *node_new(struct tree *t, enum node_kind kind,
			     struct span name, struct span raw)
{
	struct node *n = calloc(1, sizeof(*n) + name.len + raw.len);

	if (!n)
		return NULL;
	atomic_init(&n->refs, 1);
	n->kind = kind;
	n->shows = kind == NODE_VARIABLE ? SHOWS_ALL : SHOWS_VALUE;
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
size_t tree_bucket(const struct tree *t, const struct node *parent,
		   enum tree_side side, struct span name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ t->seed ^ parent->id ^
		     (side == TREE_SCOPE ? UINT64_C(1) << 63 : 0);

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h & (t->n_buckets - 1);
}

struct node **tree_slot(const struct tree *t, const struct node *parent,
			enum tree_side side, struct span name)
{
	struct node **at = &t->buckets[tree_bucket(t, parent, side, name)];

	while (*at && !((*at)->parent == parent && node_side(*at) == side &&
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
			size_t to = tree_bucket(&larger, n->parent,
						node_side(n), n->name);

			t->buckets[i] = n->next;
			n->next = larger.buckets[to];
			larger.buckets[to] = n;
		}
	}
	free(t->buckets);
	/* Only these: the root is read without a lock. */
	t->buckets = larger.buckets;
	t->n_buckets = larger.n_buckets;
	return 0;
}

int tree_new(uint64_t (*next_id)(void *arg), tree_observer *observer, void *arg,
	     struct cuts *cuts, uint64_t root_id, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->next_id = next_id;
	t->observer = observer;
	t->arg = arg;
	t->cuts = cuts;
	(void)getrandom(&t->seed, sizeof(t->seed), 0);
	r = grow_buckets(t);
	if (r == 0) {
		t->root = node_new(t, NODE_SCOPE, (struct span){ 0 },
				   (struct span){ 0 });
		r = t->root ? 0 : -ENOMEM;
	}
	if (r == 0 && root_id)
		t->root->id = root_id;
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

struct cuts *tree_cuts(const struct tree *t)
{
	return t->cuts;
}

/* Tells that what shows under the name of `n` is not what it was. */
void tree_tell(const struct tree *t, const struct node *n)
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
void tree_make_dotted(struct tree *t, struct node *scope)
{
	if (scope->dotted)
		return;
	tree_tell(t, scope);
	scope->dotted = true;
	tree_tell(t, scope);
}

/* Enters a new node, which the tree then owns, and settles who has the `.d`. */
int tree_enter(struct tree *t, struct node *parent, struct node *n)
{
	struct node **slot;
	int r = node_add_child(parent, n);

	if (r < 0)
		return r;
	if (++t->n_nodes > t->n_buckets)
		(void)grow_buckets(t); /* without it, only slower */
	n->parent = parent;
	n->generation = t->generation;
	slot = &t->buckets[tree_bucket(t, parent, node_side(n), n->name)];
	n->next = *slot;
	*slot = n;
	if (n->raw.len && t->cuts)
		(void)cuts_add(t->cuts, n->name, n->raw);
	tree_tell(t, n);
	return 0;
}

/* Another component of the same length of hash: only where someone tried. */
static bool collides(const struct node *n, struct span component)
{
	return name_is_cut(n->name) && !span_equal(n->raw, component);
}

/* A scope that shares its name with a variable or link shows as NAME.d from now on. */
void tree_settle_dot(struct tree *t, struct node *parent, struct span name)
{
	struct node *scope = *tree_slot(t, parent, TREE_SCOPE, name);
	const struct node *other = *tree_slot(t, parent, TREE_FILE, name);

	if (scope && other && scope->generation == t->generation &&
	    other->generation == t->generation && other->shows & SHOWS_VALUE)
		tree_make_dotted(t, scope);
}

int tree_find_put(const struct tree *t, const struct node *parent,
		  enum tree_side side, struct span component, bool escape,
		  struct put *ret)
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
		ret->node = *tree_slot(t, parent, side, buf_span(&ret->name));
		if (!ret->node || !collides(ret->node, component))
			return 0;
	}
}

int tree_put_scope(struct tree *t, struct node *parent, struct span component,
		   struct node **ret)
{
	struct put put = { 0 };
	int r = tree_find_put(t, parent, TREE_SCOPE, component, false, &put);

	if (r == 0 && !put.node) {
		put.node = node_new(t, NODE_SCOPE, buf_span(&put.name),
				    put.raw);
		r = put.node ? tree_enter(t, parent, put.node) : -ENOMEM;
		if (r < 0)
			node_unref(STEAL(put.node));
	}
	if (r == 0) {
		node_set_ghost(put.node, false);
		put.node->generation = t->generation;
		tree_settle_dot(t, parent, put.node->name);
		*ret = put.node;
	}
	buf_release(&put.name);
	return r;
}

/* Makes `n`, a variable or a link, lead to `v` or `target`. */
void tree_lead_node(struct tree *t, struct node *n, struct variable *v,
		    struct node *target)
{
	struct variable *old_variable = n->variable;
	struct node *old_target = n->target;

	if (n->ghost)
		n->since = 0;
	node_delist(n);
	n->shows = v ? SHOWS_ALL : SHOWS_VALUE;
	n->kind = v ? NODE_VARIABLE : NODE_LINK;
	n->variable = v ? variable_ref(v) : NULL;
	n->target = target ? node_ref(target) : NULL;
	node_enlist(n);
	if (v)
		variable_add_link(v, 1);
	else if (n->id == 0)
		n->id = t->next_id(t->arg);

	if (old_variable && !n->ghost)
		variable_add_link(old_variable, -1);
	node_set_ghost(n, false);
	variable_unref(old_variable);
	node_unref(old_target);
}

/* One of `v` and `target` is NULL. */
int tree_put_file(struct tree *t, struct node *parent, const struct put *put,
		  struct variable *v, struct node *target, struct node **ret)
{
	struct node *n = put->node;
	int r;

	if (n && !n->ghost && n->variable == v && n->target == target) {
		n->generation = t->generation;
		n->kept = false;
		tree_show(t, n, v ? SHOWS_ALL : SHOWS_VALUE);
		*ret = n;
		return 0;
	}
	if (n && n->generation == t->generation)
		return -EEXIST;
	if (n) {
		/* A variable has more names than a link. */
		if (n->variable && !v)
			tree_tell(t, n);
		n->generation = t->generation;
		n->kept = false;
		tree_lead_node(t, n, v, target);
		tree_tell(t, n);
		*ret = n;
		return 0;
	}
	n = node_new(t, v ? NODE_VARIABLE : NODE_LINK, buf_span(&put->name),
		     put->raw);
	if (!n)
		return -ENOMEM;
	tree_lead_node(t, n, v, target);
	r = tree_enter(t, parent, n);
	if (r < 0) {
		node_delist(n);
		node_unref(n);
	} else {
		*ret = n;
	}
	return r;
}

int tree_put_variable(struct tree *t, struct node *parent,
		      struct span component, bool escape, struct variable *v,
		      struct node **ret)
{
	struct put put = { 0 };
	int r = tree_find_put(t, parent, TREE_FILE, component, escape, &put);

	if (r == 0)
		r = tree_put_file(t, parent, &put, v, NULL, ret);
	if (r == 0)
		tree_settle_dot(t, parent, (*ret)->name);
	buf_release(&put.name);
	return r;
}

int tree_put_link(struct tree *t, struct node *parent, struct span component,
		  struct node *target)
{
	struct put put = { 0 };
	struct node *n;
	int r = tree_find_put(t, parent, TREE_FILE, component, false, &put);

	if (r == 0)
		r = tree_put_file(t, parent, &put, NULL, target, &n);
	if (r == 0)
		tree_settle_dot(t, parent, n->name);
	buf_release(&put.name);
	return r;
}

/* Takes `n` out of the table of names, and its variable's count of links. */
void tree_leave(struct tree *t, struct node *n)
{
	struct node **at =
		&t->buckets[tree_bucket(t, n->parent, node_side(n), n->name)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	t->n_nodes--;
	if (n->variable && !n->ghost)
		variable_add_link(n->variable, -1);
	n->parent->n_ghosts -= n->ghost;
	node_delist(n);
	tree_tell(t, n);
	/* Links to it say where it was; without memory they say nothing. */
	if (n->kind == NODE_SCOPE && atomic_load(&n->refs) > 1)
		(void)node_put_path(n, &n->text);
	n->dead = true;
	n->parent = NULL;
	node_unref(n);
}

void tree_begin(struct tree *t)
{
	t->root->generation = ++t->generation;
}

static bool survives(const struct tree *t, const struct node *n)
{
	return n->generation == t->generation || (n->kept && !n->ghost) ||
	       (n->kind == NODE_SCOPE && n->n_children > 0);
}

/* Drops the children of `scope` that are of an earlier generation. */
static void sweep(struct tree *t, struct node *scope, bool all)
{
	size_t kept = 0;

	for (size_t i = 0; i < scope->n_children; i++) {
		struct node *n = scope->children[i];

		if (all || !survives(t, n)) {
			tree_leave(t, n);
			continue;
		}
		n->generation = t->generation;
		scope->children[kept++] = n;
	}
	scope->n_children = kept;
}

/*
 * Calls `each` for each scope, children before parents: a walk that keeps no more
 * than where it is, since trees may be as deep as a file is long.
 */
static void each_scope(
	struct tree *t,
	void (*each)(struct tree *t, struct node *scope, bool all), bool all)
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
			each(t, at, all);
			place = at->place + 1;
			at = at->parent;
		}
	}
}

void tree_end(struct tree *t)
{
	each_scope(t, sweep, false);
	t->told = true;
}

static void forget_scope(struct tree *t, struct node *scope, bool all)
{
	(void)t;
	(void)all;
	scope->kept = false;
}

void tree_forget_scopes(struct tree *t)
{
	each_scope(t, forget_scope, true);
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	t->told = false;
	if (t->root)
		each_scope(t, sweep, true);
	node_unref(t->root);
	free(t->buckets);
	free(t);
}

struct node *tree_find_file(const struct tree *t, const struct node *scope,
			    struct span stem)
{
	return *tree_slot(t, scope, TREE_FILE, stem);
}

struct node *tree_find_variable(const struct tree *t, const struct node *scope,
				struct span stem)
{
	struct node *n = *tree_slot(t, scope, TREE_FILE, stem);

	return n && n->kind == NODE_VARIABLE ? n : NULL;
}

struct node *tree_find(const struct tree *t, const struct node *scope,
		       struct span name)
{
	struct span stem = name;
	bool dotted = name_split(name, &stem) == NAME_SCOPE;
	struct node *n = NULL;

	if (!dotted)
		n = *tree_slot(t, scope, TREE_FILE, name);
	if (n && !n->ghost && n->shows & SHOWS_VALUE)
		return n;
	n = *tree_slot(t, scope, TREE_SCOPE, dotted ? stem : name);
	return n && n->dotted == dotted ? n : NULL;
}

struct node *tree_find_scope(const struct tree *t, const struct node *parent,
			     struct span component)
{
	struct put put = { 0 };
	int r = tree_find_put(t, parent, TREE_SCOPE, component, false, &put);

	buf_release(&put.name);
	return r == 0 ? put.node : NULL;
}

struct node *tree_find_key(const struct tree *t, struct span key)
{
	struct node *at = t->root;
	struct put put = { 0 };
	const uint8_t *slash;
	int r;

	while (at && key.len && (slash = memchr(key.data, '/', key.len))) {
		size_t len = (size_t)(slash - key.data);

		at = tree_find_scope(t, at, (struct span){ key.data, len });
		key.data += len + 1;
		key.len -= len + 1;
	}
	if (!at)
		return NULL;
	r = tree_find_put(t, at, TREE_FILE, key, false, &put);
	buf_release(&put.name);
	return r == 0 && put.node && put.node->kind == NODE_VARIABLE ? put.node
								     : NULL;
}

void tree_show(struct tree *t, struct node *n, unsigned shows)
{
	if (n->shows == shows)
		return;
	n->shows = (uint8_t)shows;
	tree_tell(t, n);
	if (n->parent)
		tree_settle_dot(t, n->parent, n->name);
}
