/* check_inside.h - what check.c and check_v1.c share */
#pragma once

#include "core/check.h"

struct check {
	int dirfd;
	const char *prefix;
	const struct check_watch *watch;
	struct check_result *result;
};

/* Tells of something, and counts it. */
void check_say(struct check *c, const struct check_finding *f);

int check_v1(struct check *c);
