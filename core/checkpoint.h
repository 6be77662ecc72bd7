/*
 * checkpoint.h - named variables behind one prefix, whatever their format
 *
 * A checkpoint is the present state: what the index on disk says (a bundle), over
 * it the values that were taken over and are not yet committed, over that the
 * stages of those who write.  A tree gives all of it names.
 *
 * The life of a write: checkpoint_open_writer(), variable_write() into a stage,
 * checkpoint_flush() which judges it and takes it over, checkpoint_commit() which
 * makes it durable, variable_close_writer().  Commits are group commits: whoever
 * asks for one first does it for all that was taken over until then, the others
 * wait.
 *
 * Every function locks by itself and may be called by any thread.  Lock order:
 * folder, checkpoint, variable, stage, shard.  Observers are called with the lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/name.h"
#include "core/tree.h"
#include "core/value.h"
#include "core/variable.h"

struct checkpoint;
struct dir;

/* What all checkpoints of a mount have in common. */
struct checkpoint_config {
	bool raw;       /* show object-based ones by their literal keys, too */
	bool verify;    /* checksums of what is read */
	bool manual;    /* only checkpoint_commit_now() commits */
	bool force;     /* variables may come and go in a SavedModel, too */
	unsigned grace; /* seconds for which replaced bytes are kept */
	uint64_t (*next_id)(void *arg); /* numbers for nodes and variables */
	tree_observer *observer;        /* of names */
	/* A checkpoint has something to commit: see that somebody does. */
	void (*dirty)(void *arg, struct checkpoint *cp);
	void *arg;
};

/* Where a checkpoint is, and what it is like. */
struct checkpoint_place {
	struct dir *dir; /* which it takes a reference of */
	const char *prefix;
	const char *label; /* what messages call it */
	bool v1;
	bool read_only;
};

/* Nothing is read yet. */
int checkpoint_new(const struct checkpoint_config *config,
		   const struct checkpoint_place *place,
		   struct checkpoint **ret);
struct checkpoint *checkpoint_ref(struct checkpoint *cp);
void checkpoint_unref(struct checkpoint *cp);

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

struct node *checkpoint_root(struct checkpoint *cp);

/* What has a name: a node, and with it, for the first three, a variable. */
struct object {
	enum facet facet;
	struct node *node;         /* counted; of scopes and links */
	struct variable *variable; /* counted; of the others */
};
void object_release(struct object *o);

/*
 * -ENOENT if nothing has the name, -EAGAIN if the checkpoint itself is not there, or not
 * yet; -ESTALE if the scope has gone.
 */
int checkpoint_lookup(struct checkpoint *cp, const struct node *scope,
		      struct span name, struct object *ret);

/*
 * The next name in `scope` from `*cookie` on, 0 for the first: 1, with the name
 * appended; 0 at the end.  Cookies hold while names come and go.
 */
int checkpoint_list(struct checkpoint *cp, const struct node *scope,
		    uint64_t *cookie, struct buf *name, struct object *ret);

/* All of `ret` but st_ino. */
int checkpoint_stat(struct checkpoint *cp, const struct object *o,
		    struct stat *ret);
int checkpoint_readlink(struct checkpoint *cp, const struct node *link,
			struct buf *ret);

/*
 * As variable_open_writer(), once the checkpoint itself may be written to: -EROFS;
 * -EIO, -EOPNOTSUPP after a log line.
 */
int checkpoint_open_writer(struct checkpoint *cp, struct variable *v,
			   bool truncate);
/*
 * Judges what was written, and takes it over: 0, or as variable_flush(); or what went
 * wrong in the background since somebody was last told.
 */
int checkpoint_flush(struct checkpoint *cp, struct variable *v);

/*
 * Makes all durable that was taken over until now: 0, or why it is not; also what
 * went wrong in the background since somebody was last told.
 */
int checkpoint_commit(struct checkpoint *cp);
/* The same for nobody in particular: a failure is kept for who asks next. */
int checkpoint_commit_background(struct checkpoint *cp);
