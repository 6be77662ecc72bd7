#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/attr.h"
#include "fs/dirs.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/mountpoint.h"
#include "fs/names.h"
#include "fs/notify.h"

/* The most that a kernel sends: 256 pages. */
#define MAX_WRITE (1U << 20)
/* The answer to COPY_FILE_RANGE has 32 bits. */
#define MAX_COPY (UINT32_MAX & ~UINT32_C(0xffff))

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

/*
 * What changes names goes between these two, the second before the reply: all that
 * change with them are then right before anybody can ask.
 */
static void begin(fuse_req_t req)
{
	notify_begin(fs_notifier(fs_of(req)));
}

static void end(fuse_req_t req)
{
	notify_end(fs_notifier(fs_of(req)));
}

/* Here, and only here, the sign of an error changes. */
static void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

static void end_reply(fuse_req_t req, int r)
{
	end(req);
	reply(req, r);
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

/*
 * An answer that the kernel takes in counts as a look-up; with `fi` it is that of a
 * CREATE, and opens as well.  Negative errno if the kernel did not take it in.
 */
static int reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name,
		       const struct target *t, const struct fuse_file_info *fi)
{
	struct inode_table *inodes = fs_inodes(fs_of(req));
	struct fuse_entry_param e = { 0 };
	int r = names_fill(fs_of(req), parent, name, t, &e);

	if (r == 0)
		r = inode_remember(inodes, t);
	if (r < 0) {
		reply(req, r);
		return r;
	}
	r = fi ? fuse_reply_create(req, &e, fi) : fuse_reply_entry(req, &e);
	if (r < 0)
		inode_forget(inodes, e.ino, 1);
	return r;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct target dir = target_of(req, parent);
	CLEANUP(target_release) struct target t = { 0 };
	struct fuse_entry_param e = { 0 };
	int r = names_find(&dir, name, fuse_req_ctx(req)->pid, &t);

	if (r == 0) {
		(void)reply_entry(req, parent, name, &t, NULL);
		return;
	}
	if (r == -ENOENT)
		e.entry_timeout = names_absent_timeout(fs, parent, &dir, name);
	if (e.entry_timeout > 0)
		fuse_reply_entry(req, &e);
	else
		reply(req, r == -EAGAIN ? -ENOENT : r);
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
	int r;

	begin(req);
	r = attr_set(fs_of(req), ino, file_of(fi), attr, to_set,
		     fuse_req_ctx(req)->uid);
	end(req);
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
	if (ino == FUSE_ROOT_ID && strcmp(name, MOUNTPOINT_PID) == 0)
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
	struct span text = { (const uint8_t *)value, size };
	int r;

	(void)flags;
	begin(req);
	r = xattr_set(fs_of(req), ino, name, text, fuse_req_ctx(req)->pid);
	end_reply(req, r);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct target t = target_of(req, ino);

	reply(req, xattr_remove(&t, name));
}

/* --- files --------------------------------------------------------------- */

static void set_caching(struct fuse_file_info *fi, const struct caching *c,
			struct file *f)
{
	fi->fh = (uintptr_t)f;
	fi->direct_io = c->direct_io;
	fi->keep_cache = c->keep_cache;
	fi->noflush = c->noflush;
}

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
	set_caching(fi, &caching, f);
	/* Interrupted: nobody will send a RELEASE. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		file_release(fs, ino, &t, f);
}

static struct attributes owner_of(fuse_req_t req, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct attributes){
		.set = ATTRIBUTE_MODE | ATTRIBUTE_UID | ATTRIBUTE_GID,
		.mode = mode & 07777,
		.uid = ctx->uid,
		.gid = ctx->gid,
		.maker = ctx->pid,
	};
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct attributes owner = owner_of(req, mode);
	struct opened new = { 0 };
	int r;

	begin(req);
	r = names_create(fs_of(req), parent, name, &owner, fi->flags, &new);
	end(req);
	if (r < 0) {
		reply(req, r);
		return;
	}
	set_caching(fi, &new.caching, new.file);
	if (reply_entry(req, parent, name, &new.target, fi) < 0)
		file_release(fs_of(req), target_node(&new.target), &new.target,
			     new.file);
	target_release(&new.target);
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

static struct spot spot_of(fuse_req_t req, fuse_ino_t ino,
			   const struct fuse_file_info *fi, off_t off)
{
	return (struct spot){ ino, target_of(req, ino), file_of(fi),
			      (uint64_t)off };
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct spot to = spot_of(req, ino, fi, off);
	int r;

	begin(req);
	r = file_write(fs_of(req), &to, buf, size);
	end(req);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_write(req, size);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
			 off_t length, struct fuse_file_info *fi)
{
	struct spot at = spot_of(req, ino, fi, offset);

	/* Holes and shifts would be for files that are stored as files. */
	reply(req, mode ? -EOPNOTSUPP : file_allocate(&at, (uint64_t)length));
}

/* NOLINTNEXTLINE(readability-function-size): libfuse wants nine parameters */
static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			       struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			       off_t off_out, struct fuse_file_info *fi_out,
			       size_t len, int flags)
{
	struct spot from = spot_of(req, ino_in, fi_in, off_in);
	struct spot to = spot_of(req, ino_out, fi_out, off_out);
	int64_t copied;

	(void)flags;
	begin(req);
	copied = file_copy(fs_of(req), &from, &to,
			   len < MAX_COPY ? len : MAX_COPY);
	end(req);
	if (copied < 0)
		reply(req, (int)copied);
	else
		fuse_reply_write(req, (size_t)copied);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r;

	begin(req);
	r = file_flush(fs_of(req), ino, &t, file_of(fi));
	end_reply(req, r);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r;

	(void)datasync;
	begin(req);
	r = file_sync(fs_of(req), ino, &t, file_of(fi));
	end_reply(req, r);
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);

	begin(req);
	file_release(fs_of(req), ino, &t, file_of(fi));
	end(req);
	reply(req, 0);
}

/* --- directories --------------------------------------------------------- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct listing_cache cache;
	int r = dirs_open(fs_of(req), ino, &cache);

	fi->cache_readdir = cache.cache_readdir;
	fi->keep_cache = cache.keep_cache;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_open(req, fi);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	CLEANUP(free_ptr) char *bytes = NULL;
	int64_t used = dirs_list(req, ino, size, off, plus, &bytes);

	if (used < 0)
		reply(req, (int)used);
	else
		fuse_reply_buf(req, bytes, (size_t)used);
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

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
			struct fuse_file_info *fi)
{
	struct target t = target_of(req, ino);
	int r;

	(void)datasync;
	(void)fi;
	begin(req);
	r = t.checkpoint ? checkpoint_commit(t.checkpoint)
			 : fs_commit_all(fs_of(req));
	if (r == 0 && t.folder)
		r = folder_sync(t.folder);
	end_reply(req, r);
}

/* --- names that come and go ---------------------------------------------- */

static void reply_made(fuse_req_t req, int r, fuse_ino_t parent,
		       const char *name, const struct target *t)
{
	end(req);
	if (r < 0)
		reply(req, r);
	else
		(void)reply_entry(req, parent, name, t, NULL);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct attributes owner = owner_of(req, mode);
	CLEANUP(target_release) struct target t = { 0 };
	int r;

	(void)rdev;
	begin(req);
	r = S_ISREG(mode)
		    ? names_make_file(fs_of(req), parent, name, &owner, &t)
		    : names_refuse_special(name);
	reply_made(req, r, parent, name, &t);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	CLEANUP(target_release) struct target t = { 0 };
	int r;

	begin(req);
	r = names_make_directory(fs_of(req), parent, name, mode, &t);
	reply_made(req, r, parent, name, &t);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
		       const char *name)
{
	CLEANUP(target_release) struct target t = { 0 };
	int r;

	begin(req);
	r = names_make_link(fs_of(req), parent, name, link, &t);
	reply_made(req, r, parent, name, &t);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	CLEANUP(target_release) struct target t = { 0 };
	int r;

	begin(req);
	r = names_make_hard_link(fs_of(req), ino, newparent, newname,
				 fuse_req_ctx(req)->pid, &t);
	reply_made(req, r, newparent, newname, &t);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r;

	begin(req);
	r = names_remove_file(fs_of(req), parent, name);
	end_reply(req, r);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r;

	begin(req);
	r = names_remove_directory(fs_of(req), parent, name);
	end_reply(req, r);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	int r;

	begin(req);
	r = names_rename(fs_of(req), parent, name, newparent, newname, flags);
	end_reply(req, r);
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
	OPS_FOR_READING,           .setattr = op_setattr,
	.setxattr = op_setxattr,   .removexattr = op_removexattr,
	.open = op_open,           .opendir = op_opendir,
	.create = op_create,       .write = op_write,
	.fallocate = op_fallocate, .copy_file_range = op_copy_file_range,
	.flush = op_flush,         .fsync = op_fsync,
	.release = op_release,     .mknod = op_mknod,
	.mkdir = op_mkdir,         .symlink = op_symlink,
	.link = op_link,           .unlink = op_unlink,
	.rmdir = op_rmdir,         .rename = op_rename,
};

const struct fuse_lowlevel_ops *ops_for(bool read_only)
{
	return read_only ? &ops_to_read : &ops_to_write;
}
