#include "fs/compact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/compact.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/residue.h"
#include "fs/named.h"
#include "fs/print.h"

/* Nobody else of us writes there meanwhile; what a crash has left goes. */
static int lock(const struct named *t)
{
	CLEANUP(buf_release) struct buf holder = { 0 };
	int r = lock_directory(t->dirfd, &holder);

	if (r == -EBUSY)
		log_error("%s: not compacted: %.*s writes to its directory; "
			  "unmount that first",
			  t->label, (int)holder.len, (const char *)holder.data);
	else if (r < 0)
		log_error("%s: cannot be locked: %s", t->label, strerror(-r));
	else
		residue_remove(t->dirfd);
	return r;
}

static enum exit_code code_of(int r)
{
	switch (r) {
	case 0:
		return EXIT_CODE_OK;
	case -EBUSY:
	case -EAGAIN:
		return EXIT_CODE_BUSY;
	case -EIO:
		return EXIT_CODE_SOURCE;
	default:
		return EXIT_CODE_FAILURE;
	}
}

enum exit_code compact_run(const struct options *options)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	const struct compact_options how = { options->by_offset,
					     options->grace };
	struct compact_result result = { 0 };
	int r;

	if (named_open_one(options->source, false, &t) < 0)
		return EXIT_CODE_SOURCE;
	r = lock(&t.all[0]);
	if (r == 0)
		r = compact_checkpoint(t.all[0].dirfd, t.all[0].prefix,
				       t.all[0].v1, &how, &result);
	if (r < 0)
		return code_of(r);
	if (result.done_before)
		(void)printf("%s: nothing to do: its values lie as TensorFlow "
			     "would write them\n",
			     t.all[0].label);
	else
		(void)printf("%s: %" PRIu64 " bytes, before %" PRIu64 "\n",
			     t.all[0].label, result.after, result.before);
	return print_finish() ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}
