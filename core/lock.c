#include "core/lock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/cleanup.h"

static void close_file(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

/* Appends the command line of a process, its arguments apart by spaces. */
static void put_command(long pid, struct buf *out)
{
	char path[64];
	CLEANUP(close_file) FILE *f = NULL;
	int c;

	(void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	f = fopen(path, "re");
	buf_printf(out, "process %ld", pid);
	for (bool first = true; f && (c = fgetc(f)) != EOF; first = false)
		buf_printf(out, first ? " (%c" : "%c", c ? c : ' ');
	if (f)
		buf_printf(out, ")");
}

/* /proc/locks: `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. */
static void find_holder(const struct stat *st, struct buf *out)
{
	CLEANUP(close_file) FILE *f = fopen("/proc/locks", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long ino;
		unsigned dev_major, dev_minor;
		long pid;

		/* A line that is no lock of ours does not match. */
		// NOLINTNEXTLINE(cert-err34-c)
		if (sscanf(line, "%*s FLOCK %*s WRITE %ld %x:%x:%llu", &pid,
			   &dev_major, &dev_minor, &ino) == 4 &&
		    ino == st->st_ino && dev_major == major(st->st_dev) &&
		    dev_minor == minor(st->st_dev)) {
			put_command(pid, out);
			return;
		}
	}
	buf_printf(out, "another process");
}

int lock_directory(int dirfd, struct buf *ret_holder)
{
	struct stat st;

	if (flock(dirfd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -errno;
	if (fstat(dirfd, &st) < 0)
		return -errno;
	find_holder(&st, ret_holder);
	return -EBUSY;
}

void lock_release(int dirfd)
{
	(void)flock(dirfd, LOCK_UN);
}
