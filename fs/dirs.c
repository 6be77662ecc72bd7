#include "fs/dirs.h"

#include <errno.h>

#include "core/cleanup.h"
#include "fs/inode.h"
#include "fs/names.h"

/* Offsets of a listing: `.`, `..`, then the cookies of core. */
enum {
	OFFSET_DOT,
	OFFSET_DOTDOT,
	OFFSET_NAMES
};

/* A listing under way. */
struct listing {
	fuse_req_t req;
	struct fs *fs;
	fuse_ino_t node;
	struct target dir;
	bool plus;
	char *bytes;
	size_t size;
	size_t used;
};

int dirs_open(struct fs *fs, fuse_ino_t node, struct listing_cache *ret)
{
	struct target t = inode_target(fs_inodes(fs), node);
	bool cached = !t.folder && !inode_changed(fs_inodes(fs), node);
	int r = 0;

	/*
	 * A folder's listing changes without us.  That of a scope changes by requests
	 * that name another directory, or none, and the kernel would go on with what
	 * it has: once its names have changed, they are always asked for.
	 */
	*ret = (struct listing_cache){ cached, cached };
	if (t.checkpoint)
		r = checkpoint_refresh(t.checkpoint);
	return r == -ENOENT || r == -EAGAIN ? 0 : r;
}

/* The next name from `*cookie` on: 1, 0 at the end, or negative errno. */
static int next_name(const struct target *dir, uint64_t *cookie,
		     struct buf *name, struct target *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r;

	if (dir->folder) {
		r = folder_list(dir->folder, cookie, name, &item);
		if (r == 1)
			*ret = target_of_item(item);
		return r;
	}
	r = checkpoint_list(dir->checkpoint, dir->object.node, cookie, name,
			    &ret->object);
	if (r == 1)
		ret->checkpoint = checkpoint_ref(dir->checkpoint);
	return r;
}

/* Adds one entry; false if it does not fit any more. */
static bool add_entry(struct listing *l, const char *name,
		      const struct fuse_entry_param *e, off_t next)
{
	char *at = l->bytes + l->used;
	size_t room = l->size - l->used;
	size_t need = l->plus ? fuse_add_direntry_plus(l->req, at, room, name,
						       e, next)
			      : fuse_add_direntry(l->req, at, room, name,
						  &e->attr, next);

	if (need > room)
		return false;
	l->used += need;
	return true;
}

static bool add_dot(struct listing *l, const char *name, off_t next)
{
	struct fuse_entry_param e = { 0 };

	e.attr.st_mode = S_IFDIR;
	e.attr.st_ino = target_ino(&l->dir);
	return add_entry(l, name, &e, next);
}

static int fill_listed(struct listing *l, const char *name,
		       const struct target *t, struct fuse_entry_param *e)
{
	if (l->plus)
		return names_fill(l->fs, l->node, name, t, e);
	e->attr.st_ino = target_ino(t);
	e->attr.st_mode = target_type(t);
	return 0;
}

/* 1 if a name was added, 0 at the end or when there is no more room. */
static int list_one(struct listing *l, uint64_t *cookie)
{
	CLEANUP(target_release) struct target t = { 0 };
	CLEANUP(buf_release) struct buf buf = { 0 };
	struct fuse_entry_param e = { 0 };
	const char *name;
	int r = next_name(&l->dir, cookie, &buf, &t);

	if (r <= 0)
		return r;
	buf_put(&buf, "", 1);
	if (buf_error(&buf))
		return buf_error(&buf);
	name = (const char *)buf.data;
	/* What has gone since it was found is not listed. */
	if (fill_listed(l, name, &t, &e) < 0)
		return 1;
	if (!add_entry(l, name, &e, (off_t)(*cookie + OFFSET_NAMES)))
		return 0;
	if (!l->plus)
		return 1;
	r = inode_remember(fs_inodes(l->fs), &t);
	return r < 0 ? r : 1;
}

static int fill_listing(struct listing *l, off_t off)
{
	uint64_t cookie = off > OFFSET_NAMES ? (uint64_t)off - OFFSET_NAMES : 0;
	int r = 1;

	if (!l->dir.folder && l->dir.object.facet != FACET_SCOPE)
		return -ENOTDIR;
	if (off <= OFFSET_DOT && !add_dot(l, ".", OFFSET_DOTDOT))
		return 0;
	if (off <= OFFSET_DOTDOT && !add_dot(l, "..", OFFSET_NAMES))
		return 0;
	while (r == 1)
		r = list_one(l, &cookie);
	/* What is listed already is worth more than the error behind it. */
	return l->used ? 0 : r;
}

int64_t dirs_list(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		  bool plus, char **ret)
{
	CLEANUP(free_ptr) char *bytes = malloc(size);
	struct fs *fs = fuse_req_userdata(req);
	struct listing l = { .req = req,
			     .fs = fs,
			     .node = node,
			     .dir = inode_target(fs_inodes(fs), node),
			     .plus = plus,
			     .bytes = bytes,
			     .size = size };
	int r = bytes ? fill_listing(&l, off) : -ENOMEM;

	if (r < 0)
		return r;
	*ret = STEAL(bytes);
	return (int64_t)l.used;
}
