#include "core/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/catalog.h"
#include "core/cleanup.h"
#include "core/commit.h"
#include "core/dir.h"
#include "core/edit.h"
#include "core/io.h"
#include "core/log.h"
#include "core/v1.h"

/* How long a save by somebody else may take between its data and its index. */
#define SETTLE_SECONDS 2

struct checkpoint {
	atomic_uint refs;
	const struct checkpoint_config *config;
	struct dir *dir;
	int dirfd; /* of `dir` */
	char *prefix;
	char *label;
	char *index; /* the file that says what is in it */
	char *temp;  /* where TensorFlow gathers the parts of a save */
	bool v1;
	bool read_only;

	/* Held while a value is taken over, and taken before `lock`. */
	pthread_mutex_t flush_lock;
	pthread_mutex_t lock;    /* for all that follows */
	struct catalog *catalog; /* what is on disk, and its names */
	time_t unsettled; /* when a change was first seen half-way, or 0 */
	struct file_id damaged; /* the index that cannot be read, if one was */
	struct edit *edit;  /* taken over, and not in the catalog's bundle */
	uint64_t taken;     /* values taken over so far */
	uint64_t committed; /* how many of them are durable */
	bool committing;
	pthread_cond_t commit_ended;
	int lost_why;    /* the last time */
	uint64_t losses; /* how often taken values were given up */
	int failure;     /* of a commit, until somebody was told */
};

DEFINE_CLEANUP(struct bundle, bundle_unref)
DEFINE_CLEANUP(struct edit, edit_free)
DEFINE_CLEANUP(struct entry, entry_unref)
DEFINE_CLEANUP(struct checkpoint, checkpoint_unref)

static void checkpoint_free(struct checkpoint *cp)
{
	edit_free(cp->edit);
	catalog_free(cp->catalog);
	(void)pthread_cond_destroy(&cp->commit_ended);
	(void)pthread_mutex_destroy(&cp->lock);
	(void)pthread_mutex_destroy(&cp->flush_lock);
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
	cp->v1 = place->v1;
	cp->read_only = place->read_only;
	cp->dir = dir_ref(place->dir);
	cp->dirfd = dir_fd(cp->dir);
	cp->prefix = strdup(place->prefix);
	cp->label = strdup(place->label);
	cp->index = join(place->prefix, place->v1 ? "" : ".index");
	cp->temp = join(place->prefix, "_temp");
	if (!cp->prefix || !cp->label || !cp->index || !cp->temp)
		return -ENOMEM;
	r = catalog_new(config, cp->label, &cp->catalog);
	if (r == 0)
		r = edit_new(&cp->edit);
	if (r == 0)
		*ret = STEAL(cp);
	return r;
}

struct node *checkpoint_root(struct checkpoint *cp)
{
	return tree_root(catalog_tree(cp->catalog)); /* never changes */
}

/* --- what somebody else does to it --------------------------------------- */

/* Says what is lost when written values cannot become those of the disk. */
static void give_up_edit_locked(struct checkpoint *cp, int why)
{
	struct edit *empty = NULL;

	if (edit_count(cp->edit) == 0)
		return;
	log_error("%s: %s: %zu values that were written since are lost; write "
		  "them again",
		  cp->label,
		  why == -ESTALE ? "somebody else replaced the checkpoint"
				 : "its disk has a fault",
		  edit_count(cp->edit));
	cp->committed = cp->taken;
	cp->losses++;
	cp->lost_why = why;
	cp->failure = why;
	if (edit_new(&empty) == 0) {
		edit_free(cp->edit);
		cp->edit = empty;
	}
}

/*
 * Whether a save that gathers its parts first is moving them to their places, or did
 * so a moment ago: that changes the directory it gathered them in.
 */
static bool merging(const struct checkpoint *cp)
{
	struct stat st;

	return io_stat(cp->dirfd, cp->temp, &st) == 0 &&
	       time(NULL) - st.st_mtim.tv_sec < SETTLE_SECONDS;
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
	if (time(NULL) - st.st_mtim.tv_sec < SETTLE_SECONDS)
		return true;
	if (io_lease(fd) == -EAGAIN)
		return true;
	io_lease_drop(fd);
	return false;
}

static bool overwritten(void *arg, struct variable *v)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);

	return edit_has(arg, e);
}

/* Everybody who looks would read it again, and say so: it is remembered. */
static int note_damage_locked(struct checkpoint *cp, const struct file_id *id,
			      int error)
{
	cp->damaged = *id;
	if (error == -EBADMSG)
		log_error("%s: not shown: its index does not end as an index "
			  "does: it was cut short, or is another kind of file",
			  cp->label);
	return -EIO;
}

static int read_disk_locked(struct checkpoint *cp)
{
	CLEANUP(bundle_unrefp) struct bundle *next = NULL;
	struct bundle *now = catalog_bundle(cp->catalog);
	struct file_id before = { 0 };
	int r;

	(void)io_id(cp->dirfd, cp->index, &before);
	if (cp->damaged.ino && file_id_equal(&before, &cp->damaged))
		return -EIO;
	r = cp->v1 ? v1_open(cp->dirfd, cp->prefix, &next)
		   : bundle_open(cp->dirfd, cp->prefix, now, &next);

	/* An index that does not parse: not yet, or not at all. */
	if ((r == -EBADMSG || r == -EIO) && unsettled(cp)) {
		cp->unsettled = time(NULL);
		return now ? 0 : -EAGAIN;
	}
	if (r == -EBADMSG || r == -EIO)
		return note_damage_locked(cp, &before, r);
	/* Old values under a new index, or the other way round: not yet. */
	if (r == 0 && now && bundle_suspect(next)) {
		cp->unsettled = time(NULL);
		return 0;
	}
	if (r == 0)
		r = catalog_adopt(cp->catalog, next, overwritten, cp->edit);
	if (r < 0)
		return r;
	give_up_edit_locked(cp, -ESTALE);
	cp->unsettled = 0;
	return 0;
}

/* The index has gone: names go, and who has a variable open keeps it. */
static int vanish_locked(struct checkpoint *cp)
{
	give_up_edit_locked(cp, -ESTALE);
	catalog_clear(cp->catalog);
	return -ENOENT;
}

/*
 * Shards are new and the index is not: a save that has renamed its data and not yet
 * its index.  The old state is shown from its open shards until that is over.
 */
static bool wait_for_index_locked(struct checkpoint *cp)
{
	time_t now = time(NULL);

	if (cp->unsettled == 0)
		cp->unsettled = now;
	return now - cp->unsettled < SETTLE_SECONDS;
}

static int refresh_locked(struct checkpoint *cp)
{
	struct bundle *now = catalog_bundle(cp->catalog);
	int r;

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
		cp->unsettled = time(NULL);
		return 0;
	}
	if (r != -ENOENT)
		r = read_disk_locked(cp);
	return r == -ENOENT ? vanish_locked(cp) : r;
}

int checkpoint_refresh(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return refresh_locked(cp);
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

void object_release(struct object *o)
{
	node_unref(o->node);
	variable_unref(o->variable);
	*o = (struct object){ 0 };
}

static struct object object_of(struct node *n, enum facet facet)
{
	switch (node_kind(n)) {
	case NODE_SCOPE:
		return (struct object){ FACET_SCOPE, node_ref(n), NULL };
	case NODE_LINK:
		return (struct object){ FACET_LINK, node_ref(n), NULL };
	case NODE_VARIABLE:
		break;
	}
	return (struct object){ facet, NULL, variable_ref(node_variable(n)) };
}

/* Reads the checkpoint if nobody looked into it before. */
static int look_locked(struct checkpoint *cp)
{
	return catalog_bundle(cp->catalog) ? 0 : refresh_locked(cp);
}

int checkpoint_lookup(struct checkpoint *cp, const struct node *scope,
		      struct span name, struct object *ret)
{
	LOCK_SCOPE(&cp->lock);
	struct span stem;
	struct node *n = NULL;
	enum facet facet = FACET_VALUE;
	int r = look_locked(cp);

	/* What is not there now may be in a moment, and nobody is told. */
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (node_dead(scope))
		return -ESTALE;
	switch (name_split(name, &stem)) {
	case NAME_SHAPE:
		facet = FACET_SHAPE;
		n = tree_find_variable(catalog_tree(cp->catalog), scope, stem);
		break;
	case NAME_DTYPE:
		facet = FACET_DTYPE;
		n = tree_find_variable(catalog_tree(cp->catalog), scope, stem);
		break;
	case NAME_PLAIN:
	case NAME_SCOPE:
		n = tree_find(catalog_tree(cp->catalog), scope, name);
		break;
	}
	if (!n)
		return -ENOENT;
	*ret = object_of(n, facet);
	return 0;
}

int checkpoint_list(struct checkpoint *cp, const struct node *scope,
		    uint64_t *cookie, struct buf *name, struct object *ret)
{
	/* A cookie is a child's place, times the names that a child may have. */
	enum {
		NAMES = 4
	};
	static const enum facet facets[] = { FACET_VALUE, FACET_SHAPE,
					     FACET_DTYPE };
	static const enum name_suffix suffixes[] = { NAME_PLAIN, NAME_SHAPE,
						     NAME_DTYPE };
	LOCK_SCOPE(&cp->lock);
	uint64_t place, which;
	struct node *n;
	int r = look_locked(cp);

	if (r < 0)
		return r == -ENOENT || r == -EAGAIN ? 0 : r;
	n = node_child_at(scope, *cookie / NAMES, &place);
	if (!n)
		return 0;
	which = place == *cookie / NAMES ? *cookie % NAMES : 0;
	node_put_name(n, name);
	buf_printf(name, "%s", name_suffix_text(suffixes[which]));
	*ret = object_of(n, facets[which]);
	if (node_kind(n) == NODE_VARIABLE && which < 2)
		*cookie = place * NAMES + which + 1;
	else
		*cookie = (place + 1) * NAMES;
	return buf_error(name) ? buf_error(name) : 1;
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

/* --- writing ------------------------------------------------------------- */

/* Whether the checkpoint can be written to, whatever the variable. */
static int check_writable(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	const char *reason;
	int r;

	if (cp->read_only)
		return -EROFS;
	if (!catalog_bundle(cp->catalog))
		return -ESTALE;
	r = bundle_writable(catalog_bundle(cp->catalog), &reason);
	if (r < 0)
		log_error("%s: cannot be written: %s", cp->label, reason);
	return r;
}

int checkpoint_open_writer(struct checkpoint *cp, struct variable *v,
			   bool truncate)
{
	int r = check_writable(cp);

	return r < 0 ? r : variable_open_writer(v, truncate);
}

/* The disk has the present entry of `v` after the next commit. */
static int take_over_locked(struct checkpoint *cp, struct variable *v)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	int r = variable_dead(v) ? -ESTALE : edit_put(cp->edit, e, v);

	if (r < 0)
		return r;
	cp->taken++;
	r = cp->failure;
	cp->failure = 0;
	return r;
}

int checkpoint_flush(struct checkpoint *cp, struct variable *v)
{
	int r;

	/* A value is the variable's and in the edit, or neither: see below. */
	pthread_mutex_lock(&cp->flush_lock);
	r = variable_flush(v);
	if (r > 0) {
		pthread_mutex_lock(&cp->lock);
		r = take_over_locked(cp, v);
		pthread_mutex_unlock(&cp->lock);
		cp->config->dirty(cp->config->arg, cp);
	}
	pthread_mutex_unlock(&cp->flush_lock);
	return r;
}

/* --- committing ---------------------------------------------------------- */

/* What a commit works with, and what came of it. */
struct attempt {
	struct bundle *base;
	struct edit *edit;
	uint64_t upto; /* how many values are durable if it succeeds */
	struct bundle *next;
	struct commit_report report;
};

static void attempt_release(struct attempt *a)
{
	bundle_unref(a->base);
	bundle_unref(a->next);
	edit_free(a->edit);
}

/* Shows again what is on disk: the values that were to come are not safe. */
static void lose_edit_locked(struct checkpoint *cp, int why)
{
	(void)catalog_adopt(cp->catalog, catalog_bundle(cp->catalog),
			    overwritten, cp->edit);
	give_up_edit_locked(cp, why);
}

static void end_commit_locked(struct checkpoint *cp, struct attempt *a, int r)
{
	cp->committing = false;
	cp->failure = r;
	if (a->report.outcome == COMMIT_VISIBLE) {
		catalog_advance(cp->catalog, a->next);
		cp->committed = a->upto;
		if (r < 0)
			log_error("%s: committed, but its directory cannot be "
				  "synced: %s; it may not outlast a loss of "
				  "power",
				  cp->label, strerror(-r));
		return;
	}
	if (edit_add_older(cp->edit, a->edit) < 0)
		log_error("%s: out of memory: written values were lost",
			  cp->label);
	if (a->report.outcome == COMMIT_LOST)
		lose_edit_locked(cp, r);
	else if (r == -ESTALE || r == -ENOENT)
		(void)refresh_locked(cp);
	else
		log_error("%s: not committed: %s; the checkpoint on disk is as "
			  "it was, and it is tried again",
			  cp->label, strerror(-r));
}

static int commit_locked(struct checkpoint *cp)
{
	CLEANUP(attempt_release)
	struct attempt a = { .edit = cp->edit, .upto = cp->taken };
	int r = edit_new(&cp->edit);

	if (r < 0) {
		cp->edit = STEAL(a.edit);
		return r;
	}
	a.base = bundle_ref(catalog_bundle(cp->catalog));
	cp->committing = true;

	pthread_mutex_unlock(&cp->lock);
	r = commit_edit(cp->dirfd, cp->prefix, a.base, a.edit, &a.next,
			&a.report);
	pthread_mutex_lock(&cp->lock);

	end_commit_locked(cp, &a, r);
	(void)pthread_cond_broadcast(&cp->commit_ended);
	return r;
}

static int commit_all_locked(struct checkpoint *cp)
{
	uint64_t wanted = cp->taken;
	uint64_t losses = cp->losses;
	int r = 0;

	while (r == 0 && cp->committed < wanted) {
		if (cp->committing)
			(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
		else
			r = commit_locked(cp);
	}
	/* Everybody who waited for what was lost is told. */
	return r == 0 && cp->losses != losses ? cp->lost_why : r;
}

int checkpoint_commit_background(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return commit_all_locked(cp);
}

int checkpoint_commit(struct checkpoint *cp)
{
	int r;

	/* What another thread is just taking over may be what the caller wrote. */
	pthread_mutex_lock(&cp->flush_lock);
	pthread_mutex_unlock(&cp->flush_lock);

	LOCK_SCOPE(&cp->lock);
	r = commit_all_locked(cp);

	if (r == 0)
		r = cp->failure;
	cp->failure = 0;
	return r;
}
