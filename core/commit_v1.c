/*
 * A commit of V1 is that of commit.c with other steps at its beginning: a V1 file is
 * index and data in one, so it is written as a whole.
 *
 *	1. values	wait in a file without a name (bundle_shard()), which no crash
 *			and no reader ever sees
 *	3. temporary	for each file with a change in it, all of the new one: records
 *			that stay are copied as they are.  Synced
 *	4. to 7.	as there; where there are several files, one after the other, and
 *			the old ones are removed when all of the new ones are in place
 *
 * I1 to I5 hold of each file.  Of several, a crash between two exchanges leaves some
 * old and some new, each whole: nothing on disk could say that they belong together, and
 * TensorFlow reads what it finds.
 */
#include "core/commit_v1.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/exchange.h"
#include "core/log.h"
#include "core/temporary.h"
#include "core/v1.h"
#include "core/v1_file.h"
#include "core/v1_record.h"
#include "core/v1_writer.h"

struct writing {
	const struct bundle *base;
	struct bundle *next;
	struct v1_file *const *files; /* of `base` */
	size_t n;
	bool *changed;
	struct exchange *at; /* of those that have */
	size_t file;         /* which one is being written */
};

static void writing_release(struct writing *w)
{
	for (size_t i = 0; w->at && i < w->n; i++)
		exchange_release(&w->at[i]);
	free(w->at);
	free(w->changed);
	bundle_unref(w->next);
}

static int writing_init(struct writing *w, const struct bundle *base)
{
	*w = (struct writing){ .base = base };
	w->files = bundle_v1_files(base, &w->n);
	w->changed = calloc(w->n, sizeof(*w->changed));
	w->at = calloc(w->n, sizeof(*w->at));
	for (size_t i = 0; w->at && i < w->n; i++)
		w->at[i] = EXCHANGE_NONE;
	return w->changed && w->at ? 0 : -ENOMEM;
}

/* --- which file has what ------------------------------------------------------- */

/* The last one where it lies in none of them, as what is new does. */
static size_t file_of(const struct writing *w, const struct entry *e)
{
	const struct v1_record *record = e ? entry_v1(e) : NULL;
	size_t i = 0;

	while (i + 1 < w->n &&
	       (!record || v1_record_file(record) != w->files[i]))
		i++;
	return i;
}

/* A new value goes to the file that has the old one. */
static size_t file_for(const struct writing *w, const struct entry *e,
		       const struct entry *part)
{
	const struct entry *old;

	if (part && entry_v1(part))
		return file_of(w, part);
	old = bundle_find(w->base, entry_key(part ? part : e));
	if (old && entry_slices(old))
		old = entry_part(old, 0);
	return file_of(w, old);
}

static bool belongs(void *arg, struct entry *e, struct entry *part)
{
	const struct writing *w = arg;

	return file_for(w, e, part) == w->file;
}

/* All files that have it, or are to have it. */
static void note_changed(struct writing *w, const struct entry *e)
{
	size_t n = e ? entry_slices(e) : 0;

	if (e && n == 0)
		w->changed[file_for(w, e, e)] = true;
	for (size_t i = 0; i < n; i++)
		w->changed[file_for(w, e, entry_part(e, i))] = true;
}

static void note_changes(struct writing *w, const struct edit *edit)
{
	const struct change *changes = edit_sorted(edit);

	for (size_t i = 0; i < edit_count(edit); i++) {
		note_changed(w, changes[i].entry);
		note_changed(w, bundle_find(w->base, changes[i].key));
	}
}

/* --- one file --------------------------------------------------------------------- */

/* All variables; bundle_count() of them. */
static struct entry **gather(const struct bundle *b)
{
	size_t n = bundle_count(b);
	struct entry **all = calloc(n + 1, sizeof(struct entry *));

	for (size_t i = 0; all && i < n; i++)
		all[i] = bundle_entry(b, i);
	return all;
}

static void tell_refused(const struct bundle *b)
{
	for (size_t i = 0; i < bundle_count(b); i++) {
		struct entry *e = bundle_entry(b, i);
		const char *reason = v1_refuses(e);
		CLEANUP(free_ptr) char *name = NULL;

		if (!reason)
			continue;
		name = entry_describe(e, bundle_prefix(b));
		log_error("%s: cannot be written: %s; `weightfs --convert --to "
			  "v2` makes a checkpoint that can hold it",
			  name ? name : bundle_prefix(b), reason);
	}
}

static int write_file(struct writing *w, struct exchange *x)
{
	struct v1_file *old = w->files[w->file];
	CLEANUP(free_ptr) struct entry **all = gather(w->next);
	const struct stat *st = v1_file_stat(old);
	const struct file_id was = { st->st_dev, st->st_ino,
				     (uint64_t)st->st_size, st->st_mtim };
	int r = all ? 0 : -ENOMEM;

	if (r == 0)
		r = exchange_find(x, bundle_dirfd(w->base), v1_file_name(old),
				  &was);
	if (r == 0)
		r = temporary_begin(x->dirfd, x->name, &x->new);
	if (r == 0)
		r = v1_write_some(x->new.fd, all, bundle_count(w->next),
				  belongs, w);
	if (r == -EOPNOTSUPP)
		tell_refused(w->next);
	return r < 0 ? r : temporary_end(&x->new, st);
}

static int write_files(struct writing *w)
{
	int r = 0;

	for (w->file = 0; r == 0 && w->file < w->n; w->file++)
		if (w->changed[w->file])
			r = write_file(w, &w->at[w->file]);
	return r;
}

/* --- all of them ------------------------------------------------------------------ */

static int open_files(struct writing *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		if (!w->changed[i] || w->at[i].old_fd >= 0)
			continue;
		r = exchange_open(&w->at[i]);
		if (r == 0)
			r = exchange_lease(&w->at[i]);
		if (r < 0)
			close_fd(&w->at[i].old_fd);
		if (r < 0)
			w->at[i].old_fd = -1;
	}
	return r;
}

static int put_files(struct writing *w)
{
	size_t done = 0;
	int r = bundle_current(w->base);

	if (r <= 0)
		return r == 0 ? -ESTALE : r;
	r = 0;
	for (; r == 0 && done < w->n; done++)
		if (w->changed[done])
			r = exchange_put(&w->at[done]);
	for (size_t i = 0; r < 0 && i + 1 < done; i++)
		if (w->changed[i])
			(void)exchange_undo(&w->at[i]);
	return r;
}

/* Somebody opened a file to write, and did not: all is as it was. */
static bool is_as_before(struct writing *w)
{
	bool same = bundle_current(w->base) == 1;

	for (size_t i = 0; same && i < w->n; i++)
		if (w->changed[i])
			same = exchange_again(&w->at[i]);
	return same;
}

/* Somebody may have it open for writing, and may not. */
static int put_when_free(struct writing *w)
{
	for (int tries = 0; tries < EXCHANGE_BUSY_TRIES; tries++) {
		int r = open_files(w);

		if (r == 0)
			r = put_files(w);
		if (r == -ESTALE && is_as_before(w))
			r = -EAGAIN;
		if (r != -EAGAIN)
			return r;
		(void)usleep(EXCHANGE_BUSY_US);
	}
	return -EBUSY;
}

static uint64_t finish_files(struct writing *w)
{
	uint64_t bytes = 0, size;

	for (size_t i = 0; i < w->n; i++) {
		if (!w->changed[i])
			continue;
		exchange_finish(&w->at[i]);
		if (io_size(w->at[i].new.fd, &size) == 0)
			bytes += size;
	}
	return bytes;
}

static int sync_names(const struct writing *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->changed[i])
			r = io_sync(w->at[i].dirfd);
	return r;
}

/* Whether all files of `b` are those that were written, or were there before. */
static bool is_ours(const struct writing *w, const struct bundle *b)
{
	size_t n;
	struct v1_file *const *files = bundle_v1_files(b, &n);
	bool same = n == w->n;

	for (size_t i = 0; same && i < n; i++) {
		const struct stat *st = v1_file_stat(files[i]);
		struct file_id id;
		int r = w->changed[i] ? io_fd_id(w->at[i].new.fd, &id)
				      : io_fd_id(v1_file_fd(w->files[i]), &id);

		same = r == 0 && id.dev == st->st_dev && id.ino == st->st_ino;
	}
	return same;
}

/*
 * What was read from the new files, so that the old ones are let go.  Where somebody else
 * has replaced them already, it is what was written, from where it was: the next look
 * at the disk tells.
 */
static struct bundle *read_again(struct writing *w, size_t first)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	const char *reason;
	struct stat st;

	if (v1_open(bundle_dirfd(w->base), bundle_prefix(w->base), &b) == 0 &&
	    is_ours(w, b) && bundle_writable(b, &reason) == 0 &&
	    bundle_count(b) == bundle_count(w->next))
		return STEAL(b);
	if (w->changed[first] && fstat(w->at[first].new.fd, &st) == 0)
		bundle_settle(w->next, &st);
	return STEAL(w->next);
}

int commit_v1(const struct bundle *base, struct edit *edit,
	      struct bundle **ret_next, struct commit_report *ret)
{
	CLEANUP(writing_release) struct writing w;
	int r = writing_init(&w, base);

	*ret = (struct commit_report){ COMMIT_NOTHING, 0 };
	if (r == 0)
		r = bundle_with(base, edit_sorted(edit), edit_count(edit),
				&w.next);
	if (r < 0)
		return r;
	note_changes(&w, edit);
	r = write_files(&w);
	/* Who wrote over a file in place took away what was to be copied. */
	if (r == -EIO && bundle_current(base) != 1)
		r = -ESTALE;
	if (r == 0)
		r = put_when_free(&w);
	if (r < 0)
		return r;

	ret->outcome = COMMIT_VISIBLE;
	ret->bytes = finish_files(&w);
	r = sync_names(&w);
	*ret_next = read_again(&w, 0);
	return r;
}
