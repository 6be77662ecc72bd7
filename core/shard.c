#include "core/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/explain.h"
#include "core/shard_inside.h"
#include "core/spools.h"

/* Maps are made larger than the file, so that a growing one is seldom remapped. */
#define MAP_STEP      (UINT64_C(1) << 30)
#define FRESH_SECONDS 2

struct map {
	void *data;
	size_t len;
	struct map *older; /* still in the hands of readers */
};

struct former_name {
	struct former_name *older;
	char *name;
};

static void shard_destroy(struct shard *s)
{
	int fd = atomic_load(&s->fd);

	while (s->maps) {
		struct map *m = s->maps;

		s->maps = m->older;
		(void)munmap(m->data, m->len);
		free(m);
	}
	close_fd(&s->write_fd);
	close_fd(&fd);
	space_release(&s->space);
	spools_free(s->spools);
	(void)pthread_mutex_destroy(&s->lock);
	while (s->former) {
		struct former_name *f = s->former;

		s->former = f->older;
		free(f->name);
		free(f);
	}
	free(s->name);
	free(s);
}

/* Notes what the file is like now. */
static int see(struct shard *s)
{
	struct statx stx;
	int r = io_fd_id(s->fd, &s->opened);

	if (r < 0)
		return r;
	s->end = s->opened.size;
	if (statx(s->fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_CTIME, &stx) ==
		    0 &&
	    stx.stx_mask & STATX_BTIME) {
		s->made.tv_sec = stx.stx_btime.tv_sec;
		s->made.tv_nsec = stx.stx_btime.tv_nsec;
		s->changed.tv_sec = stx.stx_ctime.tv_sec;
		s->changed.tv_nsec = stx.stx_ctime.tv_nsec;
	}
	return 0;
}

char *shard_file_name(const char *prefix, int32_t id, int32_t num_shards)
{
	char *name;

	if (asprintf(&name, "%s.data-%05d-of-%05d", prefix, id, num_shards) < 0)
		return NULL;
	return name;
}

static int shard_new(int dirfd, struct shard **ret)
{
	struct shard *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->dirfd = dirfd;
	s->fd = -1;
	s->write_fd = -1;
	*ret = s;
	return 0;
}

int shard_open(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
	       struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	int r = shard_new(dirfd, &s);

	if (r < 0)
		return r;
	s->id = id;
	s->name = shard_file_name(prefix, id, num_shards);
	r = s->name ? spools_new(&s->spools) : -ENOMEM;
	if (r < 0)
		return r;

	/* O_NONBLOCK: a pipe in its place must not hold us up. */
	s->fd = io_open(dirfd, s->name, O_RDONLY | O_NONBLOCK);
	r = s->fd < 0 ? 0 : see(s);
	if (r < 0)
		return r;
	explain_pointer(dirfd, s->name);

	*ret = STEAL(s);
	return 0;
}

int shard_unnamed(int dirfd, const char *prefix, struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *s = NULL;
	char *name;
	int r = shard_new(dirfd, &s);

	if (r < 0)
		return r;
	s->unnamed = true;
	if (asprintf(&name, "%s, not committed", prefix) < 0)
		return -ENOMEM;
	s->name = name;
	s->write_fd = io_spool(dirfd);
	if (s->write_fd < 0)
		return s->write_fd;
	s->fd = fcntl(s->write_fd, F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	*ret = STEAL(s);
	return 0;
}

bool shard_is_unnamed(const struct shard *s)
{
	return s->unnamed;
}

void shard_set_v1(struct shard *s)
{
	s->v1 = true;
}

bool shard_is_v1(const struct shard *s)
{
	return s->v1;
}

struct shard *shard_ref(struct shard *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void shard_unref(struct shard *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		shard_destroy(s);
}

int shard_move(struct shard *s, int dirfd, const char *prefix,
	       int32_t num_shards)
{
	struct former_name *f = malloc(sizeof(*f));
	char *name = shard_file_name(prefix, s->id, num_shards);

	if (!f || !name) {
		free(f);
		free(name);
		return -ENOMEM;
	}
	LOCK_SCOPE(&s->lock);
	*f = (struct former_name){ s->former, s->name };
	s->former = f;
	s->name = name;
	s->dirfd = dirfd;
	return 0;
}

void shard_set_big_endian(struct shard *s)
{
	s->big_endian = true;
}

bool shard_big_endian(const struct shard *s)
{
	return s->big_endian;
}

bool shard_is_plain(const struct shard *s)
{
	return !s->big_endian && !s->v1;
}

struct spools *shard_spools(const struct shard *s)
{
	return s->spools;
}

int32_t shard_id(const struct shard *s)
{
	return s->id;
}

const char *shard_name(const struct shard *s)
{
	return s->name;
}

int shard_fd(const struct shard *s)
{
	return s->fd;
}

uint64_t shard_end(struct shard *s)
{
	uint64_t end;

	pthread_mutex_lock(&s->lock);
	end = s->end;
	pthread_mutex_unlock(&s->lock);
	return end;
}

void shard_name_to(struct shard *s, uint64_t end)
{
	pthread_mutex_lock(&s->lock);
	if (s->named < end)
		s->named = end;
	pthread_mutex_unlock(&s->lock);
}

bool shard_missing(const struct shard *s)
{
	return s->fd < 0;
}

/* One that is missing is in its place as long as it is. */
static bool still_missing(const struct shard *s)
{
	CLEANUP(close_fd)
	int fd = io_open(s->dirfd, s->name, O_RDONLY | O_NONBLOCK);

	return fd < 0;
}

bool shard_in_place(struct shard *s)
{
	struct file_id now;

	if (s->unnamed)
		return true;
	if (s->fd < 0)
		return still_missing(s);
	LOCK_SCOPE(&s->lock);
	return io_id(s->dirfd, s->name, &now) == 0 &&
	       now.dev == s->opened.dev && now.ino == s->opened.ino &&
	       now.size == s->end;
}

static struct map *map_new(int fd, uint64_t end)
{
	struct map *m = malloc(sizeof(*m));

	if (!m)
		return NULL;
	m->len = (end / MAP_STEP + 1) * MAP_STEP;
	m->data = mmap(NULL, m->len, PROT_READ, MAP_SHARED, fd, 0);
	if (m->data == MAP_FAILED) {
		free(m);
		return NULL;
	}
	return m;
}

const void *shard_map(struct shard *s, uint64_t offset, size_t n)
{
	const void *data = NULL;
	uint64_t end = offset + n;

	pthread_mutex_lock(&s->lock);
	if (!s->maps || s->maps->len < end) {
		struct map *m = map_new(s->fd, end);

		if (m) {
			m->older = s->maps;
			s->maps = m;
		}
	}
	if (s->maps && s->maps->len >= end)
		data = (const uint8_t *)s->maps->data + offset;
	pthread_mutex_unlock(&s->lock);
	return data;
}

uint64_t shard_allocated(struct shard *s)
{
	struct stat st;
	uint64_t bytes;

	if (shard_missing(s) || fstat(s->fd, &st) < 0)
		return 0;
	bytes = (uint64_t)st.st_blocks * 512;
	return bytes < (uint64_t)st.st_size ? bytes : (uint64_t)st.st_size;
}

bool shard_is_ours_locked(const struct shard *s)
{
	uint64_t end;

	return io_size(s->write_fd, &end) == 0 && end == s->end;
}

bool shard_just_changed(const struct shard *s)
{
	return clock_recent(s->changed, FRESH_SECONDS);
}

bool shard_just_came(const struct shard *s, const struct timespec *index)
{
	if (s->made.tv_sec < index->tv_sec ||
	    (s->made.tv_sec == index->tv_sec &&
	     s->made.tv_nsec <= index->tv_nsec))
		return false;
	return shard_just_changed(s);
}
