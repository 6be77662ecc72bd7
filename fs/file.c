#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "fs/closing.h"
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
	/* Of a file that passes through: the kernel's node has a reference. */
	const struct item *item;
	int fd;      /* else -1 */
	bool writes; /* a value: counts as one of its writers */
	/* Counts, so that a write during a judgement is not taken for judged. */
	atomic_uint writes_done;
	atomic_uint writes_judged;
	pthread_mutex_t lock; /* for `text` */
	struct buf text;      /* of a sidecar: as it was, or as it is written */
	bool appends; /* to `text`, which the kernel may think is longer */
	int refusal;  /* of the text after `refused` writes: what it was */
	unsigned refused;
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

int files_stat(struct files *files, const struct item *item, struct stat *ret)
{
	LOCK_SCOPE(&files->lock);
	for (const struct file *f = files->first; f; f = f->next)
		if (f->item == item)
			return fstat(f->fd, ret) < 0 ? -errno : 0;
	return -ESTALE;
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
	f->item = t->item;
	f->fd = item_open(t->item, flags & (O_ACCMODE | O_TRUNC));
	return f->fd < 0 ? f->fd : 0;
}

static int open_sidecar(struct fs *fs, const struct target *t, int flags,
			struct file *f)
{
	int r;

	if (wants_write(flags) && fs_read_only(fs))
		return -EROFS;
	f->appends = flags & O_APPEND;
	/* There is nothing to read in one that was made to be written. */
	if (flags & O_CREAT)
		return 0;
	r = variable_sidecar(t->object.variable, t->object.facet, &f->text);
	if (r == 0 && flags & O_TRUNC)
		buf_release(&f->text);
	return r;
}

/* What somebody else replaced is found here, before anything stale is read. */
static int open_value(struct fs *fs, const struct target *t, int flags,
		      struct file *f)
{
	int r = fs_read_only(fs) ? 0 : checkpoint_refresh(t->checkpoint);

	if (r < 0 && r != -ENOENT)
		return r;
	closing_await(fs_closing(fs), target_node(t), CLOSING_REFUSED);
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

int file_adopt(struct fs *fs, const struct item *item, int fd,
	       struct file **ret)
{
	struct file *f = file_new();

	if (!f)
		return -ENOMEM;
	f->item = item;
	f->fd = fd;
	files_add(fs_files(fs), f);
	*ret = f;
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

/* --- changing ------------------------------------------------------------ */

void file_changed(struct fs *fs, fuse_ino_t node)
{
	fuse_ino_t value = inode_of_facet(node, FACET_VALUE);

	inode_make_stale(fs_inodes(fs), value);
	for (enum facet facet = FACET_SHAPE; facet <= FACET_VALUE; facet++)
		notify_attributes(fs_notifier(fs), inode_of_facet(node, facet));
	/* Who has mapped it sees what was written past the page cache. */
	notify_content(fs_notifier(fs), value);
}

/* A change of size is judged at close, as a write is. */
static void touch(struct file *f)
{
	atomic_fetch_add(&f->writes_done, 1);
}

static int resize_text_locked(struct buf *text, uint64_t size)
{
	if (size > SIDECAR_MAX)
		return -EINVAL;
	if (text->len < size)
		buf_put_zeros(text, size - text->len);
	else
		text->len = size;
	return buf_error(text);
}

static int write_text_locked(struct buf *text, const void *data, size_t n,
			     uint64_t offset)
{
	int r = 0;

	if (offset > SIDECAR_MAX || n > SIDECAR_MAX - offset)
		return -EINVAL;
	if (text->len < offset + n)
		r = resize_text_locked(text, offset + n);
	if (r == 0)
		memcpy(text->data + offset, data, n);
	return r;
}

static int set_sidecar(struct fs *fs, fuse_ino_t node, const struct target *t,
		       struct span text)
{
	int r = checkpoint_set_sidecar(t->checkpoint, t->object.variable,
				       t->object.facet, text, 0);

	if (r == 0)
		file_changed(fs, node);
	return r;
}

/* Whether there were writes since the last good judgement; how many in all. */
static bool unjudged(const struct file *f, unsigned *ret_done)
{
	*ret_done = atomic_load(&f->writes_done);
	return *ret_done != atomic_load(&f->writes_judged);
}

/* What is refused is refused once: whoever closes the file hears of it without a line. */
static int judge_text_locked(struct fs *fs, fuse_ino_t node,
			     const struct target *t, struct file *f)
{
	unsigned done;
	int r = 0;

	if (!unjudged(f, &done))
		return 0;
	if (f->refusal < 0 && f->refused == done)
		return f->refusal;
	r = set_sidecar(fs, node, t, buf_span(&f->text));
	if (r == 0)
		atomic_store(&f->writes_judged, done);
	f->refusal = r == -EINVAL || r == -EOPNOTSUPP || r == -EPERM ? r : 0;
	f->refused = done;
	return r;
}

/*
 * Shells ignore what close() says, so a whole line is judged in the write; what is
 * refused there is refused by close() as well.  Behind a write into a longer text there
 * is still the rest of the old one, which is about to be cut off.
 */
static int write_sidecar(struct fs *fs, const struct spot *to, const void *data,
			 size_t n)
{
	struct file *f = to->file;
	LOCK_SCOPE(&f->lock);
	uint64_t offset = f->appends ? f->text.len : to->offset;
	int r = write_text_locked(&f->text, data, n, offset);

	if (r < 0)
		return r;
	touch(f);
	if (n == 0 || ((const char *)data)[n - 1] != '\n' ||
	    offset + n < f->text.len)
		return 0;
	return judge_text_locked(fs, to->node, &to->target, f);
}

int file_write(struct fs *fs, const struct spot *to, const void *data, size_t n)
{
	int r;

	if (to->target.item)
		return io_write_at(to->file->fd, data, n, to->offset);
	if (is_sidecar(&to->target))
		return write_sidecar(fs, to, data, n);
	closing_written(fs_closing(fs), to->file);
	r = variable_write(to->target.object.variable, data, n, to->offset);
	/* Afterwards: a flush of another descriptor may end the stage before. */
	touch(to->file);
	return r;
}

/* Emptying it is how a write begins; any other size is a text like one written. */
static int resize_sidecar(struct fs *fs, fuse_ino_t node,
			  const struct target *t, uint64_t size)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	int r;

	if (size == 0)
		return 0;
	r = variable_sidecar(t->object.variable, t->object.facet, &text);
	if (r == 0)
		r = resize_text_locked(&text, size);
	return r < 0 ? r : set_sidecar(fs, node, t, buf_span(&text));
}

static int resize_text(struct file *f, uint64_t size)
{
	LOCK_SCOPE(&f->lock);
	/* An empty text says nothing yet. */
	if (size)
		touch(f);
	return resize_text_locked(&f->text, size);
}

static int resize_value(struct fs *fs, fuse_ino_t node, const struct target *t,
			struct file *f, uint64_t size)
{
	int r;

	if (f && f->writes) {
		closing_written(fs_closing(fs), f);
		r = variable_set_size(t->object.variable, size);
		touch(f);
		return r;
	}
	/* A writer that has closed it is none: the size is judged at once. */
	closing_await(fs_closing(fs), node, CLOSING_ALL);
	r = checkpoint_truncate(t->checkpoint, t->object.variable, size);
	if (r == 0)
		file_changed(fs, node);
	return r;
}

int file_resize(struct fs *fs, fuse_ino_t node, const struct target *t,
		struct file *f, uint64_t size)
{
	if (t->item)
		return f ? io_resize(f->fd, size) : item_resize(t->item, size);
	if (!t->object.variable)
		return -EISDIR;
	if (!is_sidecar(t))
		return resize_value(fs, node, t, f, size);
	return f ? resize_text(f, size) : resize_sidecar(fs, node, t, size);
}

int file_allocate(const struct spot *at, uint64_t n)
{
	int r;

	if (at->target.item)
		return io_reserve(at->file->fd, at->offset, n);
	if (!at->file->writes)
		return -EOPNOTSUPP;
	r = variable_allocate(at->target.object.variable, at->offset, n);
	touch(at->file);
	return r;
}

static bool is_value(const struct target *t)
{
	return t->object.variable && t->object.facet == FACET_VALUE;
}

int64_t file_copy(struct fs *fs, const struct spot *from, const struct spot *to,
		  uint64_t n)
{
	int64_t copied;

	if (!is_value(&from->target) || !is_value(&to->target) ||
	    !to->file->writes)
		return -EOPNOTSUPP;
	copied = variable_copy(from->target.object.variable, from->offset,
			       to->target.object.variable, to->offset, n);
	if (copied >= 0)
		touch(to->file);
	/* The type may have come with it, even if the bytes have not. */
	for (enum facet facet = FACET_SHAPE; facet <= FACET_DTYPE; facet++)
		notify_attributes(fs_notifier(fs),
				  inode_of_facet(to->node, facet));
	return copied;
}

/* --- judging and syncing ------------------------------------------------- */

static int flush_sidecar(struct fs *fs, fuse_ino_t node, const struct target *t,
			 struct file *f)
{
	LOCK_SCOPE(&f->lock);

	return judge_text_locked(fs, node, t, f);
}

static int judge_value(struct fs *fs, fuse_ino_t node, const struct target *t,
		       struct file *f)
{
	unsigned done;
	int r;

	if (!unjudged(f, &done))
		return 0;
	r = checkpoint_flush(t->checkpoint, t->object.variable);
	/* Of a refusal, a second close of the same file hears as well. */
	if (r == 0)
		atomic_store(&f->writes_judged, done);
	file_changed(fs, node);
	/* Not as fsync does: a name that is to be another's soon stays out. */
	if (r == 0 && fs_options(fs)->sync)
		r = checkpoint_sync(t->checkpoint, NULL);
	/* A loss is told to one caller only, but it leaves the variable dead. */
	if (r == 0 && fs_options(fs)->sync && variable_dead(t->object.variable))
		r = -ESTALE;
	return r;
}

static int judge(struct fs *fs, fuse_ino_t node, const struct target *t,
		 struct file *f)
{
	if (!f || t->item)
		return 0;
	return is_sidecar(t) ? flush_sidecar(fs, node, t, f)
			     : judge_value(fs, node, t, f);
}

int file_flush(struct fs *fs, fuse_ino_t node, const struct target *t,
	       struct file *f)
{
	int r = judge(fs, node, t, f);

	/* With nothing to judge it may be the shell, which copies a descriptor first. */
	if (f && f->writes && atomic_load(&f->writes_done))
		closing_add(fs_closing(fs), node, f, r < 0);
	return r;
}

int file_sync(struct fs *fs, fuse_ino_t node, const struct target *t,
	      struct file *f)
{
	int r, s;

	if (t->item)
		return f ? io_sync(f->fd) : 0;
	if (!t->object.variable)
		return -EINVAL;
	r = judge(fs, node, t, f);
	if (r < 0 && r != -ESTALE)
		return r;
	/* What is kept since somebody else was first is to be safe, too. */
	s = checkpoint_sync(t->checkpoint, t->object.variable);
	return r < 0 ? r : s;
}

void file_release(struct fs *fs, fuse_ino_t node, const struct target *t,
		  struct file *f)
{
	if (!f)
		return;
	/* What came after the last flush, through a map, is judged here. */
	if (f->writes)
		(void)judge(fs, node, t, f);
	if (f->writes &&
	    checkpoint_close_writer(t->checkpoint, t->object.variable))
		file_changed(fs, node);
	closing_remove(fs_closing(fs), f);
	files_remove(fs_files(fs), f);
	file_free(f);
}
