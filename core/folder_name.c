#include "core/folder_name.h"

#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dir.h"
#include "core/item.h"
#include "core/log.h"
#include "core/name.h"
#include "core/scan.h"
#include "core/scan_name.h"
#include "core/state_edit.h"
#include "core/temporary.h"

static bool is_temporary(struct span name)
{
	size_t n = strlen(TEMPORARY_END);

	return name.len >= n &&
	       memcmp(name.data + name.len - n, TEMPORARY_END, n) == 0;
}

bool folder_made_plain_by(struct span name)
{
	return scan_beside_checkpoint(name);
}

int folder_name(const struct folder *f, struct span name, char **ret)
{
	char *text;

	if (name.len == 0 || memchr(name.data, 0, name.len))
		return -EINVAL;
	if (is_temporary(name)) {
		log_error("%.*s: not made: what ends in " TEMPORARY_END
			  " is a temporary file of a commit",
			  (int)name.len, (const char *)name.data);
		return -EINVAL;
	}
	if (f == store_root(folder_store(f)) &&
	    span_equal(name, span_of(NAME_HIDDEN_DIR)))
		return -EPERM;
	text = strndup((const char *)name.data, name.len);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int folder_name_taken(struct folder *f, const char *name, int r)
{
	CLEANUP(free_ptr) char *path = folder_path_of(f, name);

	if (r == -EEXIST)
		log_error(
			"%s: there is a file of this name, which is part of a "
			"checkpoint: rename or remove that first",
			path ? path : name);
	return r;
}

/* --- latest --------------------------------------------------------------- */

bool folder_sets_latest_locked(struct folder *f, const char *name)
{
	const struct item *item;

	if (strcmp(name, NAME_LATEST) != 0)
		return false;
	item = folder_find_locked(f, span_of(NAME_LATEST));
	return item ? item_kind(item) == ITEM_LATEST
		    : folder_has_checkpoints_locked(f);
}

/* Without `./` before and slashes behind. */
static struct span trim(struct span target)
{
	static const char here[] = "./";
	struct span cut;

	while (target.len > 2 && memcmp(target.data, here, 2) == 0)
		(void)span_take(&target, 2, &cut);
	while (target.len > 1 && target.data[target.len - 1] == '/')
		target.len--;
	return target;
}

int folder_set_latest_locked(struct folder *f, struct span target)
{
	const struct item *item = folder_find_locked(f, trim(target));
	int r;

	if (!item || item_kind(item) != ITEM_CHECKPOINT) {
		log_error(
			"latest: not set: %.*s is no checkpoint beside it; name "
			"one as ls shows it, without a path",
			(int)target.len, (const char *)target.data);
		return -EINVAL;
	}
	r = state_set_latest(dir_fd(folder_dir_locked(f)), item_source(item));
	if (r < 0)
		return r;
	folder_hide_latest_locked(f, false);
	return 0;
}
