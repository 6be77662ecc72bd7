#include "core/full_names.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/name.h"

struct full_name {
	struct buf raw;    /* as the program gave it */
	struct buf shown;  /* the path that it makes */
	struct buf target; /* in the checkpoint's tree */
};

/* By raw name while they are gathered, then by the path that shows. */
struct full_names {
	atomic_uint refs;
	struct full_name *all;
	size_t n;
};

struct full_names *full_names_ref(struct full_names *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void full_names_unref(struct full_names *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	for (size_t i = 0; i < f->n; i++) {
		buf_release(&f->all[i].raw);
		buf_release(&f->all[i].shown);
		buf_release(&f->all[i].target);
	}
	free(f->all);
	free(f);
}

/* --- order ---------------------------------------------------------------- */

/* A slash comes before all other bytes, so that what is in a scope stands together. */
static int compare_paths(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		unsigned x = a.data[i] == '/' ? 0 : a.data[i] + 1U;
		unsigned y = b.data[i] == '/' ? 0 : b.data[i] + 1U;

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int by_raw(const void *a, const void *b)
{
	const struct full_name *x = a, *y = b;
	int order = compare_paths(buf_span(&x->raw), buf_span(&y->raw));

	return order ? order
		     : span_compare(buf_span(&x->target), buf_span(&y->target));
}

static int by_shown(const void *a, const void *b)
{
	const struct full_name *x = a, *y = b;

	return compare_paths(buf_span(&x->shown), buf_span(&y->shown));
}

static struct span raw_of(const struct full_names *f, size_t i)
{
	return buf_span(&f->all[i].raw);
}

static struct span path_of(const struct full_names *f, size_t i)
{
	return buf_span(&f->all[i].shown);
}

/* The first that is not before `path`. */
static size_t lower_bound(const struct full_names *f, struct span path)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_paths(path_of(f, mid), path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Whether `path` is in `scope`; and what it is there. */
static bool is_below(struct span path, struct span scope, struct span *ret)
{
	struct span rest = path, cut;

	if (scope.len == 0) {
		*ret = path;
		return true;
	}
	if (path.len < scope.len + 1 || path.data[scope.len] != '/' ||
	    memcmp(path.data, scope.data, scope.len) != 0)
		return false;
	(void)span_take(&rest, scope.len + 1, &cut);
	*ret = rest;
	return true;
}

/* --- making it ------------------------------------------------------------ */

static int gather(void *arg, struct span name, struct span path)
{
	struct full_names *f = arg;
	struct full_name *all;
	struct full_name *new;

	if (name.len == 0 || name.len > PATH_MAX)
		return 0;
	all = reallocarray(f->all, f->n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	f->all = all;
	new = &all[f->n++];
	*new = (struct full_name){ 0 };
	buf_put(&new->raw, name.data, name.len);
	buf_put(&new->target, path.data, path.len);
	return buf_error(&new->raw) ? -ENOMEM : buf_error(&new->target);
}

/* Variables that are also scopes of the one that is looked at, outermost first. */
struct scopes {
	size_t *all;
	size_t n;
};

/* The components of a raw name, encoded; a scope that is a variable, too, with `.d`. */
static void show(const struct full_names *f, const struct scopes *above,
		 struct full_name *n)
{
	struct span raw = buf_span(&n->raw);
	size_t start = 0, at = 0;

	for (size_t end = 0; end <= raw.len; end++) {
		struct span component = { raw.data + start, end - start };
		bool dotted;

		if (end < raw.len && raw.data[end] != '/')
			continue;
		name_encode(component, false, 0, &n->shown);
		dotted = at < above->n && raw_of(f, above->all[at]).len == end;
		at += dotted;
		if (end < raw.len)
			buf_printf(&n->shown, dotted ? ".d/" : "/");
		start = end + 1;
	}
}

/* By raw name, a variable comes before all that has its name for a scope. */
static int show_all(struct full_names *f)
{
	struct scopes above = { calloc(f->n + 1, sizeof(*above.all)), 0 };
	struct span rest;

	for (size_t i = 0; above.all && i < f->n; i++) {
		while (above.n > 0 &&
		       !is_below(raw_of(f, i),
				 raw_of(f, above.all[above.n - 1]), &rest))
			above.n--;
		show(f, &above, &f->all[i]);
		above.all[above.n++] = i;
	}
	free(above.all);
	return above.all ? 0 : -ENOMEM;
}

/* Of one name, the second and those behind it. */
static void number(struct full_names *f)
{
	size_t same = 1;

	for (size_t i = 1; i < f->n; i++) {
		same = span_equal(raw_of(f, i), raw_of(f, i - 1)) ? same + 1
								  : 1;
		if (same > 1)
			buf_printf(&f->all[i].shown, "%%#%zu", same);
	}
}

static void sort(struct full_names *f,
		 int (*order)(const void *a, const void *b))
{
	if (f->n)
		qsort(f->all, f->n, sizeof(*f->all), order);
}

int full_names_new(struct checkpoint *cp, struct full_names **ret)
{
	CLEANUP(full_names_unrefp)
	struct full_names *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	atomic_init(&f->refs, 1);
	r = checkpoint_each_full_name(cp, gather, f);
	if (r == 0)
		r = checkpoint_each_key(cp, gather, f);
	if (r < 0)
		return r;
	sort(f, by_raw);
	r = show_all(f);
	if (r < 0)
		return r;
	number(f);
	for (size_t i = 0; i < f->n; i++)
		if (buf_error(&f->all[i].shown))
			return -ENOMEM;
	sort(f, by_shown);
	*ret = STEAL(f);
	return 0;
}

/* --- looking -------------------------------------------------------------- */

enum full_name_kind full_names_find(const struct full_names *f,
				    struct span path, struct span *ret_target)
{
	size_t at = lower_bound(f, path);
	struct span rest;

	if (path.len == 0)
		return FULL_NAME_SCOPE;
	if (at < f->n && span_equal(path_of(f, at), path)) {
		*ret_target = buf_span(&f->all[at].target);
		return FULL_NAME_VARIABLE;
	}
	return at < f->n && is_below(path_of(f, at), path, &rest)
		       ? FULL_NAME_SCOPE
		       : FULL_NAME_NONE;
}

enum full_name_kind full_names_list(const struct full_names *f,
				    struct span path, uint64_t *cookie,
				    struct buf *name)
{
	size_t i = *cookie ? (size_t)*cookie : lower_bound(f, path);
	struct span rest, scope;
	const uint8_t *slash;

	if (i >= f->n || !is_below(path_of(f, i), path, &rest))
		return FULL_NAME_NONE;
	slash = memchr(rest.data, '/', rest.len);
	*cookie = i + 1;
	if (!slash) {
		buf_put(name, rest.data, rest.len);
		return FULL_NAME_VARIABLE;
	}
	scope.data = path_of(f, i).data;
	scope.len = (size_t)(slash - scope.data);
	buf_put(name, rest.data, (size_t)(slash - rest.data));
	while (*cookie < f->n &&
	       is_below(path_of(f, (size_t)*cookie), scope, &rest))
		++*cookie;
	return FULL_NAME_SCOPE;
}
