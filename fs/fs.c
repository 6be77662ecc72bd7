#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/committer.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/source.h"
#include "core/store.h"
#include "fs/closing.h"
#include "fs/file.h"
#include "fs/hidden.h"
#include "fs/hidden_ops.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/watch.h"

#define DRAIN_MS     20
#define DRAIN_MAX    1000 /* requests that are still answered at the end, ... */
#define DRAIN_MAX_MS 1000 /* ... and for how long */

struct fs {
	const struct options *options;
	struct source source;
	char *mountpoint; /* below the source, or NULL */
	bool read_only;
	struct store_config config;
	atomic_uint_fast64_t next_id;
	struct store *store;
	struct checkpoint *single; /* the one that is mounted, or NULL */
	struct cuts *cuts;         /* of names that are too long */
	struct inode_table *inodes;
	pthread_mutex_t decide_lock; /* see names.c: directory_to_fill() */
	struct hidden *hidden;
	struct fuse_lowlevel_ops ops;
	struct files *files;
	struct closing *closing;
	struct committer *committer;
	struct fuse_session *session;
	struct notifier *notifier;
	struct watch *watch;
	void (*ready)(void *arg);
	void *ready_arg;
};

/* --- what core asks of a mount ------------------------------------------- */

static uint64_t next_id(void *arg)
{
	struct fs *fs = arg;

	return atomic_fetch_add(&fs->next_id, 1);
}

static void name_changed(void *arg, uint64_t scope, struct span name)
{
	struct fs *fs = arg;

	if (fs->notifier && inode_note_change(fs->inodes, scope))
		notify_name(fs->notifier, inode_of_id(fs->inodes, scope), name);
}

static void became_dirty(void *arg, struct checkpoint *cp, unsigned delay_ms)
{
	struct fs *fs = arg;

	if (fs->committer)
		committer_add(fs->committer, cp, delay_ms);
}

static void folder_opened(void *arg, struct folder *folder, int dirfd)
{
	struct fs *fs = arg;

	if (fs->watch)
		watch_add(fs->watch, folder, dirfd);
}

static void folder_gone(void *arg, struct folder *folder)
{
	struct fs *fs = arg;

	if (fs->watch)
		watch_remove(fs->watch, folder);
}

/* --- opening ------------------------------------------------------------- */

static bool cannot_write(const struct fs *fs)
{
	struct statvfs st;

	return fs->options->read_only ||
	       faccessat(fs->source.dirfd, ".", W_OK, 0) < 0 ||
	       (fstatvfs(fs->source.dirfd, &st) == 0 && st.f_flag & ST_RDONLY);
}

static enum exit_code lock_source(const struct fs *fs)
{
	CLEANUP(buf_release) struct buf holder = { 0 };
	int r;

	if (fs->read_only)
		return EXIT_CODE_OK;
	r = lock_directory(fs->source.dirfd, &holder);
	if (r == 0)
		return EXIT_CODE_OK;
	if (r != -EBUSY) {
		log_error("%s: cannot be locked: %s", fs->source.path,
			  strerror(-r));
		return EXIT_CODE_SOURCE;
	}
	log_error("%s: already mounted for writing by %.*s; unmount that, or "
		  "mount with -o ro",
		  fs->source.path, (int)holder.len, (const char *)holder.data);
	return EXIT_CODE_BUSY;
}

/* Where our mount will be seen inside the source, if it is. */
static char *below_source(const struct fs *fs)
{
	CLEANUP(free_ptr) char *path = realpath(fs->options->mountpoint, NULL);
	size_t len = strlen(fs->source.path);

	if (!path || strncmp(path, fs->source.path, len) != 0 ||
	    path[len] != '/')
		return NULL;
	return strdup(path + len + 1);
}

static int make_store(struct fs *fs)
{
	int dirfd = fcntl(fs->source.dirfd, F_DUPFD_CLOEXEC, 0);

	fs->config = (struct store_config){
		.checkpoint = {
			.raw = fs->options->raw,
			.verify = !fs->options->noverify,
			.sync = fs->options->sync,
			.manual = fs->options->manual,
			.force = fs->options->force,
			.grace = fs->options->grace,
			.next_id = next_id,
			.observer = name_changed,
			.dirty = became_dirty,
			.arg = fs,
			.cuts = fs->cuts,
		},
		.read_only = fs->read_only,
		.single = fs->source.prefix != NULL,
		.mountpoint = fs->mountpoint,
		.opened = folder_opened,
		.gone = folder_gone,
	};
	if (dirfd < 0)
		return -errno;
	return store_new(&fs->config, dirfd, fs->source.path, &fs->store);
}

/* The root of the mount: the directory, or the scopes of the one checkpoint. */
static int make_root(struct fs *fs)
{
	struct target root = { 0 };
	int r = 0;

	if (fs->source.prefix) {
		r = store_checkpoint(fs->store, fs->source.prefix, &fs->single);
		if (r == 0)
			r = checkpoint_refresh(fs->single);
		if (r < 0)
			return r;
		root.checkpoint = checkpoint_ref(fs->single);
		root.object = (struct object){
			.facet = FACET_SCOPE,
			.node = node_ref(checkpoint_root(fs->single)),
		};
	} else {
		root.folder = store_root(fs->store);
	}
	r = inode_table_new(&root, &fs->inodes);
	if (r < 0)
		target_release(&root);
	return r;
}

enum exit_code fs_open(const struct options *options, struct fs **ret)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	enum exit_code code;
	int r;

	if (!fs)
		return EXIT_CODE_FAILURE;
	fs->options = options;
	fs->source.dirfd = -1;
	atomic_init(&fs->next_id, 1);
	(void)pthread_mutex_init(&fs->decide_lock, NULL);
	if (source_open(options->source, &fs->source) < 0) {
		fs_free(fs);
		return EXIT_CODE_SOURCE;
	}
	fs->read_only = cannot_write(fs);
	fs->mountpoint = below_source(fs);
	code = lock_source(fs);
	if (code != EXIT_CODE_OK) {
		fs_free(fs);
		return code;
	}
	r = cuts_new(&fs->cuts);
	if (r == 0)
		r = make_store(fs);
	if (r == 0)
		r = files_new(&fs->files);
	if (r == 0)
		r = closing_new(&fs->closing);
	if (r == 0)
		r = hidden_new(fs, &fs->hidden);
	if (r == 0)
		r = make_root(fs);
	if (r < 0) {
		log_error("%s: cannot be mounted: %s", options->source,
			  strerror(-r));
		fs_free(fs);
		return EXIT_CODE_SOURCE;
	}
	hidden_ops(ops_for(fs->read_only), &fs->ops);
	*ret = fs;
	return EXIT_CODE_OK;
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	files_free(fs->files);
	closing_free(fs->closing);
	hidden_free(fs->hidden);
	inode_table_free(fs->inodes);
	checkpoint_unref(fs->single);
	store_free(fs->store);
	cuts_free(fs->cuts);
	(void)pthread_mutex_destroy(&fs->decide_lock);
	free(fs->mountpoint);
	source_release(&fs->source);
	free(fs);
}

/* --- running ------------------------------------------------------------- */

const struct fuse_lowlevel_ops *fs_ops(const struct fs *fs)
{
	return &fs->ops;
}

bool fs_read_only(const struct fs *fs)
{
	return fs->read_only;
}

int fs_start(struct fs *fs, struct fuse_session *session,
	     void (*ready)(void *arg), void *arg)
{
	int r = committer_new(&fs->committer);

	fs->session = session;
	fs->ready = ready;
	fs->ready_arg = arg;
	if (r == 0)
		r = notifier_new(session, true, &fs->notifier);
	if (r == 0)
		r = watch_new(fs->single, &fs->watch);
	/* Even one checkpoint is watched through its directory. */
	if (r == 0 && fs->single)
		(void)folder_check(store_root(fs->store));
	return r;
}

/* Answers one request, if one comes in a moment. */
static bool serve_one(struct fs *fs, struct fuse_buf *buf)
{
	struct pollfd p = { fuse_session_fd(fs->session), POLLIN, 0 };

	if (poll(&p, 1, DRAIN_MS) <= 0 ||
	    fuse_session_receive_buf(fs->session, buf) <= 0)
		return false;
	fuse_session_process_buf(fs->session, buf);
	return true;
}

/*
 * The loop has ended, but a notification may wait for a lock of the kernel that a
 * client holds, who waits for us: so serve until it is through.  Then a while longer,
 * as long as there are requests: the last of them tell that files were closed.
 */
static void drain(struct fs *fs)
{
	struct fuse_buf buf = { 0 };
	uint64_t until = clock_ms() + DRAIN_MAX_MS;
	int rest = DRAIN_MAX;

	notifier_stop(fs->notifier);
	fuse_session_reset(fs->session);
	while (!notifier_ended(fs->notifier) ||
	       (rest-- > 0 && clock_ms() < until))
		if (!serve_one(fs, &buf)) {
			if (notifier_ended(fs->notifier))
				break;
			(void)usleep(DRAIN_MS * 1000);
		}
	free(buf.mem);
}

int fs_stop(struct fs *fs)
{
	int r;

	drain(fs);
	/* Their threads ask for them until they have ended, and finishing may, too. */
	watch_free(fs->watch);
	fs->watch = NULL;
	r = committer_free(fs->committer);
	fs->committer = NULL;
	notifier_free(STEAL(fs->notifier));
	return r;
}

const struct options *fs_options(const struct fs *fs)
{
	return fs->options;
}

const struct source *fs_source(const struct fs *fs)
{
	return &fs->source;
}

struct folder *fs_root(const struct fs *fs)
{
	return store_root(fs->store);
}

struct checkpoint *fs_single(const struct fs *fs)
{
	return fs->single;
}

struct hidden *fs_hidden(struct fs *fs)
{
	return fs->hidden;
}

struct inode_table *fs_inodes(struct fs *fs)
{
	return fs->inodes;
}

struct files *fs_files(struct fs *fs)
{
	return fs->files;
}

struct closing *fs_closing(struct fs *fs)
{
	return fs->closing;
}

struct notifier *fs_notifier(struct fs *fs)
{
	return fs->notifier;
}

pthread_mutex_t *fs_decide_lock(struct fs *fs)
{
	return &fs->decide_lock;
}

void fs_ready(struct fs *fs)
{
	notifier_probe(fs->notifier);
	fs->ready(fs->ready_arg);
}

int fs_statvfs(const struct fs *fs, struct statvfs *ret)
{
	return fstatvfs(fs->source.dirfd, ret) < 0 ? -errno : 0;
}

int fs_each_pending(struct fs *fs, int (*each)(struct checkpoint *cp))
{
	return fs->committer ? committer_each(fs->committer, each) : 0;
}

int fs_commit_all(struct fs *fs)
{
	return fs_each_pending(fs, checkpoint_commit);
}

int fs_each_checkpoint(struct fs *fs,
		       int (*each)(void *arg, const char *path,
				   struct checkpoint *cp),
		       void *arg)
{
	return fs->single ? each(arg, fs->source.prefix, fs->single)
			  : store_each(fs->store, each, arg);
}
