/*
 * checkpoint_config.h - what all checkpoints of a mount have in common
 *
 * It outlives them.  By its callbacks, and those of store_config, core calls upwards, and by
 * nothing else; they are called with locks held, and only take a note.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/cuts.h"
#include "core/tree.h"

struct checkpoint;

struct checkpoint_config {
	bool raw;    /* show object-based ones by their literal keys, too */
	bool verify; /* checksums of what is read */
	bool manual; /* only checkpoint_commit_now() commits */
	bool sync;   /* changes are durable when the call that made them ends */
	bool force;  /* variables may come and go in a SavedModel, too */
	unsigned grace; /* seconds for which replaced bytes are kept */
	uint64_t (*next_id)(void *arg); /* numbers for nodes and variables */
	tree_observer *observer;        /* of names */
	/*
	 * See that checkpoint_commit_background() is called when so many milliseconds
	 * have passed, and checkpoint_finish() in the end.
	 */
	void (*dirty)(void *arg, struct checkpoint *cp, unsigned delay_ms);
	void *arg;
	struct cuts *cuts; /* of names that are too long; borrowed */
};
