/*
 * source.h - what a user means by the path of a checkpoint
 *
 * People name a checkpoint by whatever path they have: the directory it is in, its
 * prefix, its index, one of its shards, a V1 file, the `checkpoint` file beside it,
 * a SavedModel.  What cannot be mounted (an HDF5 or Keras file, a frozen graph, a
 * Git LFS pointer) gets one line that says what it is and what to name instead.
 */
#pragma once

struct source {
	int dirfd;    /* the directory, open for reading */
	char *path;   /* of that directory, absolute, without symbolic links */
	char *prefix; /* of the one checkpoint in it that is meant; NULL: all */
};

/*
 * 0, or negative errno after a line in the log.  source_release() frees it; one of
 * all zeroes is empty.
 */
int source_open(const char *path, struct source *ret);
void source_release(struct source *s);
