/*
 * attributes.h - what chmod, chown and utimens ask for
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
};
