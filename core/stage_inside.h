/*
 * stage_inside.h - what the files that make up a stage know of it
 *
 *	stage.c		its life, what is written and read, the end
 *	stage_place.c	where its bytes are: memory, room of the shard, an unnamed file
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/stage.h"

#define STAGE_CHUNK (UINT64_C(256) << 10)

struct stage {
	atomic_uint refs;
	struct shard *shard;  /* where the value will go */
	struct content *base; /* what it begins with, or NULL */
	bool base_summed;     /* its checksum holds for what is stored, too */

	pthread_mutex_t lock; /* for all that follows */
	uint64_t expected;    /* the size that the value should have */
	int error;            /* of the first write that failed */
	bool copied;          /* holds what it began with */
	bool written;         /* since it was made */
	bool finished;        /* its bytes are where they will stay */
	bool told;            /* somebody said why it came to nothing */
	/* Where the bytes are: in one of these, in none before the first. */
	uint8_t *memory; /* of `cap` bytes, at most MEMORY_MAX */
	size_t cap;
	struct extent *room; /* in the shard, of `expected` bytes */
	int spool;           /* an unnamed file, or -1 */
	uint64_t changes;    /* how often it was written to */
	uint64_t size;       /* as the file shows it */
	uint64_t filled; /* bytes written; from there to `size` all is zero */
	uint32_t crc;    /* of the first `filled` bytes */
	uint64_t fresh;  /* from the start, in order, written anew */
	uint32_t fresh_crc;
};

/* Room for the first `end` bytes, wherever it is. */
int stage_take_room_locked(struct stage *s, uint64_t end);
int stage_put_locked(struct stage *s, const void *data, size_t n,
		     uint64_t offset);
int stage_get_locked(const struct stage *s, void *buf, size_t n,
		     uint64_t offset);
/* The first `n` bytes, as they lie in a file. */
int stage_copy_file_locked(struct stage *s, int fd, uint64_t from, uint64_t n);
/* Makes the stage fit to hold its first `end` bytes. */
int stage_prepare_locked(struct stage *s, uint64_t end);
