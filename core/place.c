#include "core/place.h"

#include <errno.h>
#include <string.h>

#include "core/cuts.h"

/* The component of a cut name: of what has it, or had it. */
static int find_cut(const struct tree *t, const struct place *p,
		    struct span stem, struct buf *out)
{
	struct node *n = tree_find_variable(t, p->parent, stem);

	if (!n)
		n = tree_find(t, p->parent, p->name);
	if (n)
		return node_put_component(n, out);
	return tree_cuts(t) ? cuts_find(tree_cuts(t), stem, out) : -ENOENT;
}

int place_find(const struct tree *t, struct node *parent, struct span name,
	       struct place *ret)
{
	struct place p = { .parent = parent, .name = name };
	struct span stem;
	int r;

	p.suffix = name_split(name, &stem);
	r = name_decode(stem, !node_parent(parent), &p.component);
	if (r == -ENOENT)
		r = find_cut(t, &p, stem, &p.component);
	if (r < 0) {
		place_release(&p);
		return r == -ENOENT ? -EINVAL : r;
	}
	p.variable = tree_find_file(t, parent, stem);
	p.scope = tree_find_scope(t, parent, buf_span(&p.component));
	p.new_slash = !p.variable && !p.scope && p.component.len &&
		      memchr(p.component.data, '/', p.component.len);
	*ret = p;
	return 0;
}

void place_release(struct place *p)
{
	buf_release(&p->component);
	*p = (struct place){ 0 };
}

struct node *place_node(const struct place *p)
{
	bool dotted = p->suffix == NAME_SCOPE;

	if (p->suffix == NAME_SHAPE || p->suffix == NAME_DTYPE)
		return NULL;
	if (!dotted && p->variable && !node_ghost(p->variable) &&
	    node_shows(p->variable) & SHOWS_VALUE)
		return p->variable;
	return p->scope && !node_ghost(p->scope) &&
			       node_dotted(p->scope) == dotted
		       ? p->scope
		       : NULL;
}

int place_put_key(const struct place *p, struct buf *out)
{
	size_t before = out->len;
	struct span key;

	if (node_parent(p->parent)) {
		int r = node_put_key(p->parent, out);

		if (r < 0)
			return r;
		buf_put(out, "/", 1);
	}
	buf_put(out, p->component.data, p->component.len);
	if (buf_error(out))
		return buf_error(out);
	key = (struct span){ out->data + before, out->len - before };
	/* The header's key, and those of slices. */
	return key.len == 0 || key.data[0] == 0 ? -EINVAL : 0;
}
