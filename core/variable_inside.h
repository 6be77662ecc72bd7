/*
 * variable_inside.h - what the files that make up a variable know of it
 *
 *	variable.c		what it is, its key and type, reading, attributes
 *	variable_write.c	what is written over it
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/draft.h"
#include "core/variable.h"

struct variable {
	atomic_uint refs;
	uint64_t id;
	uint64_t ino;
	const char *label;
	bool verify;

	pthread_mutex_t lock; /* for all that follows */
	struct buf key;
	struct entry *entry;     /* NULL of a new one */
	struct value *value;     /* what reads `entry`, once somebody did */
	struct draft draft;      /* what is written and not taken over */
	struct variable *former; /* see variable_succeed() */
	int loss;                /* see variable_set_loss() */
	int fault;        /* why `entry` cannot be read, once that was said */
	unsigned writers; /* open handles that write */
	unsigned links;
	struct node *names; /* see variable_names() */
	bool loose;         /* see variable_loose() */
	bool stored;        /* has a name that is one of the checkpoint's */
	bool has_value;     /* of a new one: somebody made the file */
	bool dead;
	bool overtaken;  /* see variable_overtake() */
	uint64_t told;   /* clock_ms(): when a sidecar last said what it is */
	bool mtime_kept; /* set while it was written: by who copies it, too */
	struct attributes attributes;
	struct attributes sidecars[FACET_VALUE]; /* only their times */
};

/* An entry has the key, so that most variables need none of their own. */
struct span variable_key_locked(const struct variable *v);

/* How long the file of the value is. */
uint64_t variable_content_size(struct variable *v);

/* Puts what `a` has set into `to`. */
void variable_merge_attributes(struct attributes *to,
			       const struct attributes *a);

/* A time, and nothing else. */
struct attributes variable_changed_now(void);
