/*
 * space.h - room of a shard that nobody uses any more
 *
 * Room that an index named waits: for the grace time, so that whoever opened that
 * index can still read, or for the end of the mount, if it was not written by this
 * mount.  space_collect() takes out what has waited long enough; what then turns out
 * to be free is put back as such, and rooms_take() gives it out again.
 *
 * Not locked: the shard does that.  The list lives in memory only, and where memory
 * is short it forgets: forgotten room is dead bytes, and never wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct room {
	uint64_t offset;
	uint64_t size;
};

/* Rooms in their order that neither touch nor overlap; all zeroes is none. */
struct rooms {
	struct room *at;
	size_t n;
	size_t cap;
};

/* Adds `room`, all of it that is not there. */
void rooms_add(struct rooms *r, struct room room);
/* Takes away whatever of `room` is there. */
void rooms_cut(struct rooms *r, struct room room);
/* The first that holds `n` bytes loses its first `n`. */
bool rooms_take(struct rooms *r, uint64_t n, uint64_t *ret_offset);
void rooms_release(struct rooms *r);

enum room_owner {
	ROOM_OURS,   /* written by this mount */
	ROOM_THEIRS, /* waits until the mount ends */
};

struct waiting;

struct space {
	struct rooms free;
	struct waiting *waiting;
	size_t n;
	size_t cap;
};

void space_release(struct space *s);
/* Forgets all of it. */
void space_forget(struct space *s);

/* `now` is in milliseconds of any clock that does not go back. */
void space_wait(struct space *s, struct room room, enum room_owner owner,
		int64_t now);

/*
 * Takes out what of `owner` began to wait at `until` or before.  space_due() tells
 * whether there is anything.
 */
bool space_due(const struct space *s, enum room_owner owner, int64_t until);
void space_collect(struct space *s, enum room_owner owner, int64_t until,
		   struct rooms *ret);
