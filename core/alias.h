/*
 * alias.h - whether a data file is known by another name
 *
 * A checkpoint is often kept by linking to its data: `cp -l`, or `ln -s` beside a copy
 * of the index.  What such a link leads to must not change under it.  The links of a
 * file tell of the first kind; this looks for the second.
 */
#pragma once

#include <sys/stat.h>
#include <time.h>

/*
 * 1 if the directory of `path` has another name of a data file that leads to `file`;
 * 0 if not.  `seen` is when the directory had last changed when the answer was 0; as
 * long as that is so it is not read again.  Zeroes before the first time.
 */
int alias_search(int dirfd, const char *path, const struct stat *file,
		 struct timespec *seen);
