#include "core/type.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"

void type_release(struct type *t)
{
	free(t->dims);
	*t = (struct type){ 0 };
}

static int set_shape(struct type *t, struct shape shape)
{
	int64_t *dims = calloc(shape.rank + 1, sizeof(*dims));

	if (!dims)
		return -ENOMEM;
	if (shape.rank)
		memcpy(dims, shape.dims, shape.rank * sizeof(*dims));
	free(t->dims);
	t->dims = dims;
	t->rank = shape.rank;
	t->has_shape = true;
	return 0;
}

int type_from(int32_t dtype, struct shape shape, struct type *ret)
{
	struct type t = { .dtype = dtype };
	int r = set_shape(&t, shape);

	if (r == 0)
		*ret = t;
	return r;
}

int type_copy(const struct type *from, struct type *ret)
{
	struct type t = { .dtype = from->dtype };
	int r = from->has_shape ? set_shape(&t, type_shape(from)) : 0;

	if (r == 0)
		*ret = t;
	return r;
}

bool type_complete(const struct type *t)
{
	return t->dtype != DT_INVALID && t->has_shape;
}

bool type_empty(const struct type *t)
{
	return t->dtype == DT_INVALID && !t->has_shape;
}

struct shape type_shape(const struct type *t)
{
	return (struct shape){ t->rank, t->dims };
}

bool type_equal(const struct type *a, const struct type *b)
{
	return a->dtype == b->dtype && a->has_shape == b->has_shape &&
	       (!a->has_shape || shape_equal(type_shape(a), type_shape(b)));
}

int type_read_dtype(struct type *t, struct span text)
{
	enum dtype dtype;

	/* What it is may be said of it, though nothing else can be made one. */
	if (t->dtype == DT_VARIANT && dtype_is_variant(text))
		return 0;
	if (!dtype_parse(text, &dtype))
		return -EINVAL;
	t->dtype = (int32_t)dtype;
	return 0;
}

int type_read_shape(struct type *t, struct span text)
{
	int64_t dims[SHAPE_MAX_RANK];
	struct shape shape;

	return shape_parse(text, dims, &shape) ? set_shape(t, shape) : -EINVAL;
}

int type_complete_from(struct type *t, const struct type *from)
{
	if (t->dtype == DT_INVALID)
		t->dtype = from->dtype;
	if (t->has_shape || !from->has_shape)
		return 0;
	return set_shape(t, type_shape(from));
}

/* The size in bytes; false where a product on the way there leaves an int64. */
static bool bytes_of(const struct type *t, uint64_t *ret)
{
	int64_t n = (int64_t)dtype_size(t->dtype);

	for (size_t i = 0; i < t->rank; i++)
		if (t->dims[i] < 0 || __builtin_mul_overflow(n, t->dims[i], &n))
			return false;
	*ret = (uint64_t)n;
	return true;
}

bool type_fits(struct type *t, uint64_t n)
{
	size_t item = dtype_size(t->dtype);
	uint64_t bytes;

	return type_complete(t) && item && n % item == 0 &&
	       shape_resolve(t->dims, t->rank, n / item) &&
	       bytes_of(t, &bytes) && bytes == n;
}

bool type_size(const struct type *t, uint64_t *ret)
{
	return type_complete(t) && dtype_size(t->dtype) && bytes_of(t, ret);
}
