/* The object graph as a value: one that comes, and the present one for a commit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/elements.h"
#include "core/extent.h"
#include "core/graph.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/workspace_graph.h"
#include "core/workspace_inside.h"

#define WRITTEN_CHUNK ((size_t)1 << 20)

/* --- to the disk ------------------------------------------------------------------- */

static int read_proto(void *arg, void *buf, size_t n, uint64_t at)
{
	const struct buf *proto = arg;

	memcpy(buf, proto->data + at, n);
	return 0;
}

static int put_bytes(void *arg, const void *data, size_t n)
{
	buf_put(arg, data, n);
	return buf_error(arg);
}

/* A scalar string as the bundle stores it. */
static int encode_string(struct buf *proto, bool big_endian, struct buf *ret,
			 uint32_t *ret_crc)
{
	const struct elements_source source = { .read = read_proto,
						.arg = proto,
						.fd = -1,
						.size = proto->len,
						.elements = 1,
						.dtype = DT_STRING };
	struct element one = { &source, 0, proto->len };
	const struct elements all = { &one, 1 };

	return elements_write(&all, DT_STRING, big_endian, put_bytes, ret,
			      ret_crc);
}

static int write_graph(struct workspace *ws, struct entry *old,
		       struct entry **ret)
{
	CLEANUP(buf_release) struct buf proto = { 0 };
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	CLEANUP(extent_unrefp) struct extent *x = NULL;
	uint32_t crc = 0;
	int r = objects_encode(workspace_graph(ws), &proto);

	if (r == 0)
		r = bundle_shard(catalog_bundle(ws->catalog), old, &shard);
	if (r == 0)
		r = encode_string(&proto, shard_big_endian(shard), &bytes,
				  &crc);
	if (r == 0)
		r = shard_reserve(shard, bytes.len, &x);
	if (r == 0)
		r = shard_write(shard, bytes.data, bytes.len, extent_offset(x));
	return r < 0 ? r
		     : entry_new(span_of(GRAPH_KEY), DT_STRING,
				 (struct shape){ 0 }, x, crc, ret);
}

/* Who has the old one open goes on reading it. */
static int show_graph(struct workspace *ws, struct node *n, struct entry *e)
{
	CLEANUP(variable_unrefp)
	struct variable *old = variable_ref(node_variable(n));
	CLEANUP(variable_unrefp) struct variable *v = NULL;
	int r = variable_new(e, span_of(GRAPH_KEY), ws->label,
			     ws->config->verify, workspace_next_id(ws), &v);

	if (r == 0)
		r = pending_put(ws->pending, e, v);
	if (r < 0)
		return r;
	variable_stand_in(v, old);
	variable_set_stored(old, false);
	tree_lead(workspace_tree(ws), n, v);
	return 0;
}

static struct node *graph_node(const struct workspace *ws)
{
	struct node *n = tree_find_variable(workspace_tree(ws),
					    tree_root(workspace_tree(ws)),
					    span_of(GRAPH_KEY));

	return n && !node_ghost(n) ? n : NULL;
}

int workspace_put_graph(struct workspace *ws)
{
	CLEANUP(entry_unrefp) struct entry *old = NULL;
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	struct objects *o = workspace_graph(ws);
	struct node *n = o ? graph_node(ws) : NULL;
	int r = o ? workspace_resolve_links(ws) : 0;

	if (r < 0 || !o || !objects_changed(o))
		return r;
	/* Removed: it is not to be there, whatever else changes. */
	old = n ? variable_entry(node_variable(n)) : NULL;
	if (!old) {
		objects_settle(o);
		return 0;
	}
	r = write_graph(ws, old, &e);
	if (r == 0)
		r = show_graph(ws, n, e);
	if (r == 0)
		objects_settle(o);
	else
		log_error("%s: its object graph cannot be written: %s",
			  ws->label, strerror(-r));
	return r;
}

/* --- at the end ---------------------------------------------------------------------- */

/* Whether the index has nothing under the key, and nothing is about to come. */
static bool is_missing(struct workspace *ws, size_t id, struct span key)
{
	struct variable *v = workspace_bound(ws, id);

	return (!v || variable_is_new(v) || !variable_stored(v)) &&
	       !edit_find(pending_edit(ws->pending), key) &&
	       !bundle_find(catalog_bundle(ws->catalog), key);
}

int workspace_drop_missing(struct workspace *ws)
{
	struct objects *o = workspace_graph(ws);
	size_t n = 0;
	int r = 0;

	if (!o || !ws->made)
		return 0;
	for (size_t id = 0; r == 0 && id < objects_count(o); id++) {
		struct span key;

		if (!objects_key(o, id, &key) || !is_missing(ws, id, key))
			continue;
		r = objects_clear_value(o, id);
		n++;
	}
	if (n == 0 || r < 0)
		return r;
	log_warning("%s: %zu variables are not in the object graph any more: "
		    "their values never came",
		    ws->label, n);
	return workspace_tidy(ws);
}

/* A slot of ours whose variable has no value; NULL if there is none from `*at` on. */
static const struct objects_slot *next_orphan(const struct workspace *ws,
					      size_t *at)
{
	const struct objects *o = workspace_graph(ws);

	for (; *at < objects_count(o); ++*at) {
		const struct objects_slot *s = NULL;
		struct span key;

		while ((s = objects_next_slot_in(o, *at, s)))
			if (s->slot >= catalog_given(ws->catalog) &&
			    !objects_key(o, s->variable, &key))
				return s;
	}
	return NULL;
}

int workspace_drop_orphans(struct workspace *ws)
{
	struct objects *o = workspace_graph(ws);
	const struct objects_slot *s;
	size_t at = 0, n = 0;
	int r = 0;

	while (o && r == 0 && (s = next_orphan(ws, &at))) {
		CLEANUP(buf_release) struct buf name = { 0 };
		size_t variable = s->variable, optimizer = s->optimizer;

		buf_put(&name, s->name.data, s->name.len);
		r = buf_error(&name);
		if (r == 0)
			r = objects_remove_slot(o, variable, optimizer,
						buf_span(&name));
		if (r == 0)
			r = objects_abandon(o, variable);
		n++;
	}
	if (n == 0 || r < 0)
		return r;
	log_warning("%s: %zu slots are not stored: the variable that they are "
		    "of has no value",
		    ws->label, n);
	return workspace_tidy(ws);
}

/* --- a graph that comes ------------------------------------------------------------- */

bool workspace_is_graph(struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };

	return variable_key(v, &key) == 0 &&
	       span_equal(buf_span(&key), span_of(GRAPH_KEY));
}

bool workspace_holds_graph(struct variable *v)
{
	return !variable_is_new(v) && workspace_is_graph(v);
}

bool workspace_takes_graph(const struct workspace *ws)
{
	return (ws->made || workspace_graph(ws)) && !ws->config->raw &&
	       !graph_node(ws);
}

int workspace_refuse_graph(const struct workspace *ws)
{
	log_error("%s: %s: not made: an object graph can be put, as a file, "
		  "only into a checkpoint that was made in this mount",
		  ws->label, GRAPH_KEY);
	return -EPERM;
}

int workspace_check_name(const struct workspace *ws, const struct node *n,
			 const struct place *to, bool exchanged)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	bool able = ws->config->raw || node_kind(n) != NODE_VARIABLE ||
		    (!exchanged && (ws->made || workspace_graph(ws)));
	int r = able ? 0 : place_put_key(to, &key);

	/* What stands may have a key that nothing can be made with: an empty one. */
	if (r == -EINVAL)
		return 0;
	return r == 0 && span_equal(buf_span(&key), span_of(GRAPH_KEY))
		       ? workspace_refuse_graph(ws)
		       : r;
}

/* --- a graph where there is one ------------------------------------------------------- */

bool workspace_has_graph(const struct workspace *ws)
{
	return workspace_graph(ws);
}

static int read_written(struct variable *v, struct objects **ret)
{
	CLEANUP(buf_release) struct buf bytes = { 0 };
	size_t n;
	int r;

	do {
		struct reading part = { 0 };

		r = variable_read(v, WRITTEN_CHUNK, bytes.len, &part);
		n = r < 0 ? 0 : part.n;
		buf_put(&bytes, part.data, n);
		reading_release(&part);
	} while (n > 0 && !buf_error(&bytes));
	if (r == 0)
		r = buf_error(&bytes);
	return r < 0 ? r : objects_parse(buf_span(&bytes), ret);
}

int workspace_check_written(const struct workspace *ws, struct variable *v)
{
	CLEANUP(objects_freep) struct objects *said = NULL;
	int r = read_written(v, &said);

	if (r == 0)
		r = objects_hold(workspace_graph(ws), said);
	if (r == 1 || r == -ENOMEM)
		return r == 1 ? 0 : r;
	log_error("%s: %s: not written: it says something else than the "
		  "present one, which follows the names in the mount and is "
		  "read-only; all other files are taken as they are",
		  ws->label, GRAPH_KEY);
	return -EPERM;
}

/* The present one, as it was written last; counted.  NULL if it has gone from the disk. */
static struct entry *present_graph(const struct workspace *ws)
{
	struct entry *e = edit_find(pending_edit(ws->pending),
				    span_of(GRAPH_KEY));

	if (!e)
		e = bundle_find(catalog_bundle(ws->catalog),
				span_of(GRAPH_KEY));
	return e ? entry_ref(e) : NULL;
}

/*
 * What says the same may have other numbers and keys, and those of the present one are what
 * the checkpoint is known by: that stays, also where it was removed a moment ago.
 */
int workspace_graph_written(struct workspace *ws, struct node *n)
{
	CLEANUP(variable_unrefp)
	struct variable *v = variable_ref(node_variable(n));
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(entry_unrefp) struct entry *present = present_graph(ws);
	int told = workspace_check_written(ws, v);
	int r = present ? 0 : write_graph(ws, e, &present);

	if (r == 0)
		r = show_graph(ws, n, present);
	return r < 0 ? r : told;
}

/* --- a graph that comes into what this mount has made ---------------------------------- */

/* What a path that is there already gets from the graph. */
struct mapped {
	struct node *node; /* counted */
	size_t id;
};

struct mapping {
	struct workspace *ws;
	struct objects *graph;
	struct mapped *all;
	size_t n;
	size_t cap;
};

static void mapping_release(struct mapping *m)
{
	for (size_t i = 0; i < m->n; i++)
		node_unref(m->all[i].node);
	free(m->all);
}

static int map_one(void *arg, struct node *n)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct mapping *m = arg;
	struct span key;
	struct bond b = { 0 };
	int r = node_put_component(n, &name);

	if (r == 0)
		r = bond_find(m->graph, node_parent(n), buf_span(&name), &b);
	if (r < 0 || b.id == OBJECTS_NONE || !objects_key(m->graph, b.id, &key))
		return r;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;
		struct mapped *all = reallocarray(m->all, cap, sizeof(*all));

		if (!all)
			return -ENOMEM;
		m->all = all;
		m->cap = cap;
	}
	m->all[m->n++] = (struct mapped){ node_ref(n), b.id };
	return 0;
}

/* Its name-based key is free. */
static int leave_key(struct workspace *ws, struct variable *v)
{
	CLEANUP(buf_release) struct buf key = { 0 };
	int r = variable_key(v, &key);

	return r < 0 || !variable_stored(v) || variable_is_new(v)
		       ? r
		       : pending_remove(ws->pending, buf_span(&key));
}

/* Several copies of one variable become that: the first that has a value stays. */
static int take_object(struct workspace *ws, struct node *n, size_t id)
{
	CLEANUP(variable_unrefp)
	struct variable *v = variable_ref(node_variable(n));
	struct variable *first = workspace_bound(ws, id);
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	CLEANUP(buf_release) struct buf copy = { 0 };
	struct span key = { 0 };
	int r;

	if (first && first != v && !variable_is_new(v)) {
		variable_set_stored(v, false);
		tree_lead(workspace_tree(ws), n, first);
		return 0;
	}
	(void)objects_key(workspace_graph(ws), id, &key);
	buf_put(&copy, key.data, key.len);
	r = variable_rename(v, buf_span(&copy));
	if (r < 0 || variable_is_new(v) || !variable_stored(v))
		return r;
	variable_set_loose(v, false);
	r = workspace_set_bound(ws, id, v);
	e = variable_entry(v);
	return r < 0 ? r : pending_put(ws->pending, e, v);
}

/* Keys of before that the graph has, too, are not those of its objects. */
static int map_all(struct workspace *ws, struct mapping *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = leave_key(ws, node_variable(m->all[i].node));
	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = take_object(ws, m->all[i].node, m->all[i].id);
	return r;
}

int workspace_graph_came(struct workspace *ws, struct variable *v)
{
	CLEANUP(mapping_release) struct mapping m = { .ws = ws };
	CLEANUP(objects_freep) struct objects *graph = NULL;
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	int r = e ? catalog_read_graph(ws->catalog, e, &graph) : 0;

	if (r < 0 || !graph)
		return r;
	variable_set_loose(v, false);
	m.graph = graph;
	r = node_each_variable(tree_root(workspace_tree(ws)), map_one, &m);
	if (r < 0)
		return r;
	catalog_set_graph(ws->catalog, STEAL(graph));
	workspace_forget_bound(ws);
	ws->bound_for = catalog_adoptions(ws->catalog);
	return map_all(ws, &m);
}
