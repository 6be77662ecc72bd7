#include "core/bond.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph.h"

#define SLOTS "slots"

/* How far a walk from the root has come. */
struct walk {
	struct objects *o;
	bool make;
	bool literal;   /* from here on names are those of keys */
	bool slots;     /* they are those of slots, of `at` */
	bool companion; /* the last scope was NAME.d */
	size_t at;
	size_t optimizer;
};

static bool is(struct span name, const char *text)
{
	return span_equal(name, span_of(text));
}

/* TensorFlow escapes names, so that none of an edge looks so in a key. */
static bool is_keyword(struct span name)
{
	return is(name, ".ATTRIBUTES") || is(name, ".OPTIMIZER_SLOT");
}

static size_t child_of(const struct walk *w, size_t id, struct span name)
{
	return id == OBJECTS_NONE ? OBJECTS_NONE
				  : objects_child(w->o, id, name);
}

static int follow(const struct walk *w, size_t *at, struct span name)
{
	size_t child = child_of(w, *at, name);

	if (child == OBJECTS_NONE && w->make && *at != OBJECTS_NONE) {
		int r = objects_add(w->o, *at, name, &child);

		if (r < 0)
			return r;
	}
	*at = child;
	return 0;
}

static int step(struct walk *w, struct span name, bool dotted)
{
	bool companion = w->companion;

	w->companion = dotted;
	if (w->literal)
		return 0;
	if (w->slots)
		return follow(w, &w->optimizer, name);
	if (child_of(w, w->at, name) == OBJECTS_NONE) {
		w->literal = is_keyword(name);
		w->slots = companion && is(name, SLOTS);
	}
	return w->literal || w->slots ? 0 : follow(w, &w->at, name);
}

/* Scopes from the root down to `scope`, without the root; to be freed. */
static int way_to(const struct node *scope, const struct node ***ret,
		  size_t *ret_n)
{
	const struct node **way;
	size_t n = 0;

	for (const struct node *at = scope; node_parent(at);
	     at = node_parent(at))
		n++;
	way = calloc(n + 1, sizeof(*way));
	if (!way)
		return -ENOMEM;
	*ret_n = n;
	for (const struct node *at = scope; node_parent(at);
	     at = node_parent(at))
		way[--n] = at;
	*ret = way;
	return 0;
}

static int walk(struct walk *w, const struct node *scope)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(free_ptr) const struct node **way = NULL;
	size_t n = 0;
	int r = way_to(scope, &way, &n);

	w->at = w->optimizer = OBJECTS_ROOT;
	for (size_t i = 0; r == 0 && i < n; i++) {
		name.len = 0;
		r = node_put_component(way[i], &name);
		if (r == 0)
			r = step(w, buf_span(&name), node_dotted(way[i]));
	}
	return r;
}

static int find(struct walk *w, const struct node *scope, struct span component,
		struct bond *ret)
{
	int r = walk(w, scope);

	if (r < 0)
		return r;
	*ret = (struct bond){ .kind = BOND_EDGE,
			      .owner = w->at,
			      .optimizer = OBJECTS_NONE,
			      .name = component,
			      .id = OBJECTS_NONE };
	if (w->literal) {
		ret->kind = BOND_NONE;
	} else if (w->slots) {
		ret->kind = BOND_SLOT;
		ret->optimizer = w->optimizer;
		if (w->at != OBJECTS_NONE && w->optimizer != OBJECTS_NONE)
			ret->id = objects_slot(w->o, w->at, w->optimizer,
					       component);
	} else {
		ret->id = child_of(w, w->at, component);
		if (ret->id == OBJECTS_NONE &&
		    (is_keyword(component) ||
		     (!node_parent(scope) && is(component, GRAPH_KEY))))
			ret->kind = BOND_NONE;
	}
	return 0;
}

int bond_find(struct objects *o, const struct node *scope,
	      struct span component, struct bond *ret)
{
	struct walk w = { .o = o };

	return find(&w, scope, component, ret);
}

int bond_make(struct objects *o, const struct node *scope,
	      struct span component, struct bond *ret)
{
	struct walk w = { .o = o, .make = true };

	return find(&w, scope, component, ret);
}

int bond_of_scope(struct objects *o, const struct node *scope, size_t *ret)
{
	struct walk w = { .o = o };
	int r = walk(&w, scope);

	if (r == 0)
		*ret = w.literal || w.slots ? OBJECTS_NONE : w.at;
	return r;
}

int bond_cut(struct objects *o, const struct bond *b)
{
	int r = -ENOENT;

	if (b->owner == OBJECTS_NONE || b->owner >= objects_count(o))
		return 0;
	if (b->kind == BOND_EDGE)
		r = objects_unlink(o, b->owner, b->name);
	else if (b->kind == BOND_SLOT && b->optimizer != OBJECTS_NONE &&
		 b->optimizer < objects_count(o))
		r = objects_remove_slot(o, b->owner, b->optimizer, b->name);
	return r == -ENOENT ? 0 : r;
}

int bond_put_key(const struct bond *b, const struct node *scope,
		 struct buf *out)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	CLEANUP(free_ptr) const struct node **way = NULL;
	bool companion = false;
	size_t n = 0;
	int r = way_to(scope, &way, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		name.len = 0;
		r = node_put_component(way[i], &name);
		if (b->kind == BOND_SLOT && companion &&
		    is(buf_span(&name), SLOTS))
			buf_printf(out, ".OPTIMIZER_SLOT");
		else if (b->kind == BOND_NONE)
			buf_put(out, name.data, name.len);
		else
			objects_escape(buf_span(&name), out);
		buf_put(out, "/", 1);
		companion = node_dotted(way[i]);
	}
	if (b->kind == BOND_NONE) {
		buf_put(out, b->name.data, b->name.len);
	} else {
		objects_escape(b->name, out);
		buf_printf(out, OBJECTS_ATTRIBUTES OBJECTS_VALUE);
	}
	return r < 0 ? r : buf_error(out);
}

/* --- as bytes ---------------------------------------------------------------- */

/* No key of a variable begins with NUL. */
struct head {
	char zero;
	char kind;
	size_t owner;
	size_t optimizer;
};

void bond_put(const struct bond *b, struct buf *out)
{
	struct head h;

	memset(&h, 0, sizeof(h));
	h.kind = (char)b->kind;
	h.owner = b->owner;
	h.optimizer = b->optimizer;
	buf_put(out, &h, sizeof(h));
	buf_put(out, b->name.data, b->name.len);
}

bool bond_get(struct span text, struct bond *ret)
{
	struct head h;

	if (text.len < sizeof(h))
		return false;
	memcpy(&h, text.data, sizeof(h));
	*ret = (struct bond){ .kind = (enum bond_kind)h.kind,
			      .owner = h.owner,
			      .optimizer = h.optimizer,
			      .name = { text.data + sizeof(h),
					text.len - sizeof(h) },
			      .id = OBJECTS_NONE };
	return h.zero == 0;
}
