#include "core/state_edit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan_name.h"
#include "core/state.h"
#include "core/temporary.h"

/* While somebody else replaces the file under us. */
#define ATTEMPTS 10

/* The state file as it was read, and what is to become of it. */
struct rewrite {
	int dirfd;
	struct span text;
	const uint8_t *done; /* how far it was copied */
	struct buf out;

	/* A checkpoint that is renamed. */
	struct span from;
	struct span to;

	/* A checkpoint that becomes the latest. */
	struct span prefix;
	struct buf spelled; /* as the file spells it, or will */
	bool listed;
	bool stale; /* listed, but by a path that leads nowhere */
	bool has_latest;
	bool has_times;
};

static void rewrite_release(struct rewrite *w)
{
	buf_release(&w->out);
	buf_release(&w->spelled);
}

static void rewrite_begin(struct rewrite *w, struct span text)
{
	w->text = text;
	w->done = text.data;
}

static void copy_until(struct rewrite *w, const uint8_t *end)
{
	if (end > w->done)
		buf_put(&w->out, w->done, (size_t)(end - w->done));
	w->done = end;
}

/* As TensorFlow writes a string: what is not ASCII stands as it is. */
static void put_quoted(struct buf *out, struct span value)
{
	buf_put(out, "\"", 1);
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ')
			buf_printf(out, "\\%03o", (unsigned)c);
		else
			buf_put(out, &c, 1);
	}
	buf_put(out, "\"", 1);
}

static void replace(struct rewrite *w, struct span written, struct span value)
{
	copy_until(w, written.data);
	put_quoted(&w->out, value);
	w->done = written.data + written.len;
}

/* --- reading and writing the file ----------------------------------------- */

/* Where the state file is, whatever leads there, and which one was read. */
struct state_file {
	int dirfd;
	char *name;
	struct stat st;
	struct file_id id;
	struct buf text;
};

static void state_file_release(struct state_file *f)
{
	close_fd(&f->dirfd);
	free(f->name);
	buf_release(&f->text);
}

static int state_file_read(int dirfd, struct state_file *f)
{
	CLEANUP(close_fd) int fd = -1;
	int r = io_follow(dirfd, STATE_FILE, &f->dirfd, &f->name);

	if (r < 0)
		return r;
	fd = io_open(f->dirfd, f->name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	r = io_fd_id(fd, &f->id);
	if (r == 0 && fstat(fd, &f->st) < 0)
		r = -errno;
	return r < 0 ? r : io_read_file(fd, STATE_MAX, &f->text);
}

/* -EAGAIN if somebody else changed it since it was read. */
static int state_file_write(const struct state_file *f, struct span text)
{
	CLEANUP(temporary_release)
	struct temporary t = { f->dirfd, -1, NULL };
	struct file_id now;
	int r = temporary_create(f->dirfd, f->name, text, &f->st, &t);

	if (r < 0)
		return r;
	if (io_id(f->dirfd, f->name, &now) < 0 || !file_id_equal(&now, &f->id))
		return -EAGAIN;
	r = io_rename(f->dirfd, t.name, f->name);
	if (r < 0)
		return r;
	free(STEAL(t.name));
	return io_sync(f->dirfd);
}

static int refuse(int r)
{
	if (r == -EINVAL)
		log_error("%s: not changed: TensorFlow cannot read it as it "
			  "is; mend or remove it first",
			  STATE_FILE);
	return r;
}

/* --- a checkpoint that was renamed ---------------------------------------- */

static int rename_path(void *arg, enum state_field field, struct span written,
		       struct span value)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	struct rewrite *w = arg;
	struct span name;
	size_t before;

	if ((field != STATE_LATEST && field != STATE_PATH) ||
	    !state_path_name(value, &name) || !span_equal(name, w->from) ||
	    state_path_place(w->dirfd, value) == STATE_ELSEWHERE)
		return 0;
	before = (size_t)(name.data - value.data);
	buf_put(&path, value.data, before);
	buf_put(&path, w->to.data, w->to.len);
	buf_put(&path, name.data + name.len, value.len - before - name.len);
	replace(w, written, buf_span(&path));
	return buf_error(&path);
}

static int rename_once(int dirfd, const char *from, const char *to)
{
	CLEANUP(state_file_release) struct state_file f = { .dirfd = -1 };
	CLEANUP(rewrite_release) struct rewrite w = { .dirfd = dirfd };
	int r = state_file_read(dirfd, &f);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	w.from = span_of(from);
	w.to = span_of(to);
	rewrite_begin(&w, buf_span(&f.text));
	r = state_each(w.text, rename_path, &w);
	if (r < 0 || w.done == f.text.data)
		return r;
	copy_until(&w, f.text.data + f.text.len);
	r = buf_error(&w.out);
	return r < 0 ? r : state_file_write(&f, buf_span(&w.out));
}

int state_rename(int dirfd, const char *from, const char *to)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < ATTEMPTS; i++)
		r = rename_once(dirfd, from, to);
	return refuse(r);
}

/* --- which one is the latest ---------------------------------------------- */

static bool is_prefix(const struct rewrite *w, struct span path)
{
	struct span name;

	return state_path_name(path, &name) && span_equal(name, w->prefix);
}

/* What is in the file, before anything is changed. */
static int look(void *arg, enum state_field field, struct span written,
		struct span value)
{
	struct rewrite *w = arg;

	(void)written;
	w->has_latest |= field == STATE_LATEST;
	w->has_times |= field == STATE_TIME;
	if (field != STATE_PATH || !is_prefix(w, value))
		return 0;
	switch (state_path_place(w->dirfd, value)) {
	case STATE_HERE:
		w->listed = true;
		w->spelled.len = 0;
		buf_put(&w->spelled, value.data, value.len);
		break;
	case STATE_NOWHERE:
		w->stale = true;
		break;
	case STATE_ELSEWHERE:
		break;
	}
	return buf_error(&w->spelled);
}

/* A stale path is mended: TensorFlow would not find the checkpoint by it. */
static int set_path(void *arg, enum state_field field, struct span written,
		    struct span value)
{
	struct rewrite *w = arg;
	bool mend = field == STATE_PATH && w->stale && !w->listed &&
		    is_prefix(w, value) &&
		    state_path_place(w->dirfd, value) == STATE_NOWHERE;

	if (field == STATE_LATEST || mend)
		replace(w, written, buf_span(&w->spelled));
	return 0;
}

/* Of a V1 checkpoint in several files: the pattern that leads to them. */
static bool spell_pattern(int dirfd, struct rewrite *w)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool found = false;

	while (!found && d && (e = readdir(d))) {
		size_t len = scan_stem(e->d_name);

		if (len != w->prefix.len ||
		    memcmp(e->d_name, w->prefix.data, len) != 0)
			continue;
		buf_put(&w->spelled, w->prefix.data, len);
		/* Escaped, ??- is a trigraph. */
		buf_printf(&w->spelled, "-?\?\?\?\?-of-%s",
			   strrchr(e->d_name, '-') + 1);
		found = true;
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* The file that says how old the checkpoint is; false if it is a V1 in several. */
static bool stat_first(int dirfd, const char *prefix, struct stat *ret)
{
	CLEANUP(free_ptr) char *index = bundle_index_name(prefix);

	if (!index)
		return false;
	return io_stat(dirfd, index, ret) == 0 ||
	       (io_stat(dirfd, prefix, ret) == 0 && S_ISREG(ret->st_mode));
}

/* Adds what is not there yet, at the end: the order of fields means nothing. */
static void put_missing(struct rewrite *w, const struct timespec *when)
{
	if (w->out.len && w->out.data[w->out.len - 1] != '\n')
		buf_put(&w->out, "\n", 1);
	if (!w->has_latest) {
		buf_printf(&w->out, "model_checkpoint_path: ");
		put_quoted(&w->out, buf_span(&w->spelled));
		buf_put(&w->out, "\n", 1);
	}
	if (w->listed || w->stale)
		return;
	buf_printf(&w->out, "all_model_checkpoint_paths: ");
	put_quoted(&w->out, buf_span(&w->spelled));
	buf_put(&w->out, "\n", 1);
	if (w->has_times)
		buf_printf(&w->out,
			   "all_model_checkpoint_timestamps: %lld.%06ld\n",
			   (long long)when->tv_sec, when->tv_nsec / 1000);
}

static int compose(int dirfd, const char *prefix, struct span text,
		   struct rewrite *w)
{
	struct stat st = { 0 };
	bool one_file = stat_first(dirfd, prefix, &st);
	int r;

	w->dirfd = dirfd;
	w->prefix = span_of(prefix);
	rewrite_begin(w, text);
	r = state_each(text, look, w);
	if (r < 0)
		return r;
	if (!w->listed && (one_file || !spell_pattern(dirfd, w)))
		buf_put(&w->spelled, w->prefix.data, w->prefix.len);
	r = state_each(text, set_path, w);
	if (r < 0)
		return r;
	if (text.len)
		copy_until(w, text.data + text.len);
	if (!w->has_latest || !(w->listed || w->stale))
		put_missing(w, &st.st_mtim);
	r = buf_error(&w->spelled);
	return r < 0 ? r : buf_error(&w->out);
}

/* A state file where there is none: whose it is, the directory says. */
static int make_state(int dirfd, const char *prefix)
{
	CLEANUP(rewrite_release) struct rewrite w = { 0 };
	CLEANUP(temporary_release) struct temporary t = { dirfd, -1, NULL };
	struct stat like;
	int r = compose(dirfd, prefix, (struct span){ 0 }, &w);

	if (r < 0)
		return r;
	if (fstat(dirfd, &like) < 0)
		return -errno;
	like.st_mode &= 0666;
	r = temporary_create(dirfd, STATE_FILE, buf_span(&w.out), &like, &t);
	if (r == 0)
		r = io_rename_to(dirfd, t.name, dirfd, STATE_FILE,
				 RENAME_NOREPLACE);
	if (r < 0)
		return r == -EEXIST ? -EAGAIN : r;
	free(STEAL(t.name));
	return io_sync(dirfd);
}

static int set_once(int dirfd, const char *prefix)
{
	CLEANUP(state_file_release) struct state_file f = { .dirfd = -1 };
	CLEANUP(rewrite_release) struct rewrite w = { 0 };
	int r = state_file_read(dirfd, &f);

	if (r == -ENOENT)
		return make_state(dirfd, prefix);
	if (r == 0)
		r = compose(dirfd, prefix, buf_span(&f.text), &w);
	return r < 0 ? r : state_file_write(&f, buf_span(&w.out));
}

int state_set_latest(int dirfd, const char *prefix)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < ATTEMPTS; i++)
		r = set_once(dirfd, prefix);
	return refuse(r);
}

void state_clean(int dirfd, const char *name)
{
	uint64_t ino;
	size_t len;

	if (temporary_parse(name, &len, &ino) && len == strlen(STATE_FILE) &&
	    strncmp(name, STATE_FILE, len) == 0)
		(void)io_unlink(dirfd, name);
}
