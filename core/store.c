#include "core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/dir.h"
#include "core/folder.h"
#include "core/io.h"

struct store {
	const struct store_config *config;
	int dirfd; /* of `dir` */
	struct dir *dir;
	char *path;
	struct folder *root;
	pthread_mutex_t rename_lock; /* for which folder is in which */
	pthread_mutex_t lock;        /* for `folders` */
	struct folder **folders;
	size_t n_folders;
};

int store_new(const struct store_config *config, int dirfd, const char *path,
	      struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	char *dot = strdup(".");
	int r = s && dot ? 0 : -ENOMEM;

	if (r < 0) {
		free(s);
		free(dot);
		return r;
	}
	s->config = config;
	s->dirfd = dirfd;
	io_set_root(dirfd);
	r = dir_new(dirfd, &s->dir);
	s->path = strdup(path);
	(void)pthread_mutex_init(&s->rename_lock, NULL);
	(void)pthread_mutex_init(&s->lock, NULL);
	if (r == 0)
		r = folder_new(s, NULL, dot, &s->root);
	else
		free(dot);
	if (r == 0 && !s->path)
		r = -ENOMEM;
	if (r < 0)
		store_free(s);
	else
		*ret = s;
	return r;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	io_set_root(-1);
	for (size_t i = 0; i < s->n_folders; i++)
		folder_free(s->folders[i]);
	free(s->folders);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->rename_lock);
	dir_unref(s->dir);
	free(s->path);
	free(s);
}

struct folder *store_root(const struct store *s)
{
	return s->root;
}

int store_dirfd(const struct store *s)
{
	return s->dirfd;
}

const struct store_config *store_config(const struct store *s)
{
	return s->config;
}

uint64_t store_next_id(const struct store *s)
{
	return s->config->checkpoint.next_id(s->config->checkpoint.arg);
}

pthread_mutex_t *store_rename_lock(struct store *s)
{
	return &s->rename_lock;
}

int store_add_folder(struct store *s, struct folder *f)
{
	LOCK_SCOPE(&s->lock);
	struct folder **folders = reallocarray(s->folders, s->n_folders + 1,
					       sizeof(*folders));

	if (!folders)
		return -ENOMEM;
	s->folders = folders;
	s->folders[s->n_folders++] = f;
	return 0;
}

int store_repath(struct store *s, const char *from, const char *to)
{
	LOCK_SCOPE(&s->lock);
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_folders; i++)
		r = folder_repath(s->folders[i], from, to);
	return r;
}

/* Folders are never freed before the store is; NULL behind the last. */
static struct folder *folder_at(struct store *s, size_t i)
{
	LOCK_SCOPE(&s->lock);
	return i < s->n_folders ? s->folders[i] : NULL;
}

static int each_in_folder(struct folder *f,
			  int (*each)(void *arg, const char *path,
				      struct checkpoint *cp),
			  void *arg)
{
	CLEANUP(free_ptr) struct checkpoint **all = NULL;
	CLEANUP(free_ptr) char **paths = NULL;
	size_t n = folder_checkpoints(f, false, &paths, &all);
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = each(arg, paths[i], all[i]);
		checkpoint_unref(all[i]);
		free(paths[i]);
	}
	return r;
}

int store_each(struct store *s,
	       int (*each)(void *arg, const char *path, struct checkpoint *cp),
	       void *arg)
{
	struct folder *f;
	int r = 0;

	for (size_t i = 0; r == 0 && (f = folder_at(s, i)); i++)
		r = each_in_folder(f, each, arg);
	return r;
}

int store_checkpoint(struct store *s, const char *prefix,
		     struct checkpoint **ret)
{
	CLEANUP(free_ptr) char *index = bundle_index_name(prefix);
	struct checkpoint_place place = { .dir = s->dir,
					  .prefix = prefix,
					  .label = prefix,
					  .read_only = s->config->read_only };

	if (!index)
		return -ENOMEM;
	place.v1 = faccessat(s->dirfd, index, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	return checkpoint_new(&s->config->checkpoint, &place, ret);
}
