#include "core/dir.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/cleanup.h"

struct dir {
	atomic_uint refs;
	int fd;
};

int dir_new(int fd, struct dir **ret)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d) {
		close_fd(&fd);
		return -ENOMEM;
	}
	atomic_init(&d->refs, 1);
	d->fd = fd;
	*ret = d;
	return 0;
}

struct dir *dir_ref(struct dir *d)
{
	atomic_fetch_add(&d->refs, 1);
	return d;
}

void dir_unref(struct dir *d)
{
	if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	close_fd(&d->fd);
	free(d);
}

int dir_fd(const struct dir *d)
{
	return d->fd;
}
