#include "core/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/catalog.h"
#include "core/checkpoint_inside.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/dir.h"
#include "core/edit.h"
#include "core/explain.h"
#include "core/io.h"
#include "core/log.h"
#include "core/pending.h"
#include "core/v1.h"
#include "core/workspace.h"

/* How long a save by somebody else may take between its data and its index. */
#define SETTLE_SECONDS 2

static void forget_former(struct former *f)
{
	dir_unref(f->dir);
	free(f->label);
	free(f);
}

static void checkpoint_free(struct checkpoint *cp)
{
	workspace_release(&cp->ws);
	pending_free(cp->pending);
	edit_free(cp->lost);
	catalog_free(cp->catalog);
	(void)pthread_cond_destroy(&cp->commit_ended);
	(void)pthread_mutex_destroy(&cp->lock);
	(void)pthread_mutex_destroy(&cp->flush_lock);
	while (cp->formers) {
		struct former *f = cp->formers;

		cp->formers = f->older;
		forget_former(f);
	}
	dir_unref(cp->dir);
	free(cp->temp);
	free(cp->index);
	free(cp->label);
	free(cp->prefix);
	free(cp);
}

struct checkpoint *checkpoint_ref(struct checkpoint *cp)
{
	atomic_fetch_add(&cp->refs, 1);
	return cp;
}

void checkpoint_unref(struct checkpoint *cp)
{
	if (cp && atomic_fetch_sub(&cp->refs, 1) == 1)
		checkpoint_free(cp);
}

static char *join(const char *a, const char *b)
{
	char *text;

	return asprintf(&text, "%s%s", a, b) < 0 ? NULL : text;
}

static int set_place(struct checkpoint *cp,
		     const struct checkpoint_place *place)
{
	cp->v1 = place->v1;
	cp->read_only = place->read_only;
	cp->frozen = place->saved_model && !cp->config->force;
	cp->dir = dir_ref(place->dir);
	cp->dirfd = dir_fd(cp->dir);
	cp->prefix = strdup(place->prefix);
	cp->label = strdup(place->label);
	cp->index = place->v1 ? v1_first_name(cp->dirfd, place->prefix)
			      : join(place->prefix, ".index");
	cp->temp = join(place->prefix, "_temp");
	return cp->prefix && cp->label && cp->index && cp->temp ? 0 : -ENOMEM;
}

int checkpoint_new(const struct checkpoint_config *config,
		   const struct checkpoint_place *place,
		   struct checkpoint **ret)
{
	CLEANUP(checkpoint_unrefp)
	struct checkpoint *cp = calloc(1, sizeof(*cp));
	int r;

	if (!cp)
		return -ENOMEM;
	atomic_init(&cp->refs, 1);
	(void)pthread_mutex_init(&cp->flush_lock, NULL);
	(void)pthread_mutex_init(&cp->lock, NULL);
	(void)pthread_cond_init(&cp->commit_ended, NULL);
	cp->config = config;
	r = set_place(cp, place);
	if (r == 0)
		r = catalog_new(config, cp->label, place->root_id,
				&cp->catalog);
	if (r == 0)
		r = pending_new(&cp->pending);
	if (r < 0)
		return r;
	cp->ws = (struct workspace){ .config = config,
				     .label = cp->label,
				     .catalog = cp->catalog,
				     .pending = cp->pending };
	*ret = STEAL(cp);
	return 0;
}

void checkpoint_set_made(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	cp->ws.made = true;
	/* What is only being written has no names that saved_model.pb could have, too. */
	cp->frozen = false;
}

struct node *checkpoint_root(struct checkpoint *cp)
{
	return tree_root(catalog_tree(cp->catalog)); /* never changes */
}

/*
 * Whether a save that gathers its parts first is moving them to their places, or did
 * so a moment ago: that changes the directory it gathered them in.
 */
static bool merging(const struct checkpoint *cp)
{
	struct stat st;

	return io_stat(cp->dirfd, cp->temp, &st) == 0 &&
	       clock_recent(st.st_mtim, SETTLE_SECONDS);
}

/* Whether the index is just being written: then it is looked at again later. */
static bool unsettled(const struct checkpoint *cp)
{
	CLEANUP(close_fd) int fd = -1;
	struct stat st;

	if (faccessat(cp->dirfd, cp->temp, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	fd = io_open(cp->dirfd, cp->index, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	if (clock_recent(st.st_mtim, SETTLE_SECONDS))
		return true;
	if (io_lease(fd) == -EAGAIN)
		return true;
	io_lease_drop(fd);
	return false;
}

bool checkpoint_overwritten(void *arg, struct variable *v)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);

	/* One that was removed or renamed is not stored any more. */
	return edit_has(arg, e) || !variable_stored(v);
}

/* Everybody who looks would read it again, and say so: it is remembered. */
static int note_damage_locked(struct checkpoint *cp, const struct file_id *id,
			      int error)
{
	const char *what = cp->v1 ? NULL
				  : explain_content(cp->dirfd, cp->index);

	cp->damaged = *id;
	if (what)
		log_error("%s: not shown: its index is %s", cp->label, what);
	else if (error == -EBADMSG)
		log_error("%s: not shown: its index does not end as an index "
			  "does: it was cut short, or is another kind of file",
			  cp->label);
	else if (error == -EXDEV || error == -ELOOP)
		log_error("%s: not shown: its index is a link that leads out "
			  "of the source, or in a circle",
			  cp->label);
	return -EIO;
}

/* Of the index, or of a link that leads to none. */
static struct file_id index_id(const struct checkpoint *cp)
{
	struct file_id id = { 0 };
	struct stat st;

	if (io_id(cp->dirfd, cp->index, &id) < 0 &&
	    io_stat_link(cp->dirfd, cp->index, &st) == 0)
		id = (struct file_id){ st.st_dev, st.st_ino,
				       (uint64_t)st.st_size, st.st_mtim };
	return id;
}

static int read_disk_locked(struct checkpoint *cp)
{
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	struct bundle *now = catalog_bundle(cp->catalog);
	struct file_id before = index_id(cp);
	int r;

	if (cp->damaged.ino && file_id_equal(&before, &cp->damaged))
		return -EIO;
	/* The same again would say nothing new, but say it in the log. */
	if (cp->partial.ino && file_id_equal(&before, &cp->partial) &&
	    unsettled(cp))
		return now ? 0 : -EAGAIN;
	r = cp->v1 ? v1_open(cp->dirfd, cp->prefix, &next)
		   : bundle_open(cp->dirfd, cp->prefix, now, &next);

	/* An index that does not parse: not yet, or not at all. */
	if ((r == -EBADMSG || r == -EIO) && unsettled(cp)) {
		cp->unsettled = clock_ms();
		cp->partial = before;
		return now ? 0 : -EAGAIN;
	}
	if (r == -EBADMSG || r == -EIO || r == -EXDEV || r == -ELOOP)
		return note_damage_locked(cp, &before, r);
	/* Old values under a new index, or the other way round: not yet. */
	if (r == 0 && now && bundle_suspect(next)) {
		cp->unsettled = clock_ms();
		return 0;
	}
	if (r == 0)
		r = catalog_adopt(cp->catalog, next, checkpoint_overwritten,
				  pending_edit(cp->pending));
	if (r < 0)
		return r;
	checkpoint_give_up_edit_locked(cp, -ESTALE);
	cp->unsettled = 0;
	return 0;
}

/* The index has gone: names go, and who has a variable open keeps it. */
static int vanish_locked(struct checkpoint *cp)
{
	checkpoint_give_up_edit_locked(cp, -ESTALE);
	catalog_clear(cp->catalog, true);
	return -ENOENT;
}

/*
 * Shards are new and the index is not: a save that has renamed its data and not yet
 * its index.  The old state is shown from its open shards until that is over.
 */
static bool wait_for_index_locked(struct checkpoint *cp)
{
	uint64_t now = clock_ms();

	if (cp->unsettled == 0)
		cp->unsettled = now;
	return now - cp->unsettled < SETTLE_SECONDS * UINT64_C(1000);
}

int checkpoint_refresh_locked(struct checkpoint *cp)
{
	struct bundle *now = catalog_bundle(cp->catalog);
	int r;

	if (cp->retired)
		return -ENOENT;
	if (!now)
		return read_disk_locked(cp);
	/* Our own commit is about to change what is there. */
	if (cp->committing)
		return 0;
	r = bundle_current(now);
	if (r == 1)
		cp->unsettled = 0;
	if (r == 1 || (r == -ESTALE && wait_for_index_locked(cp)))
		return 0;
	/* Data and index of one save need not be there both, whatever is new. */
	if (r != -ENOENT && merging(cp)) {
		cp->unsettled = clock_ms();
		return 0;
	}
	if (r != -ENOENT)
		r = read_disk_locked(cp);
	return r == -ENOENT ? vanish_locked(cp) : r;
}

int checkpoint_refresh(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return checkpoint_refresh_locked(cp);
}

bool checkpoint_unsettled(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return cp->unsettled != 0;
}

bool checkpoint_loaded(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return catalog_bundle(cp->catalog) || cp->unsettled;
}

/* --- names --------------------------------------------------------------- */

int checkpoint_look_locked(struct checkpoint *cp)
{
	return catalog_bundle(cp->catalog) ? 0 : checkpoint_refresh_locked(cp);
}

int checkpoint_lookup(struct checkpoint *cp, const struct node *scope,
		      struct span name, pid_t by, struct object *ret)
{
	LOCK_SCOPE(&cp->lock);
	int r = checkpoint_look_locked(cp);

	/* What is not there now may be in a moment, and nobody is told. */
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (node_dead(scope))
		return -ESTALE;
	return workspace_lookup(&cp->ws, scope, name, by, ret);
}

int checkpoint_list(struct checkpoint *cp, const struct node *scope,
		    uint64_t *cookie, struct buf *name, struct object *ret)
{
	LOCK_SCOPE(&cp->lock);
	int r = checkpoint_look_locked(cp);

	if (r < 0)
		return r == -ENOENT || r == -EAGAIN ? 0 : r;
	return workspace_list(&cp->ws, scope, cookie, name, ret);
}

int checkpoint_readlink(struct checkpoint *cp, const struct node *link,
			struct buf *ret)
{
	LOCK_SCOPE(&cp->lock);
	return node_dead(link) ? -ESTALE : node_put_target(link, ret);
}

/* --- attributes ---------------------------------------------------------- */

/* Whose it is and how old, without reading more than the index's attributes. */
static mode_t stat_from_index(const struct checkpoint *cp, struct stat *ret)
{
	const struct stat *first = catalog_first(cp->catalog);
	struct stat st = { .st_mode = 0444 };

	if (!catalog_bundle(cp->catalog)) {
		(void)io_stat(cp->dirfd, cp->index, &st);
		first = &st;
	}
	ret->st_uid = first->st_uid;
	ret->st_gid = first->st_gid;
	ret->st_mtim = ret->st_ctim = ret->st_atim = first->st_mtim;
	ret->st_nlink = 1;
	return first->st_mode;
}

static int stat_directory(struct checkpoint *cp, const struct object *o,
			  struct stat *ret)
{
	CLEANUP(buf_release) struct buf target = { 0 };
	LOCK_SCOPE(&cp->lock);
	mode_t mode = stat_from_index(cp, ret);

	ret->st_mode = S_IFDIR | (mode & 0777) | (mode & 0444) >> 2;
	if (o->facet == FACET_LINK) {
		ret->st_mode = S_IFLNK | 0777;
		if (node_put_target(o->node, &target) == 0)
			ret->st_size = (off_t)target.len;
	}
	return 0;
}

static int stat_file(struct checkpoint *cp, const struct object *o,
		     struct stat *ret)
{
	pthread_mutex_lock(&cp->lock);
	ret->st_mode = S_IFREG | (stat_from_index(cp, ret) & 0666);
	pthread_mutex_unlock(&cp->lock);
	return variable_stat(o->variable, o->facet, ret);
}

int checkpoint_stat(struct checkpoint *cp, const struct object *o,
		    struct stat *ret)
{
	struct stat st = { 0 };
	int r = o->variable ? stat_file(cp, o, &st)
			    : stat_directory(cp, o, &st);

	if (r == 0)
		*ret = st;
	return r;
}

/* --- as a file --------------------------------------------------------------- */

bool checkpoint_empty(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	/* Somebody else may just have saved, or be about to. */
	return checkpoint_refresh_locked(cp) == 0 && cp->unsettled == 0 &&
	       node_empty(tree_root(catalog_tree(cp->catalog)));
}

void checkpoint_retire(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->flush_lock);
	pthread_mutex_lock(&cp->lock);
	while (cp->committing)
		(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
	cp->retired = true;
	cp->committed = pending_changes(cp->pending);
	pending_clear(cp->pending);
	catalog_clear(cp->catalog, false);
	pthread_mutex_unlock(&cp->lock);
}

/* Nothing is committed, and nothing read, until checkpoint_resume(). */
int checkpoint_hold(struct checkpoint *cp)
{
	int r;

	LOCK_SCOPE(&cp->flush_lock);
	pthread_mutex_lock(&cp->lock);
	r = checkpoint_commit_all_locked(cp, UINT64_MAX);
	while (cp->committing)
		(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
	if (r == 0)
		cp->committing = true;
	pthread_mutex_unlock(&cp->lock);
	return r;
}

void checkpoint_resume(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	cp->committing = false;
	(void)pthread_cond_broadcast(&cp->commit_ended);
}

/* Names and directory of before are still used by who has something open. */
static int leave_place(struct checkpoint *cp)
{
	struct former *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct former){ cp->formers, cp->dir, cp->label };
	cp->formers = f;
	free(STEAL(cp->prefix));
	free(STEAL(cp->index));
	free(STEAL(cp->temp));
	return 0;
}

static int move_catalog_locked(struct checkpoint *cp)
{
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	int r = bundle_move(catalog_bundle(cp->catalog), cp->dirfd, cp->prefix,
			    &next);

	if (r == 0)
		catalog_set_disk(cp->catalog, next);
	return r;
}

int checkpoint_move(struct checkpoint *cp, struct dir *dir, const char *prefix,
		    const char *label)
{
	LOCK_SCOPE(&cp->lock);
	const struct checkpoint_place place = { .dir = dir,
						.prefix = prefix,
						.label = label,
						.v1 = cp->v1,
						.read_only = cp->read_only,
						.saved_model = cp->frozen };
	int r = leave_place(cp);

	if (r == 0)
		r = set_place(cp, &place);
	if (r < 0)
		return r;
	cp->ws.label = cp->label;
	catalog_set_label(cp->catalog, cp->label);
	return catalog_bundle(cp->catalog) ? move_catalog_locked(cp) : 0;
}
