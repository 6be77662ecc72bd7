#include "core/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/dir.h"
#include "core/files.h"
#include "core/io.h"
#include "core/item.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/residue.h"
#include "core/scan.h"
#include "core/state.h"

/* `latest` comes first, so that `rm -r` finds it before the state file goes. */
enum {
	PLACE_LATEST = 1,
	PLACE_OTHERS
};

struct folder {
	struct store *store;
	uint64_t id;
	struct folder *above; /* the store's rename lock */
	pthread_mutex_t path_lock;
	char *path; /* below the source; "." for the root */

	pthread_mutex_t lock; /* for all that follows */
	bool closed;          /* our own mountpoint: never looked into */
	bool gone;
	bool shown;      /* it was read, so that somebody may know its names */
	bool undecided;  /* made in this mount, and nothing was put in yet */
	struct dir *dir; /* NULL until it was read, and when it has gone */
	bool read_only;  /* as asked for, or because somebody else writes */
	struct folder_state state; /* of the directory when it was read */
	struct file_id hidden; /* the state file whose `latest` was removed */
	struct item **items;   /* counted, by place */
	size_t n_items;
	uint64_t next_place;
};

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

/* Whether it is what a SavedModel has in its directory `variables`. */
static bool in_saved_model(const struct folder *f, const char *prefix)
{
	static const char name[] = "variables";
	size_t len = strlen(f->path), n = strlen(name);
	CLEANUP(free_ptr) char *model = NULL;
	struct stat st;

	if (strcmp(prefix, name) != 0 || len < n ||
	    strcmp(f->path + len - n, name) != 0 ||
	    (len > n && f->path[len - n - 1] != '/'))
		return false;
	if (asprintf(&model, "%.*ssaved_model.pb", (int)(len - n), f->path) <
	    0) {
		model = NULL;
		return false;
	}
	return io_stat(store_dirfd(f->store), model, &st) == 0;
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
	place.saved_model = in_saved_model(f, prefix);
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

/* The name has gone with what it stood for. */
// NOLINTNEXTLINE(misc-no-recursion): see folder_close()
static void bury(struct item *item)
{
	item_die(item);
	if (item_folder(item))
		folder_close(item_folder(item));
	item_unref(item);
}

void folder_drop_locked(struct folder *f, struct item *item)
{
	folder_take_locked(f, item);
	bury(item);
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
		bury(f->items[i]);
	f->n_items = 0;
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

/* --- reading the directory ------------------------------------------------ */

/* Whether the file is the one by which this checkpoint was found. */
static bool makes(const char *file, const struct found *found)
{
	size_t len = strlen(found->source);

	return found->kind == ITEM_CHECKPOINT &&
	       strncmp(file, found->source, len) == 0 &&
	       strcmp(file + len, found->v1 ? "" : ".index") == 0;
}

/*
 * A file that somebody copies through this mount stays one until it is closed,
 * whatever its name; then it may be an index, and becomes a directory.
 */
static bool is_being_copied(const struct folder *f, const struct item *item,
			    struct scan *scan, bool *known)
{
	size_t i = 0;

	if (!item_made(item))
		return false;
	while (i < scan->n && !makes(item_source(item), &scan->found[i]))
		i++;
	if (i == scan->n ||
	    !(scan->found[i].unsettled ||
	      files_being_written(dir_fd(f->dir), item_source(item))))
		return false;
	known[i] = true;
	scan->unsettled = true;
	return true;
}

/* Takes out the items that were not found again; marks in `known` those that were. */
static void drop_lost_locked(struct folder *f, struct scan *scan, bool *known)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n_items; i++) {
		struct item *item = f->items[i];
		size_t at = scan_find(scan, item_name(item));

		if (at < scan->n && item_is(item, &scan->found[at]))
			known[at] = true;
		else if (!is_being_copied(f, item, scan, known)) {
			folder_tell(f, item_name(item));
			bury(item);
			continue;
		}
		f->items[kept++] = item;
	}
	f->n_items = kept;
}

static int add_found_locked(struct folder *f, const struct scan *scan,
			    const bool *known)
{
	for (size_t i = 0; i < scan->n; i++) {
		const struct found *found = &scan->found[i];
		struct item *item;
		int r;

		if (known[i] || found->unsettled)
			continue;
		r = item_new(f, found,
			     found->kind == ITEM_LATEST ? PLACE_LATEST
							: f->next_place++,
			     0, &item);
		if (r == 0)
			r = folder_put_locked(f, item);
		if (r < 0)
			return r;
		if (f->shown)
			folder_tell(f, found->name);
	}
	f->shown = true;
	return 0;
}

static void hide_latest(const struct folder *f, const struct folder_state *now,
			struct scan *scan)
{
	size_t at = scan_find(scan, NAME_LATEST);

	if (f->hidden.ino && file_id_equal(&f->hidden, &now->latest) &&
	    at < scan->n && scan->found[at].kind == ITEM_LATEST)
		scan_drop(scan, at);
}

static int read_locked(struct folder *f)
{
	CLEANUP(scan_release) struct scan scan = { 0 };
	CLEANUP(free_ptr) bool *known = NULL;
	struct folder_state now;
	int r = scan_state(dir_fd(f->dir), &now);

	if (r < 0 || folder_state_equal(&now, &f->state))
		return r;
	r = scan_directory(dir_fd(f->dir), f == store_root(f->store), &scan);
	if (r < 0)
		return r;
	hide_latest(f, &now, &scan);
	known = calloc(scan.n + 1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	if (scan.n)
		f->undecided = false;
	drop_lost_locked(f, &scan, known);
	r = add_found_locked(f, &scan, known);
	/* An unsettled folder is read again at the next look. */
	f->state = r < 0 || scan.unsettled ? (struct folder_state){ 0 } : now;
	return r;
}

/* The root was locked before it was mounted; what is below it, when it is read. */
static void lock_folder_locked(struct folder *f)
{
	CLEANUP(buf_release) struct buf holder = { 0 };
	CLEANUP(free_ptr) char *path = NULL;

	f->read_only = store_config(f->store)->read_only;
	if (f->read_only)
		return;
	if (f != store_root(f->store) &&
	    lock_directory(dir_fd(f->dir), &holder) < 0) {
		path = folder_path(f);
		log_warning("%s: read-only: %.*s writes to it",
			    path ? path : "?", (int)holder.len,
			    (const char *)holder.data);
		f->read_only = true;
		return;
	}
	files_recover(dir_fd(f->dir));
	residue_remove(dir_fd(f->dir));
}

static int open_locked(struct folder *f)
{
	CLEANUP(free_ptr) char *path = folder_path(f);
	int fd = path ? io_open(store_dirfd(f->store), path,
				O_RDONLY | O_DIRECTORY | O_NONBLOCK)
		      : -ENOMEM;
	int r;

	/* What another filesystem has mounted there is not our source. */
	if (fd == -EXDEV)
		f->closed = true;
	if (fd < 0)
		return f->closed ? 0 : fd;
	r = dir_new(fd, &f->dir);
	if (r == 0)
		lock_folder_locked(f);
	return r;
}

static int refresh_locked(struct folder *f)
{
	const struct store_config *config = store_config(f->store);
	bool first = !f->dir;
	int r = first && !f->closed ? open_locked(f) : 0;

	if (r < 0 || f->closed)
		return r;
	r = read_locked(f);
	if (first && r == 0)
		config->opened(config->checkpoint.arg, f, dir_fd(f->dir));
	return r;
}

int folder_begin_locked(struct folder *f)
{
	int r = refresh_locked(f);

	if (r < 0)
		return r;
	if (f->gone)
		return -ENOENT;
	if (f->closed)
		return -EPERM;
	return f->read_only ? -EROFS : 0;
}

int folder_again_locked(struct folder *f)
{
	f->state = (struct folder_state){ 0 };
	return refresh_locked(f);
}

/* --- looking -------------------------------------------------------------- */

int folder_lookup(struct folder *f, struct span name, struct item **ret)
{
	LOCK_SCOPE(&f->lock);
	int r = refresh_locked(f);
	struct item *item = r < 0 ? NULL : folder_find_locked(f, name);

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
	int r = *cookie == 0 ? refresh_locked(f) : 0;
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
	return f->undecided && refresh_locked(f) == 0 && f->undecided;
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
		(void)refresh_locked(f);
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

bool folder_check(struct folder *f)
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	CLEANUP(free_ptr) char **paths = NULL;
	bool unsettled;
	size_t n;

	pthread_mutex_lock(&f->lock);
	(void)refresh_locked(f);
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
