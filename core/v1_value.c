#include "core/v1_value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/table.h"
#include "core/v1_cache.h"
#include "core/v1_decode.h"
#include "core/v1_file.h"
#include "core/v1_proto.h"

/* A decoded value keeps no file open but its own, so that the file can keep it. */
struct v1_value {
	atomic_uint refs;
	struct v1_record *record; /* NULL where the bytes have their own file */
	int fd;                   /* of that */
	struct stretch at;
};

struct v1_value *v1_value_ref(struct v1_value *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void v1_value_unref(struct v1_value *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	v1_record_unref(v->record);
	close_fd(&v->fd);
	free(v);
}

/* Takes over `fd`, or, where that is -1, references the record. */
static int value_new(struct v1_record *r, int fd, struct stretch at,
		     struct v1_value **ret)
{
	struct v1_value *v = malloc(sizeof(*v));

	if (!v) {
		close_fd(&fd);
		return -ENOMEM;
	}
	atomic_init(&v->refs, 1);
	v->record = fd < 0 ? v1_record_ref(r) : NULL;
	v->fd = fd;
	v->at = at;
	*ret = v;
	return 0;
}

static int spool(const void *file, uint64_t n)
{
	return v1_file_spool(file, n);
}

/* Says why; what is a fault of the file is -EIO. */
static int damaged(const struct v1_record *r, const char *name, int error)
{
	const char *file = v1_file_name(v1_record_file(r));

	switch (error) {
	case -ENOMEM:
		return error;
	case -EIO: /* who met it has said where */
		log_error("%s: cannot be read: %s is damaged, or its disk has "
			  "a fault",
			  name, file);
		break;
	case -ENOENT:
		log_error("%s: cannot be read: %s has no record of it", name,
			  file);
		break;
	case -ENOKEY:
		log_error("%s: cannot be read: its record in %s says that it "
			  "is of another tensor",
			  name, file);
		break;
	case -ERANGE:
		log_error("%s: cannot be read: its record in %s has not as "
			  "many elements as its shape",
			  name, file);
		break;
	case -EBADMSG:
		log_error("%s: cannot be read: its record in %s does not parse",
			  name, file);
		break;
	default:
		/* No fault of the file: want of room or of descriptors. */
		log_error("%s: cannot be read from %s: %s", name, file,
			  strerror(-error));
		return error;
	}
	return -EIO;
}

/* Its block is checked.  `*ret_fd` is -1 where the message lies in the V1 file. */
static int find_proto(const struct v1_record *r, int *ret_fd,
		      struct stretch *ret)
{
	const struct v1_file *file = v1_record_file(r);
	CLEANUP(close_fd) int fd = -1;
	struct stretch record;
	int err = table_find(v1_file_table(file), v1_record_key(r), spool, file,
			     &fd, &record);

	if (err == 0)
		err = v1_proto_find(fd < 0 ? v1_file_fd(file) : fd, record,
				    v1_record_key(r), ret);
	if (err < 0)
		return err;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Into a file of its own, which is not kept where there is nothing in it. */
static int decode(struct v1_record *r, const struct v1_tensor *t,
		  struct v1_value **ret)
{
	/* A varint of one byte may become eight. */
	CLEANUP(close_fd)
	int fd = v1_file_spool(v1_record_file(r), 8 * t->proto.size);
	struct stretch at = { 0 };
	int err;

	if (fd < 0)
		return fd;
	err = v1_decode(t, fd, &at.size);
	if (err < 0)
		return err;
	return value_new(r, at.size > 0 ? steal_fd(&fd) : -1, at, ret);
}

static int open_value(struct v1_record *r, struct v1_value **ret)
{
	struct v1_tensor t = { .dtype = v1_record_dtype(r),
			       .elements = v1_record_elements(r) };
	CLEANUP(close_fd) int fd = -1;
	struct stretch at;
	int own, err = find_proto(r, &fd, &t.proto);

	if (err < 0)
		return err;
	t.fd = fd < 0 ? v1_file_fd(v1_record_file(r)) : fd;
	err = v1_in_place(&t, &at);
	if (err < 0)
		return err;
	if (err == 0)
		return decode(r, &t, ret);
	own = steal_fd(&fd);
	if (own < 0)
		v1_record_set_place(r, at);
	return value_new(r, own, at, ret);
}

int v1_value_open(struct v1_record *r, const char *name, struct v1_value **ret)
{
	struct v1_cache *cache = v1_file_cache(v1_record_file(r));
	struct v1_value *v;
	struct stretch at;
	int err;

	if (!v1_dtype(v1_record_dtype(r)))
		return -EOPNOTSUPP;
	/* One at a time: a second reader finds what the first one has decoded. */
	LOCK_SCOPE(v1_record_lock(r));
	if (v1_record_place(r, &at))
		return value_new(r, -1, at, ret);
	v = v1_cache_get(cache, v1_record_key(r));
	if (!v) {
		err = open_value(r, &v);
		if (err < 0)
			return damaged(r, name, err);
		if (v1_value_spooled(v))
			v1_cache_put(cache, v1_record_key(r), v);
	}
	*ret = v;
	return 0;
}

int v1_value_fd(const struct v1_value *v)
{
	return v->record ? v1_file_fd(v1_record_file(v->record)) : v->fd;
}

uint64_t v1_value_offset(const struct v1_value *v)
{
	return v->at.offset;
}

uint64_t v1_value_size(const struct v1_value *v)
{
	return v->at.size;
}

bool v1_value_spooled(const struct v1_value *v)
{
	return !v->record;
}

int v1_value_proto(struct v1_record *r, const char *name, int *ret_fd,
		   uint64_t *ret_offset, uint64_t *ret_size)
{
	CLEANUP(close_fd) int fd = -1;
	struct stretch at = { 0 };
	int err = find_proto(r, &fd, &at);

	if (err < 0)
		return damaged(r, name, err);
	if (fd < 0)
		fd = fcntl(v1_file_fd(v1_record_file(r)), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return damaged(r, name, -errno);
	*ret_offset = at.offset;
	*ret_size = at.size;
	*ret_fd = steal_fd(&fd);
	return 0;
}
