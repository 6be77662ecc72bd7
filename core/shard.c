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

#include "core/alias.h"
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

struct former_name {
	struct former_name *older;
	char *name;
};

struct shard {
	atomic_uint refs;
	atomic_bool dirty; /* written to since the last sync */
	atomic_int dirfd;
	int32_t id;
	_Atomic(char *) name;
	struct former_name *former; /* names that it had; under the lock */
	atomic_int fd;              /* -1 while it is missing */
	atomic_uint epoch;  /* how often it was forgotten what is free */
	atomic_uint faults; /* syncs that failed */
	atomic_bool new;    /* made by us, and its name not yet synced */
	atomic_bool made_here;
	atomic_bool kept;      /* an index names it */
	struct file_id opened; /* as it was then */
	struct timespec made;  /* zero where that is not known, or by us */
	time_t changed;        /* when it had last been, then */
	pthread_mutex_t lock;  /* for all that follows */
	struct map *maps;
	int write_fd;  /* -1 until shard_edit() */
	bool may_make; /* at the first reservation, like `like` */
	struct stat like;
	uint64_t end;   /* its length, which nobody else changes */
	uint64_t named; /* to where an index names its bytes */
	struct space space;
	struct timespec alias_seen;
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
		s->changed = stx.stx_ctime.tv_sec;
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
	s->name = shard_file_name(prefix, id, num_shards);
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
static int check_editable_locked(struct shard *s, int fd,
				 const char **ret_reason)
{
	struct stat st, named;
	int r;

	if (fstat(fd, &st) < 0 ||
	    fstatat(s->dirfd, s->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	*ret_reason = "it is reached through a symbolic link";
	if (S_ISLNK(named.st_mode))
		return -EOPNOTSUPP;
	if (st.st_dev != s->opened.dev || st.st_ino != s->opened.ino ||
	    named.st_dev != st.st_dev || named.st_ino != st.st_ino)
		return -ESTALE;
	*ret_reason = "it is no regular file, or has another name";
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EOPNOTSUPP;
	*ret_reason = "a symbolic link of another checkpoint leads to it";
	r = alias_search(s->dirfd, s->name, &st, &s->alias_seen);
	return r == 1 ? -EOPNOTSUPP : r;
}

static int open_for_writing_locked(struct shard *s, const char **ret_reason)
{
	int fd = io_open(s->dirfd, s->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	int r;

	*ret_reason = fd == -ELOOP ? "it is reached through a symbolic link"
				   : "it may not be written to";
	if (fd == -ENOENT)
		return -ESTALE;
	if (fd == -EROFS || fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	if (fd < 0)
		return -EOPNOTSUPP;
	r = check_editable_locked(s, fd, ret_reason);
	if (r < 0)
		close_fd(&fd);
	else
		s->write_fd = fd;
	return r;
}

int shard_edit(struct shard *s, const struct stat *like,
	       const char **ret_reason)
{
	LOCK_SCOPE(&s->lock);

	if (!shard_missing(s))
		return s->write_fd < 0 ? open_for_writing_locked(s, ret_reason)
				       : check_editable_locked(s, s->write_fd,
							       ret_reason);
	if (s->named > 0) {
		*ret_reason = "it is missing, and may still come";
		return -EOPNOTSUPP;
	}
	s->may_make = true;
	s->like = *like;
	return 0;
}

/* --- room ------------------------------------------------------------------ */

static int make_locked(struct shard *s)
{
	int fd, copy, r;

	if (!s->may_make)
		return -EIO;
	fd = io_create(s->dirfd, s->name, &s->like);
	/* Somebody else has just put theirs there. */
	if (fd < 0)
		return fd == -EEXIST ? -ESTALE : fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = copy < 0 ? -errno : io_fd_id(fd, &s->opened);
	if (r < 0) {
		close_fd(&copy);
		close_fd(&fd);
		return r;
	}
	s->write_fd = fd;
	s->end = 0;
	atomic_store(&s->new, true);
	atomic_store(&s->made_here, true);
	atomic_store(&s->fd, copy);
	return 0;
}

static int check_length_locked(const struct shard *s)
{
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
	return 0;
}

/* Free room, if there is any that is large enough and may be written to. */
static bool reuse_locked(struct shard *s, uint64_t n, uint64_t *ret_offset)
{
	const char *reason;

	if (s->space.free.n == 0 ||
	    check_editable_locked(s, s->write_fd, &reason) < 0)
		return false;
	return rooms_take(&s->space.free, n, ret_offset);
}

static int reserve_locked(struct shard *s, uint64_t n, uint64_t *ret_offset)
{
	uint64_t end;
	int r = check_length_locked(s);

	if (r < 0)
		return r;
	end = s->end;
	if (n > 0 && reuse_locked(s, n, ret_offset)) {
		r = io_reserve(s->write_fd, *ret_offset, n);
		if (r < 0)
			rooms_add(&s->space.free,
				  (struct room){ *ret_offset, n });
		return r;
	}
	*ret_offset = end;
	r = io_reserve(s->write_fd, end, n);
	/* Even a reservation that failed may have made the file longer. */
	(void)io_size(s->write_fd, &s->end);
	if (r < 0 && s->end > end)
		rooms_add(&s->space.free, (struct room){ end, s->end - end });
	return r;
}

/* Free room takes no space, so to write to it again is never worse than that. */
static void free_locked(struct shard *s, struct room room)
{
	io_punch(s->write_fd, room.offset, room.size);
	rooms_add(&s->space.free, room);
}

int shard_reserve(struct shard *s, uint64_t n, struct extent **ret)
{
	LOCK_SCOPE(&s->lock);
	uint64_t offset = 0;
	int r = shard_missing(s) ? make_locked(s) : 0;

	if (r == 0)
		r = reserve_locked(s, n, &offset);
	if (r < 0)
		return r;
	r = extent_new(s, offset, n, true, ret);
	if (r < 0)
		free_locked(s, (struct room){ offset, n });
	return r;
}

static int64_t now_ms(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

unsigned shard_epoch(const struct shard *s)
{
	return atomic_load(&s->epoch);
}

void shard_forget(struct shard *s)
{
	LOCK_SCOPE(&s->lock);

	atomic_fetch_add(&s->epoch, 1);
	space_forget(&s->space);
}

/* No other name can have come to name what no index ever has. */
void shard_release(struct shard *s, struct room room, unsigned epoch)
{
	struct stat st;
	LOCK_SCOPE(&s->lock);

	if (epoch == shard_epoch(s) && is_ours_locked(s) &&
	    fstat(s->write_fd, &st) == 0 && st.st_nlink == 1)
		free_locked(s, room);
}

void shard_retire(struct shard *s, struct room room, unsigned epoch,
		  enum room_owner owner)
{
	LOCK_SCOPE(&s->lock);

	if (epoch == shard_epoch(s))
		space_wait(&s->space, room, owner, now_ms());
}

static int64_t until(enum room_owner owner, unsigned grace)
{
	return owner == ROOM_OURS ? now_ms() - (int64_t)grace * 1000
				  : INT64_MAX;
}

bool shard_due(struct shard *s, enum room_owner owner, unsigned grace)
{
	LOCK_SCOPE(&s->lock);

	return space_due(&s->space, owner, until(owner, grace));
}

unsigned shard_collect(struct shard *s, enum room_owner owner, unsigned grace,
		       struct rooms *ret)
{
	LOCK_SCOPE(&s->lock);

	space_collect(&s->space, owner, until(owner, grace), ret);
	return shard_epoch(s);
}

/* What is left to wait in vain, where this fails, is dead bytes. */
void shard_free(struct shard *s, const struct rooms *rooms, unsigned epoch)
{
	const char *reason;
	LOCK_SCOPE(&s->lock);

	if (epoch != shard_epoch(s) || shard_missing(s))
		return;
	if (s->write_fd < 0 && open_for_writing_locked(s, &reason) < 0)
		return;
	if (!is_ours_locked(s) ||
	    check_editable_locked(s, s->write_fd, &reason) < 0)
		return;
	for (size_t i = 0; i < rooms->n; i++)
		free_locked(s, rooms->at[i]);
}

void shard_keep(struct shard *s)
{
	atomic_store(&s->kept, true);
}

void shard_drop(struct shard *s)
{
	const char *reason;
	LOCK_SCOPE(&s->lock);

	if (atomic_load(&s->made_here) && !atomic_load(&s->kept) &&
	    check_editable_locked(s, s->write_fd, &reason) == 0)
		(void)io_unlink(s->dirfd, s->name);
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

/* --- writing --------------------------------------------------------------- */

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
	int r = atomic_exchange(&s->dirty, false) ? io_sync_data(s->write_fd)
						  : 0;

	if (r < 0)
		atomic_fetch_add(&s->faults, 1);
	return r;
}

unsigned shard_faults(const struct shard *s)
{
	return atomic_load(&s->faults);
}

int shard_sync_name(struct shard *s)
{
	int r;

	if (!atomic_load(&s->new))
		return 0;
	r = io_sync_parent(s->dirfd, s->name);
	if (r == 0)
		atomic_store(&s->new, false);
	return r;
}
