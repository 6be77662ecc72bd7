/*
 * temporary.h - a file that is made whole beside the one whose place it is to take
 *
 * Its name is that of the other, 16 digits, its own inode number, and TEMPORARY_END: so what
 * a crash left can be told from what was exchanged with it.  The digits are random until
 * it is whole; then they stand for inode, size and mtime of the file whose place it is to
 * take: so that can be told from any other file that was exchanged with it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/coding.h"

#define TEMPORARY_END ".weightfs-tmp"

struct temporary {
	int dirfd; /* borrowed */
	int fd;
	char *name; /* NULL once it is gone or renamed */
};

/*
 * Creates a file of this content beside `name`; owner and mode are those of `like`, as
 * far as we may set them.  Synced, and open for reading only.
 */
int temporary_create(int dirfd, const char *name, struct span content,
		     const struct stat *like, struct temporary *ret);

/*
 * The same in two steps: an empty file, open for writing; and then all of it is there.
 * `ret` is to be released also where the second fails.
 */
int temporary_begin(int dirfd, const char *name, struct temporary *ret);
int temporary_end(struct temporary *t, const struct stat *like);

/*
 * Takes the name of a temporary apart: the length of what it was made beside, and its
 * inode number, 0 if it was never given one.  False if it is no such name.
 */
bool temporary_parse(const char *name, size_t *ret_len, uint64_t *ret_ino);
/* Whether `st` is the file whose place it was to take; `name` is one that parses. */
bool temporary_replaces(const char *name, const struct stat *st);

/* Removes the file if it still has its temporary name. */
void temporary_release(struct temporary *t);
