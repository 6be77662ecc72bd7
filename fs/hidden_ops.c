#include "fs/hidden_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/fs.h"
#include "fs/hidden.h"
#include "fs/ops.h"

/* Offsets of a listing: `.`, `..`, then the names. */
enum {
	OFFSET_DOT,
	OFFSET_DOTDOT,
	OFFSET_NAMES
};

static struct hidden *hidden_of(fuse_req_t req)
{
	return fs_hidden(fuse_req_userdata(req));
}

/* The operations for all that is not hidden. */
static const struct fuse_lowlevel_ops *below(fuse_req_t req)
{
	return ops_for(fs_read_only(fuse_req_userdata(req)));
}

static void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

/* Names in the directory, and that of it, are given by nobody but us. */
static bool is_reserved(fuse_ino_t parent, const char *name)
{
	return hidden_has(parent) || hidden_is(parent, name);
}

/* --- names --------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { 0 };
	int r;

	if (!is_reserved(parent, name)) {
		below(req)->lookup(req, parent, name);
		return;
	}
	r = hidden_lookup(hidden_of(req), parent, name, &e);
	if (r < 0)
		reply(req, r);
	else if (fuse_reply_entry(req, &e) < 0)
		hidden_forget(hidden_of(req), e.ino, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	if (!hidden_has(ino)) {
		below(req)->forget(req, ino, nlookup);
		return;
	}
	hidden_forget(hidden_of(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	size_t others = 0;

	for (size_t i = 0; i < count; i++) {
		if (hidden_has(forgets[i].ino))
			hidden_forget(hidden_of(req), forgets[i].ino,
				      forgets[i].nlookup);
		else
			forgets[others++] = forgets[i];
	}
	below(req)->forget_multi(req, others, forgets);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->create(req, parent, name, mode, fi);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->mknod(req, parent, name, mode, rdev);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->mkdir(req, parent, name, mode);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->unlink(req, parent, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->rmdir(req, parent, name);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	if (is_reserved(parent, name) || is_reserved(newparent, newname))
		reply(req, -EPERM);
	else
		below(req)->rename(req, parent, name, newparent, newname,
				   flags);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
		       const char *name)
{
	if (is_reserved(parent, name))
		reply(req, -EPERM);
	else
		below(req)->symlink(req, link, parent, name);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	if (hidden_has(ino) || is_reserved(newparent, newname))
		reply(req, -EPERM);
	else
		below(req)->link(req, ino, newparent, newname);
}

/* --- attributes ---------------------------------------------------------- */

static void reply_attr(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;
	int r = hidden_stat(hidden_of(req), ino, &st);

	if (r < 0)
		reply(req, r);
	else
		fuse_reply_attr(req, &st, 0);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		reply_attr(req, ino);
	else
		below(req)->getattr(req, ino, fi);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	CLEANUP(buf_release) struct buf link = { 0 };
	int r;

	if (!hidden_has(ino)) {
		below(req)->readlink(req, ino);
		return;
	}
	r = hidden_readlink(hidden_of(req), ino, &link);
	if (r == 0) {
		buf_put(&link, "", 1);
		r = buf_error(&link);
	}
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_readlink(req, (const char *)link.data);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	if (!hidden_has(ino))
		below(req)->setattr(req, ino, attr, to_set, fi);
	else if (to_set &
		 (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		reply(req, -EPERM);
	else
		reply_attr(req, ino); /* the size and times of `control` */
}

/* --- files --------------------------------------------------------------- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int r;

	if (!hidden_has(ino)) {
		below(req)->open(req, ino, fi);
		return;
	}
	r = hidden_open(hidden_of(req), ino, fi->flags);
	/* Whoever writes a command waits for it. */
	fi->direct_io = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	CLEANUP(buf_release) struct buf got = { 0 };
	int r;

	if (!hidden_has(ino)) {
		below(req)->read(req, ino, size, off, fi);
		return;
	}
	r = hidden_read(hidden_of(req), ino, size, (uint64_t)off, &got);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_buf(req, (const char *)got.data, got.len);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	int r;

	if (!hidden_has(ino)) {
		below(req)->write(req, ino, data, size, off, fi);
		return;
	}
	r = hidden_write(hidden_of(req), ino,
			 (struct span){ (const uint8_t *)data, size });
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_write(req, size);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		reply(req, 0);
	else
		below(req)->flush(req, ino, fi);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		reply(req, 0);
	else
		below(req)->fsync(req, ino, datasync, fi);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
			struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		reply(req, 0);
	else
		below(req)->fsyncdir(req, ino, datasync, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		reply(req, 0);
	else
		below(req)->release(req, ino, fi);
}

/* A text has no holes. */
static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct stat st;
	int r;

	if (!hidden_has(ino)) {
		below(req)->lseek(req, ino, off, whence, fi);
		return;
	}
	r = hidden_stat(hidden_of(req), ino, &st);
	if (r == 0 && (off < 0 || off >= st.st_size))
		r = -ENXIO;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_lseek(req, whence == SEEK_DATA ? off : st.st_size);
}

/* The kernel then copies by reading and writing. */
// NOLINTNEXTLINE(readability-function-size): nine parameters are what FUSE has
static void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in,
			       struct fuse_file_info *fi_in, fuse_ino_t out,
			       off_t off_out, struct fuse_file_info *fi_out,
			       size_t len, int flags)
{
	if (hidden_has(in) || hidden_has(out))
		reply(req, -EOPNOTSUPP);
	else
		below(req)->copy_file_range(req, in, off_in, fi_in, out,
					    off_out, fi_out, len, flags);
}

/* --- directories --------------------------------------------------------- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		fuse_reply_open(req, fi);
	else
		below(req)->opendir(req, ino, fi);
}

/* A listing under way. */
struct listing {
	fuse_req_t req;
	bool plus;
	char *bytes;
	size_t size;
	size_t used;
};

/*
 * Adds one name; false if it does not fit any more.  Without attributes, also where
 * there is room for them: a listing would make all the texts.
 */
static bool add_name(struct listing *l, const char *name, const struct stat *st,
		     off_t next)
{
	struct fuse_entry_param e = { .attr = *st };
	char *at = l->bytes + l->used;
	size_t room = l->size - l->used;
	size_t need = l->plus ? fuse_add_direntry_plus(l->req, at, room, name,
						       &e, next)
			      : fuse_add_direntry(l->req, at, room, name, st,
						  next);

	if (need > room)
		return false;
	l->used += need;
	return true;
}

/* 1 if a name was added, 0 at the end or when there is no more room. */
static int list_one(struct listing *l, fuse_ino_t ino, uint64_t *cookie)
{
	CLEANUP(buf_release) struct buf name = { 0 };
	struct stat st;
	int r = hidden_list(hidden_of(l->req), ino, cookie, &name, &st);

	if (r <= 0)
		return r;
	buf_put(&name, "", 1);
	if (buf_error(&name))
		return buf_error(&name);
	return add_name(l, (const char *)name.data, &st,
			(off_t)(*cookie + OFFSET_NAMES));
}

static int fill_listing(struct listing *l, fuse_ino_t ino, off_t off)
{
	struct stat dot = { .st_ino = ino, .st_mode = S_IFDIR };
	uint64_t cookie = off > OFFSET_NAMES ? (uint64_t)off - OFFSET_NAMES : 0;
	int r = 1;

	if (off <= OFFSET_DOT && !add_name(l, ".", &dot, OFFSET_DOTDOT))
		return 0;
	if (off <= OFFSET_DOTDOT && !add_name(l, "..", &dot, OFFSET_NAMES))
		return 0;
	while (r == 1)
		r = list_one(l, ino, &cookie);
	/* What is listed already is worth more than the error behind it. */
	return l->used ? 0 : r;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	CLEANUP(free_ptr) char *bytes = malloc(size);
	struct listing l = { req, plus, bytes, size, 0 };
	int r = bytes ? fill_listing(&l, ino, off) : -ENOMEM;

	if (r < 0)
		reply(req, r);
	else
		fuse_reply_buf(req, l.bytes, l.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		list(req, ino, size, off, false);
	else
		below(req)->readdir(req, ino, size, off, fi);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	if (hidden_has(ino))
		list(req, ino, size, off, true);
	else
		below(req)->readdirplus(req, ino, size, off, fi);
}

/* --- the table ------------------------------------------------------------ */

#define PUT_IN_FRONT(ops, name) \
	((ops)->name = (ops)->name ? op_##name : (ops)->name)

void hidden_ops(const struct fuse_lowlevel_ops *others,
		struct fuse_lowlevel_ops *ret)
{
	struct fuse_lowlevel_ops ops = *others;

	PUT_IN_FRONT(&ops, lookup);
	PUT_IN_FRONT(&ops, forget);
	PUT_IN_FRONT(&ops, forget_multi);
	PUT_IN_FRONT(&ops, create);
	PUT_IN_FRONT(&ops, mknod);
	PUT_IN_FRONT(&ops, mkdir);
	PUT_IN_FRONT(&ops, unlink);
	PUT_IN_FRONT(&ops, rmdir);
	PUT_IN_FRONT(&ops, rename);
	PUT_IN_FRONT(&ops, symlink);
	PUT_IN_FRONT(&ops, link);
	PUT_IN_FRONT(&ops, getattr);
	PUT_IN_FRONT(&ops, readlink);
	PUT_IN_FRONT(&ops, setattr);
	PUT_IN_FRONT(&ops, open);
	PUT_IN_FRONT(&ops, read);
	PUT_IN_FRONT(&ops, write);
	PUT_IN_FRONT(&ops, flush);
	PUT_IN_FRONT(&ops, fsync);
	PUT_IN_FRONT(&ops, fsyncdir);
	PUT_IN_FRONT(&ops, release);
	PUT_IN_FRONT(&ops, lseek);
	PUT_IN_FRONT(&ops, copy_file_range);
	PUT_IN_FRONT(&ops, opendir);
	PUT_IN_FRONT(&ops, readdir);
	PUT_IN_FRONT(&ops, readdirplus);
	*ret = ops;
}
