#include "core/compact_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/scan_name.h"
#include "core/shard.h"

#define MARK_MAX (16 << 20)
#define BEGIN    "weightfs compaction"

struct compact_old {
	int32_t id;
	uint64_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
};

void compact_mark_release(struct compact_mark *m)
{
	free(m->old);
	*m = (struct compact_mark){ 0 };
}

static char *mark_name(const char *prefix)
{
	char *name;

	return asprintf(&name, "%s" COMPACT_TEMPORARY, prefix) < 0 ? NULL
								   : name;
}

size_t compact_mark_prefix(const char *name)
{
	size_t len = strlen(name), end = strlen(COMPACT_TEMPORARY);
	CLEANUP(free_ptr) char *prefix = NULL;

	if (len <= end || strcmp(name + len - end, COMPACT_TEMPORARY) != 0)
		return 0;
	/* The new shards have such names, too. */
	prefix = strndup(name, len - end);
	return prefix && scan_shard_prefix(prefix) == 0 ? len - end : 0;
}

/* --- as text ------------------------------------------------------------------ */

static void put_time(struct buf *b, const struct timespec *t)
{
	buf_printf(b, " %lld %ld", (long long)t->tv_sec, t->tv_nsec);
}

static void put_old(struct buf *b, int32_t id, const struct stat *st)
{
	buf_printf(b, "%d %lld %lld", id, (long long)st->st_ino,
		   (long long)st->st_size);
	put_time(b, &st->st_mtim);
	put_time(b, &st->st_ctim);
	buf_put(b, "\n", 1);
}

static int put_mark(struct buf *b, const struct bundle *base,
		    const struct compact_mark *m)
{
	size_t n;
	struct shard *const *shards = bundle_shards(base, &n);
	struct stat st;

	buf_printf(b, BEGIN " %d %d %d\n", m->through, m->num_shards,
		   m->before);
	for (size_t i = 0; i < n; i++) {
		if (shard_missing(shards[i]))
			continue;
		if (fstat(shard_fd(shards[i]), &st) < 0)
			return -errno;
		put_old(b, shard_id(shards[i]), &st);
	}
	buf_printf(b, "end\n");
	return buf_error(b);
}

static bool get_number(char **at, int64_t *ret)
{
	char *from = *at;

	errno = 0;
	*ret = strtoll(from, at, 10);
	return *at > from && errno == 0;
}

static bool get_count(char **at, int32_t *ret)
{
	int64_t n;

	if (!get_number(at, &n) || n < 0 || n > COMPACT_SHARDS)
		return false;
	*ret = (int32_t)n;
	return true;
}

static bool get_time(char **at, struct timespec *ret)
{
	int64_t seconds, rest;

	if (!get_number(at, &seconds) || !get_number(at, &rest))
		return false;
	*ret = (struct timespec){ seconds, rest };
	return true;
}

static bool get_old(char *line, struct compact_old *ret)
{
	int64_t ino, size;

	if (!get_count(&line, &ret->id) || !get_number(&line, &ino) ||
	    !get_number(&line, &size) || !get_time(&line, &ret->mtime) ||
	    !get_time(&line, &ret->ctime))
		return false;
	ret->ino = (uint64_t)ino;
	ret->size = (uint64_t)size;
	return !*line;
}

static bool get_head(char *line, struct compact_mark *m)
{
	if (strncmp(line, BEGIN, strlen(BEGIN)) != 0)
		return false;
	line += strlen(BEGIN);
	return get_count(&line, &m->through) &&
	       get_count(&line, &m->num_shards) &&
	       get_count(&line, &m->before) && !*line;
}

static int by_id(const void *a, const void *b)
{
	const struct compact_old *oa = a, *ob = b;

	return (oa->id > ob->id) - (oa->id < ob->id);
}

/* `text` ends in NUL. */
static int get_mark(char *text, struct compact_mark *m)
{
	char *rest = text;
	char *line = strsep(&rest, "\n");
	size_t lines = 0;

	if (!get_head(line, m))
		return -EBADMSG;
	for (const char *at = rest; at && *at; at++)
		lines += *at == '\n';
	m->old = calloc(lines + 1, sizeof(*m->old));
	if (!m->old)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n")) && strcmp(line, "end") != 0)
		if (m->n >= lines || !get_old(line, &m->old[m->n++]))
			return -EBADMSG;
	qsort(m->old, m->n, sizeof(*m->old), by_id);
	return line && rest && !*rest ? 0 : -EBADMSG;
}

/* --- the file ----------------------------------------------------------------- */

static int write_mark(int dirfd, const char *name, struct span text)
{
	CLEANUP(close_fd)
	int fd = io_make_file(dirfd, name, O_WRONLY, 0600);
	int r = fd < 0 ? fd : io_write_at(fd, text.data, text.len, 0);

	if (r == 0)
		r = io_sync(fd);
	if (r == 0)
		r = io_sync(dirfd);
	if (r < 0 && fd >= 0)
		(void)io_unlink(dirfd, name);
	return r;
}

int compact_mark_make(int dirfd, const struct bundle *base,
		      struct compact_mark *m)
{
	CLEANUP(free_ptr) char *name = mark_name(bundle_prefix(base));
	CLEANUP(buf_release) struct buf text = { 0 };
	int r = name ? put_mark(&text, base, m) : -ENOMEM;

	if (r == 0)
		r = write_mark(dirfd, name, buf_span(&text));
	return r < 0 ? r : compact_mark_read(dirfd, bundle_prefix(base), m);
}

/* Or it was just about to. */
static bool is_begun(const uint8_t *text)
{
	return !*text || strncmp((const char *)text, BEGIN, strlen(BEGIN)) == 0;
}

int compact_mark_read(int dirfd, const char *prefix, struct compact_mark *ret)
{
	CLEANUP(compact_mark_release) struct compact_mark m = { 0 };
	CLEANUP(free_ptr) char *name = mark_name(prefix);
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct stat st;
	int r;

	if (!name)
		return -ENOMEM;
	fd = io_open(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = S_ISREG(st.st_mode) ? io_read_file(fd, MARK_MAX, &text) : -EINVAL;
	if (r == 0) {
		buf_put(&text, "", 1);
		r = buf_error(&text);
	}
	if (r == 0)
		r = is_begun(text.data) ? get_mark((char *)text.data, &m)
					: -EINVAL;
	if (r < 0)
		return r;
	m.made = st.st_mtim;
	*ret = m;
	m = (struct compact_mark){ 0 };
	return 0;
}

int compact_mark_remove(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *name = mark_name(prefix);

	return name ? io_unlink(dirfd, name) : -ENOMEM;
}

/* --- whose a file is ------------------------------------------------------------ */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static const struct compact_old *find_old(const struct compact_mark *m,
					  int32_t id, const struct stat *st)
{
	const struct compact_old wanted = { .id = id };
	const struct compact_old *o =
		m->n ? bsearch(&wanted, m->old, m->n, sizeof(*o), by_id) : NULL;

	return o && o->ino == st->st_ino && o->size == (uint64_t)st->st_size &&
			       same_time(&o->mtime, &st->st_mtim)
		       ? o
		       : NULL;
}

bool compact_was_old(const struct compact_mark *m, int32_t id,
		     const struct stat *st)
{
	return find_old(m, id, st);
}

bool compact_is_old(const struct compact_mark *m, int32_t id,
		    const struct stat *st)
{
	const struct compact_old *o = find_old(m, id, st);

	return o && same_time(&o->ctime, &st->st_ctim);
}

bool compact_is_new(const struct compact_mark *m, const struct stat *st)
{
	return same_time(&m->made, &st->st_mtim);
}

int compact_set_new(const struct compact_mark *m, int fd)
{
	const struct attributes a = { .set = ATTRIBUTE_MTIME,
				      .mtime = m->made };

	return io_set_attributes(fd, &a);
}
