/* Names that change: see store.h, and files.h for those of checkpoints. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/dir.h"
#include "core/files.h"
#include "core/folder.h"
#include "core/folder_name.h"
#include "core/io.h"
#include "core/item.h"
#include "core/log.h"
#include "core/scan.h"
#include "core/state_edit.h"

/* A rename under way; all locks are held. */
struct renaming {
	struct folder *from, *to;
	struct item *item;
	struct item *target; /* what has the new name; or NULL */
	const char *name;    /* the new one */
	unsigned flags;
};

static int from_dirfd(const struct renaming *r)
{
	return dir_fd(folder_dir_locked(r->from));
}

static int to_dirfd(const struct renaming *r)
{
	return dir_fd(folder_dir_locked(r->to));
}

/* Of a folder, a link, or a file: it has one name, and that is on disk. */
static bool is_plain(const struct item *item)
{
	switch (item_kind(item)) {
	case ITEM_FOLDER:
	case ITEM_FILE:
	case ITEM_SYMLINK:
		return true;
	case ITEM_CHECKPOINT:
	case ITEM_LATEST:
		break;
	}
	return false;
}

/* --- in memory ------------------------------------------------------------ */

/* What is at the path of a folder, and below it, has another one. */
static int move_paths(struct store *s, struct folder *moved,
		      struct folder *above, const char *path)
{
	CLEANUP(free_ptr) char *old = folder_path(moved);

	if (!old || !path)
		return -ENOMEM;
	folder_set_above(moved, above);
	return store_repath(s, old, path);
}

static int move_item(struct item *item, struct folder *from, struct folder *to,
		     const char *name)
{
	CLEANUP(free_ptr) char *path = folder_path_of(to, name);
	uint64_t place = from == to ? item_place(item)
				    : folder_next_place_locked(to);
	int r;

	folder_take_locked(from, item);
	if (item_folder(item)) {
		r = move_paths(folder_store(to), item_folder(item), to, path);
		if (r < 0)
			return r;
	}
	r = item_rename(item, to, name, place);
	return r < 0 ? r : folder_put_locked(to, item);
}

static int read_again(const struct renaming *r)
{
	int e = folder_again_locked(r->to);

	if (e == 0 && r->from != r->to)
		e = folder_again_locked(r->from);
	return e;
}

/* --- plain ones ----------------------------------------------------------- */

/* What is not shown is not replaced, if the disk can be asked for that. */
static int rename_on_disk(const struct renaming *r)
{
	bool fresh = !r->target || !is_plain(r->target);
	unsigned flags = r->flags | (fresh ? RENAME_NOREPLACE : 0);
	int e = io_rename_to(from_dirfd(r), item_source(r->item), to_dirfd(r),
			     r->name, flags);

	if (e == -EINVAL && flags != r->flags)
		e = io_rename_to(from_dirfd(r), item_source(r->item),
				 to_dirfd(r), r->name, r->flags);
	return fresh ? folder_name_taken(r->to, r->name, e) : e;
}

/* A directory takes the place of an empty checkpoint, as of an empty directory. */
static int clear_target(struct renaming *r)
{
	int e;

	if (!r->target || item_kind(r->target) != ITEM_CHECKPOINT)
		return 0;
	if (item_kind(r->item) != ITEM_FOLDER)
		return -EISDIR;
	e = folder_remove_directory_locked(r->to, r->target);
	r->target = NULL;
	return e;
}

static int rename_plain(struct renaming *r)
{
	int e;

	if (r->target && item_kind(r->target) == ITEM_LATEST &&
	    item_kind(r->item) == ITEM_FOLDER)
		return -ENOTDIR;
	e = clear_target(r);
	if (e == 0)
		e = rename_on_disk(r);
	if (e < 0)
		return e;
	if (r->target)
		folder_drop_locked(r->to, r->target);
	e = move_item(r->item, r->from, r->to, r->name);
	return e < 0 ? e : read_again(r);
}

/* --- two plain ones change places ------------------------------------------ */

/* No path has this in it; so what is below one is told from what is below the other. */
#define NOWHERE "/"

static int swap_paths(const struct renaming *r)
{
	struct store *s = folder_store(r->from);
	CLEANUP(free_ptr) char *a = folder_path_of(r->from, item_name(r->item));
	CLEANUP(free_ptr) char *b = folder_path_of(r->to, r->name);
	int e = a && b ? store_repath(s, a, NOWHERE) : -ENOMEM;

	if (e == 0)
		e = store_repath(s, b, a);
	if (e == 0)
		e = store_repath(s, NOWHERE, b);
	if (item_folder(r->item))
		folder_set_above(item_folder(r->item), r->to);
	if (item_folder(r->target))
		folder_set_above(item_folder(r->target), r->from);
	return e;
}

static int exchange_items(const struct renaming *r)
{
	CLEANUP(free_ptr) char *name = strdup(item_name(r->item));
	uint64_t place = item_place(r->item);
	uint64_t other = item_place(r->target);
	int e = name ? 0 : -ENOMEM;

	if (e == 0)
		e = item_rename(r->item, r->to, r->name, other);
	if (e == 0)
		e = item_rename(r->target, r->from, name, place);
	if (e < 0)
		return e;
	folder_take_locked(r->from, r->item);
	folder_take_locked(r->to, r->target);
	e = folder_put_locked(r->to, r->item);
	return e < 0 ? e : folder_put_locked(r->from, r->target);
}

static int exchange(struct renaming *r)
{
	int e;

	if (!r->target)
		return -ENOENT;
	if (!is_plain(r->item) || !is_plain(r->target)) {
		log_error(
			"%s, %s: checkpoints cannot be exchanged: rename them "
			"one after the other",
			item_name(r->item), r->name);
		return -EOPNOTSUPP;
	}
	e = io_rename_to(from_dirfd(r), item_source(r->item), to_dirfd(r),
			 r->name, RENAME_EXCHANGE);
	if (e == 0)
		e = swap_paths(r);
	if (e == 0)
		e = exchange_items(r);
	return e < 0 ? e : read_again(r);
}

/* --- checkpoints ---------------------------------------------------------- */

/* The state file names it as it is called now; without that it is still whole. */
static void follow(const struct renaming *r)
{
	int e = r->from == r->to ? state_rename(from_dirfd(r),
						item_source(r->item), r->name)
				 : 0;

	if (e < 0)
		log_warning("%s: renamed to %s, but not in the state file: %s",
			    item_name(r->item), r->name, strerror(-e));
}

static int move_files(const struct renaming *r, struct files_move *m)
{
	struct checkpoint *cp = item_checkpoint(r->item);
	CLEANUP(free_ptr) char *label = folder_path_of(r->to, r->name);
	int e = label ? files_link(m) : -ENOMEM;

	if (e < 0)
		return e;
	e = checkpoint_move(cp, folder_dir_locked(r->to), r->name, label);
	if (e < 0) {
		files_undo(m);
		return e;
	}
	follow(r);
	/* It has the new name, whatever is left of the old one. */
	(void)files_unlink(m);
	return 0;
}

static int move_checkpoint(const struct renaming *r)
{
	CLEANUP(files_move_release)
	struct files_move m = { .dirfd = from_dirfd(r),
				.prefix = item_source(r->item),
				.to_dirfd = to_dirfd(r),
				.to = r->name,
				.v1 = item_v1(r->item) };
	struct checkpoint *cp = item_checkpoint(r->item);
	int e = checkpoint_hold(cp);

	if (e < 0)
		return e;
	e = move_files(r, &m);
	checkpoint_resume(cp);
	return e;
}

/*
 * A table in a file of its own is taken for a V1 checkpoint, and may be an index that
 * somebody gives its name.
 */
static int rename_table(const struct renaming *r)
{
	int e = rename_on_disk(r);

	if (e < 0)
		return e;
	folder_tell(r->from, item_name(r->item));
	folder_tell(r->to, r->name);
	folder_drop_locked(r->from, r->item);
	return read_again(r);
}

static bool is_one_file(const struct renaming *r)
{
	struct stat st;

	return item_v1(r->item) &&
	       io_stat_link(from_dirfd(r), item_source(r->item), &st) == 0;
}

static int rename_checkpoint(struct renaming *r)
{
	int e = 0;

	if (checkpoint_frozen(item_checkpoint(r->item))) {
		log_error("%s: not renamed: a SavedModel finds it by this "
			  "name; -o force does it all the same",
			  item_name(r->item));
		return -EPERM;
	}
	if (!files_prefix_ok(r->name) && !r->target && is_one_file(r))
		return rename_table(r);
	if (!files_prefix_ok(r->name)) {
		log_error("%s: not renamed: no checkpoint can be called %s",
			  item_name(r->item), r->name);
		return -EINVAL;
	}
	if (r->target)
		e = folder_remove_directory_locked(r->to, r->target);
	if (e == 0)
		e = move_checkpoint(r);
	if (e == 0)
		e = move_item(r->item, r->from, r->to, r->name);
	return e < 0 ? e : read_again(r);
}

/* --- latest --------------------------------------------------------------- */

static int rename_to_latest(const struct renaming *r)
{
	CLEANUP(buf_release) struct buf target = { 0 };
	int e = io_readlink(from_dirfd(r), item_source(r->item), &target);

	if (e == 0)
		e = folder_set_latest_locked(r->to, buf_span(&target));
	if (e == 0)
		e = io_unlink(from_dirfd(r), item_source(r->item));
	if (e < 0)
		return e;
	folder_drop_locked(r->from, r->item);
	/* The kernel thinks that the link is there now. */
	folder_tell(r->to, NAME_LATEST);
	return read_again(r);
}

/* --- which of these ------------------------------------------------------- */

static int rename_item(struct renaming *r)
{
	if (r->flags & RENAME_EXCHANGE)
		return exchange(r);
	if (r->target && r->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (r->item == r->target)
		return 0;
	switch (item_kind(r->item)) {
	case ITEM_LATEST:
		return -EPERM;
	case ITEM_CHECKPOINT:
		return rename_checkpoint(r);
	case ITEM_SYMLINK:
		if (folder_sets_latest_locked(r->to, r->name))
			return rename_to_latest(r);
		break;
	case ITEM_FILE:
	case ITEM_FOLDER:
		break;
	}
	return rename_plain(r);
}

static int rename_locked(struct folder *f, struct span name, struct folder *to,
			 struct span newname, unsigned flags)
{
	CLEANUP(free_ptr) char *text = NULL;
	struct renaming r = { .from = f, .to = to, .flags = flags };
	int e = folder_begin_locked(f);

	if (e == 0 && to != f)
		e = folder_begin_locked(to);
	/* Reading one may have shown that the other has gone. */
	if (e == 0 && (!folder_dir_locked(f) || !folder_dir_locked(to)))
		e = -ENOENT;
	if (e == 0)
		e = folder_name(to, newname, &text);
	if (e < 0)
		return e;
	r.name = text;
	r.item = folder_find_locked(f, name);
	r.target = folder_find_locked(to, newname);
	return r.item ? rename_item(&r) : -ENOENT;
}

static bool is_above(const struct folder *f, const struct folder *other)
{
	while (other && other != f)
		other = folder_above(other);
	return other;
}

/* Those above first, as whoever goes down does; else any order that is always one. */
static bool goes_first(const struct folder *f, const struct folder *other)
{
	if (is_above(f, other) || is_above(other, f))
		return is_above(f, other);
	return folder_id(f) < folder_id(other);
}

static int rename_with_locks(struct folder *f, struct span name,
			     struct folder *to, struct span newname,
			     unsigned flags)
{
	LOCK_SCOPE(store_rename_lock(folder_store(f)));
	struct folder *first = goes_first(f, to) ? f : to;
	struct folder *second = first == f ? to : f;
	int e;

	pthread_mutex_lock(folder_lock(first));
	if (second != first)
		pthread_mutex_lock(folder_lock(second));
	e = rename_locked(f, name, to, newname, flags);
	if (second != first)
		pthread_mutex_unlock(folder_lock(second));
	pthread_mutex_unlock(folder_lock(first));
	return e;
}

/* Before anything is locked: a commit may take its time. */
static void commit_first(struct folder *f, struct span name)
{
	CLEANUP(item_unrefp) struct item *item = NULL;

	if (folder_lookup(f, name, &item) == 0 && item_checkpoint(item))
		(void)checkpoint_commit_background(item_checkpoint(item));
}

int folder_rename(struct folder *f, struct span name, struct folder *to,
		  struct span newname, unsigned flags)
{
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	commit_first(f, name);
	return rename_with_locks(f, name, to, newname, flags);
}
