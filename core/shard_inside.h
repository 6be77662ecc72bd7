/*
 * shard_inside.h - what the files that make up a shard know of it
 *
 *	shard.c		its life, its name, reading
 *	shard_room.c	whether it may be edited in place, and where
 *	shard_write.c	bytes on their way to the disk
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/io.h"
#include "core/shard.h"

struct shard {
	atomic_uint refs;
	atomic_bool dirty; /* written to since the last sync */
	atomic_int dirfd;
	int32_t id;
	bool big_endian;
	struct spools *spools;
	_Atomic(char *) name;
	struct former_name *former; /* names that it had; under the lock */
	atomic_int fd;              /* -1 while it is missing */
	atomic_uint epoch;  /* how often it was forgotten what is free */
	atomic_uint faults; /* syncs that failed */
	atomic_bool new;    /* made by us, and its name not yet synced */
	atomic_bool made_here;
	atomic_bool kept; /* an index names it */
	bool unnamed; /* never had a name; what is called so is for messages */
	bool v1;      /* see shard_set_v1() */
	struct file_id opened;   /* as it was then */
	struct timespec made;    /* zero where that is not known, or by us */
	struct timespec changed; /* when it had last been, then */
	pthread_mutex_t lock;    /* for all that follows */
	struct map *maps;
	int write_fd;  /* -1 until shard_edit() */
	bool may_make; /* at the first reservation, like `like` */
	struct stat like;
	uint64_t end;   /* its length, which nobody else changes */
	uint64_t named; /* to where an index names its bytes */
	struct space space;
	struct timespec alias_seen;
};

/* Whether nobody rewrote the file in place: what we reserved may then be theirs. */
bool shard_is_ours_locked(const struct shard *s);
/* Whether somebody had changed it a moment before it was opened, and it is fresh. */
bool shard_just_changed(const struct shard *s);
