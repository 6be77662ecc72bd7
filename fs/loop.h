/*
 * loop.h - serve a session until a signal, or the kernel, ends it
 *
 * Several threads take requests.  libfuse's own loop ends by cancelling its threads, and
 * drops a request that one of them has just read: nobody answers it, and whoever waits
 * for the answer holds a lock of the kernel for ever, which our notifications want.  So a
 * thread ends only between two requests here, and the session is not told of the end
 * before all have.
 */
#pragma once

#include <fuse_lowlevel.h>

/*
 * Blocks the signals that end a mount (SIGTERM, SIGINT, SIGHUP) in the calling thread, and
 * so in those it makes: from then on they wait for loop_run().
 */
int loop_block_signals(void);

/* 0 at the end of the mount, by whomever; negative errno if it cannot be served. */
int loop_run(struct fuse_session *session, unsigned threads);
