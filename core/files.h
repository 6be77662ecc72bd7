/*
 * files.h - the files behind a prefix: rename them, remove them
 *
 * No call of the system renames several files at once, so a checkpoint gets its new
 * names before it loses the old ones: at every moment one of the prefixes is whole.
 *
 *	1. a mark, the symbolic link NEW.move-RANDOM.weightfs-tmp -> OLD
 *	2. shards (and OLD.meta) linked to the new names; then the index
 *	3. fsync of the directory: files_link() ends here
 *	4. the old index unlinked; then the old shards; the mark; fsync
 *
 * What a crash left half done is finished by files_recover() if the new index had its
 * name, and taken back if not.  It removes only what has a twin, that is, the same
 * file under the other prefix: a mark that somebody else made can do no harm, and
 * backups made with `cp -l` bear no mark.  Between two directories there is no mark:
 * a crash then leaves both prefixes, or one of them and links to shards of the other.
 *
 * Callers hold off everybody of this mount who may look or write meanwhile.
 */
#pragma once

#include <stdbool.h>

/*
 * Whether a checkpoint of this prefix is found again: not in a name that ends in
 * `.index` or TEMPORARY_END, nor one that looks like a shard.
 */
bool files_prefix_ok(const char *prefix);

/* Whether a file that may become part of a checkpoint is not all there yet. */
bool files_being_written(int dirfd, const char *name);

struct files_move {
	int dirfd;
	const char *prefix;
	int to_dirfd;
	const char *to;
	bool v1;
	bool within; /* one directory */
	char *mark;  /* NULL if there is none */
};

/*
 * Steps 1 to 3: 0, or negative errno when nothing was done: -EEXIST after a log line
 * that names the file which is in the way; -EXDEV where there are no hard links.
 */
int files_link(struct files_move *m);
/* Step 4; what cannot be unlinked is said in the log. */
int files_unlink(struct files_move *m);
/* Takes files_link() back. */
void files_undo(struct files_move *m);
void files_move_release(struct files_move *m);

/* Removes the index and then the shards; not `.meta`, which shows as a file. */
int files_remove(int dirfd, const char *prefix, bool v1);

/* In a directory that only we write to. */
void files_recover(int dirfd);

/* Whether `path`, of a prefix below `dirfd`, is what a SavedModel has in `variables`. */
bool files_saved_model(int dirfd, const char *path);
