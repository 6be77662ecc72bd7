#include "core/pending.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* For how long removals gather while there are more and more of them. */
#define GATHER_MS UINT64_C(4000)

struct doom {
	struct span id;  /* of `bytes`: the key, or what stands for a bond */
	struct span key; /* of `bytes`: what goes, if that is known */
	bool bond;
	uint64_t due;
	uint8_t bytes[];
};

struct pending {
	struct edit *edit;
	uint64_t changes;
	void *by_key; /* of tsearch(3): dooms */
	size_t n;
};

static int compare_keys(const void *a, const void *b)
{
	const struct doom *da = a, *db = b;

	return span_compare(da->id, db->id);
}

int pending_new(struct pending **ret)
{
	struct pending *p = calloc(1, sizeof(*p));
	int r = p ? edit_new(&p->edit) : -ENOMEM;

	if (r < 0)
		free(p);
	else
		*ret = p;
	return r;
}

void pending_free(struct pending *p)
{
	if (!p)
		return;
	tdestroy(p->by_key, free);
	edit_free(p->edit);
	free(p);
}

struct edit *pending_edit(const struct pending *p)
{
	return p->edit;
}

struct edit *pending_take(struct pending *p)
{
	struct edit *taken = p->edit;
	struct edit *empty;

	if (edit_new(&empty) < 0)
		return NULL;
	p->edit = empty;
	return taken;
}

uint64_t pending_changes(const struct pending *p)
{
	return p->changes;
}

void pending_clear(struct pending *p)
{
	edit_free(pending_take(p));
	tdestroy(p->by_key, free);
	p->by_key = NULL;
	p->n = 0;
}

void pending_touch(struct pending *p)
{
	p->changes++;
}

int pending_put(struct pending *p, struct entry *entry, struct variable *v)
{
	p->changes++;
	(void)pending_rescue(p, entry_key(entry));
	return edit_put(p->edit, entry, v);
}

int pending_remove(struct pending *p, struct span key)
{
	int r = edit_remove(p->edit, key);

	p->changes++;
	(void)pending_rescue(p, key); /* perhaps whose key it is */
	return r;
}

/* One block of memory; the key is `id` itself, unless it is a bond. */
static struct doom *doom_new(struct span id, bool bond, struct span key)
{
	size_t extra = bond ? key.len : 0;
	struct doom *d = malloc(sizeof(*d) + id.len + extra);

	if (!d)
		return NULL;
	if (id.len)
		memcpy(d->bytes, id.data, id.len);
	if (extra)
		memcpy(d->bytes + id.len, key.data, extra);
	d->id = (struct span){ d->bytes, id.len };
	d->key = bond ? (struct span){ d->bytes + id.len, extra } : d->id;
	d->bond = bond;
	return d;
}

static int enter(struct pending *p, struct doom *d, uint64_t due)
{
	struct doom **at;

	if (!d)
		return -ENOMEM;
	d->due = due;
	(void)pending_rescue(p, d->id);
	at = tsearch(d, &p->by_key, compare_keys);
	if (!at) {
		free(d);
		return -ENOMEM;
	}
	p->n++;
	return 0;
}

int pending_doom(struct pending *p, struct span key, uint64_t due)
{
	return enter(p, doom_new(key, false, key), due);
}

int pending_doom_bond(struct pending *p, struct span bond, struct span key,
		      uint64_t due)
{
	return enter(p, doom_new(bond, true, key), due);
}

bool pending_rescue(struct pending *p, struct span key)
{
	struct doom wanted = { .id = key };
	struct doom **at = tfind(&wanted, &p->by_key, compare_keys);
	struct doom *d = at ? *at : NULL;

	if (!d)
		return false;
	(void)tdelete(d, &p->by_key, compare_keys);
	p->n--;
	free(d);
	return true;
}

size_t pending_doomed(const struct pending *p)
{
	return p->n;
}

/* All dooms, by key; borrowed. */
struct walk {
	struct doom **at;
};

static void gather(const void *node, VISIT visit, void *arg)
{
	struct walk *w = arg;

	if (visit == postorder || visit == leaf)
		*w->at++ = *(struct doom *const *)node;
}

static struct doom **gather_all(const struct pending *p)
{
	struct doom **all = calloc(p->n + 1, sizeof(struct doom *));
	struct walk w = { all };

	if (all)
		twalk_r(p->by_key, gather, &w);
	return all;
}

/* Whether what is due is to go now: not while more and more comes, as rm -r has it. */
static bool is_ripe(struct doom *const *all, size_t n, uint64_t now)
{
	uint64_t oldest = UINT64_MAX;
	bool more = false;

	for (size_t i = 0; i < n; i++) {
		oldest = all[i]->due < oldest ? all[i]->due : oldest;
		more |= all[i]->due > now;
	}
	return oldest <= now && (!more || now - oldest >= GATHER_MS);
}

void pending_ripen(struct pending *p, const struct bundle *disk, uint64_t now,
		   void (*cut)(void *arg, struct span bond), void *arg)
{
	CLEANUP(free_ptr) struct doom **all = gather_all(p);
	size_t n = p->n;

	if (!all || !is_ripe(all, n, now))
		return;
	for (size_t i = 0; i < n; i++) {
		struct doom *d = all[i];

		if (d->due > now)
			continue;
		if (d->bond)
			cut(arg, d->id);
		if (!d->bond && ((disk && bundle_find(disk, d->key)) ||
				 edit_find(p->edit, d->key)))
			(void)pending_remove(p, d->key);
		else
			(void)pending_rescue(p, d->id);
	}
}

int pending_each_doomed(struct pending *p,
			int (*each)(void *arg, struct span key), void *arg)
{
	CLEANUP(free_ptr) struct doom **all = gather_all(p);
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < p->n; i++)
		if (all[i]->key.len)
			r = each(arg, all[i]->key);
	return r;
}
