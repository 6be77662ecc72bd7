#include "core/residue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/compact.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan_name.h"
#include "core/state.h"
#include "core/temporary.h"
#include "core/v1.h"

#define INDEX ".index"

static void remove_file(int dirfd, const char *name)
{
	if (io_unlink(dirfd, name) == 0)
		log_info("%s: removed: left by a crash", name);
}

static bool is_index(const char *name, size_t len)
{
	return len > strlen(INDEX) &&
	       strncmp(name + len - strlen(INDEX), INDEX, strlen(INDEX)) == 0;
}

/*
 * The checkpoint that a temporary was made for: that of the index or, of V1, of the file
 * beside which it was made; `ret` is that file as it is now.
 */
static int open_checkpoint(int dirfd, const char *beside, struct bundle **ret_b,
			   struct stat *ret)
{
	size_t len = strlen(beside);
	bool v1 = !is_index(beside, len);
	size_t stem = v1 ? scan_stem(beside) : len - strlen(INDEX);
	CLEANUP(free_ptr)
	char *prefix = strndup(beside, stem ? stem : len);
	int r = prefix ? io_stat(dirfd, beside, ret) : -ENOMEM;

	if (r < 0)
		return r;
	return v1 ? v1_open(dirfd, prefix, ret_b)
		  : bundle_open(dirfd, prefix, NULL, ret_b);
}

static void remove_one(int dirfd, const char *name, size_t len, uint64_t ino)
{
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	CLEANUP(free_ptr) char *beside = strndup(name, len);
	const char *reason;
	struct stat st, now;
	int r;

	/* That of the state file is state_edit.c's. */
	if (!beside || strcmp(beside, STATE_FILE) == 0 ||
	    io_stat(dirfd, name, &st) < 0)
		return;
	r = open_checkpoint(dirfd, beside, &b, &now);
	/* A first index that never got its name, and not one that lost it. */
	if (r == -ENOENT && (ino == 0 || ino == st.st_ino)) {
		remove_file(dirfd, name);
		return;
	}
	if (r < 0 || bundle_writable(b, &reason) < 0)
		return;
	/* What was exchanged out was a link, and what it leads to is still there. */
	if (io_stat_link(dirfd, name, &st) == 0 && S_ISLNK(st.st_mode)) {
		remove_file(dirfd, name);
		return;
	}
	if (io_stat(dirfd, name, &st) < 0)
		return;
	if (ino && ino != st.st_ino && !temporary_replaces(name, &st)) {
		log_warning("%s: left by a crash, and perhaps newer than %s%s: "
			    "look which one you want, and remove the other",
			    name, is_index(beside, len) ? "the index " : "",
			    beside);
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

	while (d && (e = readdir(d))) {
		if (temporary_parse(e->d_name, &len, &ino))
			remove_one(dirfd, e->d_name, len, ino);
		else
			compact_clean(dirfd, e->d_name);
	}
	if (d)
		(void)closedir(d);
}
