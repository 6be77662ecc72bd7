#include "fs/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/name.h"
#include "fs/attr.h"
#include "fs/notify.h"

static struct target directory(struct fs *fs, fuse_ino_t node)
{
	return inode_target(fs_inodes(fs), node);
}

static bool is_scope(const struct target *t)
{
	return t->checkpoint && t->object.facet == FACET_SCOPE;
}

/* --- looking up ---------------------------------------------------------- */

static int find_in_folder(struct folder *folder, const char *name,
			  struct target *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r = folder_lookup(folder, span_of(name), &item);

	if (r == 0)
		*ret = target_of_item(item);
	return r;
}

/* Takes over what was found or made in `dir`. */
static struct target target_in(const struct target *dir, struct object object)
{
	return (struct target){ .checkpoint = checkpoint_ref(dir->checkpoint),
				.object = object };
}

int names_find(const struct target *dir, const char *name, pid_t by,
	       struct target *ret)
{
	struct object object = { 0 };
	int r;

	if (dir->folder)
		return find_in_folder(dir->folder, name, ret);
	if (!is_scope(dir))
		return -ENOTDIR;
	r = checkpoint_lookup(dir->checkpoint, dir->object.node, span_of(name),
			      by, &object);
	if (r == 0)
		*ret = target_in(dir, object);
	return r;
}

/*
 * Whether the name may change by a request that does not name it, and the kernel could
 * not be told in time.
 */
static bool unsafe(struct fs *fs, fuse_ino_t parent, const char *name)
{
	struct span stem;

	return !notify_at_once(fs_notifier(fs)) &&
	       name_split(span_of(name), &stem) != NAME_PLAIN &&
	       inode_changed(fs_inodes(fs), parent);
}

int names_fill(struct fs *fs, fuse_ino_t parent, const char *name,
	       const struct target *t, struct fuse_entry_param *ret)
{
	ret->ino = target_node(t);
	ret->entry_timeout = unsafe(fs, parent, name) ? 0
						      : attr_name_timeout(t);
	return attr_get(fs, t, &ret->attr, &ret->attr_timeout);
}

double names_absent_timeout(struct fs *fs, fuse_ino_t parent,
			    const struct target *dir, const char *name)
{
	/* In a folder anything may come at any moment. */
	return dir->folder || unsafe(fs, parent, name) ? 0 : ATTR_LONG_TIMEOUT;
}

/* --- making -------------------------------------------------------------- */

/*
 * The directory that something is to be put in, by which an undecided one becomes a
 * checkpoint.  One at a time, under a lock that comes before all those of core: who
 * comes second must not find the folder that was.
 */
static int directory_to_fill(struct fs *fs, fuse_ino_t node, struct target *ret)
{
	LOCK_SCOPE(fs_decide_lock(fs));
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(target_release) struct target checkpoint = { 0 };
	struct target dir = directory(fs, node);
	int r;

	if (dir.folder && folder_undecided(dir.folder)) {
		r = folder_decide(dir.folder, &item);
		/* Somebody put something in, and it is a plain directory. */
		if (r < 0 && r != -ENOTEMPTY)
			return r;
		if (r == 0) {
			checkpoint = target_of_item(item);
			inode_retarget(fs_inodes(fs), node, &checkpoint);
		}
	}
	*ret = directory(fs, node);
	return ret->folder || is_scope(ret) ? 0 : -ENOTDIR;
}

/* An undecided one stays that: what is put in makes it a plain directory. */
static int directory_as_it_is(struct fs *fs, fuse_ino_t node,
			      struct target *ret)
{
	LOCK_SCOPE(fs_decide_lock(fs));

	*ret = directory(fs, node);
	return ret->folder || is_scope(ret) ? 0 : -ENOTDIR;
}

static int make_in_folder(struct folder *folder, const char *name, mode_t mode,
			  int flags, struct target *ret, int *ret_fd)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	int r = folder_create(folder, span_of(name), mode, flags, &item,
			      ret_fd);

	if (r == 0)
		*ret = target_of_item(item);
	return r;
}

static int make_in_scope(const struct target *dir, const char *name,
			 const struct attributes *owner, struct target *ret)
{
	struct object object = { 0 };
	int r = checkpoint_create(dir->checkpoint, dir->object.node,
				  span_of(name), owner, &object);

	if (r == 0)
		*ret = target_in(dir, object);
	return r;
}

int names_make_file(struct fs *fs, fuse_ino_t parent, const char *name,
		    const struct attributes *owner, struct target *ret)
{
	CLEANUP(close_fd) int fd = -1;
	struct target dir;
	int r = directory_to_fill(fs, parent, &dir);

	if (r < 0)
		return r;
	return dir.folder ? make_in_folder(dir.folder, name, owner->mode,
					   O_WRONLY | O_EXCL, ret, &fd)
			  : make_in_scope(&dir, name, owner, ret);
}

int names_refuse_special(const char *name)
{
	log_error("%s: not made: there are no devices, pipes and sockets here",
		  name);
	return -EPERM;
}

static int create_in_folder(struct fs *fs, struct folder *folder,
			    const char *name, mode_t mode, int flags,
			    struct opened *ret)
{
	CLEANUP(target_release) struct target t = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct file *f;
	int r = make_in_folder(folder, name, mode,
			       flags & (O_ACCMODE | O_EXCL | O_TRUNC), &t, &fd);

	if (r == 0)
		r = file_adopt(fs, t.item, fd, &f);
	if (r < 0)
		return r;
	fd = -1;
	*ret = (struct opened){ .target = t, .file = f };
	t = (struct target){ 0 };
	return 0;
}

static int create_in_scope(struct fs *fs, const struct target *dir,
			   const char *name, const struct attributes *owner,
			   int flags, struct opened *ret)
{
	CLEANUP(target_release) struct target t = { 0 };
	struct opened opened;
	int made = make_in_scope(dir, name, owner, &t);
	int r = made;

	/* Somebody else made it since the kernel looked. */
	if (r == -EEXIST && !(flags & O_EXCL)) {
		flags &= ~O_CREAT;
		r = names_find(dir, name, owner->maker, &t);
	}
	/* What is made is empty, also where it is a variable that comes back. */
	if (made == 0 && t.object.variable &&
	    !variable_is_new(t.object.variable))
		flags |= O_TRUNC;
	if (r == 0)
		r = file_open(fs, target_node(&t), &t, flags, &opened.caching,
			      &opened.file);
	if (r < 0 && made == 0)
		(void)checkpoint_unlink(dir->checkpoint, dir->object.node,
					span_of(name));
	if (r < 0)
		return r;
	opened.target = t;
	*ret = opened;
	t = (struct target){ 0 };
	return 0;
}

int names_create(struct fs *fs, fuse_ino_t parent, const char *name,
		 const struct attributes *owner, int flags, struct opened *ret)
{
	struct target dir;
	int r = folder_made_plain_by(span_of(name))
			? directory_as_it_is(fs, parent, &dir)
			: directory_to_fill(fs, parent, &dir);

	if (r < 0)
		return r;
	if (dir.folder)
		return create_in_folder(fs, dir.folder, name, owner->mode,
					flags, ret);
	return create_in_scope(fs, &dir, name, owner, flags | O_CREAT, ret);
}

int names_make_directory(struct fs *fs, fuse_ino_t parent, const char *name,
			 mode_t mode, struct target *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct object object = { 0 };
	struct target dir;
	int r = directory_to_fill(fs, parent, &dir);

	if (r < 0)
		return r;
	if (dir.folder) {
		r = folder_mkdir(dir.folder, span_of(name), mode, &item);
		if (r == 0)
			*ret = target_of_item(item);
		return r;
	}
	r = checkpoint_mkdir(dir.checkpoint, dir.object.node, span_of(name),
			     &object);
	if (r == 0)
		*ret = target_in(&dir, object);
	return r;
}

int names_make_link(struct fs *fs, fuse_ino_t parent, const char *name,
		    const char *link, struct target *ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct object object = { 0 };
	struct target dir = directory(fs, parent);
	int r;

	if (is_scope(&dir)) {
		r = checkpoint_symlink(dir.checkpoint, dir.object.node,
				       span_of(name), span_of(link), &object);
		if (r == 0)
			*ret = target_in(&dir, object);
		return r;
	}
	if (!dir.folder)
		return -EPERM;
	r = folder_symlink(dir.folder, span_of(name), link, &item);
	if (r == 0)
		*ret = target_of_item(item);
	return r;
}

int names_make_hard_link(struct fs *fs, fuse_ino_t node, fuse_ino_t parent,
			 const char *name, pid_t by, struct target *ret)
{
	struct target from = directory(fs, node);
	struct target to = directory(fs, parent);
	struct object object = { 0 };
	int r;

	if (!is_scope(&to) || !from.object.variable ||
	    from.checkpoint != to.checkpoint) {
		log_error(
			"%s: no hard link was made: only variables have them, "
			"in one object-based checkpoint; cp makes a copy",
			name);
		return -EPERM;
	}
	r = checkpoint_link(to.checkpoint, &from.object, to.object.node,
			    span_of(name), by, &object);
	if (r == 0)
		*ret = target_in(&to, object);
	return r;
}

/* --- removing and renaming ----------------------------------------------- */

int names_remove_file(struct fs *fs, fuse_ino_t parent, const char *name)
{
	struct target dir = directory(fs, parent);

	if (dir.folder)
		return folder_unlink(dir.folder, span_of(name));
	if (!is_scope(&dir))
		return -ENOTDIR;
	return checkpoint_unlink(dir.checkpoint, dir.object.node,
				 span_of(name));
}

int names_remove_directory(struct fs *fs, fuse_ino_t parent, const char *name)
{
	struct target dir = directory(fs, parent);

	if (dir.folder)
		return folder_rmdir(dir.folder, span_of(name));
	if (!is_scope(&dir))
		return -ENOTDIR;
	return checkpoint_rmdir(dir.checkpoint, dir.object.node, span_of(name));
}

/* mv copies by itself after EXDEV, which would make a checkpoint a scope. */
static int refuse_to_cross(const struct target *from, const char *name,
			   const struct target *to)
{
	CLEANUP(target_release) struct target t = { 0 };
	int r;

	if (!from->folder || to->folder)
		return -EXDEV;
	r = find_in_folder(from->folder, name, &t);
	if (r < 0)
		return r;
	if (!t.checkpoint)
		return -EXDEV;
	log_error("%s: not moved: a checkpoint cannot be put into a "
		  "checkpoint; cp -r copies its variables into one",
		  name);
	return -EINVAL;
}

/* The file of that name may be another one, or have another content. */
static void tell_renamed(struct fs *fs, const struct target *dir,
			 const char *name)
{
	CLEANUP(target_release) struct target t = { 0 };

	if (names_find(dir, name, 0, &t) == 0 && t.object.variable)
		file_changed(fs, target_node(&t));
}

int names_rename(struct fs *fs, fuse_ino_t parent, const char *name,
		 fuse_ino_t newparent, const char *newname, unsigned flags)
{
	struct target from = directory(fs, parent);
	struct target to = directory(fs, newparent);
	int r;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (from.folder && to.folder)
		return folder_rename(from.folder, span_of(name), to.folder,
				     span_of(newname), flags);
	if (!(from.folder || is_scope(&from)) || !(to.folder || is_scope(&to)))
		return -ENOTDIR;
	if (from.checkpoint != to.checkpoint)
		return refuse_to_cross(&from, name, &to);
	r = checkpoint_rename(from.checkpoint, from.object.node, span_of(name),
			      to.object.node, span_of(newname), flags);
	if (r == 0)
		tell_renamed(fs, &to, newname);
	return r;
}
