#include <string.h>

#include "core/objects_inside.h"

/* --- bytes of messages ------------------------------------------------------------- */

struct span objects_bytes(ProtobufCBinaryData data)
{
	return (struct span){ data.data, data.len };
}

bool objects_copy(struct span bytes, ProtobufCBinaryData *ret)
{
	ProtobufCBinaryData copy = { 0 };

	if (bytes.len) {
		copy.data = malloc(bytes.len);
		if (!copy.data)
			return false;
		memcpy(copy.data, bytes.data, bytes.len);
		copy.len = bytes.len;
	}
	*ret = copy;
	return true;
}

/* --- components ---------------------------------------------------------------------- */

void objects_escape(struct span name, struct buf *out)
{
	struct span byte;

	while (span_take(&name, 1, &byte)) {
		if (*byte.data == '.')
			buf_put(out, "..", 2);
		else if (*byte.data == '/')
			buf_put(out, ".S", 2);
		else
			buf_put(out, byte.data, 1);
	}
}

bool objects_unescape(struct span component, struct buf *out)
{
	struct span byte;

	while (span_take(&component, 1, &byte)) {
		if (*byte.data != '.') {
			buf_put(out, byte.data, 1);
			continue;
		}
		if (!span_take(&component, 1, &byte) ||
		    (*byte.data != '.' && *byte.data != 'S'))
			return false;
		buf_put(out, *byte.data == '.' ? "." : "/", 1);
	}
	return true;
}

/* Cuts what is before the first `mark`, and the mark, off `s`. */
static bool cut_before(struct span *s, const char *mark, struct span *ret)
{
	struct span m = span_of(mark);
	const uint8_t *at = s->len ? memmem(s->data, s->len, m.data, m.len)
				   : NULL;
	struct span skipped;

	return at && span_take(s, (size_t)(at - s->data), ret) &&
	       span_take(s, m.len, &skipped);
}

bool objects_split_home(struct span key, struct span *ret_home,
			struct span *ret_attribute)
{
	struct span home;

	if (!cut_before(&key, OBJECTS_ATTRIBUTES, &home))
		return false;
	*ret_home = home;
	*ret_attribute = key;
	return true;
}

/* `optimizer/path/slot`: the slot has no slash. */
static bool split_slot(struct span rest, struct objects_key_parts *parts)
{
	const uint8_t *slash = rest.len ? memrchr(rest.data, '/', rest.len)
					: NULL;
	struct span skipped;

	if (!slash)
		return false;
	parts->is_slot = true;
	(void)span_take(&rest, (size_t)(slash - rest.data), &parts->optimizer);
	(void)span_take(&rest, 1, &skipped);
	parts->slot = rest;
	return true;
}

bool objects_split_key(struct span key, struct objects_key_parts *ret)
{
	struct objects_key_parts parts = { 0 };
	struct span home;

	if (!objects_split_home(key, &home, &parts.attribute))
		return false;
	if (cut_before(&home, OBJECTS_SLOT, &parts.path)) {
		if (!split_slot(home, &parts))
			return false;
	} else {
		parts.path = home;
	}
	*ret = parts;
	return true;
}

/* --- from the root -------------------------------------------------------------------- */

static void follow(struct edge *e, const struct objects_node *parent,
		   struct objects_node *child)
{
	if (child->id == OBJECTS_ROOT || child->via)
		return;
	child->via = e;
	child->depth = parent->depth + 1;
	child->reached = true;
}

/* Cuts the first component off a path, and undoes its escapes. */
static bool next_component(struct span *path, bool *ret_last, struct buf *name)
{
	struct span component;

	*ret_last = !cut_before(path, "/", &component);
	name->len = 0;
	return objects_unescape(*ret_last ? *path : component, name) &&
	       !buf_error(name);
}

/* Where a path leads; with `following`, it becomes the path of all on it that have none. */
static size_t walk(const struct objects *o, struct span path, bool following)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	size_t at = OBJECTS_ROOT;
	bool last = path.len == 0;

	while (!last) {
		struct edge *e;

		if (!next_component(&path, &last, &name))
			return OBJECTS_NONE;
		e = objects_find_edge(o, at, buf_span(&name));
		if (!e)
			return OBJECTS_NONE;
		if (following)
			follow(e, objects_node(o, at),
			       objects_node(o, e->shown.child));
		at = e->shown.child;
	}
	return at;
}

static size_t walk_slot(const struct objects *o,
			const struct objects_key_parts *parts)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	size_t variable = walk(o, parts->path, false);
	size_t optimizer = walk(o, parts->optimizer, false);

	if (variable == OBJECTS_NONE || optimizer == OBJECTS_NONE ||
	    !objects_unescape(parts->slot, &name) || buf_error(&name))
		return OBJECTS_NONE;
	return objects_slot(o, variable, optimizer, buf_span(&name));
}

size_t objects_resolve_key(const struct objects *o, struct span key)
{
	struct objects_key_parts parts;

	if (!objects_split_key(key, &parts))
		return OBJECTS_NONE;
	return parts.is_slot ? walk_slot(o, &parts)
			     : walk(o, parts.path, false);
}

static void follow_key(const struct objects *o, const struct objects_node *n)
{
	struct span key = objects_bytes(
		n->message->attributes[n->value == OBJECTS_NONE ? 0 : n->value]
			->checkpoint_key);
	struct objects_key_parts parts;

	if (!objects_split_key(key, &parts) ||
	    objects_resolve_key(o, key) != n->id)
		return;
	(void)walk(o, parts.path, true);
	if (parts.is_slot)
		(void)walk(o, parts.optimizer, true);
}

void objects_follow_keys(struct objects *o)
{
	for (size_t i = 0; i < o->nodes.n; i++)
		if (objects_node(o, i)->message->n_attributes)
			follow_key(o, objects_node(o, i));
}

/* --- to the root ----------------------------------------------------------------------- */

static bool cut_end(struct span *s, const char *text)
{
	struct span t = span_of(text);

	if (s->len < t.len || memcmp(s->data + s->len - t.len, t.data, t.len))
		return false;
	s->len -= t.len;
	return true;
}

/* Cuts `name`, escaped, off the end. */
static bool cut_name(struct span *s, struct span name)
{
	while (name.len) {
		uint8_t byte = name.data[--name.len];

		if (byte == '.' || byte == '/') {
			if (!cut_end(s, byte == '.' ? ".." : ".S"))
				return false;
			continue;
		}
		if (s->len == 0 || s->data[s->len - 1] != byte)
			return false;
		s->len--;
	}
	return true;
}

/* Cuts the path of `n` off the end; takes no longer than what it cuts. */
static bool cut_path(const struct objects *o, const struct objects_node *n,
		     struct span *s)
{
	while (n->id != OBJECTS_ROOT) {
		if (!n->via || !cut_name(s, n->via->shown.name))
			return false;
		n = objects_node(o, n->via->shown.parent);
		if (n->id != OBJECTS_ROOT && !cut_end(s, "/"))
			return false;
	}
	return true;
}

static bool is_path(const struct objects *o, const struct objects_node *n,
		    struct span s)
{
	const struct objects_slot *slot;

	if (!n->via_slot)
		return cut_path(o, n, &s) && s.len == 0;
	slot = &n->via_slot->shown;
	return cut_name(&s, slot->name) && cut_end(&s, "/") &&
	       cut_path(o, objects_node(o, slot->optimizer), &s) &&
	       cut_end(&s, OBJECTS_SLOT) &&
	       cut_path(o, objects_node(o, slot->variable), &s) && s.len == 0;
}

static int put_edges(const struct objects *o, const struct objects_node *n,
		     struct buf *out)
{
	const struct edge *edges[OBJECTS_MAX_DEPTH];
	size_t count = 0;

	for (; n->id != OBJECTS_ROOT;
	     n = objects_node(o, n->via->shown.parent)) {
		if (!n->via)
			return -ENOENT;
		if (count == OBJECTS_MAX_DEPTH)
			return -ENAMETOOLONG;
		edges[count++] = n->via;
	}
	for (size_t i = count; i-- > 0;) {
		if (edges[i]->shown.name.len > OBJECTS_MAX_PATH ||
		    out->len > OBJECTS_MAX_PATH)
			return -ENAMETOOLONG;
		objects_escape(edges[i]->shown.name, out);
		if (i > 0)
			buf_put(out, "/", 1);
	}
	return buf_error(out);
}

static int put_slot_path(const struct objects *o,
			 const struct objects_slot *slot, struct buf *out)
{
	int err = put_edges(o, objects_node(o, slot->variable), out);

	if (err)
		return err;
	buf_put(out, OBJECTS_SLOT, strlen(OBJECTS_SLOT));
	err = put_edges(o, objects_node(o, slot->optimizer), out);
	if (err)
		return err;
	buf_put(out, "/", 1);
	if (slot->name.len > OBJECTS_MAX_PATH)
		return -ENAMETOOLONG;
	objects_escape(slot->name, out);
	return buf_error(out);
}

int objects_put_path(const struct objects *o, const struct objects_node *n,
		     struct buf *out)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	int err = n->via_slot ? put_slot_path(o, &n->via_slot->shown, &path)
			      : put_edges(o, n, &path);

	if (!err && path.len > OBJECTS_MAX_PATH)
		err = -ENAMETOOLONG;
	if (!err)
		buf_put(out, path.data, path.len);
	return err ? err : buf_error(out);
}

int objects_make_key(const struct objects *o, size_t id, const char *attribute,
		     struct buf *out)
{
	int err = objects_put_path(o, objects_node(o, id), out);

	if (err)
		return err;
	buf_put(out, OBJECTS_ATTRIBUTES, strlen(OBJECTS_ATTRIBUTES));
	objects_escape(span_of(attribute), out);
	return buf_error(out);
}

/* --- homes ------------------------------------------------------------------------------ */

static struct span home_of(struct span key)
{
	struct span home, attribute;

	return objects_split_home(key, &home, &attribute) ? home : key;
}

static struct objects_node *owner_of(struct objects_name *name)
{
	return name ? name->owner : NULL;
}

void objects_find_home(struct objects_node *n)
{
	const objects_message *m = n->message;

	n->value = OBJECTS_NONE;
	for (size_t i = 0; i < m->n_attributes; i++) {
		if (!span_equal(objects_bytes(m->attributes[i]->name),
				span_of(OBJECTS_VALUE)))
			continue;
		n->value = i;
		break;
	}
	if (m->n_attributes)
		n->home.name = home_of(objects_bytes(
			m->attributes[n->value == OBJECTS_NONE ? 0 : n->value]
				->checkpoint_key));
}

void objects_enter_home(struct objects *o, struct objects_node *n)
{
	n->has_home = n->message->n_attributes > 0;
	if (!n->has_home)
		return;
	n->home.owner = n;
	n->home.a = OBJECTS_NONE;
	n->home.b = OBJECTS_NONE;
	objects_index_put(&o->index, &n->home);
}

void objects_leave_home(struct objects *o, struct objects_node *n)
{
	if (n->has_home)
		objects_index_drop(&o->index, &n->home);
	n->has_home = false;
	n->placed = false;
}

void objects_see_place(const struct objects *o, struct objects_node *n)
{
	n->placed = n->has_home && n->reached && is_path(o, n, n->home.name);
}

struct objects_node *objects_first_at(const struct objects *o, struct span home)
{
	return owner_of(objects_index_find(&o->index, OBJECTS_NONE,
					   OBJECTS_NONE, home));
}

struct objects_node *objects_next_at(const struct objects_node *n)
{
	return owner_of(objects_index_next(&n->home));
}

size_t objects_find_key(const struct objects *o, struct span key)
{
	const struct objects_node *n = objects_first_at(o, home_of(key));
	struct span value;

	while (n && !(objects_key(o, n->id, &value) && span_equal(value, key)))
		n = objects_next_at(n);
	return n ? n->id : OBJECTS_NONE;
}

size_t objects_find_owner(const struct objects *o, struct span key)
{
	const struct objects_node *n = objects_first_at(o, home_of(key));

	return n ? n->id : OBJECTS_NONE;
}
