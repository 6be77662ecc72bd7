/*
 * residue.h - what a crash left behind
 *
 * A commit that was cut short leaves one temporary file beside the index: either the
 * new index, which never got its name, or the old one, which had just lost it.  Both
 * go at the next writable mount, once the checkpoint was found to be whole; so does a
 * first index that never got its name.  What was exchanged and is not the file that was
 * to be is somebody else's, whose save came between: it is left alone.
 */
#pragma once

/* Cleans up in the directory, of which we are the only writer. */
void residue_remove(int dirfd);
