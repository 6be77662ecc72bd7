#include "core/v1_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/spools.h"
#include "core/table.h"
#include "core/v1_cache.h"

#define MEMORY_MAX \
	(UINT64_C(64) << 10) /* a spool up to this is not worth a file */

/* What it was called before: somebody may be reading the name. */
struct former_name {
	struct former_name *next;
	char *name;
};

struct v1_file {
	atomic_uint refs;
	int fd;
	struct stat opened;
	struct file_id id;
	struct table *table;
	struct v1_cache *cache;
	struct spools *spools;
	atomic_int dirfd; /* borrowed */
	_Atomic(char *) name;
	pthread_mutex_t
		lock; /* so that it has one name at a time: for `former` */
	struct former_name *former;
};

struct v1_file *v1_file_ref(struct v1_file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

static void v1_file_destroy(struct v1_file *f)
{
	while (f->former) {
		struct former_name *former = f->former;

		f->former = former->next;
		free(former->name);
		free(former);
	}
	v1_cache_free(f->cache);
	spools_free(f->spools);
	table_free(f->table);
	close_fd(&f->fd);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->name);
	free(f);
}

void v1_file_unref(struct v1_file *f)
{
	if (f && atomic_fetch_sub(&f->refs, 1) == 1)
		v1_file_destroy(f);
}

static int v1_file_new(int dirfd, const char *name, struct v1_file **ret)
{
	struct v1_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	atomic_init(&f->refs, 1);
	f->fd = -1;
	f->dirfd = dirfd;
	(void)pthread_mutex_init(&f->lock, NULL);
	f->name = strdup(name);
	if (!f->name) {
		v1_file_unref(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

char *v1_file_name_of(const char *prefix, unsigned i, unsigned n)
{
	char *name;

	if (n == 0)
		return strdup(prefix);
	return asprintf(&name, "%s-%05u-of-%05u", prefix, i, n) < 0 ? NULL
								    : name;
}

int v1_file_open(int dirfd, const char *name, struct v1_file **ret)
{
	CLEANUP(v1_file_unrefp) struct v1_file *f = NULL;
	int r = v1_file_new(dirfd, name, &f);

	if (r < 0)
		return r;
	f->fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	if (f->fd < 0)
		return f->fd;
	if (fstat(f->fd, &f->opened) < 0)
		return -errno;
	r = io_fd_id(f->fd, &f->id);
	if (r == 0)
		r = v1_cache_new(&f->cache);
	if (r == 0)
		r = spools_new(&f->spools);
	if (r == 0)
		r = table_open(f->fd, name, &f->table);
	if (r == 0)
		*ret = STEAL(f);
	return r;
}

const char *v1_file_name(const struct v1_file *f)
{
	return atomic_load(&f->name);
}

int v1_file_fd(const struct v1_file *f)
{
	return f->fd;
}

const struct table *v1_file_table(const struct v1_file *f)
{
	return f->table;
}

struct v1_cache *v1_file_cache(const struct v1_file *f)
{
	return f->cache;
}

struct spools *v1_file_spools(const struct v1_file *f)
{
	return f->spools;
}

const struct stat *v1_file_stat(const struct v1_file *f)
{
	return &f->opened;
}

int v1_file_current(struct v1_file *f)
{
	struct file_id now;
	int r;

	LOCK_SCOPE(&f->lock);
	r = io_id(f->dirfd, f->name, &now);
	return r < 0 ? r : file_id_equal(&now, &f->id);
}

int v1_file_move(struct v1_file *f, int dirfd, const char *name)
{
	CLEANUP(free_ptr) struct former_name *former = malloc(sizeof(*former));
	char *copy = strdup(name);

	if (!former || !copy) {
		free(copy);
		return -ENOMEM;
	}
	LOCK_SCOPE(&f->lock);
	*former = (struct former_name){ f->former, f->name };
	f->former = STEAL(former);
	f->name = copy;
	f->dirfd = dirfd;
	return 0;
}

int v1_file_spool(const struct v1_file *f, uint64_t n)
{
	int fd = n > MEMORY_MAX ? io_spool(f->dirfd) : io_memory();

	return fd == -EROFS || fd == -EACCES || fd == -EPERM ? io_memory() : fd;
}
