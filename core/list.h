/* list.h - a growing array of pointers, borrowed or owned as its owner says */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct list {
	void **items;
	size_t n;
	size_t cap;
};

/* 0 or -ENOMEM; `items` is to be freed by the owner. */
static inline int list_add(struct list *l, void *item)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		void **items = reallocarray(l->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->cap = cap;
	}
	l->items[l->n++] = item;
	return 0;
}
