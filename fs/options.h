/*
 * options.h - what the command line asks for
 *
 * One program, several names: `weightfs` with its commands, `mount.weightfs` and
 * `umount.fuse.weightfs`, which mount(8) and umount(8) look for.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core/log.h"

#define WEIGHTFS_VERSION "0.1"

enum command {
	COMMAND_MOUNT,
	COMMAND_UNMOUNT,
	COMMAND_LIST,
	COMMAND_CHECK,
	COMMAND_DIFF,
	COMMAND_COMPACT,
	COMMAND_CONVERT,
	COMMAND_HELP,
	COMMAND_VERSION,
};

/* Exit codes, as README.md and the man page give them. */
enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILURE = 1, /* anything that has no code of its own */
	EXIT_CODE_USAGE = 2,   /* the command line is wrong */
	EXIT_CODE_SOURCE = 3, /* not there, not readable, or not a checkpoint */
	EXIT_CODE_MOUNTPOINT = 4, /* not there, not empty, or not a directory */
	EXIT_CODE_BUSY = 5, /* somebody else writes there, or uses the mount */
	EXIT_CODE_FUSE = 6, /* no /dev/fuse, no fusermount3, no permission */
	EXIT_CODE_NOT_DURABLE = 7, /* a commit failed: see the log */
};

/* What the same numbers mean of commands that compare and check. */
#define EXIT_CODE_DAMAGED EXIT_CODE_FAILURE /* --check found a fault */
#define EXIT_CODE_DIFFER  EXIT_CODE_FAILURE /* --diff found a difference */
#define EXIT_CODE_TROUBLE EXIT_CODE_USAGE   /* --diff could not compare */

enum format {
	FORMAT_NONE,
	FORMAT_V1,
	FORMAT_V2,
};

struct options {
	enum command command;
	const char *source;     /* all but unmount and check */
	const char *mountpoint; /* mount, unmount */
	const char *other;      /* diff: with what; convert: the new prefix */
	char *const *paths;     /* check: one or more */
	size_t n_paths;
	bool json;      /* list */
	bool ordered;   /* compact: somebody said in which order */
	bool by_offset; /* compact: values stay in the order they lie in */
	enum format to; /* convert */
	bool foreground;
	bool debug;
	bool read_only;
	bool sync;
	bool manual; /* commit=manual: only the control file commits */
	bool force;  /* a SavedModel's variables may come and go */
	bool raw;
	bool noverify;
	bool allow_other;
	bool noexec;
	bool fake; /* mount(8)'s -f: look whether it would work, mount nothing */
	bool lazy; /* umount(8)'s -l: detach even what is in use */
	bool set_uid, set_gid, set_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	unsigned int grace; /* seconds */
	enum log_level log_level;
};

/*
 * Fills `ret` from the arguments, which it borrows.  EXIT_CODE_OK, or the code to
 * leave with after a line on stderr.
 */
enum exit_code options_parse(int argc, char **argv, struct options *ret);

/* The text of --help. */
void options_print_help(void);
