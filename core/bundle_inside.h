/*
 * bundle_inside.h - what the files that make up a bundle know of it
 *
 *	bundle.c	its life, what is in it, whether it is still what is on disk
 *	bundle_read.c	from the files of a V2 checkpoint
 *	bundle_v1.c	of a V1 checkpoint
 *	bundle_next.c	from one state to the next, or to another name
 */
#pragma once

#include <stdatomic.h>

#include "core/bundle.h"
#include "core/list.h"

struct bundle {
	atomic_uint refs;
	int dirfd;
	char *prefix;
	char *index_name;
	struct stat index;
	struct file_id id;
	struct buf header; /* serialized BundleHeaderProto, as read */
	int32_t num_shards;
	bool v1;
	unsigned v1_of;       /* how many files it should have */
	struct list v1_files; /* owned; those that are there */
	bool big_endian;
	const char *damage; /* what was not understood, and is not in `all` */
	struct list all; /* owned entries, by key, those of slices among them */
	struct list shown;   /* borrowed from `all`: without the slices */
	struct list shards;  /* owned; those that are there */
	struct spare *spare; /* shared by all states of one checkpoint */
	uint64_t key_bytes;  /* of all keys read so far, expanded */
};

int bundle_new(int dirfd, const char *prefix, struct bundle **ret);
/* `old` as for bundle_open(): of the same checkpoint, it shares what is spare. */
int bundle_new_v2(int dirfd, const char *prefix, const struct bundle *old,
		  struct bundle **ret);
/* The state that `base` is of V1, without the entries. */
int bundle_again_v1(const struct bundle *base, int dirfd, const char *prefix,
		    struct bundle **ret);
/* Whether `old` is a state of this checkpoint, not of one that was renamed or has gone. */
bool bundle_is_same(const struct bundle *b, const struct bundle *old);

/* The shard of this id among those that `b` has open; NULL if it is not. */
struct shard *bundle_known_shard(const struct bundle *b, int32_t id);
/* Whether `key` may follow the entries that there are. */
bool bundle_in_order(const struct bundle *b, struct span key);
/* Takes a reference of it. */
int bundle_add(struct bundle *b, struct entry *e);
/* Says the first fault only: a damaged index has thousands. */
void bundle_note_damage(struct bundle *b, const char *reason);
/* With all entries: shows them but for the slices that a variable lists as its own. */
int bundle_show(struct bundle *b);

/* The part of bundle_current() for V1: one more file that has come is a change. */
int bundle_current_v1(const struct bundle *b);
