#include "core/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dir.h"
#include "core/files.h"
#include "core/folder_inside.h"
#include "core/io.h"
#include "core/item.h"
#include "core/lock.h"
#include "core/state.h"

/* Who renames has two folders locked, and may find in one that the other has gone. */
static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(lock, &attr);
	(void)pthread_mutexattr_destroy(&attr);
}

int folder_new(struct store *s, struct folder *above, char *path,
	       struct folder **ret)
{
	const char *mountpoint = store_config(s)->mountpoint;
	struct folder *f = calloc(1, sizeof(*f));
	int r;

	if (!f) {
		free(path);
		return -ENOMEM;
	}
	f->store = s;
	f->above = above;
	f->id = store_next_id(s);
	f->path = path;
	f->closed = mountpoint && strcmp(path, mountpoint) == 0;
	f->next_place = PLACE_OTHERS;
	(void)pthread_mutex_init(&f->path_lock, NULL);
	init_lock(&f->lock);
	r = store_add_folder(s, f);
	if (r < 0)
		folder_free(f);
	else
		*ret = f;
	return r;
}

void folder_free(struct folder *f)
{
	for (size_t i = 0; i < f->n_items; i++)
		item_unref(f->items[i]);
	free(f->items);
	linger_release(&f->linger);
	dir_unref(f->dir);
	(void)pthread_mutex_destroy(&f->lock);
	(void)pthread_mutex_destroy(&f->path_lock);
	free(f->path);
	free(f);
}

int folder_add_below(struct folder *f, const char *name, struct folder **ret)
{
	char *path = folder_path_of(f, name);

	return path ? folder_new(f->store, f, path, ret) : -ENOMEM;
}

int folder_add_checkpoint(struct folder *f, const char *prefix, bool v1,
			  uint64_t root_id, struct checkpoint **ret)
{
	CLEANUP(free_ptr) char *path = folder_path_of(f, prefix);
	struct checkpoint_place place = { .dir = f->dir,
					  .prefix = prefix,
					  .label = path,
					  .v1 = v1,
					  .read_only = f->read_only,
					  .root_id = root_id };

	if (!path)
		return -ENOMEM;
	place.saved_model = files_saved_model(store_dirfd(f->store), path);
	return checkpoint_new(&store_config(f->store)->checkpoint, &place, ret);
}

struct store *folder_store(const struct folder *f)
{
	return f->store;
}

struct folder *folder_above(const struct folder *f)
{
	return f->above;
}

void folder_set_above(struct folder *f, struct folder *above)
{
	f->above = above;
}

uint64_t folder_id(const struct folder *f)
{
	return f->id;
}

pthread_mutex_t *folder_lock(struct folder *f)
{
	return &f->lock;
}

/* --- paths ---------------------------------------------------------------- */

char *folder_path(struct folder *f)
{
	LOCK_SCOPE(&f->path_lock);
	return strdup(f->path);
}

char *folder_path_of(struct folder *f, const char *name)
{
	LOCK_SCOPE(&f->path_lock);
	char *path;

	if (strcmp(f->path, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", f->path, name) < 0 ? NULL : path;
}

int folder_repath(struct folder *f, const char *from, const char *to)
{
	LOCK_SCOPE(&f->path_lock);
	size_t len = strlen(from);
	char *path;

	if (strncmp(f->path, from, len) != 0 ||
	    (f->path[len] && f->path[len] != '/'))
		return 0;
	if (asprintf(&path, "%s%s", to, f->path + len) < 0)
		return -ENOMEM;
	free(f->path);
	f->path = path;
	return 0;
}

int folder_stat(struct folder *f, struct stat *ret)
{
	CLEANUP(free_ptr) char *path = folder_path(f);
	int dirfd = store_dirfd(f->store);
	bool closed;
	int r;

	pthread_mutex_lock(&f->lock);
	closed = f->closed;
	pthread_mutex_unlock(&f->lock);
	if (!path)
		return -ENOMEM;
	r = closed ? -EXDEV : io_stat(dirfd, path, ret);
	/* What is mounted there may be us; the directory around it will do. */
	return r == -EXDEV ? io_stat(dirfd, ".", ret) : r;
}

/* --- the list ------------------------------------------------------------- */

void folder_tell(const struct folder *f, const char *name)
{
	const struct checkpoint_config *config =
		&store_config(f->store)->checkpoint;

	config->observer(config->arg, f->id, span_of(name));
}

struct item *folder_find_locked(struct folder *f, struct span name)
{
	for (size_t i = 0; i < f->n_items; i++)
		if (span_equal(span_of(item_name(f->items[i])), name))
			return f->items[i];
	return NULL;
}

bool folder_has_checkpoints_locked(const struct folder *f)
{
	for (size_t i = 0; i < f->n_items; i++)
		if (item_kind(f->items[i]) == ITEM_CHECKPOINT)
			return true;
	return false;
}

struct dir *folder_dir_locked(const struct folder *f)
{
	return f->dir;
}

uint64_t folder_next_place_locked(struct folder *f)
{
	return f->next_place++;
}

void folder_take_locked(struct folder *f, const struct item *item)
{
	size_t i = 0;

	while (i < f->n_items && f->items[i] != item)
		i++;
	if (i == f->n_items)
		return;
	f->n_items--;
	memmove(&f->items[i], &f->items[i + 1],
		(f->n_items - i) * sizeof(struct item *));
}

int folder_put_locked(struct folder *f, struct item *item)
{
	struct item **items = reallocarray(f->items, f->n_items + 1,
					   sizeof(struct item *));
	size_t i = f->n_items;

	if (!items) {
		item_unref(item);
		return -ENOMEM;
	}
	f->items = items;
	for (; i > 0 && item_place(items[i - 1]) > item_place(item); i--)
		items[i] = items[i - 1];
	items[i] = item;
	f->n_items++;
	return 0;
}

// NOLINTNEXTLINE(misc-no-recursion): see folder_close()
void folder_bury(struct item *item)
{
	item_die(item);
	if (item_folder(item))
		folder_close(item_folder(item));
	item_unref(item);
}

void folder_drop_locked(struct folder *f, struct item *item)
{
	folder_take_locked(f, item);
	folder_bury(item);
}

/*
 * The lock goes too, here and in all that is below: the directory may have got another
 * name, and is then another folder.
 */
// NOLINTNEXTLINE(misc-no-recursion): as deep as paths are
void folder_close(struct folder *f)
{
	LOCK_SCOPE(&f->lock);
	for (size_t i = 0; i < f->n_items; i++)
		folder_bury(f->items[i]);
	f->n_items = 0;
	linger_release(&f->linger);
	if (f->dir) {
		store_config(f->store)->gone(
			store_config(f->store)->checkpoint.arg, f);
		lock_release(dir_fd(f->dir));
		dir_unref(STEAL(f->dir));
	}
	f->closed = true;
	f->gone = true;
	f->undecided = false;
}

void folder_set_undecided(struct folder *f, bool undecided)
{
	LOCK_SCOPE(&f->lock);
	f->undecided = undecided;
}

void folder_hide_latest_locked(struct folder *f, bool hide)
{
	f->hidden = (struct file_id){ 0 };
	if (hide)
		(void)io_id(dir_fd(f->dir), STATE_FILE, &f->hidden);
}

/* --- looking -------------------------------------------------------------- */

int folder_lookup(struct folder *f, struct span name, struct item **ret)
{
	LOCK_SCOPE(&f->lock);
	int r = folder_refresh_locked(f);
	struct item *item = r < 0 ? NULL : folder_find_locked(f, name);

	if (!item && r == 0)
		item = linger_find(&f->linger, name);
	if (!item)
		return r < 0 ? r : -ENOENT;
	*ret = item_ref(item);
	return 0;
}

struct item *folder_next_locked(struct folder *f, uint64_t *cookie)
{
	for (size_t i = 0; i < f->n_items; i++) {
		struct item *item = f->items[i];

		if (item_place(item) < *cookie)
			continue;
		*cookie = item_place(item) + 1;
		return item;
	}
	return NULL;
}

int folder_list(struct folder *f, uint64_t *cookie, struct buf *name,
		struct item **ret)
{
	LOCK_SCOPE(&f->lock);
	int r = *cookie == 0 ? folder_refresh_locked(f) : 0;
	struct item *item = r < 0 ? NULL : folder_next_locked(f, cookie);

	if (!item)
		return r;
	buf_printf(name, "%s", item_name(item));
	*ret = item_ref(item);
	return buf_error(name) ? buf_error(name) : 1;
}

bool folder_undecided(struct folder *f)
{
	LOCK_SCOPE(&f->lock);
	return f->undecided && folder_refresh_locked(f) == 0 && f->undecided;
}

size_t folder_checkpoints(struct folder *f, bool loaded, char ***ret_paths,
			  struct checkpoint ***ret)
{
	LOCK_SCOPE(&f->lock);
	struct checkpoint **all;
	char **paths;
	size_t n = 0;

	/* Whoever asks for all looks at the root; what is below stays unread. */
	if (!loaded && !f->above)
		(void)folder_refresh_locked(f);
	all = calloc(f->n_items + 1, sizeof(*all));
	paths = calloc(f->n_items + 1, sizeof(*paths));
	for (size_t i = 0; all && paths && i < f->n_items; i++) {
		struct checkpoint *cp = item_checkpoint(f->items[i]);

		if (!cp || (loaded && !checkpoint_loaded(cp)))
			continue;
		paths[n] = folder_path_of(f, item_name(f->items[i]));
		if (paths[n])
			all[n++] = checkpoint_ref(cp);
	}
	*ret = all;
	*ret_paths = paths;
	return n;
}

bool folder_linked(struct folder *f)
{
	LOCK_SCOPE(&f->lock);
	return f->linked;
}

bool folder_check(struct folder *f)
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	CLEANUP(free_ptr) char **paths = NULL;
	bool unsettled;
	size_t n;

	pthread_mutex_lock(&f->lock);
	(void)folder_refresh_locked(f);
	unsettled = f->dir && !f->closed && f->state.ino == 0;
	pthread_mutex_unlock(&f->lock);

	n = folder_checkpoints(f, true, &paths, &all);
	for (size_t i = 0; i < n; i++) {
		(void)checkpoint_refresh(all[i]);
		unsettled |= checkpoint_unsettled(all[i]);
		checkpoint_unref(all[i]);
		free(paths[i]);
	}
	return unsettled;
}
