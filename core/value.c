#include "core/value.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/content.h"
#include "core/dtype.h"
#include "core/log.h"
#include "core/spools.h"
#include "core/strings.h"

/* Smaller reads fault too much around them when they come from a map. */
#define MAP_MIN (UINT64_C(64) << 10)

/* What it reads in.  One that takes a file of its own comes and goes. */
struct opened {
	atomic_uint refs;
	struct content *content;
	struct strings
		*strings; /* of a string tensor, which reads in the content */
};

struct value {
	atomic_uint refs;
	struct entry *entry;
	char *name;
	bool verify;
	uint64_t size;
	struct spools *spools; /* borrowed from the entry; NULL: it stays open */
	struct spool_user user;
	pthread_mutex_t lock; /* for `opened`, where it does not stay */
	struct opened *opened;
};

static void opened_unref(struct opened *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	strings_free(o->strings);
	content_free(o->content);
	free(o);
}
DEFINE_CLEANUP(struct opened, opened_unref)

struct value *value_ref(struct value *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void value_unref(struct value *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	if (v->spools)
		spools_forget(v->spools, &v->user);
	opened_unref(v->opened);
	entry_unref(v->entry);
	(void)pthread_mutex_destroy(&v->lock);
	free(v->name);
	free(v);
}

static int open_it(const struct value *v, struct opened **ret)
{
	CLEANUP(opened_unrefp) struct opened *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	atomic_init(&o->refs, 1);
	r = content_open(v->entry, v->name, v->verify, &o->content);
	if (r == 0 && entry_dtype(v->entry) == DT_STRING)
		r = content_strings(o->content, &o->strings);
	if (r == 0)
		*ret = STEAL(o);
	return r;
}

/* It was not used for a while.  Where it is being opened again, it stays. */
static void drop(struct spool_user *u)
{
	struct value *v = (void *)((char *)u - offsetof(struct value, user));
	struct opened *o;

	if (pthread_mutex_trylock(&v->lock) != 0)
		return;
	o = STEAL(v->opened);
	(void)pthread_mutex_unlock(&v->lock);
	opened_unref(o);
}

/* Counted: what to read in; NULL, and why not. */
static struct opened *hold(struct value *v, int *ret_error)
{
	struct opened *o = NULL;
	int r = 0;

	if (v->spools)
		pthread_mutex_lock(&v->lock);
	if (!v->opened)
		r = open_it(v, &v->opened);
	if (r == 0) {
		o = v->opened;
		atomic_fetch_add(&o->refs, 1);
	}
	if (v->spools)
		(void)pthread_mutex_unlock(&v->lock);
	if (o && v->spools)
		spools_use(v->spools, &v->user, content_size(o->content));
	*ret_error = r;
	return o;
}

int value_new(struct entry *e, const char *name, bool verify,
	      struct value **ret)
{
	CLEANUP(value_unrefp) struct value *v = calloc(1, sizeof(*v));
	CLEANUP(opened_unrefp) struct opened *o = NULL;
	int r;

	if (!v)
		return -ENOMEM;
	atomic_init(&v->refs, 1);
	(void)pthread_mutex_init(&v->lock, NULL);
	v->user.drop = drop;
	v->entry = entry_ref(e);
	v->verify = verify;
	v->name = strdup(name);
	if (!v->name)
		return -ENOMEM;
	r = open_it(v, &v->opened);
	if (r < 0)
		return r;
	v->size = v->opened->strings ? strings_size(v->opened->strings)
				     : content_size(v->opened->content);
	if (content_made(v->opened->content))
		v->spools = entry_spools(e);
	o = hold(v, &r);
	if (o)
		*ret = STEAL(v);
	return r;
}

uint64_t value_size(const struct value *v)
{
	return v->size;
}

static int read_strings(const struct value *v, const struct opened *o,
			uint64_t offset, struct reading *ret)
{
	ssize_t got = strings_read(o->strings, ret->memory, ret->n, offset);

	if (got < 0) {
		log_error("%s: cannot be read: %s", v->name,
			  strerror((int)-got));
		return (int)got;
	}
	ret->n = (size_t)got;
	return 0;
}

static int read_memory(const struct value *v, const struct opened *o,
		       uint64_t offset, struct reading *ret)
{
	int r;

	ret->memory = malloc(ret->n);
	if (!ret->memory)
		return -ENOMEM;
	ret->data = ret->memory;
	r = o->strings ? read_strings(v, o, offset, ret)
		       : content_read(o->content, ret->memory, ret->n, offset);
	if (r < 0)
		free(STEAL(ret->memory));
	return r;
}

int value_read(struct value *v, size_t n, uint64_t offset, struct reading *ret)
{
	CLEANUP(opened_unrefp) struct opened *o = NULL;
	struct reading got = { 0 };
	int r;

	o = hold(v, &r);
	if (!o)
		return r;
	if (offset < value_size(v))
		got.n = value_size(v) - offset < n ? value_size(v) - offset : n;
	/* A map is of a shard, which the entry holds. */
	if (got.n >= MAP_MIN && !o->strings)
		got.data = content_map(o->content, got.n, offset);
	if (got.n > 0 && !got.data)
		r = read_memory(v, o, offset, &got);
	if (r < 0)
		return r;
	got.value = value_ref(v);
	*ret = got;
	return 0;
}

void reading_release(struct reading *r)
{
	free(r->memory);
	value_unref(r->value);
	*r = (struct reading){ 0 };
}
