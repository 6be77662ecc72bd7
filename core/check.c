/*
 * First the index is read, and every entry is judged by what it says.  Those whose bytes
 * can be read become jobs, in the order in which they lie on disk; threads take them one
 * after the other.  What they find is told in that order, too: a finding waits until all
 * jobs before it are done.
 */
#include "core/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/check_inside.h"
#include "core/checksum.h"
#include "core/cleanup.h"
#include "core/dtype.h"
#include "core/explain.h"
#include "core/shard.h"
#include "core/slice_key.h"
#include "core/table.h"

/* One a core, up to this: then memory or disk is the limit. */
#define THREADS_MAX 8

/* An entry and what it belongs to: itself, or the variable that it is a slice of. */
struct job {
	struct entry *entry; /* borrowed */
	const struct entry *variable;
	size_t slice;      /* which of its slices */
	const char *fault; /* NULL where it is right */
	bool done;
};

struct jobs {
	struct check *check;
	struct job *all;
	size_t n;
	uint64_t bytes; /* that are to be read */
	pthread_mutex_t lock;
	size_t next; /* to be taken */
	size_t told;
	uint64_t passed; /* not told yet */
};

void check_say(struct check *c, const struct check_finding *f)
{
	if (f->fault)
		c->result->faults++;
	c->watch->found(c->watch->arg, f);
}

/* Of an entry and its bytes; `fault`, or else only a note. */
static void say_of(struct check *c, const struct job *j, bool fault,
		   const char *what)
{
	const struct entry *e = j->entry;
	const struct shard *s = entry_shard(e);

	check_say(c, &(struct check_finding){
			     .fault = fault,
			     .key = entry_key(j->variable),
			     .partitioned = j->variable != e,
			     .slice = j->slice,
			     .file = s ? shard_name(s) : NULL,
			     .offset = s ? entry_offset(e) : 0,
			     .size = s ? entry_size(e) : 0,
			     .what = what,
		     });
}

static void fault_of(struct check *c, const struct job *j, const char *what)
{
	say_of(c, j, true, what);
}

static void note_of(struct check *c, const struct job *j, const char *what)
{
	say_of(c, j, false, what);
}

/* --- values ---------------------------------------------------------------- */

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* As they lie on disk; the key, at last, makes the order one. */
static int by_place(const void *a, const void *b)
{
	const struct entry *ea = ((const struct job *)a)->entry;
	const struct entry *eb = ((const struct job *)b)->entry;
	int order = entry_shard_id(ea) - entry_shard_id(eb);

	if (!order)
		order = compare(entry_offset(ea), entry_offset(eb));
	if (!order)
		order = compare(entry_size(ea), entry_size(eb));
	if (!order)
		order = entry_dtype(ea) - entry_dtype(eb);
	return order ? order : span_compare(entry_key(ea), entry_key(eb));
}

/* Whether one reading serves both. */
static bool same_bytes(const struct entry *a, const struct entry *b)
{
	bool numbers = dtype_size(entry_dtype(a)) && dtype_size(entry_dtype(b));

	return entry_shard(a) == entry_shard(b) &&
	       entry_offset(a) == entry_offset(b) &&
	       entry_size(a) == entry_size(b) &&
	       (numbers || (entry_dtype(a) == entry_dtype(b) &&
			    entry_elements(a) == entry_elements(b)));
}

static void tell_passed_locked(struct jobs *jobs)
{
	const struct check_watch *w = jobs->check->watch;

	if (w->passed)
		w->passed(w->arg, jobs->passed, jobs->bytes);
	jobs->check->result->bytes += jobs->passed;
	jobs->passed = 0;
}

static void note_passed(void *arg, uint64_t n)
{
	struct jobs *jobs = arg;

	LOCK_SCOPE(&jobs->lock);
	jobs->passed += n;
	if (jobs->passed >= CHECKSUM_CHUNK)
		tell_passed_locked(jobs);
}

/* NULL if it is right. */
static const char *judge_value(struct jobs *jobs, const struct entry *e,
			       uint32_t *ret_crc)
{
	struct shard *s = entry_shard(e);
	struct checksum_source source = {
		.fd = shard_fd(s),
		.offset = entry_offset(e),
		.size = entry_size(e),
		.elements = entry_elements(e),
		.dtype = entry_dtype(e),
		.big_endian = shard_big_endian(s),
		.passed = note_passed,
		.arg = jobs,
	};
	const char *reason = NULL;
	uint64_t used;
	int r = checksum_value(&source, ret_crc, &used, &reason);

	if (r < 0)
		return reason ? reason : strerrordesc_np(-r);
	return NULL;
}

/* All jobs for the same bytes: from `from` to before `to`. */
static void do_jobs(struct jobs *jobs, size_t from, size_t to)
{
	uint32_t crc = 0;
	const char *fault = judge_value(jobs, jobs->all[from].entry, &crc);

	LOCK_SCOPE(&jobs->lock);
	for (size_t i = from; i < to; i++) {
		struct job *j = &jobs->all[i];

		j->done = true;
		j->fault = fault;
		if (!fault && crc != entry_crc32c(j->entry))
			j->fault = "its checksum is wrong";
	}
	while (jobs->told < jobs->n && jobs->all[jobs->told].done) {
		struct job *j = &jobs->all[jobs->told++];

		if (j->fault)
			fault_of(jobs->check, j, j->fault);
	}
}

static bool take_jobs(struct jobs *jobs, size_t *ret_from, size_t *ret_to)
{
	LOCK_SCOPE(&jobs->lock);
	if (jobs->next == jobs->n)
		return false;
	*ret_from = jobs->next++;
	while (jobs->next < jobs->n && same_bytes(jobs->all[*ret_from].entry,
						  jobs->all[jobs->next].entry))
		jobs->next++;
	*ret_to = jobs->next;
	return true;
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;
	size_t from, to;

	while (take_jobs(jobs, &from, &to))
		do_jobs(jobs, from, to);
	return NULL;
}

/* This thread works as well, and does it all if no other can be had. */
static void check_values(struct jobs *jobs)
{
	pthread_t threads[THREADS_MAX];
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t wanted = processors > 1 ? (size_t)processors - 1 : 0;
	size_t n = 0;

	while (n < wanted && n < THREADS_MAX && n + 1 < jobs->n &&
	       pthread_create(&threads[n], NULL, work, jobs) == 0)
		n++;
	(void)work(jobs);
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	LOCK_SCOPE(&jobs->lock);
	tell_passed_locked(jobs);
}

/* --- places ---------------------------------------------------------------- */

static void say_dead(struct check *c, struct shard *s, uint64_t named)
{
	char what[80];

	if (shard_missing(s) || shard_end(s) <= named)
		return;
	(void)snprintf(what, sizeof(what),
		       "%" PRIu64 " bytes of it are in no variable",
		       shard_end(s) - named);
	check_say(c, &(struct check_finding){ .file = shard_name(s),
					      .what = what });
}

/* Goes over the jobs in their order: overlaps, and what lies between them. */
static void check_places(struct check *c, struct jobs *jobs)
{
	uint64_t end = 0, named = 0;
	const struct entry *last = NULL;

	for (size_t i = 0; i < jobs->n; i++) {
		const struct entry *e = jobs->all[i].entry;
		uint64_t to = entry_offset(e) + entry_size(e);
		bool same = last && same_bytes(last, e);

		if (last && entry_shard(last) != entry_shard(e)) {
			say_dead(c, entry_shard(last), named);
			end = 0;
			named = 0;
		}
		if (!same && entry_size(e) && entry_offset(e) < end)
			note_of(c, &jobs->all[i],
				"it overlaps another variable");
		if (!same)
			jobs->bytes += entry_size(e);
		if (to > end) {
			named += to - (entry_offset(e) > end ? entry_offset(e)
							     : end);
			end = to;
		}
		last = e;
	}
	if (last)
		say_dead(c, entry_shard(last), named);
}

/* --- entries --------------------------------------------------------------- */

/* Judges what an entry says; one whose bytes can be read becomes a job. */
static void check_entry(struct check *c, const struct job *j, struct jobs *jobs)
{
	const char *fault;

	if (entry_access(j->entry, &fault) < 0)
		fault_of(c, j, fault);
	else
		jobs->all[jobs->n++] = *j;
}

/* What the slices of one variable come to. */
struct slices {
	struct check *check;
	struct jobs *jobs;
	struct entry *variable;
	uint64_t elements;
	size_t missing;
	bool odd; /* an entry of one is not what the list says */
};

static int check_slice(void *arg, size_t i, const struct slice_extent *extents,
		       size_t rank)
{
	struct slices *s = arg;
	struct entry *e = entry_part(s->variable, i);
	struct job j = { e, s->variable, i, NULL, false };
	const char *fault = entry_part_fault(s->variable, i, extents);

	(void)rank;
	if (!e) {
		s->missing++;
		return 0;
	}
	if (fault)
		fault_of(s->check, &j, fault);
	s->odd |= fault != NULL;
	s->elements += entry_elements(e);
	check_entry(s->check, &j, s->jobs);
	return 0;
}

static int check_slices(struct check *c, struct entry *e, struct jobs *jobs)
{
	struct job whole = { .entry = e, .variable = e };
	struct slices s = { .check = c, .jobs = jobs, .variable = e };
	char what[80];
	int r = entry_each_slice(e, check_slice, &s);

	if (r < 0)
		return r;
	if (s.missing) {
		(void)snprintf(what, sizeof(what),
			       "%zu of its %zu slices are not in the index",
			       s.missing, entry_slices(e));
		fault_of(c, &whole, what);
	} else if (!s.odd && s.elements < entry_elements(e)) {
		(void)snprintf(what, sizeof(what),
			       "%" PRIu64 " of its %" PRIu64
			       " elements are in no slice",
			       entry_elements(e) - s.elements,
			       entry_elements(e));
		note_of(c, &whole, what);
	}
	return 0;
}

static int check_variable(struct check *c, struct entry *e, struct jobs *jobs)
{
	struct job j = { .entry = e, .variable = e };

	if (entry_slices(e))
		return check_slices(c, e, jobs);
	if (slice_is_key(entry_key(e)))
		note_of(c, &j, "it is a slice that no variable has");
	check_entry(c, &j, jobs);
	return 0;
}

static int check_entries(struct check *c, const struct bundle *b)
{
	struct jobs jobs = { .check = c };
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < bundle_count(b); i++)
		n += 1 + entry_slices(bundle_entry(b, i));
	jobs.all = calloc(n + 1, sizeof(*jobs.all));
	if (!jobs.all)
		return -ENOMEM;
	(void)pthread_mutex_init(&jobs.lock, NULL);
	for (size_t i = 0; r == 0 && i < bundle_count(b); i++)
		r = check_variable(c, bundle_entry(b, i), &jobs);
	if (r == 0) {
		qsort(jobs.all, jobs.n, sizeof(*jobs.all), by_place);
		check_places(c, &jobs);
		check_values(&jobs);
	}
	(void)pthread_mutex_destroy(&jobs.lock);
	free(jobs.all);
	return r;
}

/* --- the index ------------------------------------------------------------- */

/* Every entry of a damaged index that was not understood; the first is in the log. */
static int check_index(struct check *c, const char *name)
{
	CLEANUP(close_fd)
	int fd = io_open(c->dirfd, name, O_RDONLY | O_NONBLOCK);
	CLEANUP(table_freep) struct table *t = NULL;
	CLEANUP(table_iter_freep) struct table_iter *it = NULL;
	CLEANUP(buf_release) struct buf last = { 0 };
	struct span key, value;
	int r = fd < 0 ? fd : table_open(fd, name, &t);

	if (r == 0)
		r = table_iter_new(t, &it);
	while (r >= 0 || r == -EIO) {
		CLEANUP(entry_unrefp) struct entry *e = NULL;
		struct check_finding f = { .fault = true, .file = name };

		r = it ? table_iter_next(it, &key, &value) : 0;
		if (r == 0)
			break;
		f.what = "a block of it is damaged";
		if (r > 0) {
			f.key = key;
			f.what = NULL;
			if (key.len &&
			    entry_parse(key, value, ENTRY_V2, &e, &f.what) == 0)
				f.what = NULL;
			if (last.len && span_compare(buf_span(&last), key) >= 0)
				f.what = "its keys are not in order";
			last.len = 0;
			buf_put(&last, key.data, key.len);
		}
		if (f.what)
			check_say(c, &f);
	}
	if (it && table_iter_misplaced(it))
		check_say(c, &(struct check_finding){
				     .fault = true,
				     .file = name,
				     .what = "not all of its keys are where "
					     "its blocks say" });
	return r == -ENOMEM ? r : 0;
}

static int check_v2(struct check *c)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *name = bundle_index_name(c->prefix);
	const char *reason, *what;
	int r;

	if (!name)
		return -ENOMEM;
	r = bundle_open(c->dirfd, c->prefix, NULL, &b);
	if (r == -EIO || r == -EBADMSG) {
		what = r == -EIO ? "it is damaged"
				 : explain_content(c->dirfd, name);
		check_say(c, &(struct check_finding){
				     .fault = true,
				     .file = name,
				     .what = what ? what
						  : "it is cut short, or no "
						    "index at all" });
		return 0;
	}
	if (r < 0)
		return r;
	c->result->variables = bundle_count(b);
	if (bundle_writable(b, &reason) == -EIO)
		r = check_index(c, name);
	return r < 0 ? r : check_entries(c, b);
}

int check_checkpoint(int dirfd, const char *prefix, bool v1,
		     const struct check_watch *watch, struct check_result *ret)
{
	struct check c = { dirfd, prefix, watch, ret };

	*ret = (struct check_result){ 0 };
	return v1 ? check_v1(&c) : check_v2(&c);
}
