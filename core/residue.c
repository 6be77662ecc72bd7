#include "core/residue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"

#define INDEX ".index"

/* Clocks of files are coarse: of the same time is not older. */
static bool is_older(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec < b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

static void remove_file(int dirfd, const char *name)
{
	if (io_unlink(dirfd, name) == 0)
		log_info("%s: removed: left by a crash", name);
}

/* `len` bytes of `name` are the index beside which it was made. */
static void remove_one(int dirfd, const char *name, size_t len, uint64_t ino)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *prefix = NULL;
	const char *reason;
	struct stat st;
	int r;

	if (len <= strlen(INDEX) ||
	    strncmp(name + len - strlen(INDEX), INDEX, strlen(INDEX)) != 0)
		return;
	prefix = strndup(name, len - strlen(INDEX));
	if (!prefix || io_stat(dirfd, name, &st) < 0)
		return;
	r = bundle_open(dirfd, prefix, NULL, &b);
	/* A first index that never got its name, and not one that lost it. */
	if (r == -ENOENT && (ino == 0 || ino == st.st_ino)) {
		remove_file(dirfd, name);
		return;
	}
	if (r < 0 || bundle_writable(b, &reason) < 0)
		return;
	if (ino && ino != st.st_ino && !is_older(&st, bundle_stat(b))) {
		log_warning("%s: left by a crash, and newer than the index of "
			    "%s: look which one you want, and remove the other",
			    name, prefix);
		return;
	}
	remove_file(dirfd, name);
}

void residue_remove(int dirfd)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint64_t ino;
	size_t len;

	while (d && (e = readdir(d)))
		if (temporary_parse(e->d_name, &len, &ino))
			remove_one(dirfd, e->d_name, len, ino);
	if (d)
		(void)closedir(d);
}
