/* Bytes on their way to the disk: see shard.h. */
#include "core/shard_inside.h"

/* What was written is sent to the disk each time this much has gathered. */
#define WRITE_BACK (UINT64_C(16) << 20)

int shard_write(struct shard *s, const void *data, size_t n, uint64_t offset)
{
	uint64_t before = offset / WRITE_BACK * WRITE_BACK;
	bool ours;
	int r;

	pthread_mutex_lock(&s->lock);
	ours = shard_is_ours_locked(s);
	pthread_mutex_unlock(&s->lock);
	r = ours ? io_write_at(s->write_fd, data, n, offset) : -ESTALE;
	atomic_store(&s->dirty, true);

	if (r == 0 && (offset + n) / WRITE_BACK * WRITE_BACK > before)
		io_write_back(s->write_fd, before, offset + n - before);
	return r;
}

int shard_fill(struct shard *s, uint64_t offset, int fd, uint64_t from,
	       uint64_t n)
{
	int r = io_copy(fd, from, s->write_fd, offset, n);

	atomic_store(&s->dirty, true);
	return r;
}

int shard_spool(const struct shard *s)
{
	return io_spool(s->dirfd);
}

int shard_sync(struct shard *s)
{
	int r = atomic_exchange(&s->dirty, false) && !s->unnamed
			? io_sync_data(s->write_fd)
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
