#include "core/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/explain.h"
#include "core/io.h"
#include "core/log.h"
#include "core/state.h"
#include "core/table.h"

#define DIGITS       "0123456789"
#define SHARD_DIGITS 5

void source_release(struct source *s)
{
	if (!s->path)
		return;
	close_fd(&s->dirfd);
	free(s->path);
	free(s->prefix);
	*s = (struct source){ .dirfd = -1 };
}

/* Opens a regular file; waits for nobody, should it turn out to be a FIFO. */
static int open_file(int dirfd, const char *name, uint64_t *ret_size)
{
	int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*ret_size = (uint64_t)st.st_size;
		return fd;
	}
	close_fd(&fd);
	return -EINVAL;
}

/* Steps back from `end` over bytes that are in `set`. */
static size_t step_back(const char *name, size_t end, const char *set)
{
	while (end > 0 && strchr(set, name[end - 1]))
		end--;
	return end;
}

/*
 * The length of P where `name` is P.data-00000-of-00001, P-00000-of-00001, or what
 * TensorFlow calls the latter when it means all of them, P-?????-of-00001; else 0.
 */
static size_t shard_stem_len(const char *name)
{
	size_t end = strlen(name);
	size_t at = step_back(name, end, DIGITS);

	if (end - at < SHARD_DIGITS ||
	    !span_ends_in((struct span){ (const uint8_t *)name, at }, "-of-"))
		return 0;
	end = at - strlen("-of-");
	at = step_back(name, end, DIGITS "?");
	if (end - at < SHARD_DIGITS ||
	    !span_ends_in((struct span){ (const uint8_t *)name, at }, "-"))
		return 0;
	end = at - strlen("-");
	return span_ends_in((struct span){ (const uint8_t *)name, end },
			    ".data")
		       ? end - strlen(".data")
		       : end;
}

/* The length of the prefix that `name` is a part of by its name; 0 if it is none. */
static size_t stem_len(const char *name)
{
	static const char *const ends[] = { ".index", ".meta" };
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (span_ends_in((struct span){ (const uint8_t *)name, len },
				 ends[i]))
			return len - strlen(ends[i]);
	return shard_stem_len(name);
}

static bool has_index(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(prefix);
	struct stat st;

	return name && io_stat(dirfd, name, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_table(int dirfd, const char *name)
{
	uint64_t size;
	CLEANUP(close_fd) int fd = open_file(dirfd, name, &size);

	return fd >= 0 && table_ends(fd, size);
}

/* Whether it is the first of several files. */
static bool is_first(const char *name, size_t stem)
{
	size_t zeros = strspn(name + stem + 1, "0");

	return name[stem + 1 + zeros] == '-';
}

/*
 * Whether the directory has the first of the files of a V1 checkpoint, which stands for
 * all of them.
 */
static bool has_v1_shard(int dirfd, const char *prefix)
{
	size_t len = strlen(prefix);
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool found = false;

	if (!dir) {
		close_fd(&fd);
		return false;
	}
	while (!found && (entry = readdir(dir)))
		found = shard_stem_len(entry->d_name) == len &&
			memcmp(entry->d_name, prefix, len) == 0 &&
			is_first(entry->d_name, len) &&
			is_table(dirfd, entry->d_name);
	(void)closedir(dir);
	return found;
}

static bool is_checkpoint(int dirfd, const char *prefix)
{
	return *prefix &&
	       (has_index(dirfd, prefix) || is_table(dirfd, prefix) ||
		has_v1_shard(dirfd, prefix));
}

/* The checkpoint that `name` is, or is a part of; -ENOENT if there is none. */
static int find_prefix(int dirfd, const char *name, char **ret)
{
	const size_t lens[] = { stem_len(name), strlen(name) };

	for (size_t i = 0; i < 2; i++) {
		CLEANUP(free_ptr) char *prefix = strndup(name, lens[i]);

		if (!prefix)
			return -ENOMEM;
		if (is_checkpoint(dirfd, prefix)) {
			*ret = STEAL(prefix);
			return 0;
		}
	}
	return -ENOENT;
}

/* `checkpoint`, or one whose writer was given another name for it. */
static bool is_state_file(int dirfd, const char *name)
{
	uint64_t size;
	CLEANUP(close_fd) int fd = open_file(dirfd, name, &size);
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf latest = { 0 };

	if (fd < 0)
		return false;
	if (strcmp(name, STATE_FILE) == 0)
		return true;
	return io_read_file(fd, STATE_MAX, &text) == 0 &&
	       state_latest(buf_span(&text), &latest) == 0;
}

static int say_error(const char *path, int error)
{
	log_error("%s: %s", path, strerror(-error));
	return error;
}

static int say_what(const char *path, const char *what)
{
	log_error("%s is %s", path, what);
	return -EINVAL;
}

static int say_missing(const char *path)
{
	if (*path)
		log_error("%s: no such directory, nor a checkpoint with this "
			  "prefix",
			  path);
	else
		log_error("an empty path is no directory and no checkpoint");
	return -ENOENT;
}

/* Whether there is an index of the prefix, and it leads out of the directory. */
static bool leads_out(int dirfd, const char *prefix)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(prefix);
	struct stat st;

	return name && io_stat(dirfd, name, &st) == -EXDEV;
}

/* Says why `name`, in which nothing was recognised, cannot be mounted. */
static int refuse(const char *path, int dirfd, const char *name)
{
	CLEANUP(close_fd) int fd = -1;
	struct stat st;
	uint64_t size;
	int r = io_stat(dirfd, name, &st);

	if (r == -ENOENT && leads_out(dirfd, name))
		return say_what(path, "a checkpoint whose index is a link out "
				      "of its directory: name a directory "
				      "above both, or where it leads");
	if (r == -ENOENT)
		return say_missing(path);
	if (r == -EXDEV)
		return say_what(path, "a link out of its directory: name the "
				      "place where the checkpoint is");
	if (r < 0)
		return say_error(path, r);
	if (!S_ISREG(st.st_mode))
		return say_what(path, "neither a file nor a directory");
	if (stem_len(name) > 0 && is_table(dirfd, name))
		return say_what(path, "a part of a V1 checkpoint whose first "
				      "file (PREFIX-00000-of-NNNNN) is not "
				      "beside it");
	if (stem_len(name) > 0)
		return say_what(path, "a part of a checkpoint whose index "
				      "(PREFIX.index) is not beside it");

	fd = open_file(dirfd, name, &size);
	if (fd < 0)
		return say_error(path, fd);
	return say_what(path, "not a TensorFlow checkpoint: name a directory "
			      "of checkpoints, a prefix or an index");
}

/* An index may be there and still be none, as in a clone without Git LFS. */
static int check_index(const char *path, const struct source *s)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(s->prefix);
	CLEANUP(close_fd) int fd = -1;
	const char *what;
	uint64_t size;

	if (!name)
		return say_error(path, -ENOMEM);
	fd = open_file(s->dirfd, name, &size);
	/* V1 has none, and may have a name too long for one. */
	if (fd == -ENOENT || fd == -ENAMETOOLONG)
		return 0;
	if (fd < 0) {
		log_error("%s: %s: %s", path, name, strerror(-fd));
		return fd;
	}
	what = explain_file(s->dirfd, name);
	if (!what)
		return 0;
	log_error("%s: %s is %s", path, name, what);
	return -EINVAL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * Where the links in `path` lead.  Stores that name files by their hash link
 * model.index to such a file: then only the name of the link says what it is.
 */
static char *follow(const char *path)
{
	CLEANUP(free_ptr) char *real = realpath(path, NULL);

	if (real &&
	    (stem_len(base_name(path)) == 0 || stem_len(base_name(real)) > 0))
		return STEAL(real);
	return strdup(path);
}

static int open_dir(const char *path, struct source *ret)
{
	CLEANUP(free_ptr) char *real = realpath(path, NULL);
	int fd;

	if (!real)
		return -errno;
	fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	*ret = (struct source){ .dirfd = fd, .path = STEAL(real) };
	return 0;
}

/* The directory that holds the last component of `path`. */
static int open_parent(const char *path, struct source *ret)
{
	size_t len = (size_t)(base_name(path) - path);
	CLEANUP(free_ptr) char *dir = len ? strndup(path, len) : strdup(".");

	if (!dir)
		return -ENOMEM;
	return path[len] ? open_dir(dir, ret) : -ENOENT;
}

/* `path` is no directory: a part of a checkpoint, or what is taken for one. */
static int open_part(const char *path, struct source *ret)
{
	CLEANUP(free_ptr) char *target = follow(path);
	const char *name, *what;
	int r;

	if (!target)
		return say_error(path, -ENOMEM);
	r = open_parent(target, ret);
	if (r < 0)
		return r == -ENOENT ? say_missing(path) : say_error(path, r);

	name = base_name(target);
	r = find_prefix(ret->dirfd, name, &ret->prefix);
	if (r == 0)
		return check_index(path, ret);
	if (r != -ENOENT)
		return say_error(path, r);

	what = explain_file(ret->dirfd, name);
	if (what)
		return say_what(path, what);
	return is_state_file(ret->dirfd, name) ? 0
					       : refuse(path, ret->dirfd, name);
}

int source_open(const char *path, struct source *ret)
{
	CLEANUP(source_release) struct source s = { .dirfd = -1 };
	int r = open_dir(path, &s);

	if (r == -ENOENT || r == -ENOTDIR)
		r = open_part(path, &s);
	else if (r < 0)
		(void)say_error(path, r);
	if (r < 0)
		return r;

	*ret = s;
	s = (struct source){ .dirfd = -1 };
	return 0;
}
