#include "fs/by_name.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/full_names.h"
#include "core/source.h"
#include "core/store.h"
#include "fs/fs.h"
#include "fs/hidden.h"

/* Pictures that are kept, each for a second, or longer than it took to make it. */
#define N_PICTURES 4
#define FRESH_MS   1000
#define FRESH_COST 4
/* For how long names and attributes may be believed. */
#define TIMEOUT 1.0

/*
 * What a name stands for: a folder, a scope in a checkpoint, a link.  No checkpoint is
 * held: the kernel may know a name for long, and what was deleted would stay on disk.
 */
struct spot {
	struct folder *folder; /* the checkpoint's; NULL: that of the mount */
	uint64_t number;       /* of the item, or of the folder */
	char *place; /* the checkpoint, as its folder shows it; NULL: a folder */
	char *path;  /* in the checkpoint's names; "" for all of them */
	char *target; /* of a link: the variable, in the checkpoint */
};

struct known {
	fuse_ino_t node;
	uint64_t lookups;
	struct spot spot;
};

struct picture {
	uint64_t number; /* of the item */
	struct full_names *names;
	uint64_t good_until_ms;
};

struct by_name {
	struct fs *fs;
	struct timespec started;
	pthread_mutex_t lock; /* for all that follows */
	void *known;          /* a tree of tsearch(3), by node */
	struct picture pictures[N_PICTURES];
	unsigned next_picture;
};

static void spot_release(struct spot *s)
{
	free(s->place);
	free(s->path);
	free(s->target);
	*s = (struct spot){ 0 };
}

static void known_free(void *p)
{
	struct known *k = p;

	spot_release(&k->spot);
	free(k);
}

int by_name_new(struct fs *fs, struct by_name **ret)
{
	struct by_name *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fs = fs;
	(void)clock_gettime(CLOCK_REALTIME, &b->started);
	(void)pthread_mutex_init(&b->lock, NULL);
	*ret = b;
	return 0;
}

void by_name_free(struct by_name *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < N_PICTURES; i++)
		full_names_unref(b->pictures[i].names);
	tdestroy(b->known, known_free);
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

bool by_name_has(fuse_ino_t node)
{
	return node & HIDDEN_BIT && node & NAMES_BIT;
}

/* --- what is known -------------------------------------------------------- */

static int by_node(const void *a, const void *b)
{
	fuse_ino_t x = ((const struct known *)a)->node;
	fuse_ino_t y = ((const struct known *)b)->node;

	return (x > y) - (x < y);
}

static struct known *find_locked(const struct by_name *b, fuse_ino_t node)
{
	struct known key = { .node = node };
	struct known **found = tfind(&key, &b->known, by_node);

	return found ? *found : NULL;
}

/* Borrowed, and good for as long as the kernel holds the node. */
static const struct spot *find(struct by_name *b, fuse_ino_t node)
{
	LOCK_SCOPE(&b->lock);
	const struct known *k = find_locked(b, node);

	return k ? &k->spot : NULL;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_spot(const struct spot *a, const struct spot *b)
{
	return a->number == b->number && !a->place == !b->place &&
	       same_text(a->place, b->place) && same_text(a->path, b->path) &&
	       same_text(a->target, b->target);
}

/* FNV-1a, over all that tells one from another. */
static uint64_t hash_of(uint64_t number, bool in_checkpoint, const char *path,
			bool link)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ number;

	for (const char *p = path; p && *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	hash = (hash ^ link) * UINT64_C(0x100000001b3);
	return (hash ^ in_checkpoint) * UINT64_C(0x100000001b3);
}

static fuse_ino_t number_of(uint64_t hash)
{
	return HIDDEN_BIT | NAMES_BIT | (hash & (NAMES_BIT - 1));
}

fuse_ino_t by_name_ino(void)
{
	return number_of(hash_of(0, false, "", false));
}

/* Takes the spot over. */
static struct known *know_locked(struct by_name *b, struct spot *spot)
{
	uint64_t hash = hash_of(spot->number, spot->place != NULL, spot->path,
				spot->target != NULL);
	struct known *k;

	while ((k = find_locked(b, number_of(hash)))) {
		if (same_spot(&k->spot, spot))
			return k;
		hash++;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->node = number_of(hash);
	if (!tsearch(k, &b->known, by_node)) {
		free(k);
		return NULL;
	}
	k->spot = *spot;
	*spot = (struct spot){ 0 };
	return k;
}

/* --- pictures of checkpoints ------------------------------------------------ */

static struct full_names *kept_picture(struct by_name *b, uint64_t number,
				       bool fresh)
{
	uint64_t now = clock_ms();
	LOCK_SCOPE(&b->lock);

	for (size_t i = 0; i < N_PICTURES; i++) {
		const struct picture *p = &b->pictures[i];

		if (p->names && p->number == number &&
		    !(fresh && now > p->good_until_ms))
			return full_names_ref(p->names);
	}
	return NULL;
}

static void keep_picture(struct by_name *b, uint64_t number,
			 struct full_names *names, uint64_t began_ms)
{
	uint64_t now = clock_ms();
	LOCK_SCOPE(&b->lock);
	struct picture *p = NULL;

	for (size_t i = 0; !p && i < N_PICTURES; i++)
		if (b->pictures[i].names && b->pictures[i].number == number)
			p = &b->pictures[i];
	if (!p)
		p = &b->pictures[b->next_picture++ % N_PICTURES];
	full_names_unref(p->names);
	*p = (struct picture){ number, full_names_ref(names),
			       now + FRESH_MS + FRESH_COST * (now - began_ms) };
}

/* The checkpoint that it is in, counted; -ENOENT if that has gone. */
static int checkpoint_of(const struct by_name *b, const struct spot *s,
			 struct checkpoint **ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r;

	if (fs_single(b->fs)) {
		*ret = checkpoint_ref(fs_single(b->fs));
		return 0;
	}
	r = folder_lookup(s->folder, span_of(s->place), &item);
	if (r < 0)
		return r;
	if (!item_checkpoint(item) || item_id(item) != s->number)
		return -ENOENT;
	*ret = checkpoint_ref(item_checkpoint(item));
	return 0;
}

/* `fresh`: not older than names may be; a listing goes on with what it began with. */
static int picture_of(struct by_name *b, const struct spot *s, bool fresh,
		      struct full_names **ret)
{
	uint64_t began = clock_ms();
	struct checkpoint *cp = NULL;
	int r;

	*ret = kept_picture(b, s->number, fresh);
	if (*ret)
		return 0;
	r = checkpoint_of(b, s, &cp);
	if (r == 0)
		r = full_names_new(cp, ret);
	checkpoint_unref(cp);
	if (r == 0)
		keep_picture(b, s->number, *ret, began);
	return r == -EAGAIN ? -ENOENT : r;
}

/* --- names ------------------------------------------------------------------ */

static int spot_of_checkpoint(uint64_t number, struct folder *folder,
			      const char *place, struct spot *ret)
{
	*ret = (struct spot){ .folder = folder,
			      .number = number,
			      .place = strdup(place),
			      .path = strdup("") };
	return ret->place && ret->path ? 0 : -ENOMEM;
}

static int spot_in_folder(const struct by_name *b, struct folder *f,
			  const char *name, struct spot *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r;

	if (fs_single(b->fs))
		return strcmp(name, fs_source(b->fs)->prefix) == 0
			       ? spot_of_checkpoint(0, NULL, "", ret)
			       : -ENOENT;
	if (!f)
		f = fs_root(b->fs);
	r = folder_lookup(f, span_of(name), &item);
	if (r < 0)
		return r;
	if (item_checkpoint(item))
		return spot_of_checkpoint(item_id(item), f, name, ret);
	if (!item_folder(item))
		return -ENOENT;
	*ret = (struct spot){ .folder = item_folder(item),
			      .number = item_id(item) };
	return 0;
}

static char *path_below(const struct spot *s, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", s->path, *s->path ? "/" : "", name) < 0
		       ? NULL
		       : path;
}

static int spot_in_checkpoint(struct by_name *b, const struct spot *in,
			      const char *name, struct spot *ret)
{
	CLEANUP(full_names_unrefp) struct full_names *names = NULL;
	CLEANUP(free_ptr) char *path = path_below(in, name);
	enum full_name_kind kind;
	struct span target;
	int r = path ? picture_of(b, in, true, &names) : -ENOMEM;

	if (r < 0)
		return r;
	kind = full_names_find(names, span_of(path), &target);
	if (kind == FULL_NAME_NONE)
		return -ENOENT;
	r = spot_of_checkpoint(in->number, in->folder, in->place, ret);
	free(ret->path);
	ret->path = STEAL(path);
	if (r == 0 && kind == FULL_NAME_VARIABLE) {
		ret->target = strndup((const char *)target.data, target.len);
		r = ret->target ? 0 : -ENOMEM;
	}
	return r;
}

static int spot_find(struct by_name *b, fuse_ino_t parent, const char *name,
		     struct spot *ret)
{
	const struct spot *in;

	if (parent == 0) {
		*ret = (struct spot){ 0 };
		return 0;
	}
	in = find(b, parent);
	if (!in)
		return -ESTALE;
	if (in->target)
		return -ENOTDIR;
	return in->place ? spot_in_checkpoint(b, in, name, ret)
			 : spot_in_folder(b, in->folder, name, ret);
}

static void fill_stat(const struct by_name *b, const struct known *k,
		      struct stat *ret)
{
	const struct options *o = fs_options(b->fs);

	*ret = (struct stat){ .st_ino = k->node,
			      .st_mode = S_IFLNK | 0777,
			      .st_nlink = 1,
			      .st_uid = o->set_uid ? o->uid : getuid(),
			      .st_gid = o->set_gid ? o->gid : getgid(),
			      .st_mtim = b->started,
			      .st_ctim = b->started,
			      .st_atim = b->started };
	if (!k->spot.target)
		ret->st_mode = S_IFDIR |
			       (0555 & ~(o->set_umask ? o->umask : 0));
}

int by_name_lookup(struct by_name *b, fuse_ino_t parent, const char *name,
		   struct fuse_entry_param *ret)
{
	CLEANUP(spot_release) struct spot spot = { 0 };
	struct known *k;
	int r = spot_find(b, parent, name, &spot);
	LOCK_SCOPE(&b->lock);

	if (r < 0)
		return r;
	k = know_locked(b, &spot);
	if (!k)
		return -ENOMEM;
	k->lookups++;
	ret->ino = k->node;
	ret->entry_timeout = TIMEOUT;
	ret->attr_timeout = TIMEOUT;
	fill_stat(b, k, &ret->attr);
	return 0;
}

void by_name_forget(struct by_name *b, fuse_ino_t node, uint64_t lookups)
{
	LOCK_SCOPE(&b->lock);
	struct known *k = find_locked(b, node);

	if (!k)
		return;
	k->lookups -= lookups;
	if (k->lookups)
		return;
	(void)tdelete(k, &b->known, by_node);
	known_free(k);
}

int by_name_stat(struct by_name *b, fuse_ino_t node, struct stat *ret)
{
	LOCK_SCOPE(&b->lock);
	const struct known *k = find_locked(b, node);

	if (!k)
		return -ESTALE;
	fill_stat(b, k, ret);
	return 0;
}

/* --- links and listings ------------------------------------------------------ */

static size_t depth_of(const char *path)
{
	size_t depth = *path != 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

int by_name_readlink(struct by_name *b, fuse_ino_t node, struct buf *ret)
{
	const struct spot *s = find(b, node);
	CLEANUP(free_ptr) char *folder = NULL;
	const char *place;
	size_t up;

	if (!s)
		return -ESTALE;
	if (!s->target)
		return -EINVAL;
	folder = s->folder ? folder_path(s->folder) : strdup(".");
	if (!folder)
		return -ENOMEM;
	/* Where the checkpoint is from the root; that of a mount of one is the root. */
	place = strcmp(folder, ".") == 0 ? "" : folder;
	up = 2 + depth_of(place) + 1 + depth_of(s->path) - 1;
	while (up--)
		buf_printf(ret, "../");
	buf_printf(ret, "%s%s%s%s%s", place, *place ? "/" : "", s->place,
		   *s->place ? "/" : "", s->target);
	return buf_error(ret);
}

static int list_single(const struct by_name *b, uint64_t *cookie,
		       struct buf *name, struct stat *ret)
{
	if (*cookie)
		return 0;
	*cookie = 1;
	buf_printf(name, "%s", fs_source(b->fs)->prefix);
	ret->st_ino = number_of(hash_of(0, true, "", false));
	return 1;
}

static int list_folder(struct folder *f, uint64_t *cookie, struct buf *name,
		       struct stat *ret)
{
	for (;;) {
		CLEANUP(item_unrefp) struct item *item = NULL;
		int r = folder_list(f, cookie, name, &item);

		if (r <= 0)
			return r;
		if (item_checkpoint(item) || item_folder(item)) {
			ret->st_ino = number_of(hash_of(
				item_id(item), item_checkpoint(item) != NULL,
				"", false));
			return 1;
		}
		name->len = 0;
	}
}

static int list_names(struct by_name *b, const struct spot *s, uint64_t *cookie,
		      struct buf *name, struct stat *ret)
{
	CLEANUP(full_names_unrefp) struct full_names *names = NULL;
	CLEANUP(free_ptr) char *path = NULL;
	int r = picture_of(b, s, *cookie == 0, &names);
	enum full_name_kind kind;
	bool link;

	if (r < 0)
		return r;
	kind = full_names_list(names, span_of(s->path), cookie, name);
	if (kind == FULL_NAME_NONE)
		return 0;
	if (asprintf(&path, "%s%s%.*s", s->path, *s->path ? "/" : "",
		     (int)name->len, (const char *)name->data) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	link = kind == FULL_NAME_VARIABLE;
	ret->st_ino = number_of(hash_of(s->number, true, path, link));
	ret->st_mode = link ? S_IFLNK : S_IFDIR;
	return 1;
}

int by_name_list(struct by_name *b, fuse_ino_t node, uint64_t *cookie,
		 struct buf *name, struct stat *ret)
{
	const struct spot *s = find(b, node);
	int r;

	if (!s)
		return -ESTALE;
	if (s->target)
		return -ENOTDIR;
	*ret = (struct stat){ .st_mode = S_IFDIR };
	if (s->place)
		r = list_names(b, s, cookie, name, ret);
	else if (fs_single(b->fs))
		r = list_single(b, cookie, name, ret);
	else
		r = list_folder(s->folder ? s->folder : fs_root(b->fs), cookie,
				name, ret);
	return r == 1 && buf_error(name) ? buf_error(name) : r;
}
