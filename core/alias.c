#include "core/alias.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"

/* As TensorFlow's own managers look for them. */
#define DATA_FILES     \
	"*.data-?????" \
	"-of-?????" /* apart: no trigraph */
#define DATA_LEN (sizeof(".data-00000-of-00001") - 1)

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_directory(int dirfd, const char *path)
{
	const char *name = last_component(path);
	CLEANUP(free_ptr)
	char *parent = strndup(path, (size_t)(name - path));

	if (!parent)
		return -ENOMEM;
	return io_open(dirfd, *parent ? parent : ".", O_RDONLY | O_DIRECTORY);
}

/*
 * Links that leave the directory are not followed: they may lead into a mount of
 * ours.  One that ends in the name of the file is taken to come back to it.
 */
static bool leads_to(int dirfd, const char *link, const char *name,
		     const struct stat *file)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;
	int r = io_stat(dirfd, link, &st);

	if (r == 0)
		return st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	if (r == -ENOENT)
		return false;
	n = readlinkat(dirfd, link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return strcmp(last_component(target), name) == 0;
}

static char *index_of(const char *data)
{
	size_t len = strlen(data);
	char *index;

	if (len <= DATA_LEN ||
	    asprintf(&index, "%.*s.index", (int)(len - DATA_LEN), data) < 0)
		return NULL;
	return index;
}

/*
 * Whether the index beside the link is the very same as ours, as where a checkpoint is
 * linked as a whole: it then says where our bytes are, whatever we do.
 */
static bool shares_index(int dirfd, const char *link, const char *name)
{
	CLEANUP(free_ptr) char *theirs = index_of(link);
	CLEANUP(free_ptr) char *ours = index_of(name);
	struct stat a, b;

	return theirs && ours && io_stat(dirfd, theirs, &a) == 0 &&
	       io_stat_link(dirfd, ours, &b) == 0 && S_ISREG(b.st_mode) &&
	       b.st_nlink == 1 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool search(DIR *d, const char *name, const struct stat *file)
{
	const struct dirent *e;

	while ((e = readdir(d))) {
		if (e->d_type != DT_LNK && e->d_type != DT_UNKNOWN)
			continue;
		if (strcmp(e->d_name, name) != 0 &&
		    fnmatch(DATA_FILES, e->d_name, 0) == 0 &&
		    leads_to(dirfd(d), e->d_name, name, file) &&
		    !shares_index(dirfd(d), e->d_name, name))
			return true;
	}
	return false;
}

int alias_search(int dirfd, const char *path, const struct stat *file,
		 struct timespec *seen)
{
	int fd = open_directory(dirfd, path);
	struct stat st;
	DIR *d;
	bool found;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && st.st_mtim.tv_sec == seen->tv_sec &&
	    st.st_mtim.tv_nsec == seen->tv_nsec) {
		close_fd(&fd);
		return 0;
	}
	d = fdopendir(fd);
	if (!d) {
		close_fd(&fd);
		return -ENOMEM;
	}
	found = search(d, last_component(path), file);
	(void)closedir(d);
	if (!found)
		*seen = st.st_mtim;
	return found;
}
