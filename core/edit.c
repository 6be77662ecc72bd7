#include "core/edit.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/variable.h"

/* What becomes of a key: `change.key` is in `bytes`. */
struct item {
	struct change change; /* its entry is counted */
	struct variable *variable;
	uint8_t bytes[];
};

struct edit {
	void *by_key; /* of tsearch(3): items */
	size_t n;
	struct change *sorted; /* NULL until edit_sort() */
	struct variable **variables;
};

static int compare_keys(const void *a, const void *b)
{
	const struct item *ia = a, *ib = b;

	return span_compare(ia->change.key, ib->change.key);
}

static void item_free(void *arg)
{
	struct item *item = arg;

	entry_unref(item->change.entry);
	variable_unref(item->variable);
	free(item);
}

static struct item *item_new(struct span key, struct entry *entry,
			     struct variable *v)
{
	struct item *item = calloc(1, sizeof(*item) + key.len);

	if (!item)
		return NULL;
	if (key.len)
		memcpy(item->bytes, key.data, key.len);
	item->change.key = (struct span){ item->bytes, key.len };
	item->change.entry = entry ? entry_ref(entry) : NULL;
	item->variable = v ? variable_ref(v) : NULL;
	return item;
}

int edit_new(struct edit **ret)
{
	struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	*ret = e;
	return 0;
}

static void unsort(struct edit *e)
{
	free(STEAL(e->sorted));
	free(STEAL(e->variables));
}

void edit_free(struct edit *e)
{
	if (!e)
		return;
	tdestroy(e->by_key, item_free);
	unsort(e);
	free(e);
}

size_t edit_count(const struct edit *e)
{
	return e->n;
}

static struct item **find(const struct edit *e, struct span key)
{
	const struct item like = { .change = { .key = key } };

	return tfind(&like, &e->by_key, compare_keys);
}

static int put(struct edit *e, struct span key, struct entry *entry,
	       struct variable *v)
{
	struct item *item = item_new(key, entry, v);
	struct item **at;

	if (!item)
		return -ENOMEM;
	unsort(e);
	at = tsearch(item, &e->by_key, compare_keys);
	if (!at) {
		item_free(item);
		return -ENOMEM;
	}
	if (*at == item) {
		e->n++;
	} else {
		item_free(*at);
		*at = item;
	}
	return 0;
}

int edit_put(struct edit *e, struct entry *entry, struct variable *v)
{
	return put(e, entry_key(entry), entry, v);
}

int edit_remove(struct edit *e, struct span key)
{
	return put(e, key, NULL, NULL);
}

struct entry *edit_find(const struct edit *e, struct span key)
{
	struct item **at = find(e, key);

	return at ? (*at)->change.entry : NULL;
}

struct gathering {
	struct edit *e;
	size_t n;
};

static void gather(const void *node, VISIT visit, void *arg)
{
	const struct item *item = *(struct item *const *)node;
	struct gathering *g = arg;

	if (visit != postorder && visit != leaf)
		return;
	g->e->sorted[g->n] = item->change;
	g->e->variables[g->n++] = item->variable;
}

int edit_sort(struct edit *e)
{
	struct gathering g = { e, 0 };

	unsort(e);
	e->sorted = calloc(e->n + 1, sizeof(*e->sorted));
	e->variables = calloc(e->n + 1, sizeof(struct variable *));
	if (!e->sorted || !e->variables) {
		unsort(e);
		return -ENOMEM;
	}
	twalk_r(e->by_key, gather, &g);
	return 0;
}

int edit_add_older(struct edit *e, struct edit *older)
{
	int r = edit_sort(older);

	for (size_t i = 0; r == 0 && i < older->n; i++) {
		const struct change *c = &older->sorted[i];

		if (!find(e, c->key))
			r = put(e, c->key, c->entry, older->variables[i]);
	}
	return r;
}

bool edit_has(const struct edit *e, const struct entry *entry)
{
	struct item *const *at = find(e, entry_key(entry));

	return at && (*at)->change.entry == entry;
}

const struct change *edit_sorted(const struct edit *e)
{
	return e->sorted;
}

struct variable *edit_variable(const struct edit *e, size_t i)
{
	return e->variables[i];
}

int edit_replace(struct edit *e, size_t i, struct entry *entry)
{
	struct item **at = find(e, e->sorted[i].key);

	if (!at)
		return -EINVAL;
	entry_unref((*at)->change.entry);
	(*at)->change.entry = entry_ref(entry);
	e->sorted[i].entry = entry;
	return 0;
}
