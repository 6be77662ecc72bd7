#include "core/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"

#define RANDOM_DIGITS 16

/* What the name of a temporary says of the file whose place it is to take. */
static uint64_t digits_of(const struct stat *st)
{
	const uint64_t parts[] = { st->st_ino, (uint64_t)st->st_size,
				   (uint64_t)st->st_mtim.tv_sec,
				   (uint64_t)st->st_mtim.tv_nsec };
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	/* FNV-1a, by words. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		hash = (hash ^ parts[i]) * UINT64_C(0x100000001b3);
		hash ^= hash >> 32;
	}
	return hash;
}

/*
 * Gives the file the name that says which one it is, and opens it anew: a lease needs
 * a file that nobody has open for writing.
 */
static int temporary_name(struct temporary *t, const struct stat *like)
{
	size_t len = strlen(t->name) - strlen(TEMPORARY_END) - RANDOM_DIGITS;
	CLEANUP(free_ptr) char *name = NULL;
	struct stat st;
	int fd, r;

	if (fstat(t->fd, &st) < 0)
		return -errno;
	if (asprintf(&name, "%.*s%016llx-%llx" TEMPORARY_END, (int)len, t->name,
		     (unsigned long long)digits_of(like),
		     (unsigned long long)st.st_ino) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	r = io_rename(t->dirfd, t->name, name);
	if (r < 0)
		return r;
	free(t->name);
	t->name = STEAL(name);

	fd = io_open(t->dirfd, t->name, O_RDONLY | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	(void)close(t->fd);
	t->fd = fd;
	return 0;
}

int temporary_begin(int dirfd, const char *name, struct temporary *ret)
{
	CLEANUP(free_ptr) char *made = NULL;
	uint64_t random;
	int fd;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	if (asprintf(&made, "%s.%016llx" TEMPORARY_END, name,
		     (unsigned long long)random) < 0) {
		made = NULL;
		return -ENOMEM;
	}
	fd = io_make_file(dirfd, made, O_RDWR, 0600);
	if (fd < 0)
		return fd;
	*ret = (struct temporary){ dirfd, fd, STEAL(made) };
	return 0;
}

int temporary_end(struct temporary *t, const struct stat *like)
{
	int r = t->name ? io_take_after(t->fd, like) : -EINVAL;

	if (r == 0)
		r = io_sync(t->fd);
	return r < 0 ? r : temporary_name(t, like);
}

int temporary_create(int dirfd, const char *name, struct span content,
		     const struct stat *like, struct temporary *ret)
{
	CLEANUP(temporary_release) struct temporary t = { dirfd, -1, NULL };
	int r = temporary_begin(dirfd, name, &t);

	if (r == 0)
		r = io_write_at(t.fd, content.data, content.len, 0);
	if (r == 0)
		r = temporary_end(&t, like);
	if (r < 0)
		return r;

	*ret = t;
	t = (struct temporary){ dirfd, -1, NULL };
	return 0;
}

bool temporary_parse(const char *name, size_t *ret_len, uint64_t *ret_ino)
{
	size_t len = strlen(name), end = strlen(TEMPORARY_END);
	const char *dot = NULL;
	char *at;

	if (len <= end || strcmp(name + len - end, TEMPORARY_END) != 0)
		return false;
	for (const char *p = name; p < name + len - end; p++)
		if (*p == '.')
			dot = p;
	if (!dot)
		return false;
	(void)strtoull(dot + 1, &at, 16);
	if (at != dot + 1 + RANDOM_DIGITS)
		return false;
	*ret_ino = *at == '-' ? strtoull(at + 1, &at, 16) : 0;
	*ret_len = (size_t)(dot - name);
	return at == name + len - end;
}

bool temporary_replaces(const char *name, const struct stat *st)
{
	uint64_t ino;
	size_t len;

	return temporary_parse(name, &len, &ino) && ino &&
	       strtoull(name + len + 1, NULL, 16) == digits_of(st);
}

void temporary_release(struct temporary *t)
{
	if (t->name)
		(void)io_unlink(t->dirfd, t->name);
	free(STEAL(t->name));
	close_fd(&t->fd);
	t->fd = -1;
}
