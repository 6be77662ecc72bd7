#include "core/draft.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/dtype.h"
#include "core/shard.h"
#include "core/take.h"
#include "core/v1_writer.h"
#include "core/value.h"

#define ASIDE_MS UINT64_C(10000)
#define CHUNK    (256 << 10)
#define TRIES    100

static bool recent(uint64_t since)
{
	return since && clock_ms() - since < ASIDE_MS;
}

void draft_release(struct draft *d)
{
	stage_unref(d->stage);
	stage_unref(d->aside);
	shard_unref(d->shard);
	type_release(&d->declared);
	type_release(&d->remembered);
	*d = (struct draft){ 0 };
}

void draft_set_shard(struct draft *d, struct shard *shard)
{
	struct shard *old = d->shard;

	d->shard = shard_ref(shard);
	shard_unref(old);
}

int draft_remember(struct draft *d, const struct type *t)
{
	struct type copy;
	int r = type_copy(t, &copy);

	if (r < 0)
		return r;
	type_release(&d->remembered);
	d->remembered = copy;
	return 0;
}

/* --- what has to fit ------------------------------------------------------ */

static int type_of_entry(const struct entry *e, struct type *ret)
{
	return type_from(entry_dtype(e), entry_shape(e), ret);
}

static int wanted(const struct draft *d, const struct entry *present,
		  struct type *ret)
{
	CLEANUP(type_release) struct type other = { 0 };
	struct type t;
	int r = type_copy(&d->declared, &t);

	if (r == 0 && present)
		r = type_of_entry(present, &other);
	if (r == 0)
		r = type_complete_from(&t, present ? &other : &d->remembered);
	if (r < 0)
		type_release(&t);
	else
		*ret = t;
	return r;
}

/* The present value, as far as it says what the next one has to be. */
static const struct entry *model(const struct draft *d,
				 const struct entry *present)
{
	return d->assumed ? NULL : present;
}

int draft_wanted(const struct draft *d, const struct entry *present,
		 struct type *ret)
{
	return wanted(d, model(d, present), ret);
}

/*
 * 1 if the bytes of `s` are a value of the type `ret`; 0 if they have to wait for one;
 * -EINVAL if they do not fit what is known.
 */
static int fit(const struct draft *d, const struct entry *present,
	       struct stage *s, struct type *ret)
{
	bool waits = !present && !d->strict && !type_complete(&d->declared);
	struct type t = { 0 };
	int r = wanted(d, present, &t);

	if (r == 0)
		r = take_fits(&t, s);
	if (r == 1)
		*ret = t;
	else
		type_release(&t);
	return r == 0 && !waits ? -EINVAL : r;
}

bool draft_agrees(const struct draft *d, const struct entry *present,
		  enum sidecar which)
{
	CLEANUP(type_release) struct type t = { 0 };

	if (draft_wanted(d, present, &t) < 0)
		return false;
	if (!type_complete(&t))
		return draft_declared(d, which);
	if (d->stage)
		return take_fits(&t, d->stage) == 1;
	return model(d, present) && !draft_declared(d, SIDECAR_SHAPE) &&
	       !draft_declared(d, SIDECAR_DTYPE);
}

/* --- from a draft to a value ---------------------------------------------- */

/*
 * What a V1 checkpoint cannot hold would never be committed.  Slices stay as large as they
 * are.
 */
static int check_format(const struct draft *d, const struct entry *present,
			struct span key, const struct type *t, struct stage *s)
{
	bool split = take_same_type(present, t) && entry_slices(present);

	return shard_is_v1(d->shard) && !split &&
			       v1_refuses_value(key, t->dtype, type_shape(t),
						stage_size(s))
		       ? -EOPNOTSUPP
		       : 0;
}

/* Makes the bytes of `s` the value: 1; the draft is empty afterwards. */
static int take(struct draft *d, const struct entry *present, struct span key,
		struct stage *s, struct type *t, struct entry **ret)
{
	uint64_t size = stage_size(s);
	int r = check_format(d, present, key, t, s);

	if (r == 0)
		r = take_stage(d->shard, present, key, s, t, ret);
	if (r <= 0)
		return r;
	stage_unref(STEAL(d->stage));
	stage_unref(STEAL(d->aside));
	type_release(&d->declared);
	type_release(&d->remembered);
	d->assumed = false;
	d->taken = clock_ms();
	d->taken_size = size;
	d->taken_scalar = t->rank == 0;
	return 1;
}

static int fit_and_take(struct draft *d, const struct entry *present,
			struct span key, struct stage *s, struct entry **ret)
{
	int r = -EAGAIN;

	/* Who has it open as well may cut it in between: then it is judged once more. */
	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++) {
		CLEANUP(type_release) struct type t = { 0 };

		r = fit(d, present, s, &t);
		if (r == 1)
			r = take(d, present, key, s, &t, ret);
	}
	return r == -EAGAIN ? -EBUSY : r;
}

/* The text of a string tensor, for who writes into a part of it. */
static int load_text(const struct draft *d, struct stage *s,
		     struct entry *present, const char *label)
{
	CLEANUP(value_unrefp) struct value *v = NULL;
	int r = value_new(present, label, d->verify, &v);
	uint64_t at = 0;

	while (r == 0 && at < value_size(v)) {
		struct reading part = { 0 };

		r = value_read(v, CHUNK, at, &part);
		if (r == 0 && part.n == 0)
			break;
		if (r == 0)
			r = stage_load(s, part.data, part.n);
		at += part.n;
		reading_release(&part);
	}
	return r;
}

static int make_stage(struct draft *d, struct entry *present, bool truncated,
		      const char *label)
{
	bool text = present && entry_dtype(present) == DT_STRING;
	CLEANUP(type_release) struct type t = { 0 };
	uint64_t expected = STAGE_UNKNOWN;
	int r = draft_wanted(d, present, &t);

	if (r < 0)
		return r;
	/* In the shard it will lie otherwise than in the stage. */
	if (!type_size(&t, &expected) || shard_big_endian(d->shard) ||
	    (present && entry_slices(present)))
		expected = STAGE_UNKNOWN;
	r = stage_new(d->shard, truncated || text ? NULL : present, expected,
		      &d->stage);
	if (r == 0 && text && !truncated)
		r = load_text(d, d->stage, present, label);
	if (r < 0)
		stage_unref(STEAL(d->stage));
	return r;
}

int draft_begin(struct draft *d, struct entry *present, bool truncated,
		const char *label, struct stage **ret)
{
	int r = d->stage ? 0 : make_stage(d, present, truncated, label);

	if (r < 0)
		return r;
	d->judged = false;
	*ret = stage_ref(d->stage);
	return 0;
}

/*
 * Without a type yet: what one sidecar says, where the other one may be what it is while
 * nothing is known; else bytes, as many as there are.  What is known is not forgotten.
 */
static int take_as_bytes_once(struct draft *d, struct span key,
			      struct entry **ret)
{
	int64_t count = (int64_t)stage_size(d->stage);
	struct type plain = { DT_UINT8, true, 1, &count };
	struct type declared = d->declared, remembered = d->remembered;
	CLEANUP(type_release) struct type t = { 0 };
	int r = type_copy(&declared, &t);

	if (r == 0)
		r = type_complete_from(&t, &plain);
	if (r == 0)
		r = take_fits(&t, d->stage);
	if (r < 0)
		return r;
	d->declared = d->remembered = (struct type){ 0 };
	r = take(d, NULL, key, d->stage, r == 1 ? &t : &plain, ret);
	d->declared = declared;
	d->remembered = remembered;
	d->assumed |= r == 1;
	return r;
}

static int take_as_bytes(struct draft *d, struct span key, struct entry **ret)
{
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++)
		r = take_as_bytes_once(d, key, ret);
	return r == -EAGAIN ? -EBUSY : r;
}

int draft_judge(struct draft *d, const struct entry *present, struct span key,
		enum judgement how, struct entry **ret)
{
	bool written = d->stage && stage_written(d->stage);
	bool numbers = present && entry_dtype(present) != DT_STRING;
	bool anyhow = how == JUDGE_ANYHOW || how == JUDGE_SYNC || d->assumed;
	/* At an fsync more may follow, and then it may be what was declared. */
	bool ended = how == JUDGE_ANYHOW || (how == JUDGE_SYNC && d->judged);
	int r;

	d->judged = true;
	/* A shell closes the file before it writes; nothing is judged then. */
	if (!d->stage || (!written && (numbers || how == JUDGE_CLOSE)))
		return 0;
	r = stage_error(d->stage);
	if (r < 0)
		return r;
	r = fit_and_take(d, model(d, present), key, d->stage, ret);
	if ((r == 0 && anyhow) || (r == -EINVAL && ended && !d->strict))
		return take_as_bytes(d, key, ret);
	if (r == -EINVAL && how == JUDGE_SYNC)
		return 0;
	return !written && r == -EINVAL ? 0 : r;
}

/* --- sidecars -------------------------------------------------------------- */

/* The present bytes under the type that is declared, if they are a value of it. */
static int retype(struct draft *d, struct entry *present, struct span key,
		  struct entry **ret)
{
	CLEANUP(type_release) struct type t = { 0 };
	bool text = entry_dtype(present) == DT_STRING;
	bool variant = entry_dtype(present) == DT_VARIANT;
	int r = wanted(d, present, &t);

	if (r < 0)
		return r;
	if (text != (t.dtype == DT_STRING) ||
	    variant != (t.dtype == DT_VARIANT))
		return 0;
	if (text || variant
		    ? !shape_resolve(t.dims, t.rank, entry_elements(present))
		    : !type_fits(&t, entry_bytes(present)))
		return 0;
	if (!d->shard && !take_stays(present, t.dtype))
		return 0;
	r = take_same_type(present, &t)
		    ? 0
		    : take_retyped(d->shard, present, key, &t, ret);
	if (r < 0)
		return r;
	type_release(&d->declared);
	d->assumed = false;
	return *ret ? 1 : 0;
}

/* What was written last, byte for byte, of what has become the present value: 1. */
static int read_back(struct draft *d, struct entry *present, struct stage **ret)
{
	CLEANUP(entry_unrefp) struct entry *scalar = NULL;
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	bool text = entry_dtype(present) == DT_STRING;
	struct shape none = { 0 };
	int r = stage_new(d->shard, text ? NULL : present, STAGE_UNKNOWN, &s);

	/* A shape may have made lines of it meanwhile. */
	if (r == 0 && text && d->taken_scalar)
		r = entry_retype(present, DT_STRING, none, &scalar);
	if (r == 0 && text)
		r = load_text(d, s, scalar ? scalar : present,
			      shard_name(d->shard));
	/* Nobody has to end the last line. */
	if (r == 0 && text && stage_size(s) == d->taken_size + 1)
		r = stage_resize(s, d->taken_size);
	if (r < 0 || stage_size(s) != d->taken_size)
		return r;
	*ret = STEAL(s);
	return 1;
}

/*
 * A copy may come before its sidecars, and be a value of the old type, too: numbers of a
 * scalar string, lines of as many bytes.  It is judged once more when these have come.
 */
static int judge_again(struct draft *d, struct entry *present, struct span key,
		       struct entry **ret)
{
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	CLEANUP(type_release) struct type t = { 0 };
	bool text = entry_dtype(present) == DT_STRING;
	int r = d->shard && recent(d->taken) ? draft_wanted(d, present, &t) : 0;

	/* Numbers of another dtype are the same bytes; or it is a value of that already. */
	if (r < 0 || (!text && t.dtype != DT_STRING) ||
	    (take_same_type(present, &t) && d->taken_scalar == (t.rank == 0)))
		return r;
	r = read_back(d, present, &s);
	if (r == -EIO)
		return 0; /* damaged: the next value may be what is meant */
	if (r == 1)
		r = fit_and_take(d, model(d, present), key, s, ret);
	return r == -EINVAL ? 0 : r;
}

int draft_refit(struct draft *d, struct entry *present, struct span key,
		struct entry **ret)
{
	CLEANUP(stage_unrefp) struct stage *s = NULL;
	CLEANUP(type_release) struct type t = { 0 };
	int r = d->assumed ? stage_new(d->shard, present, STAGE_UNKNOWN, &s)
			   : 0;

	if (r == 0 && s)
		r = fit(d, NULL, s, &t);
	if (r <= 0)
		return r == -EINVAL ? 0 : r;
	if (!dtype_size(t.dtype))
		return take(d, NULL, key, s, &t, ret);
	r = take_retyped(d->shard, present, key, &t, ret);
	if (r < 0)
		return r;
	type_release(&d->declared);
	type_release(&d->remembered);
	d->assumed = false;
	return 1;
}

/*
 * A variant is written only where there is one, or nothing yet: `cp -r` makes it of its
 * sidecars and its bytes.
 */
static int read_sidecar(struct type *t, const struct entry *present,
			enum sidecar which, struct span text)
{
	int32_t dtype = present ? entry_dtype(present) : (int32_t)DT_VARIANT;

	if (which == SIDECAR_SHAPE)
		return type_read_shape(t, text);
	if (dtype == DT_VARIANT && dtype_is_variant(text)) {
		t->dtype = DT_VARIANT;
		return 0;
	}
	return type_read_dtype(t, text);
}

bool draft_refused(const struct draft *d)
{
	return d->aside && clock_ms() <= d->aside_until;
}

/* Whether a tensor of that shape has no elements, whatever is in the file. */
static bool has_none(const struct type *t)
{
	for (size_t i = 0; t->has_shape && i < t->rank; i++)
		if (t->dims[i] == 0)
			return true;
	return false;
}

/* Bytes that were judged, and may fit now. */
static struct stage *waiting(struct draft *d, const struct entry *present)
{
	if (!draft_refused(d))
		stage_unref(STEAL(d->aside));
	if (d->stage && d->judged && (!present || stage_written(d->stage)))
		return d->stage;
	/* A file that was emptied is not what a -1 or a string asks for. */
	if (d->aside && stage_size(d->aside) == 0 && !has_none(&d->declared))
		return NULL;
	return d->aside;
}

/* What the declared type fits: 1; -EINVAL or 0 if it is nothing that is there. */
static int put_in_force(struct draft *d, struct entry *present, struct span key,
			struct entry **ret)
{
	struct stage *s = waiting(d, present);
	int r = 0;

	/* What was written last is meant, if it fits. */
	if (s)
		r = fit_and_take(d, model(d, present), key, s, ret);
	if (r == 1 || (r < 0 && r != -EINVAL) || !present)
		return r;
	r = draft_refit(d, present, key, ret);
	if (r == 0 && recent(d->said[SIDECAR_DTYPE]) &&
	    recent(d->said[SIDECAR_SHAPE]))
		r = judge_again(d, present, key, ret);
	if (r == 0)
		r = retype(d, present, key, ret);
	/* Strings stay strings: then a shape says enough. */
	if (r == 0 && d->declared.has_shape &&
	    d->declared.dtype == DT_INVALID &&
	    entry_dtype(present) == DT_STRING)
		r = judge_again(d, present, key, ret);
	return r;
}

int draft_declare(struct draft *d, struct entry *present, struct span key,
		  enum sidecar which, struct span text, struct entry **ret)
{
	CLEANUP(type_release) struct type before = { 0 };
	int r = type_copy(&d->declared, &before);

	if (r == 0)
		r = read_sidecar(&d->declared, model(d, present), which, text);
	if (r < 0)
		return r;
	*ret = NULL;
	d->said[which] = clock_ms();
	r = put_in_force(d, present, key, ret);
	/* What fits nothing is a declaration. */
	if (r == 0 || r == -EINVAL || r == 1)
		return r == 1;
	draft_set_declared(d, &before);
	return r;
}

void draft_set_declared(struct draft *d, struct type *t)
{
	type_release(&d->declared);
	d->declared = *t;
	*t = (struct type){ 0 };
}

void draft_withdraw(struct draft *d, enum sidecar which)
{
	if (which == SIDECAR_DTYPE) {
		d->declared.dtype = DT_INVALID;
		return;
	}
	free(STEAL(d->declared.dims));
	d->declared.rank = 0;
	d->declared.has_shape = false;
}

int draft_set_aside(struct draft *d, struct stage *refused)
{
	struct stage *copy;
	int r = stage_clone(refused, &copy);

	if (r < 0)
		return r;
	stage_unref(d->aside);
	d->aside = copy;
	d->aside_until = clock_ms() + ASIDE_MS;
	return 0;
}

bool draft_close(struct draft *d, const struct entry *present)
{
	bool stands = present || d->strict; /* what to show in its place */
	bool emptied;

	if (!d->stage)
		return false;
	emptied = stage_size(d->stage) == 0 &&
		  (present ? entry_bytes(present) > 0 : d->strict);
	if (stage_error(d->stage) < 0) {
		stage_unref(STEAL(d->stage));
		return true;
	}
	/* A new value that waits for its type stays where it is seen. */
	if (!stands && !type_complete(&d->declared))
		return false;
	if (!stage_written(d->stage) && !emptied) {
		/* A file that was only made, or opened. */
		if (stands)
			stage_unref(STEAL(d->stage));
		return stands;
	}
	/* It may be a tensor without elements: nothing else is missed. */
	if (stage_size(d->stage) == 0 && (!emptied || draft_refused(d))) {
		stage_unref(STEAL(d->stage));
		return true;
	}
	stage_unref(d->aside);
	d->aside = STEAL(d->stage);
	d->aside_until = clock_ms() + ASIDE_MS;
	return true;
}

bool draft_declared(const struct draft *d, enum sidecar which)
{
	return which == SIDECAR_DTYPE ? d->declared.dtype != DT_INVALID
				      : d->declared.has_shape;
}

int draft_sidecar(const struct draft *d, const struct entry *present,
		  enum sidecar which, uint64_t n, struct buf *ret)
{
	int64_t count = (int64_t)n;
	struct shape plain = { 1, &count };

	if (which == SIDECAR_DTYPE) {
		int32_t dtype = present ? entry_dtype(present)
					: (int32_t)DT_UINT8;

		if (d->declared.dtype != DT_INVALID)
			dtype = d->declared.dtype;
		buf_printf(ret, "%s\n", dtype_name(dtype));
	} else if (d->declared.has_shape) {
		shape_print(type_shape(&d->declared), ret);
	} else {
		shape_print(present ? entry_shape(present) : plain, ret);
	}
	return buf_error(ret);
}
