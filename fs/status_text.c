#include "fs/status_text.h"

#include <unistd.h>

#include "core/cleanup.h"
#include "core/report.h"
#include "core/source.h"
#include "fs/fs.h"

static const char *mode_of(const struct fs *fs)
{
	if (fs_read_only(fs))
		return "ro";
	if (fs_options(fs)->manual)
		return "manual";
	return fs_options(fs)->sync ? "sync" : "async";
}

static int add_status(void *arg, const char *path, struct checkpoint *cp)
{
	return report_checkpoint(arg, path, cp);
}

int status_text(struct fs *fs, const struct timespec *started, struct buf *out)
{
	CLEANUP(status_freep) struct status *s = NULL;
	struct timespec now;
	struct mount_facts facts = {
		.version = WEIGHTFS_VERSION,
		.source = fs_source(fs)->path,
		.mode = mode_of(fs),
		.grace = fs_options(fs)->grace,
		.pid = getpid(),
	};
	int r;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec > started->tv_sec)
		facts.uptime = (uint64_t)(now.tv_sec - started->tv_sec);
	r = status_new(&facts, &s);
	if (r == 0)
		r = fs_each_checkpoint(fs, add_status, s);
	return r < 0 ? r : status_print(s, out);
}
