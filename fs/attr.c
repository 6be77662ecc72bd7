#include "fs/attr.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/slice.h"
#include "fs/closing.h"
#include "fs/notify.h"

/* What others change: names of a mirrored directory, and files in it. */
#define SHORT_TIMEOUT 1.0

#define PREFIX            "user.weightfs."
#define DIRECTORY_BLKSIZE (1 << 20) /* makes glibc list with fewer calls */

static bool is_value(const struct target *t)
{
	return t->object.variable && t->object.facet == FACET_VALUE;
}

static void apply_options(const struct options *o, struct stat *st)
{
	if (o->set_uid)
		st->st_uid = o->uid;
	if (o->set_gid)
		st->st_gid = o->gid;
	if (o->set_umask)
		st->st_mode &= ~(o->umask & 0777);
	if (S_ISDIR(st->st_mode)) {
		st->st_nlink = 1; /* says that it cannot be counted on */
		st->st_blksize = DIRECTORY_BLKSIZE;
	}
}

/* A value that is being written has attributes that change without us. */
static double timeout_of(const struct target *t, bool writing)
{
	if (t->object.brief)
		return 0;
	if (!t->checkpoint || t->object.node == checkpoint_root(t->checkpoint))
		return SHORT_TIMEOUT;
	return writing ? 0 : ATTR_LONG_TIMEOUT;
}

double attr_name_timeout(const struct target *t)
{
	return timeout_of(t, false);
}

int attr_get(struct fs *fs, const struct target *t, struct stat *ret,
	     double *ret_timeout)
{
	struct stat st = { 0 };
	bool writing = false;
	int r;

	if (t->folder) {
		r = folder_stat(t->folder, &st);
	} else if (t->item) {
		r = item_dead(t->item) ? files_stat(fs_files(fs), t->item, &st)
				       : item_stat(t->item, &st);
	} else if (t->checkpoint) {
		if (is_value(t))
			closing_await(fs_closing(fs), target_node(t),
				      CLOSING_REFUSED);
		r = checkpoint_stat(t->checkpoint, &t->object, &st);
		writing = is_value(t) && variable_writing(t->object.variable);
	} else {
		r = -ESTALE;
	}
	if (r < 0)
		return r;
	st.st_ino = target_ino(t);
	apply_options(fs_options(fs), &st);
	*ret = st;
	*ret_timeout = timeout_of(t, writing);
	return 0;
}

static struct attributes wanted(const struct stat *st, int to_set)
{
	struct attributes a = { 0 };

	if (to_set & FUSE_SET_ATTR_MODE)
		a.set |= ATTRIBUTE_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		a.set |= ATTRIBUTE_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		a.set |= ATTRIBUTE_GID;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		a.set |= ATTRIBUTE_MTIME;
	a.mode = st->st_mode;
	a.uid = st->st_uid;
	a.gid = st->st_gid;
	a.mtime = st->st_mtim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		(void)clock_gettime(CLOCK_REALTIME, &a.mtime);
	return a;
}

static int set_attributes(struct fs *fs, fuse_ino_t node,
			  const struct target *t, const struct attributes *a,
			  uid_t uid)
{
	struct stat now;
	double timeout;
	int r;

	if (t->folder)
		return folder_set_attributes(t->folder, a);
	if (t->item)
		return item_set_attributes(t->item, a);
	if (!t->object.variable)
		return 0; /* a directory's come from its index */
	r = attr_get(fs, t, &now, &timeout);
	if (r < 0)
		return r;
	if (uid != 0 && uid != now.st_uid)
		return -EPERM;
	variable_set_attributes(t->object.variable, t->object.facet, a);
	/* Mode and owner are those of all three files. */
	for (enum facet facet = FACET_SHAPE; facet <= FACET_VALUE; facet++)
		notify_attributes(fs_notifier(fs), inode_of_facet(node, facet));
	return 0;
}

int attr_set(struct fs *fs, fuse_ino_t node, struct file *f,
	     const struct stat *st, int to_set, uid_t uid)
{
	struct target t = inode_target(fs_inodes(fs), node);
	struct attributes a = wanted(st, to_set);
	int r = 0;

	if (to_set & FUSE_SET_ATTR_SIZE)
		r = file_resize(fs, node, &t, f, (uint64_t)st->st_size);
	if (r < 0 || a.set == 0)
		return r;
	return set_attributes(fs, node, &t, &a, uid);
}

/* --- extended attributes -------------------------------------------------- */

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What the sidecar says; a file ends in a newline, this does not. */
static int put_sidecar(struct variable *v, enum facet facet, struct buf *ret)
{
	int r = variable_sidecar(v, facet, ret);

	if (r == 0 && ret->len)
		ret->len--;
	return r;
}

static int put_slice(void *arg, size_t i, const struct slice_extent *extents,
		     size_t rank)
{
	(void)i;
	slice_print(extents, rank, arg);
	buf_put(arg, "\n", 1);
	return 0;
}

/* As RestoreV2 takes it, a line for each, but for the last newline. */
static int put_slices(const struct entry *e, struct buf *ret)
{
	int r = entry_each_slice(e, put_slice, ret);

	if (r == 0 && ret->len)
		ret->len--;
	return r;
}

static void put_place(const struct entry *e, const char *name, struct buf *ret)
{
	const char *file = e ? entry_file_name(e) : NULL;

	if (file && strcmp(name, "shard") == 0)
		buf_printf(ret, "%s", file);
	else if (!e || !entry_placed(e))
		buf_put(ret, "-", 1);
	else if (strcmp(name, "crc32c") == 0)
		buf_printf(ret, "%08x", entry_crc32c(e));
	else
		buf_printf(ret, "%llu", (unsigned long long)entry_offset(e));
}

/* Of a partitioned variable a line for each slice, in the order of .slices. */
static void put_places(const struct entry *e, const char *name, struct buf *ret)
{
	for (size_t i = 0; i < entry_slices(e); i++) {
		buf_put(ret, "\n", i > 0);
		put_place(entry_part(e, i), name, ret);
	}
	if (!entry_slices(e))
		put_place(e, name, ret);
}

/* Whether `e` has it: of V1 there are neither checksums nor places. */
static bool has_place(const struct entry *e, const char *name)
{
	if (strcmp(name, "shard") == 0)
		return entry_slices(e) || entry_file_name(e);
	return (strcmp(name, "crc32c") == 0 || strcmp(name, "offset") == 0) &&
	       (entry_slices(e) || entry_placed(e));
}

/* Of what is in the checkpoint: `e` may be NULL. */
static int put_attribute(const struct entry *e, const char *name,
			 struct buf *ret)
{
	int r = 0;

	if (e && entry_slices(e) && strcmp(name, "slices") == 0)
		r = put_slices(e, ret);
	else if (e && has_place(e, name))
		put_places(e, name, ret);
	else
		return -ENODATA;
	if (r == 0 && ret->len > XATTR_SIZE_MAX)
		return -E2BIG;
	return r < 0 ? r : buf_error(ret);
}

int xattr_get(const struct target *t, const char *name, struct buf *ret)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;

	/* So answered, ls asks once a mount and not once a file. */
	if (!starts_with(name, "user."))
		return -EOPNOTSUPP;
	if (!starts_with(name, PREFIX))
		return -ENODATA;
	name += strlen(PREFIX);
	if (!is_value(t))
		return -ENODATA;
	if (strcmp(name, "dtype") == 0)
		return put_sidecar(t->object.variable, FACET_DTYPE, ret);
	if (strcmp(name, "shape") == 0)
		return put_sidecar(t->object.variable, FACET_SHAPE, ret);
	if (strcmp(name, "key") == 0)
		return variable_key(t->object.variable, ret);
	e = variable_entry(t->object.variable);
	return put_attribute(e, name, ret);
}

int xattr_list(const struct target *t, struct buf *ret)
{
	static const char names[] = PREFIX "dtype\0" PREFIX "shape";

	if (is_value(t))
		buf_put(ret, names, sizeof(names));
	return buf_error(ret);
}

int xattr_set(struct fs *fs, fuse_ino_t node, const char *name,
	      struct span value, pid_t by)
{
	struct target t = inode_target(fs_inodes(fs), node);
	enum facet facet;
	int r;

	if (!starts_with(name, PREFIX) || !is_value(&t))
		return -EOPNOTSUPP;
	name += strlen(PREFIX);
	if (strcmp(name, "dtype") == 0)
		facet = FACET_DTYPE;
	else if (strcmp(name, "shape") == 0)
		facet = FACET_SHAPE;
	else
		return 0;
	r = checkpoint_set_sidecar(t.checkpoint, t.object.variable, facet,
				   value, by);
	if (r == 0)
		file_changed(fs, node);
	return r;
}

int xattr_remove(const struct target *t, const char *name)
{
	if (!starts_with(name, "user."))
		return -EOPNOTSUPP;
	/* rsync -X removes what its source does not have. */
	return starts_with(name, PREFIX) && is_value(t) ? 0 : -ENODATA;
}
