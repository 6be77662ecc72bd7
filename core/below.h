/*
 * below.h - checkpoints in directories below one that has none
 *
 * For a message to whoever named one directory too few.  It goes by names alone, looks at
 * a bounded number of them, and neither follows links nor enters other filesystems.
 */
#pragma once

/*
 * The path, from `dirfd`, of a directory below that seems to have checkpoints; of
 * several the one that is less deep.  NULL if there is none among the first.  To be freed.
 */
char *below_find(int dirfd);
