/*
 * checkpoint.h - named variables behind one prefix, whatever their format
 *
 * A checkpoint is the present state: what the index on disk says (a bundle), over
 * it the values that were taken over and are not yet committed, over that the
 * stages of those who write.  A tree gives all of it names.
 *
 * The life of a write: checkpoint_open_writer(), variable_write() into a stage,
 * checkpoint_flush() which judges it and takes it over, checkpoint_sync() which
 * makes it durable, checkpoint_close_writer().  Commits are group commits: whoever
 * asks for one first does it for all that was taken over until then, the others
 * wait.  Names change at once, and with them what the next commit writes; a variable
 * that was removed goes from the disk a second later, or with checkpoint_commit().
 *
 * Every function locks by itself and may be called by any thread.  Lock order:
 * folder, flush, checkpoint, variable, stage, shard.  Observers are called with the lock
 * held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/attributes.h"
#include "core/checkpoint_config.h"
#include "core/cleanup.h"
#include "core/coding.h"
#include "core/object.h"
#include "core/tree.h"
#include "core/value.h"
#include "core/variable.h"

struct checkpoint;
struct dir;

/* Where a checkpoint is, and what it is like. */
struct checkpoint_place {
	struct dir *dir; /* which it takes a reference of */
	const char *prefix;
	const char *label; /* what messages call it */
	bool v1;
	bool read_only;
	bool saved_model; /* saved_model.pb names its variables, too */
	uint64_t root_id; /* the number of its root node, or 0 for a new one */
};

/* Nothing is read yet. */
int checkpoint_new(const struct checkpoint_config *config,
		   const struct checkpoint_place *place,
		   struct checkpoint **ret);
struct checkpoint *checkpoint_ref(struct checkpoint *cp);
void checkpoint_unref(struct checkpoint *cp);
DEFINE_CLEANUP(struct checkpoint, checkpoint_unref)

/*
 * Reads it if it was not read yet, or if somebody else replaced it: 0; -ENOENT if
 * it has gone; -EAGAIN if it is just being written, and there is no earlier state
 * to show meanwhile; -EIO where it is damaged beyond listing (it then is empty).
 */
int checkpoint_refresh(struct checkpoint *cp);

/* Whether a change was seen half-way: refresh it again soon. */
bool checkpoint_unsettled(struct checkpoint *cp);
/* Whether it was ever read: if not, nobody has looked. */
bool checkpoint_loaded(struct checkpoint *cp);

/* It was made through this mount, and nothing is in it: an object graph may come. */
void checkpoint_set_made(struct checkpoint *cp);

struct node *checkpoint_root(struct checkpoint *cp);

/*
 * -ENOENT if nothing has the name; -EAGAIN if that may change in a moment, or the
 * checkpoint itself is not there, or not yet; -ESTALE if the scope has gone.  `by` is the
 * process that asks, or 0: who has just said by attributes what a new value is does not
 * find sidecars that it has not made.
 */
int checkpoint_lookup(struct checkpoint *cp, const struct node *scope,
		      struct span name, pid_t by, struct object *ret);

/*
 * The next name in `scope` from `*cookie` on, 0 for the first: 1, with the name
 * appended; 0 at the end.  Cookies hold while names come and go.
 */
int checkpoint_list(struct checkpoint *cp, const struct node *scope,
		    uint64_t *cookie, struct buf *name, struct object *ret);

/* Whether a SavedModel names it and its variables, and `force` is not set. */
bool checkpoint_frozen(const struct checkpoint *cp);

/* All of `ret` but st_ino. */
int checkpoint_stat(struct checkpoint *cp, const struct object *o,
		    struct stat *ret);
int checkpoint_readlink(struct checkpoint *cp, const struct node *link,
			struct buf *ret);

/*
 * Changes of names.  -EROFS; -EPERM after a log line where checkpoint_frozen(); -EIO,
 * -EOPNOTSUPP after a log line; -EINVAL where no key maps to the name; else as the system
 * calls.
 *
 * checkpoint_create() makes a file, a value or a sidecar as the name says, of a mode and
 * owner; it is not opened.  `flags` are those of renameat2(2).
 */
int checkpoint_create(struct checkpoint *cp, struct node *scope,
		      struct span name, const struct attributes *owner,
		      struct object *ret);
int checkpoint_mkdir(struct checkpoint *cp, struct node *scope,
		     struct span name, struct object *ret);
int checkpoint_unlink(struct checkpoint *cp, struct node *scope,
		      struct span name);
int checkpoint_rmdir(struct checkpoint *cp, struct node *scope,
		     struct span name);
int checkpoint_rename(struct checkpoint *cp, struct node *from,
		      struct span from_name, struct node *to,
		      struct span to_name, unsigned flags);

/*
 * In an object-based checkpoint: a symbolic link is one more edge to an object, a link one
 * to a variable.  -EPERM elsewhere, and where the graph can have no such edge.
 */
int checkpoint_symlink(struct checkpoint *cp, struct node *scope,
		       struct span name, struct span text, struct object *ret);
int checkpoint_link(struct checkpoint *cp, const struct object *from,
		    struct node *scope, struct span name, pid_t by,
		    struct object *ret);

/*
 * A sidecar was written: 0 also where it has to wait for a value; -EINVAL after a log
 * line if the text is none.  `by` is 0; or the process that says it by an extended
 * attribute of the value, as one that copies both may do before it makes the sidecars.
 */
int checkpoint_set_sidecar(struct checkpoint *cp, struct variable *v,
			   enum facet facet, struct span text, pid_t by);
/* With a writer the stage gets the size; without one it is judged at once. */
int checkpoint_truncate(struct checkpoint *cp, struct variable *v,
			uint64_t size);

/*
 * As variable_open_writer(), once the checkpoint itself may be written to: -EROFS;
 * -EIO, -EOPNOTSUPP after a log line.
 */
int checkpoint_open_writer(struct checkpoint *cp, struct variable *v,
			   bool truncate);
/*
 * Judges what was written, and takes it over: 0, or as variable_flush(); or what went
 * wrong in the background since somebody was last told.  -ESTALE, too, where somebody else
 * has replaced the checkpoint: then it is kept beside it, soon, or with checkpoint_sync().
 */
int checkpoint_flush(struct checkpoint *cp, struct variable *v);
/* The end of a writer; true if it leaves the file with other content than it wrote. */
bool checkpoint_close_writer(struct checkpoint *cp, struct variable *v);

/*
 * All three make durable what was taken over until now: 0, or why it is not; also what
 * went wrong in the background since somebody was last told.  With `manual` the first
 * two do nothing, and say so in the log.
 *
 * checkpoint_sync(): what a file holds; it is stored even if nobody said what it is.
 * `v` may be NULL.  checkpoint_commit(): also variables that were removed a moment ago.
 */
int checkpoint_sync(struct checkpoint *cp, struct variable *v);
int checkpoint_commit(struct checkpoint *cp);
int checkpoint_commit_now(struct checkpoint *cp);
/* For nobody in particular: what is due.  A failure is kept for who asks next. */
int checkpoint_commit_background(struct checkpoint *cp);
/* Back to what is on disk. */
int checkpoint_abort(struct checkpoint *cp);
/*
 * Files without a type are stored as uint8, with a log line each; then all is committed,
 * by hand or not.  checkpoint_finish() is the end of the mount: what was declared and
 * never written is void, too.
 */
int checkpoint_settle(struct checkpoint *cp);
int checkpoint_finish(struct checkpoint *cp);

/* --- for the store ----------------------------------------------------------- */

/*
 * A checkpoint whose files get other names.  checkpoint_hold() commits what there is,
 * and from then on nothing is committed and the disk is not looked at, until
 * checkpoint_resume(); between them checkpoint_move() says where it is now: the files
 * of both names are there, and are the same.  Scopes stay; variables that are open go on
 * with what they were.
 */
int checkpoint_hold(struct checkpoint *cp);
int checkpoint_move(struct checkpoint *cp, struct dir *dir, const char *prefix,
		    const char *label);
void checkpoint_resume(struct checkpoint *cp);

/* Whether nothing has a name in it. */
bool checkpoint_empty(struct checkpoint *cp);
/* Its files go: what is not committed is dropped, and nothing is any more. */
void checkpoint_retire(struct checkpoint *cp);

/* --- for who wants to know --------------------------------------------------- */

struct checkpoint_status {
	const char *format; /* "V2", "V1", or "not read" */
	size_t variables;
	uint64_t bytes;      /* of its data files */
	uint64_t dead_bytes; /* of them, those that no variable has */
	unsigned open_writes, declarations, untyped, removals, uncommitted;
	struct timespec last_commit; /* by this mount; zero if there was none */
	uint64_t last_commit_bytes;
	const char *last_failure; /* why `uncommitted` is not on disk; or NULL */
};
int checkpoint_status(struct checkpoint *cp, struct checkpoint_status *ret);
/*
 * Calls `each` for all that is not as it will stay: "open", "declared", "untyped",
 * "scratch", "removed", "refused".  `path` is the name below the checkpoint; of a removed
 * one, the key.
 */
int checkpoint_each_pending(
	struct checkpoint *cp,
	int (*each)(void *arg, const char *kind, struct span path), void *arg);
/*
 * Calls `each` for every variable of an object-based checkpoint to which the program gave
 * a full name, with the path of its first name in the tree.  Full names need not be
 * unique.  Stops at what is not 0, and returns it.
 */
int checkpoint_each_full_name(struct checkpoint *cp,
			      int (*each)(void *arg, struct span full_name,
					  struct span path),
			      void *arg);
/* The same for one without an object graph, in which the key is the name. */
int checkpoint_each_key(
	struct checkpoint *cp,
	int (*each)(void *arg, struct span key, struct span path), void *arg);
/* The present values, sorted by key. */
int checkpoint_each_entry(struct checkpoint *cp,
			  int (*each)(void *arg, const struct entry *e),
			  void *arg);
