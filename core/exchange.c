#include "core/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/temporary.h"

/* Each lost to somebody who put an index there between two calls of ours. */
#define EXCHANGE_TRIES 100
/* From finding a file by its name to waiting for its lease: microseconds. */
#define LEASE_US 5000

void exchange_release(struct exchange *x)
{
	if (x->old_leased)
		io_lease_drop(x->old_fd);
	if (x->new_leased)
		io_lease_drop(x->new.fd);
	close_fd(&x->old_fd);
	temporary_release(&x->new);
	close_fd(&x->dirfd);
	free(x->name);
	*x = EXCHANGE_NONE;
}

/* -EAGAIN if it has a writer; no lease at all is no reason to give up. */
static int lease(int fd, bool *ret_leased)
{
	int r = io_lease(fd);

	*ret_leased = r == 0;
	return r == -EAGAIN ? r : 0;
}

int exchange_find(struct exchange *x, int dirfd, const char *name,
		  const struct file_id *was)
{
	int r = io_follow(dirfd, name, &x->dirfd, &x->name);

	x->was = *was;
	if (r == -EXDEV || r == -ELOOP) {
		log_error("%s: not written: it is a symbolic link that leads "
			  "out of the source",
			  name);
		return -EOPNOTSUPP;
	}
	return r;
}

int exchange_stay(struct exchange *x, int dirfd, const char *name)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	char *own = strdup(name);

	if (fd < 0 || !own) {
		close_fd(&fd);
		free(own);
		return fd < 0 ? fd : -ENOMEM;
	}
	close_fd(&x->dirfd);
	free(x->name);
	x->dirfd = fd;
	x->name = own;
	return 0;
}

int exchange_open(struct exchange *x)
{
	struct file_id id;
	int r;

	x->old_fd = io_open(x->dirfd, x->name, O_RDONLY | O_NONBLOCK);
	if (x->old_fd < 0)
		return x->old_fd;
	r = lease(x->old_fd, &x->old_leased);
	if (r == 0)
		r = io_fd_id(x->old_fd, &id);
	if (r < 0)
		return r;
	return file_id_equal(&id, &x->was) ? 0 : -ESTALE;
}

int exchange_lease(struct exchange *x)
{
	return lease(x->new.fd, &x->new_leased);
}

/* Whether `name` is the very file that `fd` has open. */
static bool is_file(int dirfd, const char *name, int fd)
{
	struct file_id at, of;

	return io_id(dirfd, name, &at) == 0 && io_fd_id(fd, &of) == 0 &&
	       at.dev == of.dev && at.ino == of.ino;
}

/* Step 6: whether the world is still the one that `base` was read from. */
static bool verified(const struct exchange *x)
{
	struct file_id out;

	if (io_id(x->dirfd, x->new.name, &out) < 0 ||
	    !file_id_equal(&out, &x->was))
		return false;
	if (x->old_leased && io_lease_broken(x->old_fd))
		return false;
	/* Its shards are those of `base`, and perhaps one that was made for it. */
	return !x->next || bundle_in_place(x->next);
}

/* Whether somebody waits to write to our index, having found it by its name. */
static bool wanted(const struct exchange *x)
{
	return x->new_leased && io_lease_broken(x->new.fd);
}

/*
 * Our index stays where it is, for a save that is about to write its own into it.  The
 * old one goes, if it is the one we know (I4).
 */
static int leave_to_writer(struct exchange *x)
{
	if (!is_file(x->dirfd, x->new.name, x->old_fd))
		free(STEAL(x->new.name));
	return -ESTALE;
}

/*
 * Puts back what the exchange took out.  If a newer index comes in between, the
 * exchange back takes that one out, so it is put in again.  Our own file is removed
 * only when nobody can be about to write to it: who found it by its name gets to the
 * lease within a moment, and then it has to have that name.
 */
static int exchange_back(struct exchange *x)
{
	for (int tries = 0; tries < EXCHANGE_TRIES; tries++) {
		/* What somebody put in our place is newer than all we know. */
		if (!is_file(x->dirfd, x->name, x->new.fd) ||
		    io_exchange(x->dirfd, x->new.name, x->name) < 0)
			return leave_to_writer(x);
		if (!is_file(x->dirfd, x->new.name, x->new.fd)) {
			(void)io_exchange(x->dirfd, x->new.name, x->name);
			continue;
		}
		(void)usleep(LEASE_US);
		if (!wanted(x))
			return -ESTALE;
		(void)io_exchange(x->dirfd, x->new.name, x->name);
		return leave_to_writer(x);
	}
	return leave_to_writer(x);
}

/* For filesystems that cannot exchange: a look, and then a rename. */
static int plain_rename(struct exchange *x)
{
	struct file_id now;
	int r = io_id(x->dirfd, x->name, &now);

	if (r < 0)
		return r;
	if (!file_id_equal(&now, &x->was) ||
	    (x->next && !bundle_in_place(x->next)))
		return -ESTALE;
	r = io_rename(x->dirfd, x->new.name, x->name);
	if (r == 0)
		free(STEAL(x->new.name));
	return r;
}

int exchange_put(struct exchange *x)
{
	int r = io_exchange(x->dirfd, x->new.name, x->name);

	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return plain_rename(x);
	if (r < 0)
		return r;
	if (wanted(x))
		return leave_to_writer(x);
	if (!verified(x))
		return exchange_back(x);
	x->put = true;
	return 0;
}

void exchange_finish(struct exchange *x)
{
	/* It stands: an old index that cannot be removed is no reason to fail. */
	if (x->put) {
		(void)io_unlink(x->dirfd, x->new.name);
		free(STEAL(x->new.name));
	}
	x->put = false;
}

int exchange_undo(struct exchange *x)
{
	if (!x->put)
		return -ESTALE;
	x->put = false;
	return exchange_back(x);
}

bool exchange_again(struct exchange *x)
{
	if (!x->new.name || !is_file(x->dirfd, x->new.name, x->new.fd))
		return false;
	if (x->old_leased)
		io_lease_drop(x->old_fd);
	x->old_leased = false;
	close_fd(&x->old_fd);
	x->old_fd = -1;
	return true;
}
