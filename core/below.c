#include "core/below.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/list.h"
#include "core/scan_name.h"
#include "core/state.h"

#define DIRECTORIES_MAX 256
#define NAMES_MAX       20000

/* Paths yet to be looked at, those that are less deep first. */
struct search {
	int dirfd;
	dev_t dev;
	struct list paths; /* owned */
	size_t names;      /* how many were seen */
};

static void search_release(struct search *s)
{
	for (size_t i = 0; i < s->paths.n; i++)
		free(s->paths.items[i]);
	free(s->paths.items);
}

/* What stands where checkpoints are. */
static bool is_sign(const char *name)
{
	return strcmp(name, STATE_FILE) == 0 ||
	       strcmp(name, SAVED_MODEL_FILE) == 0 || scan_shard_prefix(name);
}

/* Without memory for it nothing is found there. */
static void note_directory(struct search *s, const char *parent,
			   const char *name)
{
	char *path;

	if (s->paths.n == DIRECTORIES_MAX ||
	    asprintf(&path, "%s%s%s", parent, *parent ? "/" : "", name) < 0)
		return;
	if (list_add(&s->paths, path) < 0)
		free(path);
}

static DIR *open_directory(const struct search *s, const char *path)
{
	int fd = io_open(s->dirfd, *path ? path : ".",
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct stat st;
	DIR *dir = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == s->dev)
		dir = fdopendir(fd);
	if (!dir)
		close_fd(&fd);
	return dir;
}

/* Whether it has a sign; and if not, what is to be looked at next. */
static bool look_at(struct search *s, const char *path)
{
	DIR *dir = open_directory(s, path);
	const struct dirent *e;
	bool found = false;

	while (dir && !found && s->names < NAMES_MAX && (e = readdir(dir))) {
		s->names++;
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			note_directory(s, path, e->d_name);
		found = *path && e->d_type == DT_REG && is_sign(e->d_name);
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

char *below_find(int dirfd)
{
	CLEANUP(search_release) struct search s = { .dirfd = dirfd };
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return NULL;
	s.dev = st.st_dev;
	(void)look_at(&s, "");
	for (size_t i = 0; i < s.paths.n; i++)
		if (look_at(&s, s.paths.items[i]))
			return STEAL(s.paths.items[i]);
	return NULL;
}
