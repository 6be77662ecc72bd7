/*
 * closing.h - values whose close() was refused, and that the kernel is about to let go of
 *
 * close() returns with the answer to FLUSH; what was refused is dropped with RELEASE,
 * which the kernel sends without waiting for it.  It does so before close() returns, so
 * whatever its caller asks for next comes later, but another thread may take it up
 * first: it would find the refused bytes.  So a request for such a value waits until it
 * is let go of, or for a moment: a descriptor may have copies, which may stay open.
 */
#pragma once

#include "fs/fs.h"

struct closing;
/* What is open, of which only the address counts. */
struct file;

int closing_new(struct closing **ret);
void closing_free(struct closing *c);

/* A close() of `f`, which is `node`, was refused. */
void closing_add(struct closing *c, fuse_ino_t node, const struct file *f);
/* It was written to since, so it has copies: nobody waits for it any more. */
void closing_give_up(struct closing *c, const struct file *f);
/* It was let go of. */
void closing_remove(struct closing *c, const struct file *f);
/* With no lock held. */
void closing_await(struct closing *c, fuse_ino_t node);
