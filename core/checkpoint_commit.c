#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/catalog.h"
#include "core/checkpoint_inside.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/commit.h"
#include "core/edit.h"
#include "core/keep.h"
#include "core/list.h"
#include "core/log.h"
#include "core/pending.h"
#include "core/workspace.h"

#define SETTLE_US    20000
#define FINISH_TRIES 250 /* more than twice SETTLE_SECONDS */
#define GATHER_MS    10  /* how long changes gather for one commit */
#define QUIET_MS     5000 /* without a change, before all of a V1 file is written */
#define RETRY_MS     5000  /* after what failed */
#define TICK_MS      100   /* how soon it is looked what has become due */
#define IDLE_MS      60000 /* and if nothing is known to come */

/* With what was lost before and is not kept yet; of one key the later stays. */
static void put_lost_locked(struct checkpoint *cp, struct edit *lost,
			    unsigned delay_ms)
{
	if (lost && cp->lost && edit_add_older(lost, cp->lost) < 0)
		log_error("%s: out of memory: written values were lost",
			  cp->label);
	if (lost) {
		edit_free(cp->lost);
		cp->lost = lost;
	}
	cp->config->dirty(cp->config->arg, cp, delay_ms);
}

/* Whoever syncs one of them has to hear of it, whoever else was told before. */
static void tell_variables(struct edit *lost, int why)
{
	if (edit_sort(lost) < 0)
		return;
	for (size_t i = 0; i < edit_count(lost); i++)
		if (edit_variable(lost, i))
			variable_set_loss(edit_variable(lost, i), why);
}

/* What became of the `n` keys that were changed and are not to be committed. */
static void tell_given_up(const struct checkpoint *cp, size_t n, int why)
{
	const char *were = n == 1 ? " was" : "s were";

	if (why == 0)
		log_info("%s: aborted: %zu change%s dropped, and what is on "
			 "disk is shown again",
			 cp->label, n, were);
	else if (why == -ESTALE)
		log_error("%s: somebody else replaced the checkpoint, which "
			  "stands: %zu change%s not committed",
			  cp->label, n, were);
	else
		log_error("%s: its disk has a fault: %zu change%s given up, "
			  "and what is on disk is shown again",
			  cp->label, n, were);
}

void checkpoint_give_up_edit_locked(struct checkpoint *cp, int why)
{
	size_t n = edit_count(pending_edit(cp->pending));
	size_t doomed = pending_doomed(cp->pending);

	cp->committed = pending_changes(cp->pending);
	if (n == 0 && doomed == 0)
		return;
	tell_given_up(cp, n + doomed, why);
	cp->losses++;
	cp->lost_why = why;
	cp->failure = cp->stale_told ? 0 : why;
	cp->stale_told = false;
	tell_variables(pending_edit(cp->pending), why);
	if (why == -ESTALE && n)
		put_lost_locked(cp, pending_take(cp->pending), 0);
	pending_clear(cp->pending);
}

static void keep_later_locked(struct checkpoint *cp, struct edit *lost, int why)
{
	struct edit *newer = STEAL(cp->lost);

	log_error(
		"%s: what was written since cannot be kept beside it yet: %s; "
		"it is tried again until the end of the mount",
		cp->label, strerror(-why));
	cp->lost = lost;
	put_lost_locked(cp, newer, RETRY_MS);
}

/* Puts what was lost into a checkpoint of its own. */
static void keep_lost_locked(struct checkpoint *cp)
{
	CLEANUP(edit_freep) struct edit *lost = STEAL(cp->lost);
	CLEANUP(free_ptr) char *prefix = lost ? strdup(cp->prefix) : NULL;
	CLEANUP(free_ptr) char *kept = NULL;
	int dirfd = cp->dirfd; /* open as long as the checkpoint is there */
	int r = -ENOMEM;

	if (!lost)
		return;
	pthread_mutex_unlock(&cp->lock);
	if (prefix)
		r = keep_values(dirfd, prefix, lost, &kept);
	pthread_mutex_lock(&cp->lock);
	if (r == 0 && kept)
		log_error(
			"%s: what was written since is kept as the checkpoint "
			"%s",
			cp->label, kept);
	else if (r == -ENOSPC || r == -EDQUOT)
		keep_later_locked(cp, STEAL(lost), r);
	else if (r < 0)
		log_error(
			"%s: what was written since is lost: it cannot be kept "
			"beside it: %s",
			cp->label, strerror(-r));
}

/* It was judged after its checkpoint had been replaced: it is not in the edit. */
static int lose_value_locked(struct checkpoint *cp, struct variable *v)
{
	CLEANUP(edit_freep) struct edit *lost = NULL;
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(free_ptr) char *name = variable_describe(v);
	int r = edit_new(&lost);

	if (r == 0)
		r = edit_put(lost, e, NULL);
	if (r < 0)
		return r;
	log_error("%s: not committed: somebody else replaced the checkpoint, "
		  "which stands",
		  name ? name : cp->label);
	put_lost_locked(cp, STEAL(lost), 0);
	return -ESTALE;
}

int checkpoint_take_over_locked(struct checkpoint *cp, struct variable *v)
{
	return variable_overtaken(v) ? lose_value_locked(cp, v)
				     : workspace_take_over(&cp->ws, v);
}

/* A file of V1 is written as a whole: while changes follow each other, they gather. */
static uint64_t gather_until_locked(struct checkpoint *cp, uint64_t now)
{
	/* A removal that comes due is none of its own. */
	uint64_t changes = pending_changes(cp->pending) +
			   pending_doomed(cp->pending);

	if (!cp->v1)
		return now + GATHER_MS;
	if (changes != cp->noticed)
		cp->changed_at = now;
	cp->noticed = changes;
	return cp->changed_at + QUIET_MS > now ? cp->changed_at + QUIET_MS
					       : now;
}

/* Whether a commit in the background may be now; one that somebody waits for may. */
static bool is_quiet_locked(struct checkpoint *cp)
{
	uint64_t now = clock_ms();

	return !cp->v1 || gather_until_locked(cp, now) <= now;
}

void checkpoint_schedule_locked(struct checkpoint *cp)
{
	uint64_t now = clock_ms();
	uint64_t next = workspace_tick(&cp->ws, now);
	bool by_hand = cp->config->manual;

	if (!by_hand && cp->committed < pending_changes(cp->pending))
		next = gather_until_locked(cp, now);
	else if (!by_hand && pending_doomed(cp->pending) && cp->v1)
		next = gather_until_locked(cp, now) + TICK_MS;
	else if (!by_hand && pending_doomed(cp->pending) &&
		 next > now + TICK_MS)
		next = now + TICK_MS;
	else if (next > now + IDLE_MS)
		next = now + IDLE_MS;
	cp->config->dirty(cp->config->arg, cp, (unsigned)(next - now));
}

/* What a commit works with, and what came of it. */
struct attempt {
	struct bundle *base;
	struct edit *edit;
	uint64_t upto; /* how many changes are durable if it succeeds */
	struct bundle *next;
	struct commit_report report;
};

static void attempt_release(struct attempt *a)
{
	bundle_unref(a->base);
	bundle_unref(a->next);
	edit_free(a->edit);
}

/* Shows again what is on disk: what was to come is not safe, or not wanted. */
static void lose_edit_locked(struct checkpoint *cp, int why)
{
	(void)catalog_adopt(cp->catalog, catalog_bundle(cp->catalog),
			    checkpoint_overwritten, pending_edit(cp->pending));
	checkpoint_give_up_edit_locked(cp, why);
}

static void end_visible_locked(struct checkpoint *cp, const struct attempt *a,
			       int r)
{
	if (catalog_advance(cp->catalog, a->next, a->edit) < 0)
		log_error("%s: out of memory: what was committed shows after "
			  "the next mount",
			  cp->label);
	cp->committed = a->upto;
	cp->last_commit_bytes = a->report.bytes;
	(void)clock_gettime(CLOCK_REALTIME, &cp->last_commit);
	if (r < 0)
		log_error(
			"%s: committed, but its directory cannot be synced: %s; "
			"it may not outlast a loss of power",
			cp->label, strerror(-r));
	cp->config->dirty(cp->config->arg, cp, cp->config->grace * 1000 + 1);
}

static void end_commit_locked(struct checkpoint *cp, struct attempt *a, int r)
{
	cp->committing = false;
	cp->in_flight = 0;
	cp->failure = r;
	cp->last_failure = a->report.outcome == COMMIT_VISIBLE ? 0 : r;
	if (a->report.outcome == COMMIT_VISIBLE) {
		end_visible_locked(cp, a, r);
		return;
	}
	if (edit_add_older(pending_edit(cp->pending), a->edit) < 0)
		log_error("%s: out of memory: written values were lost",
			  cp->label);
	if (a->report.outcome == COMMIT_LOST)
		lose_edit_locked(cp, r);
	else if (r == -ESTALE || r == -ENOENT)
		(void)checkpoint_refresh_locked(cp);
	else
		log_error("%s: not committed: %s; the checkpoint on disk is as "
			  "it was, and it is tried again",
			  cp->label, strerror(-r));
	cp->config->dirty(cp->config->arg, cp, RETRY_MS);
}

static int commit_locked(struct checkpoint *cp)
{
	CLEANUP(attempt_release) struct attempt a = { 0 };
	int r = workspace_put_graph(&cp->ws);

	if (r < 0) {
		cp->failure = r;
		cp->last_failure = r;
		/* Somebody else was there: what waits is to be kept. */
		if (r == -ESTALE || r == -ENOENT)
			(void)checkpoint_refresh_locked(cp);
		cp->config->dirty(cp->config->arg, cp, RETRY_MS);
		return r;
	}
	a.edit = pending_take(cp->pending);
	a.upto = pending_changes(cp->pending);
	if (!a.edit)
		return -ENOMEM;
	a.base = bundle_ref(catalog_bundle(cp->catalog));
	cp->committing = true;
	cp->in_flight = edit_count(a.edit);

	pthread_mutex_unlock(&cp->lock);
	r = commit_edit(cp->dirfd, cp->prefix, a.base, a.edit, &a.next,
			&a.report);
	pthread_mutex_lock(&cp->lock);

	end_commit_locked(cp, &a, r);
	(void)pthread_cond_broadcast(&cp->commit_ended);
	return r;
}

int checkpoint_commit_all_locked(struct checkpoint *cp, uint64_t until)
{
	uint64_t losses = cp->losses;
	uint64_t wanted;
	int r = 0;

	keep_lost_locked(cp);
	while (cp->committing)
		(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
	r = workspace_ripen(&cp->ws, until);
	wanted = pending_changes(cp->pending);
	while (r == 0 && cp->committed < wanted) {
		if (cp->committing)
			(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
		else
			r = commit_locked(cp);
	}
	keep_lost_locked(cp);
	/* Everybody who waited for what was lost is told. */
	return r == 0 && cp->losses != losses ? cp->lost_why : r;
}

int checkpoint_commit_background(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	int r = 0;

	if (cp->retired)
		return 0;
	if (!cp->config->manual && is_quiet_locked(cp))
		r = checkpoint_commit_all_locked(cp, clock_ms());
	keep_lost_locked(cp);
	if (catalog_bundle(cp->catalog) && !cp->committing)
		bundle_reclaim(catalog_bundle(cp->catalog), cp->config->grace);
	if (r == 0)
		checkpoint_schedule_locked(cp);
	return r;
}

/* What another thread is just taking over may be what the caller wrote. */
static void wait_for_flushes(struct checkpoint *cp)
{
	pthread_mutex_lock(&cp->flush_lock);
	pthread_mutex_unlock(&cp->flush_lock);
}

static int commit_until(struct checkpoint *cp, uint64_t until, bool ask)
{
	int r = 0;

	wait_for_flushes(cp);
	LOCK_SCOPE(&cp->lock);
	if (cp->retired)
		return 0;
	if (!ask || !cp->config->manual)
		r = checkpoint_commit_all_locked(cp, until);
	else if (cp->committed < pending_changes(cp->pending))
		log_info("%s: not committed: with commit=manual that is for "
			 "`commit`, written to the control file",
			 cp->label);
	if (r == 0)
		r = cp->failure;
	cp->failure = 0;
	/* What is to be lost may stay in place until the new index comes. */
	cp->stale_told = r == -ESTALE && edit_count(pending_edit(cp->pending));
	return r;
}

int checkpoint_commit(struct checkpoint *cp)
{
	return commit_until(cp, UINT64_MAX, true);
}

int checkpoint_commit_now(struct checkpoint *cp)
{
	return commit_until(cp, UINT64_MAX, false);
}

/* What has no type becomes bytes: somebody wants it to be stored. */
static int settle(struct checkpoint *cp, struct variable *v)
{
	CLEANUP(free_ptr) char *name = NULL;
	int r;

	if (!variable_stored(v) || variable_links(v) == 0)
		return 0;
	LOCK_SCOPE(&cp->flush_lock);
	r = variable_settle(v);
	if (r <= 0)
		return r;
	name = variable_describe(v);
	log_warning("%s: stored as uint8, since nothing says what it is", name);
	pthread_mutex_lock(&cp->lock);
	r = checkpoint_take_over_locked(cp, v);
	pthread_mutex_unlock(&cp->lock);
	return r;
}

int checkpoint_sync(struct checkpoint *cp, struct variable *v)
{
	int r = v ? settle(cp, v) : 0;
	int loss;

	if (r == 0)
		r = commit_until(cp, clock_ms(), true);
	loss = v ? variable_take_loss(v) : 0;
	return r < 0 ? r : loss;
}

int checkpoint_abort(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->flush_lock);
	pthread_mutex_lock(&cp->lock);
	while (cp->committing)
		(void)pthread_cond_wait(&cp->commit_ended, &cp->lock);
	if (catalog_bundle(cp->catalog)) {
		workspace_forget(&cp->ws);
		lose_edit_locked(cp, 0);
	}
	pthread_mutex_unlock(&cp->lock);
	return 0;
}

/* Of variables, counted. */
static void gathered_release(struct list *g)
{
	for (size_t i = 0; i < g->n; i++)
		variable_unref(g->items[i]);
	free(g->items);
}

static int gather_unfinished(void *arg, struct node *n)
{
	struct variable *v = node_variable(n);
	int r = variable_unfinished(v) ? list_add(arg, v) : 1;

	if (r == 0)
		(void)variable_ref(v);
	return r < 0 ? r : 0;
}

static int gather(struct checkpoint *cp, struct list *ret)
{
	LOCK_SCOPE(&cp->lock);
	return node_each_variable(tree_root(catalog_tree(cp->catalog)),
				  gather_unfinished, ret);
}

static void tell_dropped(struct variable *v)
{
	CLEANUP(free_ptr) char *name = variable_describe(v);

	if (variable_declared(v, FACET_SHAPE) ||
	    variable_declared(v, FACET_DTYPE))
		log_warning(
			"%s: dtype and shape that were written are dropped: no "
			"value came that fits them",
			name);
	else if (!variable_stored(v) && variable_is_new(v))
		log_info("%s: not stored: it has no place in the checkpoint",
			 name);
}

/* What was removed to make way for a value that never came is there again. */
static void withdraw_unfit(struct checkpoint *cp, struct variable *v)
{
	if (!variable_is_new(v) || !variable_former(v))
		return;
	LOCK_SCOPE(&cp->flush_lock);
	pthread_mutex_lock(&cp->lock);
	workspace_withdraw_value(&cp->ws, v);
	pthread_mutex_unlock(&cp->lock);
}

static bool all_committed(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->lock);
	return cp->committed == pending_changes(cp->pending);
}

/*
 * Nobody tries again later.  A save by somebody else that is under way ends soon: then
 * it is known what it overtook, and that is kept.
 */
static int commit_at_last(struct checkpoint *cp)
{
	int r = checkpoint_commit_now(cp);

	for (int tries = 0; tries < FINISH_TRIES; tries++) {
		if ((r != -ESTALE && r != -EBUSY) || all_committed(cp))
			break;
		(void)usleep(SETTLE_US);
		r = checkpoint_commit_now(cp);
	}
	return r;
}

/* No name comes back, and nothing comes that others wait for. */
static int end_names(struct checkpoint *cp)
{
	LOCK_SCOPE(&cp->flush_lock);
	int r = 0;

	pthread_mutex_lock(&cp->lock);
	if (!cp->retired && catalog_bundle(cp->catalog))
		r = workspace_ripen(&cp->ws, UINT64_MAX);
	if (r == 0 && !cp->retired && catalog_bundle(cp->catalog))
		r = workspace_drop_missing(&cp->ws);
	if (r == 0 && !cp->retired && catalog_bundle(cp->catalog))
		r = workspace_drop_orphans(&cp->ws);
	pthread_mutex_unlock(&cp->lock);
	return r;
}

int checkpoint_settle(struct checkpoint *cp)
{
	CLEANUP(gathered_release) struct list g = { 0 };
	int r = gather(cp, &g);
	int s;

	for (size_t i = 0; i < g.n; i++) {
		s = variable_has_value(g.items[i]) ? settle(cp, g.items[i]) : 0;
		/* Who closed it was told that the format cannot hold it. */
		s = s == -EOPNOTSUPP ? 0 : s;
		withdraw_unfit(cp, g.items[i]);
		r = r < 0 ? r : s;
	}
	/* What one value lacks is no reason to leave the others. */
	s = end_names(cp);
	r = r < 0 ? r : s;
	s = commit_at_last(cp);
	r = r < 0 ? r : s;
	LOCK_SCOPE(&cp->lock);
	if (cp->lost)
		return r == 0 ? -ENOSPC : r;
	/* What a save overtook is kept, and the log has said where. */
	return r == -ESTALE && cp->committed == pending_changes(cp->pending)
		       ? 0
		       : r;
}

static void tell_all_dropped(struct checkpoint *cp)
{
	CLEANUP(gathered_release) struct list g = { 0 };

	(void)gather(cp, &g);
	for (size_t i = 0; i < g.n; i++)
		tell_dropped(g.items[i]);
}

int checkpoint_finish(struct checkpoint *cp)
{
	int r;

	if (cp->config->manual && cp->committed < pending_changes(cp->pending))
		log_warning("%s: changes that were not committed by hand are "
			    "committed at the end of the mount",
			    cp->label);
	r = checkpoint_settle(cp);
	tell_all_dropped(cp);
	LOCK_SCOPE(&cp->lock);
	if (r < 0 || cp->retired || !catalog_bundle(cp->catalog))
		return r;
	bundle_reclaim(catalog_bundle(cp->catalog), cp->config->grace);
	bundle_reclaim_all(catalog_bundle(cp->catalog));
	return r;
}
