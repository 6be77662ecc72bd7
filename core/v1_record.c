#include "core/v1_record.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/v1_file.h"

struct v1_record {
	atomic_uint refs;
	int32_t dtype;
	uint64_t elements;
	struct v1_file *file;
	pthread_mutex_t lock; /* for the place */
	bool placed;
	struct stretch place;
	size_t key_len;
	uint8_t key[];
};

int v1_record_new(struct v1_file *file, struct span key, int32_t dtype,
		  uint64_t elements, struct v1_record **ret)
{
	struct v1_record *r = malloc(sizeof(*r) + key.len);

	if (!r)
		return -ENOMEM;
	atomic_init(&r->refs, 1);
	r->dtype = dtype;
	r->elements = elements;
	(void)pthread_mutex_init(&r->lock, NULL);
	r->placed = false;
	r->file = v1_file_ref(file);
	r->key_len = key.len;
	memcpy(r->key, key.data, key.len);
	*ret = r;
	return 0;
}

struct v1_record *v1_record_ref(struct v1_record *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void v1_record_unref(struct v1_record *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	v1_file_unref(r->file);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

struct v1_file *v1_record_file(const struct v1_record *r)
{
	return r->file;
}

struct span v1_record_key(const struct v1_record *r)
{
	return (struct span){ r->key, r->key_len };
}

int32_t v1_record_dtype(const struct v1_record *r)
{
	return r->dtype;
}

uint64_t v1_record_elements(const struct v1_record *r)
{
	return r->elements;
}

pthread_mutex_t *v1_record_lock(struct v1_record *r)
{
	return &r->lock;
}

bool v1_record_place(const struct v1_record *r, struct stretch *ret)
{
	if (r->placed)
		*ret = r->place;
	return r->placed;
}

void v1_record_set_place(struct v1_record *r, struct stretch at)
{
	r->placed = true;
	r->place = at;
}
