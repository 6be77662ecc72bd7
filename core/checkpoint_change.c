#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/catalog.h"
#include "core/checkpoint_inside.h"
#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/graph.h"
#include "core/log.h"
#include "core/shard.h"
#include "core/v1_writer.h"
#include "core/workspace.h"

/* For two seconds: a save may be between its data and its index. */
#define SETTLE_TRIES 100
#define SETTLE_US    20000

/* Whether the checkpoint can be written to, whatever the variable. */
static int check_writable_locked(struct checkpoint *cp)
{
	const char *reason;
	int r;

	if (cp->read_only)
		return -EROFS;
	if (cp->retired || !catalog_bundle(cp->catalog))
		return -ESTALE;
	r = bundle_writable(catalog_bundle(cp->catalog), &reason);
	if (r < 0)
		log_error("%s: cannot be written: %s", cp->label, reason);
	return r;
}

/* Where new bytes for `v` go, counted; NULL is a new value. */
static int find_shard_locked(struct checkpoint *cp, struct variable *v,
			     struct shard **ret)
{
	CLEANUP(entry_unrefp) struct entry *e = v ? variable_entry(v) : NULL;

	return bundle_shard(catalog_bundle(cp->catalog), e, ret);
}

/* The graph says what all the others are.  Where it is known, what is written is compared. */
static int check_not_graph_locked(struct checkpoint *cp, struct variable *v)
{
	if (!workspace_holds_graph(v) || workspace_has_graph(&cp->ws))
		return 0;
	log_error("%s: %s: not written: the object graph is read-only where it "
		  "stands",
		  cp->label, GRAPH_KEY);
	return -EPERM;
}

/* From the first look at a name to its change: both locks, and a shard for new bytes. */
struct changing {
	struct checkpoint *cp;
	struct shard *shard;
};

static int changing_begin(struct checkpoint *cp, struct changing *ret)
{
	int r;

	pthread_mutex_lock(&cp->flush_lock);
	pthread_mutex_lock(&cp->lock);
	*ret = (struct changing){ .cp = cp };
	r = checkpoint_look_locked(cp);
	if (r == 0)
		r = check_writable_locked(cp);
	if (r == 0)
		r = find_shard_locked(cp, NULL, &ret->shard);
	cp->ws.shard = ret->shard;
	return r;
}

static void changing_end(struct changing *c)
{
	c->cp->ws.shard = NULL;
	if (c->shard)
		checkpoint_schedule_locked(c->cp);
	shard_unref(c->shard);
	pthread_mutex_unlock(&c->cp->lock);
	pthread_mutex_unlock(&c->cp->flush_lock);
}

bool checkpoint_frozen(const struct checkpoint *cp)
{
	return cp->frozen;
}

/* What a SavedModel has in another file as well. */
static int refuse_frozen(struct checkpoint *cp, struct span path)
{
	log_error("%s/%.*s: not changed: in a SavedModel only values can be: "
		  "saved_model.pb has the names and shapes, too; -o force does "
		  "it all the same",
		  cp->label, (int)path.len, (const char *)path.data);
	return -EPERM;
}

/* The same for the name of something in `scope`. */
static int renaming_begin(struct checkpoint *cp, const struct node *scope,
			  struct span name, struct changing *ret)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	int r = changing_begin(cp, ret);

	if (r == 0 && node_dead(scope))
		r = -ENOENT;
	if (r < 0 || !cp->frozen)
		return r;
	(void)node_put_path(scope, &path);
	if (path.len)
		buf_put(&path, "/", 1);
	buf_put(&path, name.data, name.len);
	return refuse_frozen(cp, buf_span(&path));
}

int checkpoint_create(struct checkpoint *cp, struct node *scope,
		      struct span name, const struct attributes *owner,
		      struct object *ret)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_create(&cp->ws, scope, name, owner, ret);
}

int checkpoint_mkdir(struct checkpoint *cp, struct node *scope,
		     struct span name, struct object *ret)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_mkdir(&cp->ws, scope, name, ret);
}

int checkpoint_unlink(struct checkpoint *cp, struct node *scope,
		      struct span name)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_unlink(&cp->ws, scope, name);
}

int checkpoint_rmdir(struct checkpoint *cp, struct node *scope,
		     struct span name)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_rmdir(&cp->ws, scope, name);
}

int checkpoint_symlink(struct checkpoint *cp, struct node *scope,
		       struct span name, struct span text, struct object *ret)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_symlink(&cp->ws, scope, name, text, ret);
}

int checkpoint_link(struct checkpoint *cp, const struct object *from,
		    struct node *scope, struct span name, pid_t by,
		    struct object *ret)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, scope, name, &c);

	return r < 0 ? r : workspace_link(&cp->ws, from, scope, name, by, ret);
}

struct names {
	struct node *from;
	struct span from_name;
	struct node *to;
	struct span to_name;
	unsigned flags;
};

static int rename_now(struct checkpoint *cp, const struct names *n,
		      bool *ret_goes_back)
{
	CLEANUP(changing_end) struct changing c;
	int r = renaming_begin(cp, n->from, n->from_name, &c);

	if (r == 0 && node_dead(n->to))
		r = -ENOENT;
	if (r == 0)
		*ret_goes_back = workspace_goes_back(&cp->ws, n->from,
						     n->from_name, n->to,
						     n->to_name, n->flags);
	return r < 0 ? r
		     : workspace_rename(&cp->ws, n->from, n->from_name, n->to,
					n->to_name, n->flags);
}

/* With `sync`, whoever changed something waits until it is durable. */
static int sync_if_asked(struct checkpoint *cp)
{
	return cp->config->sync ? checkpoint_sync(cp, NULL) : 0;
}

/* After an error the names are to be what they were, as far as they can be. */
static void rename_back(struct checkpoint *cp, const struct names *n)
{
	const struct names back = { n->to, n->to_name, n->from, n->from_name,
				    n->flags & RENAME_EXCHANGE
					    ? RENAME_EXCHANGE
					    : RENAME_NOREPLACE };
	bool unused;

	if (rename_now(cp, &back, &unused) < 0)
		log_warning("%s: %.*s keeps its new name: it is tried again to "
			    "commit that",
			    cp->label, (int)n->to_name.len,
			    (const char *)n->to_name.data);
}

int checkpoint_rename(struct checkpoint *cp, struct node *from,
		      struct span from_name, struct node *to,
		      struct span to_name, unsigned flags)
{
	const struct names n = { from, from_name, to, to_name, flags };
	bool back = false;
	int r = rename_now(cp, &n, &back);

	if (r < 0)
		return r;
	r = sync_if_asked(cp);
	/* What somebody else has replaced has no such names any more. */
	if (r < 0 && r != -ESTALE && r != -ENOENT && back)
		rename_back(cp, &n);
	return r;
}

/* Of what has its type in another file as well, or is always of the same. */
static int refuse_type(struct checkpoint *cp, struct variable *v,
		       enum facet facet)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	struct node *n = node_next_name(v, NULL);

	if (n)
		(void)node_put_path(n, &path);
	buf_printf(&path, facet == FACET_SHAPE ? ".shape" : ".dtype");
	if (cp->frozen)
		return refuse_frozen(cp, buf_span(&path));
	log_error("%s/%.*s: not changed: the object graph is a scalar string",
		  cp->label, (int)path.len, (const char *)path.data);
	return -EPERM;
}

/* Of what may not change, it may be said what it is. */
static int check_says_the_same(struct checkpoint *cp, struct variable *v,
			       enum facet facet, struct span text)
{
	CLEANUP(type_release) struct type now = { 0 };
	CLEANUP(type_release) struct type next = { 0 };
	int r = variable_type(v, &now);

	if (r == 0)
		r = type_copy(&now, &next);
	if (r == 0)
		r = facet == FACET_DTYPE ? type_read_dtype(&next, text)
					 : type_read_shape(&next, text);
	return r < 0 || type_equal(&now, &next) ? r : refuse_type(cp, v, facet);
}

/* The present bytes as elements of `item` bytes, or none where they are no such. */
static int64_t count_elements(struct variable *v, uint64_t item,
			      uint64_t *ret_size)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);

	*ret_size = e && entry_slices(e) == 0 ? entry_size(e) : 0;
	return item && *ret_size % item == 0 ? (int64_t)(*ret_size / item) : 0;
}

/* What V1 cannot hold of a dtype and the present bytes. */
static const char *v1_refuses_dtype(struct variable *v, int32_t dtype)
{
	uint64_t size;
	int64_t n = count_elements(v, dtype_size(dtype), &size);

	return v1_refuses_value((struct span){ 0 }, dtype,
				(struct shape){ 1, &n }, size);
}

/* A dtype that the format does not have: no value could ever be taken over. */
static int check_format(struct checkpoint *cp, struct variable *v,
			enum facet facet, struct span text)
{
	CLEANUP(type_release) struct type t = { 0 };
	CLEANUP(free_ptr) char *name = NULL;
	const struct bundle *b = catalog_bundle(cp->catalog);
	const char *reason = NULL;

	if (facet != FACET_DTYPE)
		return 0;
	if (dtype_is_variant(text))
		t.dtype = DT_VARIANT;
	else if (type_read_dtype(&t, text) < 0)
		return 0;
	if (cp->v1)
		reason = v1_refuses_dtype(v, t.dtype);
	else if (b && bundle_big_endian(b) && !dtype_swaps(t.dtype))
		reason = "TensorFlow cannot read it from a big-endian "
			 "checkpoint";
	if (!reason)
		return 0;
	name = variable_describe(v);
	log_error("%s: its dtype stays: %s: %s%s", name ? name : cp->label,
		  dtype_name(t.dtype), reason,
		  cp->v1 ? "; `weightfs --convert --to v2` makes a checkpoint "
			   "that can hold it"
			 : "");
	return -EOPNOTSUPP;
}

static int set_sidecar_now(struct checkpoint *cp, struct variable *v,
			   enum facet facet, struct span text, pid_t by)
{
	CLEANUP(changing_end) struct changing c;
	int r = changing_begin(cp, &c);

	if (r == 0 && (cp->frozen || workspace_holds_graph(v)))
		r = check_says_the_same(cp, v, facet, text);
	if (r == 0)
		r = check_format(cp, v, facet, text);
	if (r < 0)
		return r;
	return by ? workspace_declare_attribute(&cp->ws, v, facet, text, by)
		  : workspace_declare(&cp->ws, v, facet, text);
}

int checkpoint_set_sidecar(struct checkpoint *cp, struct variable *v,
			   enum facet facet, struct span text, pid_t by)
{
	int r = set_sidecar_now(cp, v, facet, text, by);

	return r < 0 ? r : sync_if_asked(cp);
}

int checkpoint_open_writer(struct checkpoint *cp, struct variable *v,
			   bool truncate)
{
	CLEANUP(shard_unrefp) struct shard *shard = NULL;
	int r = -ESTALE;

	/* Between the data and the index of a save by somebody else: that is over soon. */
	for (int tries = 0; r == -ESTALE && tries < SETTLE_TRIES; tries++) {
		if (tries > 0)
			(void)usleep(SETTLE_US);
		LOCK_SCOPE(&cp->lock);
		if (tries > 0)
			(void)checkpoint_refresh_locked(cp);
		if (variable_dead(v))
			return -ESTALE;
		r = check_not_graph_locked(cp, v);
		if (r == 0)
			r = check_writable_locked(cp);
		if (r == 0)
			r = find_shard_locked(cp, v, &shard);
	}
	return r < 0 ? r : variable_open_writer(v, shard, truncate);
}

/*
 * What was overtaken goes into no file of the checkpoint that was replaced: that may have
 * another name by now, and be somebody's copy.
 */
static int turn_aside(struct checkpoint *cp, struct variable *v)
{
	CLEANUP(shard_unrefp) struct shard *aside = NULL;
	CLEANUP(free_ptr) char *name = variable_describe(v);
	LOCK_SCOPE(&cp->lock);
	int r = cp->retired ? -ESTALE
			    : shard_unnamed(cp->dirfd, cp->prefix, &aside);

	if (r == 0)
		variable_turn_aside(v, aside);
	else
		log_error("%s: not kept: %s", name ? name : cp->label,
			  strerror(-r));
	return r;
}

/* With the flush lock held. */
static int flush_flushing(struct checkpoint *cp, struct variable *v, bool last)
{
	int r = variable_needs_aside(v) ? turn_aside(cp, v) : 0;

	if (r == 0)
		r = variable_flush(v, last);
	if (r <= 0)
		return r;
	LOCK_SCOPE(&cp->lock);
	r = checkpoint_take_over_locked(cp, v);
	if (r == 0) {
		r = cp->failure;
		cp->failure = 0;
	}
	checkpoint_schedule_locked(cp);
	return r;
}

int checkpoint_flush(struct checkpoint *cp, struct variable *v)
{
	LOCK_SCOPE(&cp->flush_lock);
	return flush_flushing(cp, v, false);
}

bool checkpoint_close_writer(struct checkpoint *cp, struct variable *v)
{
	LOCK_SCOPE(&cp->flush_lock);
	bool last = variable_writers(v) == 1;
	bool dropped;

	if (last)
		(void)flush_flushing(cp, v, true);
	dropped = variable_close_writer(v);
	if (!dropped || variable_has_value(v))
		return dropped;
	pthread_mutex_lock(&cp->lock);
	workspace_withdraw_value(&cp->ws, v);
	pthread_mutex_unlock(&cp->lock);
	return true;
}

/* A size that is set by path has no close() to be judged at. */
static int truncate_at_once(struct checkpoint *cp, struct variable *v,
			    uint64_t size)
{
	int r = checkpoint_open_writer(cp, v, false);
	bool dropped;

	if (r < 0)
		return r;
	r = variable_set_size(v, size);
	if (r == 0)
		r = checkpoint_flush(cp, v);
	/* Emptying is not judged before the end: a value could follow. */
	dropped = checkpoint_close_writer(cp, v);
	return r == 0 && dropped ? -EINVAL : r;
}

int checkpoint_truncate(struct checkpoint *cp, struct variable *v,
			uint64_t size)
{
	return variable_writers(v) ? variable_set_size(v, size)
				   : truncate_at_once(cp, v, size);
}
