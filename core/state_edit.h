/*
 * state_edit.h - change which checkpoint is the latest
 *
 * The state file is rewritten by replacing the few values that change: comments,
 * timestamps, the order of fields and how other paths are spelled stay.  The new one
 * is a temporary file that is synced and then renamed, and the directory is synced.
 * A state file that TensorFlow would ignore is not touched: -EINVAL after a log line.
 */
#pragma once

/*
 * model_checkpoint_path becomes `prefix`, which is a checkpoint of the directory: as
 * all_model_checkpoint_paths spells it, if that leads here.  Else as a relative path, which
 * takes the place of a stale one of the name, or is added to those, with a timestamp where
 * the others have one.  Without a state file one is made.
 */
int state_set_latest(int dirfd, const char *prefix);

/*
 * Paths that end in `from` end in `to`; 0 also if there are none.  For a checkpoint
 * that was renamed in its directory: one that left it is no more the business of this
 * file, and TensorFlow passes over paths where nothing is.
 */
int state_rename(int dirfd, const char *from, const char *to);

/* Removes what a crash left of the above, in a directory that only we write to. */
void state_clean(int dirfd, const char *name);
