/*
 * checkpoint_inside.h - what the files that make up a checkpoint know of it
 *
 *	checkpoint.c		its life: what is on disk, what others do to it, what it shows
 *	checkpoint_change.c	names and values that change through the mount
 *	checkpoint_commit.c	from changes to the disk; the end of the mount
 *	checkpoint_status.c	what waits, and what there is
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core/checkpoint.h"
#include "core/edit.h"
#include "core/io.h"
#include "core/workspace.h"

/* Where it was before it got another name. */
struct former {
	struct former *older;
	struct dir *dir;
	char *label;
};

struct checkpoint {
	atomic_uint refs;
	const struct checkpoint_config *config;
	/*
	 * Held while a value is taken over or a name changes, and taken before `lock`:
	 * a change is in the tree, in the variable and in the edit, or in none of them.
	 */
	pthread_mutex_t flush_lock;
	pthread_mutex_t lock; /* for all that follows */
	struct dir *dir;
	int dirfd; /* of `dir` */
	char *prefix;
	char *label;
	char *index; /* the file that says what is in it */
	char *temp;  /* where TensorFlow gathers the parts of a save */
	struct former *formers;
	bool v1;
	bool read_only;
	bool frozen;             /* in a SavedModel: names and types stay */
	bool retired;            /* its files were removed */
	struct catalog *catalog; /* what is on disk, and the present names */
	struct workspace ws;     /* those names, and what is pending */
	struct pending *pending; /* not in the catalog's bundle */
	struct edit *lost; /* what somebody else's save overtook; or NULL */
	uint64_t unsettled; /* clock_ms(): a change was first seen half-way, or 0 */
	struct file_id damaged; /* the index that cannot be read, if one was */
	struct file_id partial; /* one that did not parse, and may be changing */
	uint64_t committed;     /* how many of the changes are durable */
	uint64_t noticed; /* how many changes there were at `changed_at`, ... */
	uint64_t changed_at; /* ... when the last one came: clock_ms() */
	bool committing;
	size_t in_flight; /* changes that a commit is just writing */
	pthread_cond_t commit_ended;
	int lost_why;    /* the last time */
	uint64_t losses; /* how often changes were given up */
	int failure;     /* of a commit, until somebody was told */
	bool stale_told; /* of what is pending somebody was told that it is lost */
	struct timespec last_commit;
	uint64_t last_commit_bytes;
	int last_failure; /* of the last commit; 0 if it did not fail */
};

/*
 * Written values cannot become those of the disk: they are kept beside it, by who next
 * commits, if somebody else has replaced the checkpoint.
 */
void checkpoint_give_up_edit_locked(struct checkpoint *cp, int why);

/*
 * What was taken over of `v` becomes that of the checkpoint; or, where somebody else has
 * replaced it meanwhile, is kept beside it: -ESTALE.
 */
int checkpoint_take_over_locked(struct checkpoint *cp, struct variable *v);

int checkpoint_refresh_locked(struct checkpoint *cp);

/* Reads the checkpoint if nobody looked into it before. */
int checkpoint_look_locked(struct checkpoint *cp);

/* Sees that what has come up is committed, and that what waits is looked at again. */
void checkpoint_schedule_locked(struct checkpoint *cp);

/* What was removed until `until` goes, too. */
int checkpoint_commit_all_locked(struct checkpoint *cp, uint64_t until);

/* For catalog_adopt(): whether `v` has what is in the edit `arg`. */
bool checkpoint_overwritten(void *arg, struct variable *v);
