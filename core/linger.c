#include "core/linger.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/item.h"

/* For a tool to set mode and times by the name, on a busy machine too. */
#define LINGER_MS 5000

static void drop_first(struct linger *l)
{
	item_die(l->items[0]);
	item_unref(l->items[0]);
	l->n--;
	memmove(l->items, l->items + 1, l->n * sizeof(*l->items));
	memmove(l->since_ms, l->since_ms + 1, l->n * sizeof(*l->since_ms));
}

/* They stand in the order in which they came. */
static void drop_old(struct linger *l)
{
	while (l->n > 0 && clock_ms() - l->since_ms[0] > LINGER_MS)
		drop_first(l);
}

void linger_add(struct linger *l, struct item *i)
{
	struct item **items;
	uint64_t *since;

	drop_old(l);
	items = reallocarray(l->items, l->n + 1, sizeof(struct item *));
	if (items)
		l->items = items;
	since = reallocarray(l->since_ms, l->n + 1, sizeof(*since));
	if (since)
		l->since_ms = since;
	if (!items || !since) {
		item_die(i);
		item_unref(i);
		return;
	}
	l->items[l->n] = i;
	l->since_ms[l->n++] = clock_ms();
}

struct item *linger_find(struct linger *l, struct span name)
{
	drop_old(l);
	for (size_t i = l->n; i-- > 0;)
		if (span_equal(span_of(item_name(l->items[i])), name))
			return l->items[i];
	return NULL;
}

void linger_release(struct linger *l)
{
	while (l->n > 0)
		drop_first(l);
	free(l->items);
	free(l->since_ms);
	*l = (struct linger){ 0 };
}
