#include "core/item.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint.h"
#include "core/cleanup.h"
#include "core/folder.h"
#include "core/io.h"

struct item {
	atomic_uint refs;
	enum item_kind kind;
	uint64_t id;
	atomic_bool dead;
	atomic_bool made;
	uint64_t place; /* among its siblings; the folder's lock */
	int dirfd;      /* of the store */
	uint64_t ino;   /* of a directory in the source */
	bool v1;
	struct folder *folder;
	struct checkpoint *checkpoint;
	/* To change what follows takes the folder's lock, too. */
	pthread_mutex_t lock;
	struct folder *in;
	char *name;   /* as it shows */
	char *source; /* file, prefix or target: see struct found */
};

struct item *item_ref(struct item *i)
{
	atomic_fetch_add(&i->refs, 1);
	return i;
}

void item_unref(struct item *i)
{
	if (!i || atomic_fetch_sub(&i->refs, 1) != 1)
		return;
	checkpoint_unref(i->checkpoint);
	(void)pthread_mutex_destroy(&i->lock);
	free(i->name);
	free(i->source);
	free(i);
}

/* What the item stands for: a folder, or a checkpoint nobody has read yet. */
static int attach(struct item *i, uint64_t root_id)
{
	switch (i->kind) {
	case ITEM_FOLDER:
		return folder_add_below(i->in, i->source, &i->folder);
	case ITEM_CHECKPOINT:
		return folder_add_checkpoint(i->in, i->source, i->v1, root_id,
					     &i->checkpoint);
	case ITEM_FILE:
	case ITEM_SYMLINK:
	case ITEM_LATEST:
		break;
	}
	return 0;
}

int item_new(struct folder *in, const struct found *found, uint64_t place,
	     uint64_t root_id, struct item **ret)
{
	CLEANUP(item_unrefp) struct item *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	atomic_init(&i->refs, 1);
	(void)pthread_mutex_init(&i->lock, NULL);
	i->kind = found->kind;
	i->ino = found->ino;
	i->v1 = found->v1;
	i->in = in;
	i->place = place;
	i->dirfd = store_dirfd(folder_store(in));
	i->name = strdup(found->name);
	i->source = strdup(found->source);
	if (!i->name || !i->source)
		return -ENOMEM;
	i->id = store_next_id(folder_store(in));
	r = attach(i, root_id);
	if (r == 0)
		*ret = STEAL(i);
	return r;
}

enum item_kind item_kind(const struct item *i)
{
	return i->kind;
}

uint64_t item_id(const struct item *i)
{
	return i->kind == ITEM_FOLDER ? folder_id(i->folder) : i->id;
}

bool item_dead(const struct item *i)
{
	return atomic_load(&i->dead);
}

void item_die(struct item *i)
{
	atomic_store(&i->dead, true);
}

bool item_made(const struct item *i)
{
	return atomic_load(&i->made);
}

void item_set_made(struct item *i)
{
	atomic_store(&i->made, true);
}

struct folder *item_folder(const struct item *i)
{
	return i->folder;
}

struct checkpoint *item_checkpoint(const struct item *i)
{
	return i->checkpoint;
}

const char *item_name(const struct item *i)
{
	return i->name;
}

const char *item_source(const struct item *i)
{
	return i->source;
}

uint64_t item_place(const struct item *i)
{
	return i->place;
}

bool item_v1(const struct item *i)
{
	return i->v1;
}

bool item_is(const struct item *i, const struct found *found)
{
	return i->kind == found->kind && strcmp(i->name, found->name) == 0 &&
	       strcmp(i->source, found->source) == 0 && i->ino == found->ino &&
	       i->v1 == found->v1;
}

int item_rename(struct item *i, struct folder *in, const char *name,
		uint64_t place)
{
	char *shown = strdup(name);
	char *source = strdup(name);
	LOCK_SCOPE(&i->lock);

	if (!shown || !source) {
		free(shown);
		free(source);
		return -ENOMEM;
	}
	free(i->name);
	free(i->source);
	i->name = shown;
	i->source = source;
	i->in = in;
	i->place = place;
	return 0;
}

/* --- what it stands for in the source -------------------------------------- */

static char *path_of(struct item *i)
{
	LOCK_SCOPE(&i->lock);
	return folder_path_of(i->in, i->source);
}

/* A folder above it may get another name between asking for the path and using it. */
static int open_path(struct item *i, int flags)
{
	CLEANUP(free_ptr) char *path = path_of(i);

	for (;;) {
		int fd = path ? io_open(i->dirfd, path, flags) : -ENOMEM;
		char *now = fd == -ENOENT ? path_of(i) : NULL;
		bool same = !now || strcmp(now, path) == 0;

		if (same) {
			free(now);
			return fd;
		}
		free(path);
		path = now;
	}
}

int item_open(struct item *i, int flags)
{
	return open_path(i, flags | O_NONBLOCK);
}

static int stat_latest(const struct item *i, struct stat *ret)
{
	struct stat st;
	int r = io_stat(i->dirfd, ".", &st);

	if (r < 0)
		return r;
	st.st_mode = S_IFLNK | 0777;
	st.st_nlink = 1;
	st.st_size = (off_t)strlen(i->source);
	st.st_blocks = 0;
	*ret = st;
	return 0;
}

int item_stat(struct item *i, struct stat *ret)
{
	CLEANUP(close_fd) int fd = -1;

	if (i->kind == ITEM_LATEST)
		return stat_latest(i, ret);
	fd = open_path(i, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

int item_resize(struct item *i, uint64_t size)
{
	CLEANUP(close_fd) int fd = item_open(i, O_WRONLY);

	return fd < 0 ? fd : io_resize(fd, size);
}

/* Of the link, and not of what it leads to. */
static int set_link_attributes(struct item *i, const struct attributes *a)
{
	CLEANUP(close_fd) int fd = open_path(i, O_PATH | O_NOFOLLOW);

	return fd < 0 ? fd : io_set_link_attributes(fd, a);
}

int item_set_attributes(struct item *i, const struct attributes *a)
{
	CLEANUP(close_fd) int fd = -1;

	switch (i->kind) {
	case ITEM_LATEST:
		return 0;
	case ITEM_SYMLINK:
		return set_link_attributes(i, a);
	case ITEM_FOLDER:
	case ITEM_CHECKPOINT:
	case ITEM_FILE:
		break;
	}
	fd = item_open(i, O_RDONLY);
	return fd < 0 ? fd : io_set_attributes(fd, a);
}

int item_readlink(struct item *i, struct buf *ret)
{
	CLEANUP(close_fd) int fd = -1;

	if (i->kind == ITEM_LATEST) {
		buf_printf(ret, "%s", i->source);
		return buf_error(ret);
	}
	fd = open_path(i, O_PATH | O_NOFOLLOW);
	return fd < 0 ? fd : io_readlink(fd, "", ret);
}
