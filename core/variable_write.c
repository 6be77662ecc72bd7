#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/draft.h"
#include "core/dtype.h"
#include "core/log.h"
#include "core/shape.h"
#include "core/shard.h"
#include "core/variable_inside.h"
#include "core/writeout.h"

#define TOLD_MS UINT64_C(10000)

/* --- writing ------------------------------------------------------------- */

static int check_writable(struct variable *v, struct entry *e)
{
	CLEANUP(free_ptr) char *name = NULL;
	const struct shard *s = e ? entry_shard(e) : NULL;
	const char *reason;
	int r = e ? entry_access(e, &reason) : 0;

	if (r == 0)
		return 0;
	name = entry_describe(e, v->label);
	log_error("%s: cannot be written: %s%s%s", name ? name : v->label,
		  reason, s ? ": " : "", s ? shard_name(s) : "");
	return r;
}

static struct stage *get_stage(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->draft.stage ? stage_ref(v->draft.stage) : NULL;
}

/* The stage, counted; a new one if there is none. */
static int begin_stage(struct variable *v, bool truncated, struct stage **ret)
{
	CLEANUP(free_ptr) char *name = variable_describe(v);
	LOCK_SCOPE(&v->lock);

	v->mtime_kept = false;
	return draft_begin(&v->draft, v->entry, truncated,
			   name ? name : v->label, ret);
}

static const char *why(struct variable *v, int error)
{
	CLEANUP(type_release) struct type t = { 0 };
	const char *reason = NULL;

	if (error == -EOPNOTSUPP && variable_type(v, &t) == 0) {
		LOCK_SCOPE(&v->lock);
		reason =
			shard_is_v1(v->draft.shard)
				? "a V1 checkpoint cannot hold a value of this "
				  "dtype or size (`weightfs --convert --to v2` "
				  "makes one that can)"
				: shard_refuses(v->draft.shard, t.dtype);
	}
	return reason ? reason : strerror(-error);
}

/* What a value of this type takes, for the message; nothing where it cannot be said. */
static void print_wanted(const struct type *t, char *ret, size_t size)
{
	uint64_t n;

	if (type_size(t, &n))
		(void)snprintf(ret, size, ", which takes %llu",
			       (unsigned long long)n);
	else if (t->dtype == DT_STRING && t->has_shape && t->rank > 0 &&
		 shape_elements(type_shape(t), &n))
		(void)snprintf(ret, size,
			       ", which takes %llu line%s (in which \\n is a "
			       "newline, \\\\ a backslash)",
			       (unsigned long long)n, n == 1 ? "" : "s");
}

/* The one line about bytes that are not taken over. */
static void tell_refused(struct variable *v, struct stage *stage, int error)
{
	CLEANUP(free_ptr) char *name = variable_describe(v);
	CLEANUP(type_release) struct type t = { 0 };
	CLEANUP(buf_release) struct buf shape = { 0 };
	char size[128] = "";

	if (!stage_tell(stage))
		return;
	if (error != -EINVAL || variable_type(v, &t) < 0) {
		log_error("%s: not written: %s; the old value stands", name,
			  why(v, error));
		return;
	}
	if (t.has_shape)
		shape_print(type_shape(&t), &shape);
	print_wanted(&t, size, sizeof(size));
	log_error(
		"%s: not taken over: %llu bytes are no value of %s %.*s%s; the "
		"old value stands; write a .shape and .dtype that fit within "
		"ten seconds, or before the value",
		name, (unsigned long long)stage_size(stage),
		t.dtype ? dtype_name(t.dtype) : "any dtype and",
		shape.len ? (int)shape.len - 1 : 0, (const char *)shape.data,
		size);
}

/* A write or, where `data` is NULL, a change of the size to `offset`. */
struct change_of_stage {
	const void *data;
	size_t n;
	uint64_t offset;
};

/* A stage that was finished in between is not the one to write to: then again. */
static int apply(struct variable *v, const struct change_of_stage *c)
{
	bool empty = !c->data && c->offset == 0;
	int r;

	do {
		CLEANUP(stage_unrefp) struct stage *stage = NULL;

		r = begin_stage(v, empty, &stage);
		if (r < 0)
			return r;
		r = c->data ? stage_write(stage, c->data, c->n, c->offset)
			    : stage_resize(stage, c->offset);
		if (r < 0 && r != -EBUSY)
			tell_refused(v, stage, r);
	} while (r == -EBUSY);
	return r;
}

int variable_open_writer(struct variable *v, struct shard *shard, bool truncate)
{
	const struct change_of_stage empty = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(stage_unrefp) struct stage *stage = get_stage(v);
	int r = variable_dead(v) ? -ESTALE : check_writable(v, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&v->lock);
	v->writers++;
	draft_set_shard(&v->draft, shard);
	pthread_mutex_unlock(&v->lock);
	/* Of a new one, no byte at all may be the value. */
	r = truncate || (!e && !stage) ? apply(v, &empty) : 0;
	if (r < 0)
		(void)variable_close_writer(v);
	return r;
}

void variable_give_shard(struct variable *v, struct shard *shard)
{
	LOCK_SCOPE(&v->lock);
	/* A stage goes where it was begun. */
	if (shard && !v->draft.stage)
		draft_set_shard(&v->draft, shard);
}

bool variable_needs_aside(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->overtaken && v->draft.stage;
}

void variable_turn_aside(struct variable *v, struct shard *aside)
{
	LOCK_SCOPE(&v->lock);
	draft_set_shard(&v->draft, aside);
}

unsigned variable_writers(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->writers;
}

bool variable_unfinished(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return !v->entry || v->draft.stage || !type_empty(&v->draft.declared);
}

bool variable_writing(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->draft.stage || v->writers;
}

int variable_write(struct variable *v, const void *data, size_t n,
		   uint64_t offset)
{
	const struct change_of_stage c = { data, n, offset };

	return apply(v, &c);
}

static int resize(struct variable *v, uint64_t size)
{
	const struct change_of_stage c = { NULL, 0, size };
	CLEANUP(stage_unrefp) struct stage *stage = get_stage(v);

	if (!stage && size == variable_content_size(v))
		return 0;
	return apply(v, &c);
}

int variable_set_size(struct variable *v, uint64_t size)
{
	CLEANUP(stage_unrefp) struct stage *stage = NULL;
	int r = resize(v, size);

	stage = get_stage(v);
	if (r == 0 && stage)
		stage_mark(stage);
	return r;
}

int variable_allocate(struct variable *v, uint64_t offset, uint64_t n)
{
	if (offset > INT64_MAX - n)
		return -EFBIG;
	if (offset + n <= variable_content_size(v))
		return 0;
	return resize(v, offset + n);
}

/* What can be copied within the kernel: numbers, as they are on disk. */
static bool plain_bytes(struct variable *v, struct entry **ret)
{
	LOCK_SCOPE(&v->lock);
	const char *reason;

	if (!v->entry || v->draft.stage ||
	    entry_access(v->entry, &reason) < 0 || !entry_shard(v->entry) ||
	    entry_big_endian(v->entry) || !dtype_size(entry_dtype(v->entry)))
		return false;
	*ret = entry_ref(v->entry);
	return true;
}

/* A copy of a value is of its type, if it is new, and nothing else was declared. */
static int pass_type(struct variable *from, struct variable *to)
{
	CLEANUP(type_release) struct type t = { 0 };
	uint64_t size;
	int r = variable_type(from, &t);

	if (r < 0)
		return r;
	LOCK_SCOPE(&to->lock);
	if (to->entry)
		return 0;
	r = draft_remember(&to->draft, &t);
	if (to->draft.stage && type_size(&t, &size) &&
	    !shard_big_endian(to->draft.shard))
		stage_expect(to->draft.stage, size);
	return r;
}

static int64_t copy_all(struct variable *from, struct entry *e,
			struct variable *to)
{
	CLEANUP(stage_unrefp) struct stage *stage = NULL;
	int r = begin_stage(to, true, &stage);

	if (r == 0)
		r = pass_type(from, to);
	if (r == 0)
		r = stage_copy(stage, e);
	if (r == -EBUSY)
		return -EOPNOTSUPP;
	return r < 0 ? r : (int64_t)entry_size(e);
}

/*
 * Whether its shard gets the bytes as they are written.  Where they are encoded, they get
 * a checksum of their own: what is wrong with them has to be seen before.
 */
static bool keeps_bytes(struct variable *to)
{
	LOCK_SCOPE(&to->lock);
	const struct shard *s = to->draft.shard;

	return s && shard_is_plain(s) &&
	       !(to->entry && entry_slices(to->entry));
}

int64_t variable_copy(struct variable *from, uint64_t from_offset,
		      struct variable *to, uint64_t to_offset, uint64_t n)
{
	CLEANUP(entry_unrefp) struct entry *e = NULL;
	int r;

	if (plain_bytes(from, &e) && entry_size(e) > 0 && from_offset == 0 &&
	    to_offset == 0 && n >= entry_size(e) &&
	    variable_content_size(to) == 0 && keeps_bytes(to))
		return copy_all(from, e, to);
	r = pass_type(from, to);
	return r < 0 ? r : -EOPNOTSUPP;
}

/* When its files were changed, where who writes them has not said so. */
static void date_locked(struct variable *v, const struct entry *old)
{
	const struct attributes now = variable_changed_now();

	for (enum facet f = FACET_SHAPE; !old && f < FACET_VALUE; f++)
		if (!v->sidecars[f].set)
			v->sidecars[f] = now;
	/* Another dtype or shape is no change of the bytes. */
	if (old && entry_extent(old) &&
	    entry_extent(old) == entry_extent(v->entry))
		return;
	if (!v->mtime_kept)
		variable_merge_attributes(&v->attributes, &now);
	v->mtime_kept = false;
}

/* The new value is the present one from now on. */
static void take_over_locked(struct variable *v, struct entry *e)
{
	CLEANUP(entry_unrefp) struct entry *old = v->entry;

	v->entry = e;
	v->has_value = true;
	v->draft.strict = false;
	variable_unref(STEAL(v->former));
	buf_release(&v->key);
	value_unref(STEAL(v->value));
	v->fault = 0;
	date_locked(v, old);
}

/* Of what was overtaken a value is kept; what is none has nothing to wait for. */
static int judge_locked(struct variable *v, enum judgement how,
			struct entry **ret)
{
	bool late = v->dead && v->draft.stage;
	int r = late && !v->overtaken
			? -ESTALE
			: draft_judge(&v->draft, v->entry,
				      variable_key_locked(v), how, ret);

	return late && (r == 0 || r == -EINVAL) ? -ESTALE : r;
}

static int flush(struct variable *v, enum judgement how)
{
	const struct attributes now = variable_changed_now();
	CLEANUP(stage_unrefp) struct stage *stage = get_stage(v);
	struct entry *e;
	int r;

	/* Under the lock: who writes next begins from the new value. */
	pthread_mutex_lock(&v->lock);
	r = judge_locked(v, how, &e);
	if (r == 1) {
		take_over_locked(v, e);
		v->told = 0; /* it was said of this value */
	}
	/* What waits for its type has changed all the same. */
	if (r == 0 && !v->entry && v->draft.stage && !v->mtime_kept)
		variable_merge_attributes(&v->attributes, &now);
	pthread_mutex_unlock(&v->lock);

	if (r < 0 && stage)
		tell_refused(v, stage, r);
	return r;
}

int variable_flush(struct variable *v, bool last)
{
	return flush(v, last ? JUDGE_LAST : JUDGE_CLOSE);
}

int variable_settle(struct variable *v)
{
	if (!variable_is_new(v))
		return 0;
	return flush(v, variable_writers(v) ? JUDGE_SYNC : JUDGE_ANYHOW);
}

int variable_refit(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	struct entry *e;
	int r = v->entry ? draft_refit(&v->draft, v->entry,
				       variable_key_locked(v), &e)
			 : 0;

	if (r == 1)
		take_over_locked(v, e);
	return r;
}

bool variable_unclosed(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->writers > 0 && !v->draft.judged;
}

bool variable_close_writer(struct variable *v)
{
	CLEANUP(stage_unrefp) struct stage *stage = get_stage(v);
	bool dropped = false;
	bool changed;

	pthread_mutex_lock(&v->lock);
	/* An empty value that was emptied is what it was. */
	changed = stage &&
		  (stage_written(stage) ||
		   stage_size(stage) != (v->entry ? entry_bytes(v->entry) : 0));
	if (--v->writers == 0)
		dropped = draft_close(&v->draft, v->entry);
	if (dropped && !v->entry)
		v->has_value = false;
	pthread_mutex_unlock(&v->lock);
	if (dropped && changed)
		tell_refused(v, stage, -EINVAL);
	return dropped;
}

/* The bytes of `v` as a stage, counted: of one that was settled, a new one; or NULL. */
static struct stage *bytes_of(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	struct stage *s = NULL;

	if (v->draft.stage)
		return stage_ref(v->draft.stage);
	if (v->entry && v->draft.assumed)
		(void)stage_new(v->draft.shard, v->entry, STAGE_UNKNOWN, &s);
	return s;
}

int variable_set_aside(struct variable *v, struct variable *from)
{
	CLEANUP(stage_unrefp) struct stage *stage = bytes_of(from);

	if (!stage)
		return 0;
	LOCK_SCOPE(&v->lock);
	if (!v->draft.shard && from->draft.shard)
		draft_set_shard(&v->draft, from->draft.shard);
	v->mtime_kept = false;
	return draft_set_aside(&v->draft, stage);
}

bool variable_refused(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return draft_refused(&v->draft);
}

int variable_take_aside(struct variable *v, struct variable *from)
{
	CLEANUP(stage_unrefp) struct stage *aside = NULL;
	CLEANUP(shard_unrefp) struct shard *shard = NULL;

	pthread_mutex_lock(&from->lock);
	aside = STEAL(from->draft.aside);
	shard = from->draft.shard ? shard_ref(from->draft.shard) : NULL;
	pthread_mutex_unlock(&from->lock);
	if (!aside)
		return 0;
	LOCK_SCOPE(&v->lock);
	if (!v->draft.shard)
		draft_set_shard(&v->draft, shard);
	return draft_set_aside(&v->draft, aside);
}

void variable_tell_misfit(struct variable *from, struct variable *v)
{
	CLEANUP(stage_unrefp) struct stage *stage = bytes_of(from);

	if (stage)
		tell_refused(v, stage, -EINVAL);
}

/* --- sidecars ------------------------------------------------------------ */

static enum sidecar sidecar_of(enum facet facet)
{
	return facet == FACET_DTYPE ? SIDECAR_DTYPE : SIDECAR_SHAPE;
}

int variable_sidecar(struct variable *v, enum facet facet, struct buf *ret)
{
	uint64_t n = variable_content_size(v);

	LOCK_SCOPE(&v->lock);
	return draft_sidecar(&v->draft, v->entry, sidecar_of(facet), n, ret);
}

bool variable_declared(struct variable *v, enum facet facet)
{
	LOCK_SCOPE(&v->lock);
	return draft_declared(&v->draft, sidecar_of(facet));
}

bool variable_told(struct variable *v, enum facet facet)
{
	LOCK_SCOPE(&v->lock);
	return v->told && clock_ms() - v->told < TOLD_MS &&
	       draft_agrees(&v->draft, v->entry, sidecar_of(facet));
}

static int copy_declared(struct variable *v, struct type *ret)
{
	LOCK_SCOPE(&v->lock);
	return type_copy(&v->draft.declared, ret);
}

int variable_copy_declared(struct variable *from, struct variable *to)
{
	bool untyped = variable_untyped(from);
	struct type t;
	int r = copy_declared(from, &t);

	if (r < 0)
		return r;
	LOCK_SCOPE(&to->lock);
	draft_set_declared(&to->draft, &t);
	to->draft.assumed = untyped && to->entry;
	return 0;
}

int variable_add_declared(struct variable *from, struct variable *to)
{
	struct type t;
	int r = copy_declared(from, &t);

	if (r < 0)
		return r;
	LOCK_SCOPE(&to->lock);
	r = type_complete_from(&t, &to->draft.declared);
	if (r < 0)
		type_release(&t);
	else
		draft_set_declared(&to->draft, &t);
	return r;
}

static void log_no_type(const char *name, enum facet facet, struct span text)
{
	CLEANUP(free_ptr) char *told = NULL;

	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	told = text_describe(text);
	log_error("%s: its %s stays: it cannot be \"%s\"; say one like %s",
		  name, facet == FACET_DTYPE ? "dtype" : "shape",
		  told ? told : "",
		  facet == FACET_DTYPE ? "float32, <f4 or DT_FLOAT"
				       : "[2, 3], or [] for a scalar");
}

int variable_declare(struct variable *v, enum facet facet, struct span text)
{
	CLEANUP(free_ptr) char *name = variable_describe(v);
	struct entry *e = NULL;
	int r;

	pthread_mutex_lock(&v->lock);
	r = v->dead ? -ESTALE
		    : draft_declare(&v->draft, v->entry, variable_key_locked(v),
				    sidecar_of(facet), text, &e);
	if (r == 1)
		take_over_locked(v, e);
	if (r >= 0)
		v->sidecars[facet] = variable_changed_now();
	pthread_mutex_unlock(&v->lock);
	if (r == -EINVAL)
		log_no_type(name, facet, text);
	return r;
}

void variable_withdraw(struct variable *v, enum facet facet)
{
	LOCK_SCOPE(&v->lock);
	draft_withdraw(&v->draft, sidecar_of(facet));
}
