/* Names that are made and removed: see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/dir.h"
#include "core/files.h"
#include "core/folder.h"
#include "core/folder_name.h"
#include "core/io.h"
#include "core/item.h"
#include "core/list.h"
#include "core/log.h"
#include "core/name.h"
#include "core/object.h"
#include "core/scan.h"
#include "core/scan_name.h"

static int dirfd_locked(const struct folder *f)
{
	return dir_fd(folder_dir_locked(f));
}

/*
 * What was just made is in the list before the directory is read again: the kernel
 * knows of it.
 */
static int show_locked(struct folder *f, enum item_kind kind, const char *name,
		       struct item **ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(free_ptr) char *copy = strdup(name);
	struct found found = { .kind = kind, .name = copy, .source = copy };
	struct stat st;
	int r = copy ? io_stat_link(dirfd_locked(f), name, &st) : -ENOMEM;

	if (r < 0)
		return r;
	if (kind == ITEM_FOLDER)
		found.ino = st.st_ino;
	r = item_new(f, &found, folder_next_place_locked(f), 0, &item);
	if (r == 0 && kind == ITEM_FILE)
		item_set_made(item);
	if (r == 0)
		r = folder_put_locked(f, item_ref(item));
	if (r == 0)
		r = folder_again_locked(f);
	if (r == 0)
		*ret = STEAL(item);
	return r;
}

static int begin_locked(struct folder *f, struct span name, char **ret)
{
	int r = folder_begin_locked(f);

	return r < 0 ? r : folder_name(f, name, ret);
}

/* --- files, links, directories -------------------------------------------- */

static int create_locked(struct folder *f, const char *name, mode_t mode,
			 int flags, struct item **ret, int *ret_fd)
{
	int fd = io_make_file(dirfd_locked(f), name, flags & ~O_TRUNC, mode);
	int r;

	if (fd < 0)
		return folder_name_taken(f, name, fd);
	r = show_locked(f, ITEM_FILE, name, ret);
	if (r < 0)
		close_fd(&fd);
	else
		*ret_fd = fd;
	return r;
}

static int open_found(struct item *item, int flags, struct item **ret,
		      int *ret_fd)
{
	int fd;

	if (item_kind(item) != ITEM_FILE)
		return -EEXIST;
	fd = item_open(item, flags);
	if (fd < 0)
		return fd;
	*ret = item_ref(item);
	*ret_fd = fd;
	return 0;
}

int folder_create(struct folder *f, struct span name, mode_t mode, int flags,
		  struct item **ret, int *ret_fd)
{
	LOCK_SCOPE(folder_lock(f));
	CLEANUP(free_ptr) char *text = NULL;
	int how = flags & (O_ACCMODE | O_TRUNC | O_APPEND);
	struct item *there;
	int r = begin_locked(f, name, &text);

	if (r < 0)
		return r;
	there = folder_find_locked(f, name);
	if (there)
		return flags & O_EXCL ? -EEXIST
				      : open_found(there, how, ret, ret_fd);
	return create_locked(f, text, mode, how, ret, ret_fd);
}

int folder_mkdir(struct folder *f, struct span name, mode_t mode,
		 struct item **ret)
{
	LOCK_SCOPE(folder_lock(f));
	CLEANUP(free_ptr) char *text = NULL;
	struct stat st;
	int r = begin_locked(f, name, &text);

	if (r < 0)
		return r;
	if (folder_find_locked(f, name))
		return -EEXIST;
	r = io_mkdir(dirfd_locked(f), text, mode);
	if (r < 0)
		return folder_name_taken(f, text, r);
	r = show_locked(f, ITEM_FOLDER, text, ret);
	/* What a SavedModel has in its directories is files and one checkpoint. */
	if (r == 0)
		folder_set_undecided(item_folder(*ret),
				     io_stat(dirfd_locked(f), SAVED_MODEL_FILE,
					     &st) < 0);
	return r;
}

static int make_latest_locked(struct folder *f, const char *target,
			      struct item **ret)
{
	struct item *item;
	int r = folder_set_latest_locked(f, span_of(target));

	if (r == 0)
		r = folder_again_locked(f);
	item = r == 0 ? folder_find_locked(f, span_of(NAME_LATEST)) : NULL;
	if (!item)
		return r < 0 ? r : -EIO;
	*ret = item_ref(item);
	return 0;
}

int folder_symlink(struct folder *f, struct span name, const char *target,
		   struct item **ret)
{
	LOCK_SCOPE(folder_lock(f));
	CLEANUP(free_ptr) char *text = NULL;
	int r = begin_locked(f, name, &text);

	if (r < 0)
		return r;
	if (folder_find_locked(f, name))
		return -EEXIST;
	if (folder_sets_latest_locked(f, text))
		return make_latest_locked(f, target, ret);
	r = io_symlink(target, dirfd_locked(f), text);
	return r < 0 ? folder_name_taken(f, text, r)
		     : show_locked(f, ITEM_SYMLINK, text, ret);
}

static int hide_latest_locked(struct folder *f, struct item *item)
{
	folder_hide_latest_locked(f, true);
	log_info("latest: not shown until the state file changes, which still "
		 "names %s",
		 item_source(item));
	folder_drop_locked(f, item);
	return folder_again_locked(f);
}

static int unlink_locked(struct folder *f, struct item *item)
{
	int r;

	switch (item_kind(item)) {
	case ITEM_FOLDER:
	case ITEM_CHECKPOINT:
		return -EISDIR;
	case ITEM_LATEST:
		return hide_latest_locked(f, item);
	case ITEM_FILE:
	case ITEM_SYMLINK:
		break;
	}
	r = io_unlink(dirfd_locked(f), item_source(item));
	if (r < 0)
		return r;
	folder_drop_locked(f, item);
	return folder_again_locked(f);
}

int folder_unlink(struct folder *f, struct span name)
{
	LOCK_SCOPE(folder_lock(f));
	struct item *item;
	int r = folder_begin_locked(f);

	if (r < 0)
		return r;
	item = folder_find_locked(f, name);
	return item ? unlink_locked(f, item) : -ENOENT;
}

int folder_remove_directory_locked(struct folder *f, struct item *item)
{
	struct checkpoint *cp = item_checkpoint(item);
	int dirfd = dirfd_locked(f);
	int r;

	if (!cp) {
		r = item_folder(item) ? io_rmdir(dirfd, item_source(item))
				      : -ENOTDIR;
	} else if (!checkpoint_empty(cp)) {
		return -ENOTEMPTY;
	} else {
		checkpoint_retire(cp);
		r = files_remove(dirfd, item_source(item), item_v1(item));
	}
	/* What is left of a checkpoint is shown by a new item. */
	if (r == 0 || cp)
		folder_drop_locked(f, item);
	return r;
}

int folder_rmdir(struct folder *f, struct span name)
{
	LOCK_SCOPE(folder_lock(f));
	struct item *item;
	int r = folder_begin_locked(f);

	if (r < 0)
		return r;
	item = folder_find_locked(f, name);
	if (!item)
		return -ENOENT;
	r = folder_remove_directory_locked(f, item);
	(void)folder_again_locked(f);
	return r;
}

int folder_set_attributes(struct folder *f, const struct attributes *a)
{
	LOCK_SCOPE(folder_lock(f));
	int r = folder_begin_locked(f);

	return r < 0 ? r : io_set_attributes(dirfd_locked(f), a);
}

int folder_sync(struct folder *f)
{
	LOCK_SCOPE(folder_lock(f));
	int r = folder_begin_locked(f);

	if (r == -EROFS)
		return 0;
	return r < 0 ? r : io_sync(dirfd_locked(f));
}

/* --- a directory becomes a checkpoint -------------------------------------- */

/*
 * Links say nothing of what their directory is to be: rsync, and `cp -a` from a disk, make
 * them before all else.  So they wait on disk, and go along into the checkpoint.
 */
struct links {
	struct dir *dir;
	struct list names; /* of char, owned */
	struct list targets;
};

static void links_release(struct links *l)
{
	for (size_t i = 0; i < l->names.n; i++)
		free(l->names.items[i]);
	for (size_t i = 0; i < l->targets.n; i++)
		free(l->targets.items[i]);
	free(l->names.items);
	free(l->targets.items);
	dir_unref(l->dir);
}

/* At the top of a checkpoint; of one whose name was cut, nothing says what it was. */
static bool is_name_of_key(struct span name)
{
	CLEANUP(buf_release) struct buf component = { 0 };
	struct span stem;

	return name_split(name, &stem) == NAME_PLAIN &&
	       name_decode(name, true, &component) == 0;
}

/* Whether a link may be an edge, and is no part of a raw copy of checkpoints. */
static bool may_go_along(const char *name, const char *target)
{
	if (!is_name_of_key(span_of(name)) ||
	    folder_made_plain_by(span_of(name)) ||
	    strcmp(name, NAME_LATEST) == 0 || target[0] == '/')
		return false;
	for (const char *at = target; (at = strstr(at, "..")); at += 2)
		if ((at == target || at[-1] == '/') &&
		    (at[2] == '/' || at[2] == 0))
			return false;
	return true;
}

static int add_link(struct links *l, struct item *item)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	char *name, *target;
	int r = item_kind(item) == ITEM_SYMLINK ? item_readlink(item, &text)
						: -ENOTEMPTY;

	if (r < 0)
		return r;
	target = strndup((const char *)text.data, text.len);
	r = target ? list_add(&l->targets, target) : -ENOMEM;
	if (r < 0) {
		free(target);
		return r;
	}
	name = strdup(item_source(item));
	r = name ? list_add(&l->names, name) : -ENOMEM;
	if (r < 0)
		free(name);
	return r < 0 || may_go_along(name, target) ? r : -ENOTEMPTY;
}

/* -ENOTEMPTY if something else is there. */
static int gather_links(struct folder *f, struct links *ret)
{
	LOCK_SCOPE(folder_lock(f));
	uint64_t cookie = 0;
	struct item *item;
	int r = folder_begin_locked(f);

	while (r == 0 && (item = folder_next_locked(f, &cookie)))
		r = add_link(ret, item);
	if (r == 0)
		ret->dir = dir_ref(folder_dir_locked(f));
	return r;
}

static int hide_links(const struct links *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->names.n; i++)
		r = io_unlink(dir_fd(l->dir), l->names.items[i]);
	return r;
}

static void show_links_again(const struct links *l)
{
	for (size_t i = 0; i < l->names.n; i++)
		(void)io_symlink(l->targets.items[i], dir_fd(l->dir),
				 l->names.items[i]);
}

/* There is no way back: one that cannot come is told of. */
static void bring_links(const struct links *l, struct checkpoint *cp)
{
	for (size_t i = 0; i < l->names.n; i++) {
		const char *name = l->names.items[i];
		const char *target = l->targets.items[i];
		struct object made = { 0 };
		int r = checkpoint_symlink(cp, checkpoint_root(cp),
					   span_of(name), span_of(target),
					   &made);

		if (r < 0)
			log_error("%s: the link to %s is lost: %s", name,
				  target, strerror(-r));
		object_release(&made);
	}
}

/* The real directory goes, and an index comes: no name has both at any time. */
static int exchange_for_index(int dirfd, const char *name)
{
	struct stat st;
	int r = io_stat_link(dirfd, name, &st);

	if (r == 0)
		r = io_rmdir(dirfd, name);
	if (r < 0)
		return r;
	st.st_mode &= 0666;
	r = bundle_create(dirfd, name, &st);
	if (r < 0) {
		log_error("%s: cannot be made a checkpoint: %s", name,
			  strerror(-r));
		st.st_mode |= 0700 | (st.st_mode & 0444) >> 2;
		(void)io_mkdir(dirfd, name, st.st_mode);
	}
	return r;
}

static struct item *find_folder_locked(struct folder *in,
				       const struct folder *f)
{
	uint64_t cookie = 0;
	struct item *item;

	while ((item = folder_next_locked(in, &cookie)))
		if (item_folder(item) == f)
			return item;
	return NULL;
}

/* The item of the folder gives its place and number to one of a checkpoint. */
static int replace_locked(struct folder *in, struct item *old,
			  struct item **ret)
{
	CLEANUP(item_unrefp) struct item *item = NULL;
	CLEANUP(free_ptr) char *name = strdup(item_name(old));
	const struct found found = { .kind = ITEM_CHECKPOINT,
				     .name = name,
				     .source = name };
	int r = name ? item_new(in, &found, item_place(old),
				folder_id(item_folder(old)), &item)
		     : -ENOMEM;

	folder_drop_locked(in, old);
	if (r == 0)
		r = folder_put_locked(in, item_ref(item));
	if (r == 0)
		r = folder_again_locked(in);
	if (r == 0)
		*ret = STEAL(item);
	return r;
}

static int decide_locked(struct folder *in, struct folder *f,
			 const struct links *links, struct item **ret)
{
	struct item *item;
	int r = folder_begin_locked(in);

	if (r < 0)
		return r;
	item = find_folder_locked(in, f);
	if (!item)
		return -ENOENT;
	if (!folder_undecided(f))
		return -ENOTEMPTY;
	if (!files_prefix_ok(item_name(item))) {
		log_error("%s: no checkpoint can have this name",
			  item_name(item));
		return -EINVAL;
	}
	r = hide_links(links);
	if (r == 0)
		r = exchange_for_index(dirfd_locked(in), item_name(item));
	if (r < 0)
		show_links_again(links);
	if (r == -ENOTEMPTY)
		folder_set_undecided(f, false);
	if (r == 0)
		r = replace_locked(in, item, ret);
	if (r == 0)
		checkpoint_set_made(item_checkpoint(*ret));
	return r;
}

int folder_decide(struct folder *f, struct item **ret)
{
	pthread_mutex_t *renames = store_rename_lock(folder_store(f));
	CLEANUP(links_release) struct links links = { 0 };
	CLEANUP(item_unrefp) struct item *item = NULL;
	struct folder *in;
	int r;

	pthread_mutex_lock(renames);
	in = folder_above(f);
	r = in ? gather_links(f, &links) : -EINVAL;
	if (r == 0) {
		pthread_mutex_lock(folder_lock(in));
		r = decide_locked(in, f, &links, &item);
		pthread_mutex_unlock(folder_lock(in));
	}
	pthread_mutex_unlock(renames);
	if (r < 0)
		return r;
	bring_links(&links, item_checkpoint(item));
	*ret = STEAL(item);
	return 0;
}
