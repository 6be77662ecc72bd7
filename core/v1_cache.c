#include "core/v1_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/v1_value.h"

#define KEPT      8
#define BYTES_MAX (UINT64_C(32) << 20) /* of all that are kept */

struct kept {
	struct buf key;
	struct v1_value *value;
};

struct v1_cache {
	pthread_mutex_t lock;
	struct kept kept[KEPT]; /* the latest first */
	size_t n;
	uint64_t bytes;
};

int v1_cache_new(struct v1_cache **ret)
{
	struct v1_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

static void drop_last(struct v1_cache *c)
{
	struct kept *last = &c->kept[--c->n];

	c->bytes -= v1_value_size(last->value);
	v1_value_unref(last->value);
	buf_release(&last->key);
	*last = (struct kept){ 0 };
}

void v1_cache_free(struct v1_cache *c)
{
	if (!c)
		return;
	while (c->n > 0)
		drop_last(c);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Makes the i-th the first. */
static void make_first(struct v1_cache *c, size_t i)
{
	struct kept k = c->kept[i];

	for (; i > 0; i--)
		c->kept[i] = c->kept[i - 1];
	c->kept[0] = k;
}

struct v1_value *v1_cache_get(struct v1_cache *c, struct span key)
{
	LOCK_SCOPE(&c->lock);
	for (size_t i = 0; i < c->n; i++)
		if (span_equal(buf_span(&c->kept[i].key), key)) {
			make_first(c, i);
			return v1_value_ref(c->kept[0].value);
		}
	return NULL;
}

void v1_cache_put(struct v1_cache *c, struct span key, struct v1_value *v)
{
	struct kept k = { .value = v };

	if (v1_value_size(v) > BYTES_MAX)
		return;
	buf_put(&k.key, key.data, key.len);
	if (buf_error(&k.key)) {
		buf_release(&k.key);
		return;
	}
	LOCK_SCOPE(&c->lock);
	while (c->n == KEPT ||
	       (c->n > 0 && c->bytes + v1_value_size(v) > BYTES_MAX))
		drop_last(c);
	c->bytes += v1_value_size(v);
	(void)v1_value_ref(v);
	c->kept[c->n++] = k;
	make_first(c, c->n - 1);
}
