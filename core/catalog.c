#include "core/catalog.h"

#include <errno.h>
#include <stdlib.h>

#include "core/checkpoint_config.h"
#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/graph.h"
#include "core/layout.h"
#include "core/list.h"
#include "core/log.h"
#include "core/v1_record.h"

#define GRAPH_MAX_SIZE (UINT64_C(2) << 30) /* as for any protobuf */

struct catalog {
	const struct checkpoint_config *config;
	const char *label;
	struct bundle *disk;
	struct variable **variables; /* of the entries of `disk`, in order */
	struct tree *tree;
	bool objects;          /* whose names these are */
	struct objects *graph; /* the present one; NULL if it cannot be changed */
	uint64_t adoptions;
	size_t n_given; /* objects that the graph had when it came */
	struct stat first;
};

static void drop_variables(struct variable **variables, size_t n)
{
	for (size_t i = 0; variables && i < n; i++)
		variable_unref(variables[i]);
	free(variables);
}

void catalog_set_disk(struct catalog *c, struct bundle *next)
{
	struct bundle *old = c->disk;

	c->disk = bundle_ref(next);
	bundle_unref(old);
}

static size_t count(const struct catalog *c)
{
	return c->disk ? bundle_count(c->disk) : 0;
}

int catalog_new(const struct checkpoint_config *config, const char *label,
		uint64_t root_id, struct catalog **ret)
{
	struct catalog *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->config = config;
	c->label = label;
	r = tree_new(config->next_id, config->observer, config->arg,
		     config->cuts, root_id, &c->tree);
	if (r < 0)
		free(c);
	else
		*ret = c;
	return r;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	tree_free(c->tree);
	drop_variables(c->variables, count(c));
	bundle_unref(c->disk);
	objects_free(c->graph);
	free(c);
}

void catalog_set_label(struct catalog *c, const char *label)
{
	c->label = label;
}

struct bundle *catalog_bundle(const struct catalog *c)
{
	return c->disk;
}

struct tree *catalog_tree(const struct catalog *c)
{
	return c->tree;
}

bool catalog_objects(const struct catalog *c)
{
	return c->objects;
}

struct objects *catalog_graph(const struct catalog *c)
{
	return c->graph;
}

void catalog_set_graph(struct catalog *c, struct objects *graph)
{
	objects_free(c->graph);
	c->graph = graph;
	c->objects = graph;
	c->n_given = graph ? objects_count(graph) : 0;
	c->adoptions++;
}

size_t catalog_given(const struct catalog *c)
{
	return c->n_given;
}

uint64_t catalog_adoptions(const struct catalog *c)
{
	return c->adoptions;
}

const struct stat *catalog_first(const struct catalog *c)
{
	return &c->first;
}

/* V1 files are opened anew with each state: the same entry in another is another. */
static bool same_record(const struct entry *a, const struct entry *b)
{
	const struct v1_record *ra = entry_v1(a), *rb = entry_v1(b);

	return ra == rb ||
	       (ra && rb && v1_record_file(ra) == v1_record_file(rb));
}

static bool same_bytes(const struct entry *a, const struct entry *b)
{
	return entry_shard(a) == entry_shard(b) && same_record(a, b) &&
	       span_equal(entry_raw(a), entry_raw(b));
}

/* A partitioned variable is what its slices are. */
static bool same_entry(const struct entry *a, const struct entry *b)
{
	bool same = same_bytes(a, b);

	for (size_t i = 0; same && i < entry_slices(a); i++) {
		const struct entry *pa = entry_part(a, i);
		const struct entry *pb = entry_part(b, i);

		same = pa && pb ? same_bytes(pa, pb) : pa == pb;
	}
	return same;
}

/* The variable that had the key of `e`: both states are sorted, `at` walks along. */
static struct variable *find_old(const struct catalog *c, const struct entry *e,
				 size_t *at)
{
	for (; *at < count(c); ++*at) {
		struct entry *old = bundle_entry(c->disk, *at);
		int order = span_compare(entry_key(e), entry_key(old));

		if (order <= 0)
			return order == 0 ? c->variables[*at] : NULL;
	}
	return NULL;
}

/*
 * The variables of a new state: those that are there, where their bytes on disk are
 * still the same and nothing was written over them; else new ones.
 */
static int carry(const struct catalog *c, const struct bundle *next,
		 bool (*overwritten)(void *arg, struct variable *v), void *arg,
		 struct variable **variables)
{
	size_t at = 0;

	for (size_t i = 0; i < bundle_count(next); i++) {
		struct entry *e = bundle_entry(next, i);
		struct variable *v = find_old(c, e, &at);
		uint64_t id;
		int r;

		if (v && same_entry(bundle_entry(c->disk, at), e) &&
		    !overwritten(arg, v)) {
			variables[i] = variable_ref(v);
			continue;
		}
		id = c->config->next_id(c->config->arg);
		r = variable_new(e, entry_key(e), c->label, c->config->verify,
				 id, &variables[i]);
		if (r == 0 && v)
			variable_stand_in(variables[i], v);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The bytes of an object graph, which are in `ret`; none if it is something else. */
static int read_graph_bytes(const struct catalog *c, struct entry *e,
			    struct reading *ret)
{
	CLEANUP(value_unrefp) struct value *v = NULL;
	int r;

	if (!e || c->config->raw || entry_dtype(e) != DT_STRING ||
	    entry_shape(e).rank != 0 || entry_size(e) > GRAPH_MAX_SIZE)
		return 0;
	r = value_new(e, c->label, true, &v);
	if (r == 0)
		r = value_read(v, value_size(v), 0, ret);
	return r;
}

/* Both to lay out names and to change them; neither if it cannot be used. */
static int read_graph(const struct catalog *c, struct entry *e,
		      struct graph **ret, struct objects **ret_objects)
{
	struct reading reading = { 0 };
	struct span bytes;
	int r = read_graph_bytes(c, e, &reading);

	bytes = (struct span){ reading.data, reading.n };
	if (r == 0 && reading.value && ret)
		r = graph_parse(bytes, ret);
	if (r == 0 && reading.value)
		r = objects_parse(bytes, ret_objects);
	if (r == -EIO && ret && *ret)
		r = 0; /* one without objects: it has names, and stays as it is */
	reading_release(&reading);
	if (r == 0 || r == -ENOMEM)
		return r;
	log_error("%s: its object graph cannot be used, so its variables show "
		  "under their keys",
		  c->label);
	return 0;
}

int catalog_read_graph(const struct catalog *c, struct entry *e,
		       struct objects **ret)
{
	*ret = NULL;
	return read_graph(c, e, NULL, ret);
}

/* Of variables that have names, each counted: also those that no state on disk had. */
static void named_release(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		variable_unref(l->items[i]);
	free(l->items);
}

static int note_named(void *arg, struct node *n)
{
	int r = list_add(arg, node_variable(n));

	if (r == 0)
		(void)variable_ref(node_variable(n));
	return r;
}

static void bury_one(struct variable *v, bool overtaken)
{
	if (variable_links(v) > 0)
		return;
	if (overtaken)
		variable_overtake(v);
	else
		variable_kill(v);
}

/* Who lost the last name is dead. */
static void bury(const struct catalog *c, const struct list *named,
		 bool overtaken)
{
	for (size_t i = 0; i < named->n; i++)
		bury_one(named->items[i], overtaken);
	for (size_t i = 0; i < count(c); i++)
		if (c->variables[i])
			bury_one(c->variables[i], overtaken);
}

/*
 * What was taken over is on disk since, and goes with what is there; or somebody else's
 * save has overtaken it, and then it is kept elsewhere.
 */
static int unkeep_stored(void *arg, struct node *n)
{
	struct variable *v = node_variable(n);

	(void)arg;
	if (variable_stored(v) && !variable_is_new(v))
		node_keep(n, false);
	return 0;
}

int catalog_adopt(struct catalog *c, struct bundle *next,
		  bool (*overwritten)(void *arg, struct variable *v), void *arg)
{
	size_t n = bundle_count(next);
	struct variable **variables = calloc(n + 1, sizeof(struct variable *));
	CLEANUP(objects_freep) struct objects *objects = NULL;
	CLEANUP(graph_freep) struct graph *graph = NULL;
	CLEANUP(named_release) struct list named = { 0 };
	int r = variables ? carry(c, next, overwritten, arg, variables)
			  : -ENOMEM;

	if (r == 0)
		r = read_graph(c, bundle_find(next, span_of(GRAPH_KEY)), &graph,
			       &objects);
	if (r == 0)
		r = node_each_variable(tree_root(c->tree), note_named, &named);
	if (r == 0)
		r = node_each_variable(tree_root(c->tree), unkeep_stored, NULL);
	if (r == 0)
		r = layout_put(c->tree, next, variables, graph);
	if (r < 0) {
		drop_variables(variables, n);
		return r;
	}
	catalog_set_graph(c, STEAL(objects));
	c->objects = graph;
	bury(c, &named, next != c->disk);
	drop_variables(c->variables, count(c));
	if (!c->disk)
		c->first = *bundle_stat(next);
	c->variables = variables;
	catalog_set_disk(c, next);
	return 0;
}

/* The variable that a commit has put under the key of `e`. */
static struct variable *find_new(const struct edit *edit, const struct entry *e)
{
	const struct change *changes = edit_sorted(edit);
	size_t low = 0, high = edit_count(edit);

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (span_compare(changes[mid].key, entry_key(e)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == edit_count(edit) ||
	    !span_equal(changes[low].key, entry_key(e)))
		return NULL;
	return edit_variable(edit, low);
}

int catalog_advance(struct catalog *c, struct bundle *next,
		    const struct edit *edit)
{
	size_t n = bundle_count(next);
	struct variable **variables = calloc(n + 1, sizeof(struct variable *));
	size_t at = 0;

	if (!variables)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct entry *e = bundle_entry(next, i);
		struct variable *v = find_new(edit, e);
		struct entry *was = NULL;

		if (v)
			was = edit_find(edit, entry_key(e));
		else
			v = find_old(c, e, &at);
		if (v && !was)
			was = bundle_entry(c->disk, at);
		if (v)
			variable_follow(v, was, e);
		variables[i] = v ? variable_ref(v) : NULL;
	}
	drop_variables(c->variables, count(c));
	c->variables = variables;
	catalog_set_disk(c, next);
	return 0;
}

void catalog_clear(struct catalog *c, bool overtaken)
{
	CLEANUP(named_release) struct list named = { 0 };

	(void)node_each_variable(tree_root(c->tree), note_named, &named);
	tree_begin(c->tree);
	tree_end(c->tree);
	bury(c, &named, overtaken);
	drop_variables(c->variables, count(c));
	c->variables = NULL;
	bundle_unref(STEAL(c->disk));
}
