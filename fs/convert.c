#include "fs/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/convert.h"
#include "core/lock.h"
#include "core/log.h"
#include "fs/named.h"

/* The directory of a path that is yet to be, and its last component. */
static int open_directory(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(free_ptr)
	char *dir = slash ? strndup(path, (size_t)(slash + 1 - path))
			  : strdup(".");
	int fd;

	if (!dir)
		return -ENOMEM;
	*ret_name = slash ? slash + 1 : path;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	log_error("%s: %s", dir, strerror(-fd));
	return fd;
}

static enum exit_code code_of(int r)
{
	if (r == 0)
		return EXIT_CODE_OK;
	return r == -EIO ? EXIT_CODE_SOURCE : EXIT_CODE_FAILURE;
}

enum exit_code convert_run(const struct options *options)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *source = NULL;
	CLEANUP(buf_release) struct buf holder = { 0 };
	CLEANUP(close_fd) int fd = -1;
	struct convert_target to = { .v1 = options->to == FORMAT_V1 };

	if (named_open_one(options->source, false, &t) < 0 ||
	    named_read(&t.all[0], &source) < 0)
		return EXIT_CODE_SOURCE;
	fd = open_directory(options->other, &to.prefix);
	if (fd < 0)
		return EXIT_CODE_FAILURE;
	to.dirfd = fd;
	/* No mount is to begin there, and take the new files for what a crash has left. */
	(void)lock_directory(fd, &holder);
	return code_of(convert_checkpoint(source, &to));
}
