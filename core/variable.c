#include "core/variable.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/draft.h"
#include "core/dtype.h"
#include "core/variable_inside.h"

/* st_blksize: tools then read and write this much. */
#define BLOCK_SIZE (1 << 20)

int variable_new(struct entry *e, struct span key, const char *label,
		 bool verify, uint64_t id, struct variable **ret)
{
	struct variable *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	atomic_init(&v->refs, 1);
	(void)pthread_mutex_init(&v->lock, NULL);
	v->id = id;
	v->ino = id;
	v->label = label;
	v->verify = verify;
	v->draft.verify = verify;
	v->entry = e ? entry_ref(e) : NULL;
	v->has_value = e;
	v->stored = true;
	v->loose = !e;
	if (!e)
		buf_put(&v->key, key.data, key.len);
	if (buf_error(&v->key)) {
		variable_unref(v);
		return -ENOMEM;
	}
	*ret = v;
	return 0;
}

struct variable *variable_ref(struct variable *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

static void variable_free(struct variable *v)
{
	draft_release(&v->draft);
	value_unref(v->value);
	entry_unref(v->entry);
	buf_release(&v->key);
	(void)pthread_mutex_destroy(&v->lock);
	free(v);
}

void variable_unref(struct variable *v)
{
	while (v && atomic_fetch_sub(&v->refs, 1) == 1) {
		struct variable *former = v->former;

		variable_free(v);
		v = former;
	}
}

uint64_t variable_id(const struct variable *v)
{
	return v->id;
}

uint64_t variable_ino(const struct variable *v)
{
	return v->ino;
}

void variable_stand_in(struct variable *v, const struct variable *old)
{
	v->ino = old->ino;
}

struct entry *variable_entry(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->entry ? entry_ref(v->entry) : NULL;
}

void variable_set_loss(struct variable *v, int why)
{
	LOCK_SCOPE(&v->lock);
	v->loss = why;
}

int variable_take_loss(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	int loss = v->loss;

	v->loss = 0;
	return loss;
}

bool variable_dead(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->dead;
}

void variable_kill(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	v->dead = true;
}

void variable_overtake(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	v->overtaken = v->dead ? v->overtaken : v->stored;
	v->dead = true;
}

bool variable_overtaken(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->overtaken;
}

void variable_add_link(struct variable *v, int change)
{
	LOCK_SCOPE(&v->lock);
	v->links += (unsigned)change;
}

unsigned variable_links(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->links;
}

struct node **variable_names(struct variable *v)
{
	return &v->names;
}

void variable_succeed(struct variable *v, struct variable *former)
{
	LOCK_SCOPE(&v->lock);
	v->former = variable_ref(former);
	v->draft.strict = true;
}

struct variable *variable_former(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->former;
}

/* Whether `e` has the bytes of `old` in another room: what a failed sync may have lost. */
static bool is_copy(const struct entry *old, const struct entry *e)
{
	return !entry_v1(e) && entry_same_value(old, e) &&
	       span_equal(entry_key(old), entry_key(e));
}

void variable_follow(struct variable *v, const struct entry *was,
		     struct entry *e)
{
	LOCK_SCOPE(&v->lock);
	struct entry *old = v->entry;

	if (!old || old == e || (old != was && !is_copy(old, e)))
		return;
	v->entry = entry_ref(e);
	value_unref(STEAL(v->value));
	entry_unref(old);
}

/* --- key and type --------------------------------------------------------- */

struct span variable_key_locked(const struct variable *v)
{
	return v->entry ? entry_key(v->entry) : buf_span(&v->key);
}

int variable_key(struct variable *v, struct buf *ret)
{
	LOCK_SCOPE(&v->lock);
	struct span key = variable_key_locked(v);

	buf_put(ret, key.data, key.len);
	return buf_error(ret);
}

char *variable_describe(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return key_describe(variable_key_locked(v), v->label);
}

int variable_rename(struct variable *v, struct span key)
{
	LOCK_SCOPE(&v->lock);
	struct entry *old = v->entry;
	int r = 0;

	if (old) {
		r = entry_rename(old, key, &v->entry);
		if (r == 0)
			entry_unref(old);
		return r;
	}
	/* What had the old name has gone from there, and has no place at the new one. */
	variable_unref(STEAL(v->former));
	v->draft.strict = false;
	v->key.len = 0;
	buf_put(&v->key, key.data, key.len);
	return buf_error(&v->key);
}

bool variable_stored(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->stored;
}

void variable_set_stored(struct variable *v, bool stored)
{
	LOCK_SCOPE(&v->lock);
	v->stored = stored;
}

bool variable_loose(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->loose;
}

void variable_set_loose(struct variable *v, bool loose)
{
	LOCK_SCOPE(&v->lock);
	v->loose = loose;
}

bool variable_is_new(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return !v->entry;
}

bool variable_untyped(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return !v->entry || v->draft.assumed;
}

bool variable_has_value(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->has_value;
}

void variable_make_value(struct variable *v)
{
	const struct attributes now = variable_changed_now();
	LOCK_SCOPE(&v->lock);

	v->has_value = true;
	variable_merge_attributes(&v->attributes, &now);
}

int variable_type(struct variable *v, struct type *ret)
{
	LOCK_SCOPE(&v->lock);
	return draft_wanted(&v->draft, v->entry, ret);
}

int variable_remember(struct variable *v, const struct type *t)
{
	LOCK_SCOPE(&v->lock);
	return draft_remember(&v->draft, t);
}

void variable_set_told(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	v->told = clock_ms();
}

void variable_pass_told(struct variable *from, struct variable *to)
{
	uint64_t said[SIDECARS];
	uint64_t told;

	pthread_mutex_lock(&from->lock);
	told = from->told;
	memcpy(said, from->draft.said, sizeof(said));
	pthread_mutex_unlock(&from->lock);
	LOCK_SCOPE(&to->lock);
	to->told = told;
	memcpy(to->draft.said, said, sizeof(said));
}

/* --- reading ------------------------------------------------------------- */

/* The present entry and what is known of it, each counted. */
struct present {
	struct entry *entry;
	struct value *value; /* or NULL */
	struct stage *stage; /* or NULL */
	int fault;
};

static void present_release(struct present *p)
{
	entry_unref(p->entry);
	value_unref(p->value);
	stage_unref(p->stage);
}

static struct present get_present(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return (struct present){
		.entry = v->entry ? entry_ref(v->entry) : NULL,
		.value = v->value ? value_ref(v->value) : NULL,
		.stage = v->draft.stage ? stage_ref(v->draft.stage) : NULL,
		.fault = v->fault,
	};
}

/* Makes `p->value`: not under the lock, since strings are scanned for it. */
static int open_value(struct variable *v, struct present *p)
{
	CLEANUP(free_ptr) char *name = NULL;
	int r;

	if (p->value || p->fault)
		return p->fault;
	name = entry_describe(p->entry, v->label);
	r = name ? value_new(p->entry, name, v->verify, &p->value) : -ENOMEM;
	pthread_mutex_lock(&v->lock);
	if (v->entry == p->entry && r == 0 && !v->value)
		v->value = value_ref(p->value);
	/* Not for want of memory, of room for a spool, or of descriptors. */
	if (v->entry == p->entry && (r == -EIO || r == -EOPNOTSUPP))
		v->fault = r;
	pthread_mutex_unlock(&v->lock);
	return r;
}

int variable_open_reader(struct variable *v)
{
	CLEANUP(present_release) struct present p = get_present(v);

	if (variable_dead(v))
		return -ESTALE;
	/* Nothing has to be read of no bytes: a read-only mount is not even asked. */
	return p.entry && entry_bytes(p.entry) ? open_value(v, &p) : 0;
}

static int read_stage(struct stage *stage, size_t n, uint64_t offset,
		      struct reading *ret)
{
	void *memory = malloc(n ? n : 1);
	ssize_t got = memory ? stage_read(stage, memory, n, offset) : -ENOMEM;

	if (got < 0) {
		free(memory);
		return (int)got;
	}
	*ret = (struct reading){ memory, (size_t)got, memory, NULL };
	return 0;
}

int variable_read(struct variable *v, size_t n, uint64_t offset,
		  struct reading *ret)
{
	CLEANUP(present_release) struct present p = get_present(v);
	int r;

	if (p.stage)
		return read_stage(p.stage, n, offset, ret);
	if (!p.entry) {
		*ret = (struct reading){ 0 };
		return 0;
	}
	r = open_value(v, &p);
	return r < 0 ? r : value_read(p.value, n, offset, ret);
}

/* --- attributes ---------------------------------------------------------- */

/* The length of a file nobody writes to; that of text needs a look at the tensor. */
static uint64_t shown_size(struct variable *v, struct present *p)
{
	uint64_t bytes = p->entry ? entry_stored(p->entry) : 0;
	const char *reason;

	/* Larger than any file: of no use, but no other number is right. */
	if (bytes > INT64_MAX)
		return INT64_MAX;
	if (!p->entry || dtype_size(entry_dtype(p->entry)))
		return bytes;
	/* Of an empty file nobody would read the first byte, and be told. */
	if (entry_access(p->entry, &reason) < 0 || open_value(v, p) < 0)
		return bytes ? bytes : 1;
	return value_size(p->value);
}

static void stat_attributes(const struct attributes *a, struct stat *st)
{
	if (a->set & ATTRIBUTE_MODE)
		st->st_mode = S_IFREG | (a->mode & 07777);
	if (a->set & ATTRIBUTE_UID)
		st->st_uid = a->uid;
	if (a->set & ATTRIBUTE_GID)
		st->st_gid = a->gid;
	if (a->set & ATTRIBUTE_MTIME)
		st->st_mtim = a->mtime;
}

static void stat_attributes_locked(const struct variable *v, enum facet facet,
				   struct stat *st)
{
	struct timespec first = st->st_mtim;

	stat_attributes(&v->attributes, st);
	if (facet == FACET_VALUE)
		return;
	st->st_mtim = first;
	stat_attributes(&v->sidecars[facet], st);
}

uint64_t variable_content_size(struct variable *v)
{
	CLEANUP(present_release) struct present p = get_present(v);

	return p.stage ? stage_size(p.stage) : shown_size(v, &p);
}

static int size_of(struct variable *v, enum facet facet, uint64_t *ret)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	int r = 0;

	if (facet != FACET_VALUE)
		r = variable_sidecar(v, facet, &text);
	*ret = facet == FACET_VALUE ? variable_content_size(v) : text.len;
	return r;
}

int variable_stat(struct variable *v, enum facet facet, struct stat *st)
{
	uint64_t size;
	int r = size_of(v, facet, &size);

	if (r < 0)
		return r;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)(size / 512 + (size % 512 != 0));
	st->st_blksize = size < BLOCK_SIZE ? 4096 : BLOCK_SIZE;

	LOCK_SCOPE(&v->lock);
	stat_attributes_locked(v, facet, st);
	/* Each name has sidecars of its own, which look the same. */
	st->st_nlink = facet == FACET_VALUE || v->links == 0 ? v->links : 1;
	return 0;
}

void variable_merge_attributes(struct attributes *to,
			       const struct attributes *a)
{
	if (a->set & ATTRIBUTE_MODE)
		to->mode = a->mode;
	if (a->set & ATTRIBUTE_UID)
		to->uid = a->uid;
	if (a->set & ATTRIBUTE_GID)
		to->gid = a->gid;
	if (a->set & ATTRIBUTE_MTIME)
		to->mtime = a->mtime;
	to->set |= a->set;
}

struct attributes variable_changed_now(void)
{
	struct attributes a = { .set = ATTRIBUTE_MTIME };

	(void)clock_gettime(CLOCK_REALTIME, &a.mtime);
	return a;
}

void variable_set_attributes(struct variable *v, enum facet facet,
			     const struct attributes *a)
{
	LOCK_SCOPE(&v->lock);
	struct attributes of_value = *a, of_sidecar = *a;

	if (facet != FACET_VALUE) {
		of_value.set &= ~ATTRIBUTE_MTIME;
		of_sidecar.set &= ATTRIBUTE_MTIME;
		variable_merge_attributes(&v->sidecars[facet], &of_sidecar);
	}
	variable_merge_attributes(&v->attributes, &of_value);
	/* cp -p and tar set the time before they close: it is to stay. */
	if (of_value.set & ATTRIBUTE_MTIME && v->draft.stage)
		v->mtime_kept = true;
}
