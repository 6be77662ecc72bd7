/*
 * report.h - what is going on in a mount, as text
 *
 * Two texts: the status, JSON for people and programs, and the manifest of a
 * checkpoint, a table of its tensors.  Each is of the moment it is made.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "core/cleanup.h"
#include "core/store.h"

/* What the status says of the mount itself. */
struct mount_facts {
	const char *version;
	const char *source;
	const char *mode; /* when is what was written durable? */
	unsigned grace;   /* seconds */
	pid_t pid;
	uint64_t uptime; /* seconds */
};

/*
 * The status in the making.  A checkpoint that nobody has looked at is not read for
 * it.  Calls may follow each other as they like: what goes wrong is remembered, and
 * told by status_print().
 *
 *	{"version": "0.1", "source": "/runs", "mode": "async", "grace": 60,
 *	 "pid": 42, "uptime": 7,
 *	 "checkpoints": [{"path": "model.ckpt-1", "read": false},
 *	  {"path": "model.ckpt-2", "read": true, "format": "V2", "variables": 3,
 *	   "bytes": 12, "dead_bytes": 0, "open_writes": 0, "declarations": 0,
 *	   "untyped": 1, "removals": 0, "uncommitted": 1,
 *	   "last_commit": "2026-11-21T12:00:00.123Z", "last_commit_bytes": 4,
 *	   "last_failure": null,
 *	   "pending": {"open": [], "declared": [], "untyped": ["dense/new"],
 *	    "scratch": [], "removed": [], "refused": []}}]}
 *
 * `last_commit` is null before the first, `last_failure` unless the last commit failed
 * and what it was for waits for another.  A path that is not UTF-8 has `\xHH` for
 * each of its bytes that is not ASCII.
 */
struct status;

int status_new(const struct mount_facts *facts, struct status **ret);
void status_free(struct status *s);
DEFINE_CLEANUP(struct status, status_free)
void status_add_unread(struct status *s, const char *path);
void status_add(struct status *s, const char *path,
		const struct checkpoint_status *of);
/* Something that waits, in the checkpoint that was added last. */
void status_add_pending(struct status *s, const char *kind, struct span path);
int status_print(const struct status *s, struct buf *out);

/* Adds a checkpoint as it is, read or not; 0 or -ENOMEM. */
int report_checkpoint(struct status *s, const char *path,
		      struct checkpoint *cp);

/*
 * The manifest: a header, then a line a tensor, sorted by key, in columns set apart
 * by tabs:
 *
 *	key       \t \n \\ and \xHH where a byte would break line or column
 *	dtype     TensorFlow's name
 *	shape     [784, 10]
 *	bytes     of the value as it is stored
 *	shard     the number of the data file
 *	offset    in it
 *	crc32c    of the bytes, unmasked, 8 hexadecimal digits
 *
 * `-` stands where there is none: a partitioned variable is in several places, and V1
 * files have no checksums.
 */
void manifest_begin(struct buf *out);
void manifest_add(const struct entry *e, struct buf *out);
/* All of it, after a look at whether somebody else replaced the checkpoint. */
int report_manifest(struct checkpoint *cp, struct buf *out);
