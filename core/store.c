#include "core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/dir.h"
#include "core/io.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/residue.h"
#include "core/scan.h"

struct item {
	atomic_uint refs;
	enum item_kind kind;
	uint64_t id;
	uint64_t place; /* among its siblings */
	atomic_bool dead;
	struct store *store;
	char *name;   /* as it shows */
	char *source; /* file, prefix or target: see struct found */
	char *path;   /* of the file, below the source */
	uint64_t ino; /* of a directory in the source */
	bool v1;
	struct folder *folder;
	struct checkpoint *checkpoint;
};

struct folder {
	struct store *store;
	uint64_t id;
	char *path;           /* below the source; "." for the root */
	bool closed;          /* our own mountpoint: never looked into */
	pthread_mutex_t lock; /* for all that follows */
	struct dir *dir;      /* NULL until it was read, and when it has gone */
	bool read_only; /* as asked for, or because somebody else writes */
	struct folder_state state; /* of the directory when it was read */
	struct item **items;       /* counted, by place */
	size_t n_items;
	uint64_t next_place;
};

struct store {
	const struct store_config *config;
	int dirfd; /* of `dir` */
	struct dir *dir;
	char *path;
	struct folder *root;
	pthread_mutex_t lock; /* for `folders` */
	struct folder **folders;
	size_t n_folders;
};

static uint64_t next_id(const struct store *s)
{
	return s->config->checkpoint.next_id(s->config->checkpoint.arg);
}

/* --- store --------------------------------------------------------------- */

static int add_folder(struct store *s, char *path, struct folder **ret)
{
	struct folder *f = calloc(1, sizeof(*f));
	struct folder **folders;

	LOCK_SCOPE(&s->lock);
	folders = reallocarray(s->folders, s->n_folders + 1, sizeof(*folders));
	if (folders)
		s->folders = folders;
	if (!f || !folders) {
		free(f);
		free(path);
		return -ENOMEM;
	}
	f->store = s;
	f->id = next_id(s);
	f->path = path;
	f->closed = s->config->mountpoint &&
		    strcmp(path, s->config->mountpoint) == 0;
	(void)pthread_mutex_init(&f->lock, NULL);
	s->folders[s->n_folders++] = f;
	*ret = f;
	return 0;
}

int store_new(const struct store_config *config, int dirfd, const char *path,
	      struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	char *dot = strdup(".");
	int r = s && dot ? 0 : -ENOMEM;

	if (r < 0) {
		free(s);
		free(dot);
		return r;
	}
	s->config = config;
	s->dirfd = dirfd;
	r = dir_new(dirfd, &s->dir);
	s->path = strdup(path);
	(void)pthread_mutex_init(&s->lock, NULL);
	if (r == 0)
		r = add_folder(s, dot, &s->root);
	else
		free(dot);
	if (r == 0 && !s->path)
		r = -ENOMEM;
	if (r < 0)
		store_free(s);
	else
		*ret = s;
	return r;
}

static void folder_free(struct folder *f)
{
	for (size_t i = 0; i < f->n_items; i++)
		item_unref(f->items[i]);
	free(f->items);
	dir_unref(f->dir);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_folders; i++)
		folder_free(s->folders[i]);
	free(s->folders);
	(void)pthread_mutex_destroy(&s->lock);
	dir_unref(s->dir);
	free(s->path);
	free(s);
}

struct folder *store_root(const struct store *s)
{
	return s->root;
}

int store_dirfd(const struct store *s)
{
	return s->dirfd;
}

int store_checkpoint(struct store *s, const char *prefix,
		     struct checkpoint **ret)
{
	CLEANUP(free_ptr) char *index = NULL;
	struct checkpoint_place place = { .dir = s->dir,
					  .prefix = prefix,
					  .label = prefix,
					  .read_only = s->config->read_only };

	if (asprintf(&index, "%s.index", prefix) < 0) {
		index = NULL;
		return -ENOMEM;
	}
	place.v1 = faccessat(s->dirfd, index, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	return checkpoint_new(&s->config->checkpoint, &place, ret);
}

/* --- items --------------------------------------------------------------- */

struct item *item_ref(struct item *i)
{
	atomic_fetch_add(&i->refs, 1);
	return i;
}

void item_unref(struct item *i)
{
	if (!i || atomic_fetch_sub(&i->refs, 1) != 1)
		return;
	checkpoint_unref(i->checkpoint);
	free(i->name);
	free(i->source);
	free(i->path);
	free(i);
}

enum item_kind item_kind(const struct item *i)
{
	return i->kind;
}

uint64_t item_id(const struct item *i)
{
	return i->kind == ITEM_FOLDER ? i->folder->id : i->id;
}

bool item_dead(const struct item *i)
{
	return atomic_load(&i->dead);
}

struct folder *item_folder(const struct item *i)
{
	return i->folder;
}

struct checkpoint *item_checkpoint(const struct item *i)
{
	return i->checkpoint;
}

int item_open(const struct item *i, int flags)
{
	return io_open(i->store->dirfd, i->path, flags | O_NONBLOCK);
}

int item_stat(const struct item *i, struct stat *ret)
{
	CLEANUP(close_fd) int fd = -1;

	fd = io_open(i->store->dirfd, i->kind == ITEM_LATEST ? "." : i->path,
		     O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, ret) < 0)
		return -errno;
	if (i->kind == ITEM_LATEST) {
		ret->st_mode = S_IFLNK | 0777;
		ret->st_nlink = 1;
		ret->st_size = (off_t)strlen(i->source);
		ret->st_blocks = 0;
	}
	return 0;
}

int item_resize(const struct item *i, uint64_t size)
{
	CLEANUP(close_fd) int fd = item_open(i, O_WRONLY);

	return fd < 0 ? fd : io_resize(fd, size);
}

int item_set_attributes(const struct item *i, const struct attributes *a)
{
	CLEANUP(close_fd) int fd = item_open(i, O_RDONLY);

	return fd < 0 ? fd : io_set_attributes(fd, a);
}

int item_readlink(const struct item *i, struct buf *ret)
{
	char target[4096];
	ssize_t n;

	if (i->kind == ITEM_LATEST) {
		buf_printf(ret, "%s", i->source);
		return buf_error(ret);
	}
	n = readlinkat(i->store->dirfd, i->path, target, sizeof(target));
	if (n < 0)
		return -errno;
	buf_put(ret, target, (size_t)n);
	return buf_error(ret);
}

static char *join(const char *folder, const char *name)
{
	char *path;

	if (strcmp(folder, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* What the item stands for: a folder, or a checkpoint nobody has read yet. */
static int item_attach(struct folder *f, struct item *i, bool v1)
{
	CLEANUP(free_ptr) char *path = join(f->path, i->source);
	struct checkpoint_place place = { .dir = f->dir,
					  .prefix = i->source,
					  .label = path,
					  .v1 = v1,
					  .read_only = f->read_only };

	if (!path)
		return -ENOMEM;
	switch (i->kind) {
	case ITEM_FOLDER:
		return add_folder(f->store, STEAL(path), &i->folder);
	case ITEM_CHECKPOINT:
		return checkpoint_new(&f->store->config->checkpoint, &place,
				      &i->checkpoint);
	case ITEM_FILE:
	case ITEM_SYMLINK:
	case ITEM_LATEST:
		break;
	}
	return 0;
}

static int item_new(struct folder *f, const struct found *found,
		    struct item **ret)
{
	CLEANUP(item_unrefp) struct item *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	atomic_init(&i->refs, 1);
	i->kind = found->kind;
	i->ino = found->ino;
	i->v1 = found->v1;
	i->store = f->store;
	i->name = strdup(found->name);
	i->source = strdup(found->source);
	if (!i->name || !i->source)
		return -ENOMEM;
	i->path = join(f->path, found->source);
	if (!i->path)
		return -ENOMEM;
	i->id = next_id(f->store);
	i->place = f->next_place++;
	r = item_attach(f, i, found->v1);
	if (r == 0)
		*ret = STEAL(i);
	return r;
}

/* --- folders ------------------------------------------------------------- */

uint64_t folder_id(const struct folder *f)
{
	return f->id;
}

int folder_stat(const struct folder *f, struct stat *ret)
{
	int r = f->closed ? -EXDEV : io_stat(f->store->dirfd, f->path, ret);

	/* What is mounted there may be us; the directory around it will do. */
	return r == -EXDEV ? io_stat(f->store->dirfd, ".", ret) : r;
}

static void tell(const struct folder *f, const char *name)
{
	const struct checkpoint_config *config = &f->store->config->checkpoint;

	config->observer(config->arg, f->id, span_of(name));
}

static bool is_found(const struct item *i, const struct found *found)
{
	return i->kind == found->kind && strcmp(i->name, found->name) == 0 &&
	       strcmp(i->source, found->source) == 0 && i->ino == found->ino &&
	       i->v1 == found->v1;
}

/*
 * Its name has gone, and so it is not looked into any more.  The lock goes too: the
 * directory may have got another name, and is then another folder.
 */
static void folder_close(struct folder *f)
{
	LOCK_SCOPE(&f->lock);
	if (f->dir) {
		f->store->config->gone(f->store->config->checkpoint.arg, f);
		lock_release(dir_fd(f->dir));
		dir_unref(STEAL(f->dir));
	}
	f->closed = true;
}

/* Takes out the items that were not found again; marks in `known` those that were. */
static void drop_lost_locked(struct folder *f, const struct scan *scan,
			     bool *known)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n_items; i++) {
		struct item *item = f->items[i];
		size_t at = scan_find(scan, item->name);

		if (at < scan->n && is_found(item, &scan->found[at])) {
			known[at] = true;
			f->items[kept++] = item;
			continue;
		}
		tell(f, item->name);
		atomic_store(&item->dead, true);
		if (item->folder)
			folder_close(item->folder);
		item_unref(item);
	}
	f->n_items = kept;
}

static int add_found_locked(struct folder *f, const struct scan *scan,
			    const bool *known)
{
	struct item **items = reallocarray(f->items, f->n_items + scan->n + 1,
					   sizeof(struct item *));

	if (!items)
		return -ENOMEM;
	f->items = items;
	for (size_t i = 0; i < scan->n; i++) {
		int r;

		if (known[i] || scan->found[i].unsettled)
			continue;
		r = item_new(f, &scan->found[i], &f->items[f->n_items]);
		if (r < 0)
			return r;
		f->n_items++;
	}
	return 0;
}

static int read_locked(struct folder *f)
{
	CLEANUP(scan_release) struct scan scan = { 0 };
	CLEANUP(free_ptr) bool *known = NULL;
	struct folder_state now;
	int r = scan_state(dir_fd(f->dir), &now);

	if (r < 0 || folder_state_equal(&now, &f->state))
		return r;
	r = scan_directory(dir_fd(f->dir), f == f->store->root, &scan);
	if (r < 0)
		return r;
	known = calloc(scan.n + 1, sizeof(*known));
	if (!known)
		return -ENOMEM;
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

	f->read_only = f->store->config->read_only;
	if (f->read_only)
		return;
	if (f != f->store->root &&
	    lock_directory(dir_fd(f->dir), &holder) < 0) {
		log_warning("%s: read-only: %.*s writes to it", f->path,
			    (int)holder.len, (const char *)holder.data);
		f->read_only = true;
		return;
	}
	residue_remove(dir_fd(f->dir));
}

static int open_locked(struct folder *f)
{
	int fd = io_open(f->store->dirfd, f->path,
			 O_RDONLY | O_DIRECTORY | O_NONBLOCK);
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
	bool first = !f->dir;
	int r = first && !f->closed ? open_locked(f) : 0;

	if (r < 0 || f->closed)
		return r;
	r = read_locked(f);
	if (first && r == 0)
		f->store->config->opened(f->store->config->checkpoint.arg, f,
					 dir_fd(f->dir));
	return r;
}

int folder_lookup(struct folder *f, struct span name, struct item **ret)
{
	LOCK_SCOPE(&f->lock);
	int r = refresh_locked(f);

	for (size_t i = 0; r == 0 && i < f->n_items; i++) {
		if (!span_equal(span_of(f->items[i]->name), name))
			continue;
		*ret = item_ref(f->items[i]);
		return 0;
	}
	return r < 0 ? r : -ENOENT;
}

int folder_list(struct folder *f, uint64_t *cookie, struct buf *name,
		struct item **ret)
{
	LOCK_SCOPE(&f->lock);
	int r = *cookie == 0 ? refresh_locked(f) : 0;

	for (size_t i = 0; r == 0 && i < f->n_items; i++) {
		if (f->items[i]->place < *cookie)
			continue;
		buf_printf(name, "%s", f->items[i]->name);
		*ret = item_ref(f->items[i]);
		*cookie = f->items[i]->place + 1;
		return buf_error(name) ? buf_error(name) : 1;
	}
	return r;
}

/* The checkpoints of the folder that somebody has looked at, counted. */
static size_t loaded(struct folder *f, struct checkpoint ***ret)
{
	LOCK_SCOPE(&f->lock);
	struct checkpoint **all = calloc(f->n_items + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; all && i < f->n_items; i++) {
		struct checkpoint *cp = f->items[i]->checkpoint;

		if (cp && checkpoint_loaded(cp))
			all[n++] = checkpoint_ref(cp);
	}
	*ret = all;
	return n;
}

bool folder_check(struct folder *f)
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	bool unsettled;
	size_t n;

	pthread_mutex_lock(&f->lock);
	(void)refresh_locked(f);
	unsettled = f->dir && !f->closed && f->state.ino == 0;
	pthread_mutex_unlock(&f->lock);

	n = loaded(f, &all);
	for (size_t i = 0; i < n; i++) {
		(void)checkpoint_refresh(all[i]);
		unsettled |= checkpoint_unsettled(all[i]);
		checkpoint_unref(all[i]);
	}
	return unsettled;
}
