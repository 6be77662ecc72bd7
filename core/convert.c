#include "core/convert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/bundle_writer.h"
#include "core/cleanup.h"
#include "core/content.h"
#include "core/dtype.h"
#include "core/files.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan_name.h"
#include "core/shard.h"
#include "core/temporary.h"
#include "core/v1_writer.h"

#define FORMAT_OF(to) ((to)->v1 ? "V1" : "V2")

/* --- what cannot be done --------------------------------------------------- */

/* 0; -EOPNOTSUPP if the format cannot hold it, -EIO if it cannot be read. */
static int check_variable(const struct convert_target *to,
			  const struct entry *e, const char **ret_reason)
{
	const char *reason = to->v1 ? v1_refuses(e) : NULL;

	if (!to->v1 && entry_key(e).len == 0)
		reason = "its name is empty";
	*ret_reason = reason;
	return reason ? -EOPNOTSUPP : entry_readable(e, ret_reason);
}

static void say_refused(const struct convert_target *to, const struct entry *e,
			int error, const char *reason)
{
	CLEANUP(free_ptr) char *name = text_describe(entry_key(e));
	const char *shown = !name || !*name ? "the variable without a name"
					    : name;

	if (error == -EIO)
		log_error("%s: cannot be read: %s", shown, reason);
	else
		log_error("%s: not to be had in %s (it is %s): %s", shown,
			  FORMAT_OF(to), dtype_name(entry_dtype(e)), reason);
}

/* All that stand in the way are named, so that nobody learns of them one by one. */
static int check_variables(const struct bundle *source,
			   const struct convert_target *to)
{
	size_t n = 0;
	int error = 0;

	for (size_t i = 0; i < bundle_count(source); i++) {
		const struct entry *e = bundle_entry(source, i);
		const char *reason;
		int r = check_variable(to, e, &reason);

		if (r == 0)
			continue;
		say_refused(to, e, r, reason);
		error = error == -EIO ? error : r;
		n++;
	}
	if (n)
		log_error("%s: not written: %zu of %zu variables are in the "
			  "way",
			  to->prefix, n, bundle_count(source));
	return error;
}

/* Whether `name` is, or belongs to, a checkpoint of the prefix. */
static bool belongs(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 &&
	       (!name[len] || strcmp(name + len, ".index") == 0 ||
		scan_shard_prefix(name) == len || scan_stem(name) == len);
}

/* Whether a mount will show what is written under this name as that. */
static int check_name(const struct convert_target *to)
{
	if (!*to->prefix) {
		log_error("not written: a checkpoint needs a name behind its "
			  "directory, as in DIR/model");
		return -EINVAL;
	}
	if (files_prefix_ok(to->prefix) &&
	    (!to->v1 || (scan_may_be_v1(to->prefix) && !scan_stem(to->prefix))))
		return 0;
	log_error("%s: no %s checkpoint can have this name", to->prefix,
		  FORMAT_OF(to));
	return -EINVAL;
}

static void say_taken(const struct convert_target *to, const struct dirent *e)
{
	if (e->d_type == DT_DIR)
		log_error("%s: not written: it is a directory; name a prefix "
			  "in it, as in %s/model",
			  to->prefix, to->prefix);
	else
		log_error("%s: not written: there is %s already", to->prefix,
			  e->d_name);
}

static int check_target(const struct convert_target *to)
{
	int fd = io_open(to->dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	while (r == 0 && (e = readdir(d))) {
		if (!belongs(e->d_name, to->prefix))
			continue;
		say_taken(to, e);
		r = -EEXIST;
	}
	(void)closedir(d);
	return r;
}

/* --- files ----------------------------------------------------------------- */

/* A file that gets its name when it is whole. */
struct part {
	int dirfd;
	int fd;
	char *name; /* until then, where it cannot be without one */
	char *final;
	bool named; /* `final` is its name */
};

/* A save may have put its own file there: of that nothing is known. */
static bool is_there(const struct part *p, const char *name)
{
	struct file_id at, of;

	return io_id(p->dirfd, name, &at) == 0 && io_fd_id(p->fd, &of) == 0 &&
	       at.dev == of.dev && at.ino == of.ino;
}

/* Takes back what did not come to its end. */
static void part_release(struct part *p)
{
	const char *name = p->named ? p->final : p->name;

	if (name && is_there(p, name))
		(void)io_unlink(p->dirfd, name);
	close_fd(&p->fd);
	free(p->name);
	free(p->final);
}

static int part_make_named(struct part *p, const struct stat *like)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	if (asprintf(&p->name, "%s.%016llx" TEMPORARY_END, p->final,
		     (unsigned long long)random) < 0) {
		p->name = NULL;
		return -ENOMEM;
	}
	p->fd = io_create(p->dirfd, p->name, like);
	if (p->fd < 0)
		free(STEAL(p->name));
	return p->fd < 0 ? p->fd : 0;
}

/* Without a name it goes with us, however we end. */
static int part_make(const struct convert_target *to, const char *final,
		     const struct stat *like, struct part *ret)
{
	*ret = (struct part){ to->dirfd, -1, NULL, strdup(final), false };
	if (!ret->final)
		return -ENOMEM;
	ret->fd = io_create_unnamed(to->dirfd, like);
	if (ret->fd == -EOPNOTSUPP)
		return part_make_named(ret, like);
	return ret->fd < 0 ? ret->fd : 0;
}

static int part_name(struct part *p)
{
	int r = io_sync(p->fd);

	if (r < 0)
		return r;
	r = p->name ? io_rename_new(p->dirfd, p->name, p->final)
		    : io_name_new(p->fd, p->dirfd, p->final);
	p->named = r == 0;
	return r;
}

/* It stays. */
static void part_keep(struct part *p)
{
	p->named = false;
	free(STEAL(p->name));
}

/* The mode of the source, but ours. */
static struct stat attributes_like(const struct bundle *source)
{
	struct stat st = *bundle_stat(source);

	st.st_uid = geteuid();
	st.st_gid = getegid();
	return st;
}

/* --- V2 -------------------------------------------------------------------- */

/* One that is all there is of the variable: TensorFlow then writes that itself. */
static bool has_whole_slice(const struct entry *e)
{
	for (size_t i = 0; i < entry_slices(e); i++)
		if (shape_equal(entry_shape(entry_part(e, i)), entry_shape(e)))
			return true;
	return false;
}

static int put_variable(struct bundle_writer *w, struct entry *e)
{
	int r = 0;

	if (!entry_slices(e) || has_whole_slice(e))
		return bundle_writer_convert(w, e, 0);
	for (size_t i = 0; r == 0 && i < entry_slices(e); i++)
		r = bundle_writer_convert(w, entry_part(e, i), 0);
	return r < 0 ? r : bundle_writer_name(w, e, 0, true);
}

static int put_all(const struct bundle *source, int fd, struct buf *index)
{
	CLEANUP(bundle_writer_freep) struct bundle_writer *w = NULL;
	int r = bundle_writer_new(&fd, 1, &w);

	for (size_t i = 0; r == 0 && i < bundle_count(source); i++)
		r = put_variable(w, bundle_entry(source, i));
	return r < 0 ? r : bundle_writer_index(w, (struct span){ 0 }, 1, index);
}

/* The data before the index, as TensorFlow does: without that nobody looks at them. */
static int write_v2(const struct bundle *source,
		    const struct convert_target *to)
{
	CLEANUP(part_release) struct part data = { .fd = -1 };
	CLEANUP(part_release) struct part index = { .fd = -1 };
	CLEANUP(buf_release) struct buf bytes = { 0 };
	CLEANUP(free_ptr) char *data_name = shard_file_name(to->prefix, 0, 1);
	CLEANUP(free_ptr) char *index_name = bundle_index_name(to->prefix);
	struct stat like = attributes_like(source);
	int r;

	if (!data_name || !index_name)
		return -ENOMEM;
	r = part_make(to, data_name, &like, &data);
	if (r == 0)
		r = put_all(source, data.fd, &bytes);
	if (r == 0)
		r = part_make(to, index_name, &like, &index);
	if (r == 0)
		r = io_write_at(index.fd, bytes.data, bytes.len, 0);
	if (r == 0)
		r = part_name(&data);
	if (r == 0)
		r = io_sync(to->dirfd);
	if (r == 0)
		r = part_name(&index);
	if (r < 0)
		return r;
	part_keep(&index);
	part_keep(&data);
	return io_sync(to->dirfd);
}

/* --- V1 -------------------------------------------------------------------- */

static int write_v1(const struct bundle *source,
		    const struct convert_target *to)
{
	CLEANUP(part_release) struct part file = { .fd = -1 };
	CLEANUP(free_ptr)
	struct entry **all = calloc(bundle_count(source) + 1,
				    sizeof(struct entry *));
	struct stat like = attributes_like(source);
	int r = all ? part_make(to, to->prefix, &like, &file) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < bundle_count(source); i++) {
		all[i] = bundle_entry(source, i);
		r = content_check_records(all[i]);
	}
	if (r == 0)
		r = v1_write(file.fd, all, bundle_count(source));
	if (r == 0)
		r = part_name(&file);
	if (r < 0)
		return r;
	part_keep(&file);
	return io_sync(to->dirfd);
}

int convert_checkpoint(const struct bundle *source,
		       const struct convert_target *to)
{
	const char *reason;
	int r = check_name(to);

	if (r == 0)
		r = check_target(to);
	if (r == 0 && bundle_writable(source, &reason) == -EIO) {
		log_error("%s: not written: of the source %s", to->prefix,
			  reason);
		r = -EIO;
	}
	if (r == 0)
		r = check_variables(source, to);
	if (r < 0)
		return r;
	r = to->v1 ? write_v1(source, to) : write_v2(source, to);
	if (r < 0)
		log_error("%s: not written: %s", to->prefix, strerror(-r));
	return r;
}
