#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/inode.h"

#define MAX_WRITE (1U << 20)
/* For how long a name that is not there may be believed to be not there. */
#define LONG_TIMEOUT 86400.0

static struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct target target_of(fuse_req_t req, fuse_ino_t ino)
{
	return inode_target(fs_inodes(fs_of(req)), ino);
}

static struct file *file_of(const struct fuse_file_info *fi)
{
	return fi ? (struct file *)(uintptr_t)fi->fh : NULL; // NOLINT
}

/* Here, and only here, the sign of an error changes. */
static void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;
	unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
			  FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			  FUSE_CAP_ASYNC_DIO | FUSE_CAP_HANDLE_KILLPRIV;

	/* Without an open no write could be told from one that truncates. */
	if (fs_read_only(fs))
		wanted |= FUSE_CAP_NO_OPEN_SUPPORT |
			  FUSE_CAP_NO_OPENDIR_SUPPORT;
	else
		wanted |= FUSE_CAP_ATOMIC_O_TRUNC;
	conn->want = conn->capable & wanted;
	conn->max_write = MAX_WRITE;
	fs_ready(fs);
}

/* --- names --------------------------------------------------------------- */

static int find_in_folder(struct folder *folder, const char *name,
			  struct target *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r = folder_lookup(folder, span_of(name), &item);

	if (r == 0)
		*ret = target_of_item(item);
	return r;
}

static int find(const struct target *parent, const char *name,
		struct target *ret)
{
	struct target found = { 0 };
	int r;

	if (parent->folder)
		return find_in_folder(parent->folder, name, ret);
	if (parent->object.facet != FACET_SCOPE || !parent->checkpoint)
		return -ENOTDIR;
	r = checkpoint_lookup(parent->checkpoint, parent->object.node,
			      span_of(name), &found.object);
	if (r < 0)
		return r;
	found.checkpoint = checkpoint_ref(parent->checkpoint);
	*ret = found;
	return 0;
}

static int fill_entry(struct fs *fs, const struct target *t,
		      struct fuse_entry_param *e)
{
	e->ino = target_node(t);
	e->entry_timeout = attr_name_timeout(t);
	return attr_get(fs, t, &e->attr, &e->attr_timeout);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct target dir = target_of(req, parent);
	CLEANUP(target_release) struct target t = { 0 };
	struct fuse_entry_param e = { 0 };
	int r = find(&dir, name, &t);

	/* In a folder anything may come at any moment. */
	if (r == -ENOENT && !dir.folder) {
		e.entry_timeout = LONG_TIMEOUT;
		fuse_reply_entry(req, &e);
		return;
	}
	if (r == 0)
		r = fill_entry(fs, &t, &e);
	if (r == 0)
		r = inode_remember(fs_inodes(fs), &t);
	if (r < 0)
		reply(req, r == -EAGAIN ? -ENOENT : r);
	else if (fuse_reply_entry(req, &e) < 0)
		inode_forget(fs_inodes(fs), e.ino, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	inode_forget(fs_inodes(fs_of(req)), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_forget(fs_inodes(fs_of(req)), forgets[i].ino,
			     forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct target t = target_of(req, ino);
	CLEANUP(buf_release) struct buf link = { 0 };
	int r = -EINVAL;

	if (t.item)
		r = item_readlink(t.item, &link);
	else if (t.checkpoint && t.object.facet == FACET_LINK)
		r = checkpoint_readlink(t.checkpoint, t.object.node, &link);
	buf_put(&link, "", 1);
	if (r == 0)
		r = buf_error(&link);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_readlink(req, (const char *)link.data);
}

/* --- attributes ---------------------------------------------------------- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	struct stat st;
	double timeout;
	int r = attr_get(fs_of(req), &t, &st, &timeout);

	(void)fi;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_attr(req, &st, timeout);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r = attr_set(fs_of(req), &t, attr, to_set, fuse_req_ctx(req)->uid);

	if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
		file_touch(file_of(fi));
	if (r < 0)
		reply(req, r);
	else
		op_getattr(req, ino, fi);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = fs_statvfs(fs_of(req), &st);

	(void)ino;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_statfs(req, &st);
}

/* A `size` of 0 asks how long the value is. */
static void reply_xattr(fuse_req_t req, int r, const struct buf *value,
			size_t size)
{
	if (r < 0)
		reply(req, r);
	else if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		reply(req, -ERANGE);
	else
		fuse_reply_buf(req, (const char *)value->data, value->len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	struct target t = target_of(req, ino);
	CLEANUP(buf_release) struct buf value = { 0 };
	int r = 0;

	/* For `weightfs --unmount`, which waits for us to end. */
	if (ino == FUSE_ROOT_ID && strcmp(name, "user.weightfs.pid") == 0)
		buf_printf(&value, "%d", getpid());
	else
		r = xattr_get(&t, name, &value);
	reply_xattr(req, r, &value, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct target t = target_of(req, ino);
	CLEANUP(buf_release) struct buf names = { 0 };
	int r = xattr_list(&t, &names);

	reply_xattr(req, r, &names, size);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	struct target t = target_of(req, ino);

	(void)flags;
	reply(req, xattr_set(&t, name,
			     (struct span){ (const uint8_t *)value, size }));
}

/* --- files --------------------------------------------------------------- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct target t = target_of(req, ino);
	struct caching caching;
	struct file *f;
	int r = file_open(fs, ino, &t, fi->flags, &caching, &f);

	if (r < 0) {
		reply(req, r);
		return;
	}
	fi->fh = (uintptr_t)f;
	fi->direct_io = caching.direct_io;
	fi->keep_cache = caching.keep_cache;
	fi->noflush = caching.noflush;
	/* Interrupted: nobody will send a RELEASE. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		file_release(fs, ino, &t, f);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	CLEANUP(reading_release) struct reading got = { 0 };
	int r = file_read(&t, file_of(fi), size, (uint64_t)off, &got);

	if (r < 0)
		reply(req, r);
	else
		fuse_reply_buf(req, got.data, got.n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r = file_write(&t, file_of(fi), buf, size, (uint64_t)off);

	if (r < 0)
		reply(req, r);
	else
		fuse_reply_write(req, size);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);

	reply(req, file_flush(fs_of(req), ino, &t, file_of(fi)));
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);

	(void)datasync;
	reply(req, file_sync(fs_of(req), ino, &t, file_of(fi)));
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);

	file_release(fs_of(req), ino, &t, file_of(fi));
	reply(req, 0);
}

/* --- directories --------------------------------------------------------- */

/* Offsets of a listing: `.`, `..`, then the cookies of core. */
enum {
	OFFSET_DOT,
	OFFSET_DOTDOT,
	OFFSET_NAMES
};

/* A listing under way. */
struct listing {
	fuse_req_t req;
	fuse_ino_t ino;
	struct target dir;
	bool plus; /* with attributes, which count as look-ups */
	char *bytes;
	size_t size;
	size_t used;
};

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

static int fill_listed(struct listing *l, const struct target *t,
		       struct fuse_entry_param *e)
{
	if (l->plus)
		return fill_entry(fs_of(l->req), t, e);
	e->attr.st_ino = target_ino(t);
	e->attr.st_mode = target_type(t);
	return 0;
}

/* 1 if a name was added, 0 at the end or when there is no more room. */
static int list_one(struct listing *l, uint64_t *cookie)
{
	CLEANUP(target_release) struct target t = { 0 };
	CLEANUP(buf_release) struct buf name = { 0 };
	struct fuse_entry_param e = { 0 };
	int r = next_name(&l->dir, cookie, &name, &t);

	if (r <= 0)
		return r;
	/* What has gone since it was found is not listed. */
	if (fill_listed(l, &t, &e) < 0)
		return 1;
	buf_put(&name, "", 1);
	if (buf_error(&name))
		return buf_error(&name);
	if (!add_entry(l, (const char *)name.data, &e,
		       (off_t)(*cookie + OFFSET_NAMES)))
		return 0;
	if (!l->plus)
		return 1;
	r = inode_remember(fs_inodes(fs_of(l->req)), &t);
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

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	CLEANUP(free_ptr) char *bytes = malloc(size);
	struct listing l = { .req = req,
			     .ino = ino,
			     .dir = target_of(req, ino),
			     .plus = plus,
			     .bytes = bytes,
			     .size = size };
	int r = bytes ? fill_listing(&l, off) : -ENOMEM;

	if (r < 0)
		reply(req, r);
	else
		fuse_reply_buf(req, l.bytes, l.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r = 0;

	/* A folder's listing changes without us, and is not cached. */
	fi->cache_readdir = !t.folder;
	fi->keep_cache = !t.folder;
	if (t.checkpoint)
		r = checkpoint_refresh(t.checkpoint);
	if (r < 0 && r != -ENOENT && r != -EAGAIN)
		reply(req, r);
	else
		fuse_reply_open(req, fi);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
			struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);

	(void)datasync;
	(void)fi;
	reply(req, t.checkpoint ? checkpoint_commit(t.checkpoint)
				: fs_commit_all(fs_of(req)));
}

/* --- what this version does not do ---------------------------------------- */

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)fi;
	reply(req, -EOPNOTSUPP);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)rdev;
	reply(req, S_ISREG(mode) ? -EOPNOTSUPP : -EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	reply(req, -EOPNOTSUPP);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	reply(req, -EOPNOTSUPP);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	(void)parent;
	(void)name;
	(void)newparent;
	(void)newname;
	(void)flags;
	reply(req, -EOPNOTSUPP);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
		       const char *name)
{
	(void)link;
	(void)parent;
	(void)name;
	reply(req, -EOPNOTSUPP);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	(void)ino;
	(void)newparent;
	(void)newname;
	reply(req, -EPERM);
}

#define OPS_FOR_READING                                                  \
	.init = op_init, .lookup = op_lookup, .forget = op_forget,       \
	.forget_multi = op_forget_multi, .getattr = op_getattr,          \
	.readlink = op_readlink, .read = op_read, .readdir = op_readdir, \
	.readdirplus = op_readdirplus, .fsyncdir = op_fsyncdir,          \
	.statfs = op_statfs, .getxattr = op_getxattr,                    \
	.listxattr = op_listxattr

static const struct fuse_lowlevel_ops ops_to_read = {
	OPS_FOR_READING,
};

static const struct fuse_lowlevel_ops ops_to_write = {
	OPS_FOR_READING,       .setattr = op_setattr, .setxattr = op_setxattr,
	.removexattr = NULL,   .open = op_open,       .opendir = op_opendir,
	.write = op_write,     .flush = op_flush,     .fsync = op_fsync,
	.release = op_release, .create = op_create,   .mknod = op_mknod,
	.mkdir = op_mkdir,     .unlink = op_remove,   .rmdir = op_remove,
	.rename = op_rename,   .symlink = op_symlink, .link = op_link,
};

const struct fuse_lowlevel_ops *ops_for(bool read_only)
{
	return read_only ? &ops_to_read : &ops_to_write;
}
