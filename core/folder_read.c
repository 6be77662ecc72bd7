/* From a directory of the source to the items of a folder: see folder.h. */
#include <fcntl.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/dir.h"
#include "core/files.h"
#include "core/folder_inside.h"
#include "core/item.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/residue.h"
#include "core/state.h"

/* Whether the file is the one by which this checkpoint was found. */
static bool makes(const char *file, const struct found *found)
{
	size_t len = strlen(found->source);

	return found->kind == ITEM_CHECKPOINT &&
	       strncmp(file, found->source, len) == 0 &&
	       strcmp(file + len, found->v1 ? "" : ".index") == 0;
}

/*
 * A file that somebody copies through this mount stays one until it is closed,
 * whatever its name; then it may be an index, and becomes a directory.
 */
static bool is_being_copied(const struct folder *f, const struct item *item,
			    struct scan *scan, bool *known)
{
	size_t i = 0;

	if (!item_made(item))
		return false;
	while (i < scan->n && !makes(item_source(item), &scan->found[i]))
		i++;
	if (i == scan->n ||
	    !(scan->found[i].unsettled ||
	      files_being_written(dir_fd(f->dir), item_source(item))))
		return false;
	known[i] = true;
	scan->unsettled = true;
	return true;
}

/* Whether it was copied here, and is still there, in a checkpoint. */
static bool became_part(const struct folder *f, const struct item *item,
			const struct scan *scan)
{
	struct stat st;

	return item_made(item) && scan_find(scan, item_name(item)) == scan->n &&
	       io_stat_link(dir_fd(f->dir), item_source(item), &st) == 0;
}

/* Takes out the items that were not found again; marks in `known` those that were. */
static void drop_lost_locked(struct folder *f, struct scan *scan, bool *known)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n_items; i++) {
		struct item *item = f->items[i];
		size_t at = scan_find(scan, item_name(item));

		if (at < scan->n && item_is(item, &scan->found[at]))
			known[at] = true;
		else if (!is_being_copied(f, item, scan, known)) {
			folder_tell(f, item_name(item));
			if (became_part(f, item, scan))
				linger_add(&f->linger, item);
			else
				folder_bury(item);
			continue;
		}
		f->items[kept++] = item;
	}
	f->n_items = kept;
}

static void note_mistaken(struct folder *f, const struct found *found)
{
	CLEANUP(free_ptr)
	char *path = found->what && !store_config(f->store)->single
			     ? folder_path_of(f, found->source)
			     : NULL;

	if (path)
		log_warning("%s is %s", path, found->what);
}

static int add_one_locked(struct folder *f, const struct found *found)
{
	struct item *item;
	int r;

	note_mistaken(f, found);
	r = item_new(f, found,
		     found->kind == ITEM_LATEST ? PLACE_LATEST
						: f->next_place++,
		     0, &item);
	if (r == 0)
		r = folder_put_locked(f, item);
	if (r == 0 && f->shown)
		folder_tell(f, found->name);
	return r;
}

/*
 * The order in which a copy of this directory in the mount becomes one: first what makes
 * it a plain one, then `latest`, which later could only lead to a checkpoint that is
 * there.  cp takes names in the order of their inode numbers, others in ours.
 */
static int rank(const struct found *found)
{
	if (found->kind == ITEM_FILE &&
	    folder_made_plain_by(span_of(found->name)))
		return 0;
	return found->kind == ITEM_LATEST ? 1 : 2;
}

static int add_found_locked(struct folder *f, const struct scan *scan,
			    const bool *known)
{
	for (int now = 0; now <= 2; now++) {
		for (size_t i = 0; i < scan->n; i++) {
			const struct found *found = &scan->found[i];
			int r;

			if (known[i] || found->unsettled || rank(found) != now)
				continue;
			r = add_one_locked(f, found);
			if (r < 0)
				return r;
		}
	}
	f->shown = true;
	return 0;
}

static void hide_latest(const struct folder *f, const struct folder_state *now,
			struct scan *scan)
{
	size_t at = scan_find(scan, NAME_LATEST);

	if (f->hidden.ino && file_id_equal(&f->hidden, &now->latest) &&
	    at < scan->n && scan->found[at].kind == ITEM_LATEST)
		scan_drop(scan, at);
}

/* Once for each state file that cannot be read. */
static void note_state(struct folder *f, const struct folder_state *now,
		       const struct scan *scan)
{
	CLEANUP(free_ptr) char *path = NULL;

	if (!scan->bad_state || file_id_equal(&f->bad_state, &now->latest))
		return;
	f->bad_state = now->latest;
	path = folder_path_of(f, STATE_FILE);
	log_warning("%s: TensorFlow cannot read this state file, and ignores "
		    "all of it: there is no `latest`",
		    path ? path : STATE_FILE);
}

static int read_locked(struct folder *f)
{
	CLEANUP(scan_release) struct scan scan = { 0 };
	CLEANUP(free_ptr) bool *known = NULL;
	struct folder_state now;
	int r = scan_state(dir_fd(f->dir), &now);

	if (r < 0 || folder_state_equal(&now, &f->state))
		return r;
	r = scan_directory(dir_fd(f->dir), f == store_root(f->store), &scan);
	if (r < 0)
		return r;
	note_state(f, &now, &scan);
	hide_latest(f, &now, &scan);
	known = calloc(scan.n + 1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	for (size_t i = 0; i < scan.n; i++)
		f->undecided &= scan.found[i].kind == ITEM_SYMLINK;
	f->linked = scan.linked;
	drop_lost_locked(f, &scan, known);
	r = add_found_locked(f, &scan, known);
	/* An unsettled folder is read again at the next look. */
	f->state = r < 0 || scan.unsettled ? (struct folder_state){ 0 } : now;
	return r;
}

/* The root was locked before it was mounted; what is below it, when it is read. */
static void lock_folder_locked(struct folder *f)
{
	CLEANUP(buf_release) struct buf holder = { 0 };
	CLEANUP(free_ptr) char *path = NULL;

	f->read_only = store_config(f->store)->read_only;
	if (f->read_only)
		return;
	if (f != store_root(f->store) &&
	    lock_directory(dir_fd(f->dir), &holder) < 0) {
		path = folder_path(f);
		log_warning("%s: read-only: %.*s writes to it",
			    path ? path : "?", (int)holder.len,
			    (const char *)holder.data);
		f->read_only = true;
		return;
	}
	files_recover(dir_fd(f->dir));
	residue_remove(dir_fd(f->dir));
}

static int open_locked(struct folder *f)
{
	CLEANUP(free_ptr) char *path = folder_path(f);
	int fd = path ? io_open(store_dirfd(f->store), path,
				O_RDONLY | O_DIRECTORY | O_NONBLOCK)
		      : -ENOMEM;
	int r;

	/* What another filesystem has mounted there is not our source. */
	if (fd == -EXDEV)
		f->closed = true;
	if (fd < 0)
		return f->closed ? 0 : fd;
	r = dir_new(fd, &f->dir);
	if (r == 0)
		lock_folder_locked(f);
	return r;
}

int folder_refresh_locked(struct folder *f)
{
	const struct store_config *config = store_config(f->store);
	bool first = !f->dir;
	int r = first && !f->closed ? open_locked(f) : 0;

	if (r < 0 || f->closed)
		return r;
	r = read_locked(f);
	if (first && r == 0)
		config->opened(config->checkpoint.arg, f, dir_fd(f->dir));
	return r;
}

int folder_begin_locked(struct folder *f)
{
	int r = folder_refresh_locked(f);

	if (r < 0)
		return r;
	if (f->gone)
		return -ENOENT;
	if (f->closed)
		return -EPERM;
	return f->read_only ? -EROFS : 0;
}

int folder_again_locked(struct folder *f)
{
	f->state = (struct folder_state){ 0 };
	return folder_refresh_locked(f);
}
