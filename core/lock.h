/*
 * lock.h - one writing daemon a directory
 *
 * The index of a checkpoint is replaced at each commit, so a lock on it would keep
 * nobody out; the directory stays.  A lock on a descriptor of it leaves no residue,
 * whatever happens to who holds it.
 */
#pragma once

#include "core/coding.h"

/*
 * Locks the directory for as long as the descriptor, or a copy of it, is open: 0, or
 * -EBUSY with who has it in `ret_holder`, as far as that can be known.
 */
int lock_directory(int dirfd, struct buf *ret_holder);
void lock_release(int dirfd);
