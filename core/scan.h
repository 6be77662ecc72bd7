/*
 * scan.h - what a directory of checkpoints holds
 *
 * One pass over the names of a directory: PREFIX.index and its shards are a V2
 * checkpoint; a file that ends as a table does, or PREFIX-NNNNN-of-MMMMM of them, a
 * V1 one; what the state file names is the latest; all else stays what it is.  No
 * checkpoint is read for that, only the last bytes of files that may be V1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/io.h"
#include "core/item_kind.h"

/* What the link to the latest checkpoint is called. */
#define NAME_LATEST "latest"

struct found {
	enum item_kind kind;
	char *name; /* as it shows: the prefix, or with `.d` if that is taken */
	char *source; /* the file's name, the prefix, or where `latest` leads */
	bool v1;
	/*
	 * Just being written: one that is shown stays, a new one waits for the end.
	 */
	bool unsettled;
	uint64_t ino; /* of a directory: another one of the name is new */
	const char
		*what; /* of a file that is taken for a checkpoint: explain.h */
};

/* Sorted by `name`.  All zeroes is an empty scan. */
struct scan {
	struct found *found;
	size_t n;
	/* Something was just being written: scan again soon. */
	bool unsettled;
	/* There are links among the files of checkpoints. */
	bool linked;
	/* There is a state file that TensorFlow does not read. */
	bool bad_state;
};

/*
 * `root` says that it is the top of the source, where `.weightfs` is ours.  0, or what
 * reading the directory says.
 */
int scan_directory(int dirfd, bool root, struct scan *ret);
void scan_release(struct scan *s);

/* The place of what shows as `name`, or `n`. */
size_t scan_find(const struct scan *s, const char *name);
/* Forgets what is at this place. */
void scan_drop(struct scan *s, size_t at);

/*
 * What changes when the outcome of a scan may change.  A directory that changed a
 * moment ago may change again without its time showing it: that state, with `ino`
 * zero, equals no other.
 */
struct folder_state {
	ino_t ino;
	struct timespec changed;
	struct file_id latest; /* the state file; zeroes if there is none */
};
int scan_state(int dirfd, struct folder_state *ret);
bool folder_state_equal(const struct folder_state *a,
			const struct folder_state *b);
