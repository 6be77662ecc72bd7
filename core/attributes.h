/*
 * attributes.h - what chmod, chown and utimens ask for, and of whom a new file is
 */
#pragma once

#include <sys/stat.h>
#include <time.h>

#define ATTRIBUTE_MODE  1U
#define ATTRIBUTE_UID   2U
#define ATTRIBUTE_GID   4U
#define ATTRIBUTE_MTIME 8U

struct attributes {
	unsigned set; /* which of them */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	pid_t maker; /* who makes the file, or 0; nothing that is set */
};
