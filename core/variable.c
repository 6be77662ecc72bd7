#include "core/variable.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/log.h"
#include "core/shape.h"
#include "core/shard.h"
#include "core/stage.h"

#define BLOCK_SIZE \
	(1 << 20) /* st_blksize: tools then read and write this much */

struct variable {
	atomic_uint refs;
	uint64_t id;
	uint64_t ino;
	const char *label;
	bool verify;

	pthread_mutex_t lock; /* for all that follows */
	struct entry *entry;
	struct value *value; /* what reads `entry`, once somebody did */
	int fault; /* why `entry` cannot be read, once that was said */
	struct stage *stage; /* what is written over it, or NULL */
	unsigned writers;    /* open handles that write */
	unsigned links;
	bool dead;
	struct attributes attributes;
};

DEFINE_CLEANUP(struct entry, entry_unref)
DEFINE_CLEANUP(struct value, value_unref)
DEFINE_CLEANUP(struct stage, stage_unref)

int variable_new(struct entry *e, const char *label, bool verify, uint64_t id,
		 uint64_t ino, struct variable **ret)
{
	struct variable *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	atomic_init(&v->refs, 1);
	(void)pthread_mutex_init(&v->lock, NULL);
	v->id = id;
	v->ino = ino;
	v->label = label;
	v->verify = verify;
	v->entry = entry_ref(e);
	*ret = v;
	return 0;
}

struct variable *variable_ref(struct variable *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void variable_unref(struct variable *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	stage_unref(v->stage);
	value_unref(v->value);
	entry_unref(v->entry);
	(void)pthread_mutex_destroy(&v->lock);
	free(v);
}

uint64_t variable_id(const struct variable *v)
{
	return v->id;
}

uint64_t variable_ino(const struct variable *v)
{
	return v->ino;
}

struct entry *variable_entry(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return entry_ref(v->entry);
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
		.entry = entry_ref(v->entry),
		.value = v->value ? value_ref(v->value) : NULL,
		.stage = v->stage ? stage_ref(v->stage) : NULL,
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
	if (v->entry == p->entry && r != -ENOMEM)
		v->fault = r;
	pthread_mutex_unlock(&v->lock);
	return r;
}

int variable_open_reader(struct variable *v)
{
	CLEANUP(present_release) struct present p = get_present(v);

	return variable_dead(v) ? -ESTALE : open_value(v, &p);
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
	r = open_value(v, &p);
	return r < 0 ? r : value_read(p.value, n, offset, ret);
}

/* --- attributes ---------------------------------------------------------- */

/* The length of a file nobody writes to; that of text needs a look at the tensor. */
static uint64_t shown_size(struct variable *v, struct present *p)
{
	size_t item = dtype_size(entry_dtype(p->entry));
	const char *reason;

	if (entry_access(p->entry, &reason) < 0)
		return item ? entry_elements(p->entry) * item
			    : entry_size(p->entry);
	if (item || open_value(v, p) < 0)
		return entry_size(p->entry);
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

static int size_of(struct variable *v, enum facet facet, uint64_t *ret)
{
	CLEANUP(present_release) struct present p = get_present(v);
	CLEANUP(buf_release) struct buf text = { 0 };
	int r = 0;

	if (facet != FACET_VALUE) {
		r = variable_sidecar(v, facet, &text);
		*ret = text.len;
	} else {
		*ret = p.stage ? stage_size(p.stage) : shown_size(v, &p);
	}
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
	stat_attributes(&v->attributes, st);
	st->st_nlink = v->links;
	return 0;
}

static void set_attributes_locked(struct variable *v,
				  const struct attributes *a)
{
	struct attributes *to = &v->attributes;

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

void variable_set_attributes(struct variable *v, const struct attributes *a)
{
	LOCK_SCOPE(&v->lock);
	set_attributes_locked(v, a);
}

/* --- writing ------------------------------------------------------------- */

static int check_writable(struct variable *v, struct entry *e)
{
	CLEANUP(free_ptr) char *name = NULL;
	const char *reason;
	int r = entry_access(e, &reason);

	if (r == 0 && entry_dtype(e) == DT_STRING) {
		r = -EOPNOTSUPP;
		reason = "this version does not write strings";
	}
	if (r == 0) {
		struct stat like = { .st_mode = 0644 };

		r = shard_edit(entry_shard(e), &like, &reason);
		if (r != -EOPNOTSUPP)
			return r;
	}
	name = entry_describe(e, v->label);
	log_error("%s: cannot be written: %s", name ? name : v->label, reason);
	return r;
}

/* The stage, counted; a new one if there is none. */
static int begin_stage(struct variable *v, bool truncated, struct stage **ret)
{
	LOCK_SCOPE(&v->lock);

	if (!v->stage) {
		int r = stage_new(v->entry, truncated, &v->stage);

		if (r < 0)
			return r;
	}
	*ret = stage_ref(v->stage);
	return 0;
}

/* The one line about a value that is not taken over. */
static void tell_refused(const struct variable *v, struct stage *stage,
			 int error)
{
	const struct entry *e = stage_base(stage);
	CLEANUP(free_ptr) char *name = entry_describe(e, v->label);
	CLEANUP(buf_release) struct buf shape = { 0 };

	if (!stage_tell(stage))
		return;
	if (error != -EINVAL) {
		log_error("%s: not written: %s; the old value stands", name,
			  strerror(-error));
		return;
	}
	shape_print(entry_shape(e), &shape);
	log_error("%s: not taken over: %llu bytes are not the %llu that %s "
		  "%.*s takes; the old value stands",
		  name, (unsigned long long)stage_size(stage),
		  (unsigned long long)entry_size(e), dtype_name(entry_dtype(e)),
		  shape.len ? (int)shape.len - 1 : 0, (const char *)shape.data);
}

/* A write or, where `data` is NULL, a change of the size to `offset`. */
struct writing {
	const void *data;
	size_t n;
	uint64_t offset;
};

/* A stage that was finished in between is not the one to write to: then again. */
static int apply(struct variable *v, const struct writing *c)
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

int variable_open_writer(struct variable *v, bool truncate)
{
	const struct writing empty = { 0 };
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	int r = variable_dead(v) ? -ESTALE : check_writable(v, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&v->lock);
	v->writers++;
	pthread_mutex_unlock(&v->lock);
	r = truncate ? apply(v, &empty) : 0;
	if (r < 0)
		(void)variable_close_writer(v);
	return r;
}

bool variable_writing(struct variable *v)
{
	LOCK_SCOPE(&v->lock);
	return v->stage || v->writers;
}

int variable_write(struct variable *v, const void *data, size_t n,
		   uint64_t offset)
{
	const struct writing c = { data, n, offset };

	return apply(v, &c);
}

/* A size that is set by path has no close() to be judged at. */
static int judge_size(struct variable *v, uint64_t size)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(free_ptr) char *name = NULL;
	int r = variable_dead(v) ? -ESTALE : check_writable(v, e);

	if (r < 0 || size == entry_size(e))
		return r;
	name = entry_describe(e, v->label);
	log_error("%s: not resized to %llu bytes: its dtype and shape take "
		  "%llu",
		  name, (unsigned long long)size,
		  (unsigned long long)entry_size(e));
	return -EINVAL;
}

int variable_resize(struct variable *v, uint64_t size)
{
	const struct writing c = { NULL, 0, size };
	unsigned writers;
	bool same;

	pthread_mutex_lock(&v->lock);
	writers = v->writers;
	same = !v->stage && size == entry_size(v->entry);
	pthread_mutex_unlock(&v->lock);
	if (writers == 0)
		return judge_size(v, size);
	return same ? 0 : apply(v, &c);
}

/* The new value is the present one from now on. */
static void take_over_locked(struct variable *v, struct entry *e)
{
	struct attributes written = { .set = ATTRIBUTE_MTIME };

	entry_unref(v->entry);
	v->entry = e;
	value_unref(STEAL(v->value));
	v->fault = 0;
	stage_unref(STEAL(v->stage));
	(void)clock_gettime(CLOCK_REALTIME, &written.mtime);
	set_attributes_locked(v, &written);
}

int variable_flush(struct variable *v)
{
	CLEANUP(stage_unrefp) struct stage *stage = NULL;
	struct entry *e;
	int r = -EAGAIN;

	/* Under the lock: who writes next begins from the new value. */
	pthread_mutex_lock(&v->lock);
	if (v->stage) {
		stage = stage_ref(v->stage);
		r = v->dead ? -ESTALE : stage_finish(stage, &e);
	}
	if (r == 0)
		take_over_locked(v, e);
	pthread_mutex_unlock(&v->lock);

	if (r == -EAGAIN)
		return 0;
	if (r == 0)
		return 1;
	tell_refused(v, stage, r);
	return r;
}

bool variable_close_writer(struct variable *v)
{
	CLEANUP(stage_unrefp) struct stage *dropped = NULL;

	pthread_mutex_lock(&v->lock);
	if (--v->writers == 0)
		dropped = STEAL(v->stage);
	pthread_mutex_unlock(&v->lock);
	/* An empty value that was emptied is what it was. */
	if (dropped && (stage_written(dropped) ||
			stage_size(dropped) != entry_size(stage_base(dropped))))
		tell_refused(v, dropped, -EINVAL);
	return dropped;
}

/* --- sidecars ------------------------------------------------------------ */

int variable_sidecar(struct variable *v, enum facet facet, struct buf *ret)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);

	if (facet == FACET_SHAPE)
		shape_print(entry_shape(e), ret);
	else
		buf_printf(ret, "%s\n", dtype_name(entry_dtype(e)));
	return buf_error(ret);
}

static bool says_already(const struct entry *e, enum facet facet,
			 struct span text, bool *ret_valid)
{
	int64_t dims[SHAPE_MAX_RANK];
	struct shape shape;
	enum dtype dtype;

	if (facet == FACET_DTYPE) {
		*ret_valid = dtype_parse(text, &dtype);
		return *ret_valid && (int32_t)dtype == entry_dtype(e);
	}
	*ret_valid = shape_parse(text, dims, &shape);
	return *ret_valid &&
	       shape_resolve(dims, shape.rank, entry_elements(e)) &&
	       shape_equal(shape, entry_shape(e));
}

int variable_set_sidecar(struct variable *v, enum facet facet, struct span text)
{
	CLEANUP(entry_unrefp) struct entry *e = variable_entry(v);
	CLEANUP(free_ptr) char *name = NULL;
	bool valid;

	if (says_already(e, facet, text, &valid))
		return 0;
	name = entry_describe(e, v->label);
	log_error("%s: its %s stays: %s", name,
		  facet == FACET_DTYPE ? "dtype" : "shape",
		  valid ? "this version does not change it"
			: "what was written is not one");
	return valid ? -EOPNOTSUPP : -EINVAL;
}
