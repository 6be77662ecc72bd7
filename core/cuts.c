#include "core/cuts.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

struct cut {
	struct span name;
	struct span component;
	uint8_t bytes[]; /* of both */
};

struct cuts {
	pthread_mutex_t lock; /* for what follows */
	void *by_name;        /* of tsearch(3) */
};

static int compare_names(const void *a, const void *b)
{
	const struct cut *ca = a, *cb = b;

	return span_compare(ca->name, cb->name);
}

int cuts_new(struct cuts **ret)
{
	struct cuts *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void cuts_free(struct cuts *c)
{
	if (!c)
		return;
	tdestroy(c->by_name, free);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

int cuts_add(struct cuts *c, struct span name, struct span component)
{
	struct cut *cut = malloc(sizeof(*cut) + name.len + component.len);
	struct cut **at;

	if (!cut)
		return -ENOMEM;
	memcpy(cut->bytes, name.data, name.len);
	memcpy(cut->bytes + name.len, component.data, component.len);
	cut->name = (struct span){ cut->bytes, name.len };
	cut->component = (struct span){ cut->bytes + name.len, component.len };

	LOCK_SCOPE(&c->lock);
	at = tsearch(cut, &c->by_name, compare_names);
	if (!at || *at != cut)
		free(cut); /* the first to have the name keeps it */
	return at ? 0 : -ENOMEM;
}

int cuts_find(struct cuts *c, struct span name, struct buf *out)
{
	struct cut wanted = { .name = name };
	struct cut **at;

	LOCK_SCOPE(&c->lock);
	at = tfind(&wanted, &c->by_name, compare_names);
	if (!at)
		return -ENOENT;
	buf_put(out, (*at)->component.data, (*at)->component.len);
	return buf_error(out);
}
