/*
 * check.h - look at all of a checkpoint, and say what is wrong with it
 *
 * Everything is looked at, whatever is found on the way: the index and its blocks, each
 * entry, its place in its shard, the slices of partitioned variables, and the checksum of
 * every value, by as many threads as there are processors.  Bytes that several variables
 * share are read once.  Memory is that of the index and a buffer a thread.
 *
 * A *fault* is something that TensorFlow or a mount cannot read, or would read wrong.  A
 * *note* is what all of them can live with: variables that overlap, bytes in no variable,
 * elements in no slice, slices in no variable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/coding.h"

struct check_finding {
	bool fault;
	struct span key;  /* of the variable; empty where it is of none */
	bool partitioned; /* then it is of this one of its slices: */
	size_t slice;
	const char *file; /* NULL, or where: */
	uint64_t offset;
	uint64_t size; /* in bytes; 0 where there is no range to name */
	const char *what;
};

/* Called by one thread at a time. */
struct check_watch {
	void (*found)(void *arg, const struct check_finding *f);
	/* `n` bytes of `all` were read since the last call. */
	void (*passed)(void *arg, uint64_t n, uint64_t all);
	void *arg;
};

struct check_result {
	uint64_t variables;
	uint64_t bytes; /* that were read for their checksums */
	uint64_t faults;
};

/*
 * 0, whatever was found; or negative errno where it cannot be looked at, as for want of
 * memory.  Some faults of tables have a line in the log as well, which says more.
 */
int check_checkpoint(int dirfd, const char *prefix, bool v1,
		     const struct check_watch *watch, struct check_result *ret);
