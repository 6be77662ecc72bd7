#include "core/compact_links.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/shard.h"

static enum compact_links judge(int dirfd, const char *name)
{
	struct stat st;

	if (io_stat_link(dirfd, name, &st) < 0)
		return COMPACT_MISSING;
	return S_ISLNK(st.st_mode) ? COMPACT_LINK : COMPACT_FREE;
}

static bool is_one_of(const struct bundle *b, const struct stat *st)
{
	const struct file_id *index = bundle_id(b);
	struct shard *const *shards;
	struct stat of;
	size_t n;

	if (index->dev == st->st_dev && index->ino == st->st_ino)
		return true;
	shards = bundle_shards(b, &n);
	for (size_t i = 0; i < n; i++)
		if (fstat(shard_fd(shards[i]), &of) == 0 &&
		    of.st_dev == st->st_dev && of.st_ino == st->st_ino)
			return true;
	return false;
}

/* Links out of the directory are not followed: they may lead into a mount of ours. */
static bool is_linked(int dirfd, const struct bundle *b)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		struct stat st;

		if (e->d_type != DT_LNK && e->d_type != DT_UNKNOWN)
			continue;
		if (io_stat_link(dirfd, e->d_name, &st) == 0 &&
		    S_ISLNK(st.st_mode) && io_stat(dirfd, e->d_name, &st) == 0)
			found = is_one_of(b, &st);
	}
	if (d)
		(void)closedir(d);
	return found;
}

enum compact_links compact_is_linked(int dirfd, const struct bundle *b)
{
	CLEANUP(free_ptr) char *index = bundle_index_name(bundle_prefix(b));
	struct shard *const *shards;
	enum compact_links what;
	size_t n;

	if (!index)
		return COMPACT_MISSING;
	what = judge(dirfd, index);
	shards = bundle_shards(b, &n);
	for (size_t i = 0; what == COMPACT_FREE && i < n; i++)
		what = shard_missing(shards[i])
			       ? COMPACT_MISSING
			       : judge(dirfd, shard_name(shards[i]));
	if (what != COMPACT_FREE)
		return what;
	return is_linked(dirfd, b) ? COMPACT_LINKED : COMPACT_FREE;
}
