/*
 * closing.h - values that were closed, and that the kernel is about to let go of
 *
 * close() returns with the answer to FLUSH; RELEASE, with which a writer ends and what
 * was refused is dropped, is sent without waiting for it.  The kernel sends it before
 * close() returns, so whatever the caller asks for next comes later, but another thread
 * may take it up first: it would find the refused bytes, or a writer.  So a request to
 * which this matters waits until the value is let go of, or for a moment: a descriptor
 * may have copies, which may stay open.
 */
#pragma once

#include "fs/fs.h"

struct closing;
/* What is open, of which only the address counts. */
struct file;

int closing_new(struct closing **ret);
void closing_free(struct closing *c);

/* A close() of `f`, which is `node`, was answered: whether it was refused. */
void closing_add(struct closing *c, fuse_ino_t node, const struct file *f,
		 bool refused);
/* It was written to since, through a copy: that was not the last close(). */
void closing_written(struct closing *c, const struct file *f);
/* It was let go of. */
void closing_remove(struct closing *c, const struct file *f);

enum closing_wait {
	CLOSING_REFUSED, /* for what was refused to be dropped */
	CLOSING_ALL      /* for writers that have closed it to be gone */
};

/* With no lock held. */
void closing_await(struct closing *c, fuse_ino_t node, enum closing_wait which);
