#include "core/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/coding.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan_name.h"
#include "core/state_edit.h"
#include "core/temporary.h"

#define INDEX ".index"
#define META  ".meta"
#define MOVE  ".move-"
#define HEX   16
/* For how long a temporary file of a tool may stand after its last change. */
#define RENAME_SECONDS 2

bool files_prefix_ok(const char *prefix)
{
	return *prefix && !strchr(prefix, '/') &&
	       !span_ends_in(span_of(prefix), INDEX) &&
	       !span_ends_in(span_of(prefix), TEMPORARY_END) &&
	       !scan_shard_prefix(prefix);
}

static bool open_for_writing(int dirfd, const char *name)
{
	CLEANUP(close_fd) int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	int r = fd < 0 ? fd : io_lease(fd);

	if (r == 0)
		io_lease_drop(fd);
	return r == -EAGAIN;
}

/*
 * Tools that write beside a file and rename then give the new one a name with a dot;
 * until then it is no checkpoint, whatever is in it.
 */
static bool awaits_rename(int dirfd, const char *name)
{
	struct stat st;

	return name[0] == '.' && io_stat_link(dirfd, name, &st) == 0 &&
	       clock_recent(st.st_ctim, RENAME_SECONDS);
}

bool files_being_written(int dirfd, const char *name)
{
	return open_for_writing(dirfd, name) || awaits_rename(dirfd, name);
}

/* --- what there is -------------------------------------------------------- */

/* The ends of the names, after the prefix; in the order in which they are linked. */
struct suffixes {
	char **all;
	size_t n;
};

static void suffixes_release(struct suffixes *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->all[i]);
	free(s->all);
}

/* Whether `name` is a data file of the prefix; of V1, any file. */
static bool is_data(const char *name, size_t prefix_len, bool v1)
{
	return v1 ? !name[prefix_len] || scan_stem(name) == prefix_len
		  : scan_shard_prefix(name) == prefix_len;
}

static bool is_last(const char *suffix)
{
	return strcmp(suffix, INDEX) == 0;
}

static bool belongs(const char *name, const char *prefix, bool v1, bool meta)
{
	size_t len = strlen(prefix);
	const char *suffix = name + len;

	if (strncmp(name, prefix, len) != 0)
		return false;
	return is_data(name, len, v1) || (!v1 && is_last(suffix)) ||
	       (meta && strcmp(suffix, META) == 0);
}

static int suffixes_add(struct suffixes *s, const char *suffix)
{
	char **all = reallocarray(s->all, s->n + 1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	s->all = all;
	all[s->n] = strdup(suffix);
	if (!all[s->n])
		return -ENOMEM;
	s->n++;
	return 0;
}

static int by_turn(const void *a, const void *b)
{
	const char *const *sa = a, *const *sb = b;
	int order = is_last(*sa) - is_last(*sb);

	return order ? order : strcmp(*sa, *sb);
}

static int suffixes_read(int dirfd, const char *prefix, bool v1, bool meta,
			 struct suffixes *s)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	while (r == 0 && (e = readdir(d)))
		if (belongs(e->d_name, prefix, v1, meta))
			r = suffixes_add(s, e->d_name + strlen(prefix));
	(void)closedir(d);
	if (s->n)
		qsort(s->all, s->n, sizeof(*s->all), by_turn);
	return r;
}

static int join(const char *prefix, const char *suffix, char **ret)
{
	return asprintf(ret, "%s%s", prefix, suffix) < 0
		       ? (*ret = NULL, -ENOMEM)
		       : 0;
}

/* Whether both names lead to one file. */
static bool twins(int dirfd, const char *a, int b_dirfd, const char *b)
{
	struct stat sa, sb;

	return io_stat_link(dirfd, a, &sa) == 0 &&
	       io_stat_link(b_dirfd, b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* Unlinks what is under `prefix` and, as the same file, under `twin` too. */
static int drop_twins(int dirfd, const char *prefix, int twin_dirfd,
		      const char *twin, const struct suffixes *s)
{
	int r = 0;

	for (size_t i = s->n; r == 0 && i > 0; i--) {
		CLEANUP(free_ptr) char *name = NULL;
		CLEANUP(free_ptr) char *other = NULL;

		r = join(prefix, s->all[i - 1], &name);
		if (r == 0)
			r = join(twin, s->all[i - 1], &other);
		if (r == 0 && twins(dirfd, name, twin_dirfd, other))
			r = io_unlink(dirfd, name);
	}
	return r;
}

/* --- moving --------------------------------------------------------------- */

static int make_mark(struct files_move *m)
{
	uint64_t random;
	int r;

	m->within = twins(m->dirfd, ".", m->to_dirfd, ".");
	if (!m->within || m->v1)
		return 0;
	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	if (asprintf(&m->mark, "%s" MOVE "%016llx" TEMPORARY_END, m->to,
		     (unsigned long long)random) < 0) {
		m->mark = NULL;
		return -ENOMEM;
	}
	r = io_symlink(m->prefix, m->dirfd, m->mark);
	if (r < 0)
		free(STEAL(m->mark));
	return r;
}

static void drop_mark(struct files_move *m)
{
	if (m->mark)
		(void)io_unlink(m->dirfd, m->mark);
	free(STEAL(m->mark));
}

/* A link that says where it leads from where it is cannot go elsewhere. */
static bool is_tied(const struct files_move *m, const char *name)
{
	struct stat st;

	return !m->within && io_stat_link(m->dirfd, name, &st) == 0 &&
	       S_ISLNK(st.st_mode);
}

static int link_one(const struct files_move *m, const char *suffix)
{
	CLEANUP(free_ptr) char *name = NULL;
	CLEANUP(free_ptr) char *to = NULL;
	int r = join(m->prefix, suffix, &name);

	if (r == 0)
		r = join(m->to, suffix, &to);
	if (r == 0)
		r = is_tied(m, name) ? -EXDEV
				     : io_link(m->dirfd, name, m->to_dirfd, to);
	if (r == -EEXIST)
		log_error("%s: not renamed to %s: there is a file %s already",
			  m->prefix, m->to, to);
	/* Then whoever asked copies: no rename leaves one name whole. */
	if (r == -EPERM || r == -EOPNOTSUPP || r == -EMLINK)
		r = -EXDEV;
	return r;
}

int files_link(struct files_move *m)
{
	CLEANUP(suffixes_release) struct suffixes s = { 0 };
	size_t done = 0;
	int r = suffixes_read(m->dirfd, m->prefix, m->v1, true, &s);

	if (r == 0)
		r = make_mark(m);
	if (r < 0)
		return r;
	while (r == 0 && done < s.n) {
		r = link_one(m, s.all[done]);
		done += r == 0;
	}
	if (r == 0)
		r = io_sync(m->to_dirfd);
	if (r < 0) {
		const struct suffixes linked = { s.all, done };

		(void)drop_twins(m->to_dirfd, m->to, m->dirfd, m->prefix,
				 &linked);
		drop_mark(m);
	}
	return r;
}

void files_undo(struct files_move *m)
{
	CLEANUP(suffixes_release) struct suffixes s = { 0 };

	if (suffixes_read(m->dirfd, m->prefix, m->v1, true, &s) == 0)
		(void)drop_twins(m->to_dirfd, m->to, m->dirfd, m->prefix, &s);
	drop_mark(m);
}

int files_unlink(struct files_move *m)
{
	CLEANUP(suffixes_release) struct suffixes s = { 0 };
	int r = suffixes_read(m->dirfd, m->prefix, m->v1, true, &s);

	if (r == 0)
		r = drop_twins(m->dirfd, m->prefix, m->to_dirfd, m->to, &s);
	if (r < 0)
		log_error("%s: renamed to %s, but cannot be unlinked: %s",
			  m->prefix, m->to, strerror(-r));
	drop_mark(m);
	return r < 0 ? r : io_sync(m->dirfd);
}

void files_move_release(struct files_move *m)
{
	free(STEAL(m->mark));
}

int files_remove(int dirfd, const char *prefix, bool v1)
{
	CLEANUP(suffixes_release) struct suffixes s = { 0 };
	int r = suffixes_read(dirfd, prefix, v1, false, &s);

	for (size_t i = s.n; r == 0 && i > 0; i--) {
		CLEANUP(free_ptr) char *name = NULL;

		r = join(prefix, s.all[i - 1], &name);
		if (r == 0)
			r = io_unlink(dirfd, name);
		if (r == -ENOENT)
			r = 0;
	}
	return r < 0 ? r : io_sync(dirfd);
}

/* --- after a crash -------------------------------------------------------- */

/* The new prefix, if `name` is a mark. */
static char *parse_mark(const char *name)
{
	size_t end = strlen(MOVE) + HEX + strlen(TEMPORARY_END);
	size_t len = strlen(name);
	const char *at = name + len - end;

	if (len <= end || !span_ends_in(span_of(name), TEMPORARY_END) ||
	    strncmp(at, MOVE, strlen(MOVE)) != 0 ||
	    strspn(at + strlen(MOVE), "0123456789abcdef") != HEX)
		return NULL;
	return strndup(name, len - end);
}

static bool exists(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *name = NULL;
	struct stat st;

	return join(prefix, INDEX, &name) == 0 &&
	       io_stat_link(dirfd, name, &st) == 0;
}

/* Ends a move as far as it came: `to` is kept where it has its index. */
static int recover_move(int dirfd, const char *from, const char *to)
{
	CLEANUP(suffixes_release) struct suffixes s = { 0 };
	bool forward = exists(dirfd, to);
	const char *keep = forward ? to : from;
	const char *drop = forward ? from : to;
	int r = suffixes_read(dirfd, drop, false, true, &s);

	if (r == 0 && forward)
		(void)state_rename(dirfd, from, to);
	if (r == 0)
		r = drop_twins(dirfd, drop, dirfd, keep, &s);
	if (r == 0)
		log_info("%s: renaming it to %s was cut short: it is %s", from,
			 to, keep);
	return r;
}

static void recover_mark(int dirfd, const char *name)
{
	CLEANUP(free_ptr) char *to = parse_mark(name);
	CLEANUP(buf_release) struct buf from = { 0 };

	if (!to || io_readlink(dirfd, name, &from) < 0)
		return;
	buf_put(&from, "", 1);
	if (buf_error(&from) || !files_prefix_ok((const char *)from.data) ||
	    strcmp((const char *)from.data, to) == 0)
		return;
	if (recover_move(dirfd, (const char *)from.data, to) == 0)
		(void)io_unlink(dirfd, name);
}

void files_recover(int dirfd)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		recover_mark(dirfd, e->d_name);
		state_clean(dirfd, e->d_name);
	}
	if (d)
		(void)closedir(d);
}

bool files_saved_model(int dirfd, const char *path)
{
	static const char name[] = "variables/variables";
	size_t len = strlen(path), n = strlen(name);
	CLEANUP(free_ptr) char *model = NULL;
	struct stat st;

	if (len < n || strcmp(path + len - n, name) != 0 ||
	    (len > n && path[len - n - 1] != '/'))
		return false;
	if (asprintf(&model, "%.*s" SAVED_MODEL_FILE, (int)(len - n), path) <
	    0) {
		model = NULL;
		return false;
	}
	return io_stat(dirfd, model, &st) == 0;
}
