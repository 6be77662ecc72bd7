#include "fs/hidden.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/name.h"
#include "core/report.h"
#include "core/source.h"
#include "fs/by_name.h"
#include "fs/control.h"
#include "fs/fs.h"
#include "fs/status_text.h"

#define SUFFIX ".tsv"
/* For how long names and attributes of directories may be believed. */
#define TIMEOUT 1.0
/* Set in the number of a text, which is used for one look-up and never again. */
#define TEXT_BIT (UINT64_C(1) << 62)

enum kind {
	KIND_ROOT, /* of the directory; the next six are in it */
	KIND_STATUS,
	KIND_LOG,
	KIND_VERSION,
	KIND_CONTROL,
	KIND_MANIFESTS, /* of a folder */
	KIND_BY_NAME,   /* never known here: by_name.h */
	KIND_MANIFEST,  /* of a checkpoint */
	N_KINDS
};

static const char *const names[] = {
	[KIND_STATUS] = "status",      [KIND_LOG] = "log",
	[KIND_VERSION] = "version",    [KIND_CONTROL] = "control",
	[KIND_MANIFESTS] = "manifest", [KIND_BY_NAME] = BY_NAME,
};

/* What a name stands for. */
struct spot {
	enum kind kind;
	uint64_t number;       /* of the folder or item, else 0 */
	struct folder *folder; /* of KIND_MANIFESTS; NULL: one checkpoint */
	struct checkpoint *checkpoint; /* of KIND_MANIFEST; counted */
};

/* What the kernel knows. */
struct known {
	fuse_ino_t node;
	uint64_t lookups;
	struct spot spot;
	struct timespec made;
	uint64_t size;   /* of the text */
	struct buf text; /* empty if it had to go */
	bool kept;       /* whether it is in the list of texts */
	TAILQ_ENTRY(known) next;
};

struct hidden {
	struct fs *fs;
	struct timespec started;
	pthread_mutex_t lock; /* for all that follows, and what is known */
	void *known;          /* a tree of tsearch(3), by node */
	uint64_t next_text;
	uint64_t kept_bytes;
	struct by_name *by_name;
	/* Those with a text, the newest at the end. */
	TAILQ_HEAD(, known) kept;
};

static bool is_directory(enum kind kind)
{
	return kind == KIND_ROOT || kind == KIND_MANIFESTS ||
	       kind == KIND_BY_NAME;
}

static bool is_text(enum kind kind)
{
	return !is_directory(kind) && kind != KIND_CONTROL;
}

static void spot_release(struct spot *s)
{
	checkpoint_unref(s->checkpoint);
	*s = (struct spot){ 0 };
}

/* The number that the user sees; also the node id of all that is no text. */
static fuse_ino_t spot_ino(const struct spot *s)
{
	if (s->kind == KIND_BY_NAME)
		return by_name_ino();
	return HIDDEN_BIT | (s->number * N_KINDS + s->kind);
}

bool hidden_has(fuse_ino_t node)
{
	return node & HIDDEN_BIT;
}

bool hidden_is(fuse_ino_t parent, const char *name)
{
	return parent == FUSE_ROOT_ID && strcmp(name, NAME_HIDDEN_DIR) == 0;
}

/* --- what is known -------------------------------------------------------- */

static int by_node(const void *a, const void *b)
{
	fuse_ino_t x = ((const struct known *)a)->node;
	fuse_ino_t y = ((const struct known *)b)->node;

	return (x > y) - (x < y);
}

static struct known *find_locked(const struct hidden *h, fuse_ino_t node)
{
	struct known key = { .node = node };
	struct known **found = tfind(&key, &h->known, by_node);

	return found ? *found : NULL;
}

/* Borrowed, and good for as long as the kernel holds the node; NULL: it should not. */
static struct known *find(struct hidden *h, fuse_ino_t node)
{
	LOCK_SCOPE(&h->lock);

	return find_locked(h, node);
}

static void drop_text_locked(struct hidden *h, struct known *k)
{
	if (!k->kept)
		return;
	TAILQ_REMOVE(&h->kept, k, next);
	h->kept_bytes -= k->size;
	buf_release(&k->text);
	k->kept = false;
}

/* The oldest texts go if there are too many. */
static void keep_text_locked(struct hidden *h, struct known *k)
{
	TAILQ_INSERT_TAIL(&h->kept, k, next);
	h->kept_bytes += k->size;
	k->kept = true;
	while (h->kept_bytes > HIDDEN_KEPT && TAILQ_FIRST(&h->kept) != k)
		drop_text_locked(h, TAILQ_FIRST(&h->kept));
}

static void known_free(void *p)
{
	struct known *k = p;

	buf_release(&k->text);
	spot_release(&k->spot);
	free(k);
}

int hidden_new(struct fs *fs, struct hidden **ret)
{
	struct hidden *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->fs = fs;
	(void)clock_gettime(CLOCK_REALTIME, &h->started);
	(void)pthread_mutex_init(&h->lock, NULL);
	TAILQ_INIT(&h->kept);
	r = by_name_new(fs, &h->by_name);
	if (r < 0)
		hidden_free(h);
	else
		*ret = h;
	return r;
}

void hidden_free(struct hidden *h)
{
	if (!h)
		return;
	by_name_free(h->by_name);
	tdestroy(h->known, known_free);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

/* --- texts --------------------------------------------------------------- */

/* Of one moment; what is not there yet, because it is just written, is not there. */
static int make_text(const struct hidden *h, const struct spot *s,
		     struct buf *out)
{
	int r = 0;

	switch (s->kind) {
	case KIND_STATUS:
		return status_text(h->fs, &h->started, out);
	case KIND_LOG:
		log_recent(out);
		return buf_error(out);
	case KIND_VERSION:
		buf_printf(out, "weightfs %s (libfuse %s)\n", WEIGHTFS_VERSION,
			   fuse_pkgversion());
		return buf_error(out);
	case KIND_MANIFEST:
		r = report_manifest(s->checkpoint, out);
		return r == -EAGAIN ? -ENOENT : r;
	case KIND_ROOT:
	case KIND_MANIFESTS:
	case KIND_BY_NAME:
	case KIND_CONTROL:
	case N_KINDS:
		break;
	}
	return -EISDIR;
}

/* --- names --------------------------------------------------------------- */

static int spot_in_root(const struct hidden *h, const char *name,
			struct spot *ret)
{
	for (enum kind k = KIND_STATUS; k <= KIND_BY_NAME; k++) {
		if (strcmp(name, names[k]) != 0)
			continue;
		*ret = (struct spot){ .kind = k };
		if (k == KIND_MANIFESTS && !fs_single(h->fs))
			ret->folder = fs_root(h->fs);
		return 0;
	}
	return -ENOENT;
}

/* PREFIX of `PREFIX.tsv`; false if it is none. */
static bool cut_suffix(const char *name, struct span *ret)
{
	size_t len = strlen(name);

	if (len <= strlen(SUFFIX) ||
	    strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	*ret = (struct span){ (const uint8_t *)name, len - strlen(SUFFIX) };
	return true;
}

static struct spot spot_of_checkpoint(struct checkpoint *cp, uint64_t number)
{
	return (struct spot){ .kind = KIND_MANIFEST,
			      .number = number,
			      .checkpoint = checkpoint_ref(cp) };
}

static struct spot spot_of_folder(struct folder *f)
{
	return (struct spot){ .kind = KIND_MANIFESTS,
			      .number = folder_id(f),
			      .folder = f };
}

/* The one checkpoint of a mount that has no folders. */
static int spot_of_single(const struct hidden *h, const char *name,
			  struct spot *ret)
{
	struct span prefix;

	if (!cut_suffix(name, &prefix) ||
	    !span_equal(prefix, span_of(fs_source(h->fs)->prefix)))
		return -ENOENT;
	*ret = spot_of_checkpoint(fs_single(h->fs), 0);
	return 0;
}

static int spot_in_folder(struct folder *f, const char *name, struct spot *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct span prefix;
	int r;

	if (cut_suffix(name, &prefix)) {
		r = folder_lookup(f, prefix, &item);
		if (r == 0 && item_checkpoint(item)) {
			*ret = spot_of_checkpoint(item_checkpoint(item),
						  item_id(item));
			return 0;
		}
		item_unref(STEAL(item));
	}
	r = folder_lookup(f, span_of(name), &item);
	if (r < 0)
		return r;
	if (!item_folder(item))
		return -ENOENT;
	*ret = spot_of_folder(item_folder(item));
	return 0;
}

static int spot_find(struct hidden *h, fuse_ino_t parent, const char *name,
		     struct spot *ret)
{
	const struct known *dir;

	if (hidden_is(parent, name)) {
		*ret = (struct spot){ .kind = KIND_ROOT };
		return 0;
	}
	dir = find(h, parent);
	if (!dir)
		return -ESTALE;
	if (dir->spot.kind == KIND_ROOT)
		return spot_in_root(h, name, ret);
	if (dir->spot.kind != KIND_MANIFESTS)
		return -ENOTDIR;
	return dir->spot.folder ? spot_in_folder(dir->spot.folder, name, ret)
				: spot_of_single(h, name, ret);
}

/* Takes the spot and the text over. */
static struct known *make_known_locked(struct hidden *h, struct spot *spot,
				       struct buf *text)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->node = is_text(spot->kind) ? HIDDEN_BIT | TEXT_BIT | h->next_text++
				      : spot_ino(spot);
	if (!tsearch(k, &h->known, by_node)) {
		free(k);
		return NULL;
	}
	(void)clock_gettime(CLOCK_REALTIME, &k->made);
	k->spot = *spot;
	*spot = (struct spot){ 0 };
	k->size = text->len;
	k->text = *text;
	*text = (struct buf){ 0 };
	if (is_text(k->spot.kind))
		keep_text_locked(h, k);
	return k;
}

static void fill_stat(const struct hidden *h, const struct known *k,
		      struct stat *ret)
{
	const struct options *o = fs_options(h->fs);
	enum kind kind = k->spot.kind;
	struct stat st = { .st_ino = spot_ino(&k->spot), .st_nlink = 1 };

	st.st_mode = S_IFREG | (kind == KIND_CONTROL ? 0200 : 0444);
	if (is_directory(kind))
		st.st_mode = S_IFDIR | 0555;
	if (o->set_umask)
		st.st_mode &= ~(o->umask & 0777);
	st.st_uid = o->set_uid ? o->uid : getuid();
	st.st_gid = o->set_gid ? o->gid : getgid();
	st.st_size = (off_t)k->size;
	st.st_blocks = (st.st_size + 511) / 512;
	st.st_mtim = k->made;
	st.st_ctim = k->made;
	st.st_atim = k->made;
	*ret = st;
}

int hidden_lookup(struct hidden *h, fuse_ino_t parent, const char *name,
		  struct fuse_entry_param *ret)
{
	CLEANUP(spot_release) struct spot spot = { 0 };
	CLEANUP(buf_release) struct buf text = { 0 };
	struct known *k;
	int r;

	if (by_name_has(parent))
		return by_name_lookup(h->by_name, parent, name, ret);
	r = spot_find(h, parent, name, &spot);
	if (r == 0 && spot.kind == KIND_BY_NAME)
		return by_name_lookup(h->by_name, 0, name, ret);
	if (r == 0 && is_text(spot.kind))
		r = make_text(h, &spot, &text);
	if (r < 0)
		return r;

	LOCK_SCOPE(&h->lock);
	k = is_text(spot.kind) ? NULL : find_locked(h, spot_ino(&spot));
	if (!k)
		k = make_known_locked(h, &spot, &text);
	if (!k)
		return -ENOMEM;
	k->lookups++;
	ret->ino = k->node;
	ret->entry_timeout = is_directory(k->spot.kind) ? TIMEOUT : 0;
	ret->attr_timeout = TIMEOUT;
	fill_stat(h, k, &ret->attr);
	return 0;
}

void hidden_forget(struct hidden *h, fuse_ino_t node, uint64_t lookups)
{
	struct known *k;

	if (by_name_has(node)) {
		by_name_forget(h->by_name, node, lookups);
		return;
	}
	LOCK_SCOPE(&h->lock);
	k = find_locked(h, node);
	if (!k)
		return;
	k->lookups -= lookups;
	if (k->lookups)
		return;
	(void)tdelete(k, &h->known, by_node);
	drop_text_locked(h, k);
	known_free(k);
}

/* --- files and directories ------------------------------------------------ */

int hidden_readlink(struct hidden *h, fuse_ino_t node, struct buf *ret)
{
	return by_name_has(node) ? by_name_readlink(h->by_name, node, ret)
				 : -EINVAL;
}

int hidden_stat(struct hidden *h, fuse_ino_t node, struct stat *ret)
{
	const struct known *k;

	if (by_name_has(node))
		return by_name_stat(h->by_name, node, ret);
	k = find(h, node);
	if (!k)
		return -ESTALE;
	fill_stat(h, k, ret);
	return 0;
}

int hidden_open(struct hidden *h, fuse_ino_t node, int flags)
{
	const struct known *k = find(h, node);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	if (by_name_has(node))
		return -EISDIR;
	if (!k)
		return -ESTALE;
	if (is_directory(k->spot.kind))
		return -EISDIR;
	/* The kernel has looked at the modes, but root need not heed them. */
	return writes == (k->spot.kind == KIND_CONTROL) ? 0 : -EACCES;
}

/* Makes a text again that had to go. */
static int remake_locked(struct hidden *h, struct known *k)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	int r = make_text(h, &k->spot, &text);

	if (r < 0)
		return r;
	if (text.len != k->size)
		return -ESTALE;
	k->text = text;
	text = (struct buf){ 0 };
	keep_text_locked(h, k);
	return 0;
}

int hidden_read(struct hidden *h, fuse_ino_t node, size_t n, uint64_t offset,
		struct buf *ret)
{
	struct known *k;
	int r = 0;
	LOCK_SCOPE(&h->lock);

	k = find_locked(h, node);
	if (!k)
		return -ESTALE;
	if (!is_text(k->spot.kind))
		return -EINVAL;
	if (!k->kept)
		r = remake_locked(h, k);
	if (r < 0 || offset >= k->size)
		return r;
	if (n > k->size - offset)
		n = k->size - offset;
	buf_put(ret, k->text.data + offset, n);
	return buf_error(ret);
}

int hidden_write(struct hidden *h, fuse_ino_t node, struct span data)
{
	const struct known *k = find(h, node);

	if (!k)
		return -ESTALE;
	return k->spot.kind == KIND_CONTROL ? control_run(h->fs, data)
					    : -EACCES;
}

static int list_root(uint64_t *cookie, struct buf *name, struct spot *ret)
{
	enum kind kind = (enum kind)(KIND_STATUS + *cookie);

	if (*cookie > KIND_BY_NAME - KIND_STATUS)
		return 0;
	*ret = (struct spot){ .kind = kind };
	buf_printf(name, "%s", names[kind]);
	++*cookie;
	return 1;
}

static int list_single(const struct hidden *h, uint64_t *cookie,
		       struct buf *name, struct spot *ret)
{
	if (*cookie)
		return 0;
	*cookie = 1;
	buf_printf(name, "%s" SUFFIX, fs_source(h->fs)->prefix);
	*ret = spot_of_checkpoint(fs_single(h->fs), 0);
	return 1;
}

/* Its checkpoints and folders; of the rest nothing can be said. */
static int list_folder(struct folder *f, uint64_t *cookie, struct buf *name,
		       struct spot *ret)
{
	for (;;) {
		CLEANUP(item_unrefp) struct item *item = NULL;
		int r = folder_list(f, cookie, name, &item);

		if (r <= 0)
			return r;
		if (item_checkpoint(item)) {
			buf_printf(name, SUFFIX);
			*ret = spot_of_checkpoint(item_checkpoint(item),
						  item_id(item));
			return 1;
		}
		if (item_folder(item)) {
			*ret = spot_of_folder(item_folder(item));
			return 1;
		}
		name->len = 0;
	}
}

int hidden_list(struct hidden *h, fuse_ino_t node, uint64_t *cookie,
		struct buf *name, struct stat *ret)
{
	CLEANUP(spot_release) struct spot spot = { 0 };
	const struct known *dir;
	int r;

	if (by_name_has(node))
		return by_name_list(h->by_name, node, cookie, name, ret);
	dir = find(h, node);
	if (!dir)
		return -ESTALE;
	if (!is_directory(dir->spot.kind))
		return -ENOTDIR;
	if (dir->spot.kind == KIND_ROOT)
		r = list_root(cookie, name, &spot);
	else if (dir->spot.folder)
		r = list_folder(dir->spot.folder, cookie, name, &spot);
	else
		r = list_single(h, cookie, name, &spot);
	if (r <= 0)
		return r;
	*ret = (struct stat){ .st_ino = spot_ino(&spot) };
	ret->st_mode = is_directory(spot.kind) ? S_IFDIR : S_IFREG;
	return buf_error(name) ? buf_error(name) : 1;
}
