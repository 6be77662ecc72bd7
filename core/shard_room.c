/* Whether a shard may be edited in place, and where: see shard.h. */
#include <errno.h>
#include <fcntl.h>

#include "core/alias.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/shard_inside.h"

/* Whether a write into this file touches this checkpoint only. */
static int check_editable_locked(struct shard *s, int fd,
				 const char **ret_reason)
{
	struct stat st, named;
	int r;

	if (s->unnamed)
		return 0;
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
	if (!shard_is_ours_locked(s))
		return -ESTALE;
	if (s->end < s->named && shard_just_changed(s))
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

	if (epoch == shard_epoch(s) && shard_is_ours_locked(s) &&
	    fstat(s->write_fd, &st) == 0 && (s->unnamed || st.st_nlink == 1))
		free_locked(s, room);
}

void shard_retire(struct shard *s, struct room room, unsigned epoch,
		  enum room_owner owner)
{
	LOCK_SCOPE(&s->lock);

	if (epoch == shard_epoch(s))
		space_wait(&s->space, room, owner, (int64_t)clock_ms());
}

static int64_t until(enum room_owner owner, unsigned grace)
{
	return owner == ROOM_OURS ? (int64_t)clock_ms() - (int64_t)grace * 1000
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
	if (!shard_is_ours_locked(s) ||
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
