/* Bundles that stand for V1 checkpoints: see bundle.h. */
#include <errno.h>
#include <string.h>

#include "core/bundle_inside.h"
#include "core/cleanup.h"
#include "core/spare.h"
#include "core/v1_file.h"

static int add_v1_file(struct bundle *b, struct v1_file *f)
{
	int r = list_add(&b->v1_files, f);

	if (r == 0)
		(void)v1_file_ref(f);
	return r;
}

static int bundle_new_v1(int dirfd, const char *prefix,
			 struct v1_file *const *files, size_t n, unsigned of,
			 struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new(dirfd, prefix, &b);

	if (r < 0)
		return r;
	b->v1 = true;
	b->v1_of = of;
	r = spare_new(&b->spare);
	if (r < 0)
		return r;
	b->index_name = v1_file_name_of(prefix, 0, of);
	if (!b->index_name)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_v1_file(b, files[i]);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *const *ea = a, *const *eb = b;

	return span_compare(entry_key(*ea), entry_key(*eb));
}

static int add_v1_entries(struct bundle *b, const struct bundle_v1 *v1)
{
	int r = 0;

	if (v1->n > 0)
		qsort(v1->entries, v1->n, sizeof(struct entry *), by_key);
	for (size_t i = 0; r == 0 && i < v1->n; i++) {
		if (!bundle_in_order(b, entry_key(v1->entries[i]))) {
			bundle_note_damage(b,
					   "two of its tensors have one key");
			continue;
		}
		r = bundle_add(b, v1->entries[i]);
	}
	return r;
}

int bundle_of_v1(int dirfd, const char *prefix, const struct bundle_v1 *v1,
		 struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_v1(dirfd, prefix, v1->files, v1->n_files, v1->of,
			      &b);

	if (r < 0)
		return r;
	b->damage = v1->damage;
	bundle_settle(b, v1_file_stat(v1->files[0]));
	r = add_v1_entries(b, v1);
	if (r == 0)
		r = bundle_show(b);
	if (r == 0)
		*ret = STEAL(b);
	return r;
}

int bundle_again_v1(const struct bundle *base, int dirfd, const char *prefix,
		    struct bundle **ret)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	int r = bundle_new_v1(dirfd, prefix,
			      (struct v1_file **)base->v1_files.items,
			      base->v1_files.n, base->v1_of, &b);

	if (!b)
		return r < 0 ? r : -ENOMEM;
	spare_unref(b->spare);
	b->spare = spare_ref(base->spare);
	*ret = STEAL(b);
	return 0;
}

bool bundle_is_v1(const struct bundle *b)
{
	return b->v1;
}

struct v1_file *const *bundle_v1_files(const struct bundle *b, size_t *ret_n)
{
	*ret_n = b->v1_files.n;
	return (struct v1_file *const *)b->v1_files.items;
}

static bool has_file(const struct bundle *b, const char *name)
{
	for (size_t i = 0; i < b->v1_files.n; i++)
		if (strcmp(v1_file_name(b->v1_files.items[i]), name) == 0)
			return true;
	return false;
}

int bundle_current_v1(const struct bundle *b)
{
	struct file_id id;
	int r = 1;

	for (size_t i = 0; r == 1 && i < b->v1_files.n; i++)
		r = v1_file_current(b->v1_files.items[i]);
	for (unsigned i = 0; r == 1 && b->v1_files.n < b->v1_of && i < b->v1_of;
	     i++) {
		CLEANUP(free_ptr)
		char *name = v1_file_name_of(b->prefix, i, b->v1_of);

		if (!name)
			return -ENOMEM;
		r = has_file(b, name) || io_id(b->dirfd, name, &id) < 0;
	}
	return r;
}
