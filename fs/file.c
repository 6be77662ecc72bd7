#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "fs/notify.h"

/* A sidecar is a line; who writes more writes something else. */
#define SIDECAR_MAX (UINT64_C(64) << 10)

struct files {
	pthread_mutex_t lock; /* for the list */
	struct file *first;
};

struct file {
	struct file *next; /* of all that are open */
	struct file **at;  /* what points to it; NULL while it is in no list */
	int fd;            /* of a file that passes through; else -1 */
	bool writes;       /* a value: counts as one of its writers */
	/* Counts, so that a write during a judgement is not taken for judged. */
	atomic_uint writes_done;
	atomic_uint writes_judged;
	pthread_mutex_t lock; /* for `text` */
	struct buf text;      /* of a sidecar: as it was, or as it is written */
};

static void file_free(struct file *f)
{
	if (!f)
		return;
	close_fd(&f->fd);
	buf_release(&f->text);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
DEFINE_CLEANUP(struct file, file_free)

static struct file *file_new(void)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->fd = -1;
	atomic_init(&f->writes_done, 0);
	atomic_init(&f->writes_judged, 0);
	(void)pthread_mutex_init(&f->lock, NULL);
	return f;
}

int files_new(struct files **ret)
{
	struct files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	(void)pthread_mutex_init(&files->lock, NULL);
	*ret = files;
	return 0;
}

static void files_add(struct files *files, struct file *f)
{
	pthread_mutex_lock(&files->lock);
	f->next = files->first;
	f->at = &files->first;
	if (f->next)
		f->next->at = &f->next;
	files->first = f;
	pthread_mutex_unlock(&files->lock);
}

static void files_remove(struct files *files, struct file *f)
{
	pthread_mutex_lock(&files->lock);
	*f->at = f->next;
	if (f->next)
		f->next->at = f->at;
	pthread_mutex_unlock(&files->lock);
}

void files_free(struct files *files)
{
	while (files && files->first) {
		struct file *f = files->first;

		files_remove(files, f);
		file_free(f);
	}
	if (files)
		(void)pthread_mutex_destroy(&files->lock);
	free(files);
}

static bool is_sidecar(const struct target *t)
{
	return t->object.variable && t->object.facet != FACET_VALUE;
}

static bool wants_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static int open_through(const struct target *t, int flags, struct file *f)
{
	/* The kernel sends appended bytes with the offset they go to. */
	f->fd = item_open(t->item, flags & (O_ACCMODE | O_TRUNC));
	return f->fd < 0 ? f->fd : 0;
}

static int open_sidecar(struct fs *fs, const struct target *t, int flags,
			struct file *f)
{
	if (wants_write(flags) && fs_read_only(fs))
		return -EROFS;
	if (flags & O_TRUNC)
		return 0;
	return variable_sidecar(t->object.variable, t->object.facet, &f->text);
}

/* What somebody else replaced is found here, before anything stale is read. */
static int open_value(struct fs *fs, const struct target *t, int flags,
		      struct file *f)
{
	int r = fs_read_only(fs) ? 0 : checkpoint_refresh(t->checkpoint);

	if (r < 0 && r != -ENOENT)
		return r;
	if (!wants_write(flags))
		return variable_open_reader(t->object.variable);
	r = checkpoint_open_writer(t->checkpoint, t->object.variable,
				   flags & O_TRUNC);
	f->writes = r == 0;
	return r;
}

int file_open(struct fs *fs, fuse_ino_t node, const struct target *t, int flags,
	      struct caching *ret_caching, struct file **ret)
{
	CLEANUP(file_freep) struct file *f = file_new();
	struct caching caching = { 0 };
	int r;

	if (!f)
		return -ENOMEM;
	if (t->item) {
		r = open_through(t, flags, f);
	} else if (is_sidecar(t)) {
		r = open_sidecar(fs, t, flags, f);
		/* A line is parsed in the write that ends it. */
		caching.direct_io = true;
		caching.noflush = !wants_write(flags);
	} else if (t->object.variable) {
		r = open_value(fs, t, flags, f);
		caching.direct_io = (flags & O_ACCMODE) == O_WRONLY;
		caching.noflush = !f->writes;
		caching.keep_cache = !inode_take_stale(fs_inodes(fs), node);
	} else {
		r = -EISDIR;
	}
	if (r < 0)
		return r;
	*ret_caching = caching;
	if (t->object.variable && !is_sidecar(t) && !f->writes) {
		*ret = NULL;
		return 0;
	}
	files_add(fs_files(fs), f);
	*ret = STEAL(f);
	return 0;
}

static int read_through(const struct target *t, const struct file *f, size_t n,
			uint64_t offset, struct reading *ret)
{
	CLEANUP(close_fd) int own = f ? -1 : item_open(t->item, O_RDONLY);
	int fd = f ? f->fd : own;
	void *memory;
	int64_t got;

	if (fd < 0)
		return fd;
	memory = malloc(n ? n : 1);
	got = memory ? io_read_some(fd, memory, n, offset) : -ENOMEM;
	if (got < 0) {
		free(memory);
		return (int)got;
	}
	*ret = (struct reading){ memory, (size_t)got, memory, NULL };
	return 0;
}

static int read_text(struct buf *text, size_t n, uint64_t offset,
		     struct reading *ret)
{
	size_t have = offset < text->len ? text->len - offset : 0;
	void *memory = malloc(n ? n : 1);

	if (!memory)
		return -ENOMEM;
	if (n > have)
		n = have;
	if (n)
		memcpy(memory, text->data + offset, n);
	*ret = (struct reading){ memory, n, memory, NULL };
	return 0;
}

static int read_sidecar(const struct target *t, struct file *f, size_t n,
			uint64_t offset, struct reading *ret)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	int r;

	if (f) {
		pthread_mutex_lock(&f->lock);
		r = read_text(&f->text, n, offset, ret);
		pthread_mutex_unlock(&f->lock);
		return r;
	}
	r = variable_sidecar(t->object.variable, t->object.facet, &text);
	return r < 0 ? r : read_text(&text, n, offset, ret);
}

int file_read(const struct target *t, struct file *f, size_t n, uint64_t offset,
	      struct reading *ret)
{
	if (t->item)
		return read_through(t, f, n, offset, ret);
	if (is_sidecar(t))
		return read_sidecar(t, f, n, offset, ret);
	if (!t->object.variable)
		return -EISDIR;
	return variable_read(t->object.variable, n, offset, ret);
}

static int write_text_locked(struct buf *text, const void *data, size_t n,
			     uint64_t offset)
{
	if (offset > SIDECAR_MAX || n > SIDECAR_MAX - offset)
		return -EINVAL;
	if (text->len < offset + n)
		buf_put_zeros(text, offset + n - text->len);
	if (buf_error(text))
		return buf_error(text);
	memcpy(text->data + offset, data, n);
	return 0;
}

/* Shells ignore what close() says, so a whole line is judged in the write. */
static int write_sidecar(const struct target *t, struct file *f,
			 const void *data, size_t n, uint64_t offset)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = write_text_locked(&f->text, data, n, offset);
	if (r == 0 && n && ((const char *)data)[n - 1] == '\n')
		r = variable_set_sidecar(t->object.variable, t->object.facet,
					 buf_span(&f->text));
	else
		atomic_fetch_add(&f->writes_done, 1);
	pthread_mutex_unlock(&f->lock);
	return r;
}

int file_write(const struct target *t, struct file *f, const void *data,
	       size_t n, uint64_t offset)
{
	int r;

	if (t->item)
		return io_write_at(f->fd, data, n, offset);
	if (is_sidecar(t))
		return write_sidecar(t, f, data, n, offset);
	r = variable_write(t->object.variable, data, n, offset);
	/* Afterwards: a flush of another descriptor may end the stage before. */
	atomic_fetch_add(&f->writes_done, 1);
	return r;
}

void file_touch(struct file *f)
{
	if (f && f->writes)
		atomic_fetch_add(&f->writes_done, 1);
}

/* Whether there were writes since the last good judgement; how many in all. */
static bool unjudged(const struct file *f, unsigned *ret_done)
{
	*ret_done = atomic_load(&f->writes_done);
	return *ret_done != atomic_load(&f->writes_judged);
}

static int flush_sidecar(const struct target *t, struct file *f)
{
	unsigned done;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (unjudged(f, &done))
		r = variable_set_sidecar(t->object.variable, t->object.facet,
					 buf_span(&f->text));
	if (r == 0)
		atomic_store(&f->writes_judged, done);
	pthread_mutex_unlock(&f->lock);
	return r;
}

/*
 * Makes durable what was written to the file.  A loss is told to one caller only, but
 * it leaves the variables dead, and so whoever wrote to one knows.
 */
static int commit(const struct target *t)
{
	int r = checkpoint_commit(t->checkpoint);

	return r == 0 && variable_dead(t->object.variable) ? -ESTALE : r;
}

int file_flush(struct fs *fs, fuse_ino_t node, const struct target *t,
	       struct file *f)
{
	unsigned done;
	int r;

	if (!f || t->item)
		return 0;
	if (is_sidecar(t))
		return flush_sidecar(t, f);
	if (!unjudged(f, &done))
		return 0;
	r = checkpoint_flush(t->checkpoint, t->object.variable);
	/* Of a refusal, a second close of the same file hears as well. */
	if (r == 0)
		atomic_store(&f->writes_judged, done);
	/* Who has mapped it sees what was written past the page cache. */
	inode_make_stale(fs_inodes(fs), node);
	notify_content(fs_notifier(fs), node);
	if (r == 0 && fs_options(fs)->sync)
		r = commit(t);
	return r;
}

int file_sync(struct fs *fs, fuse_ino_t node, const struct target *t,
	      struct file *f)
{
	int r;

	if (t->item)
		return f ? io_sync(f->fd) : 0;
	r = file_flush(fs, node, t, f);
	if (r < 0)
		return r;
	return f && f->writes ? commit(t) : checkpoint_commit(t->checkpoint);
}

void file_release(struct fs *fs, fuse_ino_t node, const struct target *t,
		  struct file *f)
{
	if (!f)
		return;
	/* What came after the last flush, through a map, is judged here. */
	if (f->writes)
		(void)file_flush(fs, node, t, f);
	if (f->writes && variable_close_writer(t->object.variable)) {
		inode_make_stale(fs_inodes(fs), node);
		notify_content(fs_notifier(fs), node);
	}
	files_remove(fs_files(fs), f);
	file_free(f);
}
