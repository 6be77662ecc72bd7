#include "core/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"

/* Maps are made larger than the file, so that a growing one is seldom remapped. */
#define MAP_STEP (UINT64_C(1) << 30)
/* What was written is sent to the disk each time this much has gathered. */
#define WRITE_BACK    (UINT64_C(16) << 20)
#define FRESH_SECONDS 2

struct map {
	void *data;
	size_t len;
	struct map *older; /* still in the hands of readers */
};

struct shard {
	atomic_uint refs;
	atomic_bool dirty; /* written to since the last sync */
	int dirfd;
	int32_t id;
	char *name;
	int fd;
	struct file_id opened; /* as it was then */
	struct timespec made;  /* zero where that is not known */
	time_t changed;        /* when it had last been, then */
	pthread_mutex_t lock;  /* for all that follows */
	struct map *maps;
	int write_fd;   /* -1 until shard_edit() */
	uint64_t end;   /* its length, which nobody else changes */
	uint64_t named; /* to where an index names its bytes */
};

static void shard_free(struct shard *s)
{
	while (s->maps) {
		struct map *m = s->maps;

		s->maps = m->older;
		(void)munmap(m->data, m->len);
		free(m);
	}
	close_fd(&s->write_fd);
	close_fd(&s->fd);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s);
}
DEFINE_CLEANUP(struct shard, shard_unref)

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
		s->changed = stx.stx_ctime.tv_sec;
	}
	return 0;
}

static char *name_of(const char *prefix, int32_t id, int32_t num_shards)
{
	char *name;

	if (asprintf(&name, "%s.data-%05d-of-%05d", prefix, id, num_shards) < 0)
		return NULL;
	return name;
}

int shard_open(int dirfd, const char *prefix, int32_t id, int32_t num_shards,
	       struct shard **ret)
{
	CLEANUP(shard_unrefp) struct shard *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->dirfd = dirfd;
	s->id = id;
	s->fd = -1;
	s->write_fd = -1;
	s->name = name_of(prefix, id, num_shards);
	if (!s->name)
		return -ENOMEM;

	/* O_NONBLOCK: a pipe in its place must not hold us up. */
	s->fd = io_open(dirfd, s->name, O_RDONLY | O_NONBLOCK);
	r = s->fd < 0 ? 0 : see(s);
	if (r < 0)
		return r;

	*ret = STEAL(s);
	return 0;
}

struct shard *shard_ref(struct shard *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void shard_unref(struct shard *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		shard_free(s);
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

	if (s->fd < 0)
		return still_missing(s);
	LOCK_SCOPE(&s->lock);
	return io_id(s->dirfd, s->name, &now) == 0 &&
	       now.dev == s->opened.dev && now.ino == s->opened.ino &&
	       now.size == s->end;
}

/* Whether nobody rewrote the file in place: what we reserved may then be theirs. */
static bool is_ours_locked(const struct shard *s)
{
	uint64_t end;

	return io_size(s->write_fd, &end) == 0 && end == s->end;
}

/* Whether somebody had changed it a moment before it was opened, and it is fresh. */
static bool just_changed(const struct shard *s)
{
	return time(NULL) - s->changed < FRESH_SECONDS;
}

bool shard_just_came(const struct shard *s, const struct timespec *index)
{
	if (s->made.tv_sec < index->tv_sec ||
	    (s->made.tv_sec == index->tv_sec &&
	     s->made.tv_nsec <= index->tv_nsec))
		return false;
	return just_changed(s);
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

/* Whether a write into this file touches this checkpoint only. */
static int check_editable(const struct shard *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Without a name, something else has taken its own. */
	if (st.st_dev != s->opened.dev || st.st_ino != s->opened.ino ||
	    st.st_nlink == 0)
		return -ESTALE;
	if (S_ISREG(st.st_mode) && st.st_nlink == 1)
		return 0;
	log_error("%s: not edited: the file has %u names, and a write would "
		  "change what is behind the others; copy it to a file of its "
		  "own first",
		  s->name, (unsigned)st.st_nlink);
	return -EOPNOTSUPP;
}

static int open_for_writing(struct shard *s)
{
	int fd = io_open(s->dirfd, s->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd == -ELOOP) {
		log_error("%s: not edited: it is a symbolic link, and what it "
			  "leads to may belong to another checkpoint; copy the "
			  "file here first",
			  s->name);
		return -EOPNOTSUPP;
	}
	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	r = check_editable(s, fd);
	if (r < 0)
		close_fd(&fd);
	else
		s->write_fd = fd;
	return r;
}

int shard_edit(struct shard *s)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = s->write_fd < 0 ? open_for_writing(s)
			    : check_editable(s, s->write_fd);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int reserve_locked(struct shard *s, uint64_t n)
{
	int r;

	if (!is_ours_locked(s))
		return -ESTALE;
	if (s->end < s->named && just_changed(s))
		return -ESTALE; /* a save is under way, and its index yet to come */
	if (s->end < s->named) {
		log_error("%s: not written to: it is shorter than its index "
			  "says, so what is missing may still come",
			  s->name);
		return -EIO;
	}
	r = io_reserve(s->write_fd, s->end, n);
	/* Even a reservation that failed may have made the file longer. */
	(void)io_size(s->write_fd, &s->end);
	return r;
}

int shard_reserve(struct shard *s, uint64_t n, uint64_t *ret_offset)
{
	uint64_t end;
	int r;

	pthread_mutex_lock(&s->lock);
	end = s->end;
	r = reserve_locked(s, n);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		*ret_offset = end;
	return r;
}

void shard_unreserve(struct shard *s, uint64_t offset, uint64_t n)
{
	pthread_mutex_lock(&s->lock);
	if (is_ours_locked(s))
		io_punch(s->write_fd, offset, n);
	pthread_mutex_unlock(&s->lock);
}

int shard_write(struct shard *s, const void *data, size_t n, uint64_t offset)
{
	uint64_t before = offset / WRITE_BACK * WRITE_BACK;
	bool ours;
	int r;

	pthread_mutex_lock(&s->lock);
	ours = is_ours_locked(s);
	pthread_mutex_unlock(&s->lock);
	r = ours ? io_write_at(s->write_fd, data, n, offset) : -ESTALE;
	atomic_store(&s->dirty, true);

	if (r == 0 && (offset + n) / WRITE_BACK * WRITE_BACK > before)
		io_write_back(s->write_fd, before, offset + n - before);
	return r;
}

int shard_copy(const struct shard *from, uint64_t from_offset, struct shard *to,
	       uint64_t to_offset, uint64_t n)
{
	int r = io_copy(from->fd, from_offset, to->write_fd, to_offset, n);

	atomic_store(&to->dirty, true);
	return r;
}

int shard_fill(struct shard *s, uint64_t offset, int fd, uint64_t n)
{
	int r = io_copy(fd, 0, s->write_fd, offset, n);

	atomic_store(&s->dirty, true);
	return r;
}

int shard_spool(const struct shard *s)
{
	return io_spool(s->dirfd);
}

int shard_sync(struct shard *s)
{
	return atomic_exchange(&s->dirty, false) ? io_sync_data(s->write_fd)
						 : 0;
}
